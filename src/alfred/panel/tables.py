"""What a panel is made of: rows of the lake, as one of its views gives them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import polars as pl

from alfred.core.digest import digest_of
from alfred.lake.tables import TABLES
from alfred.lake.view import View

OTHERS = ("actions", "facts", "earnings", "series", "insider", "digests", "stories", "filings", "members")
"""Tables beside bars and index."""


def _nothing(table: str, *of_article: str) -> pl.DataFrame:
    """An empty frame with the columns of a table, and some of the table `articles`."""
    return pl.DataFrame(schema=TABLES[table].schema | {name: TABLES["articles"].schema[name] for name in of_article})


def _no_filings() -> pl.DataFrame:
    return pl.DataFrame(schema=TABLES["digests"].schema | TABLES["filing_sections"].schema)


@dataclass(frozen=True)
class Tables:
    """Rows of the lake's tables, all of them with `known_at`. A table that the lake lacks is an empty frame.

    Every vintage is here, whenever it became known: what was known on a decision date is for the readers of these
    tables in `alfred.panel` to say, and the only ones to read them are those.

    Attributes:
        bars: rows of `bars`, sorted by symbol and date.
        market: columns date, value, known_at of the market index.
        actions, facts, earnings, series, insider, stories, members: rows of these tables.
        digests: rows of `digests`, with the columns symbol and published_at of their articles.
        filings: digests of sections of filings, with the columns of `filing_sections`.
    """

    bars: pl.DataFrame
    market: pl.DataFrame
    actions: pl.DataFrame = field(default_factory=lambda: _nothing("actions"))
    facts: pl.DataFrame = field(default_factory=lambda: _nothing("facts"))
    earnings: pl.DataFrame = field(default_factory=lambda: _nothing("earnings"))
    series: pl.DataFrame = field(default_factory=lambda: _nothing("series"))
    insider: pl.DataFrame = field(default_factory=lambda: _nothing("insider"))
    digests: pl.DataFrame = field(default_factory=lambda: _nothing("digests", "symbol", "published_at"))
    stories: pl.DataFrame = field(default_factory=lambda: _nothing("stories"))
    filings: pl.DataFrame = field(default_factory=_no_filings)
    members: pl.DataFrame = field(default_factory=lambda: _nothing("members"))

    @classmethod
    def of(cls, view: View, bars: pl.DataFrame, market: pl.DataFrame, symbols: Sequence[str] | None = None) -> Self:
        """Everything that the view knows of some symbols, beside prices that were read before.

        Args:
            view: of the lake.
            bars, market: prices and index.
            symbols: default all.
        """
        return cls(
            bars=bars,
            market=market,
            actions=view.actions(symbols),
            facts=view.facts(symbols, vintages=True),
            earnings=view.earnings(symbols, vintages=True),
            series=view.all_series(),
            insider=view.insider(symbols),
            digests=view.digests(symbols),
            stories=view.stories(symbols),
            filings=view.filings(symbols),
            members=view.members(),
        )

    def where(self, wanted: pl.Expr) -> Self:
        """Only the rows that fulfil a condition on columns that all tables have; bars and index stay as they are."""
        return replace(self, **{name: getattr(self, name).filter(wanted) for name in OTHERS})

    def digest(self) -> str:
        """Digest of every row and of when it became known; bars and index apart, which whoever read them digests."""
        # Rows come sorted by key, so that their hashes in order name the content.
        parts = [part for name in OTHERS for part in (name, getattr(self, name).hash_rows().to_numpy())]
        return digest_of(*parts)
