"""Columns that come from elsewhere than the lake, such as forecasts of accounts, beside those of a panel."""

from dataclasses import replace

import numpy as np
import polars as pl

from alfred.core.errors import DataError
from alfred.panel.panel import Panel


def with_columns(panel: Panel, frame: pl.DataFrame) -> Panel:
    """The panel with more features.

    Whoever brings them vouches that they were known on their date; the panel cannot see it. A study has to name their
    scaling under [panel.scaling], as they stand in no catalogue.

    Args:
        panel: what they are added to.
        frame: columns symbol, date (decision dates of the panel), and one for each feature. What it does not name, and
            rows that are not listed, are missing. Symbols that the panel lacks are passed over.

    Raises:
        DataError: the frame has no features, one that the panel has already, a row twice, a date that is none of the
            panel's, or values that are not finite.
    """
    names = tuple(name for name in frame.columns if name not in {"symbol", "date"})
    if not names or len(names) != len(frame.columns) - 2:
        raise DataError(f"columns to add need symbol, date and at least one feature, got {', '.join(frame.columns)}.")
    there = [name for name in names if name in panel.features]
    if there:
        raise DataError(f"the panel has a column {there[0]!r} already; give the new one another name.")
    own = frame.filter(pl.col("symbol").is_in(list(panel.symbols)))
    twice = own.filter(own.select("symbol", "date").is_duplicated())
    if twice.height:
        raise DataError(f"the columns to add have {twice['symbol'][0]} on {twice['date'][0]} more than once.")
    place = {symbol: at for at, symbol in enumerate(panel.symbols)}
    dates = own["date"].cast(pl.Date).to_numpy().astype("datetime64[D]")
    row = np.minimum(np.searchsorted(panel.dates, dates), len(panel.dates) - 1)
    strange = panel.dates[row] != dates
    if strange.any():
        raise DataError(f"{dates[strange][0]} is no decision date of the panel; it has {panel.dates[0]} and others.")
    column = np.array([place[symbol] for symbol in own["symbol"]], np.int64)
    added = np.full((*panel.listed.shape, len(names)), np.nan)
    added[row, column] = own.select(pl.col(names).cast(pl.Float64).fill_null(np.nan)).to_numpy()
    added[~panel.listed] = np.nan
    return replace(panel, features=(*panel.features, *names), values=np.concatenate([panel.values, added], axis=2))
