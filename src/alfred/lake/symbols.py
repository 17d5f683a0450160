"""What people write for symbols: AAPL,MSFT or @file.txt or @sp500."""

import datetime as dt
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from alfred.core.errors import ConfigError
from alfred.lake.store import Lake, View

INDEXES = ("sp500", "nasdaq100", "dow")


def symbols_of(text: str, lake: Lake, on: dt.date | None = None) -> tuple[str, ...]:
    """Symbols in the order written, each once.

    Args:
        text: parts separated by commas. A part is a symbol; `@` and the path of a file with one symbol a line, where
            `#` begins a comment; or `@sp500`, `@nasdaq100`, `@dow`: the index's members.
        lake: holds the members.
        on: date of membership, default today.

    Raises:
        ConfigError: a file or an index's members are not there; the message says how to get them.
    """
    now = dt.datetime.now(dt.UTC)
    return symbols_in(text, lake.asof(now), on or now.date())


def symbols_in(text: str, view: View, on: dt.date) -> tuple[str, ...]:
    """Likewise, with the members that a view knows of."""
    found: dict[str, None] = {}
    for part in (piece.strip() for piece in text.split(",")):
        if part.startswith("@"):
            name = part[1:]
            members = _members(view, name.lower(), on) if name.lower() in INDEXES else _listed(Path(name))
            found.update(dict.fromkeys(members))
        elif part:
            found[part] = None
    return tuple(found)


def _listed(path: Path) -> Iterable[str]:
    if not path.is_file():
        raise ConfigError(
            f"there is no file {path} with symbols; write @ and a file with one symbol a line, or one of "
            f"{', '.join('@' + index for index in INDEXES)}."
        )
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return [line for line in (line.partition("#")[0].strip() for line in lines) if line]


def _members(view: View, index: str, day: dt.date) -> Iterable[str]:
    spells = view.members(index)
    current = spells.filter((pl.col("from") <= day) & (pl.col("to").is_null() | (pl.col("to") > day)))
    if current.is_empty():
        raise ConfigError(
            f"the lake holds no members of {index} on {day}; bring them in with `alfred data fetch constituents`."
        )
    return current["symbol"].unique().sort()
