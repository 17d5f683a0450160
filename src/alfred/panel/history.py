"""Bars as of decision dates: for every symbol the prefix of its bars that was known at each decision's close.

Features look back from the last known bar over a symbol's own sessions. Every window is reduced by itself, so a value
depends on the bars in its window and on nothing else, to the last bit.
"""

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from alfred.core.calendar import Dates, close_instants, sessions_between
from alfred.core.contracts import Bools, Floats
from alfred.core.errors import DataError
from alfred.panel import _windows_of_bars as windows

Number = TypeVar("Number", np.float64, np.int64, np.int32)
NEVER = np.int32(np.iinfo(np.int32).min)


@dataclass(frozen=True)
class BarHistory:
    """Bars of S symbols one after another, and where each of D decision dates stands in them.

    The windows that methods look back over end with the last known bar; their values are (D, S), and NaN where the
    history is shorter or something in the window is not known.

    Attributes:
        dates: (D,) decision dates.
        symbols: S tickers, in the order of the bars.
        starts: (S,) position of each symbol's first bar.
        ends: (D, S) position of the last bar known at the decision's close; -1 where there is none, or where it is
            older than the allowed number of sessions (a stale price is no price).
        day: (N,) days since 1970 of the bars' sessions.
        close, volume: (N,) split-adjusted close in USD, shares; NaN where not known.
        market: level of the market index day by day, Sundays too, over the span of the bars; NaN where not known.
        market_from: day of its first value.
        market_until: (D,) last day whose market level was known at the decision's close; a day before all others
            where there is none, or where it is stale.
    """

    dates: Dates
    symbols: tuple[str, ...]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    day: NDArray[np.int32]
    close: Floats
    volume: Floats
    market: Floats
    market_from: int
    market_until: NDArray[np.int32]

    @classmethod
    def of(cls, bars: pl.DataFrame, market: pl.DataFrame, dates: Dates, stale_sessions: int) -> Self:
        """Arrange bars of the lake, sorted by symbol and date. Columns in one chunk and without nulls aren't copied.

        Args:
            bars: columns symbol (a string, categorical or enum), date, close, volume, known_at.
            market: columns date, value, known_at of the market index, sorted by date.
            dates: (D,) decision dates.
            stale_sessions: a last bar older than this many sessions before the decision date counts as none.

        Raises:
            DataError: there are no bars, or they are not sorted by symbol and date with one bar a session.
        """
        if bars.is_empty():
            raise DataError("there are no bars to build a panel from.")
        symbols, starts = _runs(bars["symbol"])
        day = _days(bars["date"])
        deadlines = _fixed(close_instants(dates).astype("datetime64[us]").astype(np.int64))
        clock = deadlines, _fixed(_sessions_before(dates, stale_sessions).astype(np.int32))
        stops = _fixed(np.append(starts[1:], len(day)))
        span = int(day[starts].min()), int(day[stops - 1].max())
        ends = windows.over_symbols(windows.last_known, (starts, stops), day, _instants(bars["known_at"]), clock)
        if (ends == windows.UNSORTED).any():
            raise DataError("bars must be sorted by symbol and date, with one bar a session; name the source to read.")
        level, until = _levels(market.drop_nulls("value").sort("date"), span, clock)
        close, volume = _numbers(bars["close"]), _numbers(bars["volume"])
        return cls(dates, symbols, starts, _fixed(ends.T), day, close, volume, level, span[0], until)

    @property
    def listed(self) -> Bools:
        """(D, S) whether the symbol had a current bar on the decision date."""
        return self.ends >= 0

    def lag(self, column: Floats, sessions: int = 0) -> Floats:
        """Value of `column` (N,) so many bars before the last known one."""
        return self._windows(windows.values, _fixed(column), sessions)

    def mean(self, column: Floats, sessions: int) -> Floats:
        """Mean of `column` (N,) over the last so many bars."""
        return self._windows(windows.means, _fixed(column), sessions)

    def highest(self, column: Floats, sessions: int) -> Floats:
        """Largest value of `column` (N,) over the last so many bars."""
        return self._windows(windows.highest, _fixed(column), sessions)

    def dollar_volume(self, sessions: int) -> Floats:
        """Mean of close times volume over the last so many bars, USD a session."""
        return self._windows(windows.mean_products, self.close, self.volume, sessions)

    def volatility(self, sessions: int) -> Floats:
        """Sample standard deviation of the last so many returns from close to close, fraction a session."""
        return self._windows(windows.deviations, self.close, sessions)

    def illiquidity(self, sessions: int) -> Floats:
        """Mean of |return| / (close times volume) over those of the last so many bars with trades, 1 / USD.

        Sessions without a trade are left out (Amihud 2002); NaN where none of them has one.
        """
        return self._windows(windows.illiquidities, self.close, self.volume, sessions)

    def beta(self, sessions: int) -> Floats:
        """Covariance of the last so many returns with the market's between the same bars, over the market's variance.

        Bars after the last market level that was known at the decision's close are passed over: an index that is
        published a day late ends its windows a session earlier.
        """
        market = (self.market, self.market_from, self.market_until)
        return self._windows(windows.betas, (self.close, self.day), market, sessions)

    @functools.cached_property
    def last_close(self) -> Floats:
        """Close of the last known bar, USD."""
        return _fixed(self.lag(self.close))

    @functools.cached_property
    def last_volume(self) -> Floats:
        """Shares traded on the last known bar."""
        return _fixed(self.lag(self.volume))

    @functools.cached_property
    def _ends_by_symbol(self) -> NDArray[np.int64]:
        return _fixed(self.ends.T)

    def _windows(self, loop: Callable[..., NDArray[np.float64]], *arguments: object) -> Floats:
        """(D, S) what a loop over windows gives, NaN where that is not a finite number."""
        by_symbol = windows.over_symbols(loop, (self.starts, self._ends_by_symbol), *arguments)
        return _finite(np.ascontiguousarray(by_symbol.T))


def relative(value: Floats, base: Floats) -> Floats:
    """`value / base - 1`, NaN where that is not a finite number."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return _finite(value / base - 1)


def _finite(values: Floats) -> Floats:
    """The same array, with NaN in the place of infinite values."""
    values[np.isinf(values)] = np.nan
    return values


def _runs(column: pl.Series) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Symbols of a sorted column, and where each begins."""
    runs = column.rle().struct.unnest()
    names, lengths = runs["value"].cast(pl.String).to_list(), runs["len"].to_numpy().astype(np.int64)
    if any(later <= earlier for earlier, later in itertools.pairwise(names)):
        raise DataError("bars must be sorted by symbol and date; sort them before building a panel.")
    return tuple(names), _fixed(np.cumsum(lengths) - lengths)


def _levels(market: pl.DataFrame, span: tuple[int, int], clock: windows.Clock) -> tuple[Floats, NDArray[np.int32]]:
    """Level of the market by day of the span, and (D,) the last day whose level was known."""
    first, last = span
    level = np.full(last - first + 1, np.nan)
    if market.is_empty():
        return _fixed(level), _fixed(np.full(len(clock[0]), NEVER))
    day = _days(market["date"])
    within = (day >= first) & (day <= last)
    level[day[within] - first] = _numbers(market["value"])[within]
    bounds = _fixed(np.zeros(1, np.int64)), _fixed(np.array([len(day)]))
    ends = windows.last_known(*bounds, day, _instants(market["known_at"]), clock)[0]
    until = np.where(ends >= 0, day[ends], NEVER)
    return _fixed(level), _fixed(until)


def _sessions_before(dates: Dates, sessions: int) -> Dates:
    """The session so many sessions before each date."""
    span = sessions_between(dates[0] - np.timedelta64(2 * sessions + 14, "D"), dates[-1])
    return span[np.maximum(np.searchsorted(span, dates) - sessions, 0)]


def _numbers(column: pl.Series) -> Floats:
    return _fixed(column.cast(pl.Float64).to_numpy())


def _days(column: pl.Series) -> NDArray[np.int32]:
    return _fixed(column.cast(pl.Date).to_physical().to_numpy())


def _instants(column: pl.Series) -> NDArray[np.int64]:
    return _fixed(column.dt.cast_time_unit("us").to_physical().to_numpy())


def _fixed(array: NDArray[Number]) -> NDArray[Number]:
    """A view that cannot be written to. All of them are, so that each loop is compiled for one kind of array."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
