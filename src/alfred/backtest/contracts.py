"""What the backtest takes and gives: readings, positions; the account day by day, fills, trades and statistics."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from alfred.core.calendar import Dates
from alfred.core.contracts import Bools, Floats, Interval
from alfred.core.errors import DataError

Positions = NDArray[np.int8]


@dataclass(frozen=True)
class Readings:
    """An analyst's forecasts as strategies see them.

    Attributes:
        dates: (D,) decision dates, ascending.
        symbols: S tickers.
        mean: (D, S) expected label, NaN where there is no forecast.
        prob_up: (D, S) probability of a rise, within [0, 1], NaN where there is no forecast.
    """

    dates: Dates
    symbols: tuple[str, ...]
    mean: Floats
    prob_up: Floats

    def __post_init__(self) -> None:
        shape = (len(self.dates), len(self.symbols))
        if self.mean.shape != shape or self.prob_up.shape != shape:
            raise DataError(f"readings of shape {shape} got mean {self.mean.shape} and prob_up {self.prob_up.shape}.")
        if (np.diff(self.dates.astype("datetime64[D]").astype(np.int64)) <= 0).any():
            raise DataError("decision dates must ascend without repeats.")
        if ((self.prob_up < 0) | (self.prob_up > 1)).any():
            raise DataError("prob_up must lie between 0 and 1, or be NaN where there is no forecast.")
        if np.isinf(self.mean).any():
            raise DataError("mean must be finite, or NaN where there is no forecast.")


@dataclass(frozen=True)
class Targets:
    """What a strategy wants to hold from each decision on.

    Attributes:
        positions: (D, S) int8: 1 long, -1 short, 0 none.
        weights: (D, S) share of the account in each name, negative for short.
        acted_on: (D, S) the reading that the strategy looked at, which the ledger prints.
    """

    positions: Positions
    weights: Floats
    acted_on: Floats


class Strategy(Protocol):
    """What a file in `alfred.backtest.strategies` defines: one function of that name."""

    def targets(self, readings: Readings) -> Targets:
        """Positions and weights; row d depends on the readings up to row d only."""


@dataclass(frozen=True)
class Account:
    """An account run through the engine.

    Attributes:
        dates: (T,) sessions.
        value: (T,) account value after that session's trades and costs, in units of the initial capital.
        turnover: (R,) traded value over account value after it, at each of R rebalancings (buying 100% counts 1.0).
        costs: (R,) cost of each rebalancing in units of the initial capital.
        borrow: total borrow fees in units of the initial capital.
        rebalanced: (R,) sessions on which it traded.
        ruined_on: first session on which the value was not above zero, after which it stays 0; otherwise None.
        paid: (R,) by kind of cost, at each rebalancing or while holding from it to the next, in units of the initial
            capital; negative where gained.
        weights: (R, S) held after each rebalancing, negative for short; None where they were not kept, or are of other
            names than those that the account stands beside.
    """

    dates: Dates
    value: Floats
    turnover: Floats
    costs: Floats
    borrow: float
    rebalanced: Dates
    ruined_on: str | None = None
    paid: Mapping[str, Floats] = field(default_factory=dict)
    weights: Floats | None = None


@dataclass(frozen=True)
class LedgerEntry:
    """One line of the notes' ledger.

    Attributes:
        date: session of the fill.
        action: "BUY CREATE", "SELL_SHORT CREATE", "HOLD_LONG", "HOLD_SHORT", "CLOSE_LONG" or "CLOSE_SHORT".
        symbol: ticker.
        price: close per share at the fill.
        reading: the analyst's forecast for that symbol on the decision date.
        profit: per share, on closing lines only.
    """

    date: str
    action: str
    symbol: str
    price: float
    reading: float
    profit: float | None = None


@dataclass(frozen=True)
class TradeAnalysis:
    """The notes' trade analysis; percentages are of the entry price, before costs.

    Attributes:
        completed, profitable, losing, open: numbers of trades; a trade that ended at its entry price is neither.
        win_rate: profitable over completed, in [0, 1].
        average_profit_pct: mean percentage per completed trade.
        sum_of_trade_pct: the notes' "Total Profit Percentage": a sum of percentages of trades that could not be
            held together. It is not a return.
        best_trade: "ROST 2023-12-31 to 2024-03-31", empty without trades.
        best_trade_pct: its percentage.
        best_trade_share: its share of the sum of all gains; above one half one trade makes the result.
    """

    completed: int
    profitable: int
    losing: int
    open: int
    win_rate: float
    average_profit_pct: float
    sum_of_trade_pct: float
    best_trade: str
    best_trade_pct: float
    best_trade_share: float


@dataclass(frozen=True)
class AccountStatistics:
    """What an account did, net of costs.

    Attributes:
        total_return: compounded, 0.5 is +50%.
        annual_return: compounded per year of 252 sessions.
        annual_return_interval: stationary block bootstrap over daily returns.
        annual_volatility: of daily returns, times sqrt(252).
        sharpe: annual mean over volatility of daily returns, without a risk-free rate.
        sharpe_interval: by the same bootstrap.
        max_drawdown: largest fall from a peak, as a negative number.
        turnover_per_year: traded value over account value.
        costs: commissions and borrow fees in units of the initial capital.
        ruined_on: session on which nothing was left, or None.
    """

    total_return: float
    annual_return: float
    annual_return_interval: Interval
    annual_volatility: float
    sharpe: float
    sharpe_interval: Interval
    max_drawdown: float
    turnover_per_year: float
    costs: float
    ruined_on: str | None = None


@dataclass(frozen=True)
class StrategyResult:
    """A strategy run on an analyst's readings.

    Attributes:
        account: the account from the first fill on.
        positions: (D, S) as decided.
        weights: (D, S) as decided.
        filled: (D,) False for decisions whose fill would lie after the last bar, or after the account's ruin.
        ledger: the notes' ledger of the filled decisions.
        trades: their analysis.
        statistics: of the account.
    """

    account: Account
    positions: Positions
    weights: Floats
    filled: Bools
    ledger: tuple[LedgerEntry, ...]
    trades: TradeAnalysis
    statistics: AccountStatistics
