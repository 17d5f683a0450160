import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_loop import plain_account

from alfred.backtest.engine import execution_rows, run_account
from alfred.backtest.settings import CostSettings, ExecutionSettings
from alfred.core.contracts import Bars
from alfred.core.errors import ConfigError, DataError

FREE = CostSettings(cost_bps=0.0, borrow_bps_per_year=0.0)


def bars_of(prices, first="2020-01-01"):
    prices = np.asarray(prices, dtype=np.float64)
    dates = np.datetime64(first) + np.arange(len(prices))
    return Bars(dates, tuple(f"N{at}" for at in range(prices.shape[1])), prices, prices)


def walk(rng, sessions, names, volatility=0.02):
    return 50 * np.exp(np.cumsum(rng.normal(0, volatility, (sessions, names)), axis=0))


def rows_of(*rows):
    return np.array(rows, dtype=np.int64)


# ------------------------------------------------------------------ by hand


def test_buying_everything_costs_what_is_left_over():
    account = run_account(
        bars_of([[10], [12], [15]]), np.array([[1.0]]), rows_of(0), CostSettings(cost_bps=100, borrow_bps_per_year=0)
    )
    # V' + 0.01 V' = 1
    np.testing.assert_allclose(account.value, np.array([1, 1.2, 1.5]) / 1.01, rtol=1e-14)
    np.testing.assert_allclose(account.costs, [0.01 / 1.01], rtol=1e-14)
    np.testing.assert_allclose(account.turnover, [1.0], rtol=1e-14)
    assert account.rebalanced.tolist() == account.dates[:1].tolist()
    assert account.ruined_on is None


def test_reversing_pays_for_both_sides():
    costs = CostSettings(cost_bps=100, borrow_bps_per_year=0)
    account = run_account(bars_of([[10], [20], [10]]), np.array([[1.0], [-1.0]]), rows_of(0, 1), costs)
    long = 2 / 1.01
    # V' + 0.01 (V' + V) = V, and the short then gains half
    short = long * 0.99 / 1.01
    np.testing.assert_allclose(account.value, [1 / 1.01, short, 1.5 * short], rtol=1e-14)
    np.testing.assert_allclose(account.turnover[1], (short + long) / short, rtol=1e-14)


def test_borrow_fee_is_charged_on_the_short_value_of_the_close_before():
    costs = CostSettings(cost_bps=0, borrow_bps_per_year=252.0)  # one basis point a session
    account = run_account(bars_of([[10], [11], [11], [10]]), np.array([[-0.5]]), rows_of(0), costs)
    fees = np.cumsum([0, 0.5, 0.55, 0.55]) * 1e-4
    np.testing.assert_allclose(account.value, [1, 0.95, 0.95, 1.0] - fees, rtol=1e-14)
    assert account.borrow == pytest.approx(1.6e-4, rel=1e-12)


def test_longs_pay_no_borrow_fee():
    assert run_account(bars_of([[10], [11]]), np.array([[1.0]]), rows_of(0), CostSettings()).borrow == 0.0


def test_starts_at_the_first_rebalancing_and_keeps_the_rest_in_cash():
    account = run_account(bars_of([[9], [10], [20]]), np.array([[0.25]]), rows_of(1), FREE)
    np.testing.assert_allclose(account.value, [1, 1.25])
    assert account.dates[0] == np.datetime64("2020-01-02")


def test_target_without_quote_stays_in_cash():
    account = run_account(bars_of([[10, np.nan], [20, 5], [20, 50]]), np.array([[0.5, 0.5]]), rows_of(0), FREE)
    np.testing.assert_allclose(account.value, [1, 1.5, 1.5])


def test_ended_quotes_are_carried_then_turned_to_cash_at_the_usual_cost():
    prices = [[10, 10], [20, 10], [np.nan, 10], [np.nan, 20], [np.nan, 40]]
    costs = CostSettings(cost_bps=100, borrow_bps_per_year=0)
    account = run_account(bars_of(prices), np.array([[1.0, 0.0], [1.0, 0.0]]), rows_of(0, 3), costs)
    np.testing.assert_allclose(account.value, np.array([1, 2, 2, 1.98, 1.98]) / 1.01, rtol=1e-14)


def test_gap_of_a_held_name_is_valued_at_its_last_price_and_ends():
    account = run_account(bars_of([[10, 1], [12, 1], [np.nan, 1], [15, 1]]), np.array([[0.5, 0.5]]), rows_of(0), FREE)
    np.testing.assert_allclose(account.value, [1, 1.1, 1.1, 1.25])


def test_ruin_ends_the_account():
    prices = [[10], [15], [25], [5], [5]]
    account = run_account(bars_of(prices), np.array([[-1.0], [-1.0]]), rows_of(0, 3), CostSettings())
    assert account.ruined_on == "2020-01-03"
    assert account.value[1] > 0
    assert account.value[2:].tolist() == [0.0, 0.0, 0.0]
    assert len(account.rebalanced) == len(account.costs) == len(account.turnover) == 1
    fee = 50e-4 / 252
    lost = account.costs[0]
    assert account.borrow == pytest.approx((1 - lost) * fee * (1 + 1.5), rel=1e-9)


def test_trade_that_cannot_be_paid_for_is_ruin():
    # Long 1.9 with 0.9 borrowed; at 0.48 of the price 0.912 of holdings stand against 0.9 of debt.
    account = run_account(bars_of([[10], [4.8], [9]]), np.array([[1.9], [0.0]]), rows_of(0, 1), FREE)
    assert account.ruined_on is None
    dear = CostSettings(cost_bps=200.0, borrow_bps_per_year=0.0)
    account = run_account(bars_of([[10], [4.8], [9]]), np.array([[1.9], [0.0]]), rows_of(0, 1), dear)
    assert account.ruined_on == "2020-01-02"
    before = account.value[0] * (1 + 1.9 * (0.48 - 1))
    assert account.costs[1] == pytest.approx(before, rel=1e-9)
    assert account.value[1:].tolist() == [0.0, 0.0]


def test_only_cash():
    account = run_account(bars_of([[np.nan], [3], [np.nan]]), np.array([[1.0]]), rows_of(0), CostSettings())
    assert account.value.tolist() == [1.0, 1.0, 1.0]
    assert account.turnover.tolist() == [0.0]


# ------------------------------------------------------------------ always


@st.composite
def worlds(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    sessions, names = draw(st.integers(2, 40)), draw(st.integers(1, 6))
    prices = walk(rng, sessions, names, draw(st.sampled_from([0.005, 0.03, 0.3])))
    gaps = draw(st.sampled_from([0.0, 0.0, 0.1, 0.5]))
    prices[rng.random(prices.shape) < gaps] = np.nan
    if draw(st.booleans()):
        prices[rng.integers(sessions) :, rng.integers(names)] = np.nan
    count = draw(st.integers(1, min(8, sessions)))
    rows = np.sort(rng.choice(sessions, count, replace=False)).astype(np.int64)
    weights = rng.normal(0, 1, (count, names)) if draw(st.booleans()) else rng.random((count, names))
    weights *= draw(st.sampled_from([0.5, 1.0, 2.0])) / np.maximum(np.abs(weights).sum(axis=1, keepdims=True), 1e-9)
    weights[rng.random(weights.shape) < draw(st.sampled_from([0.0, 0.3, 0.9]))] = 0.0
    costs = CostSettings(
        cost_bps=draw(st.sampled_from([0.0, 10.0, 300.0, 2000.0])),
        borrow_bps_per_year=draw(st.sampled_from([0.0, 50.0, 5000.0])),
    )
    order = draw(st.sampled_from("CF"))
    return bars_of(np.array(prices, order=order)), weights, rows, costs


@settings(max_examples=250, deadline=None)
@given(worlds())
def test_equals_the_plain_day_loop(world):
    bars, weights, rows, costs = world
    account = run_account(bars, weights, rows, costs)
    plain = plain_account(bars.total, weights, rows, costs.cost_bps, costs.borrow_bps_per_year)
    # Where longs and shorts nearly cancel, what rounding leaves is relative to their gross value.
    scale = np.maximum(plain.value, plain.gross)
    assert (np.abs(account.value - plain.value) <= 1e-9 * scale).all()
    assert (account.ruined_on is not None) == plain.ruined
    np.testing.assert_allclose(account.costs, plain.cost, rtol=1e-9, atol=1e-9)
    assert account.borrow == pytest.approx(plain.fees, rel=1e-8, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(worlds())
def test_value_after_is_value_before_less_cost_and_targets_hold(world):
    bars, weights, rows, costs = world
    account = run_account(bars, weights, rows, costs)
    plain = plain_account(bars.total, weights, rows, costs.cost_bps, costs.borrow_bps_per_year)
    done = len(account.rebalanced)
    after = account.value[np.searchsorted(account.dates, account.rebalanced)]
    np.testing.assert_allclose(after, np.array(plain.before[:done]) - account.costs, rtol=1e-9, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(worlds(), st.integers(0, 2**32), st.floats(0, 1))
def test_scrambling_prices_after_a_date_moves_no_value_on_or_before_it(world, seed, share):
    bars, weights, rows, costs = world
    cut = int(share * (len(bars.dates) - 1))
    other = bars.total.copy(order="K")
    rng = np.random.default_rng(seed)
    other[cut + 1 :] = walk(rng, len(other) - cut - 1, other.shape[1], 0.1)
    other[cut + 1 :][rng.random(other[cut + 1 :].shape) < 0.1] = np.nan
    account = run_account(bars, weights, rows, costs)
    scrambled = run_account(bars_of(other), weights, rows, costs)
    known = account.dates <= bars.dates[cut]
    assert account.value[known].tolist() == scrambled.value[known].tolist()


@pytest.mark.parametrize("order", ["C", "F"])
def test_gaps_to_come_move_nothing_at_all(order):
    rng = np.random.default_rng(3)
    prices, weights = walk(rng, 300, 400), rng.normal(0, 0.005, (5, 400))
    other = prices.copy()
    other[151:] = walk(rng, 149, 400)
    other[160:, ::7] = np.nan
    rows = rows_of(0, 63, 126, 189, 252)
    first, second = (
        run_account(bars_of(np.array(p, order=order)), weights, rows, CostSettings()) for p in (prices, other)
    )
    assert first.value[:151].tolist() == second.value[:151].tolist()
    assert first.value[152] != second.value[152]


# ------------------------------------------------------------------ against others


@pytest.fixture(scope="module")
def sample():
    from skfolio.datasets import load_sp500_dataset

    frame = load_sp500_dataset()
    return frame, Bars(
        frame.index.to_numpy().astype("datetime64[D]"),
        tuple(frame.columns),
        frame.to_numpy(dtype=np.float64),
        frame.to_numpy(dtype=np.float64),
    )


def test_daily_rebalancing_on_real_prices_equals_skfolio(sample):
    from skfolio import Portfolio

    frame, bars = sample
    weights = np.linspace(1, 2, len(bars.symbols))
    weights /= weights.sum()
    rows = np.arange(len(bars.dates) - 1)
    account = run_account(bars, np.tile(weights, (len(rows), 1)), rows, FREE)
    theirs = Portfolio(X=frame.pct_change().iloc[1:], weights=weights, compounded=True).cumulative_returns
    np.testing.assert_allclose(account.value[1:], theirs, rtol=1e-9)
    assert account.value[-1] > 10


def test_holding_real_prices_equals_skfolio_with_drifting_weights(sample):
    from skfolio import Portfolio

    frame, bars = sample
    weights = np.full(len(bars.symbols), 1 / len(bars.symbols))
    account = run_account(bars, weights[None], rows_of(0), FREE)
    theirs = Portfolio(X=frame.pct_change().iloc[1:], weights=weights, compounded=True, weight_drift=True)
    np.testing.assert_allclose(account.value[1:], theirs.cumulative_returns, rtol=1e-9)


def test_quarterly_weights_with_shorts_on_real_prices_equal_bt(sample):
    import bt

    frame, bars = sample
    frame, rows = frame.iloc[-1000:], np.arange(5, 1000, 63)
    bars = Bars(bars.dates[-1000:], bars.symbols, bars.close[-1000:], bars.total[-1000:])
    weights = np.random.default_rng(1).normal(0.03, 0.05, (len(rows), len(bars.symbols)))
    table = pd.DataFrame(weights, index=frame.index[rows], columns=frame.columns)
    strategy = bt.Strategy("s", [bt.algos.RunOnDate(*table.index), bt.algos.WeighTarget(table), bt.algos.Rebalance()])
    test = bt.Backtest(strategy, frame, integer_positions=False, progress_bar=False)
    test.run()
    theirs = test.strategy.values.iloc[6:].to_numpy()
    account = run_account(bars, weights, rows, FREE)
    np.testing.assert_allclose(account.value, theirs / theirs[0], rtol=1e-9)


# ------------------------------------------------------------------ resources, input


@pytest.mark.parametrize("gaps", [False, True])
def test_needs_no_copy_of_the_price_matrix(gaps):
    rng = np.random.default_rng(0)
    prices = walk(rng, 2520, 200)
    if gaps:
        prices[:1300, ::4] = np.nan
        prices[1700:, 1::4] = np.nan
    bars = bars_of(prices)
    rows = np.arange(0, 2500, 63)
    weights = np.full((len(rows), 200), 1 / 200)
    tracemalloc.start()
    run_account(bars, weights, rows, CostSettings())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < prices.nbytes / 8


GOOD = bars_of([[10.0, 5.0], [11.0, 5.0], [12.0, 5.0]])


@pytest.mark.parametrize(
    ("weights", "rows", "text"),
    [
        (np.ones((1, 3)), rows_of(0), r"need weights of shape \(1, 2\), got \(1, 3\)"),
        (np.ones((0, 2)), rows_of(), "there is no rebalancing"),
        (np.ones((2, 2)), rows_of(1, 1), "ascend without repeats within 0 to 2, got 1 to 1"),
        (np.ones((1, 2)), rows_of(3), "within 0 to 2, got 3 to 3"),
        (np.ones((1, 2)), rows_of(-1), "within 0 to 2, got -1 to -1"),
        (np.array([[1.0, np.nan]]), rows_of(1), "weights must be finite; those for 2020-01-02 are not"),
        (np.full((1, 2), 600.0), rows_of(0), "gross exposure of 1200 at cost_bps 10 costs more than the account"),
    ],
)
def test_refuses_malformed_orders(weights, rows, text):
    with pytest.raises(DataError, match=text):
        run_account(GOOD, weights, rows, CostSettings())


@pytest.mark.parametrize("price", [0.0, -3.0, np.inf])
def test_refuses_prices_that_cannot_be_traded(price):
    bars = bars_of([[10.0, price], [11.0, 5.0]])
    with pytest.raises(DataError, match=r"the price of N1 on 2020-01-01 is .*above zero and finite"):
        run_account(bars, np.array([[0.5, 0.5]]), rows_of(0), CostSettings())


def test_refuses_infinite_prices_on_the_way():
    with pytest.raises(DataError, match="a price between 2020-01-01 and 2020-01-02 is infinite"):
        run_account(bars_of([[10.0, 5.0], [np.inf, 5.0]]), np.array([[0.5, 0.5]]), rows_of(0), CostSettings())


def test_execution_rows_drop_fills_after_the_last_bar():
    dates = np.array(["2020-03-30", "2020-03-31", "2020-04-01", "2020-06-30"], dtype="datetime64[D]")
    decisions = dates[[1, 3]]
    rows, kept = execution_rows(dates, decisions, 1)
    assert (rows.tolist(), kept.tolist()) == ([2], [True, False])
    rows, kept = execution_rows(dates, decisions, 0)
    assert (rows.tolist(), kept.tolist()) == ([1, 3], [True, True])


def test_execution_rows_refuse_dates_that_are_no_session():
    dates = np.array(["2020-03-30", "2020-03-31"], dtype="datetime64[D]")
    with pytest.raises(DataError, match=r"2020-04-01 is a decision date but no session of the bars \(1 such dates"):
        execution_rows(dates, np.array(["2020-03-31", "2020-04-01"], dtype="datetime64[D]"), 0)
    with pytest.raises(DataError, match="must ascend"):
        execution_rows(dates, dates[::-1], 0)
    with pytest.raises(DataError, match="bars: none"):
        execution_rows(dates[:0], dates, 0)


def test_settings_are_closed():
    with pytest.raises(ConfigError, match=r"cost_bps: input should be greater than or equal to 0, got -1"):
        CostSettings.parse({"cost_bps": -1}, "study.toml")
    with pytest.raises(ConfigError, match=r"unknown setting 'lag_session', did you mean 'lag_sessions'"):
        ExecutionSettings.parse({"lag_session": 1}, "study.toml")
    with pytest.raises(ConfigError, match="lag_sessions"):
        ExecutionSettings.parse({"lag_sessions": -1}, "study.toml")
