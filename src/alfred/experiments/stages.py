"""Finished stages, addressed by a digest of everything that determined them."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alfred.core.digest import digest_of
from alfred.core.storage import whole_folder

DONE = "stage.json"


@dataclass(frozen=True)
class Finished:
    """A finished stage: its folder, the seconds this call took, and whether it had been finished before."""

    folder: Path
    seconds: float
    resumed: bool


@dataclass(frozen=True)
class Stages:
    """Keeps the results of stages under `root`; a folder appears whole or not at all."""

    root: Path

    def run(self, name: str, inputs: dict[str, Any], compute: Callable[[Path], None]) -> Finished:
        """Compute a stage, or take up its finished result.

        Args:
            name: what the folder is called before the digest.
            inputs: JSON-like values that determine the result, digests of earlier stages and of the code included.
            compute: writes the result into the folder it is given.
        """
        began = time.perf_counter()
        folder = self.root / f"{name}-{digest_of(inputs)[:16]}"
        resumed = (folder / DONE).is_file()
        if not resumed:
            with whole_folder(folder) as scratch:
                compute(scratch)
                seconds = time.perf_counter() - began
                (scratch / DONE).write_text(json.dumps({"inputs": inputs, "seconds": seconds}, indent=1))
        return Finished(folder, time.perf_counter() - began, resumed)
