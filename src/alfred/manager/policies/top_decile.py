"""Top decile: the tenth of names with the highest forecast, in equal parts; at least one name.

The portfolio that studies of forecasts sort names into (Jegadeesh and Titman, 1993; Gu, Kelly and Xiu, 2020). Names
without a forecast are not counted; of equal forecasts the first by symbol is taken. It is always invested, also
where the highest forecasts are below zero.
"""

from pathlib import Path

import numpy as np

from alfred.core.contracts import Floats
from alfred.core.progress import Progress
from alfred.manager.contracts import Observation, PolicyDescription, Scene
from alfred.manager.policies._rule import Note, Rule, RuleSettings, fitted, restored, spoken_for
from alfred.manager.settings import ManagerSettings

DESCRIPTION = PolicyDescription(
    title="top decile",
    learns=False,
    uses_forecasts=True,
    reference="Gu, Kelly and Xiu (2020), Empirical asset pricing via machine learning, Review of Financial Studies 33",
)
PART = 10


def decide(observation: Observation, settings: RuleSettings, note: Note) -> Floats:  # noqa: ARG001
    """(S,) equal weights, together 1; all 0 where nobody has a forecast."""
    weights, at = np.zeros(len(observation.mask)), spoken_for(observation)
    count = max(len(at) // PART, 1)
    best = at[np.argsort(-observation.mean[at], kind="stable")[:count]]
    weights[best] = 1.0 / count
    return weights


def fit(scene: Scene, settings: ManagerSettings, seed: int, progress: Progress) -> Rule:  # noqa: ARG001
    """Nothing is learnt."""
    return fitted(decide, settings, progress)


def restore(folder: Path) -> Rule:
    """With the settings it was saved with."""
    return restored(decide, folder)
