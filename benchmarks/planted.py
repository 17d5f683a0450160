"""Who recovers what: families of analysts on synthetic markets with linear, non-linear and sequential signals.

    python benchmarks/planted.py             # 5 markets of each kind, all families
    python benchmarks/planted.py --seeds 2 --signals linear --only ridge lightgbm

Seed s is the market of seed s and the analyst of seed s, so that an interval over seeds holds the luck of both. Each
fit goes through the walk-forward engine of `alfred run` with one fold: the first years train, the next choose epoch or
penalty, the last are tested, on companies that no one trained on. An interrupted call goes on where it stopped if
`--home` names a folder.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from alfred.analysts import AnalystSpec
from alfred.core.home import Home
from alfred.core.progress import Silent
from alfred.evaluation.bootstrap import seed_interval
from alfred.evaluation.metrics import rank_ics
from alfred.evaluation.rows import forecast_rows
from alfred.experiments.prepared import prepare
from alfred.experiments.run import walk_of
from alfred.experiments.study import Study, quarters_of
from alfred.lake.store import Lake
from alfred.lake.synthetic.market import make_world
from alfred.lake.synthetic.settings import SyntheticSettings
from alfred.lake.synthetic.truth import Truth

LEVEL = 0.95
WHERE = "benchmarks/planted.py"
CEILING = "the planted signal itself"
TEST_FIRST = "2008-03-31"
MARKET = {
    "symbols": 300, "first_year": 1990, "years": 29, "information_coefficient": 0.5, "listed_later": 0.1,
    "delistings_per_year": 0.01, "articles_per_quarter": 0.02, "insider_trades_per_quarter": 0.02,
}  # fmt: skip
"""The strongest signal that there is, for the question is what a family can represent, not how little it needs. Few
articles and trades, which no column here reads; with none at all the provider would bring the default market in."""
PREDICTOR = {"linear": "price", "nonlinear": "fundamental", "sequential": "fundamental"}
"""A line is planted in momentum_12_1, so that the analyst of that name takes part. The others are planted in
surprisePercentage: surprises are independent from quarter to quarter and of all else, so that no other column, and no
delta_ column, tells anything about their squares or about those of a year ago."""
CARRIERS = ("momentum_12_1", "surprisePercentage")
COLUMNS = (
    *CARRIERS, "delta_momentum_12_1", "delta_surprisePercentage", "Close_diff_MA_30", "Close_diff_MA_180",
    "price_change_term_120", "realised_volatility", "drawdown", "beta", "Volume_diff_MA_90", "reportedEPS",
    "days_since_report", "Margin_Net_Profit", "revenue_growth", "leverage", "earnings_yield", "^VIX", "10year",
)  # fmt: skip
SHAPE = {"size": 32, "layers": 2}
FAMILIES: tuple[dict[str, object], ...] = (
    {"name": "naive"},
    {"name": "momentum"},
    {"name": "ridge"},
    {"name": "ridge", "quarters": 5},
    {"name": "elastic-net"},
    {"name": "logistic", "label": "PQ"},
    {"name": "lightgbm"},
    {"name": "lightgbm", "quarters": 5},
    {"name": "ensemble.mean"},
    {"name": "vanilla.small.identity", **SHAPE},
    {"name": "vanilla.small.identity", "quarters": 5, **SHAPE},
    {"name": "lstm.small.extractors.identity", **SHAPE},
    {"name": "lstm.small.extractors.layered.identity", **SHAPE},
    {"name": "trans.small.extractors.slim.identity", **SHAPE},
    {"name": "trans.small.extractors.layered.identity", **SHAPE},
)


@dataclass(frozen=True)
class Cell:
    """Rank IC of one analyst, or of the truth, on one market's test rows; seconds that its fit took."""

    signal: str
    seed: int
    analyst: str
    quarters: str
    rank_ic: float
    seconds: float = 0.0


def specs_of(only: Sequence[str]) -> list[AnalystSpec]:
    """The families asked for, forecasting ranks unless they can only forecast a direction."""
    specs = [AnalystSpec.parse({"label": "rank"} | form, WHERE) for form in FAMILIES]
    return [spec for spec in specs if not only or any(spec.name.startswith(word) for word in only)]


def study(names: Sequence[str], seed: int, specs: Sequence[AnalystSpec]) -> Study:
    """The protocol, the same for all analysts, with the default settings of training."""
    form = {
        "name": "planted",
        "seeds": [seed],
        "data": {"provider": "synthetic"},
        "universe": {"training": list(names[0::2]), "evaluation": list(names[1::2])},
        "panel": {"features": list(COLUMNS), "cross_section": dict.fromkeys(CARRIERS, "z-score")},
        "splits": {"test_first": TEST_FIRST, "test_quarters": "all", "valid_quarters": 16, "min_train_quarters": 40},
        "train": {"threads": 1, "device": "cpu"},
        "analysts": [spec.model_dump(exclude_none=True) for spec in specs],
    }
    return Study.parse(form, WHERE)


def market(signal: str, seed: int, home: Home) -> tuple[Truth, list[str]]:
    """A market in a lake of its own, and the names listed on the first test date."""
    planted = {"seed": seed, "signal": signal, "predictor": PREDICTOR[signal]}
    world = make_world(SyntheticSettings.parse(MARKET | planted, WHERE))
    lake, names = Lake(home.lake), set()
    for batch in world.batches():
        lake.write(batch.table, batch.rows)
        if batch.table == "bars":
            names |= set(batch.rows.filter(pl.col("date") == pl.lit(TEST_FIRST).str.to_date())["symbol"])
    return world.truth(), sorted(names)


def cells(signal: str, seed: int, root: Path, specs: Sequence[AnalystSpec]) -> Iterator[Cell]:
    """Rank ICs on one market, the truth's own last."""
    home = Home(root / f"{signal}-{seed}")
    truth, names = market(signal, seed, home)
    planned = study(names, seed, specs)
    walk = walk_of(planned, prepare(planned, home), home)
    for spec in planned.analysts:
        fits, frame = walk.forecast(spec, planned.seeds, Silent())
        seconds = sum(fit.record.seconds for fit in fits)
        yield Cell(signal, seed, spec.name, str(quarters_of(spec)), rank_ic(frame), seconds)
    told = frame.join(truth.signals.select("symbol", "as_of", "signal"), on=["symbol", "as_of"], how="left")
    # Whoever has no signal moves as the mean does, which is a signal of 0.
    yield Cell(signal, seed, CEILING, "", rank_ic(told.with_columns(mean=pl.col("signal").fill_null(0.0))))


def rank_ic(frame: pl.DataFrame) -> float:
    """Mean over test quarters of the rank correlation across names."""
    return float(np.nanmean(rank_ics(forecast_rows(frame, str(frame["analyst"][0])))))


def table(found: Sequence[Cell]) -> Iterator[str]:
    """Lines of Markdown: a row an analyst, a column a signal."""
    signals = [signal for signal in PREDICTOR if any(cell.signal == signal for cell in found)]
    yield "| analyst | quarters | " + " | ".join(signals) + " |"
    yield "| --- | ---: |" + " --- |" * len(signals)
    rows = dict.fromkeys((cell.analyst, cell.quarters) for cell in found)
    for row in sorted(rows, key=lambda row: row[0] != CEILING):
        own = [cell for cell in found if (cell.analyst, cell.quarters) == row]
        figures = [figure([cell.rank_ic for cell in own if cell.signal == signal]) for signal in signals]
        yield "| " + " | ".join([*row, *figures]) + " |"


def figure(values: Sequence[float]) -> str:
    """Mean over seeds and its interval, which one seed does not have."""
    interval = seed_interval(np.array(values), LEVEL)
    ends = f" ({interval.lower:.3f} to {interval.upper:.3f})" if interval.upper > interval.lower else ""
    return f"{np.mean(values):.3f}{ends}"


def main() -> None:
    """Print the table, and the progress on the error stream."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="markets of each kind, each with its own analysts")
    parser.add_argument("--first-seed", type=int, default=0, help="other seeds are other markets")
    parser.add_argument("--signals", nargs="+", choices=list(PREDICTOR), default=list(PREDICTOR))
    parser.add_argument("--only", nargs="+", default=[], help="beginnings of analysts' names; default all")
    parser.add_argument("--home", type=Path, help="folder for lakes and finished fits; default one that is deleted")
    wish = parser.parse_args()
    specs, found, began = specs_of(wish.only), [], time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(wish.first_seed, wish.first_seed + wish.seeds):
            for signal in wish.signals:
                for cell in cells(signal, seed, wish.home or Path(folder), specs):
                    found.append(cell)
                    since = f"{time.perf_counter() - began:5.0f} s  seed {seed}, {signal}"
                    about = f"{cell.analyst}, {cell.quarters} quarter(s)" if cell.quarters else cell.analyst
                    print(f"{since}: {cell.rank_ic:6.3f} {about}, {cell.seconds:.1f} s", file=sys.stderr, flush=True)
    print(f"Mean rank IC over {wish.seeds} seeds and its {LEVEL:.0%} interval.\n")
    for line in table(found):
        print(line)


if __name__ == "__main__":
    main()
