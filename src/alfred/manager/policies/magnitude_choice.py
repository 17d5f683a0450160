"""Magnitude choice: the whole account in the single largest forecast by absolute size, as the notes' experiment did.

Long where it is above zero, short where it is below; a long-only account's limits make the latter cash. Of equal sizes
the first by symbol is taken. One name is the whole risk: the rule is here because the notes told of it.
"""

from pathlib import Path

import numpy as np

from alfred.core.contracts import Floats
from alfred.core.progress import Progress
from alfred.manager.contracts import Observation, PolicyDescription, Scene
from alfred.manager.policies._rule import Note, Rule, RuleSettings, fitted, restored, spoken_for
from alfred.manager.settings import ManagerSettings

DESCRIPTION = PolicyDescription(
    title="magnitude choice",
    learns=False,
    uses_forecasts=True,
    reference="the notes' MagnitudeChoiceBacktester",
)


def decide(observation: Observation, settings: RuleSettings, note: Note) -> Floats:  # noqa: ARG001
    """(S,) one weight of 1 or -1; all 0 where nobody has a forecast, or the largest is 0."""
    weights, at = np.zeros(len(observation.mask)), spoken_for(observation)
    if len(at):
        largest = at[np.abs(observation.mean[at]).argmax()]
        weights[largest] = np.sign(observation.mean[largest])
    return weights


def fit(scene: Scene, settings: ManagerSettings, seed: int, progress: Progress) -> Rule:  # noqa: ARG001
    """Nothing is learnt."""
    return fitted(decide, settings, progress)


def restore(folder: Path) -> Rule:
    """With the settings it was saved with."""
    return restored(decide, folder)
