"""The future cannot be asked for: nothing after a date may move anything on or before it, to the last bit."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from small_study import small_study

from alfred.analysts import analyst_names, describe
from alfred.backtest.contracts import Strategy
from alfred.core.contracts import LABELS
from alfred.core.plugins import plugin, plugin_names
from alfred.core.progress import Silent
from alfred.evaluation.splits import walk_forward
from alfred.experiments.market import choose_baskets, read_market
from alfred.experiments.portfolios import readings_of
from alfred.experiments.stages import Stages
from alfred.experiments.study import STRATEGIES, Study, entry_name
from alfred.experiments.walkforward import WalkForward
from alfred.lake.scramble import OtherFuture, ScrambledLake
from alfred.lake.store import Lake
from alfred.panel.build import build_panel
from alfred.panel.panel import Panel
from alfred.panel.windows import WindowMaker

AFTER = dt.date(2012, 6, 29)
"""A decision date in the middle of a fold's test quarters."""

SMALL_NETWORK = {"size": 8, "layers": 3}
# Of networks that differ only in size or head, one each; the contract suite tests the others.
NAMES = [name for name in analyst_names() if not describe(name).options["size"] or name.endswith("small.tanh")]
NAMES += [
    "vanilla.small",
    "vanilla.compression.tanh",
    *(n for n in analyst_names() if "small.extractors" in n and n.endswith("tanh")),
]
STUDY = small_study(
    seeds=[0],
    train={"epochs": 2, "patience": 2, "threads": 1},
    panel={"scaled_bound": 1e12},  # later folds train on scrambled prices
    data={"since": "2004-01-02", "until": "2014-12-31"},
    splits={"test_first": "2010-03-31", "test_quarters": 4, "valid_quarters": 4, "min_train_quarters": 12},
    analysts=[{"name": name, **(SMALL_NETWORK if describe(name).options["size"] else {})} for name in NAMES],
)


@dataclass(frozen=True)
class Made:
    """Everything that a study makes before it is judged."""

    baskets: object
    panel: Panel
    walk: WalkForward
    forecasts: pl.DataFrame


def make(study: Study, lake: Lake, stages: Path) -> Made:
    market = read_market(lake, study.data)
    baskets = choose_baskets(market, study.universe)
    panel = build_panel(market.tables(), study.panel, market.levels_usable)
    folds = walk_forward(panel.dates, study.panel.horizon_quarters, study.splits)
    walk = WalkForward(
        panel, folds, baskets.training, baskets.evaluation, study.panel, study.splits, study.train,
        Stages(stages),
    )  # fmt: skip
    frames = [walk.forecast(spec, study.seeds, Silent())[1] for spec in study.analysts]
    return Made(baskets, panel, walk, pl.concat(frames))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Made, Made]:
    root = tmp_path_factory.mktemp("lake")
    other = ScrambledLake(root, OtherFuture.of(AFTER, 7, "sample"))
    return tuple(make(STUDY, lake, tmp_path_factory.mktemp("stages")) for lake in (Lake(root), other))  # type: ignore[return-value]


def test_baskets_stay(pair: tuple[Made, Made]) -> None:
    assert pair[0].baskets == pair[1].baskets


def test_features_stay(pair: tuple[Made, Made]) -> None:
    real, other = (made.panel for made in pair)
    known = real.dates <= np.datetime64(AFTER)
    assert real.features == other.features
    np.testing.assert_array_equal(real.values[known], other.values[known])
    assert not np.array_equal(real.values[~known], other.values[~known], equal_nan=True)


def test_scalers_stay(pair: tuple[Made, Made]) -> None:
    compared = 0
    for fold in pair[0].walk.folds:
        first_test = pair[0].panel.dates[fold.test[0]]
        if first_test > np.datetime64(AFTER):
            continue
        real, other = (WindowMaker.fit(made.panel, fold.train, made.walk.training, STUDY.panel).scaler for made in pair)
        np.testing.assert_array_equal(real.center, other.center)
        np.testing.assert_array_equal(real.spread, other.spread)
        compared += 1
    assert compared == 3


@pytest.mark.parametrize("analyst", [entry_name(spec) for spec in STUDY.analysts])
def test_forecasts_stay(pair: tuple[Made, Made], analyst: str) -> None:
    outcome = ["realised_on", *LABELS]
    real, other = (made.forecasts.filter(pl.col("analyst") == analyst).drop(outcome) for made in pair)
    before = pl.col("as_of") <= AFTER
    assert real.filter(before).height == 6 * 10
    assert real.filter(before).equals(other.filter(before))
    if analyst != "naive":
        assert not real.filter(~before).equals(other.filter(~before))


@pytest.mark.parametrize("strategy", plugin_names(STRATEGIES))
def test_weights_stay(pair: tuple[Made, Made], strategy: str) -> None:
    module: Strategy = plugin(STRATEGIES, strategy)  # type: ignore[assignment]
    for spec in STUDY.analysts:
        targets = []
        for made in pair:
            readings = readings_of(made.forecasts, entry_name(spec), made.walk.evaluation)
            known = readings.dates <= np.datetime64(AFTER)
            targets.append(module.targets(readings).weights[known])
        np.testing.assert_array_equal(*targets)
