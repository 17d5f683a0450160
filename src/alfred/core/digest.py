"""Digests that name things by their content: settings, arrays, and the code that computed them."""

import functools
import hashlib
import json
from importlib.metadata import entry_points, version
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


SHOWING = ("report", "cli")
"""Folders that only show results."""
COMPUTING = ("numpy", "scipy", "polars", "torch", "exchange-calendars")
"""Libraries whose version may move a figure."""

PLUGINS = (
    "alfred.lake.providers", "alfred.language.digesters", "alfred.panel.features", "alfred.analysts",
    "alfred.backtest.strategies", "alfred.evaluation.audit", "alfred.manager.policies",
)  # fmt: skip
"""Kinds of plug-ins, which others may bring through entry points of these groups."""


@functools.cache
def code_digest() -> str:
    """Digest of all code that may move a figure: Alfred's own, plug-ins of others, and the libraries that compute.

    A finished stage is taken up again only if it was computed by the same code.
    """
    root = Path(str(files("alfred")))
    state = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root)
        if place.parts[0] not in SHOWING:
            state.update(place.as_posix().encode())
            state.update(path.read_bytes())
    for kind in PLUGINS:
        for found in sorted(entry_points(group=kind), key=lambda entry: entry.name):
            state.update(f"{kind}:{found.value}:{found.dist.version if found.dist else ''}".encode())
    state.update(repr([version(name) for name in COMPUTING]).encode())
    return state.hexdigest()[:32]
