"""Reads a file of sectors: symbol, sector, and since when each was known. Not a provider."""

import csv
import datetime as dt
import gzip
import io
from pathlib import Path

import polars as pl

from alfred.lake.contracts import Rejected
from alfred.lake.known import known_next_session
from alfred.lake.tables import TABLES

NAME = "sectors"
# Spellings without case, spaces and signs.
SPELLINGS = {
    "symbol": ("symbol", "ticker"),
    "sector": ("sector", "gicssector"),
    "known_at": ("knownat", "since"),
    "sic": ("sic", "siccode"),
}
SHOWN = 500
COLUMNS = (
    "a symbol and a sector were expected among the columns of a file called sectors (known_at and sic may follow)."
)
NO_INSTANT = (
    "known_at must be a date such as 2015-03-31, or an instant with its time zone such as 2015-03-31T16:00:00-04:00."
)


def is_sector_file(file: Path) -> bool:
    """Whether a file's name, without its endings, is "sectors"."""
    return file.name.lower().partition(".")[0] == NAME


def sectors_of(file: Path, source: str) -> tuple[pl.DataFrame, list[Rejected]]:
    """Rows of the table `sectors`, and what could not be read.

    A date counts from the next session's open. A row without `known_at` counts from when the file came to lie where it
    is as it is: the later of its last change and its arrival, of which the second cannot be set back.

    Raises:
        OSError, EOFError, UnicodeError, zlib.error, csv.Error, pl.exceptions.PolarsError: the file can't be read.
    """
    state = file.stat()
    there = dt.datetime.fromtimestamp(max(state.st_mtime, state.st_ctime), dt.UTC)
    header, lines = _table(file)
    found = _names(header)
    where = str(file)
    if not {"symbol", "sector"} <= set(found):
        return pl.DataFrame(schema=TABLES["sectors"].schema), [Rejected(where, COLUMNS, ", ".join(header)[:SHOWN])]
    rows, rejected = [], []
    for number, line in lines:
        cells = {name: line[at].strip() if at < len(line) else "" for name, at in found.items()}
        if not any(cells.values()):
            continue
        known, symbol = _known(cells.get("known_at", ""), there), cells["symbol"].upper()
        if not symbol or not cells["sector"] or known is None:
            reason = NO_INSTANT if known is None else "the row has no symbol or no sector."
            rejected.append(Rejected(f"{where}:{number}", reason, ",".join(line)[:SHOWN], symbol))
            continue
        rows.append(
            {
                "symbol": symbol, "known_at": known, "source": source, "sector": cells["sector"],
                "sic": cells.get("sic") or None,
            }
        )  # fmt: skip
    return pl.DataFrame(rows, schema=TABLES["sectors"].schema), rejected


def _table(file: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and the numbered rows below it as text."""
    if file.name.lower().endswith(".parquet"):
        table = pl.read_parquet(file)
        texts = table.select(_text(table[name]) for name in table.columns).fill_null("")
        return table.columns, [(at, list(row)) for at, row in enumerate(texts.iter_rows(), start=1)]
    data = file.read_bytes()
    text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max((",", ";", "\t"), key=first.count))
    lines = [(reader.line_num, line) for line in reader]
    return (lines[0][1], lines[1:]) if lines else ([], [])


def _text(column: pl.Series) -> pl.Series:
    if isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone is not None:
        return column.dt.convert_time_zone("UTC").dt.to_string("iso:strict")
    return column.cast(pl.String)


def _names(header: list[str]) -> dict[str, int]:
    """Positions of the columns that are known."""
    plain = ["".join(sign for sign in name.lower() if sign.isalnum()) for name in header]
    return {
        ours: next(plain.index(spelling) for spelling in spellings if spelling in plain)
        for ours, spellings in SPELLINGS.items()
        if any(spelling in plain for spelling in spellings)
    }


def _known(text: str, otherwise: dt.datetime) -> dt.datetime | None:
    """The instant in UTC; None where it cannot be read."""
    if not text:
        return otherwise
    try:
        return known_next_session(dt.date.fromisoformat(text))
    except ValueError:
        pass
    try:
        instant = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if instant.tzinfo is None else instant.astimezone(dt.UTC)
