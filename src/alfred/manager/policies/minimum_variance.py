"""Minimum variance: the weights, together 1, with the least variance by the shrunk covariance of daily returns.

min w'Cw subject to sum w = 1 and the bounds of a name (Markowitz, 1952, "Portfolio selection", Journal of Finance 7;
why it is hard to beat: Clarke, de Silva and Thorley, 2006). Solved by skfolio's `MeanRisk`.
"""

from pathlib import Path

import numpy as np

from alfred.core.contracts import Floats
from alfred.core.progress import Progress
from alfred.manager.contracts import Observation, PolicyDescription, Scene
from alfred.manager.policies._covariance import Bounds, Sample, given, optimised, require_skfolio, shrunk
from alfred.manager.policies._rule import Note, Rule, RuleSettings, fitted, restored
from alfred.manager.settings import ManagerSettings

DESCRIPTION = PolicyDescription(
    title="minimum variance",
    learns=False,
    uses_forecasts=False,
    reference="Clarke, de Silva and Thorley (2006), Minimum-variance portfolios in the US equity market, JPM 33",
)


def decide(observation: Observation, settings: RuleSettings, note: Note) -> Floats:
    """(S,) weights; inverse volatility with a note where the solver fails."""
    return optimised(observation, settings, note, _solve)


def _solve(sample: Sample, room: Bounds) -> Floats:
    from skfolio.optimization import MeanRisk

    model = MeanRisk(
        prior_estimator=given(np.zeros(len(sample.at)), shrunk(sample.returns)),
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
