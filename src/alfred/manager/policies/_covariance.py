"""Daily returns from which rules estimate risk, and the optimisers of skfolio on them.

**Which names.** A name counts when it may be held, was quoted on at least nine in ten of the last `covariance_sessions`
sessions, and moved at all. Of those the `most_names` with the largest mean dollar volume are looked at, where a
covariance is estimated; where volume is not known, the first by symbol. All others get weight 0. The sample begins
with the first session on which all of them had been quoted; a session without a quote returns nothing, and the next
quote all of it. Fewer than `FEWEST_RETURNS` sessions say nothing about risk: the rule is 1/N then.

**Which covariance.** Ledoit and Wolf (2004, "A well-conditioned estimator for large-dimensional covariance matrices",
Journal of Multivariate Analysis 88), shrunk towards a multiple of the identity, as skfolio has it.

**Which limits.** Optimisers know that an account is long-only and how large a name may be; weights are found for the
share of the account that may be invested. The account's projection sees to all other limits afterwards.

skfolio (BSD-3) takes seconds to import, so only the functions that solve something import it.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from alfred.backtest.settings import LimitSettings
from alfred.core.contracts import Floats
from alfred.core.errors import MissingExtraError
from alfred.manager.contracts import Observation
from alfred.manager.policies._rule import Note, RuleSettings, equal

if TYPE_CHECKING:
    from skfolio.prior import BasePrior

FEWEST_RETURNS = 20
"""Of fewer daily returns no risk is estimated."""
LEAST_QUOTED = 0.9
"""Share of the sessions on which a name must have been quoted."""
DUST = 1e-5
"""Interior-point solvers leave such weights where 0 is meant; each would cost an order's least commission."""


@dataclass(frozen=True)
class Sample:
    """Complete daily returns.

    Attributes:
        at: (K,) columns of the names, in the order of their symbols.
        returns: (n, K) simple total returns; no rows where there are too few.
    """

    at: NDArray[np.int64]
    returns: Floats

    def __bool__(self) -> bool:
        return bool(len(self.at)) and len(self.returns) >= FEWEST_RETURNS


@dataclass(frozen=True)
class Bounds:
    """Ends of a weight for an account of 1, and the share of the account that may be invested."""

    least: float
    most: float
    budget: float


def sample_of(observation: Observation, sessions: int, most_names: int | None = None) -> Sample:
    """The last `sessions` daily returns of the names that count (see the module); None looks at all of them."""
    prices = observation.bars.total[-(sessions + 1) :]
    quoted = np.isfinite(prices)
    counts = observation.mask & (quoted.mean(axis=0) >= LEAST_QUOTED)
    at = np.argsort(observation.bars.symbols, kind="stable")
    at = at[counts[at]]
    if most_names is not None and len(at) > most_names:
        at = at[np.sort(_by_volume(observation, at, sessions)[:most_names])]
    first = int(quoted[:, at].argmax(axis=0).max(initial=0))
    filled = _carried_forward(prices[first:, at])
    returns = filled[1:] / filled[:-1] - 1.0
    moved = returns.std(axis=0) > 1e-9 if len(returns) else np.zeros(len(at), dtype=bool)
    return Sample(at[moved], returns[:, moved])


def by_inverse_volatility(observation: Observation, sample: Sample) -> Floats:
    """(S,) weights in proportion to 1 over the deviation of daily returns, together 1; 1/N without a sample."""
    if not sample:
        return equal(observation)
    inverse = 1.0 / sample.returns.std(axis=0, ddof=1)
    return placed(observation, sample.at, inverse / inverse.sum())


def bounds(limits: LimitSettings, names: int) -> Bounds:
    """What `names` weights may be."""
    cap = 1.0 if limits.name_max is None else min(limits.name_max, 1.0)
    net = 1.0 if limits.net_max is None else limits.net_max
    gross = 1.0 if limits.gross_max is None else limits.gross_max
    budget = min(1.0, net, gross, cap * names)
    return Bounds(0.0 if limits.long_only else -cap, cap, budget)


def optimised(
    observation: Observation, settings: RuleSettings, note: Note, solve: Callable[[Sample, Bounds], Floats]
) -> Floats:
    """(S,) the weights that `solve` finds for the sample; inverse volatility, and a note, where it finds none.

    Args:
        observation: what is known.
        settings: of the rule.
        note: hears why.
        solve: (K,) weights from a sample of two names or more.
    """
    sample = sample_of(observation, settings.covariance_sessions, settings.most_names)
    if not sample:
        if observation.mask.any():
            note(f"fewer than {FEWEST_RETURNS} daily returns to estimate risk from; 1/N instead")
        return equal(observation)
    room = bounds(settings.limits, len(sample.at))
    if room.budget <= 0.0:
        return np.zeros(len(observation.mask))
    if len(sample.at) * room.most <= room.budget + DUST:
        return placed(observation, sample.at, np.full(len(sample.at), room.budget / len(sample.at)))
    try:
        weights = solve(sample, room)
    except _failures() as error:
        note(f"the solver failed ({str(error).partition(chr(10))[0].rstrip('.')}); inverse volatility instead")
        return room.budget * by_inverse_volatility(observation, sample)
    if not np.isfinite(weights).all():
        note("the solver gave weights that are not finite; inverse volatility instead")
        return room.budget * by_inverse_volatility(observation, sample)
    return placed(observation, sample.at, np.where(np.abs(weights) < DUST, 0.0, weights))


def require_skfolio() -> None:
    """Say at once what is missing, not in the middle of a backtest.

    Raises:
        MissingExtraError: skfolio is not installed.
    """
    if importlib.util.find_spec("skfolio") is None:
        raise MissingExtraError("this rule is solved by skfolio, which is absent; run pip install 'alfred[manager]'.")


def shrunk(returns: Floats) -> Floats:
    """(K, K) covariance of daily returns by Ledoit and Wolf."""
    from skfolio.moments import LedoitWolf

    found: Floats = LedoitWolf().fit(returns).covariance_
    return found


def given(mean: Floats, covariance: Floats) -> "BasePrior":
    """A prior of skfolio that says what it is told, in units in which the mean variance is 1.

    In units of daily returns the solvers' tolerances leave errors of 0.0005 in the weights, in these 0.000003. Neither
    the least variance nor the highest ratio nor the highest utility (linear in both) depends on the units.
    """
    from skfolio.prior import BasePrior, ReturnDistribution

    class Given(BasePrior):  # type: ignore[misc]
        """Moments that were found elsewhere."""

        def __init__(self, mu: Floats, covariance: Floats) -> None:
            self.mu = mu
            self.covariance = covariance

        def fit(self, X: Floats, y: Any = None) -> "Given":  # noqa: ARG002, N803
            """Keep them."""
            self.return_distribution_ = ReturnDistribution(mu=self.mu, covariance=self.covariance, returns=X)
            return self

    unit = float(np.diag(covariance).mean())
    return Given(mean / unit, covariance / unit)


def placed(observation: Observation, at: NDArray[np.int64], weights: Floats) -> Floats:
    """(S,) the weights at their names, 0 elsewhere."""
    found = np.zeros(len(observation.mask))
    found[at] = weights
    return found


def _by_volume(observation: Observation, at: NDArray[np.int64], sessions: int) -> NDArray[np.int64]:
    """Places in `at`, the largest mean dollar volume first."""
    if observation.dollar_volume is None:
        return np.arange(len(at))
    volume = np.nan_to_num(observation.dollar_volume[-sessions:, at]).mean(axis=0)
    return np.argsort(-volume, kind="stable")


def _carried_forward(prices: Floats) -> Floats:
    source = np.where(np.isnan(prices), 0, np.arange(len(prices))[:, None])
    return np.take_along_axis(prices, np.maximum.accumulate(source, axis=0), axis=0)


def _failures() -> tuple[type[Exception], ...]:
    """What a solver's failure raises."""
    from cvxpy import SolverError
    from skfolio.exceptions import SkfolioError

    return SkfolioError, SolverError, ValueError, ArithmeticError, np.linalg.LinAlgError
