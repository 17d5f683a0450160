import time

import numpy as np
import pytest

from alfred.backtest.contracts import Account
from alfred.backtest.statistics import account_statistics, drawdowns
from alfred.core.errors import DataError
from alfred.evaluation.bootstrap import stationary_blocks


def account_of(value, turnover=(1.0,), costs=(0.0,), borrow=0.0, ruined_on=None):
    value = np.asarray(value, dtype=np.float64)
    dates = np.datetime64("2020-01-01") + np.arange(len(value))
    return Account(
        dates, value, np.array(turnover), np.array(costs), borrow, dates[: len(np.array(turnover))], ruined_on
    )


def random_account(seed, sessions=2520, mean=0.0004, deviation=0.01):
    returns = np.random.default_rng(seed).normal(mean, deviation, sessions)
    return account_of(np.concatenate([[1.0], np.cumprod(1 + returns)]))


def test_by_hand():
    account = account_of([0.99, 1.2, 0.9, 1.1], turnover=(1.0, 0.5), costs=(0.01, 0.002), borrow=0.001)
    found = account_statistics(account, seed=0)
    returns = np.array([0.2, -0.25, 1.1 / 0.9 - 1])
    assert found.total_return == pytest.approx(0.1)
    assert found.annual_return == pytest.approx(1.1 ** (252 / 3) - 1)
    assert found.annual_volatility == pytest.approx(returns.std(ddof=1) * 252**0.5)
    assert found.sharpe == pytest.approx(returns.mean() / returns.std(ddof=1) * 252**0.5)
    assert found.max_drawdown == pytest.approx(-0.25)
    assert found.turnover_per_year == pytest.approx(1.5 * 84)
    assert found.costs == pytest.approx(0.013)
    np.testing.assert_allclose(drawdowns(account), [-0.01, 0, -0.25, 1.1 / 1.2 - 1])


def test_a_fall_below_the_initial_capital_is_a_drawdown():
    assert account_statistics(account_of([0.9, 0.8, 0.95]), seed=0).max_drawdown == pytest.approx(-0.2)


def test_blocks_are_the_stationary_bootstraps():
    starts, lengths = stationary_blocks(8000, 63, 400, np.random.default_rng(0))
    assert (lengths.sum(axis=1) == 8000).all()
    assert (lengths >= 0).all()
    assert starts.min() >= 0
    assert starts.max() < 8000
    used = lengths[lengths > 0]
    assert used.mean() == pytest.approx(63, rel=0.03)
    # A geometric length's deviation nearly equals its mean; fixed blocks would have none.
    assert used.std() == pytest.approx(62.5, rel=0.05)
    # No draw needed the spare blocks.
    assert (lengths[:, -1] == 0).all()


def test_resampling_equals_the_bootstrap_written_out():
    account = random_account(1, sessions=300)
    returns = account.value[1:] / account.value[:-1] - 1
    rng = np.random.default_rng(7)
    starts, lengths = stationary_blocks(300, 63, 200, rng)
    growth, sharpe = [], []
    for begin, length in zip(starts, lengths, strict=True):
        rows = np.concatenate([(b + np.arange(n)) % 300 for b, n in zip(begin, length, strict=True)])
        drawn = returns[rows]
        growth.append(np.prod(1 + drawn) ** (252 / 300) - 1)
        sharpe.append(drawn.mean() / drawn.std(ddof=1) * 252**0.5)
    found = account_statistics(account, seed=7, draws=200)
    for interval, draws in ((found.annual_return_interval, growth), (found.sharpe_interval, sharpe)):
        np.testing.assert_allclose([interval.lower, interval.upper], np.quantile(draws, [0.025, 0.975]), rtol=1e-9)


def test_interval_covers_the_truth_at_about_its_level():
    truth = 0.0004 / 0.01 * 252**0.5
    hits = 0
    for seed in range(200):
        interval = account_statistics(random_account(seed), seed=seed, draws=300).sharpe_interval
        hits += interval.lower <= truth <= interval.upper
    assert 0.86 <= hits / 200 <= 0.99


def test_seeded():
    account = random_account(2)
    assert account_statistics(account, seed=5) == account_statistics(account, seed=5)
    assert account_statistics(account, seed=5) != account_statistics(account, seed=6)


def test_account_that_never_moved():
    found = account_statistics(account_of(np.ones(100), turnover=(0.0,)), seed=0)
    assert (found.annual_volatility, found.sharpe, found.annual_return) == (0.0, 0.0, 0.0)
    assert (found.sharpe_interval.lower, found.sharpe_interval.upper) == (0.0, 0.0)
    assert found.max_drawdown == 0.0


def test_steady_growth_has_no_spread():
    found = account_statistics(account_of(1.0001 ** np.arange(500)), seed=0)
    width = found.annual_return_interval.upper - found.annual_return_interval.lower
    assert width == pytest.approx(0.0, abs=1e-9)


def test_ruined_account():
    account = account_of([1.0, 1.1, 0.6, 0.0, 0.0, 0.0], ruined_on="2020-01-04")
    found = account_statistics(account, seed=0)
    assert (found.total_return, found.annual_return, found.max_drawdown) == (-1.0, -1.0, -1.0)
    assert found.ruined_on == "2020-01-04"
    assert np.isfinite([found.sharpe, found.sharpe_interval.lower, found.annual_return_interval.upper]).all()
    assert found.annual_return_interval.lower == -1.0


def test_refuses_an_account_without_returns():
    with pytest.raises(DataError, match="at least 3 sessions, got 2; give bars that go on"):
        account_statistics(account_of([1.0, 1.1]), seed=0)


def test_is_quick():
    account = random_account(3, sessions=8000)
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        account_statistics(account, seed=0)
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 0.3
