"""Black-Litterman: begin with what would make 1/N the best portfolio, and move by the analysts' forecasts.

Before any view the expected returns of a quarter are p = delta C w, w = 1/N and C the shrunk covariance scaled to the
quarter, for which 1/N is optimal. A forecast q of a name is a view on it, and its interval says how sure: a central
interval of a normal error with deviation s gives Omega = tau s^2, so that tau leaves the posterior mean,

    m = p + C_v (C_vv + diag(s^2))^-1 (q - p_v),   S = (1 + tau) C - tau C_v (C_vv + diag(s^2))^-1 C_v',

v the names with a view (Black and Litterman, 1992; He and Litterman, 1999; an Omega of s^2 in proportion to tau is
their own where s is the name's deviation). It is skfolio's `BlackLitterman` with the confidences of Idzorek
C_vv / (C_vv + s^2), which a test asserts. Weights maximise m'w - delta/2 w'Sw within the bounds, and together at most
the budget: what is not worth its risk stays cash. Without views they are 1/N, but for 1 / (1 + tau).
"""

from functools import partial
from pathlib import Path

import numpy as np
from scipy.stats import norm

from alfred.core.contracts import Floats
from alfred.core.progress import Progress
from alfred.manager.contracts import Observation, PolicyDescription, Scene
from alfred.manager.policies._covariance import Bounds, Sample, given, optimised, require_skfolio, shrunk
from alfred.manager.policies._rule import Note, Rule, RuleSettings, fitted, restored
from alfred.manager.settings import ManagerSettings

DESCRIPTION = PolicyDescription(
    title="Black-Litterman",
    learns=False,
    uses_forecasts=True,
    reference="Black and Litterman (1992), Global portfolio optimization, Financial Analysts Journal 48",
)
RISK_AVERSION = 2.5
"""delta, of He and Litterman (1999, "The intuition behind Black-Litterman model portfolios")."""
TAU = 0.05
"""Of the same; it only scales the covariance here."""
SESSIONS_PER_QUARTER = 63
LEAST_DEVIATION = 1e-4
"""An analyst that is surer than this is taken to be as sure."""


def decide(observation: Observation, settings: RuleSettings, note: Note) -> Floats:
    """(S,) weights; inverse volatility with a note where the solver fails."""
    return optimised(observation, settings, note, partial(_solve, observation))


def posterior(observation: Observation, sample: Sample) -> tuple[Floats, Floats]:
    """(K,) expected returns of a quarter and (K, K) covariance after the analysts' views."""
    covariance = SESSIONS_PER_QUARTER * shrunk(sample.returns)
    mean = RISK_AVERSION * covariance.mean(axis=1)
    forecast = observation.mean[sample.at]
    spread = (observation.upper - observation.lower)[sample.at]
    view = np.flatnonzero(np.isfinite(forecast) & np.isfinite(spread))
    deviation = spread[view] / (2.0 * norm.ppf(0.5 + 0.5 * observation.level))
    error = covariance[np.ix_(view, view)] + np.diag(np.maximum(deviation, LEAST_DEVIATION) ** 2)
    across = covariance[:, view]
    return (
        mean + across @ np.linalg.solve(error, forecast[view] - mean[view]),
        (1.0 + TAU) * covariance - TAU * across @ np.linalg.solve(error, across.T),
    )


def _solve(observation: Observation, sample: Sample, room: Bounds) -> Floats:
    from skfolio.optimization import MeanRisk, ObjectiveFunction

    model = MeanRisk(
        objective_function=ObjectiveFunction.MAXIMIZE_UTILITY,
        risk_aversion=RISK_AVERSION / 2.0,
        prior_estimator=given(*posterior(observation, sample)),
        min_weights=room.least,
        max_weights=room.most,
        budget=None,
        max_budget=room.budget,
    )
    found: Floats = model.fit(sample.returns).weights_
    return found


def fit(scene: Scene, settings: ManagerSettings, seed: int, progress: Progress) -> Rule:  # noqa: ARG001
    """Nothing is learnt."""
    require_skfolio()
    return fitted(decide, settings, progress)


def restore(folder: Path) -> Rule:
    """With the settings it was saved with."""
    return restored(decide, folder)
