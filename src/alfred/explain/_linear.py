"""Weighted sums, and curves of them: the values have a closed form."""

from typing import Protocol, runtime_checkable

import numpy as np
from scipy.special import expit

from alfred.core.contracts import DIRECTION, Floats, Windows
from alfred.explain._parts import LINEAR, Parts, curve_ratio
from alfred.training.losses import Head


@runtime_checkable
class LinearForm(Protocol):
    """mean = curve(intercept + sum of weights (L, F) x window)."""

    @property
    def weights(self) -> Floats:
        """(L, F)."""

    @property
    def intercept(self) -> float:
        """The sum for a window of zeros."""

    @property
    def head(self) -> Head:
        """identity or sigmoid."""


def linear_parts(fitted: LinearForm, windows: Windows, background: Windows) -> Parts:
    """Exact values.

    Without a curve a cell's Shapley value is its weight times its distance from the background's mean. With one (the
    logistic function, or the cut at 0 and 1 of a linear probability) the path from a background row to the row runs
    through sums that change evenly, so the integrated gradients (Sundararajan et al. 2017) are the same products times
    the curve's mean slope between the two sums; they are averaged over the background.
    """
    x, b = (part.x.reshape(len(part), -1).astype(np.float64) for part in (windows, background))
    weights = fitted.weights.ravel()
    if fitted.head == "identity" and windows.target != DIRECTION:
        values = weights * (x - b.mean(axis=0))
    else:
        score, others = (fitted.intercept + part @ weights for part in (x, b))
        curve = _logistic if fitted.head == "sigmoid" else _cut
        (value, slope), (other_values, _) = curve(score), curve(others)
        ratio = curve_ratio(score, value, others, other_values, slope)
        values = weights * (x * ratio.mean(axis=1)[:, None] - ratio @ b / len(b))
    return Parts.exact(LINEAR, values.reshape(len(windows), *fitted.weights.shape))


def _logistic(score: Floats) -> tuple[Floats, Floats]:
    value = expit(score)
    return value, value * (1 - value)


def _cut(score: Floats) -> tuple[Floats, Floats]:
    """The cut at 0 and 1 that every forecast of a direction goes through."""
    return np.clip(score, 0.0, 1.0), ((score > 0) & (score < 1)).astype(np.float64)
