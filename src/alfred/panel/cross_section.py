"""Columns compared across names on each date: what a company's figure is worth beside the others' of the same day.

Both kinds look at one date alone, so nothing has to be learnt from training rows, and nothing of another date enters.
"""

from collections.abc import Callable
from typing import Literal

import numba
import numpy as np
from numpy.typing import NDArray

from alfred.core.contracts import Bools, Floats

CrossSection = Literal["rank", "z-score"]

NO_SPREAD = 1e-12
"""A date's deviation below this fraction of its largest value is rounding, not a difference between names."""


def cross_section(values: Floats, listed: Bools, kind: CrossSection) -> Floats:
    """Each date's values relative to those of the other listed names.

    "rank" maps the date's ranks into (-1, 1), as Gu, Kelly and Xiu (2020, "Empirical asset pricing via machine
    learning") do: 2 (rank - 1/2) / n - 1 among the n names with a value, ties at their mean rank. The mean is 0, the
    median name gets 0, and the largest of n gets 1 - 1/n; a name alone gets 0.

    "z-score" is (value - mean) / deviation, the deviation that of the n names themselves (divided by n). Where there
    are fewer than two values, or all are the same, each becomes 0.

    Args:
        values: (D, S), NaN where missing.
        listed: (D, S) which names there were; others are neither compared with nor given a value.
        kind: "rank" or "z-score".

    Returns:
        (D, S), NaN where a value is missing or its name was not listed.
    """
    known = np.where(listed, values, np.nan)
    if kind == "rank":
        return _ranks(known, np.argsort(known, axis=1))
    there = np.isfinite(known)
    count = np.maximum(there.sum(axis=1, keepdims=True), 1)
    apart = known - np.where(there, known, 0.0).sum(axis=1, keepdims=True) / count
    deviation = np.sqrt((np.where(there, apart, 0.0) ** 2).sum(axis=1, keepdims=True) / count)
    largest = np.where(there, np.abs(known), 0.0).max(axis=1, keepdims=True, initial=0.0)
    spread = deviation > NO_SPREAD * largest
    scored: Floats = np.where(spread, apart / np.where(spread, deviation, 1.0), np.where(there, 0.0, np.nan))
    return scored


def tells_apart(values: Floats, listed: Bools) -> bool:
    """Whether some date has two listed names with different values.

    A column for which this is False, such as a macroeconomic one, has no cross-section: each date would become 0.

    Args:
        values: (D, S), NaN where missing.
        listed: (D, S) which names there were.
    """
    there = listed & np.isfinite(values)
    lowest = np.where(there, values, np.inf).min(axis=1, initial=np.inf)
    highest = np.where(there, values, -np.inf).max(axis=1, initial=-np.inf)
    return bool((highest > lowest).any())


def _rank_each_date(known: Floats, order: NDArray[np.intp]) -> Floats:
    """(D, S) scaled ranks of `known`, whose rows `order` sorts with missing values last."""
    dates, symbols = known.shape
    ranks = np.full((dates, symbols), np.nan)
    for date in range(dates):
        count = symbols
        while count > 0 and np.isnan(known[date, order[date, count - 1]]):
            count -= 1
        first = 0
        while first < count:
            last = first
            while last + 1 < count and known[date, order[date, last + 1]] == known[date, order[date, first]]:
                last += 1
            # Places first..last, counted from 0, share the mean rank (first + last) / 2 + 1.
            rank = (first + last + 1) / count - 1
            for place in range(first, last + 1):
                ranks[date, order[date, place]] = rank
            first = last + 1
    return ranks


_ranks: Callable[[Floats, NDArray[np.intp]], Floats] = numba.njit(cache=True)(_rank_each_date)
