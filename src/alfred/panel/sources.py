"""What features are computed from: the lake's tables, cut to what was known on each decision date."""

import functools
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from alfred.core.calendar import Dates, close_instants, decision_dates
from alfred.core.contracts import Floats
from alfred.core.settings import Settings
from alfred.panel.asof import Known, Latest, announcements, first_copies, of_digester
from alfred.panel.facts import FactHistory
from alfred.panel.history import BarHistory
from alfred.panel.splits import Splits
from alfred.panel.tables import Tables


class FillDays(Settings):
    """For how many days what became known last still counts on a decision date; later it is missing, not repeated.

    A filing lasts until the next year's, so that companies that report once a year keep their figures; an announced
    quarter until the one after next was due; a series over holidays.
    """

    facts: int = Field(default=400, ge=1, description="days from a filing")
    earnings: int = Field(default=200, ge=1, description="days from an announcement")
    series: int = Field(default=10, ge=1, description="days from the day that a value of a series is about")
    filings: int = Field(default=200, ge=1, description="days from a 10-K or 10-Q whose text was digested")
    insider: int = Field(
        default=730,
        ge=1,
        description="days from a filing, for which a quarter without one counts as one without trades",
    )


class ArticleSettings(Settings):
    """How articles of a quarter count."""

    half_life_days: float = Field(
        default=45.0,
        gt=0,
        le=1e6,
        description="an article counts half of one that came so many days later; a million weighs all alike",
    )
    novel_below: float = Field(
        default=0.5, gt=0, le=1, description="an article is news where its likeness to earlier ones is below"
    )


@dataclass(frozen=True)
class Sources:
    """Everything a feature may be computed from.

    Attributes:
        dates: (D,) consecutive decision dates.
        symbols: S tickers.
        bars: prices and volumes.
        tables: of the lake, all vintages; features do not read them but through the histories below.
        fill_days: how long what was known stays usable.
        digester: whose digests count; empty where the lake holds those of one only.
        articles: how articles of a quarter count.
        filings_digester: whose digests of filings count, likewise.
        columns: columns computed so far, by name; `alfred.panel.catalogue.column` keeps them here.
    """

    dates: Dates
    symbols: tuple[str, ...]
    bars: BarHistory
    tables: Tables
    fill_days: FillDays = field(default_factory=FillDays)
    digester: str = ""
    articles: ArticleSettings = field(default_factory=ArticleSettings)
    filings_digester: str = ""
    columns: dict[str, Floats] = field(default_factory=dict, repr=False, compare=False)

    @functools.cached_property
    def deadlines(self) -> NDArray[np.int64]:
        """(D,) close of each decision date, in microseconds since 1970 UTC; what became known later is not there."""
        return close_instants(self.dates).astype("datetime64[us]").astype(np.int64)

    @functools.cached_property
    def since(self) -> NDArray[np.int64]:
        """(D,) close of the decision date before each, as `deadlines`: a quarter's flow is what lies between."""
        before = decision_dates(self.dates[0] - np.timedelta64(120, "D"), self.dates[0] - np.timedelta64(1, "D"))
        first = close_instants(before[-1:]).astype("datetime64[us]").astype(np.int64)
        return np.concatenate([first, self.deadlines[:-1]])

    @functools.cached_property
    def splits(self) -> Splits:
        """Share basis of the dates."""
        return Splits.of(self.tables.actions, self.dates, self.symbols)

    @functools.cached_property
    def facts(self) -> FactHistory:
        """Figures of filings."""
        return self._facts(as_first_filed=False)

    @functools.cached_property
    def facts_as_first_filed(self) -> FactHistory:
        """Figures of filings, without restatements: for labels."""
        return self._facts(as_first_filed=True)

    def _facts(self, as_first_filed: bool) -> FactHistory:
        return FactHistory.of(
            self.tables.facts,
            symbols=self.symbols,
            deadlines=self.deadlines,
            dates=self.dates,
            fill_days=self.fill_days.facts,
            as_first_filed=as_first_filed,
        )

    @functools.cached_property
    def earnings(self) -> Latest:
        """Of each symbol the announcement of the latest quarter known on each date."""
        rows = announcements(self.tables.earnings)
        known = Known.of(rows, self.symbols, self.since, self.deadlines, after="announced")
        return known.latest_row("period_end")

    @functools.cached_property
    def series(self) -> Latest:
        """Of each series that there is, in order of its name, the value about the latest day known on each date."""
        rows = self.tables.series.filter(pl.col("value").is_finite())
        names = rows["series"].unique().sort().to_list()
        return Known.of(rows, names, self.since, self.deadlines, about="series", after="date").latest_row("date")

    @functools.cached_property
    def insider(self) -> Known:
        """Lines of insiders' filings."""
        return Known.of(self.tables.insider, self.symbols, self.since, self.deadlines)

    @functools.cached_property
    def digests(self) -> Known:
        """Digests of the chosen digester, of each story that of the first copy digested, with the columns story and
        likeness; they count once their article is published."""
        rows = first_copies(of_digester(self.tables.digests, self.digester), self.tables.stories)
        return Known.of(rows, self.symbols, self.since, self.deadlines, after="published_at")

    @functools.cached_property
    def sections(self) -> pl.DataFrame:
        """Digests of sections of filings by the chosen digester."""
        return of_digester(self.tables.filings, self.filings_digester, "panel.filings_digester")

    @functools.cached_property
    def reports(self) -> Known:
        """10-K and 10-Q, one row each: means over the sections by their number of words.

        Sections without an earlier one, or short of a number otherwise, do not count in the mean of that number.
        """
        mean = {name: _by_words(name) for name in ("cosine", "jaccard", "tone_change", "sentiment", "outlook")}
        periodic = self.sections.filter(pl.col("form").is_in(["10-K", "10-Q"])).sort("filing", "item")
        of_filing = ["filing", "symbol", "known_at", "published_at"]
        rows = periodic.group_by(of_filing, maintain_order=True).agg(**mean)
        return Known.of(rows, self.symbols, self.since, self.deadlines, after="published_at")

    @functools.cached_property
    def events(self) -> Known:
        """Items of 8-K."""
        rows = self.sections.filter(pl.col("form") == "8-K")
        return Known.of(rows, self.symbols, self.since, self.deadlines, after="published_at")


def _by_words(name: str) -> pl.Expr:
    """Mean by the number of words, over rows that have a number; null where none has."""
    weight = pl.when(pl.col(name).is_finite()).then(pl.max_horizontal(pl.col("words"), 1)).cast(pl.Float64)
    return (pl.col(name) * weight).sum() / pl.when(weight.sum() > 0).then(weight.sum())
