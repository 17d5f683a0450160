"""What the methods of this folder hand to one another."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alfred.core.contracts import FittedAnalyst, Floats, Windows

LINEAR, TREES, GRADIENTS, SAMPLING = (
    "closed form of a weighted sum",
    "interventional TreeSHAP, exact",
    "expected gradients",
    "sampled permutations",
)


@dataclass(frozen=True, eq=False)
class Told:
    """What an analyst forecasts of the rows to explain (N,) and of the background rows (B,), asked once."""

    rows: Floats
    background: Floats

    @classmethod
    def by(cls, fitted: FittedAnalyst, windows: Windows, background: Windows) -> "Told":
        """Ask it."""
        return cls(fitted.predict(windows).mean, fitted.predict(background).mean)

    @property
    def base(self) -> float:
        """Mean forecast of the background rows."""
        return float(self.background.mean())


@dataclass(frozen=True, eq=False)
class Parts:
    """An attribution without its rows' names; fields as in `Attribution`, `values` (N, L, F) and `errors` (N, F)."""

    method: str
    values: Floats
    history: Floats
    errors: Floats
    beside: float = 0.0

    @classmethod
    def exact(cls, method: str, values: Floats) -> "Parts":
        """Values without sampling error, of an analyst that does not look at what was seen."""
        rows, _, columns = values.shape
        return cls(method, values, np.zeros(rows), np.zeros((rows, columns)))


def with_known_sum(draws: NDArray[np.floating], total: float) -> tuple[Floats, Floats]:
    """Mean (K,) of draws (M, K) whose sum is known to be `total` on average, and the draws less what that explains.

    The sum of a draw is a control variate, whose mean is known exactly: from each mean is taken its regression on the
    sum's error (Lavenberg and Welch 1981, Management Science 27; Owen 2013, Monte Carlo theory, 8.9). The coefficients
    add up to 1, so the corrected means add up to `total`, and none has a larger asymptotic variance than before.

    Returns:
        values: (K,).
        residuals: (M, K) draws about their means, less their regression on the sum: their deviation over sqrt(M) is
            the values' standard error.
    """
    drawn = draws.astype(np.float64)
    mean = drawn.mean(axis=0)
    away = drawn - mean
    sums = away.sum(axis=1)
    variation = float(sums @ sums)
    missed = total - float(mean.sum())
    if variation > 0:
        slopes = sums @ away / variation
        # Rounding leaves the slopes a little beside a sum of 1.
        slopes /= slopes.sum()
    else:
        size = np.abs(mean)
        slopes = size / size.sum() if size.any() else np.full(len(mean), 1 / len(mean))
    values: Floats = mean + slopes * missed
    residuals: Floats = away - sums[:, None] * slopes
    return values, residuals


def curve_ratio(score: Floats, value: Floats, others: Floats, other_values: Floats, slope: Floats) -> Floats:
    """(N, B) mean slope of a curve between two scores: difference of values over difference of scores.

    Args:
        score, value: (N,) of the rows, before and after the curve.
        others, other_values: (B,) of the background.
        slope: (N,) the curve's own slope at `score`, for scores that all but agree.
    """
    apart = score[:, None] - others[None, :]
    near = np.abs(apart) <= 1e-8 * (1 + np.abs(others[None, :]))
    ratio: Floats = np.where(
        near, slope[:, None], (value[:, None] - other_values[None, :]) / np.where(near, 1.0, apart)
    )
    return ratio
