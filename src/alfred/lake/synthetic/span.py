"""The sessions and quarters of a market, and where each random number comes from."""

import enum
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from alfred.core.calendar import Dates, quarter_index, sessions_between
from alfred.core.contracts import Bools
from alfred.lake.known import known_at_close
from alfred.lake.synthetic.settings import SyntheticSettings

Positions = NDArray[np.int64]


class Purpose(enum.IntEnum):
    """What a stream of random numbers is for. Values are part of every market: add new ones, never renumber."""

    COMPANY = 0
    MARKET = 1
    OWN_RISK = 2
    SPLITS = 3
    BARS = 4
    FUNDAMENTALS = 5
    FILINGS = 6
    ARTICLES = 7
    TEXTS = 8
    INSIDERS = 9
    MACRO = 10
    SURPRISES = 11
    BALANCE_SHEETS = 12


def stream(seed: int, purpose: Purpose, company: int = 0) -> np.random.Generator:
    """An independent generator for each purpose and company, so that no company's numbers hang on how many others
    are drawn, or in which batches.
    """
    return np.random.default_rng([seed, int(purpose), company])


@dataclass(frozen=True, eq=False)
class Span:
    """T sessions in Q whole quarters.

    Attributes:
        sessions: (T,) trading days.
        closes: T instants (UTC) at which they close.
        starts, stops: (Q,) position of each quarter's first session, and of the one after its last.
    """

    sessions: Dates
    closes: pl.Series
    starts: Positions
    stops: Positions

    @classmethod
    def of(cls, settings: SyntheticSettings) -> Self:
        """All sessions of the settings' years."""
        first = np.datetime64(f"{settings.first_year}-01-01")
        last = np.datetime64(f"{settings.first_year + settings.years - 1}-12-31")
        sessions = sessions_between(first, last)
        turns = np.flatnonzero(np.diff(quarter_index(sessions))) + 1
        starts = np.concatenate([[0], turns]).astype(np.int64)
        stops = np.concatenate([turns, [len(sessions)]]).astype(np.int64)
        return cls(sessions, known_at_close(pl.Series(sessions)), starts, stops)

    @property
    def decisions(self) -> Positions:
        """(Q,) position of each quarter's last session."""
        return self.stops - 1

    @property
    def quarters(self) -> int:
        """Q."""
        return len(self.starts)

    @property
    def period_ends(self) -> Dates:
        """(Q,) last calendar day of each quarter."""
        months = self.sessions[self.starts].astype("datetime64[M]") + 3
        ends: Dates = months.astype("datetime64[D]") - 1
        return ends

    def session_after(self, dates: Dates) -> Positions:
        """Position of the first session after each date; T where that lies beyond the span."""
        return np.searchsorted(self.sessions, dates, side="right").astype(np.int64)


def active(first: Positions, last: Positions, sessions: Positions) -> Bools:
    """Whether each position lies in its listing; the arguments broadcast."""
    there: Bools = (first <= sessions) & (sessions <= last)
    return there
