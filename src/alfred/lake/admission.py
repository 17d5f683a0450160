"""Sorts rows for a table into those it takes and those it refuses. Nothing is written here."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from alfred.core.errors import DataError
from alfred.lake.place import opened, scanned
from alfred.lake.quality import VALUES, QualitySettings, arranged, delistings, finite, run_checks
from alfred.lake.quarantine import finding_records, quarantine_records, quarantined_rows
from alfred.lake.store import Lake
from alfred.lake.tables import Table, table

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
    typed = conformed(target, rows) if rows.width else pl.DataFrame(schema=target.schema)
    required = list(dict.fromkeys([*target.key, "known_at", "source"]))
    keyless = typed.filter(pl.any_horizontal(pl.col(required).is_null()))
    whole = typed.filter(pl.all_horizontal(pl.col(required).is_not_null())) if len(keyless) else typed
    lost = _with(keyless, "null-key", f"the row has no value in one of {', '.join(required)}")
    if name == "bars":
        judged = [
            _sort_bars(lake, str(source), new, _context(lake, str(source), new, settings.context_days), settings)
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
    """Check stored bars from a date on again, because a delisting of their symbols has become known or changed.

    Bars that an earlier delisting date refused are judged again too, and those that pass go into the table.
    """
    target = table("bars")
    records = quarantined_rows(lake, "bars").filter(
        pl.col("symbol").is_in(symbols.implode()), record_check="after-delisting", record_released=False
    )
    again = records.select(list(target.schema)).unique(maintain_order=True)
    first = min([since, *again["date"].drop_nulls().to_list()])
    span = dt.timedelta(days=settings.context_days)
    stored = _stored(lake, None, symbols, max(first, dt.date.min + span) - span, dt.date.max)
    again = again.join(stored, on=list(target.key), how="anti")
    sources = pl.concat([stored["source"], again["source"]]).unique().sort()
    judged = [
        _sort_bars(lake, source, again.filter(source=source), stored.filter(source=source), settings)
        for source in sources
    ]
    return _merged([*judged, _plainly_refused(target, _with(again.clear(), "", ""))])


def released_rows(lake: Lake) -> pl.DataFrame:
    """Bars that a person released: symbol, date, source and the values."""
    return _released(quarantined_rows(lake, "bars"))


def _released(records: pl.DataFrame) -> pl.DataFrame:
    return records.filter("record_released").select(*table("bars").key, *VALUES).unique(maintain_order=True)


def known_actions(lake: Lake, symbols: pl.Series) -> pl.DataFrame | None:
    """Rows of the table `actions` for some symbols; None where there is no such table."""
    delta = opened(lake.root, "actions")
    if delta is None:
        return None
    return scanned(delta).filter(pl.col("symbol").is_in(symbols.implode())).collect()


def _sort_bars(lake: Lake, source: str, new: pl.DataFrame, stored: pl.DataFrame, settings: QualitySettings) -> Sorted:
    """Judge one source's new rows among its stored and formerly refused ones; a stored row may turn out wrong.

    A new row that is refused leaves the stored row of its date where it is, and the neighbours are judged again
    beside that one. Every round takes rows out of `new`, so the rounds end.
    """
    target, records = table("bars"), quarantined_rows(lake, "bars").filter(pl.col("source") == source)
    columns, kept_out = list(target.schema), []
    actions = known_actions(lake, pl.concat([new["symbol"], stored["symbol"]]).unique())
    while True:
        full, hits = _judged(new, stored, records, actions, settings)
        refused = hits.filter(pl.col("action") == "quarantine")
        fresh = full.filter(pl.col("origin") == "new")
        kept = fresh.join(_copies(fresh), on="row", how="anti")
        taken = kept.join(refused, on="row", how="anti")
        lost = kept.join(taken, on="row", how="anti").join(stored, on=KEY, how="semi")
        # A new row with the stored one's values is that row, come again: what holds for it holds for the stored one.
        displaced = lost.join(stored, on=[*KEY, *VALUES], how="anti", nulls_equal=True)
        if displaced.is_empty():
            break
        of_new = refused.filter(pl.col("origin") == "new").join(displaced, on=KEY, how="semi")
        kept_out.append(of_new.join(stored, on=[*KEY, *VALUES], how="anti", nulls_equal=True))
        new = new.join(displaced, on=KEY, how="anti")
    warned = hits.filter(pl.col("action") == "warn").join(refused, on="row", how="anti")
    gone = refused.join(taken, on=KEY, how="anti").join(stored, on=KEY, how="semi")
    plain = [*columns, "check", "reason"]
    refused = pl.concat([*kept_out, refused])
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


def _judged(
    new: pl.DataFrame,
    stored: pl.DataFrame,
    records: pl.DataFrame,
    actions: pl.DataFrame | None,
    settings: QualitySettings,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """All rows, numbered in `row`, with their `origin` (new, stored or refused); findings of the new and stored."""
    target, released = table("bars"), _released(records)
    columns = list(target.schema)
    old = stored.join(new, on=KEY, how="anti") if len(new) else stored
    near = _near(records, new, stored, actions, settings.context_days)
    near = near.join(new, on=KEY, how="anti").join(old, on=KEY, how="anti")
    union = pl.concat([
        new.select(columns).with_columns(pl.lit("new").alias("origin")),
        old.select(columns).with_columns(pl.lit("stored").alias("origin")),
        near.select(columns).with_columns(pl.lit("refused").alias("origin")),
    ]).with_row_index("row")  # fmt: skip
    full = union.with_columns(finite())
    exempt = full.join(released, on=[*KEY, *VALUES], how="semi", nulls_equal=True)["row"]
    # Among several rows for one date, the one that a person released is the one to keep.
    preferred = (pl.col("row").is_in(exempt.implode()) & (pl.col("origin") == "new")).alias("preferred")
    union, full = union.with_columns(preferred), full.with_columns(preferred)
    found = run_checks(union.drop("row"), actions, settings)
    found = found.filter(~pl.col("row").is_in(exempt.implode()))
    # What was refused before has its record; only new and stored rows are judged.
    hits = found.select("row", "check", "action", "reason").join(full, on="row")
    return full, hits.filter(pl.col("origin") != "refused")


def conformed(target: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with the table's columns, order and types, whatever they lack in values; as `Table.conform` otherwise."""
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


def _copies(new: pl.DataFrame) -> pl.DataFrame:
    """Positions (column `row`) of the rows beside the one that is kept for their date, whatever becomes of that one."""
    repeated = new.filter(pl.struct(KEY).is_duplicated())
    beside = arranged(repeated.drop("row")).filter(pl.col("copy") > 0)["row"]
    return repeated[beside.to_list()].select("row")


def _context(lake: Lake, source: str, new: pl.DataFrame, days: int) -> pl.DataFrame:
    """Stored bars of the symbols near the new ones' dates; where there are none before, the last one there is.

    Of symbols that were delisted before, all bars since: whether trading has resumed depends on the gaps between.
    """
    if new.is_empty():
        return pl.DataFrame(schema=table("bars").schema)
    span = dt.timedelta(days=days)
    first, last = new["date"].min(), new["date"].max()
    if not isinstance(first, dt.date) or not isinstance(last, dt.date):
        raise DataError("bars have no dates.")
    symbols = new["symbol"].unique()
    since = max(first, dt.date.min + span) - span
    near = _stored(lake, source, symbols, since, min(last, dt.date.max - span) + span)
    actions = known_actions(lake, symbols)
    ended = None if actions is None else delistings(actions).filter(pl.col("ended") < since)
    if ended is not None and len(ended):
        began = ended.select(pl.col("ended").min() - pl.duration(days=days)).item()
        before_near = _stored(lake, source, ended["symbol"], began, since - dt.timedelta(days=1))
        about = before_near.join(ended, on="symbol")
        near = pl.concat([near, about.filter(pl.col("date") >= pl.col("ended") - pl.duration(days=days)).drop("ended")])
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


def _near(
    records: pl.DataFrame, new: pl.DataFrame, stored: pl.DataFrame, actions: pl.DataFrame | None, days: int
) -> pl.DataFrame:
    """Rows refused before that belong to the context of new or stored ones, one a key; all since a delisting."""
    span = pl.duration(days=days)
    about = pl.concat([new.select(KEY), stored.select(KEY)]).group_by("symbol").agg(
        pl.col("date").min().alias("from"), pl.col("date").max().alias("to")
    )  # fmt: skip
    ended = pl.DataFrame(schema={"symbol": pl.String, "ended": pl.Date}) if actions is None else delistings(actions)
    about = about.join(ended, on="symbol", how="left").with_columns(pl.min_horizontal("from", "ended"))
    within = records.join(about, on="symbol").filter(
        pl.col("date").is_between(pl.col("from") - span, pl.col("to") + span)
    )
    return within.select(list(table("bars").schema)).unique(KEY, keep="first", maintain_order=True)


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
