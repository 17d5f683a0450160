"""Compiled loops over windows of bars, each window reduced by itself.

A value at a decision date is computed from the bars of its own window and nothing else, so it cannot know what lies
outside, to the last bit; a value missing in the window (NaN) makes it NaN. Symbols are the outer loop, so that a
symbol's bars stay in the cache from one date to the next.

Shapes: N bars of S symbols one after another, D dates. `starts` (S,) is the position of each symbol's first bar, `ends`
(S, D) that of the last bar known on each date, negative where there is none; results are (S, D).
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from alfred.core.contracts import Floats

Positions = NDArray[np.int64]
Days = NDArray[np.int32]

THREADS = min(4, os.cpu_count() or 1)
SYMBOLS_A_THREAD = 256
UNSORTED = -2

Clock = tuple[Positions, Days]
"""Of each date the deadline in microseconds since 1970 UTC, and the earliest day of a bar that counts: (D,) both."""
Market = tuple[Floats, int, Days]
"""Level of the market day by day, the day of its first value (no bar is before), and (D,) the last day whose level was
known on each date."""
Function = TypeVar("Function", bound=Callable[..., object])


def _compiled(function: Function) -> Function:
    """Division by zero gives an infinite value, as in numpy. The interpreter's lock is free while a loop runs."""
    return cast("Function", numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def _summing(function: Function) -> Function:
    """As `_compiled`, for one sum over a window, whose terms the compiler may add in another order: several at once."""
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc"}}
    return cast("Function", numba.njit(cache=True, **options)(function))


def over_symbols(
    loop: Callable[..., NDArray[Any]], of_symbols: tuple[NDArray[Any], ...], *shared: object
) -> NDArray[Any]:
    """Run a loop on blocks of symbols in a few threads of its own; one thread works a symbol, so bits never change.

    Numba's own threads are not used: those it always has must not be called from two threads at once, and they stay
    beside torch's. A few hundred symbols are done sooner than a thread starts.

    Args:
        loop: takes the arrays of its block of symbols, then `shared`.
        of_symbols: arrays with one row a symbol.
    """
    blocks = max(1, min(THREADS, len(of_symbols[0]) // SYMBOLS_A_THREAD))
    if blocks == 1:
        return loop(*of_symbols, *shared)
    parts = zip(*(np.array_split(array, blocks) for array in of_symbols), strict=True)
    with ThreadPoolExecutor(blocks) as threads:
        return np.concatenate(list(threads.map(lambda part: loop(*part, *shared), parts)))


@_compiled
def last_known(starts: Positions, stops: Positions, day: Days, known_at: Positions, clock: Clock) -> Positions:
    """Last bar of each symbol that was known at each deadline; UNSORTED where a symbol's days do not ascend.

    A bar that became known late hides those after it until then: only an unbroken prefix was a usable history.
    -1 where there is none, or where it is of a day too long ago.
    """
    deadlines, oldest = clock
    ends = np.full((len(starts), len(deadlines)), -1, np.int64)
    for symbol in range(len(starts)):
        first, stop = starts[symbol], stops[symbol]
        ascending = True
        date = 0
        for bar in range(first, stop):
            ascending &= bar == first or day[bar] > day[bar - 1]
            while date < len(deadlines) and deadlines[date] < known_at[bar]:
                if bar > first and day[bar - 1] >= oldest[date]:
                    ends[symbol, date] = bar - 1
                date += 1
        while date < len(deadlines):
            if day[stop - 1] >= oldest[date]:
                ends[symbol, date] = stop - 1
            date += 1
        if not ascending:
            ends[symbol] = UNSORTED
    return ends


@_compiled
def values(starts: Positions, ends: Positions, column: Floats, back: int) -> Floats:
    """Value so many bars before the last known one."""
    result = np.full(ends.shape, np.nan)
    for symbol in range(len(starts)):
        for date in range(ends.shape[1]):
            if ends[symbol, date] >= starts[symbol] + back:
                result[symbol, date] = column[ends[symbol, date] - back]
    return result


@_compiled
def means(starts: Positions, ends: Positions, column: Floats, length: int) -> Floats:
    """Mean over the last bars."""
    result = np.full(ends.shape, np.nan)
    for symbol in range(len(starts)):
        for date in range(ends.shape[1]):
            stop = ends[symbol, date] + 1
            if stop >= starts[symbol] + length:
                result[symbol, date] = _mean(column[stop - length : stop])
    return result


@_compiled
def highest(starts: Positions, ends: Positions, column: Floats, length: int) -> Floats:
    """Largest value of the last bars."""
    result = np.full(ends.shape, np.nan)
    for symbol in range(len(starts)):
        for date in range(ends.shape[1]):
            stop = ends[symbol, date] + 1
            if stop >= starts[symbol] + length:
                result[symbol, date] = _highest(column[stop - length : stop])
    return result


@_compiled
def mean_products(starts: Positions, ends: Positions, a: Floats, b: Floats, length: int) -> Floats:
    """Mean of a times b over the last bars."""
    result = np.full(ends.shape, np.nan)
    product = np.empty(_longest(starts, ends))
    for symbol in range(len(starts)):
        first, bars = starts[symbol], _known(starts, ends, symbol)
        product[:bars] = a[first : first + bars] * b[first : first + bars]
        for date in range(ends.shape[1]):
            stop = ends[symbol, date] + 1 - first
            if stop >= length:
                result[symbol, date] = _mean(product[stop - length : stop])
    return result


@_compiled
def deviations(starts: Positions, ends: Positions, close: Floats, length: int) -> Floats:
    """Sample standard deviation of the last returns from bar to bar."""
    result = np.full(ends.shape, np.nan)
    change = np.empty(_longest(starts, ends))
    for symbol in range(len(starts)):
        first, bars = starts[symbol], _known(starts, ends, symbol)
        _changes(close[first : first + bars], change)
        for date in range(ends.shape[1]):
            stop = ends[symbol, date] + 1 - first
            if stop > length:
                window = change[stop - length : stop]
                result[symbol, date] = np.sqrt(_squares(window, _mean(window)) / (length - 1))
    return result


@_compiled
def illiquidities(starts: Positions, ends: Positions, close: Floats, volume: Floats, length: int) -> Floats:
    """Mean over those of the last bars with trades of |return| / (close times volume)."""
    result = np.full(ends.shape, np.nan)
    impact = np.empty(_longest(starts, ends))
    traded = np.empty(len(impact))
    for symbol in range(len(starts)):
        first, bars = starts[symbol], _known(starts, ends, symbol)
        prices, shares = close[first : first + bars], volume[first : first + bars]
        _changes(prices, impact)
        for at in range(bars):
            dollars = prices[at] * shares[at]
            traded[at] = 1.0 if dollars != 0 else 0.0
            impact[at] = abs(impact[at]) / dollars if dollars != 0 else 0.0
        for date in range(ends.shape[1]):
            stop = ends[symbol, date] + 1 - first
            if stop > length:
                result[symbol, date] = _mean(impact[stop - length : stop]) / _mean(traded[stop - length : stop])
    return result


@_compiled
def betas(starts: Positions, ends: Positions, quotes: tuple[Floats, Days], market: Market, length: int) -> Floats:
    """Covariance of the last returns with the market's between the same bars, over the market's variance.

    Bars after the last day whose level was known are passed over.

    Args:
        quotes: close and day.
    """
    close, day = quotes
    level, first_day, until = market
    result = np.full(ends.shape, np.nan)
    change = np.empty(_longest(starts, ends))
    market_change, levels = np.empty(len(change)), np.empty(len(change))
    for symbol in range(len(starts)):
        first, bars = starts[symbol], _known(starts, ends, symbol)
        days = day[first : first + bars]
        for at in range(bars):
            levels[at] = level[days[at] - first_day]
        _changes(close[first : first + bars], change)
        _changes(levels[:bars], market_change)
        for date in range(ends.shape[1]):
            end = ends[symbol, date] - first if until[date] >= first_day else -1
            while end >= 0 and days[end] > until[date]:
                end -= 1
            if end >= length:
                own, whole = change[end + 1 - length : end + 1], market_change[end + 1 - length : end + 1]
                mean = _mean(whole)
                result[symbol, date] = _products(own, whole, mean) / _squares(whole, mean)
    return result


@_compiled
def _known(starts: Positions, ends: Positions, symbol: int) -> int:
    """Bars of a symbol up to the last one that any date knows."""
    return max(0, int(ends[symbol].max()) + 1 - int(starts[symbol]))


@_compiled
def _longest(starts: Positions, ends: Positions) -> int:
    """Bars of the symbol with the longest known history."""
    longest = 0
    for symbol in range(len(starts)):
        longest = max(longest, _known(starts, ends, symbol))
    return longest


@_compiled
def _changes(column: Floats, change: Floats) -> None:
    """Write the returns from bar to bar of one symbol; its first bar has none."""
    for at in range(1, len(column)):
        change[at] = column[at] / column[at - 1] - 1


@_summing
def _mean(x: Floats) -> float:
    total = 0.0
    for value in x:
        total += value
    return total / len(x)


@_summing
def _squares(x: Floats, mean: float) -> float:
    """Sum of the squared deviations from the mean."""
    total = 0.0
    for value in x:
        total += (value - mean) * (value - mean)
    return total


@_summing
def _products(y: Floats, x: Floats, mean: float) -> float:
    """Sum of y times x's deviations from its mean. Those add up to 0, so it is that of deviations of y, too."""
    total = 0.0
    for at in range(len(x)):
        total += y[at] * (x[at] - mean)
    return total


@_compiled
def _highest(x: Floats) -> float:
    a, b, c, d = x[0], x[0], x[0], x[0]
    fours = len(x) // 4 * 4
    for at in range(0, fours, 4):
        a = x[at] if x[at] > a else a
        b = x[at + 1] if x[at + 1] > b else b
        c = x[at + 2] if x[at + 2] > c else c
        d = x[at + 3] if x[at + 3] > d else d
    for value in x[fours:]:
        a = max(value, a)
    # Comparisons pass over a missing value; a sum does not.
    best: float = max(a, b, c, d) + 0 * _mean(x)
    return best
