"""Shapley values of an analyst's forecasts, by what the analyst is.

| analyst | method | exact |
| --- | --- | --- |
| weighted sums (naive, momentum, ridge, elastic net, logistic) | closed form | yes |
| trees | interventional TreeSHAP | yes |
| networks | expected gradients | sampled, their sum is exact |
| ensembles | their members' values, weighed as they count | as its members |
| any other | sampled permutations of the columns | sampled, their sum is exact |

The game is the same for all: a cell that is not told is drawn from the background, rows that the analyst was trained
on (interventional: correlations among columns are not used to guess it). The base is the mean forecast of the
background. See docs/explain.md.
"""

from collections.abc import Sequence
from typing import Protocol, cast, runtime_checkable

import numpy as np
from pydantic import Field

from alfred.core.contracts import DIRECTION, FittedAnalyst, Floats, Windows
from alfred.core.errors import DataError
from alfred.core.settings import Settings
from alfred.explain._boxes import TreeForm, tree_parts
from alfred.explain._linear import LinearForm, linear_parts
from alfred.explain._parts import Parts, Told
from alfred.explain._sampling import sampled_parts
from alfred.explain.attribution import Attribution


class ExplainSettings(Settings):
    """How forecasts are explained.

    Attributes:
        background: training rows that what is not told is drawn from.
        samples: draws a row, of networks.
        orders: orders of the columns a row, of analysts that can only be asked.
        seed: of the background and of all draws.
    """

    background: int = Field(default=128, ge=2, le=10_000)
    samples: int = Field(default=192, ge=16, le=100_000)
    orders: int = Field(default=32, ge=4, le=100_000)
    seed: int = Field(default=0, ge=0)


class MemberForm(Protocol):
    """A member of an ensemble."""

    @property
    def quarters(self) -> int:
        """Latest quarters that it looks at."""


@runtime_checkable
class EnsembleForm(Protocol):
    """mean = intercept + sum of weights (M,) x mean over each member's fits."""

    @property
    def members(self) -> Sequence[MemberForm]:
        """M members."""

    @property
    def fits(self) -> Sequence[Sequence[FittedAnalyst]]:
        """Of each, one for each of its seeds."""

    @property
    def weights(self) -> Floats:
        """(M,)."""

    @property
    def intercept(self) -> float:
        """Of the sum."""


_DEFAULTS = ExplainSettings()


def background_rows(train: Windows, count: int, seed: int) -> Windows:
    """At most `count` of the training rows, drawn without repeats, in their order and without labels."""
    chosen = np.random.default_rng(seed).permutation(len(train))[:count]
    return train.rows(np.sort(chosen)).without_labels()


def attribute(
    fitted: FittedAnalyst,
    windows: Windows,
    background: Windows,
    name: str,
    settings: ExplainSettings = _DEFAULTS,
) -> Attribution:
    """What each cell of every row adds to the row's forecast.

    Args:
        fitted: an analyst that has learnt.
        windows: rows to explain; labels are not read.
        background: rows that it was trained on, as `background_rows` draws them.
        name: what errors call the analyst.
        settings: of the sampling.

    Raises:
        DataError: there are no rows, the values do not add up to the forecasts within 1e-3 of each, or the analyst's
            gradients are not those of its forecasts; the message names it.
    """
    if not len(windows) or not len(background):
        raise DataError(f"explaining {name} needs rows and a background, got {len(windows)} and {len(background)}.")
    windows, background = windows.without_labels(), background.without_labels()
    told = Told.by(fitted, windows, background)
    parts = _parts(fitted, windows, background, told, name, settings)
    return Attribution(
        name,
        parts.method,
        windows.columns,
        windows.dates,
        windows.symbols,
        parts.values,
        parts.history,
        np.full(len(windows), told.base),
        told.rows,
        parts.errors,
        windows.cells[windows.index[:, -1]].astype(np.float64),
        parts.beside,
    ).check()


def _parts(  # noqa: PLR0917 - what is known of one explanation
    fitted: FittedAnalyst, windows: Windows, background: Windows, told: Told, name: str, settings: ExplainSettings
) -> Parts:
    if isinstance(fitted, EnsembleForm):
        return _ensemble_parts(fitted, windows, background, told, name, settings)
    if isinstance(fitted, LinearForm):
        return linear_parts(fitted, windows, background)
    if isinstance(fitted, TreeForm):
        return tree_parts(fitted, windows, background)
    if hasattr(fitted, "network"):
        # Only whoever has a network needs torch, which takes seconds to load.
        from alfred.explain._gradients import FittedNetworkForm, NetworkForm, gradient_parts

        if isinstance(fitted, NetworkForm):
            network = cast("FittedNetworkForm", fitted)
            return gradient_parts(network, windows, background, told, name, settings.samples, settings.seed)
    return sampled_parts(fitted, windows, background, told, settings.orders, settings.seed)


def _ensemble_parts(  # noqa: PLR0917 - as `_parts`
    fitted: EnsembleForm, windows: Windows, background: Windows, told: Told, name: str, settings: ExplainSettings
) -> Parts:
    """Members' values, which are linear in the game; sampling errors of members are independent."""
    rows, columns = len(windows), len(windows.columns)
    values, history = np.zeros((rows, windows.quarters, columns)), np.zeros(rows)
    variance, methods, beside = np.zeros((rows, columns)), [], 0.0
    forecast, base = np.full(rows, fitted.intercept), fitted.intercept
    for weight, member, own in zip(fitted.weights.tolist(), fitted.members, fitted.fits, strict=True):
        latest, others = windows.latest(member.quarters), background.latest(member.quarters)
        for number, fit in enumerate(own):
            # Fits of one member draw each for itself, so that their errors do not add up.
            drawn = settings.model_copy(update={"seed": settings.seed + number})
            said, share = Told.by(fit, latest, others), weight / len(own)
            part = _parts(fit, latest, others, said, name, drawn)
            values[:, windows.quarters - part.values.shape[1] :] += share * part.values
            history += share * part.history
            variance += (share * part.errors) ** 2
            forecast += share * said.rows
            base += share * said.base
            methods.append(part.method)
            beside = max(beside, part.beside)
    if windows.target == DIRECTION:
        values, history, errors = _cut(name, told, sums=(forecast, base), parts=(values, history, np.sqrt(variance)))
    else:
        errors = np.sqrt(variance)
    return Parts(" and ".join(dict.fromkeys(methods)), values, history, errors, beside)


def _cut(
    name: str,
    told: Told,
    *,
    sums: tuple[Floats, float],
    parts: tuple[Floats, Floats, Floats],
) -> tuple[Floats, Floats, Floats]:
    """Values behind the cut at 0 and 1, where a stacking of probabilities goes beyond: they shrink in proportion.

    Raises:
        DataError: a row's sum is that of the background, and only the cut tells them apart.
    """
    (forecast, base), cut, cut_base = sums, told.rows, told.base
    if np.allclose(cut, forecast, rtol=0, atol=1e-12) and abs(cut_base - base) <= 1e-12:
        return parts
    apart = forecast - base
    if (np.abs(apart) <= 1e-9).any():
        raise DataError(f"{name} forecasts probabilities that are cut at 0 or 1 and cannot be shared out; ablate it.")
    factor = (cut - cut_base) / apart
    values, history, errors = parts
    return values * factor[:, None, None], history * factor, errors * np.abs(factor)[:, None]
