"""Twenty US large caps and the S&P 500, daily from 1990-01-02 to 2022-12-28, offline, from skfolio's wheel.

The prices are real and adjusted for splits and dividends; open, high, low and volume are not in the set and stay
null. Because the adjustment was made in 2022, a price LEVEL of an early year knows later splits and dividends
(AAPL stands at 0.26 in 1990); ratios of prices do not. The companies were chosen for having survived.
skfolio's authors provide the set for examples and tests, not as authoritative market data.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from alfred.core.calendar import close_instants
from alfred.core.errors import MissingExtraError
from alfred.lake.contracts import Batch, ProviderDescription, Request, Web

MARKET = "^GSPC"

DESCRIPTION = ProviderDescription(
    name="sample",
    tables=("bars", "series"),
    note=(
        "20 US large caps and the S&P 500 index from skfolio's package: daily adjusted closes, 1990-01-02 to "
        "2022-12-28; no open, high, low, volume or fundamentals. For examples, not authoritative market data."
    ),
    survivors_only=True,
    levels_know_the_future=True,
    market_series=MARKET,
)


def tasks(request: Request) -> tuple[str, ...]:  # noqa: ARG001 - the set is one piece
    """The whole set at once."""
    return ("sample",)


def fetch(task: str, request: Request, web: Web | None) -> Iterator[Batch]:  # noqa: ARG001 - nothing is asked for
    """All rows of the tables `bars` and `series`, each known at its session's close.

    Raises:
        MissingExtraError: skfolio is not installed.
    """
    try:
        from skfolio.datasets import load_sp500_dataset, load_sp500_index
    except ImportError as error:
        raise MissingExtraError(
            "the sample prices ship inside skfolio, which is not installed; run pip install 'alfred[sample]'."
        ) from error
    prices, index = load_sp500_dataset(), load_sp500_index()
    dates = prices.index.to_numpy().astype("datetime64[D]")
    known_at = pl.Series("known_at", close_instants(dates)).dt.replace_time_zone("UTC")
    days = pl.DataFrame({"date": dates, "known_at": known_at})
    wide = days.with_columns(pl.Series(symbol, prices[symbol].to_numpy(np.float64)) for symbol in prices.columns)
    bars = wide.unpivot(index=["date", "known_at"], variable_name="symbol", value_name="close")
    series = days.with_columns(pl.lit(MARKET).alias("series"), pl.Series("value", index["SP500"].to_numpy(np.float64)))
    source = pl.lit(DESCRIPTION.name).alias("source")
    yield Batch("bars", bars.with_columns(pl.col("close").alias("adj_close"), source))
    yield Batch("series", series.with_columns(source))
