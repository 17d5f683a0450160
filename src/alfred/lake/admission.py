"""Sorts rows for a table into those it takes and those it refuses. Nothing is written here."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from alfred.core.errors import DataError
from alfred.lake.place import opened, scanned
from alfred.lake.quality import QualitySettings, arranged, run_checks
from alfred.lake.quarantine import encoded, finding_records, quarantine_records, quarantined_rows
from alfred.lake.store import Lake
from alfred.lake.tables import Table, table

# Calendar days of stored bars either side of new ones that checks see: longer than any run or window they need.
CONTEXT_DAYS = 60
KEY = ["symbol", "date"]
"""Key of a bar among those of one source."""


@dataclass(frozen=True)
class Sorted:
    """Outcome for one table.

    Attributes:
        accepted: rows for the table.
        refused: keys of stored rows that must leave it.
        quarantine, findings: records for those tables.
        quarantined, warned: findings by check.
    """

    accepted: pl.DataFrame
    refused: pl.DataFrame
    quarantine: pl.DataFrame
    findings: pl.DataFrame
    quarantined: Mapping[str, int]
    warned: Mapping[str, int]


def sort_rows(lake: Lake, name: str, rows: pl.DataFrame, settings: QualitySettings) -> Sorted:
    """Check rows for table `name`; bars beside their stored neighbours.

    Raises:
        DataError: a key or provenance column is absent, a column is unknown, or a type does not fit.
    """
    target = table(name)
    typed = _typed(target, rows) if rows.width else pl.DataFrame(schema=target.schema)
    required = list(dict.fromkeys([*target.key, "known_at", "source"]))
    keyless = typed.filter(pl.any_horizontal(pl.col(required).is_null()))
    whole = typed.filter(pl.all_horizontal(pl.col(required).is_not_null())) if len(keyless) else typed
    lost = _with(keyless, "null-key", f"the row has no value in one of {', '.join(required)}")
    if name == "bars":
        judged = [
            _sort_bars(lake, str(source), new, _context(lake, str(source), new), settings)
            for (source,), new in whole.sort("source", maintain_order=True).group_by("source", maintain_order=True)
        ]
        return _merged([*judged, _plainly_refused(target, lost)])
    again = (
        whole.unique(maintain_order=True)
        if whole.select(pl.struct(*target.key).is_duplicated().any()).item()
        else whole
    )
    last = again.unique(list(target.key), keep="last", maintain_order=True)
    others = again.join(last, on=again.columns, how="anti", nulls_equal=True)
    refused = pl.concat(
        [lost, _with(others, "duplicate-key", "a later row of the same batch has this key and was kept")]
    )
    outcome = _plainly_refused(target, refused)
    return replace(outcome, accepted=last)


def _plainly_refused(target: Table, refused: pl.DataFrame) -> Sorted:
    """Rows with columns check and reason, none of which the table has stored."""
    return Sorted(
        pl.DataFrame(schema=target.schema),
        pl.DataFrame(schema=target.key),
        quarantine_records(target, refused),
        finding_records(target, refused.clear()),
        Counter(refused["check"]),
        {},
    )


def _merged(parts: Sequence[Sorted]) -> Sorted:
    frames = ("accepted", "refused", "quarantine", "findings")
    counts = ("quarantined", "warned")
    return Sorted(
        *(pl.concat([getattr(part, name) for part in parts]) for name in frames),
        *(sum((Counter(getattr(part, name)) for part in parts), Counter()) for name in counts),
    )


def recheck_bars(lake: Lake, symbols: pl.Series, since: dt.date, settings: QualitySettings) -> Sorted:
    """Check stored bars from a date on again, because what is known about their symbols has changed."""
    target = table("bars")
    nothing = pl.DataFrame(schema=target.schema)
    stored = _stored(lake, None, symbols, since, dt.date.max)
    judged = [
        _sort_bars(lake, str(source), nothing, rows, settings)
        for (source,), rows in stored.sort("source", maintain_order=True).group_by("source", maintain_order=True)
    ]
    return _merged([*judged, _plainly_refused(target, _with(nothing, "", ""))])


def released_keys(lake: Lake) -> pl.DataFrame:
    """Keys of bars that a person released, with the released row as JSON: symbol, date, source, row."""
    return _released(quarantined_rows(lake, "bars"))


def _released(records: pl.DataFrame) -> pl.DataFrame:
    records = records.filter("record_released")
    key = list(table("bars").key)
    return records.select(*key, pl.col("record_row").alias("row")).unique(key, keep="first", maintain_order=True)


def known_actions(lake: Lake, symbols: pl.Series) -> pl.DataFrame | None:
    """Rows of the table `actions` for some symbols; None where there is no such table."""
    delta = opened(lake.root, "actions")
    if delta is None:
        return None
    return scanned(delta).filter(pl.col("symbol").is_in(symbols.implode())).collect()


def _sort_bars(lake: Lake, source: str, new: pl.DataFrame, stored: pl.DataFrame, settings: QualitySettings) -> Sorted:
    """Judge one source's new rows among its stored and formerly refused ones; a stored row may turn out wrong."""
    target, records = table("bars"), quarantined_rows(lake, "bars").filter(pl.col("source") == source)
    released = _released(records)
    old = stored.join(new, on=KEY, how="anti") if len(new) else stored
    near = _near(records, new, stored, target).join(new, on=KEY, how="anti").join(old, on=KEY, how="anti")
    columns = list(target.schema)
    union = pl.concat([
        new.with_columns(_preferred(target, new, released), pl.lit("new").alias("origin")),
        old.select(columns).with_columns(pl.lit(False).alias("preferred"), pl.lit("stored").alias("origin")),
        near.select(columns).with_columns(pl.lit(False).alias("preferred"), pl.lit("refused").alias("origin")),
    ])  # fmt: skip
    found = run_checks(union, known_actions(lake, union["symbol"].unique()), settings)
    found = found.join(released, on=KEY, how="anti")
    full = union.with_row_index("row").drop("preferred")
    # What was refused before has its record; only new and stored rows are judged.
    hits = found.select("row", "check", "action", "reason").join(full, on="row").filter(pl.col("origin") != "refused")
    refused = hits.filter(pl.col("action") == "quarantine")
    warned = hits.filter(pl.col("action") == "warn").join(refused, on="row", how="anti")
    taken = full.filter(pl.col("origin") == "new").join(refused, on="row", how="anti")
    taken = taken.join(_copies(union.filter(pl.col("origin") == "new")), on="row", how="anti")
    gone = refused.join(taken, on=KEY, how="anti").join(stored, on=KEY, how="semi")
    plain = [*columns, "check", "reason"]
    refused = _unrecorded(lake, "quarantine", source, refused).select(plain)
    warned = _unrecorded(lake, "findings", source, warned).select(plain)
    return Sorted(
        taken.select(columns),
        gone.select(list(target.key)).unique(),
        quarantine_records(target, refused),
        finding_records(target, warned),
        Counter(refused["check"]),
        Counter(warned["check"]),
    )


def _typed(target: Table, rows: pl.DataFrame) -> pl.DataFrame:
    target.conform(rows.clear())
    try:
        return rows.select(
            pl.col(name).cast(kind) if name in rows.columns else pl.lit(None, kind).alias(name)
            for name, kind in target.schema.items()
        )
    except pl.exceptions.PolarsError as error:
        raise DataError(f"rows for table {target.name!r} do not fit its types: {error}") from error


def _with(rows: pl.DataFrame, check: str, reason: str) -> pl.DataFrame:
    return rows.with_columns(pl.lit(check).alias("check"), pl.lit(reason).alias("reason"))


def _preferred(target: Table, new: pl.DataFrame, released: pl.DataFrame) -> pl.Expr:
    """Among several rows for one date, the one that a person released is the one to keep."""
    if released.is_empty() or new.is_empty():
        return pl.lit(False).alias("preferred")
    return pl.lit(encoded(target, new).is_in(released["row"].implode())).alias("preferred")


def _copies(new: pl.DataFrame) -> pl.DataFrame:
    """Positions (column `row`) of the rows beside the one that is kept for their date, whatever becomes of that one."""
    repeated = new.with_row_index("row").filter(pl.struct(KEY).is_duplicated())
    beside = arranged(repeated.drop("row")).filter(pl.col("copy") > 0)["row"]
    return repeated[beside.to_list()].select("row")


def _context(lake: Lake, source: str, new: pl.DataFrame) -> pl.DataFrame:
    """Stored bars of the symbols near the new ones' dates; where there are none before, the last one there is."""
    if new.is_empty():
        return pl.DataFrame(schema=table("bars").schema)
    span = dt.timedelta(days=CONTEXT_DAYS)
    first, last = new["date"].min(), new["date"].max()
    if not isinstance(first, dt.date) or not isinstance(last, dt.date):
        raise DataError("bars have no dates.")
    symbols = new["symbol"].unique()
    since = max(first, dt.date.min + span) - span
    near = _stored(lake, source, symbols, since, min(last, dt.date.max - span) + span)
    begins = new.group_by("symbol").agg(pl.col("date").min().alias("begins"))
    before = near.join(begins, on="symbol").filter(pl.col("date") < pl.col("begins"))["symbol"].unique()
    alone = symbols.filter(~symbols.is_in(before.implode()))
    delta = opened(lake.root, "bars")
    if delta is None or alone.is_empty():
        return near
    own = scanned(delta).filter(pl.col("source") == source)
    earlier = own.filter(pl.col("symbol").is_in(alone.implode()), pl.col("date") < since)
    latest = earlier.group_by("symbol").agg(pl.col("date").max())
    return pl.concat([near, earlier.join(latest, on=KEY, how="semi").collect().select(near.columns)])


def _stored(lake: Lake, source: str | None, symbols: pl.Series, since: dt.date, until: dt.date) -> pl.DataFrame:
    delta = opened(lake.root, "bars")
    if delta is None:
        return pl.DataFrame(schema=table("bars").schema)
    rows = scanned(delta).filter(pl.col("date").is_between(since, until))
    if source is not None:
        rows = rows.filter(pl.col("source") == source)
    few = rows.filter(pl.col("symbol").is_in(symbols.implode()))
    return few.select(list(table("bars").schema)).collect()


def _near(records: pl.DataFrame, new: pl.DataFrame, stored: pl.DataFrame, target: Table) -> pl.DataFrame:
    """Rows refused before that belong to the context of new or stored ones, one a key."""
    span = pl.duration(days=CONTEXT_DAYS)
    about = pl.concat([new.select(KEY), stored.select(KEY)]).group_by("symbol").agg(
        pl.col("date").min().alias("from"), pl.col("date").max().alias("to")
    )  # fmt: skip
    within = records.join(about, on="symbol").filter(
        pl.col("date").is_between(pl.col("from") - span, pl.col("to") + span)
    )
    return within.select(list(target.schema)).unique(KEY, keep="first", maintain_order=True)


def _unrecorded(lake: Lake, name: str, source: str, hits: pl.DataFrame) -> pl.DataFrame:
    """Findings to be recorded: all of new rows, and of stored rows those that have no record yet.

    A stored row's reason may name how much was there when it was found; it isn't worded anew with every new day.
    """
    stored = hits.filter(pl.col("origin") == "stored")
    delta = opened(lake.root, name)
    if stored.is_empty() or delta is None:
        return hits
    symbols = stored["symbol"].unique()
    of_bars = scanned(delta).filter(pl.col("table") == "bars", pl.col("source") == source)
    known = of_bars.filter(pl.col("symbol").is_in(symbols.implode()))
    have = known.select(*KEY, "check").unique().collect()
    return pl.concat([hits.filter(pl.col("origin") != "stored"), stored.join(have, on=[*KEY, "check"], how="anti")])
