"""Ridge regression on the flattened window; the penalty is chosen on the validation rows.

For PQ it is a linear probability, clipped to [0, 1].
"""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alfred.analysts._linear import FittedLinear, fitted_linear, restore_linear
from alfred.analysts._presets import AnalystSpec, Choice, Preset, choose
from alfred.analysts._table import flat, labels_to_learn, of_least_loss
from alfred.core.contracts import DIRECTION, FitRecord, FittedAnalyst, Floats, Windows
from alfred.core.progress import Progress
from alfred.training.settings import TrainSettings

PRESETS = {"ridge": Preset("linear regression on all columns, its penalty chosen on the validation rows")}

PENALTIES_PER_ROW = tuple(10.0**exponent for exponent in np.arange(-4.0, 4.25, 0.5))
"""Grid of penalties over the number of training rows: from all but none to one that leaves the training mean."""


@dataclass(frozen=True)
class Ridge:
    """Minimises sum (y - intercept - x w)^2 + penalty |w|^2 on the training rows."""

    spec: AnalystSpec
    target: str

    def fit(self, train: Windows, valid: Windows) -> FittedLinear:
        """Learn weights for every penalty of the grid and keep those with the smallest validation error.

        Raises:
            DataError, LeakError: as `labels_to_learn`.
        """
        y, valid_y = labels_to_learn(train, valid, self.target)
        begun = time.perf_counter()
        x = flat(train)
        penalties = np.array(PENALTIES_PER_ROW) * len(y)
        weights = ridge_path(x - x.mean(axis=0), y - y.mean(), penalties)
        intercepts = y.mean() - x.mean(axis=0) @ weights
        means = flat(valid) @ weights + intercepts
        if self.target == DIRECTION:
            means = np.clip(means, 0.0, 1.0)
        best = of_least_loss(((means - valid_y[:, None]) ** 2).mean(axis=0))
        record = FitRecord(parameters=len(weights) + 1, seconds=time.perf_counter() - begun)
        chosen = weights[:, best].reshape(train.quarters, len(train.columns))
        details: dict[str, float | str] = {"penalty": float(penalties[best])}
        return fitted_linear(self.spec, train, valid, chosen, float(intercepts[best]), record, details=details)


def ridge_path(x: Floats, y: Floats, penalties: Floats) -> Floats:
    """Ridge weights (P, K) for centred x (N, P) and y (N,) under K penalties, from one eigendecomposition.

    With x'x = Q diag(s) Q', the weights under penalty k are Q diag(1 / (s + k)) Q' x'y (Hoerl and Kennard 1970).
    """
    scale, vectors = np.linalg.eigh(x.T @ x)
    shrunk = (vectors.T @ (x.T @ y))[:, None] / (np.maximum(scale, 0.0)[:, None] + penalties)
    weights: Floats = vectors @ shrunk
    return weights


def create(spec: AnalystSpec, train_settings: TrainSettings, seed: int, progress: Progress) -> Ridge:  # noqa: ARG001
    """An analyst that has not learnt yet; nothing in it depends on training settings or seed."""
    return Ridge(spec, choose(spec, PRESETS[spec.name]).label)


def restore(folder: Path) -> FittedAnalyst:
    """What `save` wrote."""
    return restore_linear(folder)


def parameters(choice: Choice, columns: int, quarters: int) -> int:  # noqa: ARG001
    """A weight a cell of the window, and the intercept."""
    return columns * quarters + 1


def notes_parameters(choice: Choice) -> None:
    """The formula is for networks."""
