"""Volume columns. A source without volume leaves them missing; it is never taken for zero."""

from collections.abc import Callable

from alfred.core.contracts import Floats
from alfred.panel.catalogue import Feature
from alfred.panel.history import relative
from alfred.panel.sources import Sources

KNOWN = "at the decision date's close"
QUARTER = 63
# A return for each billion of dollars is of an order, for small and large companies, that a logarithm tells apart.
BILLION = 1e9


def _volume(sources: Sources) -> Floats:
    return sources.bars.last_volume / sources.splits.later


def _average_distance(sessions: int) -> Callable[[Sources], Floats]:
    def compute(sources: Sources) -> Floats:
        bars = sources.bars
        return relative(bars.last_volume, bars.mean(bars.volume, sessions))

    return compute


def _dollar_volume(sources: Sources) -> Floats:
    return sources.bars.dollar_volume(QUARTER)


def _illiquidity(sources: Sources) -> Floats:
    return sources.bars.illiquidity(QUARTER) * BILLION


FEATURES = (
    Feature(
        "Volume", "shares traded in the last session, as counted on the day: splits since are undone", "shares",
        ("bars", "actions"), KNOWN, "without a volume on the last bar", "signed-log", _volume, delta="relative",
        share_basis="shares", is_level=True,
    ),
    *(
        Feature(
            f"Volume_diff_MA_{n}", f"Volume / mean of the last {n} volumes - 1", "fraction", ("bars",), KNOWN,
            f"with fewer than {n} bars, a volume missing among them, or all of them 0", "signed-log",
            _average_distance(n),
        )
        for n in (7, 30, 90, 180)
    ),
    Feature(
        "dollar_volume", "mean of close times volume over the last 63 sessions", "USD per session", ("bars",), KNOWN,
        "with fewer than 63 bars or a volume missing among them", "signed-log", _dollar_volume, delta="relative",
    ),
    Feature(
        "illiquidity",
        "mean over those of the last 63 sessions with trades of |daily return| / (close times volume) (Amihud 2002)",
        "fraction per billion USD", ("bars",), KNOWN,
        "with fewer than 64 bars, a volume missing among them, or all of them 0", "signed-log", _illiquidity,
        delta="relative",
    ),
)  # fmt: skip
