"""Intervals: a circular block bootstrap over quarters, and Student's t over seeds.

Quarters, not rows, are resampled, because companies move together within a quarter; blocks of quarters, because
neighbouring quarters may resemble each other. Every figure of a scorecard uses the same draws, so differences to
the naive forecast are paired.
"""

from typing import Self

import numpy as np
from pydantic import Field
from scipy import stats

from alfred.core.contracts import Floats, Interval
from alfred.core.errors import DataError
from alfred.core.settings import Settings

FEWEST_BLOCKS = 4


class BootstrapSettings(Settings):
    """How intervals over quarters are drawn.

    Attributes:
        draws: resamples.
        block_quarters: length of a block; shortened where the sample would hold fewer than 4 blocks.
        level: confidence of every interval.
        seed: of the draws; the same seed gives the same intervals.
    """

    draws: int = Field(default=2000, ge=100, le=100_000)
    block_quarters: int = Field(default=4, ge=1)
    level: float = Field(default=0.95, gt=0.5, lt=1)
    seed: int = Field(default=0, ge=0)

    def over_horizon(self, horizon_quarters: int) -> Self:
        """These settings with blocks of at least twice the horizon, where labels of neighbouring quarters overlap."""
        if horizon_quarters == 1:
            return self
        return self.model_copy(update={"block_quarters": max(self.block_quarters, 2 * horizon_quarters)})

    def block_length(self, quarters: int) -> int:
        """Length of a block in a sample of that many quarters."""
        return min(self.block_quarters, max(1, quarters // FEWEST_BLOCKS))


def block_counts(quarters: int, settings: BootstrapSettings) -> Floats:
    """How often each draw takes each quarter: (draws, quarters), rows sum to `quarters`.

    Blocks begin at any quarter, and the first quarter follows on the last (Politis and Romano 1992, A circular
    block-resampling procedure for stationary data); the last block of a draw is cut to length.

    Raises:
        DataError: there are fewer than 2 quarters, from which nothing can be resampled.
    """
    if quarters < 2:
        raise DataError(
            f"an interval over quarters needs at least 2 test quarters with realised labels, got {quarters}; "
            "test more quarters."
        )
    block = settings.block_length(quarters)
    starts = np.random.default_rng(settings.seed).integers(quarters, size=(settings.draws, -(-quarters // block), 1))
    taken = ((starts + np.arange(block)) % quarters).reshape(settings.draws, -1)[:, :quarters]
    cells = taken + quarters * np.arange(settings.draws)[:, None]
    counts = np.bincount(cells.ravel(), minlength=settings.draws * quarters)
    return counts.reshape(settings.draws, quarters).astype(np.float64)


def percentile_interval(draws: Floats, level: float, blocks: float) -> Interval:
    """Expanded percentile interval of a metric from its draws (B,); undefined draws (NaN) do not count.

    Plain percentiles of n blocks give intervals that are too short by sqrt((n - 1) / n) and by the normal quantile
    in place of Student's. So the percentiles taken are those that repair both for a mean (Hesterberg 2015, What
    teachers should know about the bootstrap). Intervals stay inside the metric's range.

    Args:
        draws: the metric of each resample.
        level: confidence.
        blocks: n, quarters of the sample over quarters of a block, above 1.
    """
    quantile = stats.t.ppf((1 + level) / 2, blocks - 1)
    tail = float(stats.norm.cdf(-np.sqrt(blocks / (blocks - 1)) * quantile))
    lower, upper = np.nanquantile(draws, [tail, 1 - tail])
    return Interval(float(lower), float(upper), level)


def seed_interval(values: Floats, level: float) -> Interval:
    """Student's t interval of the mean over seeds (S,); of zero width for one seed, or where all seeds agree."""
    if np.ptp(values) == 0:
        return Interval(float(values[0]), float(values[0]), level)
    mean = float(values.mean())
    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return Interval(mean - half, mean + half, level)


def mean_standard_error(series: Floats, lag: int) -> float:
    """Standard error of the mean of a series (Q,), Q >= 2 (Newey and West 1987, Bartlett weights up to `lag`).

    Not less than the standard error of independent values: negative autocorrelation in a short sample is no
    evidence of precision.
    """
    count = len(series)
    deviations = series - series.mean()
    own = float(deviations @ deviations) / count
    shared = sum(
        (1 - step / (lag + 1)) * float(deviations[step:] @ deviations[:-step]) / count
        for step in range(1, min(lag, count - 1) + 1)
    )
    return float(np.sqrt(max(own + 2 * shared, own * count / (count - 1)) / count))
