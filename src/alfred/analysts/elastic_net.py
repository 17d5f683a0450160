"""Elastic net on the flattened window (Zou and Hastie 2005): few columns, small weights.

Penalty and mixing are chosen on the validation rows, the weights are learnt from the training rows alone.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np

from alfred.analysts._linear import FittedLinear, fitted_linear, restore_linear
from alfred.analysts._presets import SIZES, AnalystSpec, Choice, Preset, choose
from alfred.analysts._table import flat, labels_to_learn, of_least_loss
from alfred.core.contracts import FitRecord, FittedAnalyst, Floats, Windows
from alfred.core.progress import Progress
from alfred.training.settings import TrainSettings

PRESETS = {
    "elastic-net": Preset(
        "linear regression on the columns that pay for themselves; penalty and mixing chosen on the validation rows",
        labels=SIZES,
    )
}

MIXINGS = (0.1, 0.5, 1.0)
"""Shares of the absolute penalty in the whole: almost ridge, half, lasso."""
SHRINKING = 10.0 ** np.linspace(0.0, -3.0, 31)
"""Grid of absolute penalties over the one that leaves no weight: ten a decade, down to a thousandth."""
FEW_ROWS = 21
"""Of these as many as reach a hundredth, where rows are fewer than columns: below it noise is learnt by heart, slowly.
(glmnet's bounds are a ten-thousandth and a hundredth.)"""
TOLERANCE = 1e-6
"""A path step ends when no optimality condition is violated by more than this share of the largest moment."""
SWEEPS = 2_000


@dataclass(frozen=True)
class ElasticNet:
    """Minimises |y - intercept - x w|^2 / 2N + penalty (mixing |w|_1 + (1 - mixing) |w|^2 / 2) on the training rows."""

    spec: AnalystSpec
    target: str
    progress: Progress

    def fit(self, train: Windows, valid: Windows) -> FittedLinear:
        """Learn weights for every pair of the grid and keep those with the smallest validation error.

        Raises:
            DataError, LeakError: as `labels_to_learn`.
        """
        y, valid_y = labels_to_learn(train, valid, self.target)
        begun = time.perf_counter()
        x = flat(train)
        centre, mean = x.mean(axis=0), float(y.mean())
        x -= centre
        gram, moment = x.T @ x / len(y), x.T @ (y - mean) / len(y)
        grid, weights, unsettled = elastic_net_path(
            gram, moment, SHRINKING[: FEW_ROWS if len(y) < len(moment) else None]
        )
        if unsettled:
            self.progress.say(f"elastic-net: {unsettled} of {len(grid)} penalties were not solved in {SWEEPS} sweeps.")
        means = mean + (flat(valid) - centre) @ weights
        best = of_least_loss(((means - valid_y[:, None]) ** 2).mean(axis=0))
        chosen = weights[:, best]
        details: dict[str, float | str] = {
            "penalty": float(grid[best, 0]),
            "mixing": float(grid[best, 1]),
            "columns_used": float(np.count_nonzero(chosen)),
        }
        record = FitRecord(parameters=len(chosen) + 1, seconds=time.perf_counter() - begun, stopped="converged")
        intercept = mean - float(centre @ chosen)
        shaped = chosen.reshape(train.quarters, len(train.columns))
        return fitted_linear(self.spec, train, valid, shaped, intercept, record, details=details)


def elastic_net_path(gram: Floats, moment: Floats, shares: Floats = SHRINKING) -> tuple[Floats, Floats, int]:
    """Weights along `shares` for each of `MIXINGS`, each step begun where the one before ended.

    Coordinate descent on second moments (Friedman, Hastie and Tibshirani 2010): a sweep costs what its changes cost,
    whatever the number of rows.

    Args:
        gram: (P, P) x'x / N of centred columns.
        moment: (P,) x'y / N.
        shares: absolute penalties over the one that leaves no weight, descending from 1.

    Returns:
        (K, 2) penalty and mixing; (P, K) weights, from the weakest absolute penalty to the strongest; how many of the
        K were not solved to `TOLERANCE`.
    """
    largest = float(np.abs(moment).max(initial=0.0))
    pairs, found, unsettled = [], [], 0
    for mixing in MIXINGS:
        weights, gradient = np.zeros(len(moment)), moment.copy()
        for share in shares:
            absolute = largest * share
            square = absolute / mixing * (1 - mixing)
            settled = _descend(gram, weights, gradient, absolute, square, TOLERANCE * largest, SWEEPS)
            unsettled += not settled
            pairs.append((absolute / mixing, mixing))
            found.append(weights.copy())
    # Stable, so that at one absolute penalty the lasso, which uses fewest columns, stays last.
    order = np.argsort(np.tile(shares, len(MIXINGS)), kind="stable")
    return np.array(pairs)[order], np.array(found).T[:, order], unsettled


def _descend_plain(  # noqa: PLR0917 - compiled, it takes plain numbers
    gram: Floats, weights: Floats, gradient: Floats, absolute: float, square: float, tolerance: float, sweeps: int
) -> bool:
    """Minimise w'gram w / 2 - moment'w + absolute |w|_1 + square |w|^2 / 2 in place, one weight after another.

    `gradient` is moment - gram w and is kept so. A step times its curvature is how far the weight's own condition was
    violated; once no step of a sweep exceeds `tolerance` the weights are the minimum.
    """
    for _ in range(sweeps):
        worst = 0.0
        for at in range(len(weights)):
            curvature = gram[at, at] + square
            if curvature <= 0.0:
                continue
            before = weights[at]
            pull = gradient[at] + gram[at, at] * before
            size = max(abs(pull) - absolute, 0.0) / curvature
            after = size if pull > 0 else -size
            step = after - before
            if step != 0.0:
                weights[at] = after
                for other in range(len(weights)):
                    gradient[other] -= step * gram[at, other]
                worst = max(worst, abs(step) * curvature)
        if worst <= tolerance:
            return True
    return False


_descend: Callable[[Floats, Floats, Floats, float, float, float, int], bool] = numba.njit(cache=True)(_descend_plain)


def create(spec: AnalystSpec, train_settings: TrainSettings, seed: int, progress: Progress) -> ElasticNet:  # noqa: ARG001
    """An analyst that has not learnt yet; nothing in it depends on training settings or seed."""
    return ElasticNet(spec, choose(spec, PRESETS[spec.name]).label, progress)


def restore(folder: Path) -> FittedAnalyst:
    """What `save` wrote."""
    return restore_linear(folder)


def parameters(choice: Choice, columns: int, quarters: int) -> int:  # noqa: ARG001
    """A weight a cell of the window, zeros among them, and the intercept."""
    return columns * quarters + 1


def notes_parameters(choice: Choice) -> None:
    """The formula is for networks."""
