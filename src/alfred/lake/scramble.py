"""The lake as it would be had the future gone otherwise: the same past to the last bit, and another one after a date.

Every number that became known after the date is another one, and a third of the later rows never comes. Providers that
adjust prices backwards do so for later splits too: half of the names split two for one or four for one, which halves or
quarters all their earlier quotes, and tells nothing that their provider did not tell.

What another row becomes follows from its key and the seed alone, so that it is the same whoever reads it, and how.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from alfred.core.calendar import close_instants
from alfred.lake.contracts import ProviderDescription
from alfred.lake.ingest import PROVIDERS, provider
from alfred.lake.ingest import plugin_names as _names
from alfred.lake.store import Lake
from alfred.lake.tables import INSTANT, TABLES
from alfred.lake.view import View, Wanted

PRICES = ("open", "high", "low", "close", "adj_close")
EARNINGS = ("reported_eps", "estimated_eps", "surprise")
SPLIT_AFTER_DAYS = 20
_STEPS = 1 << 20


@dataclass(frozen=True)
class OtherFuture:
    """What comes instead of what came.

    Attributes:
        date: decision date; all that became known by its session's close stays.
        seed: another one, another future.
        prices_of: provider whose prices a study reads.
        earnings_of: sources whose earnings are divided by later splits.
    """

    date: dt.date
    seed: int
    prices_of: ProviderDescription
    earnings_of: tuple[str, ...] = ()

    @classmethod
    def of(cls, date: dt.date, seed: int, provider_name: str) -> "OtherFuture":
        """For a study that reads the prices of one provider."""
        abouts = [provider(name).DESCRIPTION for name in _names(PROVIDERS)]
        adjusting = tuple(about.name for about in abouts if about.adjusts_earnings)
        return cls(date, seed, provider(provider_name).DESCRIPTION, adjusting)

    def rows(self, table: str, rows: pl.LazyFrame, bars: pl.LazyFrame) -> pl.LazyFrame:
        """Rows of a table, columns and order as they were; new splits come last.

        Args:
            table: which; "series" serves for any rows with known_at and numbers.
            rows: with `known_at`.
            bars: all rows of the table `bars`, which tell who is still traded after the split.
        """
        found = self._altered(rows)
        if table == "members":
            end = pl.col("to")
            return found.with_columns(pl.when(end <= self.date).then(end).alias("to"))
        if not self.prices_of.levels_know_the_future and "actions" not in self.prices_of.tables:
            return found
        if table == "bars":
            return self._rebased(found, "date", "source", (self.prices_of.name,), bars)
        if "actions" not in self.prices_of.tables:
            return found
        if table == "earnings":
            return self._rebased(found, "announced", "source", self.earnings_of, bars)
        return self._with_splits(rows, found, bars) if table == "actions" else found
