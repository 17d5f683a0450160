"""Confidence from validation residuals: split-conformal intervals and the probability of a rise.

Validation rows were not learnt from and lie between training and test. If their residuals are exchangeable with the
test's, an interval of the forecast plus or minus the ceil((n+1) level)-th smallest absolute residual holds the label
with at least probability `level` (Vovk, Gammerman and Shafer 2005; Lei et al. 2018). Two things are made for markets:

- Residuals are counted in units of what the row lets expect (`_scale.py`), so that intervals are wide where the label
  varies much: normalised conformal prediction (Lei et al. 2018, section 5.2).
- Rows of one quarter move together. Every quarter therefore weighs the same however many names it has, as groups do in
  hierarchical conformal prediction (Dunn, Wasserman and Ramdas 2023; Lee, Barber and Willett 2023). Their further mass
  of one quarter at infinity guarantees the level where a quarter's rows are all one, but holds up to level / quarters
  too much where they differ; it is left out here, and the walk-forward corrects by what it sees
  (`alfred.evaluation.rolling`).

Quarters are not exchangeable in time, and networks also choose their epoch on these rows, so coverage is measured on
the test rows, never taken for granted.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from alfred.analysts._scale import LocalScale
from alfred.core.calendar import Dates
from alfred.core.contracts import DIRECTION, Floats, Forecast, Windows
from alfred.core.errors import DataError
from alfred.core.quantile import date_weights, weighted_quantile

LEVEL = 0.8


@dataclass(frozen=True)
class Calibration:
    """What turns point forecasts into a `Forecast`.

    Attributes:
        target: label.
        level: nominal coverage.
        half_width: of the interval, in units of a row's scale.
        residuals: (n,) validation labels about their forecasts in units of their rows' scales, ascending.
        weights: (n,) what each of them counts, 1 in all.
        local: the scale of a row.
        rise_share: probability of a rise for every row alike, or None where it follows from the residuals.
    """

    target: str
    level: float
    half_width: float
    residuals: Floats
    weights: Floats
    local: LocalScale = field(default_factory=LocalScale)
    rise_share: float | None = None

    def of_rows(self, windows: Windows, mean: Floats, spread: Floats | None = None) -> Forecast:
        """The forecasts `mean` (N,) of the rows of `windows` with their confidence.

        Args:
            windows: what was forecast.
            mean: point forecasts.
            spread: (N,) deviation of an ensemble's members, as in `calibrate_rows`.
        """
        return self.forecast(mean, self.local.of_rows(windows, spread))

    def forecast(self, mean: Floats, scale: Floats | None = None) -> Forecast:
        """Intervals and probabilities around (N,) point forecasts whose rows have the scales `scale`, default 1.

        For PQ the forecast is the probability itself, and forecasts and intervals are kept within [0, 1].
        """
        scale = np.ones(len(mean)) if scale is None else scale
        half = self.half_width * scale
        if self.target == DIRECTION:
            mean = np.clip(mean, 0.0, 1.0)
            lower, upper = np.maximum(mean - half, 0.0), np.minimum(mean + half, 1.0)
            return Forecast(mean=mean, lower=lower, upper=upper, prob_up=mean, level=self.level)
        return Forecast(
            mean=mean, lower=mean - half, upper=mean + half, prob_up=self._prob_up(mean / scale), level=self.level
        )

    def _prob_up(self, mean: Floats) -> Floats:
        if self.rise_share is not None:
            return np.full(len(mean), self.rise_share)
        rows = len(self.residuals)
        up_to = np.append(0.0, np.cumsum(self.weights))
        above = rows * np.maximum(1.0 - up_to[np.searchsorted(self.residuals, -mean, side="right")], 0.0)
        # One row of each kind is added, so that no forecast is ever called certain (Laplace's rule of succession).
        smoothed: Floats = (above + 1) / (rows + 2)
        return smoothed


def calibrate_rows(
    train: Windows,
    valid: Windows,
    mean: Floats,
    spread: Floats | None = None,
    *,
    rise_share: float | None = None,
    own_scale: Floats | None = None,
) -> Calibration:
    """Learn a `Calibration` from the forecasts (n,) of the validation rows, and rows' scales from the training rows.

    Args:
        train: labelled rows that were learnt from.
        valid: labelled rows of later quarters.
        mean: forecasts of `valid`.
        spread: (n,) deviation of an ensemble's members about each forecast; it widens intervals.
        rise_share: as in `Calibration`.
        own_scale: (n,) deviation that the analyst itself gives each forecast, in place of the one learnt from training
            rows; later forecasts then need theirs, too.

    Raises:
        DataError: as `calibrate`.
    """
    local = LocalScale.of(train)
    scale = local.of_rows(valid, spread) if own_scale is None else own_scale
    return calibrate(
        valid.target,
        mean,
        np.asarray(valid.y, np.float64),
        dates=valid.dates,
        scale=scale,
        local=local,
        rise_share=rise_share,
    )


def calibrate(
    target: str,
    mean: Floats,
    label: Floats,
    level: float = LEVEL,
    rise_share: float | None = None,
    *,
    dates: Dates | None = None,
    scale: Floats | None = None,
    local: LocalScale | None = None,
) -> Calibration:
    """Learn a `Calibration` from (n,) forecasts and labels.

    Args:
        target: label.
        mean, label: (n,) forecasts and what came.
        level: nominal coverage.
        rise_share: as in `Calibration`.
        dates: (n,) decision dates; each date weighs the same. None: each row does.
        scale: (n,) what the residuals are counted in, default 1.
        local: what `scale` came from.

    Raises:
        DataError: too few rows for the level (0.8 needs 4).
    """
    if target == DIRECTION:
        mean = np.clip(mean, 0.0, 1.0)
    rows = len(label)
    needed = math.ceil(round(level / (1 - level), 9))
    if rows < needed:
        raise DataError(f"intervals at level {level:g} need at least {needed} validation rows, got {rows}.")
    scale = np.ones(rows) if scale is None else scale
    weights = date_weights(dates) if dates is not None else np.full(rows, 1 / rows)
    residuals = (label - mean) / scale
    half_width = weighted_quantile(np.abs(residuals), weights, level)
    order = np.argsort(residuals, kind="stable")
    return Calibration(
        target=target,
        level=level,
        half_width=half_width,
        residuals=residuals[order],
        weights=weights[order],
        local=local or LocalScale(),
        rise_share=rise_share,
    )
