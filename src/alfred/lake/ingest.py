"""From providers into the lake. A provider is one file in `lake/providers`, found by its name.

`admit` is the one way into the tables. What the quality checks refuse goes into `quarantine` with the original row
and the reason, what they only warn of into `findings`. The order of writes is quarantine, findings, table, removal
from the table: a process killed in between has lost nothing, and a repeat ends in the same content.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import polars as pl

from alfred.core.errors import ConfigError, DataError
from alfred.core.plugins import plugin
from alfred.core.progress import Progress, Silent
from alfred.lake.admission import Sorted, conformed, known_actions, recheck_bars, released_rows, sort_rows
from alfred.lake.contracts import Batch, Provider, Rejected, Request
from alfred.lake.place import opened, scanned
from alfred.lake.quality import VALUES, QualitySettings, run_checks
from alfred.lake.quarantine import quarantined_rows, unreadable
from alfred.lake.store import Lake, WriteReport
from alfred.lake.tables import TABLES

PROVIDERS = "alfred.lake.providers"
GROUP_ROWS = 2_000_000


@dataclass(frozen=True)
class Admission:
    """What became of batches. Iterating gives the write reports.

    Attributes:
        writes: one report a table and group of batches, in the order in which the tables came.
        quarantined, warned: rows by check, whether they were known before or not; for batches' rows and for stored
            rows that new ones showed in another light.
        rejected: pieces that could not be read as rows.
        removed: rows taken out of the tables because they are in quarantine now.
        noted: entries new or changed in `quarantine` and `findings`.
    """

    writes: tuple[WriteReport, ...] = ()
    quarantined: Mapping[str, int] = field(default_factory=dict)
    warned: Mapping[str, int] = field(default_factory=dict)
    rejected: int = 0
    removed: int = 0
    noted: int = 0

    @property
    def changed(self) -> bool:
        """Whether anything in the lake is different now."""
        return bool(self.removed or self.noted or any(write.inserted or write.updated for write in self.writes))

    def __iter__(self) -> Iterator[WriteReport]:
        return iter(self.writes)

    def __str__(self) -> str:
        if not self.changed:
            return f"nothing new, {sum(write.unchanged for write in self.writes):,} rows were there already"
        parts = [str(write) for write in self.writes]
        for title, counts in (("quarantined", self.quarantined), ("warned of", self.warned)):
            if counts:
                parts.append(f"{title}: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()))
        if self.rejected:
            parts.append(f"unreadable: {self.rejected:,}")
        if self.removed:
            parts.append(f"taken out of the tables: {self.removed:,}")
        return "; ".join(parts)


def provider(name: str) -> Provider:
    """The provider of that name.

    Raises:
        ConfigError: there is none.
    """
    return cast("Provider", plugin(PROVIDERS, name))


def admit(
    lake: Lake,
    batches: Iterable[Batch],
    settings: QualitySettings | None = None,
    progress: Progress | None = None,
) -> Admission:
    """Check batches and write them into their tables; small ones are put together first.

    Bars are checked beside the stored bars of their symbols (see `alfred.lake.quality`). In every table a row
    without a key, and a second row with the same key but other values, is quarantined.

    Args:
        lake: where to write.
        batches: from a provider, in any order and of any tables.
        settings: bounds and actions of the checks.
        progress: hears what was refused.

    Raises:
        DataError: a batch lacks a key column or has one that its table doesn't know. Nothing of its group is written.
    """
    settings = settings or QualitySettings()
    counts = _Counts(lake, progress or Silent())
    for name, rows, rejected in _groups(batches):
        counts.settle(name, sort_rows(lake, name, rows, settings), unreadable(name, rows, rejected))
        if name == "actions" and "kind" in rows.columns:
            ends = rows.filter(pl.col("kind") == "delisting")
            first = ends["date"].cast(pl.Date).min()
            if isinstance(first, dt.date):
                again = recheck_bars(lake, ends["symbol"].unique(), first, settings)
                counts.settle("bars", again, unreadable(name, rows, ()))
    return counts.admission()


@dataclass
class _Counts:
    """Writes outcomes into the lake, the records first, and counts what became of them."""

    lake: Lake
    progress: Progress
    writes: list[WriteReport] = field(default_factory=list)
    quarantined: Counter[str] = field(default_factory=Counter)
    warned: Counter[str] = field(default_factory=Counter)
    rejected: int = 0
    removed: int = 0
    noted: int = 0

    def settle(self, name: str, outcome: Sorted, rejected: pl.DataFrame) -> None:
        findings = pl.concat([outcome.findings, rejected], how="vertical_relaxed")
        for records_name, records in (("quarantine", outcome.quarantine), ("findings", findings)):
            if len(records):
                report = self.lake.write(records_name, records)
                self.noted += report.inserted + report.updated
        if len(outcome.accepted):
            self.writes.append(self.lake.write(name, outcome.accepted))
        if len(outcome.refused):
            self.removed += self.lake.remove(name, outcome.refused)
        self.quarantined.update(outcome.quarantined)
        self.warned.update(outcome.warned)
        self.rejected += len(rejected)
        if outcome.quarantined:
            parts = ", ".join(f"{count:,} {check}" for check, count in sorted(outcome.quarantined.items()))
            self.progress.say(f"{name}: quarantined {parts}")

    def admission(self) -> Admission:
        quarantined, warned = (dict(sorted(counts.items())) for counts in (self.quarantined, self.warned))
        return Admission(tuple(self.writes), quarantined, warned, self.rejected, self.removed, self.noted)


def release(lake: Lake, symbol: str | None = None, date: dt.date | None = None, check: str | None = None) -> int:
    """Put quarantined rows back into their tables, past all checks, now and whenever they come again.

    A release exempts the row, not its key: another row of that key is checked like any other. A record whose key the
    table now holds with another, accepted row is passed over, unless both `date` and `check` are given: a release of
    all of a symbol's rows must not put an error back in place of its correction.

    Args:
        lake: where.
        symbol, date, check: which rows; at least one must be given.

    Returns:
        How many rows were put back. Where several rows of one key are released, the first by check goes back.

    Raises:
        ConfigError: nothing says which rows.
    """
    if symbol is None and date is None and check is None:
        raise ConfigError("release needs a symbol, a date or a check; without one it would undo the whole quarantine.")
    delta = opened(lake.root, "quarantine")
    if delta is None:
        return 0
    back = 0
    for name in scanned(delta).select(pl.col("table").unique().sort()).collect()["table"]:
        records = quarantined_rows(lake, name).filter(~pl.col("record_released"))
        for column, value in (("symbol", symbol), ("date", date), ("check", check)):
            if value is not None:
                records = records.filter(pl.col(f"record_{column}") == value)
        target = TABLES[name]
        records = records.drop_nulls([*target.key, "known_at", "source"]).sort("record_row_key", "record_check")
        if date is None or check is None:
            records = _unsettled(lake, name, records)
        if records.is_empty():
            continue
        # The row first: killed here, a repeat of the release finds the records still unreleased.
        rows = records.unique(list(target.key), keep="first", maintain_order=True)
        lake.write(name, rows.select(list(target.schema)))
        # Every record of a released row is settled, whichever check it came from; other rows of its key are not.
        same = ["record_row", *target.key]
        all_records = quarantined_rows(lake, name).join(rows, on=same, how="semi")
        marked = all_records.with_columns(pl.lit(True).alias("record_released"))
        lake.write("quarantine", marked.select(pl.col(f"record_{at}").alias(at) for at in TABLES["quarantine"].schema))
        back += len(rows)
    return back


def _unsettled(lake: Lake, name: str, records: pl.DataFrame) -> pl.DataFrame:
    """Records whose key the table doesn't hold, or holds with this very row."""
    delta = opened(lake.root, name)
    if delta is None or records.is_empty():
        return records
    key, columns = list(TABLES[name].key), list(TABLES[name].schema)
    held = scanned(delta)
    if "symbol" in key:
        held = held.filter(pl.col("symbol").is_in(records["symbol"].unique().implode()))
    there = held.join(records.select(key).unique().lazy(), on=key, how="semi").select(columns).collect()
    other = there.join(records, on=columns, how="anti", nulls_equal=True)
    return records.join(other, on=key, how="anti")


def check_lake(lake: Lake, settings: QualitySettings | None = None) -> pl.DataFrame:
    """Run the checks over all stored bars, whoever brought them; rows that a person released are left out.

    Returns:
        Findings as of `alfred.lake.quality.run_checks`, with a column `source` and without `row`. Nothing is changed.
    """
    delta = opened(lake.root, "bars")
    released = released_rows(lake)
    rows = pl.DataFrame(schema=TABLES["bars"].schema) if delta is None else scanned(delta).collect()
    found = []
    for (source,), own in rows.sort("source", maintain_order=True).group_by("source", maintain_order=True):
        bars = own.select("symbol", "date", *VALUES)
        hits = run_checks(bars, known_actions(lake, bars["symbol"].unique()), settings or QualitySettings())
        exempt = own.with_row_index("row").join(
            released, on=[*TABLES["bars"].key, *VALUES], how="semi", nulls_equal=True
        )
        found.append(hits.join(exempt, on="row", how="anti").with_columns(pl.lit(source).alias("source")).drop("row"))
    nothing = run_checks(rows.select("symbol", "date", *VALUES).clear(), None, settings or QualitySettings())
    return pl.concat([nothing.drop("row").with_columns(pl.lit("").alias("source")), *found])


def ensure(lake: Lake, name: str) -> tuple[WriteReport, ...]:
    """Bring in a bundled provider's data unless the lake holds rows of it in every table the provider fills.

    Each table is written in one commit, so that all of them hold rows only once all is there, and a repeat after an
    interruption brings in the rest. Rows of that source that the provider does not give are another market (such as a
    synthetic one of other settings, whose tables may be empty): nothing is ever added to it.

    Raises:
        ConfigError: the provider is not bundled and the lake holds nothing of it; the message says how to fetch it.
        DataError: the lake holds the beginning of another market, without bars.
    """
    source = provider(name)
    held = [table for table in source.DESCRIPTION.tables if lake.holds(table, name)]
    if len(held) == len(source.DESCRIPTION.tables):
        return ()
    if source.DESCRIPTION.kind != "bundled":
        if "bars" in held:
            return ()
        raise ConfigError(f"the lake holds no bars of {name!r} yet; bring them in with `alfred data fetch {name}`.")
    whole = _whole(source)
    other = next((table for table in held if _holds_other(lake, table, name, whole[table].rows)), "")
    if not other:
        return admit(lake, whole.values()).writes
    if "bars" in held:
        return ()
    raise DataError(
        f"the lake at {lake.root} holds rows of {name!r} in {other} that are not the provider's own, and no bars, as a "
        "market of other settings does whose writing was cut off; write it to its end, or take an empty lake."
    )


def _whole(source: Provider) -> dict[str, Batch]:
    """All that a bundled provider gives, one batch a table."""
    request, found = Request(), dict[str, list[Batch]]()
    for task in source.tasks(request):
        for batch in source.fetch(task, request, None):
            found.setdefault(batch.table, []).append(batch)
    return {name: Batch(name, *_together(batches)) for name, batches in found.items()}


def _holds_other(lake: Lake, name: str, source: str, given: pl.DataFrame) -> bool:
    """Whether a table has a row of that source that is not among those given."""
    delta = opened(lake.root, name)
    if delta is None:
        return False
    columns = list(TABLES[name].schema)
    stored = scanned(delta).filter(pl.col("source") == source).select(columns).collect()
    return not stored.join(conformed(TABLES[name], given), on=columns, how="anti", nulls_equal=True).is_empty()


Group = tuple[str, pl.DataFrame, tuple[Rejected, ...]]


def _groups(batches: Iterable[Batch]) -> Iterator[Group]:
    """Batches of a table put together, up to a number of rows; actions first, for the checks of bars read them."""
    waiting: dict[str, list[Batch]] = {}
    for batch in batches:
        waiting.setdefault(batch.table, []).append(batch)
        if sum(len(one.rows) for group in waiting.values() for one in group) >= GROUP_ROWS:
            yield from _joined(waiting)
            waiting = {}
    yield from _joined(waiting)


def _joined(waiting: Mapping[str, list[Batch]]) -> Iterator[Group]:
    for name in sorted(waiting, key=lambda name: name != "actions"):
        yield name, *_together(waiting[name])


def _together(batches: Sequence[Batch]) -> tuple[pl.DataFrame, tuple[Rejected, ...]]:
    """Batches of one table as one: rows, and what could not be read as rows."""
    frames = [batch.rows for batch in batches if batch.rows.width]
    rows = pl.concat(frames, how="diagonal_relaxed") if frames else pl.DataFrame()
    return rows, tuple(piece for batch in batches for piece in batch.rejected)
