"""Share basis: what one share of a date became by later splits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl

from alfred.core.calendar import Dates
from alfred.core.contracts import Floats


@dataclass(frozen=True)
class Splits:
    """Splits of S symbols around D decision dates.

    Bars are quoted on the share basis of the day they were downloaded: a close of 2013 is divided by every split
    since. Multiplied by `later` it is the price that was quoted on its day, which knows nothing of later splits;
    a split after the date only takes back what it had done to the price.

    Attributes:
        later: (D, S) product of the ratios of all splits after each decision date.
    """

    later: Floats

    @classmethod
    def of(cls, actions: pl.DataFrame, dates: Dates, symbols: Sequence[str]) -> Self:
        """Multiply up the splits of the table `actions`; a split counts from the session that it is dated on."""
        later = np.ones((len(dates), len(symbols)))
        place = {symbol: at for at, symbol in enumerate(symbols)}
        known = (actions["kind"] == "split") & actions["symbol"].is_in(list(symbols)) & (actions["ratio"] > 0)
        # Two sources may tell of one split.
        splits = actions.filter(known).unique(["symbol", "date"], keep="first", maintain_order=True)
        for symbol, day, ratio in splits.select("symbol", "date", "ratio").iter_rows():
            later[dates < np.datetime64(day), place[symbol]] *= ratio
        return cls(later)
