"""Schemas of the lake's tables. Every row says when it became known and where it came from."""

from dataclasses import dataclass

import polars as pl

from alfred.core.errors import ConfigError, DataError
from alfred.core.settings import suggestion

INSTANT = pl.Datetime("us", "UTC")


@dataclass(frozen=True)
class Table:
    """One table: columns with their types, and the key that makes a write an idempotent upsert.

    Attributes:
        key: columns that identify a row; where `known_at` is among them, every vintage of a value is kept.
        values: other columns and their types; they may be null, which means not known, never zero.
    """

    name: str
    key: dict[str, pl.DataType]
    values: dict[str, pl.DataType]

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """All columns in their order, `known_at` and `source` last."""
        provenance: dict[str, pl.DataType] = {"known_at": INSTANT, "source": pl.String()}
        return {**self.key, **self.values, **provenance}

    @property
    def keeps_vintages(self) -> bool:
        """Whether a corrected value is a new row beside the old one."""
        return "known_at" in self.key

    def conform(self, frame: pl.DataFrame) -> pl.DataFrame:
        """`frame` with this table's columns, order and types; absent value columns become null.

        Raises:
            DataError: a key or provenance column is absent or null, a column is unknown, a type does not fit,
                or two rows share a key.
        """
        required = [*self.key, *[name for name in ("known_at", "source") if name not in self.key]]
        absent = [name for name in required if name not in frame.columns]
        if absent:
            raise DataError(f"rows for table {self.name!r} lack the column(s) {', '.join(absent)}.")
        unknown = [name for name in frame.columns if name not in self.schema]
        if unknown:
            raise DataError(f"table {self.name!r} has no column {unknown[0]!r}; {suggestion(unknown[0], self.schema)}.")
        try:
            rows = frame.select(
                pl.col(name).cast(kind) if name in frame.columns else pl.lit(None, kind).alias(name)
                for name, kind in self.schema.items()
            )
        except pl.exceptions.PolarsError as error:
            raise DataError(f"rows for table {self.name!r} do not fit its types: {error}") from error
        nulls = [name for name in required if rows[name].null_count()]
        if nulls:
            raise DataError(f"rows for table {self.name!r} have no value in {', '.join(nulls)}.")
        repeated = rows.filter(pl.struct(list(self.key)).is_duplicated())
        if len(repeated):
            example = repeated.select(list(self.key)).row(0, named=True)
            raise DataError(f"{len(repeated)} rows for table {self.name!r} share keys, such as {example}.")
        return rows


TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table(
            "bars",
            key={"symbol": pl.String(), "date": pl.Date()},
            values={name: pl.Float64() for name in ("open", "high", "low", "close", "adj_close", "volume")},
        ),
        Table(
            "series",
            key={"series": pl.String(), "date": pl.Date(), "known_at": INSTANT},
            values={"value": pl.Float64()},
        ),
    )
}


def table(name: str) -> Table:
    """The table of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in TABLES:
        raise ConfigError(f"the lake has no table {name!r}; {suggestion(name, TABLES)}.")
    return TABLES[name]
