"""Panels made by hand for the tests of `alfred.explain`."""

import numpy as np

from alfred.core.calendar import day, decision_dates
from alfred.panel.panel import Labels, Panel


def panel_of(values: np.ndarray, label: np.ndarray, horizon: int = 1, names: tuple[str, ...] = ()) -> Panel:
    """A panel of values (D, S, F) and a label PM (D, S); every cell is listed."""
    count, symbols, features = values.shape
    dates = decision_dates(day("1970-01-01"), day("2020-12-31"))[:count]
    return Panel(
        dates=dates,
        symbols=tuple(f"S{at:02d}" for at in range(symbols)),
        features=names or tuple(f"f{at}" for at in range(features)),
        values=values,
        listed=np.ones((count, symbols), np.bool_),
        labels=Labels(horizon, dates, {"PM": label, "PQ": np.where(np.isnan(label), np.nan, label > 0)}),
        left_out={},
    )
