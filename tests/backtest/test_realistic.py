import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds_of_accounts import bars_of, worlds

from alfred.backtest.conditions import Conditions, liquidity, market_at, period_at
from alfred.backtest.contracts import Readings
from alfred.backtest.engine import run_account
from alfred.backtest.limits import violation
from alfred.backtest.realistic import Reality, run_decided, run_realistic
from alfred.backtest.run import backtest
from alfred.backtest.settings import REALISTIC, CostSettings, ExecutionSettings, FrictionSettings, LimitSettings
from alfred.backtest.step import Market, State, hold, step, trade
from alfred.core.errors import DataError

USD = 1000.0
NAN = np.nan


def run(close, weights, rows, conditions=None, limits=None, **frictions):
    reality = Reality(
        FrictionSettings(**{"capital_usd": USD, **frictions}),
        LimitSettings(**(limits or {})),
        Conditions(**(conditions or {})),
    )
    return run_realistic(bars_of(close), np.array(weights, dtype=float), np.array(rows), reality)


def test_without_frictions_weights_drift_and_nothing_is_paid():
    found = run([[10, 10], [20, 10], [20, 20]], [[0.5, 0.5]], [0])
    assert found.account.value.tolist() == [1.0, 1.5, 2.0]
    assert found.weights.tolist() == [[0.5, 0.5]]
    assert found.account.costs.tolist() == [0.0]


def test_dividends_are_paid_on_the_ex_date_and_owed_by_shorts():
    close, given_ = [[10, 10], [9, 9], [9, 9]], np.array([[5.0, 5.0], [1.0, NAN], [0.0, 2.0]])
    found = run(close, [[0.5, -0.5]], [0], {"dividends": given_})
    # 50 shares each way; the dividend of the fill's own session is not theirs.
    np.testing.assert_allclose(found.account.value * USD, [1000, 1000 + 50, 1000 + 50 - 100])
    np.testing.assert_allclose(found.dividends, [50 - 100])


def test_delisting_ends_a_position_at_its_return():
    close = [[10, 10], [20, 10], [NAN, 10], [NAN, 10]]
    delisted = {"delisted": np.array([2, 9]), "delisting_return": np.array([-0.25, NAN])}
    found = run(close, [[0.5, 0.5]], [0], delisted)
    np.testing.assert_allclose(found.account.value * USD, [1000, 1500, 1250, 1250])
    assert found.delisted.tolist() == [-250.0]
    short = run(close, [[-0.5, 0.0]], [0], delisted)
    np.testing.assert_allclose(short.account.value * USD, [1000, 500, 750, 750])
    unknown = run(close, [[0.5, 0.5]], [0], {"delisted": np.array([2, 9])}, delisting_return=-0.5)
    np.testing.assert_allclose(unknown.account.value[-1] * USD, 1000)


def test_after_a_delisting_there_are_no_dividends_and_no_purchases():
    # The quote and the dividend of the third session are of another company under the same ticker.
    close, given_ = [[10, 10], [NAN, 10], [30, 10], [30, 10]], np.array([[0.0, 0], [0, 0], [5, 0], [0, 0]])
    conditions = {"delisted": np.array([1, 9]), "delisting_return": np.array([0.0, NAN]), "dividends": given_}
    found = run(close, [[1.0, 0.0]], [0], conditions)
    assert found.account.value.tolist() == [1.0, 1.0, 1.0, 1.0]
    found = run(close, [[0.5, 0.5], [1.0, 0.0]], [0, 2], conditions)
    assert found.weights.tolist() == [[0.5, 0.5], [0.0, 0.0]]


def test_what_a_delisting_paid_is_cash_that_earns_and_can_be_invested():
    close = [[10, 10], [NAN, 10], [NAN, 10], [NAN, 20]]
    conditions = {"delisted": np.array([1, 9]), "delisting_return": np.array([0.0, NAN])}
    found = run(close, [[1.0, 0.0], [0.5, 1.0]], [0, 2], conditions, cash_rate=0.252)
    np.testing.assert_allclose(found.account.value, [1, 1, 1.001, 2.002])


def test_cash_earns_and_costs_interest_with_its_spreads():
    found = run([[10], [10], [10]], [[0.5]], [0], cash_rate=0.252, credit_spread_bps_per_year=252)
    rate = 0.001 - 0.0001
    np.testing.assert_allclose(found.account.value * USD, 500 + 500 * (1 + rate) ** np.arange(3))
    geared = run([[10], [10]], [[1.5]], [0], cash_rate=0.252, debit_spread_bps_per_year=252)
    np.testing.assert_allclose(geared.account.value[1] * USD, 1000 - 500 * 0.0011)
    series = run([[10], [10], [10]], [[0.0]], [0], {"cash_rate": np.array([0.0, 0.252, 9.0])})
    np.testing.assert_allclose(series.account.value, [1, 1, 1.001])
    assert series.interest == pytest.approx([1.0])


def test_short_fee_depends_on_the_tier():
    volume = np.tile([1e6, 1e8], (30, 1))
    found = run(
        np.full((30, 2), 10.0),
        [[-0.5, 0.0], [0.0, -0.5]],
        [27, 28],
        {"dollar_volume": volume},
        borrow_tiers=((0, 2520), (1e7, 252)),
    )
    np.testing.assert_allclose(found.borrow, [500 * 1e-3, 499.75 * 1e-4], rtol=1e-12)


def test_partial_fills_leave_the_rest_undone():
    volume = np.array([[1e9, 1e9], [2000.0, 1e9], [1e9, 1e9]])
    found = run(np.full((3, 2), 10.0), [[0.5, 0.5], [0.5, 0.5]], [1, 2], {"dollar_volume": volume}, fill_share=0.1)
    np.testing.assert_allclose(found.weights, [[0.2, 0.5], [0.5, 0.5]])
    np.testing.assert_allclose(found.undone, [[300, 0], [0, 0]], atol=1e-9)


def test_purchases_wait_for_sales_that_were_not_filled():
    volume = np.array([[1e9, 1e9], [1000.0, 1e9]])
    found = run(np.full((2, 2), 10.0), [[1.0, 0.0], [0.0, 1.0]], [0, 1], {"dollar_volume": volume}, fill_share=0.1)
    np.testing.assert_allclose(found.weights[1], [0.9, 0.1])
    np.testing.assert_allclose(found.undone[1], [-900, 900])


def test_without_quotes_a_held_name_waits():
    found = run([[10, 10], [NAN, 10], [20, 10]], [[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]], [0, 1, 2])
    np.testing.assert_allclose(found.weights, [[1, 0], [1, 0], [0, 0]])
    np.testing.assert_allclose(found.account.value, [1, 1, 2])


def test_limits_are_of_targets_at_every_fill():
    close = [[10, 10, 10], [40, 10, 10]]
    found = run(close, [[0.8, 0.1, -0.3]] * 2, [0, 1], limits={"long_only": True, "name_max": 0.5})
    np.testing.assert_allclose(found.weights, [[0.5, 0.1, 0.0]] * 2, atol=1e-12)
    slow = run(close, [[0.8, 0.0, 0.0]], [0], limits={"turnover_max": 0.3})
    np.testing.assert_allclose(slow.weights, [[0.3, 0, 0]])
    sectors = {"sectors": np.array([0, 0, 1])}
    found = run(close, [[0.5, 0.3, 0.2]], [0], sectors, limits={"sector_max": 0.4})
    np.testing.assert_allclose(found.weights, [[0.3, 0.1, 0.2]], atol=1e-12)


def test_impact_grows_with_the_square_root_of_capital():
    rng = np.random.default_rng(0)
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, (80, 3)), axis=0))
    volume = np.full(close.shape, 1e9)
    small, large = (
        run(close, [[0.3] * 3], [70], {"dollar_volume": volume}, capital_usd=usd, impact_coefficient=1.0)
        for usd in (1e4, 1e6)
    )
    # The order is of what is left after costs, so the ratio is 10 but for the difference in costs.
    assert large.account.costs[0] / small.account.costs[0] == pytest.approx(10, rel=1e-3)
    sigma = (close[8:70] / close[7:69] - 1).std(axis=0, ddof=1)
    left = small.account.value[0] * 1e4
    assert small.impact[0] == pytest.approx((sigma * (0.3 * left) ** 1.5 / 1e9**0.5).sum(), rel=1e-9)


def test_costs_beyond_the_account_are_ruin():
    found = run([[0.01], [0.01]], [[50.0]], [0], commission_bps=1000.0)
    assert found.account.ruined_on is None
    assert found.account.value[0] == pytest.approx(1 / 6)
    geared = run([[10], [4], [9]], [[1.9]], [0])
    assert geared.account.ruined_on == "2020-01-02"
    assert geared.account.value.tolist() == [1.0, 0.0, 0.0]
    dear = run([[10], [4.8], [9]], [[1.9], [0.0]], [0, 1], spread_tiers=((0.0, 200.0),))
    assert dear.account.ruined_on == "2020-01-02"


def test_targets_may_be_decided_by_what_is_held():
    told = []

    def keep(done, held):
        told.append((done, held.tolist()))
        return np.array([0.5, 0.25]) if done == 0 else held * 0.5

    close = [[10, 10], [20, 10], [20, 10], [NAN, 10], [NAN, 10]]
    found = run_decided(bars_of(close), np.array([0, 2, 3]), Reality(FrictionSettings(capital_usd=USD)), keep)
    # 500, 250 and 250 in cash; the first doubles; then each half is sold, but the first has no quote the third time.
    assert told == [(0, [0.0, 0.0]), (1, [1000 / 1500, 250 / 1500]), (2, [500 / 1500, 125 / 1500])]
    np.testing.assert_allclose(found.weights, [[0.5, 0.25], [1 / 3, 1 / 12], [1 / 3, 1 / 24]])
    with pytest.raises(DataError, match="3 fills need as many rows of decisions, each between the fill before and its"):
        run_decided(bars_of(close), np.array([0, 2, 3]), Reality(), keep, decided=np.array([0, 2, 1]))
    with pytest.raises(DataError, match="weights must be finite; those for 2020-01-01 are not"):
        run_decided(bars_of(close), np.array([0]), Reality(), lambda done, held: held + NAN)
    with pytest.raises(DataError, match="there is no rebalancing"):
        run_decided(bars_of(close), np.array([], dtype=np.int64), Reality(), keep)


def test_a_decision_of_the_day_before_is_told_no_price_of_its_fill():
    told = []
    # What is delisted by the decision is cash; what is only by the fill is not.
    close = [[10, 10, 10], [20, 10, 10], [40, NAN, 10], [40, NAN, NAN]]
    conditions = Conditions(delisted=np.array([9, 2, 3]), delisting_return=np.array([NAN, 0.2, 0.0]))
    reality = Reality(FrictionSettings(capital_usd=USD, cash_rate=0.1), LimitSettings(), conditions)

    def half(done, held):
        told.append(held.tolist())
        return np.array([0.5, 0.25, 0.25])

    run_decided(bars_of(close), np.array([0, 3]), reality, half, decided=np.array([0, 2]))
    np.testing.assert_allclose(told, [[0, 0, 0], [2000 / 2550, 0, 250 / 2550]], rtol=1e-12)
    run_decided(bars_of(close), np.array([0, 3]), reality, half, decided=np.array([0, 1]))
    np.testing.assert_allclose(told[3], [1000 / 1500, 250 / 1500, 250 / 1500], rtol=1e-12)


# ------------------------------------------------------------------ always


@settings(max_examples=120, deadline=None)
@given(worlds())
def test_every_dollar_is_accounted_for(world):
    bars, weights, rows, reality = world
    found = run_realistic(bars, weights, rows, reality)
    if found.account.ruined_on is not None:
        return
    usd = reality.frictions.capital_usd
    value = found.account.value * usd
    # Start plus what prices gave, less every named cost, is the end; prices from quotes alone, by session and share.
    prices = reality.conditions.prices(bars)
    gained, state = 0.0, State(usd, np.zeros(weights.shape[1]), np.ones(weights.shape[1]))
    for at, (row, end) in enumerate(zip(rows, [*rows[1:], len(prices) - 1], strict=True)):
        market, _ = market_at(bars, row, reality.frictions, reality.conditions)
        shares = found.weights[at] * value[row - rows[0]]
        last = state.price.copy()
        quoted = ~np.isnan(market.price)
        last[quoted] = market.price[quoted]
        shares = np.where(shares != 0, shares / last, 0.0)
        begun = last.copy()
        for session in range(row + 1, end + 1):
            alive = ~np.isnan(prices[session]) & (shares != 0)
            last[alive] = prices[session][alive]
        gained += float((shares * (last - begun)).sum())
        state = State(0.0, shares, last)
    paid = (found.commission + found.spread + found.impact + found.borrow).sum()
    flows = (found.interest + found.dividends + found.delisted).sum()
    assert value[-1] == pytest.approx(usd + gained + flows - paid, rel=1e-9, abs=1e-9 * usd)
    for part in (found.commission, found.spread, found.impact, found.borrow, found.account.costs):
        assert (part >= 0).all()


@settings(max_examples=120, deadline=None)
@given(worlds())
def test_a_trade_moves_value_only_by_its_costs_and_borrows_no_more_than_it_should(world):
    bars, weights, rows, reality = world
    rng = np.random.default_rng(int(weights[0, 0] * 1e6) % 2**31)
    market, _ = market_at(bars, int(rows[-1]), reality.frictions, reality.conditions)
    usd, price = reality.frictions.capital_usd, np.nan_to_num(bars.close[rows[-1]], nan=7.0)
    shares = rng.normal(0.1, 0.2, len(price)) * usd / price
    state = State(usd - float((shares * price).sum()), shares, price)
    fill = trade(state, weights[-1], market)
    paid = sum(part.sum() for part in fill.costs)
    assert state.worth - paid == pytest.approx(fill.state.worth, abs=1e-9 * usd)
    assert (np.abs(fill.orders) <= market.most * (1 + 1e-12)).all()
    if fill.undone.any():
        assert fill.state.cash >= min(0.0, state.cash, fill.state.worth * (1 - weights[-1].sum())) - paid - 1e-6 * usd
    else:
        np.testing.assert_allclose(fill.state.held, weights[-1] * fill.state.worth, atol=1e-9 * usd)


@settings(max_examples=60, deadline=None)
@given(worlds(), st.floats(0, 1))
def test_scrambling_the_future_moves_no_value_before_it(world, share):
    bars, weights, rows, reality = world
    cut = int(share * (len(bars.dates) - 1))
    close, volume = bars.close.copy(), reality.conditions.dollar_volume.copy()
    close[cut + 1 :] *= np.linspace(1, 2, len(close) - cut - 1)[:, None]
    volume[cut + 1 :] *= 3
    rate = reality.conditions.cash_rate.copy()
    rate[cut + 1 :] = 0.5
    conditions = Conditions(**{**vars(reality.conditions), "dollar_volume": volume, "cash_rate": rate})
    first = run_realistic(bars, weights, rows, reality).account
    second = run_realistic(
        bars_of(close), weights, rows, Reality(reality.frictions, reality.limits, conditions)
    ).account
    known = first.dates <= bars.dates[cut]
    assert first.value[known].tolist() == second.value[known].tolist()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 10.0, 300.0]))
def test_equals_the_fast_engine_where_both_can_do_the_same(seed, bps):
    rng = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, (60, 4)), axis=0))
    rows, weights = np.array([0, 20, 21, 45]), rng.normal(0.1, 0.3, (4, 4))
    fast = run_account(bars_of(close), weights, rows, CostSettings(cost_bps=bps, borrow_bps_per_year=50.0))
    frictions = FrictionSettings(commission_bps=bps, borrow_tiers=((0.0, 50.0),))
    slow = run_realistic(bars_of(close), weights, rows, Reality(frictions)).account
    np.testing.assert_allclose(slow.value, fast.value, rtol=1e-10)
    np.testing.assert_allclose(slow.costs, fast.costs, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(slow.turnover, fast.turnover, rtol=1e-9)
    assert slow.borrow == pytest.approx(fast.borrow, rel=1e-9)
    assert slow.ruined_on == fast.ruined_on


def test_a_step_is_a_pure_function_of_numbers():
    bars = bars_of(np.linspace(10, 20, 120).reshape(40, 3))
    conditions = Conditions(dollar_volume=np.full((40, 3), 1e6))
    market, borrow = market_at(bars, 30, REALISTIC, conditions)
    period = period_at(bars, (30, 39), REALISTIC, conditions, borrow)
    state = State(1e4, np.zeros(3), np.ones(3))
    before = [part.copy() for part in (state.shares, state.price, period.quotes, market.most)]
    first, second = (step(state, np.array([0.5, -0.2, 0.3]), market, period) for _ in range(2))
    assert first[1].value.tolist() == second[1].value.tolist()
    assert first[1].state.cash == hold(first[0].state, period).state.cash
    for part, kept in zip((state.shares, state.price, period.quotes, market.most), before, strict=True):
        assert part.tolist() == kept.tolist()
    assert isinstance(market, Market)


# ------------------------------------------------------------------ tables


def test_liquidity_is_of_the_sessions_before():
    close = np.array([[10.0], [11.0], [12.1], [99.0], [1.0]])
    volume, sigma = liquidity(bars_of(close), np.array([[9.0], [2.0], [NAN], [7.0], [8.0]]), 3, 2)
    assert volume.tolist() == [1.0]
    assert np.isnan(sigma).all()  # one return
    volume, sigma = liquidity(bars_of(close), np.full((5, 1), 5.0), 3, 3)
    assert sigma[0] == pytest.approx(0.0, abs=1e-12)
    assert np.isnan(liquidity(bars_of(close), close, 0, 3)[0]).all()


def test_backtest_takes_a_reality_in_the_bars_own_columns():
    close = np.tile(np.linspace(10, 20, 60)[:, None], (1, 2))
    bars = bars_of(close)
    readings = Readings(bars.dates[30:31], ("N1",), np.array([[0.1]]), np.array([[0.9]]))
    volume = np.column_stack([np.full(60, 1e9), np.full(60, 1e5)])
    reality = Reality(FrictionSettings(fill_share=0.1), LimitSettings(), Conditions(dollar_volume=volume))
    found = backtest(bars, readings, "simple", CostSettings(), ExecutionSettings(), seed=0, reality=reality)
    assert found.account.turnover == pytest.approx([0.1])


def test_clear_errors():
    with pytest.raises(DataError, match="costs by liquidity and partial fills need dollar_volume"):
        run([[10], [10]], [[1.0]], [0], fill_share=0.1)
    with pytest.raises(DataError, match=r"dividends must have the shape \(2, 1\) to fit the bars, got \(1, 1\)"):
        run([[10], [10]], [[1.0]], [0], {"dividends": np.zeros((1, 1))})
    with pytest.raises(DataError, match="cash_rate must be finite on every session"):
        run([[10], [10]], [[1.0]], [0], {"cash_rate": np.array([NAN, 0.1])})
    with pytest.raises(DataError, match="delisting_return must be finite and at least -1"):
        run([[10], [10]], [[1.0]], [0], {"delisting_return": np.array([-1.5])})
    with pytest.raises(DataError, match="a sector limit needs each name's sector"):
        run([[10], [10]], [[1.0]], [0], limits={"sector_max": 0.1})
    with pytest.raises(DataError, match="the price of N0 on 2020-01-01 is -1"):
        run([[-1], [10]], [[1.0]], [0])
    with pytest.raises(DataError, match="a price from 2020-01-01 to 2020-01-02 is infinite"):
        run([[1], [np.inf]], [[1.0]], [0])
    assert violation(np.zeros(1), LimitSettings(gross_max=1.0)) == 0.0
