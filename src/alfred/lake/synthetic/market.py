"""A whole synthetic market: from settings to tables of the lake and the truth about them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from alfred.lake.contracts import Batch
from alfred.lake.synthetic.bars import Quotes, action_rows, bar_rows, make_basis
from alfred.lake.synthetic.companies import make_companies
from alfred.lake.synthetic.fundamentals import Accounts, earnings_rows, fact_rows, make_accounts
from alfred.lake.synthetic.leaks import (
    Plan,
    dropped,
    make_plan,
    plant_bars,
    plant_earnings,
    plant_facts,
    plant_series,
)
from alfred.lake.synthetic.news import Articles, article_rows, make_articles
from alfred.lake.synthetic.others import insider_rows, sector_rows, series_rows
from alfred.lake.synthetic.prices import make_paths
from alfred.lake.synthetic.settings import SyntheticSettings
from alfred.lake.synthetic.span import Span
from alfred.lake.synthetic.truth import Truth, make_truth

SOURCE = "synthetic"
TABLES = ("bars", "actions", "sectors", "facts", "earnings", "series", "insider", "articles")
GROUP = 200
"""Companies in one batch: their bars over 20 years take about 100 MB."""


@dataclass(frozen=True, eq=False)
class World:
    """All that happens in a market, before it is written down as rows."""

    settings: SyntheticSettings
    quotes: Quotes
    accounts: Accounts
    articles: Articles
    plan: Plan

    def truth(self) -> Truth:
        """What was planted."""
        return make_truth(self.settings, self.quotes, self.plan)

    def batches(self, group: int = GROUP) -> Iterator[Batch]:
        """All rows, table by table for one group of companies after the other; the groups' size changes no row."""
        span, count = self.quotes.span, len(self.quotes.companies)
        yield self._batch("series", plant_series(self.plan, span, series_rows(self.settings, span, self.quotes.paths)))
        for start in range(0, count, group):
            rows = slice(start, min(start + group, count))
            for name in TABLES:
                if name != "series":
                    yield self._batch(name, self._rows(name, rows))

    def _rows(self, table: str, rows: slice) -> pl.DataFrame:
        quotes, accounts, plan, seed = self.quotes, self.accounts, self.plan, self.settings.seed
        make: dict[str, Callable[[], pl.DataFrame]] = {
            "bars": lambda: plant_bars(plan, quotes, bar_rows(seed, quotes, rows)),
            "actions": lambda: action_rows(quotes, rows),
            "sectors": lambda: sector_rows(quotes, rows),
            "facts": lambda: plant_facts(plan, quotes.companies, fact_rows(quotes, accounts, rows)),
            "earnings": lambda: plant_earnings(plan, earnings_rows(quotes, accounts, rows)),
            "insider": lambda: insider_rows(self.settings, quotes, rows),
            "articles": lambda: article_rows(seed, quotes, self.articles, rows),
        }
        return make[table]()

    def _batch(self, table: str, rows: pl.DataFrame) -> Batch:
        gone = dropped(self.plan, self.quotes.companies)
        if gone and "symbol" in rows.columns:
            rows = rows.filter(~pl.col("symbol").is_in(gone))
        return Batch(table, rows.with_columns(pl.lit(SOURCE).alias("source")))


@dataclass(frozen=True, eq=False)
class SyntheticMarket:
    """Rows for tables of the lake by the tables' names, each with source "synthetic", and the truth beside them."""

    tables: Mapping[str, pl.DataFrame]
    truth: Truth


def make_world(settings: SyntheticSettings) -> World:
    """Let the market happen.

    Raises:
        ConfigError: a leak finds nothing to strike in this market.
    """
    span = Span.of(settings)
    companies = make_companies(settings, span)
    accounts = make_accounts(settings, span, companies)
    articles = make_articles(settings, span, companies)
    given = None
    if settings.predictor == "fundamental":
        given = accounts.known_surprise(span, companies)
    elif settings.predictor == "tone":
        given = articles.tone(span, companies)
    paths = make_paths(settings, span, companies, given)
    quotes = Quotes(span, companies, paths, make_basis(settings, span, companies, paths))
    return World(settings, quotes, accounts, articles, make_plan(settings, quotes))


def generate(settings: SyntheticSettings | None = None) -> SyntheticMarket:
    """A market as frames. For thousands of symbols take `make_world(settings).batches()`, which keeps memory low.

    The same settings give the same frames, to the last bit, on one machine and with the same libraries.

    Raises:
        ConfigError: a leak finds nothing to strike in this market.
    """
    world = make_world(settings or SyntheticSettings())
    parts: dict[str, list[pl.DataFrame]] = {name: [] for name in TABLES}
    for batch in world.batches():
        parts[batch.table].append(batch.rows)
    return SyntheticMarket({name: pl.concat(frames) for name, frames in parts.items()}, world.truth())
