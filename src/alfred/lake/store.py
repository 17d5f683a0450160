"""The lake: Delta tables in a folder or object store, written by key, read only as of an instant.

A write compares its rows with the newest version and commits on top of exactly that version. Where another process
was faster, the commit is refused and the comparison made again, so that no row is lost and no key comes twice. A
commit is one file that appears whole or not at all: a killed process leaves at most data files that no version names.
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.table import TableMerger

from alfred.core.errors import DataError
from alfred.lake.place import address, failure, opened, scanned, storage_options, turn
from alfred.lake.tables import TABLES, Table, table
from alfred.lake.view import View

ON_TOP_OF_WHAT_WAS_READ = CommitProperties(max_commit_retries=0)
TIDIED = {"alfred": "tidied"}
# Small row groups let readers of a few symbols skip the rest of a file.
PARQUET = WriterProperties(compression="ZSTD", compression_level=1, max_row_group_size=131_072)
CONFIGURATION = {
    # Old versions stay readable for as long as their files are there; `tidy` decides when files go.
    "delta.enableExpiredLogCleanup": "false",
    "delta.targetFileSize": str(16 * 2**20),
}
TRIES = 60
LONGEST_PAUSE_SECONDS = 2.0
CHUNK_ROWS = 1_000_000
# Batches of a stream are written in nearly their order; small ones keep files and row groups narrow.
BATCH_ROWS = 32_768

T = TypeVar("T")

__all__ = ["Lake", "View", "WriteReport"]


@dataclass(frozen=True)
class WriteReport:
    """What an upsert did.

    Attributes:
        table: name of the table.
        inserted, updated, unchanged: rows with a new key, with other values than before, and as they were.
        version: the table's version afterwards, the same as before where nothing was new; -1 where there is none.
    """

    table: str
    inserted: int
    updated: int
    unchanged: int
    version: int

    def __str__(self) -> str:
        if not self.inserted and not self.updated:
            return f"{self.table}: nothing new, {self.unchanged:,} rows were there already"
        return f"{self.table}: {self.inserted:,} rows new, {self.updated:,} changed, {self.unchanged:,} as before"


@dataclass(frozen=True)
class Lake:
    """Point-in-time tables under `root`. Writes are atomic and versioned; reading goes through `asof` alone.

    Attributes:
        root: a folder, or the URL of an object store (`s3://bucket/lake`, `file:///folder`), whose settings come
            from the environment (variables that begin with AWS_, AZURE_ or GOOGLE_).
    """

    root: Path | str

    def write(self, name: str, frame: pl.DataFrame) -> WriteReport:
        """Upsert rows by the table's key, all in one commit. Rows that are there and equal cost only the look.

        A row with a stored key and other values replaces the stored one in the new version; earlier versions, which
        runs pin, keep showing the former. New rows go into files of their own, sorted by key; only files that hold a
        replaced row are written anew.

        Raises:
            DataError: the rows do not fit the table, its place cannot be written, or other processes wrote it all the
                time.
        """
        target = table(name)
        rows = target.conform(frame).sort(*target.key)
        if rows.is_empty():
            return WriteReport(name, 0, 0, 0, self.versions().get(name, -1))
        return self._settled(name, lambda delta: self._upsert(target, rows, delta))

    def remove(self, name: str, keys: pl.DataFrame) -> int:
        """Delete the rows with these keys, all in one commit; keys without a row are passed over.

        Args:
            name: table to delete from.
            keys: the table's key columns; others are ignored.

        Returns:
            How many rows were deleted.

        Raises:
            DataError: a key column is absent or does not fit its type.
        """
        target = table(name)
        gone = _keys(target, keys)

        def attempt(delta: DeltaTable | None) -> int:
            if delta is None or gone.is_empty():
                return 0
            there = _stored(delta, target, gone).select(*target.key).collect()
            if len(there):
                _merge(delta, target, there, there).when_matched_delete().execute()
            return len(there)

        return self._settled(name, attempt)

    def tidy(self, keep_days: int = 30, keep: Mapping[str, Sequence[int]] | None = None) -> dict[str, int]:
        """Write every table changed since the last call anew in few files sorted by key, and delete unused files.

        Many small writes and corrections make reading slow; this makes it fast again. The rows stay the same. Files
        that only versions replaced more than `keep_days` ago use, and files of writes that were killed, are deleted:
        a run that recorded such a version can no longer be repeated on it.

        Args:
            keep_days: versions that were current in this period stay readable. Below 1 only while nothing else
                uses the lake: files that a write has not committed yet count as unused.
            keep: versions by table that stay readable for ever, as runs recorded them.

        Returns:
            Files deleted, by table.

        Raises:
            DataError: `keep_days` is negative.
        """
        if keep_days < 0:
            raise DataError(f"tidy keeps at least 0 days, not {keep_days}.")
        deleted = {}
        for name in self.versions():
            target, kept = table(name), sorted(set((keep or {}).get(name, ())))
            self._settled(name, partial(_sort, target))
            deleted[name] = self._settled(name, partial(_vacuum, keep_days, kept))
        return deleted

    def compact(self, name: str) -> None:
        """Write a table anew in few files sorted by key, as after many small writes; nothing is deleted."""
        self._settled(name, partial(_sort, table(name)))

    def versions(self) -> dict[str, int]:
        """Current version of every table that exists."""
        tables = {name: opened(self.root, name) for name in sorted(TABLES)}
        return {name: delta.version() for name, delta in tables.items() if delta is not None}

    def holds(self, name: str, source: str) -> bool:
        """Whether a table has any row of that source."""
        delta = opened(self.root, name)
        if delta is None:
            return False
        return not scanned(delta).filter(pl.col("source") == source).select("source").head(1).collect().is_empty()

    def asof(self, instant: datetime, versions: Mapping[str, int] | None = None) -> View:
        """What was known at `instant`.

        A corrected row replaces the former one in new versions. A run that records `versions` and reads them again
        sees what it saw, whatever was written meanwhile.

        Args:
            instant: aware datetime; rows that became known later do not exist in the view.
            versions: table versions to read, as a run recorded them; default the current ones.
        """
        if instant.tzinfo is None:
            raise DataError("a view needs an instant with a time zone; use datetime.timezone.utc.")
        return View(self.root, instant, dict(self.versions() if versions is None else versions))

    def _settled(self, name: str, attempt: Callable[[DeltaTable | None], T]) -> T:
        """Let `attempt` read the newest version and commit on top of it, again whenever another writer was faster."""
        with turn(self.root, name):
            for at in range(TRIES):
                delta = opened(self.root, name)
                try:
                    return attempt(delta)
                except CommitFailedError:
                    pass
                except (DeltaError, OSError) as error:
                    if delta is not None or opened(self.root, name) is None:
                        raise failure(self.root, name, "written", error) from None
                # Random, so that two that collided do not collide again.
                time.sleep(random.uniform(0, min(LONGEST_PAUSE_SECONDS, 0.02 * 2**at)))  # noqa: S311 - no secret
        raise DataError(f"table {name!r} was written by others during each of {TRIES} tries; try again later.")

    def _upsert(self, target: Table, rows: pl.DataFrame, delta: DeltaTable | None) -> WriteReport:
        if delta is None:
            write_deltalake(
                address(self.root, target.name),
                rows.rechunk(),  # more chunks than one would be written in any order
                mode="error",
                configuration=CONFIGURATION,
                storage_options=storage_options(),
                writer_properties=PARQUET,
                commit_properties=ON_TOP_OF_WHAT_WAS_READ,
            )
            return WriteReport(target.name, len(rows), 0, 0, 0)
        fresh, changed = _news(target, rows, delta)
        if len(changed):
            (
                _merge(delta, target, pl.concat([fresh, changed]), changed)
                .when_matched_update_all()
                .when_not_matched_insert_all()
                .execute()
            )
        elif len(fresh):
            write_deltalake(
                delta,
                fresh.rechunk(),
                mode="append",
                writer_properties=PARQUET,
                commit_properties=ON_TOP_OF_WHAT_WAS_READ,
            )
        unchanged = len(rows) - len(fresh) - len(changed)
        return WriteReport(target.name, len(fresh), len(changed), unchanged, delta.version())


def _news(target: Table, rows: pl.DataFrame, delta: DeltaTable) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split off the rows that are new, and those whose values differ from the stored ones, in the order of `rows`."""
    key = list(target.key)
    rest = [name for name in target.schema if name not in target.key]
    old = _stored(delta, target, rows).collect()
    if old.is_empty():
        return rows, old
    if len(old) == len(rows) and old.sort(key).equals(rows):  # the common repeat, several times faster than a join
        return rows.clear(), rows.clear()
    there = old.with_columns(there=pl.lit(True))
    both = rows.join(there, on=key, how="left", suffix=" before", maintain_order="left")
    differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name} before")) for name in rest)
    fresh, known = both.filter(pl.col("there").is_null()), both.filter(pl.col("there") & differs)
    return fresh.select(rows.columns), known.select(rows.columns)


def _stored(delta: DeltaTable, target: Table, rows: pl.DataFrame) -> pl.LazyFrame:
    """Stored rows with the keys of `rows`. Files whose statistics lie outside the keys' ranges are not opened."""
    within = pl.all_horizontal(
        pl.col(name).is_between(pl.lit(rows[name].min(), kind), pl.lit(rows[name].max(), kind))
        for name, kind in target.key.items()
    )
    return scanned(delta).filter(within).join(rows.lazy().select(*target.key), on=list(target.key), how="semi")


def _merge(delta: DeltaTable, target: Table, rows: pl.DataFrame, stored: pl.DataFrame) -> TableMerger:
    """A merge of `rows` by key; those of `stored` are the ones in the table, whose range says which files to open."""
    terms = [f'old."{name}" = new."{name}"' for name in target.key]
    for name, kind in target.key.items():
        if kind in {pl.String(), pl.Date(), pl.Int64()}:
            low, high = (str(bound).replace("'", "''") for bound in (stored[name].min(), stored[name].max()))
            mark = "" if kind == pl.Int64() else "'"
            terms.append(f'old."{name}" >= {mark}{low}{mark} AND old."{name}" <= {mark}{high}{mark}')
    return delta.merge(
        rows.sort(*target.key),
        predicate=" AND ".join(terms),
        source_alias="new",
        target_alias="old",
        writer_properties=PARQUET,
        commit_properties=ON_TOP_OF_WHAT_WAS_READ,
    )


def _keys(target: Table, frame: pl.DataFrame) -> pl.DataFrame:
    """The key columns of `frame`, each key once."""
    absent = [name for name in target.key if name not in frame.columns]
    if absent:
        raise DataError(f"keys for table {target.name!r} lack the column(s) {', '.join(absent)}.")
    try:
        return frame.select(pl.col(name).cast(kind) for name, kind in target.key.items()).drop_nulls().unique()
    except pl.exceptions.PolarsError as error:
        raise DataError(f"keys for table {target.name!r} do not fit its types: {error}") from error


def _sort(target: Table, delta: DeltaTable | None) -> None:
    """Write the table anew, sorted by key, unless no row moved since that was last done."""
    if delta is None or _last_commit(delta).get("alfred") == TIDIED["alfred"]:
        return
    parts = _parts(delta, target)
    schema = pl.DataFrame(schema=target.schema).to_arrow().schema
    batches = (batch for part in parts for batch in part.rechunk().to_arrow().to_batches(max_chunksize=BATCH_ROWS))
    write_deltalake(
        delta,
        pa.RecordBatchReader.from_batches(schema, batches),
        mode="overwrite",
        writer_properties=PARQUET,
        commit_properties=CommitProperties(max_commit_retries=0, custom_metadata=TIDIED),
    )


def _last_commit(delta: DeltaTable) -> dict[str, Any]:
    """What is on record of the last commit that is not a vacuum's."""
    commits = delta.history(10)
    return next((commit for commit in commits if not commit["operation"].startswith("VACUUM")), {})


def _vacuum(keep_days: int, keep: list[int], delta: DeltaTable | None) -> int:
    """Delete the files that neither the versions of the last days nor those of `keep` use."""
    if delta is None:
        return 0
    gone = delta.vacuum(
        retention_hours=24 * keep_days,
        dry_run=False,
        enforce_retention_duration=False,
        full=True,
        keep_versions=keep or None,
    )
    return len(gone)


def _parts(delta: DeltaTable, target: Table) -> Iterator[pl.DataFrame]:
    """All rows in the order of the key, about a million at a time, so that memory does not grow with the table."""
    lead = next(iter(target.key))
    stored = scanned(delta)
    counts = stored.group_by(lead).len().sort(lead).collect()
    parts = counts.group_by(pl.col("len").cum_sum() // CHUNK_ROWS, maintain_order=True)
    for low, high in parts.agg(pl.first(lead), pl.last(lead).alias("last")).select(lead, "last").iter_rows():
        within = pl.col(lead).is_between(pl.lit(low), pl.lit(high))
        yield stored.filter(within).sort(*target.key).collect()
