"""Probability of backtest overfitting: whether choosing the best configuration chooses anything.

Combinatorially symmetric cross-validation (Bailey, Borwein, Lopez de Prado and Zhu 2017, The probability of backtest
overfitting, Journal of Computational Finance 20(4)): cut the sweep's table of figures into S blocks of time, take every
half of the blocks as the past, choose the best configuration there, and look at its rank in the other half.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from scipy import stats

from alfred.core.contracts import Floats
from alfred.core.errors import DataError

Measure = Literal["mean", "sharpe"]
FEWEST_IN_A_BLOCK = 2


@dataclass(frozen=True, eq=False)
class Overfitting:
    """What choosing among the configurations of a sweep is worth.

    Attributes:
        probability: share of the splits in which the configuration that was best in one half lay below the median in
            the other; a rank at the median counts half. 0.5 for pure noise.
        logits: (C,) of its relative rank in the other half, of each split; below 0 means below the median.
        chosen, later: (C,) its figure in the half it was chosen in, and in the other.
        slope: of the regression of `later` on `chosen`; below zero, the better it looked the worse it went on.
        loss_probability: share of the splits in which its later figure was below zero.
        blocks: S.
        configurations: N.
    """

    probability: float
    logits: Floats
    chosen: Floats
    later: Floats
    slope: float
    loss_probability: float
    blocks: int
    configurations: int


def overfitting(figures: Floats, blocks: int = 16, measure: Measure = "mean") -> Overfitting:
    """Probability of backtest overfitting of a sweep.

    Args:
        figures: (T, N) one row a quarter (or session), one column a configuration: rank ICs or returns.
        blocks: S, even; cut to what T allows with 2 rows a block. 16 blocks make 12,870 splits. They differ by at most
            one row.
        measure: what the best is chosen by: the mean of the rows, or their mean over their standard deviation.

    Raises:
        DataError: there are fewer than 2 configurations or 8 rows, `blocks` is odd or below 4, or a figure is not
            finite.
    """
    if figures.ndim != 2 or figures.shape[1] < 2 or figures.shape[0] < 4 * FEWEST_IN_A_BLOCK:
        raise DataError(f"overfitting needs at least 2 configurations over 8 quarters, got shape {figures.shape}.")
    if not np.isfinite(figures).all():
        missing = int((~np.isfinite(figures)).sum())
        raise DataError(
            f"{missing} figures of the sweep are not finite; leave out quarters that a configuration lacks."
        )
    if blocks < 4 or blocks % 2:
        raise DataError(f"the number of blocks must be even and at least 4, got {blocks}.")
    blocks = min(blocks, figures.shape[0] // FEWEST_IN_A_BLOCK // 2 * 2)
    past = np.array([[at in half for at in range(blocks)] for half in combinations(range(blocks), blocks // 2)])
    sums = _Sums.of(figures, blocks)
    chosen_by, later_by = sums.measure(past.astype(np.float64), measure), sums.measure(~past * 1.0, measure)
    best = chosen_by.argmax(axis=1)
    rows = np.arange(len(past))
    later = later_by[rows, best]
    rank = (later_by < later[:, None]).sum(axis=1) + ((later_by == later[:, None]).sum(axis=1) + 1) / 2
    share = rank / (figures.shape[1] + 1)
    logits = np.log(share / (1 - share))
    level = np.isclose(share, 0.5)
    chosen = chosen_by[rows, best]
    return Overfitting(
        probability=float(((logits < 0) & ~level).mean() + 0.5 * level.mean()),
        logits=logits,
        chosen=chosen,
        later=later,
        slope=float(stats.linregress(chosen, later).slope) if np.ptp(chosen) > 0 else 0.0,
        loss_probability=float((later < 0).mean()),
        blocks=blocks,
        configurations=figures.shape[1],
    )


@dataclass(frozen=True, eq=False)
class _Sums:
    """Rows, sums and sums of squares of each block: (S,), (S, N), (S, N)."""

    rows: Floats
    first: Floats
    second: Floats

    @classmethod
    def of(cls, figures: Floats, blocks: int) -> "_Sums":
        starts = np.linspace(0, len(figures), blocks, endpoint=False).round().astype(np.int64)
        rows = np.diff(np.append(starts, len(figures))).astype(np.float64)
        return cls(rows, np.add.reduceat(figures, starts, axis=0), np.add.reduceat(figures**2, starts, axis=0))

    def measure(self, taken: Floats, measure: Measure) -> Floats:
        """Figure of every configuration (C, N) over the blocks that each split (C, S) takes."""
        rows = (taken @ self.rows)[:, None]
        mean: Floats = taken @ self.first / rows
        if measure == "mean":
            return mean
        variance = np.maximum(taken @ self.second / rows - mean**2, 0.0)
        return np.where(variance > 0, mean / np.sqrt(np.where(variance > 0, variance, 1.0)), 0.0)
