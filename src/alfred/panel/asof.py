"""Rows of the lake as of decision dates: which row counted on a date, and what came in between two dates.

A row that became known after a date's deadline changes nothing on that date, to the last bit: what is compared and
added up for a date are rows known by then, in an order among themselves that later rows do not change.
"""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from alfred.core.calendar import Dates
from alfred.core.contracts import Bools, Floats
from alfred.core.errors import ConfigError
from alfred.core.settings import suggestion
from alfred.lake.tables import INSTANT

Positions = NDArray[np.int64]

DAY = 86_400_000_000
"""Microseconds of a day."""


@dataclass(frozen=True, eq=False)
class Known:
    """Rows of one table about S names, and when each became known.

    Attributes:
        rows: N rows, in the table's order.
        place: (N,) which of the names a row is about.
        known: (N,) microseconds since 1970 UTC from which a row counts.
        names: S names: symbols, or series.
        since, deadlines: (D,) microseconds; a decision date sees what was known by its deadline, and its quarter is
            what came after `since`. The quarters ascend and do not overlap.
    """

    rows: pl.DataFrame
    place: Positions
    known: Positions
    names: tuple[str, ...]
    since: NDArray[np.int64]
    deadlines: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        rows: pl.DataFrame,
        names: Sequence[str],
        since: NDArray[np.int64],
        deadlines: NDArray[np.int64],
        *,
        about: str = "symbol",
        after: str = "known_at",
    ) -> Self:
        """Arrange rows of a table; those about other names are left out.

        Args:
            rows: with the columns known_at, `about` and `after`.
            names: what the columns of all results stand for.
            about: column that names what a row is about.
            after: another date or instant that a row does not count before, such as the day it is about; null for
                none.
        """
        place = places(rows[about], names)
        rows = rows.filter(place.is_not_null())
        instants = rows.select(pl.max_horizontal(pl.col(name).cast(INSTANT) for name in ("known_at", after)))
        known = instants.to_series().to_physical().to_numpy()
        return cls(rows, _positions(place.drop_nulls()), known, tuple(names), since, deadlines)

    def number(self, column: str) -> Floats:
        """(N,) numbers of a column; NaN for null and for what is not finite."""
        values = self.rows[column].cast(pl.Float64).to_numpy()
        return np.where(np.isfinite(values), values, np.nan)

    def latest(self, about: NDArray[np.generic]) -> Positions:
        """(D, S) position of the row that counted on each date; -1 for none.

        Of the rows known by then it is the one about the latest period and, of several about that, the one known
        last; of rows alike in both, the last in the table's order.

        Args:
            about: (N,) the period that each row is about, in any type that sorts; no NaT.
        """
        order = np.lexsort((self.known, about))
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        best = np.full((len(self.deadlines) + 1) * len(self.names), -1, np.int64)
        np.maximum.at(best, self._cell, rank)
        best = np.maximum.accumulate(best.reshape(len(self.deadlines) + 1, len(self.names))[:-1], axis=0)
        return np.append(order, -1)[best]

    def latest_row(self, about: str) -> "Latest":
        """The rows that `latest` finds by a column."""
        return Latest(self, self.latest(self.rows[about].to_numpy()))

    def sums(self, values: Floats | Bools) -> Floats:
        """(D, S) sums of `values` (N,) over the rows that came in each quarter; 0 where none did.

        NaN is left out.
        """
        inside = self._inside & ~np.isnan(values)
        quarters = len(self.deadlines)
        weights = values[inside].astype(np.float64)
        total = np.bincount(self._cell[inside], weights, minlength=quarters * len(self.names))
        return total.astype(np.float64, copy=False).reshape(quarters, len(self.names))

    def of_quarter(self, cells: Floats) -> Floats:
        """(N,) the value in `cells` (D, S) of the quarter that each row came in; NaN where it came in none."""
        values = np.full(len(self.place), np.nan)
        values[self._inside] = cells.ravel()[self._cell[self._inside]]
        return values

    def covered(self, days: int) -> Bools:
        """(D, S) whether a row became known in the last so many days before each deadline."""
        last = self.latest(self.known)
        age = self.deadlines[:, None] - np.append(self.known, 0)[last]
        fresh: Bools = (last >= 0) & (age <= days * DAY)
        return fresh

    @functools.cached_property
    def _arrival(self) -> Positions:
        """(N,) first date by whose deadline a row was known; D for none."""
        return np.searchsorted(self.deadlines, self.known)

    @functools.cached_property
    def _cell(self) -> Positions:
        """(N,) place of date and name in a flat (D + 1, S)."""
        return self._arrival * len(self.names) + self.place

    @functools.cached_property
    def _inside(self) -> Bools:
        """(N,) whether a row came in one of the quarters."""
        return self.known > np.append(self.since, np.iinfo(np.int64).max)[self._arrival]


@dataclass(frozen=True, eq=False)
class Latest:
    """The row that counted on each decision date.

    Attributes:
        table: where rows lie.
        at: (D, S) position, -1 for none.
    """

    table: Known
    at: Positions

    def number(self, column: str) -> Floats:
        """(D, S) numbers of a column; NaN where there is no row, or none in it."""
        return np.append(self.table.number(column), np.nan)[self.at]

    def day(self, column: str) -> Dates:
        """(D, S) dates of a column; NaT where there is no row, or none in it."""
        days = self.table.rows[column].to_numpy().astype("datetime64[D]")
        return np.append(days, np.datetime64("NaT", "D"))[self.at]


def announcements(earnings: pl.DataFrame) -> pl.DataFrame:
    """Rows of `earnings` that tell of a quarter whose earnings were out, sorted by its key; `announced` is filled.

    What was said of a quarter before any report of it is an estimate of one to come, and left out; what was said
    later counts whether or not it repeats the number. A quarter without a day of announcement was announced on the
    day on which its report first became known.
    """
    quarter = ("symbol", "period_end")
    ordered = earnings.sort(*quarter, "known_at", "source")
    reported = pl.col("reported_eps").is_finite().fill_null(value=False)
    told = ordered.filter(reported.cast(pl.Int32).cum_sum().over(quarter) > 0)
    first = pl.col("known_at").first().over(quarter).cast(pl.Date)
    return told.with_columns(pl.col("announced").fill_null(first))


def of_digester(digests: pl.DataFrame, digester: str, setting: str = "panel.digester") -> pl.DataFrame:
    """Rows of one digester with one model in one version of its prompt.

    Args:
        digests: rows of the table, perhaps of several digesters.
        digester: "name/version/model", or "name/version" where one model read, or "name" for the last version (2
            before 10; one that read changed articles, such as "1+anonymous", only where there is no other), or ""
            where there is only one of all.
        setting: that chose it, for the errors.

    Raises:
        ConfigError: there is none of that name, or several fit.
    """
    columns = ["digester", "prompt_version", "model"]
    there = sorted(digests.select(columns).unique().rows(), key=lambda row: (row[0], _natural(row[1]), row[2]))
    if not there:
        return digests
    matching = [row for row in there if digester in {"", *("/".join(row[:at]) for at in (1, 2, 3))}]
    if not matching:
        known = {"/".join(row[:at]) for row in there for at in (1, 2, 3)}
        raise ConfigError(f"{setting}: no article was digested by {digester!r}; {suggestion(digester, known)}")
    if "/" not in digester:
        matching = (digester and [row for row in matching if "+" not in row[1]]) or matching
    if digester:
        matching = [row for row in matching if row[:2] == matching[-1][:2]]
    if len(matching) > 1:
        short = {row: sum(row[:2] == other[:2] for other in there) == 1 for row in matching}
        names = ["/".join(row[:2] if short[row] else row) for row in matching]
        raise ConfigError(
            f"articles were digested by {', '.join(names)}, and one of them must be chosen: set {setting} to it."
        )
    chosen = (pl.col(name) == value for name, value in zip(columns, matching[0], strict=True))
    return digests.filter(pl.all_horizontal(chosen))


def first_copies(digests: pl.DataFrame, stories: pl.DataFrame) -> pl.DataFrame:
    """Of each story about a company the digest that counted first, in the order that they had.

    An article that no row of `stories` is about is a story of its own, whose likeness to others is not known.

    Args:
        digests: of one digester, with symbol and published_at.
        stories: rows of that table.
    """
    about = stories.select("article_id", "story", "likeness")
    rows = digests.join(about, on="article_id", how="left", maintain_order="left").with_row_index("row")
    known = pl.max_horizontal(pl.col(name).cast(INSTANT) for name in ("known_at", "published_at"))
    rows = rows.with_columns(pl.coalesce("story", "article_id").alias("story"), known.alias("counts_from"))
    first = rows.sort("counts_from", "article_id").unique(["symbol", "story"], keep="first").sort("row")
    return first.drop("row", "counts_from")


def split_ratios(actions: pl.DataFrame, names: Sequence[str], since: Dates, dates: Dates) -> Floats:
    """(D, S) shares on each date for one share of an earlier day, by the splits dated after it and up to the date.

    Only those splits are looked at, so that no later one moves a bit. As prices are, numbers of shares are on a
    split's new basis from the session that it is dated on.

    Args:
        actions: rows of the table.
        names: S symbols.
        since: (D, S) earlier days; NaN results where NaT.
        dates: (D,) decision dates.
    """
    good = (pl.col("kind") == "split") & pl.col("ratio").is_finite() & (pl.col("ratio") > 0)
    # Two sources may tell of one split.
    splits = actions.filter(good).unique(["symbol", "date"], keep="first", maintain_order=True)
    splits = splits.with_columns(places(splits["symbol"], names).alias("place")).drop_nulls("place")
    splits = splits.sort("place", "date").with_columns(pl.col("ratio").cum_prod().over("place"))
    owner, until = _positions(splits["place"]), splits["ratio"].to_numpy()
    keys = _keys(owner, splits["date"].to_numpy().astype("datetime64[D]"))

    def up_to(days: Dates) -> Floats:
        place = np.arange(len(names))
        last = np.searchsorted(keys, _keys(place, days), side="right") - 1
        same = np.append(owner, -1)[last] == place
        return np.where(same, np.append(until, 1.0)[last], 1.0)

    ratio = up_to(np.broadcast_to(dates[:, None], since.shape)) / up_to(since)
    return np.where(np.isnat(since), np.nan, ratio)


def places(column: pl.Series, names: Sequence[str]) -> pl.Series:
    """Where each value of a column of strings stands among `names`; null for none of them."""
    return column.cast(pl.Enum(names), strict=False).to_physical()


def _positions(column: pl.Series) -> Positions:
    return column.cast(pl.Int64).to_numpy()


def _keys(place: Positions, days: Dates) -> Positions:
    """Numbers that sort by place, then day; a day lies within 5,000 years of 1970."""
    return place * 4_000_000 + days.astype(np.int64)


def _natural(version: str) -> list[str | int]:
    """Key that sorts numbers within text by size. Text and numbers alternate, so that like meets like."""
    return [int(part) if at % 2 else part for at, part in enumerate(re.split(r"(\d+)", version))]
