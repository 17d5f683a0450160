"""What an account did, and how far chance alone moves it.

Intervals come from the stationary block bootstrap (Politis and Romano, 1994, "The Stationary Bootstrap", JASA 89):
blocks of daily returns with random starts and geometric lengths, wrapped at the end, percentiles of the draws. They
hold the strategy fixed; they do not know how many others were tried.
"""

import math

import numpy as np

from alfred.backtest.contracts import Account, AccountStatistics
from alfred.backtest.settings import SESSIONS_PER_YEAR
from alfred.core.contracts import Floats, Interval
from alfred.core.errors import DataError
from alfred.evaluation.bootstrap import stationary_blocks

MEAN_BLOCK_SESSIONS = 63
"""A quarter: as long as a position is usually held."""
LEVEL = 0.95
_STILL = 1e-12


def account_statistics(account: Account, seed: int, draws: int = 1000) -> AccountStatistics:
    """Statistics net of all costs, counted from the initial capital: the first trade's cost is in the first return.

    Args:
        account: as the engine gives it.
        seed: of the bootstrap; equal seeds give equal intervals.
        draws: resampled histories.

    An account that never moved has volatility and Sharpe ratio 0. A ruined one has an annual return of -1; its
    Sharpe ratio and intervals are those of its sessions up to the ruin.

    Raises:
        DataError: the account has fewer than three sessions.
    """
    if len(account.dates) < 3:
        raise DataError(
            f"statistics need an account of at least 3 sessions, got {len(account.dates)}; "
            "give bars that go on after the first fill."
        )
    path = np.concatenate([[1.0], account.value])
    years = (len(account.dates) - 1) / SESSIONS_PER_YEAR
    returns = daily_returns(account.value)
    growth, sharpe = _resampled(returns, np.random.default_rng(seed), draws)
    return AccountStatistics(
        total_return=float(path[-1] - 1.0),
        annual_return=_annual(float(path[-1]), years),
        annual_return_interval=_percentiles(growth),
        annual_volatility=float(returns.std(ddof=1) * math.sqrt(SESSIONS_PER_YEAR)),
        sharpe=float(_sharpe(returns.mean(), returns.var(ddof=1))),
        sharpe_interval=_percentiles(sharpe),
        max_drawdown=float((path / np.maximum.accumulate(path) - 1.0).min()),
        turnover_per_year=float(account.turnover.sum() / years),
        costs=float(account.costs.sum() + account.borrow),
        ruined_on=account.ruined_on,
    )


def drawdowns(account: Account) -> Floats:
    """(T,) value over its highest so far (the initial capital counts), less 1; zero or negative."""
    return account.value / np.maximum(np.maximum.accumulate(account.value), 1.0) - 1.0


def daily_returns(value: Floats) -> Floats:
    """Returns that compound from 1 to the last value; they end with the ruin, whose return is -1."""
    path = np.concatenate([[1.0], value[1:]])
    alive = int(np.argmax(path <= 0.0)) if path.min() <= 0.0 else len(path) - 1
    returns: Floats = path[1 : alive + 1] / path[:alive] - 1.0
    return returns


def _annual(growth: float, years: float) -> float:
    return growth ** (1.0 / years) - 1.0 if growth > 0.0 else -1.0


def _sharpe(mean: Floats, variance: Floats) -> Floats:
    """Annual ratio, 0 where nothing moved."""
    moved = variance > _STILL**2
    ratio: Floats = np.where(moved, mean / np.sqrt(np.where(moved, variance, 1.0)), 0.0) * math.sqrt(SESSIONS_PER_YEAR)
    return ratio


def _resampled(returns: Floats, rng: np.random.Generator, draws: int) -> tuple[Floats, Floats]:
    """Annual returns and Sharpe ratios of `draws` resampled histories, (draws,) each.

    A block's sum is the difference of two cumulative sums over the history written twice, so that a draw costs its
    number of blocks, not of sessions.
    """
    n = len(returns)
    # The mean length is at most a quarter of the history: longer blocks would only rotate it.
    starts, lengths = stationary_blocks(n, min(MEAN_BLOCK_SESSIONS, n / 4), draws, rng)
    ends, mean = starts + lengths, returns.mean()
    logs = np.log1p(np.where(returns > -1.0, returns, 0.0))

    def sums(of_session: Floats) -> Floats:
        so_far = np.concatenate([[0.0], np.cumsum(np.concatenate([of_session, of_session]))])
        total: Floats = (so_far[ends] - so_far[starts]).sum(axis=1)
        return total

    first, second = sums(returns - mean), sums((returns - mean) ** 2)
    ruins = sums((returns <= -1.0).astype(np.float64))
    growth = np.where(ruins > 0.0, -1.0, np.expm1(sums(logs) * SESSIONS_PER_YEAR / n))
    variance = np.maximum(second - first**2 / n, 0.0) / (n - 1)
    return growth, _sharpe(mean + first / n, variance)


def _percentiles(values: Floats) -> Interval:
    lower, upper = np.quantile(values, [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0])
    return Interval(float(lower), float(upper), LEVEL)
