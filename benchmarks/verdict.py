"""How often the verdict grants skill: size where nothing is planted, power where something is.

Every study goes the whole way of `alfred run` from the rows of an invented market: features, walk-forward, ridge,
scorecard, verdict. Half of the names teach, the other half are forecast in 59 later quarters. Only the lake and the
accounts are left out, which the verdict does not look at; `tests/experiments/test_verdict_size.py` checks that a study
here and one by `run_study` come to the same.

    python benchmarks/verdict.py --folder verdict --draw docs/images/verdict.svg

A study that the folder's table holds already is not run again, so that an interrupted run goes on.
"""

import argparse
import datetime as dt
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from scipy import stats

from alfred.core.progress import Silent
from alfred.evaluation.contracts import Scorecard
from alfred.evaluation.scorecard import scorecard
from alfred.evaluation.splits import walk_forward
from alfred.evaluation.verdict import LEVEL, SUSPICIOUS, judged, lowers_loss
from alfred.experiments.run import with_naive
from alfred.experiments.stages import Stages
from alfred.experiments.study import NAIVE, Study, entry_name, judged_loss, target_of
from alfred.experiments.walkforward import WalkForward
from alfred.lake.synthetic.market import make_world
from alfred.lake.synthetic.settings import SyntheticSettings
from alfred.panel.build import build_panel
from alfred.panel.tables import Tables
from alfred.training.losses import original_row_losses

MARKET = "^MKT"
TEST_FIRST = dt.date(2005, 3, 31)
SYMBOLS = 80
COLUMNS = ("momentum_12_1", "Close_diff_MA_90", "price_change_term_30", "price_change_term_240", "drawdown")
COEFFICIENTS = (0.02, 0.04, 0.06, 0.08, 0.12)
ANALYSTS: tuple[dict[str, Any], ...] = ({"name": "ridge"},)
SEVERAL = ({"name": "ridge"}, {"name": "momentum"}, {"name": "ridge", "label": "excess"}, {"name": "logistic"})
"""Of a study whose analysts resemble one another, as they do in practice."""
FIRST_SEED = 100_000
"""Seeds from here on belong to the reported studies; rules were made on others."""


def market(seed: int, coefficient: float) -> SyntheticSettings:
    """24 years of 80 companies; tables that no column needs are kept small."""
    return SyntheticSettings(
        seed=seed, symbols=SYMBOLS, first_year=1996, years=24, information_coefficient=coefficient,
        listed_later=0.1, delistings_per_year=0.01, articles_per_quarter=0.05, insider_trades_per_quarter=0.05,
    )  # fmt: skip


def study(names: Sequence[str], analysts: Sequence[dict[str, Any]]) -> Study:
    """The study of one market."""
    form = {
        "name": "trial",
        "data": {"provider": "synthetic"},
        "universe": {"training": names[0::2], "evaluation": names[1::2]},
        "panel": {"features": list(COLUMNS)},
        "splits": {
            "test_first": str(TEST_FIRST), "test_quarters": 12, "valid_quarters": 8, "min_train_quarters": 28,
        },
        "analysts": list(analysts),
        "backtest": {"strategies": ["simple"]},
        "evaluation": {"draws": 400},
    }  # fmt: skip
    return Study.parse(form, "trial")


def tables(settings: SyntheticSettings) -> Tables:
    """Prices, index and actions of a market, as the lake would give them."""
    found: dict[str, list[pl.DataFrame]] = {"bars": [], "actions": [], "series": []}
    for batch in make_world(settings).batches():
        if batch.table in found:
            found[batch.table].append(batch.rows)
        if batch.table == "actions":  # so few companies come in one group, and no other table is needed
            break
    bars, actions, series = (pl.concat(found[name]) for name in ("bars", "actions", "series"))
    index = series.filter(pl.col("series") == MARKET).select("date", "value", "known_at").sort("date")
    return Tables(bars.sort("symbol", "date"), index, actions=actions.sort("symbol", "date", "kind"))


def cards_of(settings: SyntheticSettings, analysts: Sequence[dict[str, Any]]) -> tuple[Scorecard, ...]:
    """Scorecards of one study, naive forecasts among them, judged together."""
    rows = tables(settings)
    names = rows.bars.filter(pl.col("date") == TEST_FIRST)["symbol"].sort().to_list()
    wish = study(names, analysts)
    panel = build_panel(rows, wish.panel, levels_usable=True)
    folds = walk_forward(panel.dates, wish.panel.horizon_quarters, wish.splits)
    specs = with_naive(wish.analysts)
    with tempfile.TemporaryDirectory() as folder:
        walk = WalkForward(
            panel, folds, wish.universe.training, wish.universe.evaluation, wish.panel, wish.splits, wish.train,
            Stages(Path(folder)),
        )  # fmt: skip
        forecasts = pl.concat([walk.forecast(spec, (0,), Silent())[1] for spec in specs])
    naive = {target_of(spec): entry_name(spec) for spec in specs if spec.name == NAIVE}
    return judged(
        [
            scorecard(
                forecasts,
                entry_name(spec),
                forecasts.filter(pl.col("analyst") == naive[target_of(spec)]),
                partial(original_row_losses, judged_loss(spec), settings=wish.train.loss),
                judged_loss(spec),
                wish.evaluation,
                random=False,
            )
            for spec in specs
        ]
    )


def tried(seed: int, coefficient: float, several: bool) -> list[dict[str, Any]]:
    """Run one study; a row for each of its analysts."""
    rows = []
    for card in cards_of(market(seed, coefficient), SEVERAL if several else ANALYSTS):
        if card.ranking is None or card.analyst.startswith(NAIVE):
            continue
        rows.append(
            {
                "seed": seed,
                "planted": coefficient,
                "several": several,
                "analyst": card.analyst,
                "rank_ic": card.ranking.mean,
                "p": card.ranking.p_value,
                "quarters": card.ranking.quarters,
                "granted": card.skilled,
                "in_loss": card.skilled and lowers_loss(card),
                "suspicious": card.verdict.startswith(SUSPICIOUS),
            }
        )
    return rows


def run_all(wanted: Sequence[tuple[int, float, bool]], path: Path, workers: int) -> pl.DataFrame:
    """Every wanted study, from the table where it is there; the table is written after every tenth."""
    rows = pl.read_parquet(path).to_dicts() if path.is_file() else []
    there = {(row["seed"], row["planted"], row["several"]) for row in rows}
    left = [one for one in wanted if one not in there]
    began = time.perf_counter()
    # Forked after polars has run, a process waits for threads that it does not have.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for done, future in enumerate(as_completed([pool.submit(tried, *one) for one in left]), start=1):
            rows += future.result()
            if done % 10 == 0 or done == len(left):
                pl.DataFrame(rows).write_parquet(path)
                print(f"{done} of {len(left)} studies, {time.perf_counter() - began:.0f} s", flush=True)
    return pl.DataFrame(rows)


def share(hits: int, count: int) -> str:
    """A share with its exact 95% interval (Clopper and Pearson)."""
    ends = stats.binomtest(hits, count).proportion_ci(0.95)
    return f"{hits / count:.1%} [{ends.low:.1%}, {ends.high:.1%}]"


def summary(rows: pl.DataFrame) -> pl.DataFrame:
    """Studies in which at least one analyst was granted skill, and so on, by what was planted and by kind of study."""
    studies = rows.group_by("planted", "several", "seed").agg(
        pl.col("granted", "in_loss", "suspicious").any(),
        (pl.col("p") <= LEVEL).any().alias("without_correction"),
        pl.col("rank_ic").mean(),
    )
    return (
        studies.group_by("planted", "several")
        .agg(
            pl.len().alias("studies"),
            pl.col("rank_ic").mean(),
            pl.col("granted", "in_loss", "suspicious", "without_correction").sum(),
        )
        .sort("several", "planted")
    )


def lines(table: pl.DataFrame) -> Iterable[str]:
    """The table for the documentation."""
    heads = ("planted", "analysts", "studies", "mean rank IC", "skill granted", "in loss too", "called suspicious")
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for row in table.iter_rows(named=True):
        count = row["studies"]
        cells = [f"{row['planted']:g}", len(SEVERAL) if row["several"] else 1, count, f"{row['rank_ic']:.3f}"]
        cells += [share(row[name], count) for name in ("granted", "in_loss", "suspicious")]
        yield f"| {' | '.join(str(cell) for cell in cells)} |"
    for row in table.filter(pl.col("several")).iter_rows(named=True):
        yield f"\nWithout Holm's correction: {share(row['without_correction'], row['studies'])} at {row['planted']:g}."


def draw(table: pl.DataFrame, path: Path) -> None:
    """The power curve of studies with one analyst."""
    from matplotlib import pyplot as plt

    one = table.filter(~pl.col("several"))
    x = one["planted"].to_numpy()
    count = one["studies"].to_numpy()
    figure, axes = plt.subplots(figsize=(7.2, 4.2))
    for name, label, colour, marker in (
        ("granted", "skill granted", "#0b6e8a", "o"),
        ("in_loss", "in loss too", "#c9752d", "s"),
        ("suspicious", "called suspicious", "#8a8a8a", "^"),
    ):
        hits = one[name].to_numpy()
        if not hits.any():
            continue
        ends = [stats.binomtest(int(k), int(n)).proportion_ci(0.95) for k, n in zip(hits, count, strict=True)]
        value = 100 * hits / count
        low = value - [100 * end.low for end in ends]
        high = [100 * end.high for end in ends] - value
        axes.errorbar(x, value, [low, high], color=colour, marker=marker, capsize=3, label=label, linewidth=1.6)
    axes.axhline(100 * LEVEL, color="black", linewidth=0.8, linestyle=":")
    axes.text(0.1, 100 * LEVEL - 1, "5%", ha="center", va="top", fontsize=9)
    axes.set_xlabel("planted correlation of signal and next quarter's return")
    axes.set_ylabel("share of studies, %")
    axes.set_ylim(0, 100)
    axes.set_title("How often the verdict grants skill", loc="left", fontsize=11)
    axes.legend(frameon=False, loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main() -> None:
    """Run the studies, print the table, draw the curve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the table of finished studies is kept")
    parser.add_argument("--none", type=int, default=400, help="studies without a signal")
    parser.add_argument("--planted", type=int, default=60, help="studies for each planted coefficient")
    parser.add_argument("--several", type=int, default=40, help="studies of several analysts without a signal")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED, help="of the first market")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--draw", type=Path, help="where the figure goes")
    wish = parser.parse_args()
    wanted = [(wish.first_seed + at, 0.0, False) for at in range(wish.none)]
    for step, coefficient in enumerate(COEFFICIENTS, start=1):
        wanted += [(wish.first_seed + 10_000 * step + at, coefficient, False) for at in range(wish.planted)]
    wanted += [(wish.first_seed + 90_000 + at, 0.0, True) for at in range(wish.several)]
    wish.folder.mkdir(parents=True, exist_ok=True)
    table = summary(run_all(wanted, wish.folder / "studies.parquet", wish.workers))
    print("\n".join(lines(table)))
    if wish.draw is not None:
        draw(table, wish.draw)


if __name__ == "__main__":
    main()
