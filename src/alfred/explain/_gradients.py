"""Networks: expected gradients, with the forecast itself as the known sum.

phi = mean over background rows b and places t between 0 and 1 of (x - b) * gradient of the forecast at b + t (x - b)

(Erion et al. 2021, Nature Machine Intelligence 3): the integrated gradients of Sundararajan et al. (2017) averaged over
baselines, which are the Aumann-Shapley values of the game that moves all cells together. Any function that torch can
differentiate almost everywhere has them, whatever its activations and normalisation, because no layer needs a rule of
its own. By the fundamental theorem of calculus they add up to forecast less mean background forecast; what sampling
leaves of that is taken off by regression on the known sum (`_parts.with_known_sum`).
"""

import zlib
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from alfred.core.contracts import FittedAnalyst, Floats, Windows
from alfred.core.errors import DataError
from alfred.explain._parts import GRADIENTS, Parts, with_known_sum
from alfred.explain.attribution import masked
from alfred.training.compute import parameters_of, threads
from alfred.training.losses import Head, activate

BLOCK = 256
"""Places of one pass through the network, of one row or of several."""
MOST_BESIDE = 6.0
"""Deviations of the sampling error that a single row's sum may lie beside the forecast, and half of that for many."""


@runtime_checkable
class NetworkForm(Protocol):
    """mean = head(network(x, seen))."""

    @property
    def network(self) -> nn.Module:
        """Of x (B, L, F) and seen (B, L)."""

    @property
    def head(self) -> Head:
        """What makes a forecast of the raw output."""


class FittedNetworkForm(NetworkForm, FittedAnalyst, Protocol):
    """A network that also forecasts."""


def gradient_parts(  # noqa: PLR0917 - as the other methods, and two numbers
    fitted: FittedNetworkForm, windows: Windows, background: Windows, name: str, samples: int, seed: int
) -> Parts:
    """Values by sampling.

    A row keeps its own history: background rows are emptied where it has none. What that changes of the mean
    background forecast is the row's `history`.

    Raises:
        DataError: the gradients do not belong to the forecast, beyond what sampling explains; the message names the
            analyst.
    """
    forecast, base = fitted.predict(windows).mean, float(fitted.predict(background).mean.mean())
    values = np.empty((len(windows), windows.quarters, len(windows.columns)))
    history, errors = np.empty(len(windows)), np.empty((len(windows), len(windows.columns)))
    missed, noise = np.empty(len(windows)), np.empty(len(windows))
    patterns, which = np.unique(windows.seen, axis=0, return_inverse=True)
    for number, seen in enumerate(patterns):
        others = masked(background, seen)
        begins = float(fitted.predict(others).mean.mean())
        for at in np.flatnonzero(which.ravel() == number):
            random = np.random.default_rng([seed, _row_key(windows, int(at))])
            draws = _draws(fitted, windows.rows(np.array([at])).x[0], seen, others.x, samples, random)
            total = float(forecast[at]) - begins
            own, residuals = with_known_sum(draws.reshape(samples, -1), total)
            values[at] = own.reshape(values.shape[1:])
            by_column = residuals.reshape(samples, *values.shape[1:]).sum(axis=1)
            errors[at] = by_column.std(axis=0) / np.sqrt(samples)
            history[at] = begins - base
            sums = draws.reshape(samples, -1).sum(axis=1, dtype=np.float64)
            missed[at], noise[at] = total - sums.mean(), sums.std() / np.sqrt(samples)
    _check_gradients(name, missed, noise, forecast)
    return Parts(GRADIENTS, values, history, errors)


def _draws(  # noqa: PLR0917 - one row and what it is mixed with
    fitted: NetworkForm, x: NDArray[np.float32], seen: NDArray[np.bool_], others: NDArray[np.float32], samples: int,
    random: np.random.Generator,
) -> NDArray[np.float32]:  # fmt: skip
    """(M, L, F) products of distance and gradient, at one place in each of M equal parts of the way.

    Every background row is taken equally often, or one time more than another.
    """
    rounds = [random.permutation(len(others)) for _ in range(-(-samples // len(others)))]
    chosen = others[np.concatenate(rounds)[:samples]]
    places = ((random.permutation(samples) + random.random(samples)) / samples).astype(np.float32)
    distance = x - chosen
    device = next(fitted.network.parameters()).device
    found = np.empty(distance.shape, np.float32)
    fitted.network.eval()
    with threads(None, parameters_of(fitted.network), BLOCK):
        for start in range(0, samples, BLOCK):
            part = slice(start, start + BLOCK)
            between = torch.from_numpy(chosen[part] + places[part, None, None] * distance[part]).to(device)
            between.requires_grad_(True)
            there = torch.from_numpy(np.broadcast_to(seen, (len(between), len(seen))).copy()).to(device)
            output: Any = activate(fitted.head, fitted.network(between, there))
            (gradient,) = torch.autograd.grad(output.sum(), between)
            found[part] = gradient.cpu().numpy() * distance[part]
    return found


def _row_key(windows: Windows, at: int) -> int:
    """A number of the row's own name and date, so that its draws do not depend on the rows beside it."""
    return zlib.crc32(f"{windows.symbols[at]} {windows.dates[at]}".encode())


def _check_gradients(name: str, missed: Floats, noise: Floats, forecast: Floats) -> None:
    """Before the correction, sums must miss the forecast by no more than sampling does."""
    # Rounding of single precision stands where nothing varies.
    deviation = np.sqrt(noise**2 + (1e-5 * np.abs(forecast) + 1e-9) ** 2)
    beside = float(np.sqrt(np.mean((missed / deviation) ** 2)))
    most = max(MOST_BESIDE / 2, MOST_BESIDE / np.sqrt(len(missed)))
    if not beside <= most:
        raise DataError(
            f"{name} cannot be explained by gradients: before any correction they miss its forecasts by {beside:.1f} "
            f"times their sampling error, where {most:.1f} are allowed. Its network holds a step without a true "
            "gradient (rounding, a threshold, a detached part), or needs more samples; ablate it instead."
        )
