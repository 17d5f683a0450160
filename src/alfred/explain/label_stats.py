"""What a label looks like, and which loss would be good: the notes' analysis, with its suggestion put right.

The notes suggest the larger of two targets, which with heavy tails is many times the variance, so that a forecast of
the mean would reach it easily. It is printed under its own name, beside the target that a wanted R² implies.
"""

from dataclasses import dataclass

import numpy as np

from alfred.core.contracts import Bools
from alfred.core.errors import ConfigError, DataError
from alfred.panel.panel import Panel

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
SHARE_OF_RANGE = 0.1
"""Of the notes: an error of 10% of the label's range."""


@dataclass(frozen=True)
class LabelStats:
    """One label over some rows; moments are divided by n.

    Attributes:
        label: its name.
        r2: share of the variance that a forecast is wanted to explain.
        rows, quarters: with the label.
        first, last: of these quarters' decision dates.
        mean, variance: of the label; the variance is the squared error of a forecast of the mean.
        lowest, highest: its ends.
        quantiles: probability to value.
        rises: share of labels above zero, the accuracy of "always up".
        came_about: how many labels of the rows came about in which way, those that are missing among them.
    """

    label: str
    r2: float
    rows: int
    quarters: int
    first: np.datetime64
    last: np.datetime64
    mean: float
    variance: float
    lowest: float
    highest: float
    quantiles: dict[float, float]
    rises: float
    came_about: dict[str, int]

    @property
    def span(self) -> float:
        """Highest less lowest."""
        return self.highest - self.lowest

    @property
    def deviation(self) -> float:
        """Standard deviation."""
        return float(np.sqrt(self.variance))

    @property
    def target_mse(self) -> float:
        """Mean squared error of a forecast with the wanted R²."""
        return (1 - self.r2) * self.variance

    @property
    def range_mse(self) -> float:
        """The notes' other target: the square of 10% of the range."""
        return (SHARE_OF_RANGE * self.span) ** 2

    @property
    def notes_mse(self) -> float:
        """What the notes suggest: the larger of both."""
        return max(self.target_mse, self.range_mse)

    def lines(self) -> tuple[str, ...]:
        """The notes' block, and what it lacked."""
        rmse = float(np.sqrt(self.target_mse))
        of_range = f"{rmse / self.span:.1%}" if self.span > 0 else "-"
        wanted = f"R² = {self.r2:g}"
        return (
            f"Analysis for '{self.label}' (Desired {wanted}):",
            f"  Variance (Baseline MSE): {self.variance:.4f}",
            f"  Range: {self.span:.4f}",
            f"  Mean: {self.mean:.4f}, Std: {self.deviation:.4f}",
            f"  Target MSE ({wanted}): {self.target_mse:.4f}",
            f"  Target MSE ({SHARE_OF_RANGE:.0%} Range): {self.range_mse:.4f}",
            f"  Suggested Target MSE: {self.target_mse:.4f}",
            f"  Suggested Target RMSE: {rmse:.4f} (avg error)",
            f"  Target RMSE as % of range: {of_range}",
            f"  The notes' suggestion, the larger of both: {self.notes_mse:.4f}{self._verdict()}",
            f'  Share above zero (accuracy of "always up"): {self.rises:.1%}',
            f"  Quantiles: {', '.join(f'{at:.0%} {value:.4f}' for at, value in self.quantiles.items())}",
            f"  Rows: {self.rows:,} in {self.quarters} quarters, {self.first} to {self.last}",
            *(f"    {count:,} {way}" for way, count in self.came_about.items()),
        )

    def _verdict(self) -> str:
        if self.notes_mse <= self.variance:
            return ""
        if not self.variance > 0:
            return ", worse than forecasting the mean"
        return f", {self.notes_mse / self.variance:.1f} times the variance: worse than forecasting the mean"


def label_stats(panel: Panel, label: str, rows: Bools, r2: float = 0.8) -> LabelStats:
    """Describe a label.

    Args:
        panel: where it is.
        label: its name.
        rows: (D, S) which rows.
        r2: share of the variance that is wanted to be explained, at least 0 and below 1.

    Raises:
        ConfigError: the panel has no such label, or `r2` is out of range.
        DataError: none of the rows has a label.
    """
    if not 0 <= r2 < 1:
        raise ConfigError(f"the wanted R² is {r2:g}; give a share of the variance from 0 to below 1, such as 0.8.")
    values = panel.labels.of(label)
    known = rows & np.isfinite(values)
    if not known.any():
        raise DataError(f"none of the {int(rows.sum())} rows has a label {label}; widen the period or the basket.")
    y = values[known]
    dates = panel.dates[known.any(axis=1)]
    return LabelStats(
        label=label,
        r2=r2,
        rows=len(y),
        quarters=len(dates),
        first=dates[0],
        last=dates[-1],
        mean=float(y.mean()),
        variance=float(y.var()),
        lowest=float(y.min()),
        highest=float(y.max()),
        quantiles=dict(zip(QUANTILES, np.quantile(y, QUANTILES).tolist(), strict=True)),
        rises=float((y > 0).mean()),
        came_about=panel.labels.came_about(rows),
    )
