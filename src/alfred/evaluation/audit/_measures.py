"""Measures over dates and symbols that several checks share. All take (D, S) arrays with NaN for missing."""

import numpy as np
from numpy.typing import NDArray

from alfred.core.contracts import Bools, Floats
from alfred.evaluation.significance import newey_west
from alfred.panel.cross_section import cross_section

TIE_BREAK = 1e-7
"""Far less than two ranks differ by."""
FEWEST_NAMES = 5
"""Names that a date needs for a correlation across them."""
LAG_DATES = 3
"""Dates over which correlations may be correlated themselves."""
MOST_ROWS, FEWEST_ROWS = 40_000, 30
"""Rows that relations over all rows are measured on: more would only cost time, fewer would tell nothing."""


def ranks(values: Floats) -> Floats:
    """Each date's ranks among its names, scaled to (-1, 1); ties share theirs."""
    return cross_section(values, np.isfinite(values), "rank")


def untied(ranked: Floats, seed: int) -> Floats:
    """Ranks of each date with ties broken by lot: how many names are tied would tell which date it is."""
    noise = np.random.default_rng(seed).random(ranked.shape)
    return ranks(ranked + TIE_BREAK * noise)


def correlations(a: Floats, b: Floats) -> Floats:
    """(D,) correlation across names on each date, NaN with fewer than five or without spread."""
    both = np.isfinite(a) & np.isfinite(b)
    count = both.sum(axis=1)
    x, y = (_centred(values, both, count) for values in (a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = (x * y).sum(axis=1) / np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    return np.where((count >= FEWEST_NAMES) & np.isfinite(found), found, np.nan)


def _centred(values: Floats, both: Bools, count: NDArray[np.int64]) -> Floats:
    filled = np.where(both, values, 0.0)
    mean = filled.sum(axis=1) / np.maximum(count, 1)
    centred: Floats = np.where(both, filled - mean[:, None], 0.0)
    return centred


def mean_and_error(series: Floats) -> tuple[float, float, int]:
    """Mean over the dates that have a value, its Newey-West standard error, and their number.

    Not less than the error of independent values: negative autocorrelation in a short sample is no sign of precision.
    """
    known = series[np.isfinite(series)]
    if len(known) < LAG_DATES + 2:
        return 0.0, np.inf, len(known)
    independent = float(known.std(ddof=1)) / np.sqrt(len(known))
    return float(known.mean()), max(newey_west(known, LAG_DATES).error, independent), len(known)


def correlation(a: Floats, b: Floats) -> float:
    """Pearson correlation of two arrays of one shape over what both know; 0 where there is none."""
    both = np.isfinite(a) & np.isfinite(b)
    x, y = a[both], b[both]
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])


def pooled_ranks(values: Floats) -> Floats:
    """Places of values (N,) among one another, NaN where missing; equal ones in the order they stand."""
    placed = np.full(values.shape, np.nan)
    known = np.flatnonzero(np.isfinite(values))
    placed[known[np.argsort(values[known], kind="stable")]] = np.arange(len(known))
    return placed


def drawn_rows(known: Bools) -> NDArray[np.int64]:
    """Places of at most `MOST_ROWS` known cells in the flattened array, in random order, the same at every call."""
    return np.random.default_rng(0).permutation(np.flatnonzero(known))[:MOST_ROWS]


def dependence(cause: Floats, effect: Floats) -> float:
    """Chatterjee's xi of rows (N,): 0 where `effect` is unrelated to `cause`, 1 where it is a function of any shape.

    Chatterjee (2021), A new coefficient of correlation. Rows must stand in random order, which breaks ties of `cause`.
    """
    both = np.isfinite(cause) & np.isfinite(effect)
    if both.sum() < FEWEST_ROWS:
        return 0.0
    y = effect[both]
    order = y[np.argsort(cause[both], kind="stable")]
    ascending = np.sort(order)
    below = np.searchsorted(ascending, order, side="right")
    above = len(order) - np.searchsorted(ascending, order, side="left")
    spread = 2 * (above * (len(order) - above)).sum()
    return float(1 - len(order) * np.abs(np.diff(below)).sum() / spread) if spread else 0.0


def is_market_wide(values: Floats) -> bool:
    """Whether the column says the same of all names of each date."""
    known = np.isfinite(values)
    low = np.where(known, values, np.inf).min(axis=1, initial=np.inf)
    high = np.where(known, values, -np.inf).max(axis=1, initial=-np.inf)
    return bool((high <= low).all() and (known.sum(axis=1) > 1).any())


def of_the_market(values: Floats) -> Floats:
    """(D,) a market-wide column's value on each date, to the last bit; NaN where it has none."""
    highest = np.where(np.isfinite(values), values, -np.inf).max(axis=1, initial=-np.inf)
    return np.where(np.isfinite(highest), highest, np.nan)


def by_date(values: Floats) -> Floats:
    """(D,) mean over the names that have a value."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        mean: Floats = np.where(known, values, 0.0).sum(axis=1) / known.sum(axis=1)
    return mean


def belief_bound(dates: int, floor: float) -> float:
    """Correlation over so many dates that chance never reaches: 5.5 deviations of Fisher's z, at least `floor`."""
    return max(floor, float(np.tanh(5.5 / np.sqrt(max(dates - 3, 1)))))


def leading_runs(values: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Of each name: length of the run of one value that its known values begin with, longest later run, and count.

    Missing cells in between are passed over.
    """
    dates, symbols = values.shape
    known = np.isfinite(values)
    count = known.sum(axis=0)
    place = np.argsort(~known, axis=0, kind="stable")
    packed = np.take_along_axis(values, place, axis=0)
    first, later, run = (np.zeros(symbols, np.int64) for _ in range(3))
    leading = count > 0
    for date in range(dates):
        here = date < count
        same = here & (packed[date] == packed[date - 1]) if date else np.zeros(symbols, np.bool_)
        run = np.where(same, run + 1, here.astype(np.int64))
        leading &= same if date else here
        first = np.where(leading, run, first)
        later = np.where(here & ~leading, np.maximum(later, run), later)
    return first, later, count
