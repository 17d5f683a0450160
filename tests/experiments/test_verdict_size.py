"""The verdict on trial, on fewer studies than `benchmarks/verdict.py` reports, and on other seeds.

Of 40 studies without a signal, granted skill with 5% each, 7 or more are granted some with probability 0.34%. Of 12
with a planted correlation of 0.12, which a study finds four times in five, fewer than 6 have probability 0.4%.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest

from alfred.core.home import Home
from alfred.experiments.record import load_record
from alfred.experiments.run import run_study
from alfred.lake.store import Lake
from alfred.lake.synthetic.market import generate

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "verdict.py"


@pytest.fixture(scope="module")
def trials() -> ModuleType:
    found = importlib.util.spec_from_file_location("verdict_benchmark", BENCHMARK)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module
    found.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_a_study_of_the_benchmark_is_one_of_alfred_run(trials: ModuleType, tmp_path: Path) -> None:
    settings = trials.market(1, 0.05)
    market = generate(settings)
    home = Home(tmp_path)
    for name, rows in market.tables.items():
        Lake(home.lake).write(name, rows)
    names = market.tables["bars"].filter(pl.col("date") == trials.TEST_FIRST)["symbol"].sort().to_list()
    analysts = [{"name": "ridge"}, {"name": "momentum"}]
    record = load_record(run_study(trials.study(names, analysts), home))
    assert record.scorecards == trials.cards_of(settings, analysts)


@pytest.mark.slow
def test_studies_without_a_signal_are_rarely_granted_skill(trials: ModuleType) -> None:
    rows = [row for seed in range(40) for row in trials.tried(seed, 0.0, several=False)]
    assert len(rows) == 40
    assert sum(row["granted"] for row in rows) <= 6
    # The p-values are spread over all of their range, as they would not be if the test hardly ever found anything.
    assert 0.3 < sum(row["p"] <= 0.5 for row in rows) / 40 < 0.7


@pytest.mark.slow
def test_studies_with_a_signal_are_mostly_granted_skill(trials: ModuleType) -> None:
    rows = [row for seed in range(12) for row in trials.tried(seed, 0.12, several=False)]
    assert sum(row["granted"] or row["suspicious"] for row in rows) >= 6
