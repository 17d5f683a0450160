"""Labels: what the price did between a decision date and the one a horizon later."""

import numpy as np

from alfred.core.calendar import Dates
from alfred.core.contracts import DIRECTION, EXCESS, MAGNITUDE, Floats
from alfred.panel.history import BarHistory
from alfred.panel.panel import Labels


def labels(bars: BarHistory, market_level: Floats, horizon_quarters: int) -> Labels:
    """Compute all labels from closes (price return).

    PM is close(d + h) / close(d) - 1, PQ is 1 where that is above zero and 0 otherwise, and excess is PM less the
    market index's change over the same dates. A label is NaN where either date has no current price: before a
    listing, after the last bar, and for the last quarters of the data, whose labels nobody knows yet.

    Args:
        bars: history whose `dates` are consecutive decision dates.
        market_level: (D,) level of the market index on each decision date, NaN where not known.
        horizon_quarters: h.
    """
    close = bars.lag(bars.close)
    change = _ahead(close, horizon_quarters) / close - 1
    market = _ahead(market_level[:, None], horizon_quarters) / market_level[:, None] - 1
    realised: Dates = np.full(len(bars.dates), np.datetime64("NaT", "D"))
    realised[: len(bars.dates) - horizon_quarters] = bars.dates[horizon_quarters:]
    direction = np.where(np.isnan(change), np.nan, (change > 0).astype(np.float64))
    return Labels(horizon_quarters, realised, {DIRECTION: direction, MAGNITUDE: change, EXCESS: change - market})


def _ahead(values: Floats, quarters: int) -> Floats:
    later = np.full(values.shape, np.nan)
    later[: len(values) - quarters] = values[quarters:]
    return later
