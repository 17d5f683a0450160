"""Bars as of decision dates: for every symbol the prefix of its bars that was known at each decision's close.

Features look back from the last known bar over a symbol's own sessions. Windows are sums over prefix sums that begin
anew with every symbol, so a value depends on that symbol's bars up to its date and on nothing else, to the last bit.
"""

import functools
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from alfred.core.calendar import Dates, close_instants, sessions_between
from alfred.core.contracts import Bools, Floats
from alfred.core.errors import DataError


@dataclass(frozen=True)
class BarHistory:
    """Bars of S symbols one after another, and where each of D decision dates stands in them.

    Attributes:
        dates: (D,) decision dates.
        symbols: S tickers, in the order of the bars.
        starts: (S,) position of each symbol's first bar.
        ends: (D, S) position of the last bar known at the decision's close; -1 where there is none, or where it is
            older than the allowed number of sessions (a stale price is no price).
        close, volume: (N,) split-adjusted close in USD, shares; NaN where not known.
        market: (N,) level of the market index on the bar's session, NaN where not known.
    """

    dates: Dates
    symbols: tuple[str, ...]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    close: Floats
    volume: Floats
    market: Floats

    @classmethod
    def of(cls, bars: pl.DataFrame, market: pl.DataFrame, dates: Dates, stale_sessions: int) -> Self:
        """Arrange bars of the lake, sorted by symbol and date.

        Args:
            bars: columns symbol, date, close, volume, known_at.
            market: columns date, value of the market index.
            dates: (D,) decision dates.
            stale_sessions: a last bar older than this many sessions before the decision date counts as none.
        """
        if bars.is_empty():
            raise DataError("there are no bars to build a panel from.")
        symbols, first, counts = np.unique(bars["symbol"].to_numpy(), return_index=True, return_counts=True)
        session = bars["date"].to_numpy().astype("datetime64[D]")
        known_at = bars["known_at"].dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
        deadline = close_instants(dates)
        oldest = _sessions_before(dates, stale_sessions)
        ends = np.full((len(dates), len(symbols)), -1, np.int64)
        for at, (start, count) in enumerate(zip(first, counts, strict=True)):
            # A bar that became known late hides those after it: only an unbroken prefix was a usable history.
            known = np.maximum.accumulate(known_at[start : start + count])
            last = start + np.searchsorted(known, deadline, side="right") - 1
            fresh = (last >= start) & (session[np.maximum(last, start)] >= oldest)
            ends[fresh, at] = last[fresh]
        level = bars.select("date").join(market.select("date", "value"), on="date", how="left", maintain_order="left")
        return cls(
            dates=dates,
            symbols=tuple(str(symbol) for symbol in symbols),
            starts=first.astype(np.int64),
            ends=ends,
            close=_numbers(bars["close"]),
            volume=_numbers(bars["volume"]),
            market=_numbers(level["value"]),
        )

    @property
    def listed(self) -> Bools:
        """(D, S) whether the symbol had a current bar on the decision date."""
        return self.ends >= 0

    def lag(self, column: Floats, sessions: int = 0) -> Floats:
        """(D, S) value of `column` so many bars before the last known one; NaN where history is shorter."""
        at = self.ends - sessions
        there = self.listed & (at >= self.starts)
        return np.where(there, column[np.where(there, at, 0)], np.nan)

    def mean(self, column: Floats, sessions: int) -> Floats:
        """(D, S) mean of `column` over the last so many bars; NaN where one of them is missing."""
        return self._window_sum(column, sessions) / sessions

    def deviation(self, column: Floats, sessions: int) -> Floats:
        """(D, S) sample standard deviation of `column` over the last so many bars; NaN as in `mean`."""
        total = self._window_sum(column, sessions)
        square = self._window_sum(column * column, sessions)
        return np.sqrt(np.maximum(square - total * total / sessions, 0.0) / (sessions - 1))

    def covariance(self, a: Floats, b: Floats, sessions: int) -> Floats:
        """(D, S) sample covariance of two columns over the last so many bars; NaN as in `mean`."""
        product = self._window_sum(a * b, sessions)
        return (product - self._window_sum(a, sessions) * self._window_sum(b, sessions) / sessions) / (sessions - 1)

    def highest(self, column: Floats, sessions: int) -> Floats:
        """(D, S) largest value of `column` over the last so many bars; NaN as in `mean`."""
        back = np.arange(sessions)
        result = np.full(self.ends.shape, np.nan)
        for at in range(len(self.symbols)):
            there = self.ends[:, at] - sessions + 1 >= self.starts[at]
            result[there, at] = column[self.ends[there, at][:, None] - back].max(axis=1)
        return result

    @functools.cached_property
    def daily_return(self) -> Floats:
        """(N,) relative change of the close from the symbol's bar before; NaN on its first."""
        return self._change(self.close)

    @functools.cached_property
    def market_return(self) -> Floats:
        """(N,) relative change of the market index between the symbol's bars; NaN on its first."""
        return self._change(self.market)

    def _change(self, column: Floats) -> Floats:
        change = np.full(len(column), np.nan)
        change[1:] = column[1:] / column[:-1] - 1
        change[self.starts] = np.nan
        return change

    def _window_sum(self, column: Floats, sessions: int) -> Floats:
        known = np.isfinite(column)
        sums, counts = self._prefix(np.where(known, column, 0.0)), self._prefix(known.astype(np.float64))
        first = self.ends - sessions
        there = self.listed & (first + 1 >= self.starts)
        # Positions in a prefix array are shifted by one per symbol, for the zero each symbol begins with.
        shift = np.arange(len(self.symbols)) + 1
        high = np.where(there, self.ends + shift, 0)
        low = np.where(there, first + shift, 0)
        complete = there & (counts[high] - counts[low] == sessions)
        return np.where(complete, sums[high] - sums[low], np.nan)

    def _prefix(self, column: Floats) -> Floats:
        """Prefix sums that begin anew, with a zero, for every symbol."""
        bounds = np.append(self.starts, len(column))
        prefix = np.zeros(len(column) + len(self.symbols))
        for at in range(len(self.symbols)):
            start, stop = bounds[at], bounds[at + 1]
            np.cumsum(column[start:stop], out=prefix[start + at + 1 : stop + at + 1])
        return prefix


def _sessions_before(dates: Dates, sessions: int) -> Dates:
    """The session so many sessions before each date."""
    span = sessions_between(dates[0] - np.timedelta64(2 * sessions + 14, "D"), dates[-1])
    return span[np.maximum(np.searchsorted(span, dates) - sessions, 0)]


def _numbers(column: pl.Series) -> Floats:
    return column.cast(pl.Float64).to_numpy().astype(np.float64)
