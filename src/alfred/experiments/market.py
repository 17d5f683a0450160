"""What a study reads from the lake: bars, index and baskets, pinned to table versions."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from alfred.core.calendar import day
from alfred.core.contracts import Bars
from alfred.core.digest import digest_of
from alfred.core.errors import DataError
from alfred.evaluation.protocols import check_baskets
from alfred.experiments.study import DataSettings, UniverseSettings
from alfred.lake.contracts import ProviderDescription
from alfred.lake.ingest import ensure, provider
from alfred.lake.matrix import bar_matrix, series_bars
from alfred.lake.store import Lake, View
from alfred.universe.baskets import Baskets, load_baskets, scan


@dataclass(frozen=True)
class Market:
    """Prices of a study.

    Attributes:
        description: what the provider says about them.
        view: the lake as of the study's last instant, at pinned versions.
        bars: rows of the table `bars`, sorted by symbol and date.
        index: columns date, value, known_at of the market index.
    """

    description: ProviderDescription
    view: View
    bars: pl.DataFrame
    index: pl.DataFrame

    def digest(self) -> str:
        """Digest of every price and index level in the study's span."""
        prices = self.bars.select("close", "adj_close", "volume").to_numpy()
        days = self.bars["date"].to_physical().to_numpy()
        levels = self.index["value"].to_numpy()
        return digest_of(self.bars["symbol"].unique().sort().to_list(), days, prices, levels)

    def matrix(self, symbols: tuple[str, ...] | None = None) -> Bars:
        """Dense bars, of all symbols or of some in their order."""
        bars = bar_matrix(self.bars)
        return bars if symbols is None else bars.columns(symbols)

    def index_bars(self) -> Bars:
        """The market index as bars of one symbol."""
        return series_bars(self.description.market_series, self.index)


def read_market(lake: Lake, settings: DataSettings, versions: Mapping[str, int] | None = None) -> Market:
    """Read the study's span; data that come with a package are brought into the lake first.

    Args:
        lake: where to read.
        settings: provider and span.
        versions: table versions to read, as a run recorded them; default the current ones.

    Raises:
        DataError: the provider has no bars in the span.
    """
    description = provider(settings.provider).DESCRIPTION
    ensure(lake, settings.provider)
    until = dt.datetime.now(dt.UTC) if settings.until is None else _end_of(settings.until)
    view = lake.asof(until, versions)
    bars, index = view.bars(source=settings.provider), view.series(description.market_series)
    if settings.since is not None:
        first = dt.date.fromisoformat(settings.since)
        bars, index = bars.filter(pl.col("date") >= first), index.filter(pl.col("date") >= first)
    if bars.is_empty():
        raise DataError(
            f"provider {settings.provider!r} has no bars from {settings.since or 'its beginning'} to "
            f"{settings.until or 'today'}; widen data.since and data.until."
        )
    return Market(description, view, bars, index)


def choose_baskets(market: Market, settings: UniverseSettings) -> Baskets:
    """The study's baskets, fit for its protocol, every name with bars.

    Raises:
        LeakError: the protocol asks for other tickers and the baskets share some.
        DataError: a symbol has no bars.
    """
    if settings.scan is not None:
        wish = settings.scan
        known = market.bars.filter(pl.col("known_at") <= _end_of(wish.as_of))
        bars = bar_matrix(known)
        first = scan(bars, wish.training_start, wish.n).symbols
        baskets = Baskets(first, scan(bars, wish.evaluation_start, wish.n, exclude=first).symbols)
    elif settings.baskets is not None:
        baskets = load_baskets(settings.baskets)
    else:
        baskets = Baskets(settings.training, settings.evaluation)
    if not baskets.evaluation and settings.protocol.startswith("same-tickers"):
        baskets = Baskets(baskets.training, baskets.training)
    check_baskets(baskets.training, baskets.evaluation, settings.protocol)
    there = set(market.bars["symbol"].unique())
    absent = [name for name in (*baskets.training, *baskets.evaluation) if name not in there]
    if absent:
        raise DataError(f"there are no bars for {', '.join(absent)}; the data hold {', '.join(sorted(there))}.")
    return baskets


def _end_of(text: str) -> dt.datetime:
    return dt.datetime.combine(dt.date.fromisoformat(str(day(text))), dt.time.max, dt.UTC)
