"""Records of rows that were refused or warned of: how they are written, found again and turned back into rows."""

import datetime as dt
import json
from collections.abc import Iterable

import polars as pl

from alfred.lake.contracts import Rejected
from alfred.lake.place import opened, scanned
from alfred.lake.store import Lake
from alfred.lake.tables import INSTANT, TABLES, Table, table

# Of what has neither a date nor an instant: always visible.
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
SHOWN = 200


def quarantine_records(target: Table, hits: pl.DataFrame) -> pl.DataFrame:
    """Records for the table `quarantine`.

    Args:
        target: table that refused the rows.
        hits: its columns, with `check` and `reason` beside them, a row for each finding.

    Returns:
        One record a finding. Several rows with one key and check are told apart by a number in `row_key`.
    """
    records = _records(target, hits).with_columns(encoded(target, hits), pl.lit(False).alias("released"))
    return _numbered(records.sort("row_key", "check", "row")).select(list(TABLES["quarantine"].schema))


def finding_records(target: Table, hits: pl.DataFrame) -> pl.DataFrame:
    """Records for the table `findings`; arguments as of `quarantine_records`."""
    records = _records(target, hits).sort("row_key", "check", "reason")
    return _numbered(records).select(list(TABLES["findings"].schema))


def unreadable(name: str, rows: pl.DataFrame, rejected: Iterable[Rejected]) -> pl.DataFrame:
    """Records for the table `findings` of pieces that could not be read as rows of table `name`."""
    source = rows["source"].drop_nulls() if "source" in rows.columns else pl.Series([], dtype=pl.String)
    found = [
        {
            "table": name,
            "row_key": json.dumps({"where": piece.where}, ensure_ascii=False),
            "check": "unreadable",
            "reason": f"{piece.reason} Got: {' '.join(piece.text.split())[:SHOWN]}",
            "symbol": piece.symbol or None,
        }
        for piece in rejected
    ]
    records = pl.DataFrame(found, schema=dict.fromkeys(("table", "row_key", "check", "reason", "symbol"), pl.String))
    schema = TABLES["findings"].schema
    return (
        records.unique(["row_key"], keep="first", maintain_order=True)
        .with_columns(
            pl.lit(None, pl.Date).alias("date"),
            pl.lit(EPOCH).cast(INSTANT).alias("known_at"),
            pl.lit(source[0] if len(source) else "unknown").alias("source"),
        )
        .select(list(schema))
    )


def quarantined_rows(lake: Lake, name: str) -> pl.DataFrame:
    """Records of a table's quarantine with the refused rows decoded.

    Returns:
        Columns of the record as in `quarantine`, each prefixed with `record_` beside the columns of table `name`.
    """
    target = table(name)
    delta = opened(lake.root, "quarantine")
    if delta is None:
        empty = pl.DataFrame(schema=TABLES["quarantine"].schema)
    else:
        empty = scanned(delta).filter(pl.col("table") == name).collect()
    records = empty.rename({column: f"record_{column}" for column in empty.columns})
    return records.hstack(decoded(target, records["record_row"]))


def encoded(target: Table, rows: pl.DataFrame) -> pl.Series:
    """Rows as JSON, a series `row`; NaN becomes null."""
    return rows.select(_as_json(target.schema, rows).alias("row")).to_series()


def decoded(target: Table, texts: pl.Series) -> pl.DataFrame:
    """Rows of a table from their JSON."""
    plain = {name: _plain(kind) for name, kind in target.schema.items()}
    fields = texts.str.json_decode(pl.Struct(plain)).struct.unnest() if len(texts) else pl.DataFrame(schema=plain)
    return fields.select(_restored(name, kind) for name, kind in target.schema.items())


def _plain(kind: pl.DataType) -> pl.DataType:
    return pl.String() if kind in {pl.Date(), INSTANT} else kind


def _restored(name: str, kind: pl.DataType) -> pl.Expr:
    if kind == pl.Date():
        return pl.col(name).str.to_date("%Y-%m-%d")
    if kind == INSTANT:
        return pl.col(name).str.to_datetime("%Y-%m-%dT%H:%M:%S%.6fZ", time_unit="us", time_zone="UTC")
    return pl.col(name)


def _as_json(names: Iterable[str], rows: pl.DataFrame) -> pl.Expr:
    def plain(name: str) -> pl.Expr:
        kind = rows.schema[name]
        if kind == pl.Date():
            return pl.col(name).dt.to_string("%Y-%m-%d")
        if kind == INSTANT:
            return pl.col(name).dt.to_string("%Y-%m-%dT%H:%M:%S%.6fZ")
        return pl.col(name).fill_nan(None) if kind == pl.Float64() else pl.col(name)

    return pl.struct(plain(name) for name in names).struct.json_encode()


def _records(target: Table, hits: pl.DataFrame) -> pl.DataFrame:
    """Columns that `quarantine` and `findings` share."""
    absent = [pl.lit(None, kind).alias(name) for name, kind in _NAMED.items() if name not in hits.columns]
    return hits.select(
        pl.lit(target.name).alias("table"),
        _as_json(target.key, hits).alias("row_key"),
        "check",
        "reason",
        *[name for name in _NAMED if name in hits.columns],
        *absent,
        pl.col("known_at").fill_null(EPOCH),
        pl.col("source").fill_null("unknown"),
    )


_NAMED = {"symbol": pl.String(), "date": pl.Date()}


def _numbered(records: pl.DataFrame) -> pl.DataFrame:
    """Tell records of one key and check apart: the second gets `"copy":2` in its key, and so on."""
    copy = pl.int_range(pl.len()).over("row_key", "check") + 1
    numbered = pl.concat_str(
        pl.col("row_key").str.strip_suffix("}"), pl.lit(',"copy":'), copy.cast(pl.String), pl.lit("}")
    )
    return records.with_columns(pl.when(copy > 1).then(numbered).otherwise("row_key").alias("row_key"))
