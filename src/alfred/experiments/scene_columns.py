"""What a manager sees of each name and of the market beside the forecasts, as of single sessions."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from alfred.backtest.settings import SESSIONS_PER_YEAR
from alfred.core.calendar import Dates, close_instants
from alfred.core.contracts import Bars, Floats
from alfred.manager.contracts import Rows

NAME_COLUMNS = ("volatility", "beta", "drawdown", "momentum", "log_dollar_volume")
QUARTER, YEAR, MONTH = 63, 252, 21
"""Sessions."""
FEWEST_RETURNS = 20
"""Of fewer a volatility or beta says little."""
VIX, LONG_YIELD, SHORT_YIELD = "^VIX", "10year", "2year"


def name_columns(bars: Bars, dollar_volume: Floats | None, index: tuple[Floats, Rows], rows: Rows) -> Floats:
    """(R, S, F) `NAME_COLUMNS` at the close of some rows of the bars, NaN where not known.

    Deviation of daily total returns over a quarter, a year's sessions to it; beta to the index over a year; the total
    return price over its highest of a year, less 1; the return from a year to a month before (Jegadeesh and Titman,
    1993, Journal of Finance 48); and the log of the mean dollar volume of a quarter.

    Args:
        bars: (T, S) prices.
        dollar_volume: (T, S), None where not known.
        index: (T,) level of the market index, NaN before its first, and (R,) its last row known at each of `rows`.
        rows: (R,) rows of `bars`.
    """
    levels, known = index
    found = np.full((len(rows), len(bars.symbols), len(NAME_COLUMNS)), np.nan)
    total = np.ascontiguousarray(bars.total)  # the order in memory is the order of sums
    for at, row in enumerate(rows.tolist()):
        told = np.where(np.arange(row + 1) <= known[at], levels[: row + 1], np.nan)
        returns, market = _returns(total[: row + 1]), _returns(told[:, None])[:, 0]
        found[at, :, 0] = volatility(returns[-QUARTER:])
        found[at, :, 1] = _beta(returns[-YEAR:], market[-YEAR:])
        found[at, :, 2] = _drawdown(total[max(row + 1 - YEAR, 0) : row + 1])
        if row >= YEAR:
            found[at, :, 3] = total[row - MONTH] / total[row - YEAR] - 1.0
        if dollar_volume is not None:
            traded = np.nan_to_num(dollar_volume[max(row + 1 - QUARTER, 0) : row + 1]).mean(axis=0)
            found[at, :, 4] = np.log(np.where(traded > 0.0, traded, np.nan))
    return found


def market_columns(
    index: Floats, rows: Rows, mean: Floats, dates: Dates, series: pl.DataFrame
) -> tuple[tuple[str, ...], Floats]:
    """Names of M columns and their (R, M) values, NaN where not known.

    Volatility of the index over a quarter, a year's sessions to it; its return of a year; the breadth, which is the
    share of forecasts above zero; and, where there are such series, the VIX and the slope of the yield curve.

    Args:
        index: (T,) level of the market index.
        rows: (R,) the last row of it that is known to each look, -1 for none.
        mean: (R, S) forecasts.
        dates: (R,) sessions at whose close one looks.
        series: rows of the lake's table `series`.
    """
    columns: dict[str, Floats] = {"index_volatility": np.full(len(rows), np.nan)}
    columns["index_momentum"] = columns["index_volatility"].copy()
    for at, row in enumerate(rows.tolist()):
        columns["index_volatility"][at] = volatility(_returns(index[max(row - QUARTER, 0) : row + 1, None]))[0]
        if row >= YEAR:
            columns["index_momentum"][at] = index[row] / index[row - YEAR] - 1.0
    known = np.isfinite(mean)
    share = (known & (mean > 0.0)).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    columns["breadth"] = np.where(known.any(axis=1), share, np.nan)
    there = set(series["series"].unique()) if len(series) else set()
    if VIX in there:
        columns["vix"] = series_at(series, VIX, dates)
    if {LONG_YIELD, SHORT_YIELD} <= there:
        columns["yield_slope"] = series_at(series, LONG_YIELD, dates) - series_at(series, SHORT_YIELD, dates)
    return tuple(columns), np.stack(list(columns.values()), axis=1)


def series_at(series: pl.DataFrame, name: str, dates: Dates) -> Floats:
    """(R,) the latest value of a series that was known at the close of each session, NaN where there was none."""
    own = series.filter(pl.col("series") == name).drop_nulls("value").sort("date", "known_at")
    known_at = own["known_at"].dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
    day, value = own["date"].to_numpy().astype("datetime64[D]"), own["value"].to_numpy()
    found = np.full(len(dates), np.nan)
    for at, instant in enumerate(close_instants(dates)):
        known = np.flatnonzero((known_at <= instant) & (day <= dates[at]))
        if len(known):
            found[at] = value[known[-1]]
    return found


def volatility(returns: Floats) -> Floats:
    """(S,) deviation of (n, S) daily returns, a year's sessions to it; NaN where there are fewer than 20."""
    count = np.isfinite(returns).sum(axis=0)
    away = returns - _mean(returns)
    squares = np.nansum(away**2, axis=0)
    found: Floats = np.sqrt(SESSIONS_PER_YEAR * squares / np.maximum(count - 1, 1))
    return np.where(count >= FEWEST_RETURNS, found, np.nan)


def columns_at(columns: Sequence[str], observed: Floats, name: str) -> Floats:
    """(..., S) one column of (..., S, F)."""
    return observed[..., list(columns).index(name)]


def _beta(returns: Floats, market: Floats) -> Floats:
    both = np.isfinite(returns) & np.isfinite(market)[:, None]
    own, other = np.where(both, returns, np.nan), np.where(both, market[:, None], np.nan)
    away = other - _mean(other)
    variance = np.nansum(away**2, axis=0)
    shared = np.nansum((own - _mean(own)) * away, axis=0)
    usable = (both.sum(axis=0) >= FEWEST_RETURNS) & (variance > 0.0)
    return np.where(usable, shared / np.where(usable, variance, 1.0), np.nan)


def _drawdown(prices: Floats) -> Floats:
    highest = np.where(np.isfinite(prices), prices, -np.inf).max(axis=0)
    return np.where(np.isfinite(prices[-1]), prices[-1] / np.where(highest > 0.0, highest, 1.0) - 1.0, np.nan)


def _mean(values: Floats) -> Floats:
    count = np.isfinite(values).sum(axis=0)
    found: Floats = np.nansum(values, axis=0) / np.maximum(count, 1)
    return found


def _returns(prices: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = prices[1:] / prices[:-1] - 1.0
    found[~np.isfinite(found)] = np.nan
    return found
