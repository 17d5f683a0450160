"""Figures of filings as of decision dates: quarters, trailing years and levels, from vintages known at the time.

On a decision date, of each concept, period and kind of period the vintage counts that became known last. A company's
latest period is the latest one that any flow (a figure of a quarter, year or year to date) was known of, and all its
figures are read at that period, so that ratios compare like with like. Filings seldom give what is asked for:

- a quarter is the quarter as told; else the flow of the fiscal year to date less that to the quarter before, where
  the year to date of a first quarter is the quarter and that of a fourth quarter the year; else a year less the three
  quarters before;
- a trailing year is a year that ended there; else four quarters; else the last fiscal year plus this one's flow to
  date less that of a year before.

A fiscal year ends where any flow of a year does, by an annual report: some quarterly reports give trailing years.
A quarter that cannot be had in these ways is missing. Only figures in USD, shares or without a unit are read; those
in another currency are missing, as they compare with no price.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import polars as pl

from alfred.core.calendar import Dates
from alfred.core.contracts import Floats
from alfred.panel._facts_kernels import (
    AS_AVERAGE,
    AS_INSTANT,
    AS_LATEST,
    AS_QUARTER,
    AS_TRAILING,
    NONE,
    Clock,
    Ends,
    Micros,
    Rows,
    latest_periods,
    read,
)

KINDS = ("instant", "quarter", "ytd", "year")
UNITS = ("USD", "USD/share", "USD/shares", "shares", "pure")
DAY = 86_400_000_000


@dataclass(frozen=True)
class Stated:
    """Figures with the instants from which they could be known.

    Attributes:
        value: (D, S), NaN where missing.
        known: (D, S) microseconds since 1970 UTC; 0 where missing.
    """

    value: Floats
    known: Micros


@dataclass(frozen=True, eq=False)
class FactHistory:
    """Filings of S companies, read on D decision dates. Arrays are (D, S) with NaN for missing, in the units filed.

    `quarters_ago` counts back from the company's latest period: the period that ended within 30 days of so many mean
    quarters before it, which a missing quarter does not shift.

    Attributes:
        dates: (D,) decision dates.
        period_end: (D, S) end of the latest period, NaT where no filing counts.
        days_since_filing: (D, S) days from the instant at which that period's first filing could be known.
    """

    dates: Dates
    period_end: Dates
    days_since_filing: Floats
    _clock: Clock = field(repr=False)
    _concepts: dict[str, Rows] = field(repr=False)
    _years: Ends = field(repr=False)
    _read: dict[tuple[int, str, int], Stated] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        facts: pl.DataFrame,
        symbols: Sequence[str],
        deadlines: Micros,
        dates: Dates,
        fill_days: int,
        *,
        as_first_filed: bool = False,
    ) -> Self:
        """Arrange rows of the table `facts`.

        Args:
            facts: all vintages, in any order; of several that one instant tells, the last by source, then by order,
                counts. What has no finite value, or was known before its period had ended, is no figure.
            symbols: S tickers; rows of others are left out.
            deadlines: (D,) close of each decision date, microseconds since 1970 UTC, ascending.
            dates: (D,) decision dates.
            fill_days: a company whose latest filing is older has no figures.
            as_first_filed: of each concept, period and kind of period only what was told first counts, however it was
                restated or compared with later.
        """
        rows = _encoded(facts, symbols)
        if as_first_filed:
            rows = rows.filter(pl.col("known") == pl.col("known").min().over("concept", "symbol", "end", "kind"))
        fill, count = fill_days * DAY, len(symbols)
        flows = rows.filter(pl.col("kind") > 0)
        periods = _ends(flows, count)
        annual = ~pl.col("quarterly") & (pl.col("kind") == KINDS.index("year"))
        latest, told = latest_periods(periods, deadlines, fill)
        there = latest != NONE
        return cls(
            dates=dates,
            period_end=np.where(there, latest.astype("datetime64[D]"), np.datetime64("NaT", "D")),
            days_since_filing=np.where(there, (deadlines[:, None] - told) / DAY, np.nan),
            _clock=(deadlines, fill, latest),
            _concepts=_by_concept(rows, count),
            _years=_ends(flows.filter(annual), count),
        )

    def quarter(self, concept: str, quarters_ago: int = 0) -> Floats:
        """(D, S) flow of one quarter."""
        return self._stated(AS_QUARTER, concept, quarters_ago).value

    def trailing(self, concept: str, quarters_ago: int = 0) -> Floats:
        """(D, S) flow of the year that ended with a quarter."""
        return self._stated(AS_TRAILING, concept, quarters_ago).value

    def instant(self, concept: str, quarters_ago: int = 0) -> Floats:
        """(D, S) level at a period's end."""
        return self._stated(AS_INSTANT, concept, quarters_ago).value

    def average(self, concept: str) -> Stated:
        """Mean level, such as a weighted number of shares, over the quarter; else over the year to date or the year.

        Of those that ended with the latest period; means cannot be subtracted from one another.
        """
        return self._stated(AS_AVERAGE, concept, 0)

    def latest(self, concept: str) -> Stated:
        """The latest level known, whenever it stood, such as the number of shares on a report's cover page; missing
        where it became known longer ago than filings count."""
        return self._stated(AS_LATEST, concept, 0)

    def _stated(self, form: int, concept: str, quarters_ago: int) -> Stated:
        key = form, concept, quarters_ago
        if key not in self._read:
            self._read[key] = self._compute(*key)
        return self._read[key]

    def _compute(self, form: int, concept: str, quarters_ago: int) -> Stated:
        rows = self._concepts.get(concept)
        if rows is None:
            shape = self.period_end.shape
            return Stated(np.full(shape, np.nan), np.zeros(shape, np.int64))
        return Stated(*read(form, quarters_ago, rows, self._years, self._clock))


def _encoded(facts: pl.DataFrame, symbols: Sequence[str]) -> pl.DataFrame:
    """Usable rows with numbers for names, sorted by concept, symbol, known, source."""
    sources = facts["source"].unique().sort().to_list()
    usable = (
        pl.col("value").is_finite()
        & (pl.col("unit").is_null() | pl.col("unit").is_in(UNITS))
        & (pl.col("period_end") <= pl.col("known_at").dt.date())
        & pl.col("symbol").is_not_null()
    )
    encoded = facts.lazy().select(
        "concept",
        "value",
        symbol=pl.col("symbol").cast(pl.Enum(list(symbols)), strict=False).to_physical().cast(pl.Int32),
        kind=pl.col("period_kind").cast(pl.Enum(KINDS)).to_physical().cast(pl.Int8),
        end=pl.col("period_end").to_physical(),
        known=pl.col("known_at").to_physical(),
        source=pl.col("source").cast(pl.Enum(sources)).to_physical(),
        quarterly=pl.col("form").str.starts_with("10-Q").fill_null(value=False),
        usable=usable,
    )
    named = encoded.filter("usable", pl.col("symbol").is_not_null()).drop("usable")
    numbered = named.with_columns(pl.col("concept").cast(pl.Enum(facts["concept"].unique().sort())))
    return numbered.sort("concept", "symbol", "known", "source", maintain_order=True).drop("source").collect()


def _by_concept(rows: pl.DataFrame, symbols: int) -> dict[str, Rows]:
    return {
        str(name): (
            _offsets(part["symbol"], symbols),
            part["end"].to_numpy(),
            part["kind"].to_numpy(),
            part["known"].to_numpy(),
            part["value"].to_numpy(),
        )
        for (name,), part in rows.partition_by("concept", as_dict=True).items()
    }


def _ends(rows: pl.DataFrame, symbols: int) -> Ends:
    first = rows.group_by("symbol", "end").agg(pl.col("known").min()).sort("symbol", "end")
    return _offsets(first["symbol"], symbols), first["end"].to_numpy(), first["known"].to_numpy()


def _offsets(ascending: pl.Series, symbols: int) -> Micros:
    return np.searchsorted(ascending.to_numpy(), np.arange(symbols + 1)).astype(np.int64)
