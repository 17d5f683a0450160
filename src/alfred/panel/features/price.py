"""Price columns: distances from moving averages, price changes, momentum, risk."""

from collections.abc import Callable

import numpy as np

from alfred.core.contracts import Floats
from alfred.panel.catalogue import Feature
from alfred.panel.history import relative
from alfred.panel.sources import Sources

KNOWN = "at the decision date's close"
YEAR, QUARTER, MONTH = 252, 63, 21


def _average_distance(sessions: int) -> Callable[[Sources], Floats]:
    def compute(sources: Sources) -> Floats:
        bars = sources.bars
        return relative(bars.last_close, bars.mean(bars.close, sessions))

    return compute


def _price_change(sessions: int) -> Callable[[Sources], Floats]:
    def compute(sources: Sources) -> Floats:
        bars = sources.bars
        return relative(bars.last_close, bars.lag(bars.close, sessions))

    return compute


def _close(sources: Sources) -> Floats:
    return sources.bars.last_close * sources.splits.later


def _momentum(sources: Sources) -> Floats:
    bars = sources.bars
    return relative(bars.lag(bars.close, MONTH), bars.lag(bars.close, YEAR))


def _volatility(sources: Sources) -> Floats:
    return sources.bars.volatility(QUARTER) * float(np.sqrt(YEAR))


def _drawdown(sources: Sources) -> Floats:
    bars = sources.bars
    return relative(bars.last_close, bars.highest(bars.close, YEAR))


def _beta(sources: Sources) -> Floats:
    return sources.bars.beta(YEAR)


FEATURES = (
    Feature(
        "Close", "last close as quoted on the day: splits since are undone", "USD a share", ("bars", "actions"), KNOWN,
        "without a bar in the last sessions before the date", "signed-log", _close, delta="relative",
        share_basis="per-share", is_level=True,
    ),
    *(
        Feature(
            f"Close_diff_MA_{n}", f"Close / mean of the last {n} closes - 1", "fraction", ("bars",), KNOWN,
            f"with fewer than {n} bars", "standard", _average_distance(n),
        )
        for n in (7, 30, 90, 180)
    ),
    *(
        Feature(
            f"price_change_term_{n}", f"Close / close {n} sessions before - 1", "fraction", ("bars",), KNOWN,
            f"with fewer than {n + 1} bars", "standard", _price_change(n),
        )
        for n in (7, 30, 120, 240)
    ),
    Feature(
        "momentum_12_1", "close 21 sessions before / close 252 sessions before - 1 (Jegadeesh and Titman 1993)",
        "fraction", ("bars",), KNOWN, "with fewer than 253 bars", "standard", _momentum, delta="absolute",
    ),
    Feature(
        "realised_volatility", "standard deviation of the last 63 daily returns times sqrt(252)",
        "fraction per sqrt(year)", ("bars",), KNOWN, "with fewer than 64 bars", "robust", _volatility,
        delta="absolute",
    ),
    Feature(
        "drawdown", "Close / highest close of the last 252 sessions - 1", "fraction", ("bars",), KNOWN,
        "with fewer than 252 bars", "robust", _drawdown, delta="absolute",
    ),
    Feature(
        "beta",
        "covariance with the market's daily returns / their variance, last 252 sessions with a known index", "ratio",
        ("bars", "series"), KNOWN, "with fewer than 253 bars or without the market index", "standard", _beta,
        delta="absolute",
    ),
)  # fmt: skip
