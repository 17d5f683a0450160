"""Hierarchical risk parity: names are clustered by correlation, and each cluster's share falls with its variance.

López de Prado (2016). Needs no inverse of the covariance. Solved by skfolio's `HierarchicalRiskParity` with its
defaults (Pearson distance, Ward's linkage instead of the paper's single one, bisection along the tree) on the shrunk
covariance. Long-only by construction.
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
    title="hierarchical risk parity",
    learns=False,
    uses_forecasts=False,
    reference="López de Prado (2016), Building diversified portfolios that outperform out of sample, JPM 42",
)


def decide(observation: Observation, settings: RuleSettings, note: Note) -> Floats:
    """(S,) weights; inverse volatility with a note where the solver fails."""
    return optimised(observation, settings, note, _solve)


def _solve(sample: Sample, room: Bounds) -> Floats:
    from skfolio.optimization import HierarchicalRiskParity

    told = given(np.zeros(len(sample.at)), shrunk(sample.returns))
    model = HierarchicalRiskParity(prior_estimator=told, max_weights=min(room.most / room.budget, 1.0))
    found: Floats = room.budget * model.fit(sample.returns).weights_
    return found


def fit(scene: Scene, settings: ManagerSettings, seed: int, progress: Progress) -> Rule:  # noqa: ARG001
    """Nothing is learnt."""
    require_skfolio()
    return fitted(decide, settings, progress)


def restore(folder: Path) -> Rule:
    """With the settings it was saved with."""
    return restored(decide, folder)
