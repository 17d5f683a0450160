import numpy as np
import pytest

from alfred.backtest.contracts import Readings
from alfred.backtest.run import backtest, benchmarks
from alfred.backtest.settings import CostSettings, ExecutionSettings
from alfred.core.contracts import Bars
from alfred.core.errors import ConfigError, DataError

COSTS, NEXT, SAME = CostSettings(), ExecutionSettings(), ExecutionSettings(lag_sessions=0)
NAMES = ("AAA", "BBB", "CCC")


def market(seed=0, sessions=400, decisions=range(20, 400, 63)):
    rng = np.random.default_rng(seed)
    total = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, (sessions, 3)), axis=0))
    dates = np.datetime64("2010-01-04") + np.arange(sessions)
    bars = Bars(dates, NAMES, total * 1.5, total)
    at = list(decisions)
    readings = Readings(dates[at], NAMES, rng.normal(0, 0.1, (len(at), 3)), rng.random((len(at), 3)))
    return bars, readings


def index_of(bars):
    return Bars(bars.dates, ("INDEX",), bars.close[:, :1], bars.total[:, :1])


@pytest.mark.parametrize("strategy", ["simple", "nuanced", "magnitude-choice"])
def test_all_parts_agree(strategy):
    bars, readings = market()
    result = backtest(bars, readings, strategy, COSTS, NEXT, seed=1)
    fills = bars.dates[np.searchsorted(bars.dates, readings.dates) + 1]
    assert result.filled.all()
    assert result.account.rebalanced.tolist() == fills.tolist()
    assert result.positions.shape == result.weights.shape == (len(fills), 3)
    assert {entry.date for entry in result.ledger} <= {str(date) for date in fills}
    opened = sum(entry.action.endswith("CREATE") for entry in result.ledger)
    assert opened == result.trades.completed + result.trades.open > 0
    assert result.statistics.total_return == pytest.approx(result.account.value[-1] - 1)


def test_single_name_test_uses_the_whole_account():
    bars, readings = market()
    one = Readings(readings.dates, ("BBB",), readings.mean[:, 1:2], np.full((len(readings.dates), 1), 0.9))
    result = backtest(bars, one, "nuanced", CostSettings(cost_bps=0), SAME, seed=0)
    start = np.searchsorted(bars.dates, readings.dates[0])
    np.testing.assert_allclose(result.account.value, bars.total[start:, 1] / bars.total[start, 1], rtol=1e-12)
    assert result.ledger[0].price == bars.close[start, 1]


def test_decision_on_the_last_bar_is_decided_but_not_filled():
    bars, readings = market(decisions=[20, 200, 399])
    result = backtest(bars, readings, "simple", COSTS, NEXT, seed=0)
    assert result.filled.tolist() == [True, True, False]
    assert result.positions.shape == (3, 3)
    assert len(result.account.rebalanced) == 2


def test_ledger_ends_with_the_ruin():
    bars, readings = market()
    total = bars.total.copy()
    total[100:, 0] *= 3
    one = Readings(readings.dates, ("AAA",), np.full((len(readings.dates), 1), -0.5), readings.prob_up[:, :1])
    result = backtest(Bars(bars.dates, NAMES, total, total), one, "magnitude-choice", COSTS, NEXT, seed=0)
    assert result.account.ruined_on == str(bars.dates[100])
    assert result.filled.tolist() == [True, True] + [False] * 5
    assert [entry.action for entry in result.ledger] == ["SELL_SHORT CREATE", "HOLD_SHORT"]
    assert result.statistics.annual_return == -1.0


@pytest.mark.parametrize("strategy", ["simple", "nuanced", "magnitude-choice"])
@pytest.mark.parametrize("lag", [0, 1])
def test_scrambling_the_future_moves_nothing_before_it(strategy, lag):
    bars, readings = market(seed=2)
    other_bars, other_readings = market(seed=3)
    cut = 210
    after, later = np.arange(400) > cut, readings.dates > bars.dates[cut]
    close, total = (
        np.where(after[:, None], b, a) for a, b in ((bars.close, other_bars.close), (bars.total, other_bars.total))
    )
    mean = np.where(later[:, None], other_readings.mean, readings.mean)
    rise = np.where(later[:, None], other_readings.prob_up, readings.prob_up)
    execution = ExecutionSettings(lag_sessions=lag)
    first = backtest(bars, readings, strategy, COSTS, execution, seed=0)
    second = backtest(
        Bars(bars.dates, NAMES, close, total),
        Readings(readings.dates, NAMES, mean, rise),
        strategy,
        COSTS,
        execution,
        seed=0,
    )
    assert first.positions[~later].tolist() == second.positions[~later].tolist()
    assert first.weights[~later].tolist() == second.weights[~later].tolist()
    known = first.account.dates <= bars.dates[cut]
    assert first.account.value[known].tolist() == second.account.value[known].tolist()
    assert first.account.value[-1] != second.account.value[-1]
    cut_date = str(bars.dates[cut])
    assert [e for e in first.ledger if e.date <= cut_date] == [e for e in second.ledger if e.date <= cut_date]


def test_benchmarks_by_hand():
    total = np.array([[10.0, 10.0], [20.0, 10.0], [20.0, 20.0], [20.0, 20.0]])
    dates = np.datetime64("2010-01-04") + np.arange(4)
    bars = Bars(dates, ("A", "B"), total, total)
    index = Bars(dates, ("I",), total[:, :1] * [[1], [2], [2], [3]], total[:, :1] * [[1], [2], [2], [3]])
    found = benchmarks(bars, index, dates[:2], CostSettings(cost_bps=0), SAME, seed=0)
    assert list(found) == ["buy and hold", "1/N", "index"]
    np.testing.assert_allclose(found["buy and hold"][0].value, [1, 1.5, 2, 2])
    np.testing.assert_allclose(found["1/N"][0].value, [1, 1.5, 2.25, 2.25])
    np.testing.assert_allclose(found["index"][0].value, [1, 4, 4, 6])
    dear = benchmarks(bars, index, dates[:2], CostSettings(cost_bps=100), SAME, seed=0)
    assert dear["buy and hold"][0].value[-1] == pytest.approx(2 / 1.01)
    assert dear["index"][1].costs == pytest.approx(0.01 / 1.01)


def test_benchmarks_share_the_account_among_quoted_names():
    bars, readings = market()
    total = bars.total.copy()
    total[:100, 0] = np.nan
    found = benchmarks(Bars(bars.dates, NAMES, total, total), index_of(bars), readings.dates, COSTS, NEXT, seed=0)
    held = total[21:, 1:] / total[21, 1:]
    np.testing.assert_allclose(found["buy and hold"][0].value, held.mean(axis=1) / 1.001, rtol=1e-12)
    strategy = backtest(bars, readings, "simple", COSTS, NEXT, seed=0)
    for account, _ in found.values():
        assert account.dates.tolist() == strategy.account.dates.tolist()


def test_clear_errors():
    bars, readings = market()
    with pytest.raises(ConfigError, match="there is no 'simpel' among the strategies; did you mean 'simple'"):
        backtest(bars, readings, "simpel", COSTS, NEXT, seed=0)
    with pytest.raises(DataError, match="no bars for AAA; there are BBB, CCC"):
        backtest(bars.columns(("BBB", "CCC")), readings, "simple", COSTS, NEXT, seed=0)
    short = Bars(bars.dates[:-1], ("I",), bars.close[:-1, :1], bars.total[:-1, :1])
    with pytest.raises(DataError, match=r"one column on the basket's 400 sessions, got 1 column\(s\) on 399"):
        benchmarks(bars, short, readings.dates, COSTS, NEXT, seed=0)
    with pytest.raises(DataError, match="no decision can be filled"):
        benchmarks(bars, index_of(bars), bars.dates[-1:], COSTS, NEXT, seed=0)
    late = Readings(bars.dates[-1:], NAMES, readings.mean[:1], readings.prob_up[:1])
    with pytest.raises(DataError, match="there is no rebalancing"):
        backtest(bars, late, "simple", COSTS, NEXT, seed=0)
