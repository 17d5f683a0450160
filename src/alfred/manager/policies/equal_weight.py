"""1/N: the same weight for every name that may be held (DeMiguel, Garlappi and Uppal, 2009, RFS 22).

The rule that is hardest to beat out of sample, for it estimates nothing.
"""

from dataclasses import dataclass
from pathlib import Path

from alfred.core.contracts import Floats
from alfred.core.progress import Progress
from alfred.manager.contracts import Observation, PolicyDescription, Scene
from alfred.manager.settings import ManagerSettings

DESCRIPTION = PolicyDescription(
    title="1/N",
    learns=False,
    uses_forecasts=False,
    reference="DeMiguel, Garlappi and Uppal (2009), Optimal versus naive diversification, Review of Financial Studies",
)


@dataclass(frozen=True)
class EqualWeight:
    """Knows nothing but who may be held."""

    def weights(self, observation: Observation) -> Floats:
        """(S,) 1/N for those that may be held, which uses the whole account; all 0 where there is none."""
        may: Floats = observation.mask / max(int(observation.mask.sum()), 1)
        return may

    def save(self, folder: Path) -> None:
        """Nothing is learnt."""
        folder.mkdir(parents=True, exist_ok=True)


def fit(scene: Scene, settings: ManagerSettings, seed: int, progress: Progress) -> EqualWeight:  # noqa: ARG001
    """Nothing is learnt."""
    return EqualWeight()


def restore(folder: Path) -> EqualWeight:  # noqa: ARG001
    """Nothing was learnt."""
    return EqualWeight()
