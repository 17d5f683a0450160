"""The lake: Delta tables in a folder, written by key, read only as of an instant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import polars as pl
from deltalake import DeltaTable, write_deltalake

from alfred.core.errors import DataError
from alfred.lake.tables import Table, table


@dataclass(frozen=True)
class WriteReport:
    """What an upsert did; `version` is the table's version afterwards, unchanged where nothing was new."""

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
    """Point-in-time tables under `root`. Writes are atomic and versioned; reading goes through `asof` alone."""

    root: Path

    def write(self, name: str, frame: pl.DataFrame) -> WriteReport:
        """Upsert rows by the table's key. Rows that are already there and equal cost nothing but the look.

        Raises:
            DataError: the rows do not fit the table.
        """
        target = table(name)
        rows = target.conform(frame)
        if not DeltaTable.is_deltatable(str(self._path(name))):
            self._path(name).parent.mkdir(parents=True, exist_ok=True)
            write_deltalake(str(self._path(name)), rows.to_arrow(), mode="append")
            return WriteReport(name, len(rows), 0, 0, self.versions()[name])
        delta = DeltaTable(str(self._path(name)))
        fresh, changed = _news(target, rows, pl.scan_delta(delta))
        news = pl.concat([fresh, changed])
        if len(news):
            (
                delta.merge(
                    news.to_arrow(),
                    predicate=" AND ".join(f"old.{key} = new.{key}" for key in target.key),
                    source_alias="new",
                    target_alias="old",
                )
                .when_matched_update_all()
                .when_not_matched_insert_all()
                .execute()
            )
        return WriteReport(name, len(fresh), len(changed), len(rows) - len(news), self.versions()[name])

    def versions(self) -> dict[str, int]:
        """Current version of every table that exists."""
        return {
            path.name: DeltaTable(str(path)).version()
            for path in sorted(self.root.glob("*"))
            if DeltaTable.is_deltatable(str(path))
        }

    def holds(self, name: str, source: str) -> bool:
        """Whether a table has any row of that source."""
        if name not in self.versions():
            return False
        rows = pl.scan_delta(str(self._path(name))).filter(pl.col("source") == source)
        return bool(rows.select(pl.len()).collect().item())

    def asof(self, instant: datetime, versions: Mapping[str, int] | None = None) -> "View":
        """What was known at `instant`.

        Args:
            instant: aware datetime; rows that became known later do not exist in the view.
            versions: table versions to read, as a run recorded them; default the current ones.
        """
        if instant.tzinfo is None:
            raise DataError("a view needs an instant with a time zone; use datetime.timezone.utc.")
        return View(self.root, instant, dict(self.versions() if versions is None else versions))

    def _path(self, name: str) -> Path:
        return self.root / name


@dataclass(frozen=True)
class View:
    """The lake as it was known at one instant. The only way to read it."""

    root: Path
    instant: datetime
    versions: Mapping[str, int] = field(default_factory=dict)

    def bars(self, symbols: Sequence[str] | None = None, source: str | None = None) -> pl.DataFrame:
        """Daily bars sorted by symbol and date, with columns of the table `bars`.

        Raises:
            DataError: a symbol asked for has no bars known by the view's instant; the message names it.
        """
        frame = self._read("bars", source)
        if symbols is not None:
            frame = frame.filter(pl.col("symbol").is_in(list(symbols)))
        rows = frame.sort("symbol", "date").collect()
        absent = sorted(set(symbols or ()) - set(rows["symbol"].unique()))
        if absent:
            there = self._read("bars", source).select(pl.col("symbol").unique().sort()).collect()["symbol"].to_list()
            few = ", ".join(there[:20]) + (f" and {len(there) - 20} more" if len(there) > 20 else "")
            raise DataError(
                f"there are no bars for {', '.join(absent)} known by {self.instant:%Y-%m-%d}; the lake has "
                f"{few or 'none'}."
            )
        return rows

    def series(self, name: str) -> pl.DataFrame:
        """One series in its latest known vintage: columns date, value, known_at, sorted by date.

        Raises:
            DataError: nothing of that series was known.
        """
        frame = self._read("series", None).filter(pl.col("series") == name)
        latest = frame.sort("date", "known_at").group_by("date", maintain_order=True).last()
        rows = latest.select("date", "value", "known_at").sort("date").collect()
        if rows.is_empty():
            raise DataError(f"the series {name!r} has no value known by {self.instant:%Y-%m-%d}.")
        return rows

    def _read(self, name: str, source: str | None) -> pl.LazyFrame:
        if name not in self.versions:
            raise DataError(f"the lake at {self.root} has no table {name!r} yet; a run or `alfred demo` fills it.")
        frame = pl.scan_delta(str(self.root / name), version=self.versions[name])
        frame = frame.filter(pl.col("known_at") <= self.instant)
        return frame if source is None else frame.filter(pl.col("source") == source)


def _news(target: Table, rows: pl.DataFrame, stored: pl.LazyFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split off the rows that are new, and those whose values differ from the stored ones."""
    key = list(target.key)
    rest = [name for name in target.schema if name not in target.key]
    old = stored.join(rows.lazy().select(key), on=key, how="semi").collect()
    fresh = rows.join(old, on=key, how="anti")
    both = rows.join(old, on=key, how="inner", suffix="_old")
    differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_old")) for name in rest)
    return fresh, both.filter(differs).select(rows.columns)
