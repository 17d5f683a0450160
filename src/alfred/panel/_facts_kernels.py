"""Compiled walks over filings: what was known of a company's figures on each decision date.

A period's end is "k quarters before" another where it lies within NEAR_DAYS of so many mean quarters earlier; it is
never a position in a list. Genuine quarters are at least 12 weeks long, so at most one end is that near; a Costco-like
calendar (12, 12, 12 and 16 or 17 weeks) strays from the mean by up to 28 days.

On each date what is known of a company becomes a small table: `told` (K, 4), values by quarters before the latest
period and kind of period, and `closed` (K,), whether a fiscal year ended then. All figures are read from these.
"""

from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from alfred.core.contracts import Bools, Floats

INSTANT, QUARTER, YTD, YEAR = 0, 1, 2, 3
AS_QUARTER, AS_TRAILING, AS_INSTANT, AS_AVERAGE, AS_LATEST = 0, 1, 2, 3, 4
NEAR_DAYS = 30.0
QUARTER_DAYS = 365.25 / 4
NONE = -(2**31)
FURTHEST = 9
"""Quarters in the table from the one asked for on: of a trailing year 4, of the year that its first quarter may be the
rest of 3 more, and of the year to date that those may be less of 2."""

Days = NDArray[np.int32]
Micros = NDArray[np.int64]


# Plain tuples, as Numba's cache on disk remembers named ones by their class, and fails where that is gone.
Rows = tuple[Micros, Days, NDArray[np.int8], Micros, Floats]
"""Rows of one concept: (S + 1,) offsets of companies, then ends, kinds, instants and values in the order known."""
Ends = tuple[Micros, Days, Micros]
"""Ends of periods: (S + 1,) offsets of companies, then ends, ascending, and when each was first told of."""
Clock = tuple[Micros, int, Days]
"""Decision dates: (D,) ascending deadlines, microseconds for which a filing counts, (D, S) end of the latest period."""


Function = TypeVar("Function", bound=Callable[..., object])


def _compiled(function: Function) -> Function:
    return cast("Function", numba.njit(cache=True)(function))


@_compiled
def latest_periods(periods: Ends, deadlines: Micros, fill: int) -> tuple[Days, Micros]:
    """(D, S) end of the latest period that each company had reported on, and when that became known; NONE and 0 where
    that is longer ago than `fill` microseconds, or nothing was known."""
    offsets, ends, known = periods
    shape = (len(deadlines), len(offsets) - 1)
    latest, told = np.full(shape, NONE, np.int32), np.zeros(shape, np.int64)
    for company in range(shape[1]):
        for date in range(shape[0]):
            for at in range(offsets[company + 1] - 1, offsets[company] - 1, -1):
                if known[at] <= deadlines[date]:
                    if deadlines[date] - known[at] <= fill:
                        latest[date, company], told[date, company] = ends[at], known[at]
                    break
    return latest, told


@_compiled
def read(form: int, quarters_ago: int, rows: Rows, years: Ends, clock: Clock) -> tuple[Floats, Micros]:
    """(D, S) one concept in one form, NaN where missing; for AS_AVERAGE and AS_LATEST also when it became known.

    Args:
        form: AS_QUARTER and others.
        quarters_ago: of the period before the company's latest.
        rows: of the concept.
        years: ends of fiscal years.
        clock: of the decision dates.
    """
    offsets, ends, kinds, known, values = rows
    deadlines, fill, latest = clock
    shape = latest.shape
    back = quarters_ago + (FURTHEST if form in (AS_QUARTER, AS_TRAILING) else 1)
    result, instants = np.full(shape, np.nan), np.zeros(shape, np.int64)
    told, place, closed = np.empty((back, 4)), np.empty((back, 4), np.int64), np.empty(back, np.bool_)
    for company in range(shape[1]):
        start, stop = offsets[company], offsets[company + 1]
        if start == stop:
            continue
        grid = np.unique(ends[start:stop])
        slots = np.searchsorted(grid, ends[start:stop])
        current, since = np.full((len(grid), 4), np.nan), np.zeros((len(grid), 4), np.int64)
        row = start
        for date in range(shape[0]):
            while row < stop and known[row] <= deadlines[date]:
                at = slots[row - start]
                current[at, kinds[row]], since[at, kinds[row]] = values[row], known[row]
                row += 1
            if form == AS_LATEST:
                value, instant = _last_level(current, since)
                if deadlines[date] - instant <= fill:
                    result[date, company], instants[date, company] = value, instant
            elif latest[date, company] != NONE:
                _align(grid, current, latest[date, company], told, place)
                _close(years, company, deadlines[date], latest[date, company], closed)
                result[date, company], kind = _figure(form, quarters_ago, told, closed)
                if kind >= 0:
                    instants[date, company] = since[place[quarters_ago, kind], kind]
    return result, instants


@_compiled
def _align(grid: Days, values: Floats, latest: int, told: Floats, place: Micros) -> None:
    """Put what is known (P, 4) of each period into the table, and its position; of two ends near one quarter the nearer
    counts, then the later."""
    told[:], place[:] = np.nan, -1
    for at in range(len(grid) - 1, -1, -1):
        back = int(np.rint((latest - grid[at]) / QUARTER_DAYS))
        if back >= len(told):
            break
        away = abs(latest - grid[at] - back * QUARTER_DAYS)
        if back < 0 or away > NEAR_DAYS:
            continue
        for kind in range(4):
            rival = place[back, kind]
            farther = rival < 0 or away < abs(latest - grid[rival] - back * QUARTER_DAYS)
            if farther and not np.isnan(values[at, kind]):
                told[back, kind], place[back, kind] = values[at, kind], at


@_compiled
def _close(years: Ends, company: int, deadline: int, latest: int, closed: Bools) -> None:
    """Mark the ends of fiscal years, and the days on which they began: there the one before had ended."""
    offsets, ends, known = years
    closed[:] = False
    for at in range(offsets[company], offsets[company + 1]):
        back = int(np.rint((latest - ends[at]) / QUARTER_DAYS))
        if known[at] <= deadline and abs(latest - ends[at] - back * QUARTER_DAYS) <= NEAR_DAYS:
            for end in (back, back + 4):
                if 0 <= end < len(closed):
                    closed[end] = True


@_compiled
def _figure(form: int, k: int, told: Floats, closed: Bools) -> tuple[float, int]:
    """The figure, and of which kind it is where it stands as told; otherwise -1."""
    if form == AS_QUARTER:
        return _quarter(told, closed, k), -1
    if form == AS_TRAILING:
        return _trailing(told, closed, k), -1
    if form == AS_INSTANT:
        return told[k, INSTANT], -1
    for kind in (QUARTER, YTD, YEAR):
        if not np.isnan(told[k, kind]):
            return told[k, kind], kind
    return np.nan, -1


@_compiled
def _last_level(values: Floats, known: Micros) -> tuple[float, int]:
    for at in range(len(values) - 1, -1, -1):
        if not np.isnan(values[at, INSTANT]):
            return values[at, INSTANT], known[at, INSTANT]
    return np.nan, 0


@_compiled
def _to_date(told: Floats, closed: Bools, k: int) -> float:
    """Flow from the fiscal year's begin to the period's end.

    At the year's end it is the year, whatever else is said to be year to date there: a fourth quarter of 16 weeks is
    too long to be called a quarter. The year to date of a first quarter is often called a quarter.
    """
    if closed[k]:
        return float(told[k, YEAR])
    if np.isnan(told[k, YTD]) and closed[k + 1]:
        return float(told[k, QUARTER])
    return float(told[k, YTD])


@_compiled
def _told_quarter(told: Floats, closed: Bools, k: int) -> float:
    """A quarter as told, or as the difference of two years to date."""
    if not np.isnan(told[k, QUARTER]):
        return float(told[k, QUARTER])
    if closed[k + 1]:
        return _to_date(told, closed, k)
    return _to_date(told, closed, k) - _to_date(told, closed, k + 1)


@_compiled
def _quarter(told: Floats, closed: Bools, k: int) -> float:
    """As `_told_quarter`, otherwise a year less the three quarters before."""
    quarter = _told_quarter(told, closed, k)
    if not np.isnan(quarter) or np.isnan(told[k, YEAR]):
        return quarter
    before = 0.0
    for back in range(1, 4):
        before += _told_quarter(told, closed, k + back)
    return float(told[k, YEAR] - before)


@_compiled
def _trailing(told: Floats, closed: Bools, k: int) -> float:
    """A year that ended there; else four quarters; else the last fiscal year, plus this one's flow to date, less that
    of a year before."""
    if not np.isnan(told[k, YEAR]):
        return float(told[k, YEAR])
    total = 0.0
    for back in range(4):
        total += _quarter(told, closed, k + back)
    if not np.isnan(total):
        return total
    for back in range(1, 4):
        if closed[k + back]:
            so_far, before = _to_date(told, closed, k), _to_date(told, closed, k + 4)
            return float(told[k + back, YEAR] + so_far - before)
    return np.nan
