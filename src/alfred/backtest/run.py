"""A strategy on an analyst's readings, and the benchmarks it must beat, on the same sessions and costs."""

from dataclasses import replace
from typing import cast

import numpy as np

from alfred.backtest.contracts import Account, AccountStatistics, Readings, Strategy, StrategyResult
from alfred.backtest.engine import Rows, execution_rows, run_account
from alfred.backtest.ledger import analyse_trades, build_ledger
from alfred.backtest.realistic import Reality, run_realistic
from alfred.backtest.settings import CostSettings, ExecutionSettings, LimitSettings
from alfred.backtest.statistics import account_statistics
from alfred.core.calendar import Dates
from alfred.core.contracts import Bars, Floats
from alfred.core.errors import DataError
from alfred.core.plugins import plugin

STRATEGIES = "alfred.backtest.strategies"


def backtest(
    bars: Bars,
    readings: Readings,
    strategy: str,
    costs: CostSettings,
    execution: ExecutionSettings,
    *,
    seed: int,
    reality: Reality | None = None,
) -> StrategyResult:
    """Run one strategy of the notes.

    Args:
        bars: prices that hold at least the readings' symbols and decision dates.
        readings: forecasts; one symbol makes it the notes' single-name test, with the whole account in that name.
        strategy: "simple", "nuanced", "magnitude-choice", or a third party's.
        costs: of trades and shorts.
        execution: when decisions are filled; those whose fill lies after the last bar are not, see `filled`.
        seed: of the bootstrap intervals.
        reality: frictions, limits and conditions of these bars, in place of `costs`; None charges `costs`.

    Raises:
        ConfigError: there is no such strategy.
        DataError: a symbol has no bars, a decision date is no session, or no decision can be filled.
    """
    module = cast("Strategy", plugin(STRATEGIES, strategy))
    place = {symbol: at for at, symbol in enumerate(bars.symbols)}
    bars = bars.columns(readings.symbols)
    rows, filled = execution_rows(bars.dates, readings.dates, execution.lag_sessions)
    targets = module.targets(readings)
    if reality is not None:
        reality = reality.columns(np.array([place[symbol] for symbol in readings.symbols]))
    account = _account(bars, targets.weights[filled], rows, costs, reality)
    if account.ruined_on is not None:
        alive = bars.dates[rows] < np.datetime64(account.ruined_on)
        filled[np.flatnonzero(filled)[~alive]] = False
        rows = rows[alive]
    ledger = build_ledger(bars, targets.positions[filled], targets.acted_on[filled], rows)
    return StrategyResult(
        account=account,
        positions=targets.positions,
        weights=targets.weights,
        filled=filled,
        ledger=tuple(ledger),
        trades=analyse_trades(ledger),
        statistics=account_statistics(account, seed),
    )


def benchmarks(
    bars: Bars,
    index: Bars,
    decisions: Dates,
    costs: CostSettings,
    execution: ExecutionSettings,
    *,
    seed: int,
    reality: Reality | None = None,
) -> dict[str, tuple[Account, AccountStatistics]]:
    """Accounts that need no forecast, from the first fill of `decisions` to the last bar, at the same costs.

    Args:
        bars: (T, S) the basket.
        index: (T, 1) the market index, on the basket's sessions.
        decisions: (D,) decision dates of the strategy they are compared with.
        costs: of trades.
        execution: when decisions are filled.
        seed: of the bootstrap intervals.
        reality: frictions and conditions of the basket, in place of `costs`; its limits are not for benchmarks.

    Returns:
        "buy and hold": the basket's quoted names bought in equal parts at the first fill, and held.
        "1/N": equal parts of the names quoted at each fill, restored at every fill.
        "index": the index bought at the first fill, and held.

    Raises:
        DataError: the index has other sessions or more than one column, a decision date is no session, or no decision
            can be filled.
    """
    if len(index.symbols) != 1 or not np.array_equal(index.dates, bars.dates):
        raise DataError(
            f"the index must be one column on the basket's {len(bars.dates)} sessions, got {len(index.symbols)} "
            f"column(s) on {len(index.dates)} sessions; align it with the basket first."
        )
    rows, _ = execution_rows(bars.dates, decisions, execution.lag_sessions)
    if not len(rows):
        raise DataError("no decision can be filled within the bars; give bars that go on after the first decision.")
    equal = equal_parts(bars.total[rows])
    free = None if reality is None else replace(reality, limits=LimitSettings())
    of_index = None if reality is None else reality.of_index(len(index.dates))
    accounts = {
        "buy and hold": _account(bars, equal[:1], rows[:1], costs, free),
        "1/N": _account(bars, equal, rows, costs, free),
        # Its weight is in no name of the basket.
        "index": replace(_account(index, np.ones((1, 1)), rows[:1], costs, of_index), weights=None),
    }
    return {name: (account, account_statistics(account, seed)) for name, account in accounts.items()}


def _account(bars: Bars, weights: Floats, rows: Rows, costs: CostSettings, reality: Reality | None) -> Account:
    if reality is None:
        return run_account(bars, weights, rows, costs)
    return run_realistic(bars, weights, rows, reality).account


def equal_parts(prices: Floats) -> Floats:
    """(R, S) weights that share the account equally among the names that have a quote."""
    quoted = ~np.isnan(prices)
    parts: Floats = quoted / np.maximum(quoted.sum(axis=1, keepdims=True), 1)
    return parts
