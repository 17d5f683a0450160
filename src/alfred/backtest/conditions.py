"""What a market is like beyond its prices: volume, dividends, delistings, sectors and the rate on cash."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from alfred.backtest.costs import BPS, order_rates, tier_bps
from alfred.backtest.settings import SESSIONS_PER_YEAR, FrictionSettings
from alfred.backtest.step import Market, Period
from alfred.core.contracts import Bars, Floats
from alfred.core.errors import DataError

FEWEST_SESSIONS = 20
"""Of fewer returns a volatility says little."""


@dataclass(frozen=True)
class Conditions:
    """Tables beside (T, S) bars; None is not known, and what needs it is refused, not guessed.

    Attributes:
        dollar_volume: (T, S) traded value of each session in dollars; NaN counts as none.
        cash_rate: (T,) rate a year known at each close, 0.05 is 5%; None takes the settings' constant.
        dividends: (T, S) dollars a share on ex-dates, in the units of `Bars.close`; NaN is none. Where given, accounts
            trade `close` and get (or owe) dividends in cash on the ex-date; otherwise they trade `total`.
        delisted: (S,) row at which holders are paid out, at or below 0 for names that were gone before, T or more for
            names that were not delisted within the bars.
        delisting_return: (S,) from the last price to what holders got; NaN takes the settings' value.
        sectors: (S,) sector numbers, below 0 for none.
    """

    dollar_volume: Floats | None = None
    cash_rate: Floats | None = None
    dividends: Floats | None = None
    delisted: NDArray[np.int64] | None = None
    delisting_return: Floats | None = None
    sectors: NDArray[np.int64] | None = None

    def check(self, bars: Bars, frictions: FrictionSettings) -> None:
        """Refuse tables that do not fit the bars or lack what the frictions need.

        Raises:
            DataError: a shape is wrong, a value is impossible, or dollar volume is needed but absent.
        """
        sessions, names = bars.total.shape
        shapes = {
            "dollar_volume": (sessions, names), "cash_rate": (sessions,), "dividends": (sessions, names),
            "delisted": (names,), "delisting_return": (names,), "sectors": (names,),
        }  # fmt: skip
        for name, shape in shapes.items():
            values = getattr(self, name)
            if values is not None and values.shape != shape:
                raise DataError(f"{name} must have the shape {shape} to fit the bars, got {values.shape}.")
        if self.dollar_volume is None and (frictions.by_liquidity or frictions.fill_share is not None):
            raise DataError("costs by liquidity and partial fills need dollar_volume; give it, or leave them out.")
        if self.cash_rate is not None and not np.isfinite(self.cash_rate).all():
            raise DataError("cash_rate must be finite on every session; carry the last known rate forward.")
        for name, values, least in (
            ("dollar_volume", self.dollar_volume, 0.0),
            ("dividends", self.dividends, 0.0),
            ("delisting_return", self.delisting_return, -1.0),
        ):
            if values is not None and ((values < least) | (values == np.inf)).any():
                raise DataError(f"{name} must be finite and at least {least:g}, or NaN where it is not known.")

    def columns(self, at: NDArray[np.int64]) -> Self:
        """The conditions of some names, by column."""
        tables = {
            name: None if values is None else values[..., at]
            for name, values in vars(self).items()
            if name != "cash_rate"
        }
        return replace(self, **tables)

    def until(self, stop: int) -> Self:
        """The conditions of the first `stop` sessions; delistings after them are not told."""
        rows = {
            name: None if values is None else values[:stop]
            for name, values in vars(self).items()
            if name in {"dollar_volume", "cash_rate", "dividends"}
        }
        if self.delisted is None:
            return replace(self, **rows)
        told = self.delisted < stop
        known = None if self.delisting_return is None else np.where(told, self.delisting_return, np.nan)
        return replace(self, **rows, delisted=np.where(told, self.delisted, stop), delisting_return=known)

    def prices(self, bars: Bars) -> Floats:
        """(T, S) the series that accounts trade."""
        return bars.total if self.dividends is None else bars.close


def market_at(bars: Bars, row: int, frictions: FrictionSettings, conditions: Conditions) -> tuple[Market, Floats]:
    """What a rebalancing at `row` meets, and the (S,) borrow fee of a session from then on.

    Mean dollar volume and volatility are of the `liquidity_sessions` before `row`, and known before it trades; only
    the largest order is of the day itself, as it is what that day's market took.
    """
    price = conditions.prices(bars)[row]
    wrong = np.flatnonzero((price <= 0.0) | (price == np.inf))
    if len(wrong):
        raise DataError(
            f"the price of {bars.symbols[wrong[0]]} on {bars.dates[row]} is {price[wrong[0]]:g}, but must be above "
            "zero and finite; quarantine that bar."
        )
    tradable = ~np.isnan(price)
    if conditions.delisted is not None:
        tradable &= conditions.delisted > row
    most = np.where(tradable, np.inf, 0.0)
    volume = volatility = np.full(len(price), np.nan)
    if conditions.dollar_volume is not None:
        volume, volatility = liquidity(bars, conditions.dollar_volume, row, frictions.liquidity_sessions)
        if frictions.impact_coefficient > 0.0:
            most[~((volume > 0.0) & np.isfinite(volatility))] = 0.0
        if frictions.fill_share is not None:
            most = np.minimum(most, frictions.fill_share * np.nan_to_num(conditions.dollar_volume[row]))
    rates = order_rates(frictions, np.nan_to_num(bars.close[row]), volume, volatility)
    borrow: Floats = tier_bps(volume, frictions.borrow_tiers) * BPS / SESSIONS_PER_YEAR
    return Market(np.where(most > 0.0, price, np.nan), most, rates), borrow


def liquidity(bars: Bars, dollar_volume: Floats, row: int, sessions: int) -> tuple[Floats, Floats]:
    """(S,) mean dollar volume a day and (S,) deviation of daily returns over the `sessions` before `row`.

    Sessions without volume count as none traded; NaN is no session at all, or fewer than `FEWEST_SESSIONS` returns for
    the deviation.
    """
    first = max(row - sessions, 0)
    if first == row:
        return np.full(len(bars.symbols), np.nan), np.full(len(bars.symbols), np.nan)
    volume: Floats = np.nan_to_num(dollar_volume[first:row]).mean(axis=0)
    prices = bars.total[first:row]
    with np.errstate(divide="ignore", invalid="ignore"):
        returns = prices[1:] / prices[:-1] - 1.0
    known = np.isfinite(returns)
    returns[~known] = 0.0
    count = known.sum(axis=0)
    mean = returns.sum(axis=0) / np.maximum(count, 1)
    squares = (np.where(known, returns - mean, 0.0) ** 2).sum(axis=0)
    enough = count >= min(FEWEST_SESSIONS, sessions - 1)
    return volume, np.where(enough & (count > 1), np.sqrt(squares / np.maximum(count - 1, 1)), np.nan)


def period_at(
    bars: Bars, ends_at: tuple[int, int], frictions: FrictionSettings, conditions: Conditions, borrow: Floats
) -> Period:
    """The sessions between two rows, both included, as a step holds through them; `borrow` as `market_at` gives it."""
    row, end = ends_at
    names, span = len(bars.symbols), slice(row, end + 1)
    # The rate of a session is the one known at the close before it.
    if conditions.cash_rate is None:
        rate = np.full(end + 1 - row, frictions.cash_rate)
    else:
        rate = conditions.cash_rate[np.maximum(np.arange(row, end + 1) - 1, 0)]
    ends = np.full(names, end + 1 - row) if conditions.delisted is None else conditions.delisted - row
    known = np.full(names, np.nan) if conditions.delisting_return is None else conditions.delisting_return
    return Period(
        quotes=conditions.prices(bars)[span],
        dividends=None if conditions.dividends is None else conditions.dividends[span],
        credit=np.maximum(rate - frictions.credit_spread_bps_per_year * BPS, 0.0) / SESSIONS_PER_YEAR,
        debit=np.maximum(rate + frictions.debit_spread_bps_per_year * BPS, 0.0) / SESSIONS_PER_YEAR,
        borrow=borrow,
        ends=ends,
        delisting_return=np.where(np.isnan(known), frictions.delisting_return, known),
    )


def cash_growth(sessions: int, frictions: FrictionSettings, conditions: Conditions) -> Floats:
    """(T,) what a dollar of cash grew to since the first session, at the rate known at each close before.

    The spreads that an account's cash earns less, or costs more, are not in it.
    """
    known = conditions.cash_rate
    rate = np.full(sessions, frictions.cash_rate) if known is None else known[np.maximum(np.arange(sessions) - 1, 0)]
    growth: Floats = np.cumprod(np.append(1.0, 1.0 + rate[1:] / SESSIONS_PER_YEAR))
    return growth
