"""Finished stages, addressed by a digest of everything that determined them."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from alfred.core.digest import code_digest, digest_of
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

        A stored result that is incomplete, or of which a file is not as it was written, is computed again.

        Args:
            name: what the folder is called before the digest.
            inputs: JSON-like values that determine the result, digests of earlier stages among them; Alfred's code and
                the versions of what computes are added here.
            compute: writes the result into the folder it is given.
            load: reads it back.

        Returns:
            What `load` gives, and whether it had been computed before.
        """
        inputs = _with_code(inputs)
        folder = self.folder(name, inputs)
        if _is_whole(folder):
            return load(folder), True
        shutil.rmtree(folder, ignore_errors=True)
        with whole_folder(folder) as scratch:
            compute(scratch)
            form = {"inputs": inputs, "files": _digests(scratch)}
            (scratch / DONE).write_text(json.dumps(form, indent=1), encoding="utf-8")
        return load(folder), False

    def find(self, name: str, inputs: dict[str, Any]) -> Path | None:
        """The folder of a finished stage, None where there is none that is as it was written."""
        folder = self.folder(name, _with_code(inputs))
        return folder if _is_whole(folder) else None

    def folder(self, name: str, inputs: dict[str, Any]) -> Path:
        """Where the result of these complete inputs lies, or would lie."""
        return self.root / f"{name}-{digest_of(inputs)[:16]}"


def _with_code(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"code": code_digest(), **inputs}


def _is_whole(folder: Path) -> bool:
    """Whether a stage is there with every file as it was written."""
    try:
        form = json.loads((folder / DONE).read_text(encoding="utf-8"))
        return bool(form["files"] == _digests(folder))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != DONE)
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
