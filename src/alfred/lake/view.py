"""Readers of the lake: what was known at one instant, at pinned versions of the tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import polars as pl

from alfred.core.errors import DataError
from alfred.lake.place import opened, scanned
from alfred.lake.tables import TABLES, table

Wanted = Mapping[str, Sequence[str] | None]

# The day a row is about: the first of these columns that its table has.
DAYS = ("date", "period_end", "trade_date", "published_at", "as_of", "from")


@dataclass(frozen=True)
class View:
    """The lake as it was known at one instant. The only way to read it.

    Readers other than `bars` and `series` give an empty frame with the table's columns where nothing was known, the
    table's absence included. Columns are those of the table in `alfred.lake.tables`, in its order; null is not known.

    Attributes:
        root: the lake's folder or URL.
        instant: aware datetime; rows with a later `known_at` are not there.
        versions: the version of each table to read; a table not in it does not exist.
    """

    root: Path | str
    instant: datetime
    versions: Mapping[str, int] = field(default_factory=dict)

    def bars(self, symbols: Sequence[str] | None = None, source: str | None = None) -> pl.DataFrame:
        """Daily bars sorted by symbol and date, with columns of the table `bars`.

        Args:
            symbols: what to read; None for all.
            source: only bars of this source; None where the lake holds each bar from one source only.

        Raises:
            DataError: a symbol asked for has no bars known by the view's instant, or no source is named and several
                have the same bar; the message names the symbol, or the sources.
        """
        rows = self._collected("bars", self._existing("bars", source, {"symbol": symbols}).sort("symbol", "date"))
        if source is None and rows["source"].n_unique() > 1 and rows.select("symbol", "date").is_duplicated().any():
            sources = ", ".join(rows["source"].unique().sort())
            raise DataError(f"bars of {sources} lie in the lake side by side; name the source to read.")
        absent = sorted(set(symbols or ()) - set(rows["symbol"].unique()))
        if absent:
            known = self._existing("bars", source).select(pl.col("symbol").unique().sort())
            there = self._collected("bars", known)["symbol"].to_list()
            few = ", ".join(there[:20]) + (f" and {len(there) - 20} more" if len(there) > 20 else "")
            raise DataError(
                f"there are no bars for {', '.join(absent)} known by {self.instant:%Y-%m-%d}; the lake has "
                f"{few or 'none'}."
            )
        return rows

    def series(self, name: str, source: str | None = None) -> pl.DataFrame:
        """One series in its latest known vintage: columns date, value, known_at, sorted by date.

        Args:
            name: of the series.
            source: only values of this source; otherwise of each date the value that became known last, whose ever.

        Raises:
            DataError: nothing of that series was known.
        """
        latest = _latest("series", self._existing("series", source, {"series": [name]}))
        rows = self._collected("series", latest.select("date", "value", "known_at").sort("date"))
        if rows.is_empty():
            raise DataError(f"the series {name!r} has no value known by {self.instant:%Y-%m-%d}.")
        return rows

    def all_series(self) -> pl.DataFrame:
        """Every series in every known vintage: rows of the table `series`, sorted by its key."""
        return self._rows("series")

    def actions(self, symbols: Sequence[str] | None = None, source: str | None = None) -> pl.DataFrame:
        """Splits, dividends, delistings and renames, sorted by symbol, date, kind."""
        return self._rows("actions", source, {"symbol": symbols})

    def facts(
        self,
        symbols: Sequence[str] | None = None,
        concepts: Sequence[str] | None = None,
        *,
        vintages: bool = False,
        source: str | None = None,
    ) -> pl.DataFrame:
        """Figures of filings, sorted by symbol, concept, period_end, period_kind, known_at.

        Args:
            symbols, concepts: what to read; None for all.
            vintages: all that had been filed; otherwise of each figure the one filed last.
            source: only rows of this source.
        """
        return self._rows("facts", source, {"symbol": symbols, "concept": concepts}, vintages=vintages)

    def earnings(
        self, symbols: Sequence[str] | None = None, *, vintages: bool = False, source: str | None = None
    ) -> pl.DataFrame:
        """Reported and estimated earnings a share, sorted by symbol, period_end, known_at.

        Args:
            symbols: what to read; None for all.
            vintages: all that had been said of a period; otherwise what was said last.
            source: only rows of this source.
        """
        return self._rows("earnings", source, {"symbol": symbols}, vintages=vintages)

    def insider(self, symbols: Sequence[str] | None = None, source: str | None = None) -> pl.DataFrame:
        """Lines of insiders' reports, sorted by symbol, known_at, accession, line."""
        return self._rows("insider", source, {"symbol": symbols}).sort("symbol", "known_at", "accession", "line")

    def articles(
        self, symbols: Sequence[str] | None = None, since: datetime | None = None, source: str | None = None
    ) -> pl.DataFrame:
        """Articles, sorted by symbol, known_at, article_id.

        Args:
            symbols: what to read; None for all.
            since: aware datetime; articles that became known earlier are left out.
            source: only rows of this source.

        Raises:
            DataError: `since` has no time zone.
        """
        if since is not None and since.tzinfo is None:
            raise DataError("articles are read since an instant with a time zone; use datetime.timezone.utc.")
        rows = self._rows("articles", source, {"symbol": symbols}).sort("symbol", "known_at", "article_id")
        return rows if since is None else rows.filter(pl.col("known_at") >= since)

    def digests(self, symbols: Sequence[str] | None = None) -> pl.DataFrame:
        """What was made of articles: columns of the table `digests`, and symbol and published_at of the article.

        A digest of an article that is not in the lake is left out, as it is about nobody.
        """
        about = self.articles(symbols).select("article_id", "symbol", "published_at")
        return self._rows("digests").join(about, on="article_id", how="inner", maintain_order="left")

    def digest_keys(self) -> pl.DataFrame:
        """Key of every digest, and `text_digest`, which names what was read: what need not be digested again."""
        columns = [*table("digests").key, "text_digest"]
        if "digests" not in self.versions:
            return pl.DataFrame(schema={name: table("digests").schema[name] for name in columns})
        return self._collected("digests", self._existing("digests", None).select(columns))

    def stories(self, symbols: Sequence[str] | None = None) -> pl.DataFrame:
        """Which article told first what each article tells, and how new that was, sorted by article_id."""
        return self._rows("stories", None, {"symbol": symbols})

    def digests_of(self, article_ids: Sequence[str]) -> pl.DataFrame:
        """Digests with these article_ids, by all digesters, whether or not such articles are in the lake."""
        return self._rows("digests", None, {"article_id": article_ids})

    def filings(self, symbols: Sequence[str] | None = None) -> pl.DataFrame:
        """What was made of sections of filings: columns of `digests`, then those of `filing_sections`.

        Sorted by the tables' key: article_id, digester, prompt_version, model.
        """
        key = list(table("digests").key)
        sections = self._rows("filing_sections", None, {"symbol": symbols}).drop("known_at", "source")
        return self._rows("digests").join(sections, on=key, how="inner", maintain_order="left")

    def failed_digests(self) -> pl.DataFrame:
        """Articles that could not be digested, each time that it was tried, sorted by the table's key."""
        return self._rows("failed_digests")

    def members(self, index: str | None = None) -> pl.DataFrame:
        """Spells of membership of one index or of all, sorted by index, symbol, from.

        `to` is null while the member is in; an end after the instant is not shown, as if not yet known.
        """
        ended = pl.when(pl.col("to") <= self.instant.date()).then(pl.col("to"))
        return self._rows("members", None, {"index": None if index is None else [index]}).with_columns(
            ended.alias("to")
        )

    def sectors(self, symbols: Sequence[str] | None = None) -> pl.DataFrame:
        """Sectors of companies in every known vintage and from all sources, sorted by symbol, known_at, source."""
        return self._rows("sectors", None, {"symbol": symbols})

    def quarantine(self) -> pl.DataFrame:
        """Rows that checks refused, with the original and the reason, sorted by table, row_key, check."""
        return self._rows("quarantine")

    def findings(self) -> pl.DataFrame:
        """What checks warned of, sorted by table, row_key, check."""
        return self._rows("findings")

    def coverage(self, *, by_symbol: bool = False) -> pl.DataFrame:
        """What there is, sorted by its columns: table, source, (symbol,) rows, symbols, first, last.

        `symbols` counts distinct symbols, or names of series, and is null for tables without; `first` and `last` are
        the dates of the days the rows are about: sessions, ends of periods, trades, publications.

        Args:
            by_symbol: one row for each symbol too, in the column `symbol`.
        """
        parts = [self._extent(name, by_symbol=by_symbol) for name in sorted(TABLES) if name in self.versions]
        keys = ["table", "source", *(["symbol"] if by_symbol else [])]
        kinds = dict.fromkeys(keys, pl.String()) | {"rows": pl.UInt32(), "symbols": pl.UInt32()}
        empty = pl.DataFrame(schema=kinds | dict.fromkeys(("first", "last"), pl.Date()))
        return pl.concat([empty, *parts]).sort(keys, nulls_last=True)

    def _extent(self, name: str, *, by_symbol: bool) -> pl.DataFrame:
        schema = table(name).schema
        day = next((pl.col(day).cast(pl.Date) for day in DAYS if day in schema), pl.lit(None, pl.Date))
        who = next((pl.col(who) for who in ("symbol", "series") if who in schema), pl.lit(None, pl.String))
        rows = self._existing(name, None).select("source", symbol=who, day=day)
        keys = ["source", *(["symbol"] if by_symbol else [])]
        counted = pl.col("symbol").n_unique() if by_symbol else pl.col("symbol").drop_nulls().n_unique()
        extent = rows.group_by(keys).agg(
            rows=pl.len(),
            symbols=counted if {"symbol", "series"} & set(schema) else pl.lit(None, pl.UInt32),
            first=pl.col("day").min(),
            last=pl.col("day").max(),
        )
        extent = extent.select(pl.lit(name).alias("table"), *keys, "rows", "symbols", "first", "last")
        return self._collected(name, extent)

    def _rows(
        self, name: str, source: str | None = None, wanted: Wanted | None = None, *, vintages: bool = True
    ) -> pl.DataFrame:
        """Known rows of a table sorted by its key; an empty frame where the table does not exist."""
        if name not in self.versions:
            return pl.DataFrame(schema=table(name).schema)
        rows = self._existing(name, source, wanted)
        rows = rows if vintages else _latest(name, rows)
        return self._collected(name, rows.sort(*table(name).key))

    def _collected(self, name: str, rows: pl.LazyFrame) -> pl.DataFrame:
        try:
            return rows.collect()
        except FileNotFoundError as error:
            raise DataError(
                f"version {self.versions[name]} of table {name!r} has lost its files; tidying the lake deletes those "
                "of versions replaced longer ago than it was told to keep."
            ) from error

    def _existing(self, name: str, source: str | None, wanted: Wanted | None = None) -> pl.LazyFrame:
        """Known rows of a table; those of `source` and with the wanted values in each column named, None for any."""
        delta = opened(self.root, name, self.versions[name]) if name in self.versions else None
        if delta is None:
            raise DataError(f"the lake at {self.root} has no table {name!r} yet; a run or `alfred demo` fills it.")
        frame = scanned(delta).filter(pl.col("known_at") <= self.instant)
        if source is not None:
            frame = frame.filter(pl.col("source") == source)
        for column, values in (wanted or {}).items():
            if values is not None:
                frame = frame.filter(pl.col(column).is_in(list(values)))
        return frame


def _latest(name: str, rows: pl.LazyFrame) -> pl.LazyFrame:
    """Of each value the vintage that became known last, by whichever source."""
    value = [key for key in table(name).key if key not in {"known_at", "source"}]
    ordered = rows.sort(*value, "known_at", "source")
    return ordered.group_by(value, maintain_order=True).last().select(*table(name).schema)
