"""Maximum Sharpe: the weights with the highest ratio of what the analysts forecast to the deviation.

max m'w / sqrt(w'Cw) subject to sum w = 1 and the bounds of a name (Markowitz, 1952; Sharpe, 1966): m the mean
forecasts, C the shrunk covariance of daily returns; the ratio's maximum does not depend on the units of either. Names
without a forecast are left out. Where no forecast is above zero, a long-only account stays in cash. The analysts'
intervals play no part, which is the rule's known weakness (Michaud, 1989). Solved by skfolio's `MeanRisk`.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from alfred.core.contracts import Floats
from alfred.core.progress import Progress
from alfred.manager.contracts import Observation, PolicyDescription, Scene
from alfred.manager.policies._covariance import Bounds, Sample, given, optimised, require_skfolio, shrunk
from alfred.manager.policies._rule import Note, Rule, RuleSettings, fitted, restored
from alfred.manager.settings import ManagerSettings

DESCRIPTION = PolicyDescription(
    title="maximum Sharpe",
    learns=False,
    uses_forecasts=True,
    reference="Markowitz (1952), Portfolio selection, Journal of Finance 7; Sharpe (1966), Journal of Business 39",
)


def decide(observation: Observation, settings: RuleSettings, note: Note) -> Floats:
    """(S,) weights; cash where no forecast is worth a position, inverse volatility with a note where none is found."""
    spoken = observation.mask & np.isfinite(observation.mean)
    worth = observation.mean > 0.0 if settings.limits.long_only else observation.mean != 0.0
    if not (spoken & worth).any():
        return np.zeros(len(observation.mask))
    return optimised(replace(observation, mask=spoken), settings, note, partial(_solve, observation.mean))


def _solve(mean: Floats, sample: Sample, room: Bounds) -> Floats:
    from skfolio.optimization import MeanRisk, ObjectiveFunction

    forecast = mean[sample.at]
    if room.least == 0.0 and not (forecast > 0.0).any():
        return np.zeros(len(forecast))
    covariance = shrunk(sample.returns)
    # The ratio's maximum does not depend on the scale of the forecasts; the largest as large as the unit suits solvers.
    scaled = forecast * (np.diag(covariance).mean() / np.abs(forecast).max())
    model = MeanRisk(
        objective_function=ObjectiveFunction.MAXIMIZE_RATIO,
        prior_estimator=given(scaled, covariance),
        min_weights=room.least / room.budget,
        max_weights=room.most / room.budget,
    )
    found: Floats = room.budget * model.fit(sample.returns).weights_
    return found


def fit(scene: Scene, settings: ManagerSettings, seed: int, progress: Progress) -> Rule:  # noqa: ARG001
    """Nothing is learnt."""
    require_skfolio()
    return fitted(decide, settings, progress)


def restore(folder: Path) -> Rule:
    """With the settings it was saved with."""
    return restored(decide, folder)
