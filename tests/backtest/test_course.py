import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_step import plain_costs, plain_hold, plain_trade
from worlds_of_accounts import bars_of, worlds

from alfred.backtest.conditions import Conditions, market_at, period_at
from alfred.backtest.costs import order_costs
from alfred.backtest.course import Course, allowed_many, step_many
from alfred.backtest.limits import violation
from alfred.backtest.realistic import Reality, allowed, run_realistic
from alfred.backtest.settings import REALISTIC, FrictionSettings, LimitSettings
from alfred.backtest.step import State, hold, trade
from alfred.core.errors import DataError

NAN = np.nan


def walk(course, weights, cash):
    """One account through a whole course."""
    shares, steps = np.zeros((1, weights.shape[1])), []
    cash = np.array([cash])
    for at in range(len(course.most)):
        step = step_many(course, np.array([at]), cash, shares, weights[at : at + 1])
        steps.append(step)
        cash, shares = step.cash, step.shares
        if step.ruined[0]:
            break
    return steps


@settings(max_examples=100, deadline=None)
@given(worlds())
def test_a_course_is_the_account_of_run_realistic(world):
    bars, weights, rows, reality = world
    rows = rows[rows < len(bars.dates) - 1]
    if not len(rows):
        return
    weights, usd = (
        weights[: len(rows)] * np.random.default_rng(0).choice([1.0, 1.0, 3.0]),
        reality.frictions.capital_usd,
    )
    whole = run_realistic(bars, weights, rows, reality)
    steps = walk(Course.of(bars, np.append(rows, len(bars.dates) - 1), reality), weights, usd)
    assert len(steps) == len(whole.commission)
    assert steps[-1].ruined[0] == (whole.account.ruined_on is not None)
    close = {"rtol": 1e-10, "atol": 1e-10 * usd}
    for kind in ("commission", "spread", "impact", "interest", "dividends", "delisted", "borrow"):
        np.testing.assert_allclose([getattr(step, kind)[0] for step in steps], getattr(whole, kind), **close)
    np.testing.assert_allclose(np.concatenate([step.weights for step in steps]), whole.weights, atol=1e-10)
    # At a fill the account's value is the one after its costs.
    values = [step.after[0] for step in steps] + [steps[-1].worth[0]]
    fills = np.append(rows[: len(steps)], len(bars.dates) - 1) - rows[0]
    if steps[-1].ruined[0]:
        values, fills = values[:-2], fills[:-2]
    np.testing.assert_allclose(values, whole.account.value[fills] * usd, **close)
    traded = [step for step in steps if step.after[0] > 0.0]
    np.testing.assert_allclose([step.turnover[0] for step in traded], whole.account.turnover[: len(traded)], **close)


@st.composite
def crowds(draw):
    """A course in a world, and accounts that hold and want anything at any of its rebalancings."""
    bars, _, rows, reality = draw(worlds())
    rows = np.unique(np.append(rows, [0, len(bars.dates) - 1]))
    course = Course.of(bars, rows, reality)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    count, usd = draw(st.integers(1, 20)), reality.frictions.capital_usd
    at = rng.integers(0, len(rows) - 1, count)
    gone = course.ends[None] <= rows[at][:, None]
    held = rng.normal(0.1, draw(st.sampled_from([0.1, 0.5])), gone.shape) * ~gone * (rng.random(gone.shape) < 0.8)
    target = rng.normal(0.1, draw(st.sampled_from([0.1, 0.5, 2.0])), gone.shape) * (rng.random(gone.shape) < 0.8)
    if draw(st.booleans()):
        held, target = np.abs(held), np.abs(target) / np.abs(target).sum(axis=1, keepdims=True).clip(1e-9)
    worth = usd * rng.uniform(0.5, 2.0, count)
    return bars, course, at, worth * (1.0 - held.sum(axis=1)), worth[:, None] * held / course.mark[at], target


@settings(max_examples=100, deadline=None)
@given(crowds())
def test_value_is_conserved_in_every_step(crowd):
    _, course, at, cash, shares, target = crowd
    steps = step_many(course, at, cash, shares, target)
    mark, usd = course.mark[at], np.abs(cash) + (np.abs(shares) * course.mark[at]).sum(axis=1)
    worth = cash + (shares * mark).sum(axis=1)
    np.testing.assert_allclose(steps.before, worth, atol=1e-9 * usd.max())
    np.testing.assert_allclose(steps.after, steps.before - steps.costs, atol=1e-9 * usd.max())
    assert min(steps.costs.min(), steps.borrow.min(), steps.traded.min()) >= 0.0
    for account in np.flatnonzero(~steps.ruined):
        row, end = course.rows[at[account]], course.rows[at[account] + 1]
        held, gained = steps.weights[account] * steps.after[account] / mark[account], 0.0
        for name in np.flatnonzero(held):
            # What prices gave is told by quotes alone: from the last one known to the last one before it ended.
            quotes = course.quotes[row + 1 : min(end + 1, course.ends[name]), name]
            quotes = quotes[~np.isnan(quotes)]
            gained += held[name] * ((quotes[-1] if len(quotes) else mark[account, name]) - mark[account, name])
        flows = steps.interest + steps.dividends + steps.delisted - steps.borrow
        scale = 1e-9 * usd[account] * max(1.0, np.abs(steps.weights[account]).sum())
        assert steps.worth[account] == pytest.approx(steps.after[account] + gained + flows[account], abs=scale)
        left = steps.cash[account] + steps.shares[account] @ course.mark[at[account] + 1]
        assert steps.worth[account] == pytest.approx(left, abs=scale)
        assert not steps.shares[account, course.ends <= end].any()
    for part in (steps.cash, steps.worth, steps.shares):
        assert not part[steps.ruined].any()


@settings(max_examples=100, deadline=None)
@given(crowds())
def test_equals_plain_array_operations(crowd):
    bars, course, at, cash, shares, target = crowd
    real = course.reality
    steps, wanted = step_many(course, at, cash, shares, target), allowed_many(course, at, cash, shares, target)
    for account, period in enumerate(at.tolist()):
        ends_at, state = (
            tuple(course.rows[period : period + 2].tolist()),
            State(float(cash[account]), shares[account], course.mark[period]),
        )
        market, borrow = market_at(bars, ends_at[0], real.frictions, real.conditions)
        if state.worth <= 0.0:
            assert steps.ruined[account]
            continue
        one = wanted[account]
        np.testing.assert_allclose(allowed(target[account], state, market, real), one, atol=1e-10)
        fill, plain = trade(state, one, market), plain_trade(state, one, market)
        usd = state.worth * (1.0 + np.abs(one).sum()) + np.abs(state.held).sum()
        close = {"rtol": 1e-10, "atol": 1e-12 * usd}
        np.testing.assert_allclose(fill.orders, plain.orders, **close)
        np.testing.assert_allclose(fill.undone, plain.undone, **close)
        np.testing.assert_allclose(fill.costs, plain.costs, **close)
        np.testing.assert_allclose(fill.state.cash, plain.state.cash, **close)
        np.testing.assert_allclose(fill.state.shares, plain.state.shares, **close)
        if plain.state.worth <= 0.0:
            assert steps.ruined[account]
            continue
        period_ = period_at(bars, ends_at, real.frictions, real.conditions, borrow)
        held, other = hold(plain.state, period_), plain_hold(plain.state, period_)
        np.testing.assert_allclose(held.value, other.value, **close)
        np.testing.assert_allclose(held.borrow, other.borrow, **close)
        np.testing.assert_allclose(held.state.held, other.state.held, **close)
        for name in ("interest", "dividends", "delisted"):
            np.testing.assert_allclose(getattr(held, name), getattr(other, name), **close)
        assert steps.ruined[account] == (other.value.min() <= 0.0)
        if not steps.ruined[account]:
            np.testing.assert_allclose(steps.worth[account], other.value[-1], **close)
            np.testing.assert_allclose(steps.cash[account], other.state.cash, **close)
            np.testing.assert_allclose(steps.interest[account], other.interest, **close)
            np.testing.assert_allclose(steps.borrow[account], other.borrow[-1], **close)


def scene(limits=None, **frictions):
    rng = np.random.default_rng(5)
    close = 20 * np.exp(np.cumsum(rng.normal(0, 0.02, (260, 6)), axis=0))
    conditions = Conditions(
        dollar_volume=10 ** rng.uniform(5, 8, close.shape), cash_rate=np.full(260, 0.04),
        dividends=np.where(rng.random(close.shape) < 0.02, 0.1, NAN), delisted=np.array([300, 300, 150, 300, 300, 300]),
    )  # fmt: skip
    reality = Reality(REALISTIC.model_copy(update=frictions), LimitSettings(**(limits or {})), conditions)
    return bars_of(close), reality, Course.of(bars_of(close), np.arange(67, 260, 63), reality)


def test_threads_and_company_change_nothing():
    _, _, course = scene({"gross_max": 1.2, "net_max": 0.5})
    rng = np.random.default_rng(1)
    at, cash, target = rng.integers(0, 3, 700), rng.uniform(1e4, 1e6, 700), rng.normal(0, 0.4, (700, 6))
    before = threading.active_count()
    whole = step_many(course, at, cash, np.zeros((700, 6)), target, threads=4)
    assert threading.active_count() == before
    for first, second in zip(whole, step_many(course, at, cash, np.zeros((700, 6)), target), strict=True):
        np.testing.assert_array_equal(first, second)
    alone = step_many(course, at[99:100], cash[99:100], np.zeros((1, 6)), target[99:100])
    assert alone.worth[0] == whole.worth[99]
    assert violation(allowed_many(course, at, cash, np.zeros((700, 6)), target)[99], course.reality.limits) <= 1e-12


def test_what_was_told_when_deciding_is_no_later_price():
    bars, reality, _ = scene()
    rows = np.array([66, 129, 192])
    course = Course.of(bars, rows, reality, decided=rows[:2] - 1)
    np.testing.assert_array_equal(course.told, bars.close[[65, 128]])
    np.testing.assert_array_equal(course.mark, bars.close[rows])
    np.testing.assert_array_equal(Course.of(bars, rows, reality).told, bars.close[rows[:2]])


def test_costs_may_exceed_an_account():
    bars = bars_of(np.full((3, 1), 10.0))
    dear = FrictionSettings(commission_bps=1000.0, spread_tiers=((0.0, 5000.0),))
    course = Course.of(bars, np.array([0, 1, 2]), Reality(dear))
    steps = step_many(course, np.array([0, 0, 1]), np.array([-95.0, 0.0, 5.0]), np.array([[10.0], [0.0], [0.0]]),
                      np.array([[-9.0], [1.0], [0.0]]))  # fmt: skip
    assert steps.ruined.tolist() == [True, True, False]
    assert steps.worth.tolist() == [0.0, 0.0, 5.0]
    assert steps.before.tolist() == [5.0, 0.0, 5.0]
    assert steps.turnover.tolist()[1:] == [0.0, 0.0]


def test_scrambling_the_future_moves_no_table_before_it():
    bars, reality, course = scene()
    close = bars.close.copy()
    close[194:] = close[194:][::-1] * 1.7
    volume, rate = reality.conditions.dollar_volume.copy(), reality.conditions.cash_rate.copy()
    volume[194:], rate[194:] = 1e3, 0.5
    changed = Conditions(**{**vars(reality.conditions), "dollar_volume": volume, "cash_rate": rate})
    other = Course.of(bars_of(close), course.rows, Reality(reality.frictions, reality.limits, changed))
    assert course.rows[2] == 193
    for name in ("mark", "told", "most", "borrow"):
        np.testing.assert_array_equal(getattr(course, name)[:2], getattr(other, name)[:2])
    for first, second in zip(course.gains, other.gains, strict=True):
        np.testing.assert_array_equal(first[:2], second[:2])
        assert np.isfinite(first).all()
    np.testing.assert_array_equal(course.rates.impact[:3], other.rates.impact[:3])


def test_costs_of_orders_are_those_of_plain_operations():
    rates = scene()[2].rates
    one = rates._replace(commission=rates.commission[0], half_spread=rates.half_spread[0], impact=rates.impact[0])
    orders = np.array([0.0, 10.0, -300.0, 5e3, -1e6, 1e-9])
    np.testing.assert_allclose(order_costs(orders, one), plain_costs(orders, one), rtol=1e-14)


def test_clear_errors():
    bars, reality, course = scene()
    zero = np.zeros((1, 6))
    with pytest.raises(DataError, match=r"accounts of 6 names need at and cash \(B,\), shares and target \(B, 6\)"):
        step_many(course, np.array([0]), np.array([1.0]), zero, np.zeros((1, 5)))
    with pytest.raises(DataError, match="the course has rebalancings 0 to 2, got 3 to 3"):
        step_many(course, np.array([3]), np.array([1.0]), zero, zero)
    with pytest.raises(DataError, match="target weights must be finite"):
        step_many(course, np.array([0]), np.array([1.0]), zero, zero + NAN)
    with pytest.raises(DataError, match="a course needs a fill and an end"):
        Course.of(bars, np.array([5]), reality)
    with pytest.raises(DataError, match="2 fills need as many rows of decisions, none of them after its fill"):
        Course.of(bars, np.array([5, 70, 140]), reality, decided=np.array([5, 71]))
    with pytest.raises(DataError, match="a sector limit needs each name's sector"):
        Course.of(bars, np.array([5, 70]), Reality(limits=LimitSettings(sector_max=0.1)))
    endless = bars.close.copy()
    endless[80, 1] = np.inf
    with pytest.raises(DataError, match="N1 has an infinite price"):
        Course.of(bars_of(endless), np.array([66, 129]), reality)
