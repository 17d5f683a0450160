"""What scaling rules do to a column before it is centred: logarithms, powers, ranks."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize_scalar

from alfred.core.contracts import Floats

POWERS = (-2.0, 4.0)
"""Bounds of the Yeo-Johnson exponent, as far from 1, which changes nothing, to either side: no value is raised to more
than its fourth power. Likelihoods that want more come from values near 0, where the power does next to nothing, or from
a few extreme ones, and later values would overflow."""

POWER_SAMPLE = 20_000
"""Training values that the exponent is fitted on; its standard error is then about a hundredth."""

FEWEST_VALUES = 20
"""Training values below which no exponent is fitted: they say nothing about a distribution's shape."""

RESOLVED = 1e-9
"""An exponent that presses training values together to less than this fraction of their size loses their digits."""

RANK_KNOTS = 1001
"""Training values kept of a ranked column, evenly by rank."""


def signed_log(values: Floats) -> Floats:
    """sign(x) log(1 + |x|), which grows as the logarithm to both sides and is x near 0."""
    logs: Floats = np.sign(values) * np.log1p(np.abs(values))
    return logs


def yeo_johnson(values: Floats, power: Floats | float) -> Floats:
    """Yeo and Johnson's (2000) transformation, with an exponent for each of the last axis.

    ((1 + x)^power - 1) / power from 0 on, -((1 - x)^(2 - power) - 1) / (2 - power) below; logarithms where a
    denominator would be 0. It rises in x for every exponent, and 1 gives x itself. An exponent of NaN, of a column that
    training rows never saw, gives NaN.
    """
    exponent = np.where(values >= 0, power, 2.0 - power)
    with np.errstate(over="ignore"):  # A later value may be out of proportion; it is infinite, then clipped.
        bent: Floats = np.copysign(_bent(np.log1p(np.abs(values)), exponent), values)
    return bent


def fit_power(known: Floats) -> float:
    """The exponent under which (N,) values are likeliest to come from a normal distribution, within `POWERS`.

    It is fitted on `POWER_SAMPLE` values at most, evenly chosen by position. Where there are too few values, or they
    lie too far from 0 for their differences to survive the power, it is 1, which leaves them as they are.
    """
    sample = known[:: -(-len(known) // POWER_SAMPLE)]
    if len(sample) < FEWEST_VALUES or np.ptp(sample) == 0:
        return 1.0
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        found = minimize_scalar(_unlikeliness(sample), bounds=POWERS, method="bounded", options={"xatol": 1e-5})
        power = float(found.x)
        bent = yeo_johnson(sample, power)
        resolved = bent.std() > RESOLVED * np.abs(bent).max()
    return power if resolved else 1.0


def fit_ranks(known: Floats) -> Floats:
    """(2, K) training values, ascending, and their ranks: what a ranked column keeps of its (N,) training values.

    A value's rank is P(less) - P(more) among the training values: 2 (rank - 1/2) / N - 1, ties at their mean rank
    (Parzen's mid-distribution; Gu, Kelly and Xiu 2020 scale ranks to the same interval). Between two kept values ranks
    are interpolated; beyond the first or last, they are those of the first and last. Of up to `RANK_KNOTS` different
    values all are kept, of more that many, evenly by rank, so that none is off by more than 4 / 1,000.
    """
    values, counts = np.unique(known, return_counts=True)
    ranks = (2 * np.cumsum(counts) - counts) / len(known) - 1
    if len(values) > RANK_KNOTS:
        wanted = np.linspace(ranks[0], ranks[-1], RANK_KNOTS)
        after = np.clip(np.searchsorted(ranks, wanted), 1, len(ranks) - 1)
        nearest = after - (wanted - ranks[after - 1] < ranks[after] - wanted)
        kept = np.unique(nearest)
        values, ranks = values[kept], ranks[kept]
    return np.stack([values, ranks])


def ranked(values: Floats, ranks: Floats) -> Floats:
    """The rank of each value among the training values that `fit_ranks` kept; NaN where it is missing."""
    return np.where(np.isnan(values), np.nan, np.interp(values, *ranks))


def _unlikeliness(sample: Floats) -> Callable[[float], float]:
    """Less the logarithm of the likelihood of a Yeo-Johnson exponent, by value, but for what no exponent changes."""
    logs = np.log1p(np.abs(sample))
    above, below = logs[sample >= 0], logs[sample < 0]
    if not len(below) or not (sample > 0).any():
        # On one side of 0 the likelihood does not change when 1 + |x| is divided by its geometric mean. Without that,
        # large values under a negative exponent differ by less than rounding, and seem to be all alike.
        centred = logs - logs.mean()
        return lambda power: float(np.log(_bent(centred, 2.0 - power if len(below) else power).std()))
    slope = float((above.sum() - below.sum()) / len(sample))

    def unlikeliness(power: float) -> float:
        bent = np.concatenate([_bent(above, power), -_bent(below, 2.0 - power)])
        return float(np.log(bent.std())) - (power - 1.0) * slope

    return unlikeliness


def _bent(logs: Floats, exponent: Floats | float) -> Floats:
    """(e^(exponent x logs) - 1) / exponent, `logs` itself where the exponent is 0."""
    straight = np.abs(exponent) < 1e-12
    safe = np.where(straight, 1.0, exponent)
    return np.where(straight, logs, np.expm1(safe * logs) / safe)
