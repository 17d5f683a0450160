"""Inverse volatility: weights in proportion to 1 / deviation of daily returns, so that each name risks the same alone.

Uses the deviations of the sample as they are, and no covariance; all names with enough quotes take part.
"""

from pathlib import Path

from alfred.core.contracts import Floats
from alfred.core.progress import Progress
from alfred.manager.contracts import Observation, PolicyDescription, Scene
from alfred.manager.policies._covariance import by_inverse_volatility, sample_of
from alfred.manager.policies._rule import Note, Rule, RuleSettings, fitted, restored
from alfred.manager.settings import ManagerSettings

DESCRIPTION = PolicyDescription(
    title="inverse volatility",
    learns=False,
    uses_forecasts=False,
    reference="Kirby and Ostdiek (2012), It's all in the timing, Journal of Financial and Quantitative Analysis 47",
)


def decide(observation: Observation, settings: RuleSettings, note: Note) -> Floats:  # noqa: ARG001
    """(S,) weights, together 1; 1/N where there are too few returns."""
    return by_inverse_volatility(observation, sample_of(observation, settings.covariance_sessions))


def fit(scene: Scene, settings: ManagerSettings, seed: int, progress: Progress) -> Rule:  # noqa: ARG001
    """Nothing is learnt."""
    return fitted(decide, settings, progress)


def restore(folder: Path) -> Rule:
    """With the settings it was saved with."""
    return restored(decide, folder)
