"""Cash: nothing is held. What any risk has to be better than."""

from pathlib import Path

import numpy as np

from alfred.core.contracts import Floats
from alfred.core.progress import Progress
from alfred.manager.contracts import Observation, PolicyDescription, Scene
from alfred.manager.policies._rule import Note, Rule, RuleSettings, fitted, restored
from alfred.manager.settings import ManagerSettings

DESCRIPTION = PolicyDescription(
    title="cash",
    learns=False,
    uses_forecasts=False,
    reference="the rate that is paid without risk",
)


def decide(observation: Observation, settings: RuleSettings, note: Note) -> Floats:  # noqa: ARG001
    """(S,) zeros."""
    return np.zeros(len(observation.mask))


def fit(scene: Scene, settings: ManagerSettings, seed: int, progress: Progress) -> Rule:  # noqa: ARG001
    """Nothing is learnt."""
    return fitted(decide, settings, progress)


def restore(folder: Path) -> Rule:
    """With the settings it was saved with."""
    return restored(decide, folder)
