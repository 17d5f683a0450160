"""Analysts of accounts, whole: what they learn from was known, and on an invented market they find what is there.

Growth and margins of the synthetic companies follow first-order autoregressions about each company's own level
(docs/synthetic.md). Four quarters on, little of a deviation in growth is left, so that a line must beat a random walk.
"""

import datetime as dt
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from alfred.core.errors import ConfigError, DataError, LeakError
from alfred.core.home import Home
from alfred.core.progress import Silent
from alfred.evaluation.splits import walk_forward
from alfred.experiments.fundamental_walk import BASELINES, FundamentalWalk
from alfred.experiments.fundamentals import forecast_columns, load_fundamentals, run_fundamentals
from alfred.experiments.prepared import prepare
from alfred.experiments.stages import Stages
from alfred.experiments.study import Study, entry_name
from alfred.experiments.trials import TrialLedger
from alfred.lake.store import Lake
from alfred.lake.synthetic.market import generate
from alfred.lake.synthetic.settings import SyntheticSettings
from alfred.panel.added import with_columns
from alfred.panel.anchors import with_anchors
from alfred.panel.build import sources_of
from alfred.panel.fundamental_labels import fundamental_label
from alfred.panel.panel import Labels
from alfred.panel.settings import PanelSettings
from alfred.panel.windows import WindowMaker

TEST_FIRST = dt.date(2004, 3, 31)
GROWTH, MARGIN = "next_revenue_growth", "next_Margin_Operating"


def study(names: list[str], **changes: object) -> Study:
    form = {
        "name": "accounts",
        "seeds": [0],
        "data": {"provider": "synthetic"},
        "universe": {"training": names[0::2], "evaluation": names[1::2]},
        "panel": {"features": ["Margin_*", "revenue_growth*", "momentum_12_1"]},
        "splits": {"test_first": str(TEST_FIRST), "test_quarters": 8, "valid_quarters": 6, "min_train_quarters": 12},
        "analysts": [{"name": "ridge"}],
        "fundamentals": {"targets": [GROWTH, MARGIN], "analysts": [{"name": "ridge"}]},
        "evaluation": {"draws": 400},
        **changes,
    }
    return Study.parse(form, "accounts")


@dataclass(frozen=True)
class World:
    home: Home
    names: list[str]
    folder: Path


def put(root: Path, scramble_after: dt.datetime | None = None) -> tuple[Home, list[str]]:
    """A market of 100 companies over 16 years; perhaps with other facts after an instant."""
    market = generate(
        SyntheticSettings(
            seed=5, symbols=100, first_year=1996, years=16, articles_per_quarter=0.02, insider_trades_per_quarter=0.02
        )
    )
    home = Home(root)
    for name, told in market.tables.items():
        rows = told
        if name == "facts" and scramble_after is not None:
            later = pl.col("known_at") > scramble_after
            other = pl.col("value") * (1 + 0.3 * (pl.col("value").hash(7) % 100) / 100) + 3
            rows = rows.with_columns(pl.when(later).then(other).otherwise(pl.col("value")).alias("value"))
        Lake(home.lake).write(name, rows)
    listed = market.tables["bars"].filter(pl.col("date") == TEST_FIRST)["symbol"]
    return home, listed.sort().to_list()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    home, names = put(tmp_path_factory.mktemp("accounts"))
    return World(home, names, run_fundamentals(study(names), home))


def walk_of(world: World, horizon: int) -> FundamentalWalk:
    plan = study(world.names)
    prepared = prepare(plan, world.home)
    sources = sources_of(prepared.inputs.tables, plan.panel, prepared.panel.dates)
    labels = {MARGIN: fundamental_label(sources, MARGIN, horizon)}
    folds = walk_forward(prepared.panel.dates, horizon, plan.splits)
    names = tuple(world.names)
    return FundamentalWalk(
        with_anchors(prepared.panel, labels, ()), labels, folds, names[0::2], names, plan.panel, plan.splits,
        plan.train, Stages(world.home.stages),
    )  # fmt: skip


def test_a_line_beats_the_random_walk_where_growth_returns_to_its_mean(world: World) -> None:
    record, _ = load_fundamentals(world.folder)
    errors = {(error.analyst, error.target, error.horizon_quarters): error for error in record.errors}
    assert len(errors) == 4 * 2 * 2
    ridge = errors["ridge", GROWTH, 4].against("random walk")
    assert ridge.mae_over_quarters is not None
    assert ridge.mae_over_quarters.upper < 1
    assert ridge.mae is not None
    assert 0.6 < ridge.mae < 0.95
    one = errors["ridge", MARGIN, 1].against("random walk")
    assert one.mae is not None
    assert 0.85 < one.mae < 1.02
    # Four quarters on, the quarter a year before the target is the last one known.
    for target in (GROWTH, MARGIN):
        assert errors["seasonal naive", target, 4].finding("random walk") == "equals random walk"
        assert errors["seasonal naive", target, 1].finding("random walk") == "loses to random walk"
        assert all(errors[name, target, 1].rows == errors["ridge", target, 1].rows for name in (*BASELINES, "naive"))
    assert any(warning.startswith("Few dates") for warning in record.warnings)


def test_no_fit_had_seen_what_it_forecasts(world: World) -> None:
    _, forecasts = load_fundamentals(world.folder)
    assert (forecasts["learnt_until"] <= forecasts["as_of"]).all()
    assert (forecasts.drop_nulls("realised_on")["realised_on"] > forecasts.drop_nulls("realised_on")["as_of"]).all()
    assert (
        not forecasts.select("analyst", "seed", "symbol", "as_of", "target", "horizon_quarters").is_duplicated().any()
    )
    assert forecasts.select(pl.col("lower") <= pl.col("mean"), pl.col("mean") <= pl.col("upper")).to_numpy().all()
    assert forecasts["prob_up"].is_between(0, 1).all()


@pytest.mark.parametrize("horizon", [1, 4])
def test_rows_learnt_from_are_realised_before_the_next_part(world: World, horizon: int) -> None:
    """Counted anew from the labels, row by row; and rows that are realised in time are not purged."""
    walk = walk_of(world, horizon)
    label, dates = walk.labels[MARGIN], walk.panel.dates
    known = np.isfinite(label.change.of(MARGIN)) & walk.panel.listed
    names = np.array([walk.panel.symbols.index(name) for name in walk.training])
    for fold in walk.folds:
        train, valid, test, until = walk.parts(fold, MARGIN)
        for part, own, first in ((train, fold.train, fold.valid[0]), (valid, fold.valid, fold.test[0])):
            in_time = known[np.ix_(own, names)] & (label.realised_on[np.ix_(own, names)] <= dates[first])
            assert len(part.windows) == in_time.sum()
        assert until <= dates[fold.test[0]]
        assert test.windows.y is None


def test_late_filings_are_purged_and_a_purge_left_out_is_a_leak(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    walk = walk_of(world, 1)
    fold = walk.folds[0]
    plain = len(walk.parts(fold, MARGIN)[0].windows)
    label = walk.labels[MARGIN]
    last, late = fold.train[-1], label.realised_on.copy()
    late[last] = walk.panel.dates[fold.valid[0] + 1]  # a quarter too late for the last training rows
    planted = replace(walk, labels={MARGIN: replace(label, realised_on=late)})
    kept = planted.parts(fold, MARGIN)[0].windows
    assert len(kept) < plain
    assert kept.dates.max() < walk.panel.dates[last]
    monkeypatch.setattr(Labels, "known_by", lambda labels, date, embargo_quarters=0: labels)
    with pytest.raises(
        LeakError, match=rf"training rows are not known .* that of {walk.panel.dates[last]} is realised"
    ):
        replace(planted).parts(fold, MARGIN)


def test_what_is_filed_after_a_date_moves_no_forecast_made_on_it(world: World, tmp_path: Path) -> None:
    cut = dt.date(2007, 6, 29)
    home, names = put(tmp_path, dt.datetime(2007, 6, 29, 20, tzinfo=dt.UTC))
    assert names == world.names
    _, other = load_fundamentals(run_fundamentals(study(names), home))
    _, plain = load_fundamentals(world.folder)
    made = ["analyst", "target", "horizon_quarters", "symbol", "as_of", "mean", "lower", "upper", "prob_up", "last"]
    early = pl.col("as_of") <= cut
    assert plain.filter(early).select(made).height > 5000
    assert plain.filter(early).select(made).equals(other.filter(early).select(made))
    later = (frame.filter(~early).select("mean") for frame in (plain, other))
    assert not next(later).equals(next(later))


def test_forecasts_become_columns_of_a_panel(world: World) -> None:
    _, forecasts = load_fundamentals(world.folder)
    columns = forecast_columns(forecasts, "ridge")
    names = {f"forecast_{label}_{h}q" for label in ("revenue_growth", "Margin_Operating") for h in (1, 4)}
    assert set(columns.columns) == {"symbol", "date"} | names
    panel = prepare(study(world.names), world.home).panel
    wider = with_columns(panel, columns)
    place = wider.features.index("forecast_Margin_Operating_4q")
    first = int(np.flatnonzero(panel.dates == np.datetime64(TEST_FIRST))[0])
    assert not np.isfinite(wider.values[:first, :, place]).any()
    assert np.isfinite(wider.values[first:, :, place]).sum() > 1000
    row = forecasts.filter(
        pl.col("analyst") == "ridge", pl.col("target") == MARGIN, pl.col("horizon_quarters") == 4
    ).row(0, named=True)
    at = (np.flatnonzero(panel.dates == np.datetime64(row["as_of"]))[0], panel.symbols.index(row["symbol"]), place)
    assert wider.values[at] == row["mean"]
    scaled = PanelSettings(scaling={"forecast_*": "standard"})
    maker = WindowMaker.fit(wider, np.arange(first, first + 12), tuple(world.names[0::2]), scaled)
    assert "forecast_revenue_growth_1q" in maker.columns


def test_forecasts_that_had_seen_what_came_are_no_columns(world: World) -> None:
    _, forecasts = load_fundamentals(world.folder)
    leaking = forecasts.with_columns(pl.col("as_of").dt.offset_by("3mo").alias("learnt_until"))
    with pytest.raises(LeakError, match="were made by fits that had learnt from labels known on"):
        forecast_columns(leaking, "ridge")
    with pytest.raises(DataError, match="no forecasts of accounts by 'nobody'; there are naive, random walk, ridge"):
        forecast_columns(forecasts, "nobody")
    with pytest.raises(DataError, match="more than once with one seed"):
        forecast_columns(pl.concat([forecasts, forecasts]), "ridge")


def test_a_repeat_takes_up_what_is_there(world: World) -> None:
    said: list[str] = []

    class Heard(Silent):
        def say(self, message: str) -> None:
            said.append(message)

    before = (world.folder / "fundamentals.json").stat().st_mtime_ns
    assert run_fundamentals(study(world.names), world.home, Heard()) == world.folder
    assert (world.folder / "fundamentals.json").stat().st_mtime_ns == before
    assert any("finished before" in line for line in said)
    with pytest.raises(DataError, match="holds no readable run of the analysts of accounts"):
        load_fundamentals(world.home.root)


def test_every_analyst_of_accounts_is_a_counted_trial(world: World) -> None:
    record, _ = load_fundamentals(world.folder)
    analysts = [spec for spec in study(world.names).fundamentals.analysts if spec.name != "naive"]
    ledger = TrialLedger.open(world.home)
    trials = [trial for trial in ledger.trials(study(world.names).counted_as) if trial.digest == record.digest]
    assert [trial.analyst for trial in trials] == [f"{entry_name(spec)} (accounts of companies)" for spec in analysts]
    assert record.trials is not None
    assert record.trials.count >= len(analysts) == record.trials.finished
    error = next(one for one in record.errors if one.analyst == entry_name(analysts[0]))
    name = f"{error.target}.{error.horizon_quarters}q.mae_over_random_walk"
    assert trials[0].status == "finished"
    assert trials[0].figures is not None
    assert trials[0].figures[name] == pytest.approx(error.against("random walk").mae)


def test_accounts_are_forecast_for_other_years_only(world: World) -> None:
    form = study(world.names).model_dump(mode="json")
    form["universe"] = {"training": list(world.names[:4]), "protocol": "in-sample"}
    with pytest.raises(ConfigError, match="accounts are forecast for other years only, but the protocol is in-sample"):
        run_fundamentals(Study.parse(form, "study"), world.home)


def test_settings_are_checked_before_anything_runs(world: World) -> None:
    def settings(**changes: object) -> None:
        study(world.names, fundamentals=changes)

    with pytest.raises(ConfigError, match="1 to 4 quarters ahead, got"):
        settings(horizons=[1, 5])
    with pytest.raises(ConfigError, match="named twice"):
        settings(horizons=[1, 1])
    with pytest.raises(ConfigError, match="the targets are its labels, remove it"):
        settings(analysts=[{"name": "ridge", "label": "PM"}])
    with pytest.raises(ConfigError, match="logistic cannot forecast the label next_revenue_growth"):
        settings(analysts=[{"name": "logistic"}])
    with pytest.raises(ConfigError, match=r"name such analysts under \[fundamentals\]"):
        study(world.names, analysts=[{"name": "ridge", "label": GROWTH}])
    plan = study(world.names, fundamentals={"features": ["nothing_*"]})
    with pytest.raises(ConfigError, match=r"fundamentals\.features: no column matches 'nothing_"):
        run_fundamentals(plan, world.home)


def test_data_without_accounts_say_so(tmp_path: Path) -> None:
    names = ["AAPL", "PG", "GE", "KO", "CVX", "JPM"]
    plan = study(names, data={"provider": "sample", "since": "2000-01-03", "until": "2012-12-31"},
                 panel={"features": ["momentum_12_1"]})  # fmt: skip
    with pytest.raises(DataError, match="no label of accounts can be had: next_revenue_growth, 1 quarters ahead"):
        run_fundamentals(plan, Home(tmp_path))
