"""What a figure depends on is in its name, and guards stand where data change hands."""

import dataclasses
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from small_study import small_study

from alfred.core.errors import AlfredError, LeakError
from alfred.core.home import Home
from alfred.evaluation.bootstrap import BootstrapSettings
from alfred.evaluation.splits import Fold
from alfred.experiments.market import choose_baskets, read_market
from alfred.experiments.record import load_frame, load_record
from alfred.experiments.run import run_study
from alfred.experiments.stages import Stages
from alfred.experiments.walkforward import WalkForward
from alfred.lake.store import Lake
from alfred.panel.build import build_panel

RIDGE = {"analysts": [{"name": "ridge"}]}


def test_what_a_figure_depends_on_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path)
    first = run_study(small_study(**RIDGE), home)
    clipped = run_study(small_study(**RIDGE, panel={"clip": 0.2}), home)
    assert load_frame(first, "forecasts")["mean"].to_list() != load_frame(clipped, "forecasts")["mean"].to_list()
    market = read_market(Lake(home.lake), small_study().data)
    late = dataclasses.replace(market, bars=market.bars.with_columns(pl.col("known_at") + pl.duration(days=1)))
    assert late.digest() != market.digest()
    monkeypatch.setattr("alfred.experiments.prepared.code_digest", lambda: "other code")
    assert run_study(small_study(**RIDGE), home) != first


def test_a_fold_whose_labels_reach_into_its_next_part_is_refused(tmp_path: Path) -> None:
    study = small_study(splits={"test_first": "2008-03-31", "embargo_quarters": 1, "min_train_quarters": 8})
    market = read_market(Lake(tmp_path / "lake"), study.data)
    baskets = choose_baskets(market, study.universe)
    panel = build_panel(market.tables(), study.panel, levels_usable=True)
    walk = WalkForward(
        panel, (), baskets.training, baskets.evaluation, study.panel, study.splits, study.train, Stages(tmp_path)
    )
    for stop in (10, 9):
        with pytest.raises(LeakError):
            walk.parts(Fold(np.arange(stop), np.arange(9, 12), np.arange(14, 16)), "PM")
    assert walk.parts(Fold(np.arange(8), np.arange(9, 12), np.arange(14, 16)), "PM")[0].y is not None


def test_a_network_may_have_another_loss_and_the_card_uses_its_constants(tmp_path: Path) -> None:
    tanh = {"name": "vanilla.small.tanh", "size": 8, "layers": 2, "loss": "mse-sign"}
    train = {"epochs": 2, "threads": 1, "loss": {"weight": 1.0}}
    folder = run_study(small_study(analysts=[tanh], train=train, seeds=[0]), Home(tmp_path))
    card = next(
        card for card in load_record(folder).scorecards if card.analyst == "vanilla.small.tanh:mse-sign-size8-layers2"
    )
    rows = load_frame(folder, "forecasts").filter(pl.col("analyst") == card.analyst).drop_nulls("PM")
    wrong = (rows["mean"].sign() != rows["PM"].sign()).mean()
    assert card.loss == "mse-sign"
    assert card.figure("loss").value == pytest.approx(((rows["mean"] - rows["PM"]) ** 2).mean() + wrong)


def test_a_horizon_widens_the_blocks_of_the_card(tmp_path: Path) -> None:
    assert BootstrapSettings().over_horizon(4).block_quarters == 8
    long = {"panel": {"horizon_quarters": 4}, **RIDGE}
    wide = load_record(run_study(small_study(**long), Home(tmp_path / "a"))).scorecards[1]
    evaluation = {"draws": 400, "block_quarters": 8}
    same = load_record(run_study(small_study(**long, evaluation=evaluation), Home(tmp_path / "b"))).scorecards[1]
    assert wide.figure("rank_ic").over_quarters == same.figure("rank_ic").over_quarters


@pytest.mark.parametrize("table", ["panel.json", "features.parquet"])
def test_a_tampered_stage_is_computed_again(tmp_path: Path, table: str) -> None:
    home = Home(tmp_path)
    first = run_study(small_study(**RIDGE), home)
    before = load_frame(first, "forecasts")
    next(home.stages.glob(f"panel-*/{table}")).write_text("{}")
    for fit in home.stages.glob("fit-ridge-*/forecasts.parquet"):
        pl.read_parquet(fit).with_columns(pl.lit(9.0).alias("mean")).write_parquet(fit)
    (first / "run.json").unlink()
    assert load_frame(run_study(small_study(**RIDGE), home), "forecasts").equals(before)


def test_what_would_fail_late_fails_before_training(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for changes, message in (
        ({"panel": {"features": ["beta"]}, "analysts": [{"name": "vanilla.small"}, {"name": "momentum"}]}, "momentum"),
        ({"train": {"device": "mps"}}, "mps"),
    ):
        with pytest.raises(AlfredError, match=message):
            run_study(small_study(**changes), home)
    assert not list(home.stages.glob("fit-vanilla*"))
