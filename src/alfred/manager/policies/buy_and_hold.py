"""Buy and hold: 1/N once, then whatever it has drifted to; what may no longer be held is sold and stays cash.

What remains cash is not invested again, and names that are listed later are not bought; an account that holds nothing
at all buys 1/N of what there is.
"""

from pathlib import Path

from alfred.core.contracts import Floats
from alfred.core.progress import Progress
from alfred.manager.contracts import Observation, PolicyDescription, Scene
from alfred.manager.policies._rule import Note, Rule, RuleSettings, equal, fitted, restored
from alfred.manager.settings import ManagerSettings

DESCRIPTION = PolicyDescription(
    title="buy and hold",
    learns=False,
    uses_forecasts=False,
    reference="Malkiel (2003), The efficient market hypothesis and its critics, Journal of Economic Perspectives 17",
)


def decide(observation: Observation, settings: RuleSettings, note: Note) -> Floats:  # noqa: ARG001
    """(S,) the weights as they are."""
    return observation.held if observation.held.any() else equal(observation)


def fit(scene: Scene, settings: ManagerSettings, seed: int, progress: Progress) -> Rule:  # noqa: ARG001
    """Nothing is learnt."""
    return fitted(decide, settings, progress)


def restore(folder: Path) -> Rule:
    """With the settings it was saved with."""
    return restored(decide, folder)
