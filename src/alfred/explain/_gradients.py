"""Networks: expected gradients, with the forecast itself as the known sum.

phi = mean over background rows b and places t between 0 and 1 of (x - b) * gradient of the forecast at b + t (x - b)

(Erion et al. 2021, Nature Machine Intelligence 3): the integrated gradients of Sundararajan et al. (2017) averaged over
baselines, which are the Aumann-Shapley values of the game that moves all cells together. Any function that torch can
differentiate almost everywhere has them, whatever its activations and normalisation, because no layer needs a rule of
its own. By the fundamental theorem of calculus they add up to forecast less mean background forecast; what sampling
leaves of that is taken off by regression on the known sum (`_parts.with_known_sum`).

Networks behind layer normalisation may be flat nearly everywhere and steep in between: then few of the places that are
drawn evenly show any gradient, and none of them tells so. Each way is therefore cut into `SEGMENTS` parts, the forecast
is asked for at the cuts, and half of the draws go where it changes, each weighed by the inverse of its chance
(defensive importance sampling, Hesterberg 1995, Technometrics 37; the sum stays the same, and no weight exceeds 2).
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from alfred.core.contracts import FittedAnalyst, Floats, Windows
from alfred.core.errors import DataError
from alfred.explain._parts import GRADIENTS, Parts, Told, with_known_sum
from alfred.explain.attribution import masked
from alfred.training.compute import is_small, parameters_of, threads
from alfred.training.losses import Head, activate

SEGMENTS = 2
"""Parts of the way from a background row to the row."""
EVENLY = 0.5
"""Share of the draws that goes everywhere alike."""
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
    fitted: FittedNetworkForm,
    windows: Windows,
    background: Windows,
    told: Told,
    name: str,
    samples: int,
    seed: int,
) -> Parts:
    """Values by sampling.

    A row keeps its own history: background rows are emptied where it has none. What that changes of the mean
    background forecast is the row's `history`.

    Raises:
        DataError: the gradients do not belong to the forecast, beyond what sampling explains; the message names the
            analyst.
    """
    forecast = told.rows
    values = np.empty((len(windows), windows.quarters, len(windows.columns)))
    history, errors = np.empty(len(windows)), np.empty((len(windows), len(windows.columns)))
    missed, noise = np.empty(len(windows)), np.empty(len(windows))
    patterns, which = np.unique(windows.seen, axis=0, return_inverse=True)
    for number, seen in enumerate(patterns):
        others, said = background, told.background
        if not (seen.all() and background.seen.all()):
            others = masked(background, seen)
            said = fitted.predict(others).mean
        x, begins = others.x, float(said.mean())

        def explain(at: int, x: NDArray[np.float32] = x, said: Floats = said, begins: float = begins) -> None:
            random = np.random.default_rng([seed, _row_key(windows, at)])
            way = _Way(fitted, windows.cells[windows.index[at]], windows.seen[at], x)
            draws = way.draws(float(forecast[at]), said, samples, random)
            total = float(forecast[at]) - begins
            own, residuals = with_known_sum(draws.reshape(samples, -1), total)
            values[at] = own.reshape(values.shape[1:])
            by_column = residuals.reshape(samples, *values.shape[1:]).sum(axis=1)
            errors[at] = by_column.std(axis=0) / np.sqrt(samples)
            history[at] = begins - told.base
            sums = draws.reshape(samples, -1).sum(axis=1)
            missed[at], noise[at] = total - sums.mean(), sums.std() / np.sqrt(samples)

        _each(explain, np.flatnonzero(which.ravel() == number).tolist(), parameters_of(fitted.network))
    return Parts(GRADIENTS, values, history, errors, _checked(name, missed, noise, forecast))


def _each(explain: Callable[[int], None], rows: Sequence[int], parameters: int) -> None:
    """Explain rows, for large networks as many at a time as torch has threads.

    Every row is computed by one thread: threads that share a row wait for one another, which on busy cores takes many
    times longer, and rows need nothing of each other.
    """
    workers = 1 if is_small(parameters, BLOCK) else torch.get_num_threads()
    with threads(1, parameters, BLOCK):
        if workers == 1:
            for at in rows:
                explain(at)
            return
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            # Reading the results raises what a row raised.
            list(pool.map(explain, rows))


@dataclass(frozen=True, eq=False)
class _Way:
    """The ways from B background rows to one row x (L, F), of which `seen` (L,) tells the history."""

    fitted: NetworkForm
    x: NDArray[np.float32]
    seen: NDArray[np.bool_]
    others: NDArray[np.float32]

    def draws(self, forecast: float, other_forecasts: Floats, samples: int, random: np.random.Generator) -> Floats:
        """(M, L, F) products of distance and gradient, weighed so that their mean is the attribution."""
        chance = self._chances(forecast, other_forecasts)
        # Evenly spread through the chances in a random order of the rows, so that no segment is left to luck.
        order = random.permutation(len(self.others))
        mixed = chance[order].ravel()
        wanted = (np.arange(samples) + random.random(samples)) / samples
        place = np.minimum(np.searchsorted(np.cumsum(mixed) / mixed.sum(), wanted), mixed.size - 1)
        row, segment = order[place // SEGMENTS], place % SEGMENTS
        places = ((segment + random.random(samples)) / SEGMENTS).astype(np.float32)
        weights = 1 / (chance.size * chance[row, segment])
        weighed: Floats = self._products(row, places) * weights[:, None, None]
        return weighed

    def _chances(self, forecast: float, other_forecasts: Floats) -> Floats:
        """(B, SEGMENTS) chances of a draw, 1 in all: half alike, half by how much the forecast changes."""
        count = len(self.others)
        cuts = np.empty((count, SEGMENTS + 1))
        cuts[:, 0], cuts[:, -1] = other_forecasts, forecast
        inner = np.arange(1, SEGMENTS, dtype=np.float32) / np.float32(SEGMENTS)
        cuts[:, 1:-1] = self._at(np.repeat(np.arange(count), SEGMENTS - 1), np.tile(inner, count)).reshape(count, -1)
        change = np.abs(np.diff(cuts, axis=1))
        whole = float(change.sum())
        alike = np.full(change.shape, 1 / change.size)
        return EVENLY * alike + (1 - EVENLY) * (change / whole if whole > 0 else alike)

    def _at(self, row: NDArray[np.int64], places: NDArray[np.float32]) -> Floats:
        """(M,) forecasts at places of the ways from rows."""
        told = [output.detach().cpu().double().numpy() for output, _, _ in self._passes(row, places, learn=False)]
        return np.concatenate(told)

    def _products(self, row: NDArray[np.int64], places: NDArray[np.float32]) -> Floats:
        """(M, L, F) distance times gradient there."""
        found = []
        for output, between, distance in self._passes(row, places, learn=True):
            (gradient,) = torch.autograd.grad(output.sum(), between)
            found.append(gradient.cpu().double().numpy() * distance)
        products: Floats = np.concatenate(found).astype(np.float64)
        return products

    def _passes(
        self, row: NDArray[np.int64], places: NDArray[np.float32], *, learn: bool
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor, NDArray[np.float32]]]:
        """Forecasts, the points that they are of, and the whole ways' distances, block by block."""
        network = self.fitted.network
        device = next(network.parameters()).device
        network.eval()
        with torch.set_grad_enabled(learn):
            for start in range(0, len(row), BLOCK):
                begin = self.others[row[start : start + BLOCK]]
                distance = self.x - begin
                points = torch.from_numpy(begin + places[start : start + BLOCK, None, None] * distance).to(device)
                points.requires_grad_(learn)
                there = torch.from_numpy(self.seen).to(device).expand(len(points), -1)
                yield activate(self.fitted.head, network(points, there)), points, distance


def _row_key(windows: Windows, at: int) -> int:
    """A number of the row's own name and date, so that its draws do not depend on the rows beside it."""
    return zlib.crc32(f"{windows.symbols[at]} {windows.dates[at]}".encode())


def _checked(name: str, missed: Floats, noise: Floats, forecast: Floats) -> float:
    """`Attribution.beside`: before the correction, sums must miss the forecast by no more than sampling does."""
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
    return beside
