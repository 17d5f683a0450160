"""Volume columns. A source without volume leaves them missing; it is never taken for zero."""

from collections.abc import Callable

import numpy as np

from alfred.core.contracts import Floats
from alfred.panel.catalogue import Feature
from alfred.panel.sources import Sources

KNOWN = "at the decision date's close"


def _volume(sources: Sources) -> Floats:
    return sources.bars.lag(sources.bars.volume) / sources.splits.later


def _average_distance(sessions: int) -> Callable[[Sources], Floats]:
    def compute(sources: Sources) -> Floats:
        bars = sources.bars
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = bars.lag(bars.volume) / bars.mean(bars.volume, sessions) - 1
        return np.where(np.isfinite(distance), distance, np.nan)

    return compute


def _turnover(sources: Sources) -> Floats:
    bars = sources.bars
    return bars.mean(bars.close * bars.volume, 63)


FEATURES = (
    Feature(
        "Volume", "shares traded in the last session, as counted on the day: splits since are undone", "shares",
        ("bars", "actions"), KNOWN, "without a volume on the last bar", "signed-log", _volume, delta="relative",
        share_basis="shares", is_level=True,
    ),
    *(
        Feature(
            f"Volume_diff_MA_{n}", f"Volume / mean of the last {n} volumes - 1", "fraction", ("bars",), KNOWN,
            f"with fewer than {n} bars, a volume missing among them, or all of them 0", "robust",
            _average_distance(n),
        )
        for n in (7, 30, 90, 180)
    ),
    Feature(
        "turnover", "mean of close times volume over the last 63 sessions", "USD per session", ("bars",), KNOWN,
        "with fewer than 63 bars or a volume missing among them", "signed-log", _turnover, delta="relative",
    ),
)  # fmt: skip
