"""How far a row's label may be expected to lie from its forecast: the unit in which residuals are counted."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from alfred.core.contracts import DIRECTION, Floats, Windows

COLUMN = "realised_volatility"
FLOOR = 0.25
"""A row's scale is at least this share of the mean: no line in volatility may promise certainty."""


@dataclass(frozen=True)
class LocalScale:
    """scale = max(base + slope x volatility, floor), volatility being the decision date's own, scaled as windows are.

    Attributes:
        base, slope: least squares of the training labels' absolute deviations from their mean on their volatility
            (Lei et al. 2018, section 5.2, learn the same from residuals; a share's forecast explains so little of its
            label that the two hardly differ, and labels belong to no analyst). For a direction, and where windows lack
            the column, the slope is 0 and all rows are alike.
        floor: least scale.
    """

    base: float = 1.0
    slope: float = 0.0
    floor: float = 0.0

    @classmethod
    def of(cls, train: Windows) -> Self:
        """Learn it from labelled training rows."""
        label = np.asarray(train.y, np.float64)
        deviation = np.abs(label - label.mean())
        expected = float(deviation.mean())
        if expected == 0:
            return cls()
        if COLUMN not in train.columns or train.target == DIRECTION:
            return cls(expected)
        volatility = _volatility(train)
        about = volatility - volatility.mean()
        varies = float((about**2).sum())
        slope = float((about * deviation).sum()) / varies if varies > 0 else 0.0
        return cls(expected - slope * float(volatility.mean()), slope, FLOOR * expected)

    def of_rows(self, windows: Windows, spread: Floats | None = None) -> Floats:
        """(N,) scales of the rows of `windows`.

        Args:
            windows: rows, with or without labels.
            spread: (N,) deviation of an ensemble's members about their mean. What nobody can know and what the members
                do not agree on add up as variances do (Lakshminarayanan et al. 2017).
        """
        scale = np.full(len(windows), self.base)
        if self.slope:
            scale = np.maximum(self.base + self.slope * _volatility(windows), self.floor)
        return scale if spread is None else np.hypot(scale, spread)


def _volatility(windows: Windows) -> Floats:
    values: Floats = windows.cells[windows.index[:, -1], windows.columns.index(COLUMN)].astype(np.float64)
    return values
