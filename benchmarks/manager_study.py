"""Policies against the rules on a study's own forecasts: the tables of docs/manager.md.

    ALFRED_HOME=somewhere python benchmarks/manager_study.py
    ALFRED_HOME=somewhere python benchmarks/manager_study.py --prices prices.parquet
    ALFRED_HOME=somewhere python benchmarks/manager_study.py --run latest --set manager.seeds=[0]

Without prices it is the demo study. With them it is a study of all their names that were quoted by January 2000:
every second one, by symbol, is learnt from, and the others are forecast and traded. Prices are any file that
`alfred data fetch csvfile` reads. All goes on where it was stopped; `--run` manages a run that is there already.
"""

import argparse
from pathlib import Path

import polars as pl

from alfred.core.contracts import Interval
from alfred.core.home import Home, home
from alfred.core.progress import Silent
from alfred.experiments.manage import manage
from alfred.experiments.managed import ManagerRecord
from alfred.experiments.run import run_study
from alfred.experiments.runs import find_run
from alfred.experiments.study import Study, load_study
from alfred.lake.contracts import Request
from alfred.lake.ingest import admit, provider
from alfred.lake.store import Lake
from alfred.manager.judgement import BENCHMARK

NONE = "-"
SIZE = ("dollar_volume", "illiquidity", "delta_dollar_volume", "delta_illiquidity")
"""How much of a company was traded: whoever was small long ago and is listed among today's large ones has grown."""
DEMO = Path(__file__).parents[1] / "src" / "alfred" / "experiments" / "studies" / "demo.toml"
POLICIES = (
    "cash", "equal-weight", "buy-and-hold", "inverse-volatility", "minimum-variance", "hierarchical-risk-parity",
    "top-decile", "magnitude-choice", "maximum-sharpe", "black-litterman", "gradient",
)  # fmt: skip
MANAGER = {
    "policies": list(POLICIES),
    "first_periods": 16,
    "refit_periods": 24,
    "learning": {"steps": 100, "batch": 32},
}
"""Fixed before any policy's test result was seen; fewer steps and fits than the default, for the time they take."""


class Lines(Silent):
    """Prints what a run says."""

    def say(self, message: str) -> None:
        """Print it."""
        print(message, flush=True)


def bring_in(lake: Lake, prices: Path) -> None:
    """Fill the lake; what is there already does no harm."""
    source, request = provider("csvfile"), Request(path=prices)
    for task in source.tasks(request):
        print(admit(lake, source.fetch(task, request, None)), flush=True)


def large_study(symbols: list[str]) -> Study:
    """A study of moderate cost over many names; no column of size, for the names are those of survivors."""
    plan = {
        "name": "managed-large",
        "seeds": [0, 1, 2],
        "data": {"provider": "csvfile", "since": "1999-12-31"},
        "universe": {"training": symbols[::2], "evaluation": symbols[1::2]},
        "panel": {"exclude": list(SIZE)},
        "splits": {"test_first": "2004-12-31", "test_quarters": 8, "valid_quarters": 6, "min_train_quarters": 12},
        "train": {"epochs": 15, "batch_size": 256, "patience": 4, "plateau_patience": 2},
        "analysts": [{"name": "ridge"}, {"name": "lightgbm"}, {"name": "vanilla.small.tanh"}],
        "backtest": {"strategies": ["magnitude-choice"]},
        "manager": {**MANAGER, "hide": ["log_dollar_volume"]},
    }
    return Study.parse(plan, "benchmarks/manager_study.py")


def quoted(prices: Path) -> list[str]:
    """Symbols with a price by January 2000."""
    first = pl.scan_parquet(prices).group_by("symbol").agg(pl.col("date").cast(pl.Date).min())
    return sorted(first.filter(pl.col("date") < pl.date(2000, 2, 1)).collect()["symbol"].to_list())


def chosen(arguments: argparse.Namespace, place: Home) -> tuple[Study, Path]:
    """The study and its run, finished."""
    if arguments.prices is None:
        study = load_study(DEMO, arguments.set)
        study = Study.parse(study.model_dump() | {"manager": {**MANAGER, **_said(study)}}, "the demo study")
    else:
        bring_in(Lake(place.lake), arguments.prices)
        study = large_study(quoted(arguments.prices))
    return study, find_run(place, arguments.run) if arguments.run else run_study(study, place, Lines())


def _said(study: Study) -> dict[str, object]:
    """What was said of the manager by --set."""
    return study.manager.model_dump(exclude_defaults=True)


HEADINGS = (
    "policy", "growth", "less 1/N", "p (Holm)", "seeds, worst to best", "volatility", "Sharpe",
    "growth at 1/N's volatility", "drawdown", "turnover", "costs", "names", "cash", "beta",
)  # fmt: skip


def show(record: ManagerRecord) -> None:
    """The comparison as Markdown."""
    against = {one.policy: one for one in record.comparisons if one.rule == BENCHMARK}
    print(f"\n{record.run}: {record.periods} decisions from {record.first} to {record.last}, {record.names} names\n")
    print(f"| {' | '.join(HEADINGS)} |\n| --- |{' ---: |' * (len(HEADINGS) - 1)}")
    for one in record.figures:
        other = against.get(one.policy)
        cells = (
            one.title,
            _span(one.growth, one.interval),
            _span(other.difference, other.interval) if other else NONE,
            f"{other.holm:.3f}" if other else NONE,
            f"{one.seeds}, {one.lowest:+.1%} to {one.highest:+.1%}" if one.seeds > 1 else "1",
            f"{one.volatility:.1%}",
            NONE if one.sharpe is None else f"{one.sharpe:.2f}",
            _span(one.equal_growth, one.equal_interval),
            f"{one.drawdown:.0%}",
            f"{one.turnover:.1f}",
            f"{one.costs:.2%}",
            f"{one.names:.0f}",
            f"{one.cash:.0%}",
            NONE if one.beta is None else f"{one.beta:.2f}",
        )
        print(f"| {' | '.join(cells)} |")
    print()
    for line in (*record.warnings, *record.verdict):
        print(line)
    for name, values in (("extra bps", record.costs), ("capital", record.capitals)):
        columns = list(dict.fromkeys(one.value for one in values))
        if columns:
            print(f"\n| growth by {name} | {' | '.join(f'{value:,.0f}' for value in columns)} |")
            print(f"| --- |{' ---: |' * len(columns)}")
        for one in record.figures if columns else ():
            growths = [at.growth for at in values if at.policy == one.policy]
            print(f"| {one.title} | {' | '.join(f'{growth:.1%}' for growth in growths)} |")
    if record.capacities:
        print("\ncapacity:", {one.policy: one.capital_usd for one in record.capacities})
    if record.liquid:
        print("\n| policy | liquid half | less 1/N of the same |\n| --- | ---: | ---: |")
    for one in record.liquid:
        difference = _span(one.difference, one.difference_interval)
        print(f"| {record.of(one.policy).title} | {_span(one.growth, one.interval)} | {difference} |")
    if record.regimes:
        print(f"\n| policy | {' | '.join(f'{kind.name} ({kind.periods})' for kind in record.regimes)} |")
        print(f"| --- |{' ---: |' * len(record.regimes)}")
        for one in record.figures:
            print(f"| {one.title} | {' | '.join(f'{kind.growth[one.policy]:.1%}' for kind in record.regimes)} |")


def _span(value: float | None, interval: Interval | None) -> str:
    if value is None or interval is None:
        return NONE
    return f"{value:+.1%} ({interval.lower:+.1%} to {interval.upper:+.1%})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prices", type=Path, help="prices of many names; default the demo study's own")
    parser.add_argument("--run", default="", help="manage this run, which is finished")
    parser.add_argument("--only", action="store_true", help="run the study and stop before the manager")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="over the study's settings")
    arguments = parser.parse_args()
    place = home()
    plan, folder = chosen(arguments, place)
    if not arguments.only:
        show(manage(folder, place, plan.manager, Lines()))
