"""Where a lake's tables are: a local folder or an object store, and how writers there take turns."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from alfred.core.errors import DataError

CLOUDS = ("AWS_", "AZURE_", "GOOGLE_")
SHORTEST_SECRET = 8


UNOPENABLE = "[]|^%\\"
"""Characters of a folder's path that Delta's reader cannot open."""


def address(root: Path | str, name: str) -> str:
    """Address of a table under a folder or a URL such as `s3://bucket/lake`.

    Raises:
        DataError: the folder's path has a character that the table format cannot open.
    """
    if isinstance(root, str) and "://" in root:
        return f"{root.rstrip('/')}/{name}"
    place = str(Path(root) / name)
    wrong = next((letter for letter in place if letter in UNOPENABLE and letter != os.sep), None)
    if wrong is not None:
        raise DataError(f"the lake's folder {root} has {wrong!r} in its path, which its tables cannot; move it.")
    return place


def storage_options() -> dict[str, str]:
    """Settings of object stores: every variable of the environment that begins with AWS_, AZURE_ or GOOGLE_."""
    return {name: value for name, value in os.environ.items() if name.startswith(CLOUDS)}


def opened(root: Path | str, name: str, version: int | None = None) -> DeltaTable | None:
    """The table at its newest or a given version; None where there is no table.

    Raises:
        DataError: the place cannot be read; the message holds no value of the storage options.
    """
    place = address(root, name)
    try:
        return DeltaTable(place, version=version, storage_options=storage_options())
    except TableNotFoundError:
        return None
    except (DeltaError, OSError, ValueError) as error:
        wanted = "" if version is None else f" at version {version}"
        raise failure(root, name, f"opened{wanted}", error) from None


def scanned(delta: DeltaTable) -> pl.LazyFrame:
    """The rows of an opened table, lazily.

    polars' own reader of Delta does not find local files whose path a URL spells otherwise, as it does a space; there
    its reader of Parquet gets their paths as they are. (Arrow's reader cannot compare some texts that polars hands it.)
    """
    if not ("%" in delta.table_uri and delta.table_uri.startswith("file:")):
        return pl.scan_delta(delta)
    schema = pl.DataFrame(pa.schema(delta.schema()).empty_table()).schema
    files = [unquote(uri.removeprefix("file://")) for uri in delta.file_uris()]
    root = unquote(delta.table_uri.removeprefix("file://")).rstrip("/") + "/"
    outside = next((file for file in files if not os.path.normpath(file).startswith(root)), None)
    if outside is not None:
        raise DataError(f"the table at {root} names the file {outside}, which lies outside it; nothing was read.")
    if not files:
        return pl.LazyFrame(schema=schema)
    return pl.scan_parquet(files, glob=False, schema=schema, missing_columns="insert")


def failure(root: Path | str, name: str, action: str, error: Exception) -> DataError:
    """What went wrong in one line, without any value of the storage options."""
    cause = str(error).partition("\n")[0]
    for value in storage_options().values():
        cause = cause.replace(value, "***") if len(value) >= SHORTEST_SECRET else cause
    return DataError(f"table {name!r} of the lake at {root} cannot be {action}: {cause}")


@contextmanager
def turn(root: Path | str, name: str) -> Iterator[None]:
    """Wait until no other process of this machine writes the table.

    Writers are safe without it, because a commit on top of a version that is no longer the newest is refused; but
    a long one could be overtaken for ever. A killed process loses its turn. Object stores have none, nor has Windows.
    """
    if sys.platform == "win32" or (isinstance(root, str) and "://" in root):
        yield
        return
    import fcntl

    Path(root).mkdir(parents=True, exist_ok=True)
    with (Path(root) / f".{name}.lock").open("w") as file:
        with suppress(OSError):  # some network file systems have no locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
