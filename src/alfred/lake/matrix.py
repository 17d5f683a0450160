"""Long bars as the dense matrices that correlation and the engine work on."""

import numpy as np
import polars as pl

from alfred.core.contracts import Bars
from alfred.core.errors import DataError


def bar_matrix(bars: pl.DataFrame) -> Bars:
    """Pivot bars of the lake.

    Args:
        bars: rows with symbol, date, close, adj_close. Where `adj_close` is null the close stands for it.

    Returns:
        Bars over all sessions on which any symbol has a bar; NaN where a symbol has none.

    Raises:
        DataError: there are no rows.
    """
    if bars.is_empty():
        raise DataError("there are no bars to work on; widen the dates or choose other symbols.")
    symbols = bars["symbol"].unique().sort()
    dates = bars["date"].unique().sort()
    column = symbols.search_sorted(bars["symbol"]).to_numpy()
    row = dates.search_sorted(bars["date"]).to_numpy()
    close = np.full((len(dates), len(symbols)), np.nan)
    total = close.copy()
    close[row, column] = bars["close"].to_numpy()
    total[row, column] = bars.select(pl.coalesce("adj_close", "close")).to_series().to_numpy()
    return Bars(dates.to_numpy().astype("datetime64[D]"), tuple(symbols), close, total)


def series_bars(name: str, series: pl.DataFrame) -> Bars:
    """A level series (columns date, value) as bars of one symbol, such as the index to compare with."""
    value = series["value"].to_numpy().astype(np.float64)[:, None]
    return Bars(series["date"].to_numpy().astype("datetime64[D]"), (name,), value, value)
