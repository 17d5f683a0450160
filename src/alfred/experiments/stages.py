"""Finished stages, addressed by a digest of everything that determined them."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from alfred.core.digest import code_digest, digest_of
from alfred.core.errors import DataError
from alfred.core.storage import whole_folder

DONE = "stage.json"
T = TypeVar("T")


@dataclass(frozen=True)
class Stages:
    """Keeps the results of stages under `root`; a folder appears whole or not at all."""

    root: Path

    def run(
        self, name: str, inputs: dict[str, Any], compute: Callable[[Path], None], load: Callable[[Path], T]
    ) -> tuple[T, bool]:
        """Compute a stage, or take up its finished result.

        A stored result that is incomplete or can no longer be read is computed again.

        Args:
            name: what the folder is called before the digest.
            inputs: JSON-like values that determine the result, digests of earlier stages among them; Alfred's code and
                the versions of what computes are added here.
            compute: writes the result into the folder it is given.
            load: reads it back.

        Returns:
            What `load` gives, and whether it had been computed before.
        """
        inputs = {"code": code_digest(), **inputs}
        folder = self.root / f"{name}-{digest_of(inputs)[:16]}"
        if (folder / DONE).is_file():
            try:
                return load(folder), True
            except (DataError, OSError, ValueError, pl.exceptions.PolarsError):
                pass
        shutil.rmtree(folder, ignore_errors=True)
        with whole_folder(folder) as scratch:
            compute(scratch)
            (scratch / DONE).write_text(json.dumps({"inputs": inputs}, indent=1), encoding="utf-8")
        return load(folder), False
