"""Parts of a return: by hand, and that they add up whatever the account did."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alfred.backtest.attribution import attribute, sector_tilt
from alfred.backtest.conditions import Conditions, cash_growth
from alfred.backtest.contracts import Account
from alfred.backtest.engine import run_account
from alfred.backtest.realistic import Reality, run_realistic
from alfred.backtest.settings import CostSettings, FrictionSettings
from alfred.core.contracts import Bars
from alfred.core.errors import DataError
from alfred.evaluation.bootstrap import BootstrapSettings

SETTINGS = BootstrapSettings(draws=200)
DAYS = np.arange("2020-01-01", "2020-03-01", dtype="datetime64[D]")


def bars_of(total):
    return Bars(DAYS[: len(total)], tuple(f"N{at}" for at in range(total.shape[1])), total, total)


def parts(found):
    sector = np.zeros(len(found.starts)) if found.sector is None else found.sector
    return found.market + sector + found.selection + sum(found.costs.values())


def test_one_period_by_hand():
    """Half in an asset that makes 20% while the index makes 10%, at a cost of 0.1 at the start of 1."""
    account = Account(
        DAYS[:3], np.array([0.9, 0.945, 0.99]), np.ones(1), np.array([0.1]), 0.0, DAYS[:1],
        paid={"trading": np.array([0.1])},
    )  # fmt: skip
    index = np.array([100.0, 105.0, 110.0])
    found = attribute(account, index, np.ones(3), DAYS[:1])
    # The account's daily returns are those of the index, as all of it rises by 5% and then by 1/21.
    assert found.beta == pytest.approx(1.0)
    # R = 0.99 - 1 = -0.01 = 1 * 0.10 + selection - 0.10, so that selection is -0.01; k = ln(0.99) / -0.01.
    scale = math.log(0.99) / -0.01
    assert found.market[0] == pytest.approx(0.10 * scale)
    assert found.costs["trading"][0] == pytest.approx(-0.10 * scale)
    assert found.selection[0] == pytest.approx(-0.01 * scale)
    told = found.summed(SETTINGS)
    assert told.years == pytest.approx(2 / 252)
    assert told.total == pytest.approx(math.log(0.99) * 126)
    assert told.selection_interval is None


def test_two_periods_by_hand_over_cash():
    """Beta 2 on daily returns, cash that earns 1% a session, and a trade between the periods."""
    index = np.array([1.0, 1.05, 1.0815])  # +5%, +3%
    cash = np.array([1.0, 1.01, 1.0201])
    # Over cash the index makes 4% and 2%, so that beta 2 and nothing else makes 1 + 0.08 + 0.01, then 1 + 0.04 + 0.01.
    second = 1.09 - 0.02
    account = Account(
        DAYS[:3], np.array([1.0, second, second * 1.05]), np.ones(2), np.array([0.0, 0.02]), 0.0, DAYS[:2],
        paid={"commission": np.array([0.0, 0.015]), "spread": np.array([0.0, 0.005])},
    )  # fmt: skip
    found = attribute(account, index, cash, DAYS[:2])
    assert found.beta == pytest.approx(2.0)
    first, then = math.log(1.09 / 1.01) / 0.08, 1.07 * 1.05 / 1.09 - 1.0
    scale = math.log((1.0 + then) / 1.01) / (then - 0.01)
    np.testing.assert_allclose(found.market, [0.08 * first, 0.04 * scale], atol=1e-12)
    np.testing.assert_allclose(found.costs["commission"], [0.0, -0.015 / 1.09 * scale], atol=1e-12)
    np.testing.assert_allclose(found.costs["spread"], [0.0, -0.005 / 1.09 * scale], atol=1e-12)
    # Half a per cent of what the trade cost would have earned 5% too.
    np.testing.assert_allclose(found.selection, [0.0, -0.02 * 0.05 / 1.09 * scale], atol=1e-12)


def test_the_index_is_all_market():
    random = np.random.default_rng(0)
    level = np.exp(np.cumsum(random.normal(0, 0.01, (40, 1)), axis=0))
    account = run_account(bars_of(level), np.ones((2, 1)), np.array([0, 20]), CostSettings(cost_bps=0.0))
    found = attribute(account, level[:, 0], np.ones(40), DAYS[[0, 20]])
    assert found.beta == pytest.approx(1.0)
    np.testing.assert_allclose(found.selection, 0.0, atol=1e-12)
    np.testing.assert_allclose(found.market.sum(), math.log(level[-1, 0] / level[0, 0]), atol=1e-12)


@st.composite
def worlds(draw):
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    names, sessions = draw(st.integers(1, 5)), draw(st.integers(12, 40))
    total = np.exp(np.cumsum(random.normal(0, draw(st.sampled_from([0.001, 0.02, 0.05])), (sessions, names)), axis=0))
    fills = np.sort(random.choice(sessions - 1, draw(st.integers(1, 6)), replace=False))
    weights = random.normal(0, 0.4, (len(fills), names)) * draw(st.sampled_from([0.0, 1.0]))
    index = np.exp(np.cumsum(random.normal(0.001, 0.01, sessions)))
    return bars_of(total), fills, weights, index, draw(st.floats(0.0, 40.0)), draw(st.floats(0.0, 0.1))


@settings(max_examples=60, deadline=None)
@given(worlds(), st.booleans())
def test_parts_add_up(world, realistic):
    bars, fills, weights, index, bps, rate = world
    frictions = FrictionSettings(
        commission_bps=bps / 2, spread_tiers=((0.0, bps / 2),), borrow_tiers=((0.0, 300.0),), cash_rate=rate,
        credit_spread_bps_per_year=50.0, debit_spread_bps_per_year=150.0,
    )  # fmt: skip
    reality = Reality(frictions, conditions=Conditions())
    if realistic:
        account, cash = run_realistic(bars, weights, fills, reality).account, None
        cash = cash_growth(len(bars.dates), frictions, Conditions())[fills[0] :]
    else:
        account = run_account(bars, weights, fills, CostSettings(cost_bps=bps, borrow_bps_per_year=300.0))
        cash = np.ones(len(account.dates))
    if account.ruined_on is not None:
        return
    starts, index = bars.dates[fills], index[fills[0] :]
    random = np.random.default_rng(1)
    found = attribute(account, index, cash, starts, random.normal(0, 0.01, len(starts)))
    whole = math.log(account.value[-1] * cash[0] / cash[-1])
    np.testing.assert_allclose(parts(found), found.total, atol=1e-9)
    assert found.total.sum() == pytest.approx(whole, abs=1e-9)
    told = found.summed(SETTINGS)
    of_year = told.market + (told.sector or 0.0) + told.selection + sum(told.costs.values())
    assert of_year == pytest.approx(told.total, abs=1e-9 / told.years)
    assert told.total * told.years == pytest.approx(whole, abs=1e-9)

    equal = run_account(bars, np.full_like(weights, 1 / weights.shape[1]), fills, CostSettings(cost_bps=bps))
    other = attribute(equal, index, cash, starts)
    over = found.over(other)
    assert over.sector is None
    np.testing.assert_allclose(parts(over), over.total, atol=1e-9)
    assert over.total.sum() == pytest.approx(math.log(account.value[-1] / equal.value[-1]), abs=1e-9)


def test_idle_cash_that_earns_less_than_the_rate_is_a_cost():
    frictions = FrictionSettings(cash_rate=0.0504, credit_spread_bps_per_year=252.0)
    reality = Reality(frictions)
    bars = bars_of(np.ones((21, 1)))
    account = run_realistic(bars, np.zeros((1, 1)), np.array([0]), reality).account
    cash = cash_growth(21, frictions, Conditions())
    assert cash[-1] == pytest.approx(1.0002**20)
    found = attribute(account, np.linspace(1, 1.1, 21), cash, DAYS[:1])
    assert found.costs["cash spread"][0] == pytest.approx(20 * math.log(1.0001 / 1.0002), rel=1e-6)
    assert found.total[0] == pytest.approx(20 * math.log(1.0001 / 1.0002))
    assert found.selection[0] == pytest.approx(0.0, abs=1e-9)


def test_sector_tilt_by_hand():
    """Sector 0 made 10% and -10% in two equal names, sector 1 20%; 1/N of the four has 0, 20, -4: 4% in all."""
    sectors = np.array([0, 0, 1, -1])
    returns = np.array([[0.10, -0.10, 0.20, np.nan]])
    reference = np.full((1, 4), 0.25)
    # All in sector 1: (1 - 0.25) * 0.20 - 0.5 * 0.0 - 0.25 * 0.0.
    assert sector_tilt(np.array([[0.0, 0.0, 1.0, 0.0]]), reference, returns, sectors)[0] == pytest.approx(0.15)
    # Half of it in cash tilts by half.
    assert sector_tilt(np.array([[0.0, 0.0, 0.5, 0.0]]), reference, returns, sectors)[0] == pytest.approx(0.075)
    # The reference's own sectors, in whichever names, tilt by nothing.
    assert sector_tilt(np.array([[0.5, 0.0, 0.25, 0.25]]), reference, returns, sectors)[0] == pytest.approx(0.0)
    # A sector that the reference does not hold is not told from the whole of it.
    absent = np.array([[0.5, 0.5, 0.0, 0.0]])
    assert sector_tilt(np.array([[0.0, 0.0, 1.0, 0.0]]), absent, returns, sectors)[0] == pytest.approx(0.0)


def test_what_cannot_be_told_apart_is_refused():
    account = run_account(bars_of(np.ones((6, 1))), np.ones((1, 1)), np.array([0]), CostSettings())
    level = np.ones(6)
    with pytest.raises(DataError, match="was ruined on 2020-01-03"):
        attribute(replace(account, ruined_on="2020-01-03"), level, level, DAYS[:1])
    with pytest.raises(DataError, match="the index needs a level above zero on each of the account's 6 sessions"):
        attribute(account, level[:5], level, DAYS[:1])
    with pytest.raises(DataError, match="periods must begin on sessions of the account"):
        attribute(account, level, level, DAYS[1:2])
    with pytest.raises(DataError, match="over the same periods"):
        attribute(account, level, level, DAYS[:1]).over(attribute(account, level, level, DAYS[:2]))
    with pytest.raises(DataError, match="need a reference and returns of that shape"):
        sector_tilt(np.ones((1, 2)), np.ones((1, 3)), np.ones((1, 2)), np.zeros(2, np.int64))
