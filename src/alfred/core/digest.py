"""Digests that name things by their content: settings, arrays, and the code that computed them."""

import functools
import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np


def digest_of(*parts: Any) -> str:
    """SHA-256 (32 hex digits) of JSON-like values and numpy arrays, in order.

    Arrays count with dtype and shape, mappings regardless of key order. Not-a-number has one digest whatever
    its bit pattern came from JSON or numpy: both are written as they are.
    """
    state = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            array = np.ascontiguousarray(part)
            if array.dtype.kind in "OU":
                state.update(json.dumps(array.tolist()).encode())
            else:
                state.update(f"{array.dtype.str}{array.shape}".encode())
                state.update(array.view(np.uint8).data if array.size else b"")
        else:
            state.update(json.dumps(part, sort_keys=True, separators=(",", ":")).encode())
        state.update(b"\x1f")
    return state.hexdigest()[:32]


FOLDERS = ("core", "lake", "universe", "panel", "training", "analysts", "evaluation", "backtest", "experiments")
"""The stages' folders in the order in which data pass them."""


@functools.cache
def code_digest(upto: str) -> str:
    """Digest of the source of a stage's folder and of every folder it may import from.

    A finished stage is taken up again only if it was computed by the same code.
    """
    root = Path(str(files("alfred")))
    state = hashlib.sha256()
    for folder in FOLDERS[: FOLDERS.index(upto) + 1]:
        for path in sorted((root / folder).rglob("*.py")):
            state.update(path.relative_to(root).as_posix().encode())
            state.update(path.read_bytes())
    return state.hexdigest()[:32]
