"""Tests of the mean of a few dozen quarters, and what such a sample could have found at all.

Newey and West's error lets neighbouring quarters resemble each other, but with few quarters it is too small, and its
own doubt makes the ratio wider than normal. Both are put right here, so that a test at 5% errs in about 5% of samples
of 16 quarters as of 80 (docs/statistics.md has the figures).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from alfred.core.contracts import Floats
from alfred.core.errors import DataError

POWER = 0.8
"""Of the minimum detectable effect."""
FEWEST_LAGGED = 4
"""Quarters that a sample must hold for each quarter of the lag."""


@dataclass(frozen=True)
class MeanTest:
    """A quarterly series, tested against a mean of zero or less.

    Attributes:
        mean: of the series, in its own unit.
        error: standard error of the mean.
        degrees: of freedom of Student's distribution that mean / error follows where the true mean is zero; not whole.
        p_value: one-sided: the chance of such a ratio, or a higher one, were the true mean zero.
        quarters: in the series.
        lag_quarters: over which neighbours may be correlated.
    """

    mean: float
    error: float
    degrees: float
    p_value: float
    quarters: int
    lag_quarters: int

    def detectable(self, level: float, power: float = POWER) -> float:
        """Smallest true mean that a one-sided test at `level` finds with that power, in the unit of the series."""
        quantiles = stats.t.ppf(1 - level, self.degrees) + stats.t.ppf(power, self.degrees)
        return float(quantiles * self.error)


def newey_west(series: Floats, lag: int, least_error: float = 0.0) -> MeanTest:
    """Whether the mean of a series (Q,) lies above zero.

    The long-run variance is Newey and West's (1987), with Bartlett's weights w_s = 1 - s / (L + 1). Of independent
    values it expects a share k = sum over |s| <= L of w_s (1 - |s| / Q) / Q too little, and varies like a chi-squared
    with Q / (sum of w_s^2) degrees of freedom (Priestley 1981, Spectral analysis and time series; Kiefer and Vogelsang
    2005 in the limit). So it is divided by 1 - k, and the ratio is Student's with so many degrees. The lag is cut to a
    quarter of the series.

    Args:
        series: one finite value a quarter, in order of time.
        lag: L, quarters over which neighbours may be correlated.
        least_error: the error where the series does not vary at all.

    Raises:
        DataError: there are fewer than 2 quarters.
    """
    count = len(series)
    if count < 2:
        raise DataError(f"a test of a mean needs at least 2 quarters, got {count}; test more quarters.")
    lag = min(lag, count // FEWEST_LAGGED)
    steps = np.arange(1, lag + 1)
    weights = 1 - steps / (lag + 1)
    away = series - series.mean()
    own = float(away @ away) / count
    shared = sum(weight * float(away[step:] @ away[:-step]) for weight, step in zip(weights, steps, strict=True))
    share = (1 + 2 * float(weights @ (1 - steps / count))) / count
    variance = (own + 2 * shared / count) / (1 - share)
    # A constant's deviations are what rounding left of them.
    varies = own > (1e-12 * np.abs(series).max()) ** 2
    error = float(np.sqrt(max(variance, 0.0) / count)) if varies else least_error
    degrees = count / (1 + 2 * float(weights @ weights))
    mean = float(series.mean())
    return MeanTest(mean, error, degrees, _p_value(mean, error, degrees), count, lag)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected so that among all of them a false finding has at most the level's chance (Holm 1979).

    Holds whatever the dependence between the tests. The smallest of m is multiplied by m, the next by m - 1, and so on;
    none falls below one before it, and none exceeds 1.
    """
    order = np.argsort(p_values, kind="stable")
    count = len(order)
    raised = np.maximum.accumulate(np.asarray(p_values, dtype=np.float64)[order] * (count - np.arange(count)))
    corrected = np.empty(count)
    corrected[order] = np.minimum(raised, 1.0)
    return [float(value) for value in corrected]


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """q-values: the smallest expected share of false findings at which each counts as found.

    Benjamini and Hochberg (1995), valid for independent or positively dependent tests.
    """
    return [float(value) for value in stats.false_discovery_control(p_values)] if len(p_values) else []


def _p_value(mean: float, error: float, degrees: float) -> float:
    if error == 0:
        return 0.5 if mean == 0 else float(mean < 0)
    return float(stats.t.sf(mean / error, degrees))
