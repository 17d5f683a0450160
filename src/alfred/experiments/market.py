"""What a study reads from the lake: bars, index and baskets, pinned to table versions."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from alfred.core.calendar import day
from alfred.core.contracts import Bars
from alfred.core.digest import digest_of
from alfred.core.errors import DataError
from alfred.core.plugins import plugin_names
from alfred.evaluation.protocols import check_baskets
from alfred.experiments.study import DataSettings, NamesSettings, UniverseSettings
from alfred.lake.contracts import ProviderDescription
from alfred.lake.ingest import PROVIDERS, ensure, provider
from alfred.lake.matrix import bar_matrix, series_bars
from alfred.lake.store import Lake, View
from alfred.lake.symbols import symbols_in
from alfred.panel.tables import Tables
from alfred.universe.baskets import Baskets, load_baskets, scan, split_names

EQUAL_WEIGHTED = "equal-weighted index of all names"
EVER = dt.datetime(9999, 12, 31, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Market:
    """Prices of a study.

    Attributes:
        description: what the provider says about them.
        view: the lake as of the study's last instant, at pinned versions.
        bars: rows of the table `bars`, sorted by symbol and date.
        index_name: series of the market index, or that it is the equal-weighted mean of all names.
        index: columns date, value, known_at of the market index.
    """

    description: ProviderDescription
    view: View
    bars: pl.DataFrame
    index_name: str
    index: pl.DataFrame

    @property
    def levels_usable(self) -> bool:
        """Whether quoted levels can be had: prices are not adjusted backwards, or only for splits that are at hand."""
        about = self.description
        return not about.levels_know_the_future or "actions" in about.tables

    def digest(self) -> str:
        """Digest of every price and index level in the study's span, and of when each became known."""
        times = [frame.select(pl.col("date", "known_at").to_physical()) for frame in (self.bars, self.index)]
        prices = self.bars.select("close", "adj_close", "volume").to_numpy()
        symbols = self.bars["symbol"].rle()
        return digest_of(
            symbols.struct.field("value").to_list(), symbols.struct.field("len").to_list(), prices, self.index_name,
            self.index["value"].to_numpy(), *(frame.cast(pl.Int64).to_numpy() for frame in times),
        )  # fmt: skip

    def tables(self, symbols: Sequence[str] | None = None) -> Tables:
        """Everything that the lake knows of some symbols; default all that have prices.

        Prices are the provider's own, and so are the splits that they were adjusted for. All else is from whichever
        provider knows it, but invented rows stand only beside invented prices. Tickers that the symbols were renamed
        to come along.
        """
        if symbols is not None:
            symbols = self._with_heirs(symbols)
        bars = self.bars if symbols is None else self.bars.filter(pl.col("symbol").is_in(list(symbols)))
        about = self.description
        found = Tables.of(self.view, bars, self.index, symbols)
        if about.invented:
            return found.where(pl.col("source") == about.name)
        tables = found.where(~pl.col("source").is_in(_sources(lambda provider: provider.invented)))
        adjusted = pl.col("source").is_in(_sources(lambda provider: provider.adjusts_earnings))
        tables = replace(tables, earnings=as_reported(tables.earnings, tables.actions, adjusted))
        own = tables.actions.filter(pl.col("source") == about.name)
        return replace(tables, actions=own) if "actions" in about.tables else tables

    def actions(self, symbols: Sequence[str]) -> pl.DataFrame:
        """Actions of some symbols: the provider's own where it tells of any, otherwise whosever."""
        about = self.description
        own = pl.col("source") == about.name
        return self._believed(self.view.actions(symbols)).filter(own if "actions" in about.tables else pl.lit(True))

    def series(self) -> pl.DataFrame:
        """Every series, in every vintage, that may stand beside these prices."""
        return self._believed(self.view.all_series())

    def sectors(self, symbols: Sequence[str], *, hindsight: bool = False) -> pl.DataFrame:
        """What became known of some symbols' sectors, sorted by symbol, known_at, source; a repetition is no row.

        Args:
            symbols: whose.
            hindsight: also what became known after the view's instant, for whoever looks back. No decision may.
        """
        view = replace(self.view, instant=EVER) if hindsight else self.view
        rows = self._believed(view.sectors(symbols)).drop_nulls("sector")
        before = pl.col("sector").shift(1).over("symbol", "source")
        return rows.filter(pl.col("sector").ne_missing(before))

    def _believed(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Invented rows stand only beside invented prices, and nothing else beside those."""
        if self.description.invented:
            return rows.filter(pl.col("source") == self.description.name)
        return rows.filter(~pl.col("source").is_in(_sources(lambda provider: provider.invented)))

    def _with_heirs(self, symbols: Sequence[str]) -> list[str]:
        """The symbols, and those that they were renamed to: a label follows the holder."""
        renames = self.view.actions().filter(pl.col("kind") == "rename").select("symbol", "new_symbol").rows()
        priced = set(self.bars["symbol"].unique())
        found = set(symbols)
        while heirs := {new for old, new in renames if old in found and new in priced} - found:
            found |= heirs
        return sorted(found)

    def matrix(self, symbols: tuple[str, ...] | None = None) -> Bars:
        """Dense bars, of all symbols or of some in their order."""
        bars = bar_matrix(self.bars)
        return bars if symbols is None else bars.columns(symbols)

    def index_bars(self) -> Bars:
        """The market index as bars of one symbol."""
        return series_bars(self.index_name, self.index)


def read_market(
    lake: Lake,
    settings: DataSettings,
    versions: Mapping[str, int] | None = None,
    sealed_after: dt.datetime | None = None,
) -> Market:
    """Read the study's span; data that come with a package are brought into the lake first.

    Args:
        lake: where to read.
        settings: provider and span.
        versions: table versions to read, as a run recorded them; default the current ones.
        sealed_after: last instant that may be seen, where a vault is sealed; nothing that became known later is read.

    Raises:
        DataError: the provider has no bars in the span.
    """
    description = provider(settings.provider).DESCRIPTION
    ensure(lake, settings.provider)
    until = dt.datetime.now(dt.UTC) if settings.until is None else _end_of(settings.until)
    until = until if sealed_after is None else min(until, sealed_after)
    view = lake.asof(until, versions)
    first = dt.date.min if settings.since is None else dt.date.fromisoformat(settings.since)
    bars = view.bars(source=settings.provider).filter(pl.col("date") >= first)
    if bars.is_empty():
        raise DataError(
            f"provider {settings.provider!r} has no bars from {settings.since or 'its beginning'} to "
            f"{settings.until or 'today'}; widen data.since and data.until."
        )
    name, index = _index(view, settings, description, bars)
    return Market(description, view, bars, name, index.filter(pl.col("date") >= first))


def _index(
    view: View, settings: DataSettings, description: ProviderDescription, bars: pl.DataFrame
) -> tuple[str, pl.DataFrame]:
    """The market index: the series that the study names, or the provider's own, or the mean of all names."""
    if settings.market_series:
        return settings.market_series, view.series(settings.market_series)
    if description.market_series:
        try:
            return description.market_series, view.series(description.market_series, source=description.name)
        except DataError:
            if description.kind != "file":
                raise
    return EQUAL_WEIGHTED, equal_weighted(bars)


def equal_weighted(bars: pl.DataFrame) -> pl.DataFrame:
    """An index for data that bring none: the mean daily total return of all names, compounded from 100.

    A day's return above +100% or below -50% is left out of the mean: among a few names one wrong quote would
    otherwise move the index.

    Args:
        bars: sorted by symbol and date.

    Returns:
        Columns date, value, known_at, sorted by date; from the second session on.
    """
    total = pl.coalesce("adj_close", "close")
    change = (total / total.shift(1).over("symbol") - 1).alias("change")
    usable = bars.select("date", "known_at", change).filter(pl.col("change").is_between(-0.5, 1.0))
    days = usable.group_by("date").agg(pl.col("change").mean(), pl.col("known_at").max()).sort("date")
    return days.select("date", (100 * (1 + pl.col("change")).cum_prod()).alias("value"), "known_at")


def choose_baskets(market: Market, settings: UniverseSettings) -> Baskets:
    """The study's baskets, fit for its protocol, every name with bars.

    Raises:
        LeakError: the protocol asks for other tickers and the baskets share some.
        DataError: a symbol has no bars.
    """
    if settings.scan is not None:
        wish = settings.scan
        bars = bar_matrix(known_on(market, wish.as_of))
        first = scan(bars, wish.training_start, wish.n, exclude=(wish.evaluation_start,)).symbols
        baskets = Baskets(first, scan(bars, wish.evaluation_start, wish.n, exclude=first).symbols)
    elif settings.baskets is not None:
        baskets = load_baskets(settings.baskets)
    elif settings.names is not None:
        baskets = _listed_names(market, settings.names)
    else:
        baskets = Baskets(settings.training, settings.evaluation)
    baskets = settings.fit(baskets)
    check_baskets(baskets.training, baskets.evaluation, settings.protocol)
    there = set(market.bars["symbol"].unique())
    absent = [name for name in (*baskets.training, *baskets.evaluation) if name not in there]
    if absent:
        raise DataError(f"there are no bars for {', '.join(absent)}; the data hold {', '.join(sorted(there))}.")
    return baskets


def _listed_names(market: Market, wish: NamesSettings) -> Baskets:
    """The names of a list that have prices, in two baskets; the others are told, not lost."""
    there = market.bars["symbol"].unique().sort().to_list()
    last = dt.date.fromisoformat(wish.as_of) if wish.as_of else dt.date.fromisoformat(str(market.bars["date"].max()))
    asked = there if wish.list.strip() == "*" else symbols_in(wish.list, market.view, last)
    priced = set(there)
    found = split_names([name for name in asked if name in priced], wish.evaluation_share, wish.seed)
    if not found.training or (wish.evaluation_share and not found.evaluation):
        count = len(found.training) + len(found.evaluation)
        raise DataError(
            f"{count} of {len(asked)} listed names have prices, which makes no two baskets; list more names, or bring "
            "their prices."
        )
    return replace(found, without_prices=tuple(name for name in asked if name not in priced))


def known_on(market: Market, day_of_choice: str) -> pl.DataFrame:
    """Bars that were known on a day (ISO)."""
    return market.bars.filter(pl.col("known_at") <= _end_of(day_of_choice))


def _end_of(text: str) -> dt.datetime:
    return dt.datetime.combine(dt.date.fromisoformat(str(day(text))), dt.time.max, dt.UTC)


def as_reported(earnings: pl.DataFrame, actions: pl.DataFrame, adjusted: pl.Expr) -> pl.DataFrame:
    """Earnings per share as they were announced: where a source divided them by later splits, that is undone.

    Args:
        earnings, actions: rows of these tables.
        adjusted: which rows of `earnings` were divided by all splits since.
    """
    splits = actions.filter(pl.col("kind") == "split", pl.col("ratio") > 0).unique(["symbol", "date"], keep="first")
    rows = earnings.with_row_index("row")
    announced = pl.coalesce("announced", pl.col("known_at").dt.date())
    later = rows.filter(adjusted).select("row", "symbol", announced.alias("announced")).join(
        splits.select("symbol", "ratio", split="date"), on="symbol"
    )  # fmt: skip
    factors = later.filter(pl.col("split") > pl.col("announced")).group_by("row").agg(pl.col("ratio").product())
    factor = pl.col("ratio").fill_null(1.0)
    known = rows.join(factors, on="row", how="left", maintain_order="left")
    return known.with_columns(pl.col("reported_eps", "estimated_eps", "surprise") * factor).drop("row", "ratio")


def _sources(which: Callable[[ProviderDescription], bool]) -> list[str]:
    """Names of the providers that `which` picks."""
    descriptions = [provider(name).DESCRIPTION for name in plugin_names(PROVIDERS)]
    return [about.name for about in descriptions if which(about)]
