"""How numbers read: a true minus, an en dash for what is absent, and intervals as "lower to upper"."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime

from alfred.core.contracts import Interval

DASH = "\u2013"
"""Stands for a value that the record doesn't have."""
_MINUS = "\u2212"


@dataclass(frozen=True)
class NumberStyle:
    """How one quantity is written.

    Attributes:
        digits: decimals.
        percent: write 0.123 as 12.3%.
        signed: write a plus before positive values.
        unit: follows the number without a space.
    """

    digits: int = 3
    percent: bool = False
    signed: bool = False
    unit: str = ""

    def text(self, value: float | None) -> str:
        """The number, or an en dash where it is None or not finite."""
        if value is None or not math.isfinite(value):
            return DASH
        scaled = value * 100 if self.percent else value
        written = f"{scaled:+,.{self.digits}f}" if self.signed else f"{scaled:,.{self.digits}f}"
        if float(written.replace(",", "")) == 0:
            written = written.lstrip("+-")
        return written.replace("-", _MINUS) + ("%" if self.percent else self.unit)

    def span(self, interval: Interval | None) -> str:
        """`lower to upper`, empty where there is no interval."""
        if interval is None or not (math.isfinite(interval.lower) and math.isfinite(interval.upper)):
            return ""
        return f"{self.text(interval.lower)} to {self.text(interval.upper)}"

    def difference(self) -> "NumberStyle":
        """The style of a difference between two such quantities."""
        return NumberStyle(self.digits, self.percent, signed=True, unit=self.unit)


COUNT = NumberStyle(0)
RATIO = NumberStyle(2)
PERCENT = NumberStyle(1, percent=True)
SIGNED_PERCENT = NumberStyle(1, percent=True, signed=True)
PERCENT_POINTS = NumberStyle(1, unit="%")
"""For quantities already in percent, as the notes' trade analysis has them."""


def level(interval: Interval | None) -> str:
    """`95%`, the confidence of an interval."""
    return "" if interval is None else f"{interval.level * 100:g}%"


def seconds(value: float | None) -> str:
    """Wall time with a unit that suits its size."""
    if value is None or not math.isfinite(value):
        return DASH
    if value >= 3599.5:
        minutes = round(value / 60)
        return f"{minutes // 60:,} h {minutes % 60:02} min"
    if value >= 59.95:
        return f"{round(value) // 60} min {round(value) % 60:02} s"
    if value >= 1:
        return f"{value:.1f} s"
    if 0 < value < 0.0005:
        return f"{value * 1e6:.0f} µs"
    return f"{value * 1000:.0f} ms"


def instant(text: str) -> str:
    """`2025-11-22 12:40 UTC` of an ISO instant; any other text as it is."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    if moment.tzinfo is None:
        return text
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def significant(value: float, digits: int = 5) -> float:
    """Rounded to significant digits, so that embedded curves stay light."""
    if value == 0 or not math.isfinite(value):
        return value
    return float(f"{value:.{digits}g}")


def listed(names: tuple[str, ...] | list[str]) -> str:
    """`a, b and c`."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
