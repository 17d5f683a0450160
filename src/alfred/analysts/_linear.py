"""Forecasts that are a weighted sum of the window, or its logistic curve: what the linear analysts have learnt."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import expit

from alfred.analysts._conformal import Calibration, calibrate_rows
from alfred.analysts._presets import AnalystSpec
from alfred.analysts._store import read_analyst, read_saved, save_analyst
from alfred.analysts._table import parts
from alfred.core.contracts import FitRecord, Floats, Forecast, Windows
from alfred.training.losses import Head
from alfred.training.rows import Inputs


@dataclass(frozen=True)
class FittedLinear:
    """mean = intercept + sum of weights x window; with the head "sigmoid" 1 / (1 + exp(-of that)).

    Attributes:
        spec: what it was made from.
        inputs: windows it accepts.
        weights: (L, F) float64.
        intercept: the sum for a window of zeros.
        calibration: its confidence.
        record: cost of the fit.
        details: what else there is to know, such as the penalty.
    """

    spec: AnalystSpec
    inputs: Inputs
    weights: Floats
    intercept: float
    calibration: Calibration
    record: FitRecord
    details: dict[str, float | str]
    head: Head = "identity"

    def predict(self, windows: Windows) -> Forecast:
        """Forecast every row.

        Raises:
            DataError: the windows differ in columns, length, target or horizon from those learnt on.
        """
        self.inputs.require(windows, "the windows to forecast")
        mean = linear_mean(windows, self.weights, self.intercept, self.head)
        return self.calibration.of_rows(windows, mean)

    def save(self, folder: Path) -> None:
        """Write it into `folder`."""
        weights = {"weights": self.weights, "intercept": np.array([self.intercept])}
        save_analyst(
            folder, self.spec, self.inputs, self.calibration, self.record, weights=weights, details=self.details
        )


def linear_mean(windows: Windows, weights: Floats, intercept: float, head: Head) -> Floats:
    """(N,) forecasts. Each row is added up by itself: a matrix product rounds a row by how many stand beside it."""
    flat = weights.ravel()
    means = np.empty(len(windows))
    for place, x in parts(windows):
        means[place] = intercept + (x.astype(np.float64) * flat).sum(axis=1)
    return expit(means) if head == "sigmoid" else means


def fitted_linear(  # noqa: PLR0917 - the order in which a fit comes by them
    spec: AnalystSpec,
    train: Windows,
    valid: Windows,
    weights: Floats,
    intercept: float,
    record: FitRecord,
    *,
    head: Head = "identity",
    details: dict[str, float | str] | None = None,
    rise_share: float | None = None,
) -> FittedLinear:
    """What was learnt, with its confidence from the validation rows.

    Raises:
        DataError: there are too few validation rows.
    """
    mean = linear_mean(valid, weights, intercept, head)
    calibration = calibrate_rows(train, valid, mean, rise_share=rise_share)
    return FittedLinear(spec, Inputs.of(valid), weights, intercept, calibration, record, details or {}, head)


def restore_linear(folder: Path, head: Head = "identity") -> FittedLinear:
    """What `FittedLinear.save` wrote.

    Raises:
        DataError: the folder holds something else.
    """
    inputs = read_saved(folder).inputs
    shapes = {"weights": (inputs.quarters, len(inputs.columns)), "intercept": (1,)}
    saved, tensors, calibration = read_analyst(folder, shapes)
    return FittedLinear(
        saved.spec,
        inputs,
        tensors["weights"].astype(np.float64),
        float(tensors["intercept"][0]),
        calibration,
        saved.record,
        dict(saved.details),
        head,
    )
