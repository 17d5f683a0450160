"""Intervals: block bootstraps over quarters or sessions, and Student's t over seeds.

Quarters, not rows, are resampled, because companies move together within a quarter; blocks of quarters, because
neighbouring quarters may resemble each other. Every figure of a scorecard uses the same draws, so differences to
the naive forecast are paired.
"""

from typing import Self

import numpy as np
from numpy.typing import NDArray
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


def stationary_blocks(
    n: int, mean_length: float, draws: int, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and lengths of the blocks of a stationary bootstrap, (draws, B) each; blocks go round the end.

    Starts are uniform and lengths geometric (Politis and Romano 1994, The stationary bootstrap, JASA 89). Every draw's
    lengths sum to n; unused ones are 0.
    """
    chance = 1.0 / max(1.0, mean_length)
    # The number of blocks is binomial; ten standard deviations beyond its mean are never needed.
    count = min(n, int(n * chance + 10.0 * np.sqrt(n * chance)) + 10)
    ends = np.minimum(np.cumsum(random.geometric(chance, size=(draws, count)), axis=1), n)
    ends[:, -1] = n
    return random.integers(0, n, size=(draws, count)), np.diff(ends, axis=1, prepend=0)


def stationary_counts(n: int, mean_length: float, draws: int, seed: int) -> Floats:
    """How often each draw of a stationary bootstrap takes each of n rows: (draws, n), rows sum to n."""
    starts, lengths = stationary_blocks(n, mean_length, draws, np.random.default_rng(seed))
    first = 2 * n * np.arange(draws)[:, None] + starts
    change = np.bincount(first.ravel(), minlength=2 * n * draws + 1)
    change -= np.bincount((first + lengths).ravel(), minlength=2 * n * draws + 1)
    twice = np.cumsum(change[:-1]).reshape(draws, 2, n)
    counts: Floats = twice.sum(axis=1).astype(np.float64)
    return counts


def optimal_mean_length(series: Floats) -> float:
    """Mean block length of the stationary bootstrap that Politis and White choose for a series (T,); at least 1.

    Politis and White (2004), Automatic block-length selection for the dependent bootstrap, Econometric Reviews 23, as
    corrected by Patton, Politis and White (2009), Econometric Reviews 28: (2 G^2 / D)^(1/3) T^(1/3) with the flat-top
    window over twice the lags after which five autocorrelations in a row are negligible. At most 3 sqrt(T), and T / 3.
    """
    n = len(series)
    away = series - series.mean()
    variance = float(away @ away) / n
    if n < 4 or variance == 0:
        return 1.0
    run = max(5, int(np.log10(n)))
    longest = min(int(np.ceil(np.sqrt(n))) + run, n - 1)
    covariance = np.array([float(away[lag:] @ away[: n - lag]) / n for lag in range(longest + 1)])
    small = np.abs(covariance[1:] / variance) < 2 * np.sqrt(np.log10(n) / n)
    within = [lag for lag in range(len(small) - run + 1) if small[lag : lag + run].all()]
    reach = max(within[0], 1) if within else int(np.flatnonzero(~small)[-1]) + 1
    window = np.arange(1, min(2 * reach, longest) + 1)
    taper = np.minimum(1.0, 2 * (1 - window / (2 * reach)))
    tapered = taper * covariance[window]
    slope, level = 2 * float(tapered @ window), covariance[0] + 2 * float(tapered.sum())
    if level == 0:
        return 1.0
    length = (slope**2 / level**2) ** (1 / 3) * n ** (1 / 3)
    return float(np.clip(length, 1.0, min(np.ceil(3 * np.sqrt(n)), np.ceil(n / 3))))


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
