"""The user's own price files: a folder with one file a symbol, or one table with a symbol column.

CSV (also gzipped, separated by comma, semicolon or tab) and Parquet. Columns are recognised by name, whatever their
case and spelling. In a folder the file's name is the symbol ("BF.B.csv"), unless the file has a symbol column. What
can't be read as rows, such as an error page that a download script saved in place of prices, is handed on with its
file and lines; the good rows before and after it are kept. So is what the folder holds beside price files.

Adjusted files carry no record of their adjustments, so an early price level may know later splits; and files chosen
today usually hold the companies that survived. Both are assumed, for nothing in the files could tell otherwise.
An index among the symbols ("^GSPC", "SPY") becomes a series of the same name as well, for a study to compare with.
A file called "sectors" (sectors.csv) with the columns symbol and sector says in which sector each company is.
"""

import csv
import zlib
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from alfred.core.errors import ConfigError, DataError
from alfred.lake.contracts import Batch, ProviderDescription, Rejected, Request, Web
from alfred.lake.known import known_at_close
from alfred.lake.providers._pricetext import SCHEMA, bars_of_frame, bars_of_text
from alfred.lake.providers._sectorfile import is_sector_file, sectors_of
from alfred.lake.tables import TABLES

DESCRIPTION = ProviderDescription(
    name="csvfile",
    tables=("bars", "series", "sectors"),
    note=(
        "Your own price files, CSV or Parquet: a folder with one file a symbol, or one table with a symbol column; "
        "beside them sectors.csv with symbol and sector, if you like. "
        "They are taken for split-adjusted and for survivors, since nothing in them tells otherwise."
    ),
    kind="file",
    survivors_only=True,
    levels_know_the_future=True,
    market_series="^GSPC",
)

ENDINGS = (".csv", ".txt", ".csv.gz", ".txt.gz", ".parquet")
INDEX_FUNDS = ("SPY",)
BATCH_ROWS = 2_000_000
UNREADABLE = (OSError, EOFError, UnicodeError, zlib.error, csv.Error, pl.exceptions.PolarsError)
# Files of one task: enough that a write is worth its cost.
TASK_FILES = 500


def tasks(request: Request) -> tuple[str, ...]:
    """The file, or parts of the folder by the names of their first and last files.

    Raises:
        ConfigError: there is no path, nothing at the path, no leave to look there, or no price file in the folder.
    """
    return tuple(_parts(_files(request)[0]))


def fetch(task: str, request: Request, web: Web | None) -> Iterator[Batch]:  # noqa: ARG001 - nothing is asked for
    """Rows of the task's files, each known at its session's close; the first task also names what is no price file.

    Raises:
        ConfigError: as of `tasks`.
        DataError: the folder's files are others than when the tasks were made.
    """
    files, strays = _files(request)
    parts = _parts(files)
    if task not in parts:
        raise DataError(f"the folder {request.path} no longer has the files {task}; fetch again.")
    waiting: list[pl.DataFrame] = []
    rejected = strays if task == next(iter(parts)) else []
    for file in parts[task]:
        if is_sector_file(file):
            yield _sectors(file, request)
            continue
        rows, bad = _read(file)
        waiting.append(_within(rows, request))
        rejected += bad
        if sum(len(frame) for frame in waiting) >= BATCH_ROWS:
            yield from _batches(waiting, rejected)
            waiting, rejected = [], []
    yield from _batches(waiting, rejected)


def _parts(files: list[Path]) -> dict[str, list[Path]]:
    parts = [files[at : at + TASK_FILES] for at in range(0, len(files), TASK_FILES)]
    return {part[0].name if len(part) == 1 else f"{part[0].name} to {part[-1].name}": part for part in parts}


def _files(request: Request) -> tuple[list[Path], list[Rejected]]:
    """The price files, and what else the folder holds."""
    path = request.path
    if path is None:
        raise ConfigError("the provider csvfile needs the path of a file or folder with prices.")
    try:
        if path.is_file():
            return [path], []
        if not path.is_dir():
            raise ConfigError(f"there is no file or folder {path}.")
        reasons = {entry: _stray(entry) for entry in sorted(path.iterdir())}
    except OSError as error:
        raise ConfigError(f"the path {path} can't be read ({type(error).__name__}); check who may read it.") from error
    files = [entry for entry, reason in reasons.items() if not reason]
    if not files:
        raise ConfigError(f"the folder {path} has no price files; their names end in {', '.join(ENDINGS)}.")
    return files, [Rejected(str(entry), reason, entry.name) for entry, reason in reasons.items() if reason]


def _stray(entry: Path) -> str:
    """Why an entry of the folder is no price file; empty where it is one."""
    try:
        if entry.is_dir():
            return "a file was expected, not a folder; fetch it by its own path."
        if not entry.exists():
            return "a file was expected, not a link that leads nowhere."
        if not entry.is_file():
            return "a file was expected."
    except OSError as error:
        return f"the file can't be read ({type(error).__name__})."
    known = entry.name.lower().endswith(ENDINGS)
    return "" if known else f"a name that ends in one of {', '.join(ENDINGS)} was expected."


def _read(file: Path) -> tuple[pl.DataFrame, list[Rejected]]:
    symbol = file.name.upper()
    for ending in (".GZ", ".CSV", ".TXT", ".PARQUET"):
        symbol = symbol.removesuffix(ending)
    try:
        if file.name.lower().endswith(".parquet"):
            return bars_of_frame(pl.read_parquet(file), str(file), symbol)
        return bars_of_text(file.read_bytes(), str(file), symbol)
    except UNREADABLE as error:
        return pl.DataFrame(schema=SCHEMA), [_unread(file, error, symbol)]


def _sectors(file: Path, request: Request) -> Batch:
    try:
        rows, rejected = sectors_of(file, DESCRIPTION.name)
    except UNREADABLE as error:
        return Batch("sectors", pl.DataFrame(schema=TABLES["sectors"].schema), (_unread(file, error, ""),))
    wanted = rows.filter(pl.col("symbol").is_in(list(request.symbols))) if request.symbols else rows
    return Batch("sectors", wanted, tuple(rejected))


def _unread(file: Path, error: Exception, symbol: str) -> Rejected:
    return Rejected(str(file), f"the file can't be read ({type(error).__name__}).", str(error)[:500], symbol)


def _within(rows: pl.DataFrame, request: Request) -> pl.DataFrame:
    if request.symbols:
        rows = rows.filter(pl.col("symbol").is_in(list(request.symbols)))
    if request.since is not None:
        rows = rows.filter(pl.col("date") >= request.since)
    return rows if request.until is None else rows.filter(pl.col("date") <= request.until)


def _batches(frames: list[pl.DataFrame], rejected: list[Rejected]) -> Iterator[Batch]:
    if not frames:
        return
    rows = pl.concat(frames)
    rows = rows.with_columns(known_at_close(rows["date"]), pl.lit(DESCRIPTION.name).alias("source"))
    yield Batch("bars", rows.select(list(TABLES["bars"].schema)), tuple(rejected))
    names = rows["symbol"].unique()
    indices = names.filter(names.str.starts_with("^") | names.is_in(INDEX_FUNDS))
    if len(indices):
        index = rows.filter(pl.col("symbol").is_in(indices.implode()))
        levels = index.select(
            pl.col("symbol").alias("series"),
            "date",
            "known_at",
            pl.coalesce("adj_close", "close").alias("value"),
            "source",
        )
        usable = levels.filter(pl.col("value") > 0).unique(["series", "date"], keep="first", maintain_order=True)
        yield Batch("series", usable)
