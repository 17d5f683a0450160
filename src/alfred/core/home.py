"""Where Alfred keeps things: one folder, `ALFRED_HOME`, by default `alfred-home` in the current folder.

The lake may lie elsewhere, on a disk or an object store that several machines share: `ALFRED_LAKE` names its folder or
URL. So may the tracking data: `ALFRED_TRACKING_URI` names a server or a database. `ALFRED_SWEEP_STORAGE` names the
database in which machines that share a sweep find its queue.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from alfred.core.errors import ConfigError

VARIABLE = "ALFRED_HOME"
LAKE_VARIABLE = "ALFRED_LAKE"
TRACKING_VARIABLE = "ALFRED_TRACKING_URI"
SWEEP_VARIABLE = "ALFRED_SWEEP_STORAGE"


@dataclass(frozen=True)
class Home:
    """The places of one installation.

    Attributes:
        root: folder of everything but, perhaps, the lake.
        shared_lake: folder or URL of a lake elsewhere; empty for the one in the folder.
        shared_tracking: address of tracking data elsewhere, which may hold a password; empty for those in the folder.
        shared_sweeps: address of the sweeps' database elsewhere, likewise.
    """

    root: Path
    shared_lake: str = ""
    shared_tracking: str = field(default="", repr=False)
    shared_sweeps: str = field(default="", repr=False)

    @property
    def lake(self) -> Path | str:
        """Folder or URL of the lake's tables."""
        return self.shared_lake or self.root / "lake"

    @property
    def stages(self) -> Path:
        """Finished stages, safe to delete: they are computed again when needed."""
        return self.root / "stages"

    @property
    def models(self) -> Path:
        """One folder a model of `alfred train`, with what it learnt."""
        return self.root / "models"

    @property
    def runs(self) -> Path:
        """One folder a run, with its record and report."""
        return self.root / "runs"

    @property
    def notes(self) -> Path:
        """One folder a re-run of the notes."""
        return self.root / "notes"

    @property
    def fundamentals(self) -> Path:
        """One folder a run of the analysts of accounts."""
        return self.root / "fundamentals"

    @property
    def tracking(self) -> Path:
        """Tracking data: what was tried, when, and what came of it."""
        return self.root / "tracking"

    @property
    def sweeps(self) -> Path:
        """One folder a sweep, with its table of trials and the study that was chosen."""
        return self.root / "sweeps"


def home() -> Home:
    """The home that the environment names.

    Raises:
        ConfigError: it is a file, or begins with the home folder of a user who is not known.
    """
    named = os.environ.get(VARIABLE) or "alfred-home"
    try:
        root = Path(named).expanduser().absolute()
    except RuntimeError as error:
        raise ConfigError(f"{VARIABLE} is {named}, but whose folder ~ means is not known; write it out.") from error
    if root.is_file():
        raise ConfigError(f"the home {root} is a file; set {VARIABLE} to a folder, which need not be there yet.")
    return Home(
        root,
        os.environ.get(LAKE_VARIABLE, ""),
        os.environ.get(TRACKING_VARIABLE, ""),
        os.environ.get(SWEEP_VARIABLE, ""),
    )
