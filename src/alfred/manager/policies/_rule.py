"""What all rules share: they keep their settings, decide by one function of the observation, and learn nothing."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydantic import Field

from alfred.backtest.settings import LimitSettings
from alfred.core.contracts import Floats
from alfred.core.errors import DataError
from alfred.core.progress import Progress, Silent
from alfred.core.settings import Settings
from alfred.core.storage import write_whole
from alfred.manager.contracts import Observation
from alfred.manager.settings import LONG_ONLY, ManagerSettings

FILE = "rule.json"


class RuleSettings(Settings):
    """The part of `ManagerSettings` that rules look at."""

    covariance_sessions: int = Field(default=252, ge=20, le=2520)
    most_names: int = Field(default=100, ge=2, le=1000)
    limits: LimitSettings = LONG_ONLY

    @classmethod
    def of(cls, settings: ManagerSettings) -> "RuleSettings":
        """That part."""
        return cls(
            covariance_sessions=settings.covariance_sessions, most_names=settings.most_names, limits=settings.limits
        )


Note = Callable[[str], None]
Decide = Callable[[Observation, RuleSettings, Note], Floats]
"""(S,) weights from what is known; the note is for what a reader must know about this decision."""


@dataclass(frozen=True)
class Rule:
    """A rule that is ready to decide.

    Attributes:
        decide: the rule.
        settings: what it may look at and hold.
        progress: hears the notes too.
        notes: of the decisions so far, each with its date, such as a solver's failure.
    """

    decide: Decide
    settings: RuleSettings = field(default_factory=RuleSettings)
    progress: Progress = field(default_factory=Silent, repr=False, compare=False)
    notes: list[str] = field(default_factory=list, repr=False, compare=False)

    def weights(self, observation: Observation) -> Floats:
        """(S,) target weights; 0 for names that may not be held."""

        def note(text: str) -> None:
            self.notes.append(f"{observation.date}: {text}")
            self.progress.say(self.notes[-1])

        found: Floats = np.where(observation.mask, self.decide(observation, self.settings, note), 0.0)
        return found

    def save(self, folder: Path) -> None:
        """Write the settings."""
        write_whole(folder / FILE, self.settings.model_dump_json(indent=2) + "\n")


def fitted(decide: Decide, settings: ManagerSettings, progress: Progress) -> Rule:
    """A rule with the manager's settings."""
    return Rule(decide, RuleSettings.of(settings), progress)


def restored(decide: Decide, folder: Path) -> Rule:
    """A rule with the settings that `Rule.save` wrote.

    Raises:
        DataError: the folder holds none, or not of a rule.
    """
    path = folder / FILE
    try:
        return Rule(decide, RuleSettings.model_validate_json(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} holds no settings of a rule; fit the policy again.") from error


def equal(observation: Observation) -> Floats:
    """(S,) 1/N over the names that may be held; all 0 where there is none."""
    share: Floats = observation.mask / max(int(observation.mask.sum()), 1)
    return share


def spoken_for(observation: Observation) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Names that may be held and have a forecast, in the order of their symbols, so that ties fall to symbols."""
    order = np.argsort(observation.bars.symbols, kind="stable")
    return order[(observation.mask & np.isfinite(observation.mean))[order]]
