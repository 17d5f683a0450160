"""Confidence from validation residuals: split-conformal intervals and the probability of a rise.

Validation rows were not learnt from and lie between training and test. If their residuals are exchangeable with the
test's, an interval of the forecast plus or minus the ceil((n+1) level)-th smallest absolute residual holds the label
with at least probability `level` (Vovk, Gammerman and Shafer 2005; Lei et al. 2018). Markets are not exchangeable in
time, and networks also choose their epoch on these rows, so coverage is measured on the test rows, never taken for
granted.
"""

import math
from dataclasses import dataclass

import numpy as np

from alfred.core.contracts import DIRECTION, Floats, Forecast
from alfred.core.errors import DataError

LEVEL = 0.8


@dataclass(frozen=True)
class Calibration:
    """What turns point forecasts into a `Forecast`.

    Attributes:
        target: label.
        level: nominal coverage.
        half_width: of the interval, in units of the label.
        residuals: (n,) validation labels less their forecasts, ascending.
        rise_share: probability of a rise for every row alike, or None where it follows from the residuals.
    """

    target: str
    level: float
    half_width: float
    residuals: Floats
    rise_share: float | None = None

    def forecast(self, mean: Floats) -> Forecast:
        """Intervals and probabilities around (N,) point forecasts.

        For PQ the forecast is the probability itself, and forecasts and intervals are kept within [0, 1].
        """
        if self.target == DIRECTION:
            mean = np.clip(mean, 0.0, 1.0)
            lower, upper = np.maximum(mean - self.half_width, 0.0), np.minimum(mean + self.half_width, 1.0)
            return Forecast(mean=mean, lower=lower, upper=upper, prob_up=mean, level=self.level)
        return Forecast(
            mean=mean,
            lower=mean - self.half_width,
            upper=mean + self.half_width,
            prob_up=self._prob_up(mean),
            level=self.level,
        )

    def _prob_up(self, mean: Floats) -> Floats:
        if self.rise_share is not None:
            return np.full(len(mean), self.rise_share)
        rows = len(self.residuals)
        above = rows - np.searchsorted(self.residuals, -mean, side="right")
        # One row of each kind is added, so that no forecast is ever called certain (Laplace's rule of succession).
        smoothed: Floats = (above + 1) / (rows + 2)
        return smoothed


def calibrate(
    target: str, mean: Floats, label: Floats, level: float = LEVEL, rise_share: float | None = None
) -> Calibration:
    """Learn a `Calibration` from (n,) validation forecasts and labels.

    Raises:
        DataError: too few rows for the level (0.8 needs 4).
    """
    if target == DIRECTION:
        mean = np.clip(mean, 0.0, 1.0)
    residuals = np.sort(label - mean)
    rows = len(residuals)
    # Rounding keeps 0.8 x 5 from becoming the fifth of four residuals in binary.
    rank = math.ceil(round((rows + 1) * level, 9))
    if rank > rows:
        needed = math.ceil(round(level / (1 - level), 9))
        raise DataError(f"intervals at level {level:g} need at least {needed} validation rows, got {rows}.")
    half_width = float(np.partition(np.abs(residuals), rank - 1)[rank - 1])
    return Calibration(target, level, half_width, residuals, rise_share)
