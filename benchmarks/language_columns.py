"""What language columns are worth where tone moves prices, and where it does not. docs/language.md has the table.

    nice -n 10 python benchmarks/language_columns.py --seeds 100-109

Of every synthetic market there are two, with the same companies and articles: in one the mean tone of a quarter's
articles has an expected correlation with the next quarter's return across names, in the other it has none. The lexicon
reads the articles, and the same ridge regression learns through the whole engine, once from the columns of prices and
once with those of articles beside them. Shown are rank ICs over all test quarters, and the difference of the two,
quarter by quarter on the same names.
"""

import argparse
import datetime as dt
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from scipy import stats

from alfred.core.home import Home
from alfred.experiments.record import load_frame
from alfred.experiments.run import run_study
from alfred.experiments.study import Study
from alfred.lake.store import Lake
from alfred.lake.synthetic.market import generate
from alfred.lake.synthetic.settings import SyntheticSettings
from alfred.language.registry import make_digester
from alfred.language.run import digest_articles
from alfred.panel.catalogue import catalogue

TABLES = ("digests", "stories")
ALWAYS = dt.datetime.max.replace(tzinfo=dt.UTC)
TEST_FIRST = dt.date(2006, 3, 31)
ANALYST = "ridge:excess"


@dataclass(frozen=True)
class Ics:
    """(Q,) rank ICs of the test quarters, without and with the columns of articles."""

    without: np.ndarray[tuple[int], np.dtype[np.float64]]
    beside: np.ndarray[tuple[int], np.dtype[np.float64]]


def columns(family: str) -> list[str]:
    """Names of a family's columns that a study may use with adjusted prices."""
    return [name for name, feature in catalogue().items() if feature.family == family and not feature.is_level]


def trial(root: Path, seed: int, coefficient: float, digests: dict[str, pl.DataFrame]) -> Ics:
    """One market, two studies; `digests` are those of an earlier market with the same articles, and are filled."""
    market = generate(
        SyntheticSettings(
            seed=seed, symbols=150, first_year=1999, years=17, predictor="tone", information_coefficient=coefficient,
            listed_later=0.1, delistings_per_year=0.01, insider_trades_per_quarter=0.05,
        )
    )  # fmt: skip
    home = Home(root / f"{seed}-{coefficient}")
    lake = Lake(home.lake)
    for name, rows in market.tables.items():
        lake.write(name, rows)
    if digests:
        assert digests["articles"].equals(market.tables["articles"])
        for name in TABLES:
            lake.write(name, digests[name])
    else:
        report = digest_articles(lake, make_digester("lexicon"))
        view = lake.asof(ALWAYS)
        digests |= {"articles": market.tables["articles"], "stories": view.stories()}
        digests["digests"] = view.digests().drop("symbol", "published_at")
        print(f"seed {seed}: {report.done:,} articles digested", flush=True)
    names = market.tables["bars"].filter(pl.col("date") == TEST_FIRST)["symbol"].sort().to_list()
    ics = []
    for features in (columns("price"), [*columns("price"), *columns("language")]):
        form = {
            "name": "trial",
            "data": {"provider": "synthetic"},
            "universe": {"training": names[0::2], "evaluation": names[1::2]},
            "panel": {"features": features},
            "splits": {
                "test_first": str(TEST_FIRST), "test_quarters": 8, "valid_quarters": 4, "min_train_quarters": 20,
            },
            "analysts": [{"name": "ridge", "label": "excess"}],
            "backtest": {"strategies": ["simple"]},
        }  # fmt: skip
        quarters = load_frame(run_study(Study.parse(form, "trial"), home), "quarters")
        ics.append(quarters.filter(pl.col("analyst") == ANALYST).sort("as_of")["rank_ic"].to_numpy())
    return Ics(ics[0], ics[1])


def interval(values: Sequence[float]) -> str:
    """Mean and Student's 95% interval."""
    mean, half = np.mean(values), stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return f"{mean:+.3f} ({mean - half:+.3f} to {mean + half:+.3f})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="100-109", help="first and last market")
    parser.add_argument("--coefficient", type=float, default=0.1, help="planted correlation")
    given = parser.parse_args()
    first, _, last = given.seeds.partition("-")
    found: dict[float, list[Ics]] = {given.coefficient: [], 0.0: []}
    for seed in range(int(first), int(last or first) + 1):
        digests: dict[str, pl.DataFrame] = {}
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as root:
            for coefficient, ics in found.items():
                ics.append(trial(Path(root), seed, coefficient, digests))
                one = ics[-1]
                change = one.beside - one.without
                print(
                    f"seed {seed}, {coefficient}: {one.without.mean():+.3f} without, {one.beside.mean():+.3f} with, "
                    f"t of the difference {change.mean() / stats.sem(change):+.1f} over {len(change)} quarters",
                    flush=True,
                )
        print(f"{time.perf_counter() - began:.0f} s", flush=True)
    print("\n| planted | markets | rank IC without | with | difference | markets with t > 1.96 |")
    print("| --- | --- | --- | --- | --- | --- |")
    for coefficient, ics in found.items():
        without, beside = ([one.without.mean() for one in ics], [one.beside.mean() for one in ics])
        changes = [one.beside - one.without for one in ics]
        clear = sum(change.mean() / stats.sem(change) > 1.96 for change in changes)
        means = [change.mean() for change in changes]
        print(
            f"| {coefficient} | {len(ics)} | {interval(without)} | {interval(beside)} | {interval(means)} | "
            f"{clear} of {len(ics)} |"
        )


if __name__ == "__main__":
    main()
