"""Scenes of a run: what stands in them, and that nothing in them had been learnt or known too late."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from managed_run import managed_run, managed_study

from alfred.backtest.settings import FrictionSettings
from alfred.core.calendar import close_instants
from alfred.core.contracts import Bars
from alfred.core.errors import ConfigError, DataError, LeakError
from alfred.core.home import Home
from alfred.evaluation.splits import walk_forward
from alfred.experiments.record import dump_record, load_frame, load_record
from alfred.experiments.run import run_study
from alfred.experiments.scene_columns import NAME_COLUMNS, series_at
from alfred.experiments.scenes import Source, index_known, observation_on, read_source, scene_of
from alfred.lake.known import known_next_sessions
from alfred.manager.contracts import Scene
from alfred.manager.settings import ManagerSettings

SETTINGS = ManagerSettings()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.getbasetemp() / "managed")


@pytest.fixture(scope="module")
def run(home: Home) -> Path:
    return managed_run(home)


@pytest.fixture(scope="module")
def source(home: Home, run: Path) -> Source:
    return read_source(run, home)


@pytest.fixture(scope="module")
def scene(source: Source) -> Scene:
    return scene_of(source, SETTINGS)


def test_decisions_are_the_test_quarters_filled_a_session_later(source: Source, scene: Scene) -> None:
    assert [str(date) for date in scene.dates[[0, 1, -1]]] == ["2008-03-31", "2008-06-30", "2014-09-30"]
    assert (scene.bars.dates[scene.decided] == scene.dates).all()
    assert [str(date) for date in scene.bars.dates[scene.rows[[0, 1]]]] == ["2008-04-01", "2008-07-01"]
    # The data end with the last quarter's decision date, before it could be filled.
    assert scene.rows[-1] == len(source.bars.dates) - 1
    assert (scene.rows[:-1] == scene.decided + 1).all()
    assert scene.mask.all()


def test_the_outlook_is_the_mean_of_the_analysts(run: Path, scene: Scene) -> None:
    forecasts = load_frame(run, "forecasts").filter(pl.col("analyst").is_in(["momentum", "ridge"]))
    at = forecasts.filter((pl.col("as_of") == pl.date(2010, 6, 30)) & (pl.col("symbol") == scene.bars.symbols[2]))
    assert len(at) == 2
    decision = int(np.flatnonzero(scene.dates == np.datetime64("2010-06-30"))[0])
    for name in ("mean", "lower", "upper", "prob_up"):
        assert getattr(scene.outlook, name)[decision, 2] == pytest.approx(at[name].mean(), abs=1e-15)
        ridge = scene.observed[decision, 2, scene.columns.index(f"ridge:{name}")]
        assert ridge == at.filter(pl.col("analyst") == "ridge")[name][0]
    assert scene.outlook.analysts == ("momentum", "ridge")
    assert not any("naive" in name for name in scene.columns)


def test_forecasts_that_a_manager_learns_from_are_out_of_fold(run: Path, source: Source, scene: Scene) -> None:
    """Worked out anew from the folds, row by row: no label that a fit or a validation saw was realised later."""
    study, panel = managed_study(), source.panel
    folds = walk_forward(panel.dates, 1, study.splits, study.universe.protocol)
    training = [panel.symbols.index(name) for name in load_record(run).training_basket]
    realised = panel.labels.realised
    for as_of, fold in load_frame(run, "forecasts").select("as_of", "fold").unique().iter_rows():
        date = np.datetime64(as_of, "D")
        learnt = np.concatenate([folds[fold].train, folds[fold].valid])
        used = realised[np.ix_(learnt, training)]
        last = used[np.isfinite(panel.labels.of("PM")[np.ix_(learnt, training)])].max()
        assert last <= date
        assert date not in panel.dates[learnt]
        decision = np.flatnonzero(scene.dates == date)
        if len(decision):
            assert last <= scene.outlook.learnt_until[decision[0]] <= date


def test_only_the_fit_counts_where_no_calibration_had_anything_to_learn_from(source: Source, scene: Scene) -> None:
    # On the first test date no test label is realised; the last validation label is, on that very day.
    assert scene.outlook.learnt_until[0] == scene.dates[0]
    embargoed = replace(source, outlook=replace(source.outlook, learnt_until=source.outlook.learnt_until + 1))
    with pytest.raises(LeakError, match="may only be shown forecasts made out of fold"):
        scene_of(embargoed, SETTINGS)


def test_a_run_that_tested_what_it_learnt_is_refused(home: Home) -> None:
    universe = managed_study().universe.model_dump() | {"protocol": "other-tickers-same-years"}
    run = run_study(managed_study(name="memory", universe=universe, analysts=[{"name": "ridge"}]), home)
    source = read_source(run, home)
    with pytest.raises(LeakError, match="had learnt from 20"):
        scene_of(source, SETTINGS)
    with pytest.raises(LeakError, match="had learnt from 20"):
        observation_on(source, SETTINGS, source.quarters[4])


def test_months_carry_the_quarters_forecasts_and_see_their_own_prices(source: Source, scene: Scene) -> None:
    monthly = scene_of(source, ManagerSettings(rebalance="monthly"))
    assert [str(date) for date in monthly.dates[:4]] == ["2008-03-31", "2008-04-30", "2008-05-30", "2008-06-30"]
    assert str(monthly.dates[-1]) == "2014-11-28"
    assert (monthly.outlook.mean[:3] == scene.outlook.mean[0]).all()
    assert (monthly.outlook.learnt_until[:3] == scene.outlook.learnt_until[0]).all()
    at = monthly.columns.index("volatility")
    assert (monthly.observed[1, :, at] != monthly.observed[0, :, at]).all()
    np.testing.assert_array_equal(monthly.observed[3], scene.observed[1])


def test_risk_columns_have_hand_checked_values(source: Source, scene: Scene) -> None:
    row, name = int(scene.decided[5]), 1
    total, index = source.bars.total[: row + 1, name], source.index[: row + 1]
    own, market = total[1:] / total[:-1] - 1, index[1:] / index[:-1] - 1
    expected = {
        "volatility": own[-63:].std(ddof=1) * np.sqrt(252),
        "beta": np.cov(own[-252:], market[-252:])[0, 1] / market[-252:].var(ddof=1),
        "drawdown": total[-1] / total[-252:].max() - 1,
        "momentum": total[-1 - 21] / total[-1 - 252] - 1,
    }
    for column, value in expected.items():
        assert scene.observed[5, name, scene.columns.index(column)] == pytest.approx(value, rel=1e-9)
    state = dict(zip(scene.market_columns, scene.market[5], strict=True))
    assert state["index_volatility"] == pytest.approx(market[-63:].std(ddof=1) * np.sqrt(252), rel=1e-9)
    assert state["index_momentum"] == pytest.approx(index[-1] / index[-1 - 252] - 1)
    assert state["breadth"] == pytest.approx((scene.outlook.mean[5] > 0).mean())


def test_what_comes_later_moves_nothing_that_was_seen_before(source: Source, scene: Scene) -> None:
    random, at = np.random.default_rng(3), 12
    after = np.arange(len(source.bars.dates)) > scene.decided[at]
    other = np.where(after[:, None], np.exp(random.normal(3.0, 1.0, source.bars.total.shape)), source.bars.total)
    outlook = source.outlook
    future = source.quarters > scene.dates[at]
    changed = replace(
        source,
        bars=Bars(source.bars.dates, source.bars.symbols, other, other),
        index=np.where(after, 2 * source.index, source.index),
        outlook=replace(outlook, mean=np.where(future[:, None], -outlook.mean, outlook.mean)),
        says=tuple(
            replace(said, values=np.where(future[:, None, None], -said.values, said.values)) for said in source.says
        ),
    )
    for settings in (SETTINGS, ManagerSettings(rebalance="monthly")):
        past, moved = scene_of(source, settings), scene_of(changed, settings)
        seen = past.dates <= scene.dates[at]
        assert (past.dates == moved.dates).all()
        for name in ("mask", "observed", "market"):
            np.testing.assert_array_equal(getattr(past, name)[seen], getattr(moved, name)[seen])
        assert not np.array_equal(past.observed[~seen], moved.observed[~seen], equal_nan=True)


def test_an_index_counts_from_the_instant_at_which_it_became_known() -> None:
    days = ["2010-01-04", "2010-01-05", "2010-01-07", "2010-01-08"]
    index = pl.DataFrame({"date": days, "value": [1.0, 2.0, 3.0, 4.0]}).with_columns(pl.col("date").str.to_date())
    sessions = np.array(["2010-01-04", "2010-01-05", "2010-01-06", "2010-01-07", "2010-01-08"], dtype="datetime64[D]")
    at_close = pl.Series(close_instants(index["date"].to_numpy())).dt.replace_time_zone("UTC")
    assert index_known(index.with_columns(known_at=at_close), sessions).tolist() == [0, 1, 2, 3, 4]
    # Published the morning after, as FRED's are: of the 5th one has the level of the 4th, and on the 6th no newer one.
    after = index.with_columns(known_at=known_next_sessions(index["date"]))
    assert index_known(after, sessions).tolist() == [-1, 0, 2, 2, 3]
    late = after.with_columns(pl.col("known_at").replace(after["known_at"][1], after["known_at"][3]))
    assert index_known(late, sessions).tolist() == [-1, 0, 0, 0, 0]


def test_a_level_that_is_published_later_moves_nothing_that_was_seen(source: Source) -> None:
    """An index of the evening before: the level of a decision's own day is not known at its close."""
    published = replace(source, index_known=source.index_known - 1)
    own_day = np.isin(source.bars.dates, source.quarters)
    moved = replace(published, index=np.where(own_day, 3 * source.index, source.index))
    one, other = (scene_of(one, SETTINGS) for one in (published, moved))
    at = [one.columns.index("beta")]
    # Of days long past the level is known, so that only the first decision has none of them within its year.
    np.testing.assert_array_equal(one.observed[0][:, at], other.observed[0][:, at])
    np.testing.assert_array_equal(one.market[0], other.market[0])
    whole = scene_of(replace(source, index=moved.index), SETTINGS)
    assert not np.array_equal(whole.market[0], scene_of(source, SETTINGS).market[0])


def test_a_name_without_a_quote_or_forecast_may_not_be_held(source: Source, scene: Scene) -> None:
    close = source.bars.close.copy()
    close[scene.decided[3] :, 0] = np.nan
    mean = source.outlook.mean.copy()
    mean[6, 1] = np.nan
    holed = replace(
        source,
        bars=replace(source.bars, close=close, total=np.where(np.isnan(close), np.nan, source.bars.total)),
        outlook=replace(source.outlook, mean=mean),
    )
    found = scene_of(holed, SETTINGS)
    assert found.mask[:3].all()
    assert not found.mask[3:, 0].any()
    assert np.flatnonzero(~found.mask[:, 1]).tolist() == [6]
    assert np.isnan(found.observed[3:, 0, found.columns.index("drawdown")]).all()


def test_an_observation_of_any_session_is_what_a_scene_shows(source: Source, scene: Scene) -> None:
    held = np.linspace(0.0, 0.2, 6)
    seen, shown = observation_on(source, SETTINGS, scene.dates[9], held), scene.observe(9, held)
    np.testing.assert_array_equal(seen.observed, shown.observed)
    np.testing.assert_array_equal(seen.bars.total, shown.bars.total)
    np.testing.assert_array_equal(seen.held, held)
    last = observation_on(source, SETTINGS, source.bars.dates[-1])
    np.testing.assert_array_equal(last.mean, source.outlook.mean[-1])
    with pytest.raises(DataError, match="2008-03-28 lies outside 2008-03-31 to 2014-12-31"):
        observation_on(source, SETTINGS, np.datetime64("2008-03-28"))


def test_hidden_columns_are_not_shown(source: Source, scene: Scene) -> None:
    hidden = scene_of(source, ManagerSettings(hide=("beta", "breadth")))
    assert hidden.columns == tuple(name for name in scene.columns if name != "beta")
    assert hidden.market_columns == ("index_volatility", "index_momentum")
    np.testing.assert_array_equal(hidden.observed[..., -1], scene.observed[..., -1])
    with pytest.raises(ConfigError, match="there is no column 'betta' to hide; did you mean 'beta'"):
        scene_of(source, ManagerSettings(hide=("betta",)))


def test_series_count_from_the_instant_at_which_they_became_known() -> None:
    known = ["2010-01-04T23:00", "2010-01-05T12:00", "2010-01-07T12:00"]
    series = pl.DataFrame(
        {
            "series": ["^VIX"] * 3,
            "date": ["2010-01-04", "2010-01-05", "2010-01-05"],
            "value": [20.0, 21.0, 22.0],
            "known_at": known,
        }
    ).with_columns(pl.col("date").str.to_date(), pl.col("known_at").str.to_datetime(time_zone="UTC"))
    dates = np.array(["2010-01-04", "2010-01-05", "2010-01-07"], dtype="datetime64[D]")
    np.testing.assert_array_equal(series_at(series, "^VIX", dates), [np.nan, 21.0, 22.0])


def test_without_volume_the_studys_flat_costs_stand_for_those_by_liquidity(source: Source, scene: Scene) -> None:
    assert source.conditions.dollar_volume is None
    frictions = scene.reality.frictions
    assert not frictions.by_liquidity
    assert frictions.spread_tiers == ((0.0, 10.0),)
    assert frictions.commission_per_share_usd == SETTINGS.frictions.commission_per_share_usd
    free = ManagerSettings(frictions=FrictionSettings())
    assert scene_of(source, free).reality.frictions == FrictionSettings()
    assert np.isnan(scene.observed[..., scene.columns.index(NAME_COLUMNS[-1])]).all()


def test_runs_that_cannot_be_managed_are_refused(home: Home, run: Path, source: Source, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the run has no analyst 'rigde'; did you mean 'ridge'"):
        read_source(run, home, ["rigde"])
    assert read_source(run, home, ["ridge"]).outlook.analysts == ("ridge",)
    for changes, text in (
        ({"protocol": "sealed"}, "looked into a vault"),
        ({"panel": replace(load_record(run).panel, digest="0")}, "made from another panel than its data give now"),
    ):
        (tmp_path / "run.json").write_text(dump_record(replace(load_record(run), **changes)))
        with pytest.raises(DataError, match=text):
            read_source(tmp_path, home)
    short = replace(source, quarters=source.quarters[-2:])
    with pytest.raises(DataError, match=r"1 of 2 decisions can be filled and held by 2014-12-31"):
        scene_of(short, SETTINGS)
