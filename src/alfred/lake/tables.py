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
        """All columns in their order, `known_at` and `source` last where they are no part of the key."""
        provenance: dict[str, pl.DataType] = {"known_at": INSTANT, "source": pl.String()}
        return {**self.key, **self.values, **{name: at for name, at in provenance.items() if name not in self.key}}

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
            raise DataError(f"table {self.name!r} has no column {unknown[0]!r}; {suggestion(unknown[0], self.schema)}")
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


def _floats(*names: str) -> dict[str, pl.DataType]:
    return {name: pl.Float64() for name in names}


TEXT, DAY, NUMBER = pl.String(), pl.Date(), pl.Float64()
SPENT: dict[str, pl.DataType] = {
    "prompt_tokens": pl.Int64(), "completion_tokens": pl.Int64(), "tries": pl.Int64(), **_floats("cost", "seconds"),
}  # fmt: skip

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table(
            # Of each source its own: prices of two providers differ in their adjustments and must not mix.
            "bars",
            key={"symbol": TEXT, "date": DAY, "source": TEXT},
            values=_floats("open", "high", "low", "close", "adj_close", "volume"),
        ),
        Table(
            # kind: split (ratio new/old shares), dividend (amount in USD a share), delisting (total return of the
            # last holding period where known, with its reason), rename (to new_symbol).
            "actions",
            key={"symbol": TEXT, "date": DAY, "kind": TEXT, "source": TEXT},
            values={**_floats("ratio", "amount", "delisting_return"), "reason": TEXT, "new_symbol": TEXT},
        ),
        Table(
            # period_kind: instant, quarter, year, or ytd (year to date).
            "facts",
            key={
                "symbol": TEXT, "concept": TEXT, "period_end": DAY, "period_kind": TEXT, "known_at": INSTANT,
                "source": TEXT,
            },
            values={"value": NUMBER, "unit": TEXT, "form": TEXT, "accession": TEXT},
        ),
        Table(
            "earnings",
            key={"symbol": TEXT, "period_end": DAY, "known_at": INSTANT, "source": TEXT},
            values={"announced": DAY, **_floats("reported_eps", "estimated_eps", "surprise", "surprise_pct")},
        ),
        Table(
            "series",
            key={"series": TEXT, "date": DAY, "known_at": INSTANT, "source": TEXT},
            values={"value": NUMBER},
        ),
        Table(
            # code: the form's transaction code (P purchase, S sale, M exercise, ...), null where not given.
            "insider",
            key={"accession": TEXT, "line": pl.Int64()},
            values={
                "symbol": TEXT, "trade_date": DAY, "role": TEXT, "code": TEXT,
                **_floats("acquired_shares", "acquired_value", "disposed_shares", "disposed_value"),
            },
        ),
        Table(
            "articles",
            key={"article_id": TEXT},
            values={
                "symbol": TEXT, "published_at": INSTANT, "title": TEXT, "url": TEXT, "text": TEXT, "publisher": TEXT,
            },
        ),
        Table(
            # known_at is the article's: a digest counts from when its article did, whenever it was made, and
            # knowledge_cutoff tells what its model may have known of the time after (null: nothing; 9999-12-31: not
            # said). quotations: a JSON list. text_digest: of what was read, so that a corrected article is read again.
            # cost in USD, null where the price is not known; seconds, tokens and cost of all tries.
            "digests",
            key={"article_id": TEXT, "digester": TEXT, "prompt_version": TEXT, "model": TEXT},
            values={
                **_floats("relevance", "sentiment", "outlook"), "event": TEXT, "rationale": TEXT, "quotations": TEXT,
                "knowledge_cutoff": DAY, **SPENT, "digested_at": INSTANT, "text_digest": TEXT,
            },
        ),
        Table(
            # story: article_id of the first article that told it; likeness of a first one to the company's earlier
            # stories (alfred.language.stories). known_at is the article's: no later article decides about it.
            "stories",
            key={"article_id": TEXT},
            values={"symbol": TEXT, "story": TEXT, "likeness": NUMBER},
        ),
        Table(
            # Articles that could not be digested, each time that it was tried: what failed may have cost too.
            "failed_digests",
            key={
                "article_id": TEXT, "digester": TEXT, "prompt_version": TEXT, "model": TEXT, "failed_at": INSTANT,
            },
            values={"reason": TEXT, **SPENT},
        ),
        Table(
            # One row a digested section of a filing, beside its row in `digests` (same key; article_id is the
            # filing's, "#", item). before: article_id of the earlier filing it is compared with, null where there is
            # none, and then so is all that compares. words: of the section.
            "filing_sections",
            key={"article_id": TEXT, "digester": TEXT, "prompt_version": TEXT, "model": TEXT},
            values={
                "symbol": TEXT, "published_at": INSTANT, "filing": TEXT, "form": TEXT, "item": TEXT, "before": TEXT,
                **_floats("cosine", "jaccard", "tone_change"),
                **dict.fromkeys(("words", "kept", "added", "dropped", "edited"), pl.Int64()),
            },
        ),
        Table(
            # A company's sector as its source told it from that instant on, in the source's own grouping; a later row
            # replaces it. sic: four digits, null where the source has none.
            "sectors",
            key={"symbol": TEXT, "known_at": INSTANT, "source": TEXT},
            values={"sector": TEXT, "sic": TEXT},
        ),
        Table("members", key={"index": TEXT, "symbol": TEXT, "from": DAY}, values={"to": DAY}),
        Table(
            "forecasts",
            key={"run": TEXT, "analyst": TEXT, "symbol": TEXT, "as_of": DAY, "target": TEXT, "horizon": pl.Int64()},
            values=_floats("mean", "lower", "upper", "prob_up"),
        ),
        Table(
            # Rows that a quality check refused: `row` is the original as JSON, `row_key` its key as JSON.
            # A released row went back to its table and no check takes it out again.
            "quarantine",
            key={"table": TEXT, "row_key": TEXT, "check": TEXT},
            values={"symbol": TEXT, "date": DAY, "reason": TEXT, "row": TEXT, "released": pl.Boolean()},
        ),
        Table(
            # What checks only warn of, and what could not be read as rows at all (check "unreadable").
            "findings",
            key={"table": TEXT, "row_key": TEXT, "check": TEXT},
            values={"symbol": TEXT, "date": DAY, "reason": TEXT},
        ),
    )
}  # fmt: skip


def table(name: str) -> Table:
    """The table of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in TABLES:
        raise ConfigError(f"the lake has no table {name!r}; {suggestion(name, TABLES)}")
    return TABLES[name]
