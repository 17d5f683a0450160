"""Parts of accounts with sectors: they add up whatever the world, and a study and its manager show them."""

import dataclasses
import datetime as dt
import json
import math
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alfred.backtest.conditions import Conditions
from alfred.backtest.engine import run_account
from alfred.backtest.realistic import Reality, run_realistic
from alfred.backtest.run import equal_parts
from alfred.backtest.settings import CostSettings, FrictionSettings
from alfred.core.contracts import Bars
from alfred.core.errors import ConfigError
from alfred.core.home import Home
from alfred.evaluation.bootstrap import BootstrapSettings
from alfred.experiments.attributing import EQUAL, Ground, attributed
from alfred.experiments.conditions import reality_of
from alfred.experiments.manage import manage
from alfred.experiments.managed import load_managed
from alfred.experiments.market import read_market
from alfred.experiments.recommending import Wish, recommendation_of
from alfred.experiments.record import RunRecord, load_record
from alfred.experiments.replay import replay
from alfred.experiments.run import run_study
from alfred.experiments.scenes import read_source, scene_of
from alfred.experiments.sectors import Sectors, looking_back
from alfred.experiments.study import BacktestSettings, DataSettings, Study
from alfred.lake.scramble import OtherFuture, ScrambledLake
from alfred.lake.store import Lake
from alfred.lake.synthetic.market import generate
from alfred.lake.synthetic.settings import SyntheticSettings
from alfred.manager.settings import ManagerSettings
from alfred.report.page import render

DRAWS = BootstrapSettings(draws=200)


def whole(parts):
    return parts.market + (parts.sector or 0.0) + parts.selection + sum(parts.costs.values())


@st.composite
def grounds(draw):
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    names, sessions = draw(st.integers(1, 6)), draw(st.integers(12, 40))
    total = np.exp(np.cumsum(random.normal(0, 0.02, (sessions, names)), axis=0))
    total[: draw(st.integers(0, 5)), 0] = np.nan
    dates = np.datetime64("2020-01-01") + np.arange(sessions)
    bars = Bars(dates, tuple(f"N{at}" for at in range(names)), total, total)
    level = np.exp(np.cumsum(random.normal(0.001, 0.01, (sessions, 1)), axis=0))
    fills = np.sort(random.choice(sessions - 1, draw(st.integers(1, 6)), replace=False))
    number = random.integers(-1, 3, (len(fills), names))
    reality = None
    if draw(st.booleans()):
        ends = np.where(random.random(names) < 0.3, random.integers(1, sessions, names), sessions)
        frictions = FrictionSettings(commission_bps=20.0, cash_rate=0.03, borrow_tiers=((0.0, 300.0),))
        reality = Reality(frictions, conditions=Conditions(delisted=ends, delisting_return=np.full(names, -0.4)))
    sectors = Sectors("hand", ("a", "b", "c"), number, np.zeros(number.shape, np.bool_))
    reference = equal_parts(total[fills])
    ground = Ground(bars, Bars(dates, ("index",), level, level), dates[fills], reference, reality, sectors)
    return ground, fills, random.normal(0, 0.3, (3, len(fills), names))


@settings(max_examples=60, deadline=None)
@given(grounds())
def test_parts_add_up_with_sectors(drawn) -> None:
    """Of strategies, of one who holds, of the index, and of the mean of two seeds; over cash and over 1/N."""
    ground, fills, weights = drawn
    bars, reality = ground.bars, ground.reality

    def account(targets, rows, prices=bars):
        if reality is None:
            return run_account(prices, targets, rows, CostSettings(cost_bps=20.0))
        real = reality if prices is bars else reality.of_index(len(bars.dates))
        return run_realistic(prices, targets, rows, real).account

    accounts = {
        EQUAL: [account(ground.reference, fills)],
        "one": [account(weights[0], fills)],
        "two": [account(weights[1], fills), account(weights[2], fills)],
        "held": [account(ground.reference[:1], fills[:1])],
        "index": [dataclasses.replace(account(np.ones((1, 1)), fills[:1], ground.index), weights=None)],
    }
    found = attributed(accounts, EQUAL, ground, DRAWS)
    for name, own in accounts.items():
        if any(one.ruined_on is not None for one in own):
            assert name not in found
            continue
        told = found[name]
        cash = 1.0 if reality is None else (1.0 + 0.03 / 252) ** (len(bars.dates) - 1 - fills[0])
        growth = np.mean([math.log(one.value[-1] / cash) for one in own])
        assert told.over_cash.total * told.over_cash.years == pytest.approx(growth, abs=1e-8)
        assert whole(told.over_cash) == pytest.approx(told.over_cash.total, abs=1e-8 / told.over_cash.years)
        assert (told.over_cash.sector is None) == (name == "index")
        if name == EQUAL:
            assert told.over_equal is None
            if reality is None:
                assert told.over_cash.sector == pytest.approx(0.0, abs=1e-8)
        elif EQUAL in found:
            assert told.over_equal is not None
            assert whole(told.over_equal) == pytest.approx(told.over_equal.total, abs=1e-8 / told.over_cash.years)


def test_a_sector_bet_is_a_sector_part_and_a_choice_within_one_is_not() -> None:
    """Two sectors of two names. The first gains 10% whichever is held, the second nothing."""
    total = np.array([[1.0, 1.0, 1.0, 1.0], [1.15, 1.05, 1.0, 1.0]])
    bars = Bars(np.array(["2020-01-02", "2020-01-03"], "datetime64[D]"), tuple("ABCD"), total, total)
    flat = Bars(bars.dates, ("index",), np.ones((2, 1)), np.ones((2, 1)))
    sectors = Sectors("hand", ("x", "y"), np.array([[0, 0, 1, 1]]), np.zeros((1, 4), np.bool_))
    ground = Ground(bars, flat, bars.dates[:1], np.full((1, 4), 0.25), None, sectors)
    free = CostSettings(cost_bps=0.0)
    accounts = {
        name: [run_account(bars, np.array([weights]), np.array([0]), free)]
        for name, weights in {EQUAL: [0.25] * 4, "bet": [0.5, 0.5, 0.0, 0.0], "choice": [0.5, 0.0, 0.25, 0.25]}.items()
    }
    found = attributed(accounts, EQUAL, ground, DRAWS)
    bet, choice = found["bet"].over_equal, found["choice"].over_equal
    assert bet is not None
    assert choice is not None
    years = 1 / 252
    # Over cash a bet of half more in a sector of 10% gains 5 of the 10 points, and 1/N's own 5 are no bet.
    over_cash = found["bet"].over_cash
    assert over_cash.sector * years == pytest.approx(0.05 * math.log(1.1) / 0.1)
    assert found[EQUAL].over_cash.sector == pytest.approx(0.0, abs=1e-12)
    assert bet.sector * years == pytest.approx(0.05 * math.log(1.1) / 0.1)
    assert choice.sector == pytest.approx(0.0, abs=1e-12)
    assert choice.selection == pytest.approx(choice.total)


STUDY = {
    "name": "sectors",
    "data": {"provider": "synthetic"},
    "splits": {"test_first": "2008-03-31", "test_quarters": 4, "valid_quarters": 4, "min_train_quarters": 8},
    "analysts": [{"name": "ridge"}],
    "evaluation": {"draws": 200},
    "backtest": {"strategies": ["simple"], "frictions": "realistic", "limits": {"sector_max": 0.15}},
    "manager": {
        "policies": ["equal-weight", "inverse-volatility"],
        "first_periods": 4,
        "seeds": [0],
        "limits": {"long_only": True, "gross_max": 1.0, "sector_max": 0.15},
    },
}


@dataclasses.dataclass(frozen=True)
class Ran:
    home: Home
    study: Study
    folder: Path
    names: tuple[str, ...]
    sectors: dict[str, str]

    @property
    def record(self) -> RunRecord:
        return load_record(self.folder)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A small market of which every name has a sector, run and managed within a limit on them."""
    settings = SyntheticSettings(
        seed=3, symbols=24, first_year=2004, years=8, articles_per_quarter=0.2, insider_trades_per_quarter=0.2,
        delistings_per_year=0.03, renames_per_year=0.0,
    )  # fmt: skip
    market, home = generate(settings), Home(tmp_path_factory.mktemp("sectors"))
    for name, rows in market.tables.items():
        Lake(home.lake).write(name, rows)
    there = market.tables["bars"].filter(pl.col("date") == dt.date(2008, 3, 31))["symbol"].sort().to_list()
    universe = {"training": there[0::2], "evaluation": there[1::2]}
    study = Study.parse({**STUDY, "universe": universe}, "sectors")
    return Ran(home, study, run_study(study, home), tuple(there[1::2]), market.truth.sectors)


def test_a_study_on_a_market_with_sectors_tells_their_part(ran: Ran) -> None:
    record = ran.record
    own = {ran.sectors[name] for name in ran.names}
    about = record.sectors
    assert about is not None
    assert (about.source, about.sectors, about.names, about.unknown, about.later) == (
        "synthetic", tuple(sorted(own)), len(ran.names), 0, 0,
    )  # fmt: skip
    parts = {one.name: one.over_cash for one in record.portfolios}
    assert parts["index"].sector is None
    assert abs(parts["ridge · simple"].sector) > 1e-4
    assert abs(parts[EQUAL].sector) < 0.002
    for told in parts.values():
        assert whole(told) == pytest.approx(told.total, abs=1e-9)
    page = render(ran.folder)
    assert f"{len(own)} sectors as synthetic tells them, of {len(ran.names)} names." in page
    assert "became known only after" not in page


def test_a_limit_on_sectors_holds_in_a_study_and_its_replay(ran: Ran) -> None:
    lines = replay(ran.home, ran.folder, "simple", with_ledger=False)
    (told,) = [one for one in ran.record.portfolios if one.strategy == "simple"]
    assert any(line.startswith("simple") and f"{told.statistics.annual_return:+8.2%}" in line for line in lines)
    wide = Study.parse({**ran.study.model_dump(mode="json"), "backtest": {**STUDY["backtest"], "limits": {}}}, "wide")
    (free,) = [one for one in load_record(run_study(wide, ran.home)).portfolios if one.strategy == "simple"]
    # Tighter limits leave more in cash.
    assert told.statistics.annual_volatility < free.statistics.annual_volatility
    assert "sector_max 0.15" in ran.record.frictions


def test_a_manager_keeps_to_sectors_and_tells_where_its_returns_came_from(ran: Ran) -> None:
    record = manage(ran.folder, ran.home, ran.study.manager)
    scene = scene_of(read_source(ran.folder, ran.home), ran.study.manager)
    numbers = scene.reality.conditions.sectors
    assert [ran.sectors[name] for name in scene.bars.symbols] == [
        sorted({ran.sectors[name] for name in scene.bars.symbols})[at] for at in numbers
    ]
    weights = pl.read_parquet(ran.folder / "manager" / "weights.parquet")
    sector = pl.col("symbol").replace_strict(ran.sectors).alias("sector")
    held = weights.with_columns(sector).group_by("policy", "as_of", "sector").agg(pl.col("after").sum())
    assert 0.145 < held["after"].max() <= 0.151
    told = {one.policy: one for one in record.attributions}
    assert set(told) == {"equal-weight", "inverse-volatility"}
    assert told["equal-weight"].over_equal is None
    for one in told.values():
        for parts in (one.over_cash, one.over_equal):
            if parts is not None:
                assert parts.sector is not None
                assert whole(parts) == pytest.approx(parts.total, abs=1e-9)
    growth = {one.policy: one.growth for one in record.figures}
    over = told["inverse-volatility"].over_equal
    assert over is not None
    days = len(scene.bars.dates[scene.rows[4] : scene.rows[-1] + 1]) - 1
    assert over.years == pytest.approx(days / 252)
    periods = record.periods / record.periods_a_year
    difference = growth["inverse-volatility"] - growth["equal-weight"]
    # Growth is a year of four quarters and begins before the first trade, this is of 252 sessions from the first fill.
    assert over.total * over.years == pytest.approx(difference * periods, abs=2e-3)
    assert load_managed(ran.folder) == record
    page = render(ran.folder)
    assert 'data-plot="plot-manager-attribution-equal"' in page
    assert page.count("sectors as synthetic tells them") == 2


def test_a_recommendation_names_the_sectors_that_bind(ran: Ran) -> None:
    date = str(read_source(ran.folder, ran.home).quarters[3])
    told = recommendation_of(
        ran.folder, ran.home, Wish(date, "equal_weight", capital_usd=1e5, fractional=True)
    ).recommendation
    weights = {line.symbol: line.weight for line in told.lines}
    by_sector: dict[str, float] = {}
    for symbol, weight in weights.items():
        by_sector[ran.sectors[symbol]] = by_sector.get(ran.sectors[symbol], 0.0) + weight
    full = sorted(name for name, weight in by_sector.items() if weight > 0.14985)
    assert full, by_sector
    assert max(by_sector.values()) <= 0.15 + 1e-9
    assert [text for text in told.binding if text.startswith("at most 15% in")] == [
        f"at most 15% in {name}" for name in full
    ]


def test_what_became_known_too_late_is_refused_for_limits_and_told_of_returns(ran: Ran, tmp_path: Path) -> None:
    """The same market, whose sectors become known only in days to come."""
    home = Home(tmp_path / "home")
    shutil.copytree(ran.home.root, home.root)
    known = Lake(ran.home.lake).asof(dt.datetime(2030, 1, 1, tzinfo=dt.UTC)).sectors()
    shutil.rmtree(tmp_path / "home" / "lake" / "sectors")
    late = pl.lit(dt.datetime(2090, 1, 1, tzinfo=dt.UTC)).alias("known_at")
    Lake(home.lake).write("sectors", known.filter(pl.col("symbol") != ran.names[0]).with_columns(late))
    form = ran.study.model_dump(mode="json")
    with pytest.raises(ConfigError, match="sector_max needs sectors, and the lake knows none of these names"):
        run_study(Study.parse(form, "late"), home)
    free = {**form, "backtest": {"strategies": ["simple"]}}
    folder = run_study(Study.parse(free, "late"), home)
    about = load_record(folder).sectors
    assert about is not None
    assert (about.names, about.unknown, about.later) == (len(ran.names), 1, len(ran.names) - 1)
    page = render(folder)
    assert "1 of the names has no sector; they count as one of their own." in page
    assert f"Of {len(ran.names) - 1} names the sector became known only after it counts here." in page
    with pytest.raises(ConfigError, match="sector_max needs sectors, and the lake knows none"):
        scene_of(read_source(folder, home), ran.study.manager)
    scene_of(read_source(folder, home), ManagerSettings(first_periods=4))


def test_another_future_moves_no_limit_and_no_sector_of_a_time_before_it(ran: Ran, tmp_path: Path) -> None:
    """Half of the names move to another sector after the first decision, and in the other future others do."""
    root = tmp_path / "lake"
    shutil.copytree(ran.home.lake, root)
    moved = pl.DataFrame({"symbol": ran.names}).with_columns(
        sector=pl.lit("Elsewhere"), source=pl.lit("synthetic"), known_at=pl.lit(dt.datetime(2009, 1, 5, tzinfo=dt.UTC))
    )
    Lake(root).write("sectors", moved)
    data, until = DataSettings(provider="synthetic"), dt.date(2008, 12, 31)
    real = read_market(Lake(root), data)
    other = read_market(ScrambledLake(root, OtherFuture.of(until, 1, "synthetic")), data)
    rows = [market.sectors(ran.names) for market in (real, other)]
    assert not rows[0].equals(rows[1])
    bars, decisions = real.matrix(ran.names), np.array(["2008-03-31", "2009-03-31"], "datetime64[D]")
    settings = BacktestSettings(limits={"sector_max": 0.2})
    limits = [reality_of(settings, market, bars, decisions) for market in (real, other)]
    assert limits[0] is not None
    assert limits[1] is not None
    assert (limits[0].conditions.sectors >= 0).all()
    np.testing.assert_array_equal(limits[0].conditions.sectors, limits[1].conditions.sectors)
    told = [looking_back(part, ran.names, decisions, "synthetic") for part in rows]
    assert told[0] is not None
    assert told[1] is not None
    before, after = ([[one.names[at] for at in period] for period in one.number] for one in told)
    assert before[0] == after[0] == [ran.sectors[name] for name in ran.names]
    assert set(before[1]) == {"Elsewhere"}
    assert after[1] != before[1]


def test_records_of_a_version_that_knew_no_sectors_are_read(ran: Ran, tmp_path: Path) -> None:
    form = json.loads((ran.folder / "run.json").read_text())
    del form["sectors"]
    (tmp_path / "run.json").write_text(json.dumps(form))
    assert load_record(tmp_path).sectors is None
    record = manage(ran.folder, ran.home, ran.study.manager)
    own = json.loads((ran.folder / "manager" / "manager.json").read_text())
    del own["sectors"], own["attributions"]
    (tmp_path / "manager").mkdir()
    (tmp_path / "manager" / "manager.json").write_text(json.dumps(own))
    old = load_managed(tmp_path)
    assert old == dataclasses.replace(record, attributions=(), sectors=None)
