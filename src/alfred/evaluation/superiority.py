"""Whether the best of several beats a benchmark, knowing that it is the best of several.

White (2000), A reality check for data snooping, Econometrica 68; Hansen (2005), A test for superior predictive ability,
Journal of Business and Economic Statistics 23, who studentises and does not let hopeless alternatives hide good ones.
"""

from dataclasses import dataclass

import numpy as np

from alfred.core.contracts import Floats
from alfred.core.errors import DataError
from alfred.evaluation.bootstrap import optimal_mean_length, stationary_counts

FEWEST_ROWS = 8


@dataclass(frozen=True)
class Superiority:
    """p-values of "none of the alternatives is better than the benchmark", by the stationary bootstrap.

    Attributes:
        spa: Hansen's consistent p-value, the one to judge by.
        lower, upper: his bounds: all alternatives that are worse in the sample left out, and all kept.
        reality_check: White's, whose differences are not studentised.
        best: position of the alternative with the highest studentised mean.
        statistic: that mean over its standard error; 0 where all are worse than the benchmark.
        alternatives, rows: of the test.
        mean_block: rows of a block, on average.
        draws: of the bootstrap.
    """

    spa: float
    lower: float
    upper: float
    reality_check: float
    best: int
    statistic: float
    alternatives: int
    rows: int
    mean_block: float
    draws: int


def superiority(gains: Floats, mean_block: float | None = None, draws: int = 2000, seed: int = 0) -> Superiority:
    """Test the best of several alternatives against their common benchmark.

    Args:
        gains: (T, K) how much better each alternative did than the benchmark in each quarter or session: return less
            return, benchmark's loss less loss, or a rank IC, whose benchmark is 0.
        mean_block: rows of a block, on average; None for the longest that Politis and White choose for an alternative.
        draws: of the bootstrap; p-values are multiples of 1 / draws.
        seed: equal seeds give equal p-values.

    Raises:
        DataError: there are fewer than 8 rows, no alternative, or a figure that is not finite.
    """
    if gains.ndim != 2 or gains.shape[0] < FEWEST_ROWS or gains.shape[1] < 1 or not np.isfinite(gains).all():
        raise DataError(
            f"a test of superiority needs finite figures of at least {FEWEST_ROWS} quarters and 1 alternative, got "
            f"shape {gains.shape} with {int((~np.isfinite(gains)).sum())} that are not finite."
        )
    rows = len(gains)
    block = mean_block if mean_block is not None else max(optimal_mean_length(column) for column in gains.T)
    means = gains.mean(axis=0)
    error = np.sqrt(_long_run_variance(gains - means, block) / rows)
    varies = error > 1e-12
    scale = np.where(varies, error, np.inf)
    drawn = stationary_counts(rows, block, draws, seed) @ gains / rows - means
    ratio = means / scale
    statistic = max(float(ratio.max()), 0.0)

    def p_value(kept: Floats) -> float:
        """Share of draws, about the means that the hypothesis keeps, with a higher statistic."""
        highest = np.maximum(((drawn + means - kept) / scale).max(axis=1), 0.0)
        return float((highest >= statistic).mean()) if statistic > 0 else 1.0

    near = ratio >= -np.sqrt(2 * np.log(np.log(rows)))
    best_gain = float(means.max())
    return Superiority(
        spa=p_value(np.where(near, means, 0.0)),
        lower=p_value(np.maximum(means, 0.0)),
        upper=p_value(means),
        reality_check=float((drawn.max(axis=1) >= best_gain).mean()),
        best=int(ratio.argmax()),
        statistic=statistic,
        alternatives=gains.shape[1],
        rows=rows,
        mean_block=float(block),
        draws=draws,
    )


def _long_run_variance(away: Floats, mean_block: float) -> Floats:
    """(K,) variance of sqrt(T) times the mean that the stationary bootstrap itself implies (Hansen 2005, eq. 6)."""
    rows = len(away)
    chance = 1 / max(1.0, mean_block)
    lags = np.arange(1, rows)
    kernel = (rows - lags) / rows * (1 - chance) ** lags + lags / rows * (1 - chance) ** (rows - lags)
    covariance = np.stack([(away[lag:] * away[: rows - lag]).sum(axis=0) / rows for lag in lags])
    variance: Floats = (away**2).mean(axis=0) + 2 * kernel @ covariance
    return np.maximum(variance, 0.0)
