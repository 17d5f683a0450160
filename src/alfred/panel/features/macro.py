"""Columns of the whole market and the economy: the same for every symbol on a date.

Prices change in proportion to their level, so the delta of one is relative: 10 USD are another thing for oil at 20
than at 100. Yields and the VIX are rates in per cent, which may come near zero or below it, where a relative change
explodes and turns its sign; 0.5 points more are 0.5 points more, so theirs is absolute.
"""

from collections.abc import Callable

import numpy as np

from alfred.core.contracts import Floats
from alfred.panel.catalogue import Feature
from alfred.panel.sources import Sources

KNOWN = "from the release's known_at, a revised value from its own; never before the day that it is about"
MISSING = (
    "where the latest day known of the series lies more than fill_days.series days before the decision date; "
    "before the series begins"
)
PRICES = {
    "SPY": ("S&P 500 fund SPY", "USD a share"),
    "CL=F": ("crude oil WTI, nearest future", "USD a barrel"),
    "BZ=F": ("crude oil Brent, nearest future", "USD a barrel"),
    "GC=F": ("gold, nearest future", "USD an ounce"),
    "BTC=F": ("bitcoin, nearest future", "USD a bitcoin"),
}
YIELDS = {f"{years}year": f"yield of {years}-year US treasuries" for years in (2, 3, 5, 10)}


def _level(sources: Sources, name: str) -> Floats:
    """(D,) value of one series about the latest day known."""
    series = sources.series
    if name not in series.table.names:
        return np.full(len(sources.dates), np.nan)
    at = series.table.names.index(name)
    age = sources.dates - series.day("date")[:, at]
    fresh = age <= np.timedelta64(sources.fill_days.series, "D")
    return np.where(fresh, series.number("value")[:, at], np.nan)


def _for_all(sources: Sources, values: Floats) -> Floats:
    return np.broadcast_to(values[:, None], (len(sources.dates), len(sources.symbols)))


def _column(name: str) -> Callable[[Sources], Floats]:
    def compute(sources: Sources) -> Floats:
        return _for_all(sources, _level(sources, name))

    return compute


def _slope(sources: Sources) -> Floats:
    return _for_all(sources, _level(sources, "10year") - _level(sources, "2year"))


def _formula(what: str) -> str:
    return f"{what}: its latest known day, in the vintage known last, of whichever source"


FEATURES = (
    Feature(
        "^VIX", _formula("CBOE volatility index"), "per cent a year", ("series",), KNOWN, MISSING, "signed-log",
        _column("^VIX"), delta="absolute",
    ),
    *(
        Feature(
            name, _formula(what), unit, ("series",), KNOWN, MISSING, "signed-log", _column(name), delta="relative"
        )
        for name, (what, unit) in PRICES.items()
    ),
    *(
        Feature(
            name, _formula(what), "per cent a year", ("series",), KNOWN, MISSING, "standard", _column(name),
            delta="absolute",
        )
        for name, what in YIELDS.items()
    ),
    Feature(
        "yield_slope", "10year - 2year", "percentage points", ("series",), KNOWN, "where one of the two is missing",
        "standard", _slope, delta="absolute",
    ),
)  # fmt: skip
