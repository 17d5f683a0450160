"""Logistic regression of a rise on the flattened window; the penalty is chosen by the validation log loss."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from alfred.analysts._linear import FittedLinear, fitted_linear, restore_linear
from alfred.analysts._presets import AnalystSpec, Choice, Preset, choose
from alfred.analysts._table import flat, labels_to_learn, of_least_loss
from alfred.core.contracts import DIRECTION, FitRecord, FittedAnalyst, Floats, Windows
from alfred.core.progress import Progress
from alfred.training.settings import TrainSettings

PRESETS = {
    "logistic": Preset(
        "logistic regression on all columns, its penalty chosen on the validation rows: probability of a rise",
        labels=(DIRECTION,),
        losses=("bce",),
        head="sigmoid",
    )
}

PENALTIES_PER_ROW = tuple(10.0**exponent for exponent in np.arange(-4.0, 4.25, 0.5))
"""Grid of penalties over the number of training rows: from all but none to one that leaves the share of rises."""
GRADIENT = 1e-6
"""Largest slope left at the end, in coordinates where the curvature is at most 1."""
STEPS = 1_000


@dataclass(frozen=True)
class Logistic:
    """Minimises the sum of log losses + penalty |w|^2 / 2 on the training rows; the intercept goes free."""

    spec: AnalystSpec
    target: str
    progress: Progress

    def fit(self, train: Windows, valid: Windows) -> FittedLinear:
        """Learn weights for every penalty of the grid and keep those with the smallest validation log loss.

        Raises:
            DataError, LeakError: as `labels_to_learn`.
        """
        y, valid_y = labels_to_learn(train, valid, self.target)
        begun = time.perf_counter()
        x = flat(train)
        centre = x.mean(axis=0)
        penalties = np.array(PENALTIES_PER_ROW) * len(y)
        weights, offsets, unsettled = logistic_path(x - centre, y, penalties)
        if unsettled:
            self.progress.say(f"logistic: {unsettled} of {len(penalties)} penalties were not solved in {STEPS} steps.")
        scores = (flat(valid) - centre) @ weights + offsets
        best = of_least_loss(_log_losses(scores, valid_y[:, None]).mean(axis=0))
        chosen = weights[:, best]
        record = FitRecord(parameters=len(chosen) + 1, seconds=time.perf_counter() - begun, stopped="converged")
        return fitted_linear(
            self.spec,
            train,
            valid,
            chosen.reshape(train.quarters, len(train.columns)),
            float(offsets[best] - centre @ chosen),
            record,
            head="sigmoid",
            details={"penalty": float(penalties[best])},
        )


def logistic_path(x: Floats, y: Floats, penalties: Floats) -> tuple[Floats, Floats, int]:
    """Weights (P, K) and intercepts (K,) for centred x (N, P) and y (N,) of 0 and 1 under K ascending penalties.

    The curvature of the log loss is nowhere more than x'x / 4 (Boehning and Lindsay 1988), and near that wherever
    probabilities are near a half. In x'x's eigenvectors, each scaled by its bound, L-BFGS therefore meets a bowl that
    is almost round, whatever the penalty. The strongest penalty is solved first, the next begins where it ended.

    Returns:
        weights, intercepts, and how many of the K were not solved to `GRADIENT`.
    """
    scale, vectors = np.linalg.eigh(x.T @ x)
    turned = x @ vectors
    weights, offsets = np.empty((x.shape[1], len(penalties))), np.empty(len(penalties))
    point, unsettled = np.zeros(x.shape[1] + 1), 0
    for at in reversed(range(len(penalties))):
        penalty = penalties[at]
        # The intercept's own bound stands last; no penalty holds it.
        width = 1 / np.sqrt(np.append(np.maximum(scale, 0.0) / 4 + penalty, len(y) / 4))

        def objective(z: Floats, penalty: float = penalty, width: Floats = width) -> tuple[float, Floats]:
            inner = z * width
            score = turned @ inner[:-1] + inner[-1]
            miss = expit(score) - y
            slope = np.append(turned.T @ miss + penalty * inner[:-1], miss.sum())
            loss = _log_losses(score, y).sum() + penalty * (inner[:-1] ** 2).sum() / 2
            return float(loss), slope * width

        found = minimize(
            objective,
            point / width,
            jac=True,
            method="L-BFGS-B",
            options={"gtol": GRADIENT, "ftol": 0.0, "maxiter": STEPS},
        )
        unsettled += bool(np.abs(found.jac).max() > 100 * GRADIENT)
        point = found.x * width
        weights[:, at], offsets[at] = vectors @ point[:-1], point[-1]
    return weights, offsets, unsettled


def _log_losses(score: Floats, y: Floats) -> Floats:
    """-log of the probability that a score gives to what happened; finite for every score."""
    losses: Floats = np.logaddexp(0.0, score) - y * score
    return losses


def create(spec: AnalystSpec, train_settings: TrainSettings, seed: int, progress: Progress) -> Logistic:  # noqa: ARG001
    """An analyst that has not learnt yet; nothing in it depends on training settings or seed."""
    return Logistic(spec, choose(spec, PRESETS[spec.name]).label, progress)


def restore(folder: Path) -> FittedAnalyst:
    """What `save` wrote."""
    return restore_linear(folder, head="sigmoid")


def parameters(choice: Choice, columns: int, quarters: int) -> int:  # noqa: ARG001
    """A weight a cell of the window, and the intercept."""
    return columns * quarters + 1


def notes_parameters(choice: Choice) -> None:
    """The formula is for networks."""
