"""How much of a Sharpe ratio is left after its sample's length, its returns' shape and the number of tries.

Sharpe ratios here are those of one period (a session, a month), never annual ones, and T is the number of periods;
`annual` turns one into the other. The kurtosis is 3 for normal returns.

Sources: Bailey and Lopez de Prado (2012), The Sharpe ratio efficient frontier, Journal of Risk 15(2); the same (2014),
The deflated Sharpe ratio, Journal of Portfolio Management 40(5). Both take returns as independent over time.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from alfred.core.contracts import Floats
from alfred.core.errors import DataError

CONFIDENCE = 0.95
FEWEST_SHARED = 3
"""Periods that two tries must share to be compared."""


@dataclass(frozen=True)
class Trials:
    """What was tried before one result was picked.

    Attributes:
        count: tries, or the effective number of independent ones; 1 where nothing was chosen from.
        variance: of the tries' Sharpe ratios, of one period.
    """

    count: float
    variance: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.count) and self.count >= 1):
            raise DataError(f"the number of trials must be 1 or more, got {self.count:g}.")
        if not (math.isfinite(self.variance) and self.variance >= 0):
            raise DataError(f"the variance of the trials' Sharpe ratios must be 0 or more, got {self.variance:g}.")


@dataclass(frozen=True)
class Track:
    """A record of returns, as these formulas see it.

    Attributes:
        sharpe: mean over standard deviation of one period's returns.
        periods: T.
        skew: third standardised moment.
        kurtosis: fourth standardised moment, 3 for normal returns.
    """

    sharpe: float
    periods: int
    skew: float = 0.0
    kurtosis: float = 3.0

    @classmethod
    def of(cls, returns: Floats) -> "Track":
        """The track of returns (T,) of one period each.

        Raises:
            DataError: there are fewer than 3 periods, or a return is not finite.
        """
        if len(returns) < 3 or not np.isfinite(returns).all():
            raise DataError(
                f"a track record needs at least 3 returns, all finite, got {int(np.isfinite(returns).sum())} of "
                f"{len(returns)}."
            )
        deviation = float(returns.std(ddof=1))
        if deviation <= 1e-12:
            return cls(0.0, len(returns))
        skew, kurtosis = float(stats.skew(returns)), float(stats.kurtosis(returns, fisher=False))
        return cls(float(returns.mean()) / deviation, len(returns), skew, kurtosis)

    @property
    def spread(self) -> float:
        """Standard deviation of the estimated Sharpe ratio, times sqrt(T - 1) (Mertens 2002).

        Raises:
            DataError: skew and kurtosis are none that a distribution can have.
        """
        variance = 1 - self.skew * self.sharpe + (self.kurtosis - 1) / 4 * self.sharpe**2
        if not variance > 0:
            raise DataError(f"no distribution has skew {self.skew:g} and kurtosis {self.kurtosis:g}.")
        return math.sqrt(variance)


def annual(sharpe: float, periods_per_year: float) -> float:
    """A period's Sharpe ratio as an annual one."""
    return sharpe * math.sqrt(periods_per_year)


def probabilistic_sharpe(track: Track, benchmark: float = 0.0) -> float:
    """Probability that the true Sharpe ratio exceeds a benchmark, both of one period.

    PSR = Phi((SR - benchmark) sqrt(T - 1) / sqrt(1 - skew SR + (kurtosis - 1) / 4 SR^2)).
    """
    return float(stats.norm.cdf((track.sharpe - benchmark) * math.sqrt(track.periods - 1) / track.spread))


def minimum_track_record(track: Track, benchmark: float = 0.0, confidence: float = CONFIDENCE) -> float:
    """Periods after which such a track would exceed the benchmark with that confidence; infinite where it does not.

    MinTRL = 1 + (1 - skew SR + (kurtosis - 1) / 4 SR^2) (Phi^-1(confidence) / (SR - benchmark))^2.
    """
    if track.sharpe <= benchmark:
        return math.inf
    return 1 + (track.spread * float(stats.norm.ppf(confidence)) / (track.sharpe - benchmark)) ** 2


def expected_maximum_sharpe(trials: Trials) -> float:
    """Sharpe ratio of one period that the best of N tries without skill is expected to show; 0 for one try.

    sqrt(V) ((1 - gamma) Phi^-1(1 - 1 / N) + gamma Phi^-1(1 - 1 / (N e))), gamma that of Euler and Mascheroni. An
    approximation by extreme values: 1.57 for N = 10 and V = 1, where the exact expectation is 1.54. Below N = 2 it is
    drawn linearly to 0 at N = 1, where the formula ends.
    """
    if trials.count < 2:
        return (trials.count - 1) * expected_maximum_sharpe(Trials(2, trials.variance))
    one, rarer = (float(stats.norm.ppf(1 - 1 / (trials.count * times))) for times in (1, math.e))
    return math.sqrt(trials.variance) * ((1 - np.euler_gamma) * one + np.euler_gamma * rarer)


def deflated_sharpe(track: Track, trials: Trials) -> float:
    """Probability that the true Sharpe ratio exceeds what the best of so many tries without skill would show."""
    return probabilistic_sharpe(track, expected_maximum_sharpe(trials))


def effective_trials(returns: Floats) -> float:
    """Number of independent tries that N correlated ones amount to, from their returns (T, N); between 1 and N.

    mean correlation + (1 - mean correlation) N (Bailey and Lopez de Prado 2014, appendix). Exact where all tries are
    one, and where none resembles another; in between it errs on the side of more trials, and so of less praise. A try
    that never moved correlates with nothing, and so do two tries that share fewer than 3 periods.

    Args:
        returns: NaN where a try has none in a period.

    Raises:
        DataError: there is no try, there are fewer than 3 periods, or a return is infinite.
    """
    if returns.ndim != 2 or returns.shape[0] < FEWEST_SHARED or returns.shape[1] < 1 or np.isinf(returns).any():
        raise DataError(
            "the trials' correlation needs finite returns of at least 3 periods and 1 trial, got shape "
            f"{returns.shape}."
        )
    count = returns.shape[1]
    if count == 1:
        return 1.0
    correlation = _correlations(returns)
    mean = float((correlation.sum() - np.trace(correlation)) / (count * (count - 1)))
    return float(np.clip(mean + (1 - mean) * count, 1, count))


def _correlations(returns: Floats) -> Floats:
    """(N, N) correlation of each two columns over the periods that both have; 0 where these are too few to tell."""
    known = np.isfinite(returns)
    there, held = known.astype(np.float64), np.where(known, returns, 0.0)
    away = np.where(known, held - held.sum(axis=0) / np.maximum(known.sum(axis=0), 1), 0.0)
    shared, sums = there.T @ there, away.T @ there
    together = away.T @ away - sums * sums.T / np.maximum(shared, 1)
    alone = np.maximum((away**2).T @ there - sums**2 / np.maximum(shared, 1), 0.0)
    scale = np.sqrt(alone * alone.T)
    usable = (shared >= FEWEST_SHARED) & (scale > 1e-24)
    found: Floats = np.where(usable, together / np.where(usable, scale, 1.0), 0.0)
    return found
