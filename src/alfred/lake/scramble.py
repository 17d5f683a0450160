"""The lake as it would be had the future gone otherwise: the same past to the last bit, and another one after a date.

Every number that became known after the date is another one, half of the sectors told later are others, and a third of
the later rows never comes. Providers that adjust prices backwards do so for later splits too: a third of the names
splits two for one and a third four for one, which halves or quarters all their earlier quotes. Factors of two leave
ratios as they were, to the last bit.

What becomes of a row follows from its key and the seed alone: it is the same whoever reads it, and with what else.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from alfred.core.calendar import close_instants
from alfred.core.plugins import plugin_names
from alfred.lake.contracts import ProviderDescription
from alfred.lake.ingest import PROVIDERS, provider
from alfred.lake.store import Lake
from alfred.lake.tables import INSTANT
from alfred.lake.view import View, Wanted

PRICES = ("open", "high", "low", "close", "adj_close")
EARNINGS = ("reported_eps", "estimated_eps", "surprise")
SPLIT_AFTER_DAYS = 20
_STEPS = 1 << 20
_STAYS, _SPLITS, _MOVES = 1001, 1002, 1003
OTHER_SECTOR = "another sector"


@dataclass(frozen=True)
class OtherFuture:
    """What comes instead of what came.

    Attributes:
        date: session; all that was known by its close stays.
        seed: another one, another future.
        prices: provider whose prices are read.
        adjusted_earnings: sources whose earnings per share are divided by later splits.
    """

    date: dt.date
    seed: int
    prices: ProviderDescription
    adjusted_earnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, date: dt.date, seed: int, prices: str) -> "OtherFuture":
        """For a study that reads the prices of the provider `prices`."""
        about = [provider(name).DESCRIPTION for name in plugin_names(PROVIDERS)]
        return cls(date, seed, provider(prices).DESCRIPTION, tuple(one.name for one in about if one.adjusts_earnings))

    @property
    def after(self) -> dt.datetime:
        """The instant up to which the past reaches."""
        close: dt.datetime = close_instants(np.array([self.date], "datetime64[D]"))[0].astype("datetime64[us]").item()
        return close.replace(tzinfo=dt.UTC)

    def rows(self, table: str, rows: pl.LazyFrame, bars: pl.LazyFrame) -> pl.LazyFrame:
        """Rows of a table as they would be, with the columns that they have.

        Args:
            table: of the lake; its rows may lack columns.
            rows: with `known_at`.
            bars: the provider's rows of `bars`, which say who is still traded at the time of the splits.
        """
        schema = rows.collect_schema()
        kept = pl.col("kind") == "split" if table == "actions" else pl.lit(value=False)
        found = self._altered(rows, schema, kept)
        adjusts = self.prices.levels_know_the_future
        told = adjusts and "actions" in self.prices.tables
        if table == "members":
            found = found.with_columns(pl.when(pl.col("to") <= self.date).then(pl.col("to")).alias("to"))
        elif table == "sectors":
            moves = self._later & (self._chance(pl.struct("symbol", "known_at", "source"), _MOVES) > 0.5)
            found = found.with_columns(
                pl.when(moves).then(pl.lit(OTHER_SECTOR)).otherwise(pl.col("sector")).alias("sector")
            )
        elif table == "bars" and adjusts:
            own = pl.col("source") == self.prices.name
            found = self._rebased(found, bars, own & (pl.col("date") < self._split_on), PRICES, "volume")
        elif table == "actions" and told:
            found = pl.concat([found, self._splits(bars)], how="diagonal").select(schema.names())
        elif table == "earnings" and told:
            announced = pl.coalesce("announced", pl.col("known_at").dt.date())
            adjusted = pl.col("source").is_in(self.adjusted_earnings)
            found = self._rebased(found, bars, adjusted & (announced < self._split_on), EARNINGS)
        return found

    @property
    def _split_on(self) -> dt.date:
        return self.date + dt.timedelta(days=SPLIT_AFTER_DAYS)

    @property
    def _later(self) -> pl.Expr:
        """What became known after the date."""
        return pl.col("known_at") > pl.lit(self.after).cast(INSTANT)

    def _chance(self, of: pl.Expr, salt: int) -> pl.Expr:
        """Between 0 and 1, by content and seed."""
        return (of.hash(self.seed * _STEPS + salt) % _STEPS + 0.5) / _STEPS

    def _altered(self, rows: pl.LazyFrame, schema: pl.Schema, kept: pl.Expr) -> pl.LazyFrame:
        later = self._later & ~kept
        numbers = [name for name, kind in schema.items() if kind == pl.Float64]
        identity = pl.struct(name for name in schema if name not in numbers)
        stays = self._chance(identity, _STAYS) > 1 / 3
        other = {name: (6 * self._chance(identity, at) - 1).exp() for at, name in enumerate(numbers)}
        return rows.filter(~later | stays).with_columns(
            pl.when(later & pl.col(name).is_not_null()).then(other[name]).otherwise(pl.col(name)).alias(name)
            for name in numbers
        )

    def _ratios(self, bars: pl.LazyFrame) -> pl.LazyFrame:
        """Columns symbol and split: new shares for one old one, of the names that split."""
        traded = bars.filter(pl.col("date") >= self._split_on).select(pl.col("symbol").unique().sort())
        ratio = 2.0 ** (3 * self._chance(pl.col("symbol"), _SPLITS)).floor()
        return traded.with_columns(split=ratio).filter(pl.col("split") > 1)

    def _rebased(
        self, rows: pl.LazyFrame, bars: pl.LazyFrame, which: pl.Expr, a_share: tuple[str, ...], shares: str = ""
    ) -> pl.LazyFrame:
        names = rows.collect_schema().names()
        ratio = pl.when(which).then(pl.col("split")).otherwise(None).fill_null(1.0)
        joined = rows.join(self._ratios(bars), on="symbol", how="left", maintain_order="left")
        divided = [(pl.col(name) / ratio).alias(name) for name in a_share if name in names]
        times = [(pl.col(shares) * ratio).alias(shares)] if shares in names else []
        return joined.with_columns(*divided, *times).select(names)

    def _splits(self, bars: pl.LazyFrame) -> pl.LazyFrame:
        """Rows of `actions`, announced right after the date."""
        known = pl.lit(self.after + dt.timedelta(microseconds=1)).cast(INSTANT)
        return self._ratios(bars).select(
            "symbol", date=pl.lit(self._split_on), kind=pl.lit("split"), ratio="split", known_at=known,
            source=pl.lit(self.prices.name),
        )  # fmt: skip


@dataclass(frozen=True)
class ScrambledView(View):
    """A view of the lake after another future."""

    future: OtherFuture = field(kw_only=True)

    def _existing(self, name: str, source: str | None, wanted: Wanted | None = None) -> pl.LazyFrame:
        about = {"symbol": wanted["symbol"]} if wanted and "symbol" in wanted else None
        bars = super()._existing("bars", self.future.prices.name, about)
        return self.future.rows(name, super()._existing(name, source, wanted), bars)


@dataclass(frozen=True)
class ScrambledLake(Lake):
    """The lake under `root`, read after another future. It is for reading: what is written goes into the real one."""

    future: OtherFuture

    def asof(self, instant: dt.datetime, versions: Mapping[str, int] | None = None) -> ScrambledView:
        """What would be known at `instant`."""
        view = super().asof(instant, versions)
        return ScrambledView(view.root, view.instant, view.versions, future=self.future)
