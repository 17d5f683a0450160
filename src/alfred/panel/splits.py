"""Share basis: what one share of a date became by later splits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from alfred.core.calendar import Dates
from alfred.core.contracts import Floats
from alfred.lake.known import known_next_sessions


@dataclass(frozen=True)
class Splits:
    """Splits of S symbols around D decision dates.

    Bars are quoted on the share basis of the day they were downloaded: a close of 2013 is divided by every split
    since. Multiplied by `later` it is the price that was quoted on its day, which knows nothing of later splits;
    a split after the date only takes back what it had done to the price.

    Attributes:
        dates: (D,) decision dates.
        later: (D, S) product of the ratios of all splits after each decision date.
        symbol, day, ratio: (K,) each split's position among the symbols, first session on the new basis, new shares
            for one old one.
    """

    dates: Dates
    later: Floats
    symbol: NDArray[np.int64]
    day: Dates
    ratio: Floats

    @classmethod
    def of(cls, actions: pl.DataFrame, dates: Dates, symbols: Sequence[str]) -> Self:
        """Multiply up the splits of the table `actions`; a split counts from the session that it is dated on."""
        place = {symbol: at for at, symbol in enumerate(symbols)}
        known = (actions["kind"] == "split") & actions["symbol"].is_in(list(symbols)) & (actions["ratio"] > 0)
        # Two sources may tell of one split.
        splits = actions.filter(known).unique(["symbol", "date"], keep="first", maintain_order=True)
        symbol = np.array([place[name] for name in splits["symbol"]], np.int64)
        day, ratio = splits["date"].to_numpy().astype("datetime64[D]"), splits["ratio"].to_numpy()
        later = np.ones((len(dates), len(symbols)))
        for at, first, times in zip(symbol, day, ratio, strict=True):
            later[dates < first, at] *= times
        return cls(dates, later, symbol, day, ratio)

    def since(self, known: NDArray[np.int64]) -> Floats:
        """(D, S) what one share became from an instant to the decision date, by the splits that came between.

        A split comes with the opening of its session: a filing of the evening before is on the old basis (companies
        state shares as they stand on the day they file; SEC Staff Accounting Bulletin, topic 4C). Only these splits
        are multiplied, so the factor is the same, to the last bit, whatever splits come after the date.

        Args:
            known: (D, S) microseconds since 1970 UTC.
        """
        factor = np.ones(known.shape)
        days = pl.Series(self.day - np.timedelta64(1, "D"), dtype=pl.Date)
        opens = known_next_sessions(days).to_physical().to_numpy()
        for at, first, opened, times in zip(self.symbol, self.day, opens, self.ratio, strict=True):
            factor[(known[:, at] <= opened) & (self.dates >= first), at] *= times
        return factor
