"""Where Alfred keeps things: one folder, `ALFRED_HOME`, by default `alfred-home` in the current folder."""

import os
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "ALFRED_HOME"


@dataclass(frozen=True)
class Home:
    """The folders of one installation."""

    root: Path

    @property
    def lake(self) -> Path:
        """Tables of the lake."""
        return self.root / "lake"

    @property
    def stages(self) -> Path:
        """Finished stages, safe to delete: they are computed again when needed."""
        return self.root / "stages"

    @property
    def runs(self) -> Path:
        """One folder a run, with its record and report."""
        return self.root / "runs"


def home() -> Home:
    """The home that the environment names."""
    return Home(Path(os.environ.get(VARIABLE) or "alfred-home").expanduser().absolute())
