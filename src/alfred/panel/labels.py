"""Labels: what holding a name from a decision date to the one a horizon later would have given.

A label of position t is realised at position t + h and uses nothing that became known later. Where a ticker ends in
between, the label follows the holder: into the ticker that the company took, or out, with what a delisting paid,
which is then held as cash. A delisting or rename belongs to the first decision date on which it had happened and was
known, so that the loss of one that was announced late falls into the label of a date that could not know it yet.
"""

import fnmatch

import numpy as np
import polars as pl
from pydantic import Field, field_validator
from scipy import stats

from alfred.core.calendar import Dates
from alfred.core.contracts import DIRECTION, EXCESS, MAGNITUDE, RANK, TOTAL, VELOCITY, Bools, Floats
from alfred.core.settings import Settings
from alfred.panel._outcomes import ORIGINS, STOPPED, Tape, follow, given_up, ticker_ends
from alfred.panel.history import BarHistory
from alfred.panel.panel import Labels
from alfred.panel.splits import Splits

STOPPED_PRICES = ORIGINS[STOPPED]
"""Origin of labels that are missing because a price ends and no action says why."""
FEWEST_RANKED = 5
"""Names with a PM that a date needs to have ranks."""
MOST_DEFAULTS = 100
"""Reasons of delistings, so that the origin of a label fits into one byte."""


class LabelSettings(Settings):
    """What a label takes for a delisting whose return is not known.

    -30% is the mean return of performance-related delistings from NYSE and AMEX (Shumway 1997, The delisting bias in
    CRSP data), -55% of those from Nasdaq (Shumway and Warther 1999, The delisting bias in CRSP's Nasdaq data). Shares
    of a bankrupt company count as worthless, a merger as paid at the last close. A delisting without a known reason
    counts as one for performance, which is too hard on those that were mergers.
    """

    delisting_defaults: dict[str, float] = Field(
        default={
            "merger": 0.0,
            "acquisition": 0.0,
            "bankruptcy": -1.0,
            "performance": -0.30,
            "performance, nasdaq": -0.55,
            "*": -0.30,
        },
        description="return after the last close by reason, a name or pattern in lower case; * is for all others",
    )

    @field_validator("delisting_defaults")
    @classmethod
    def _complete(cls, value: dict[str, float]) -> dict[str, float]:
        if "*" not in value:
            raise ValueError("give a default for '*' too, for delistings whose reason is none of the others")
        wrong = next((reason for reason, change in value.items() if not -1 <= change < np.inf), None)
        if wrong is not None:
            raise ValueError(f"the return for {wrong!r} is {value[wrong]}; a holder cannot lose more than all, -1.0")
        if len(value) > MOST_DEFAULTS:
            raise ValueError(f"there are {len(value)} reasons; give at most {MOST_DEFAULTS}, patterns among them")
        return {reason.strip().lower(): change for reason, change in value.items()}

    def default_for(self, reason: str) -> tuple[float, int]:
        """Return and position in `origins` of the entry for a reason: its own, or the longest pattern that matches."""
        text = reason.strip().lower()
        entries = list(self.delisting_defaults)
        fitting = [entry for entry in entries if fnmatch.fnmatchcase(text, entry)]
        chosen = text if text in entries else max(fitting, key=len)
        return self.delisting_defaults[chosen], len(ORIGINS) + entries.index(chosen)

    @property
    def origins(self) -> tuple[str, ...]:
        """Names of all ways in which a label comes about: `ORIGINS`, then the defaults in their order."""
        defaults = self.delisting_defaults.items()
        return (*ORIGINS, *(f"default {change:+.0%} for the reason {reason!r}" for reason, change in defaults))


def labels(
    history: BarHistory,
    bars: pl.DataFrame,
    market_level: Floats,
    horizon_quarters: int,
    *,
    volatility: Floats,
    actions: pl.DataFrame,
    settings: LabelSettings,
    universe: Bools | None = None,
) -> Labels:
    """Compute all labels; missing (NaN) where nobody can know them.

    PM: relative change of what a share became, from close(d) to the close of d + h, on one share basis: the ticker's
    own close, after a rename the new ticker's, after a delisting (last close) * (1 + delisting return). PQ: 1 where PM
    is above zero, otherwise 0. total_return: PM with dividends reinvested, from adj_close. excess: PM less the market
    index's change over the same dates. rank: (rank of PM among the names that have one - (n + 1) / 2) / n, ties share
    their average; missing on dates with fewer than 5. velocity: PM / (volatility known on d * sqrt(h / 4)).

    A label is missing where the name had no current price on d or its ticker had been given up by then; where
    d + h lies after the end of the data; and where the price just stops. `origin` of the result says how each came.

    Args:
        history: its `dates` are consecutive decision dates.
        bars: the rows that the history was made of, sorted by symbol and date: date, close, adj_close (which may be
            absent), known_at.
        market_level: (D,) level of the market index on each decision date, NaN where not known.
        horizon_quarters: h.
        volatility: (D, S) realised volatility a year known on each date, NaN where not known.
        actions: rows of the table `actions`; delistings, renames and splits of its symbols are read.
        settings: returns of delistings that have none.
        universe: (D, S) names that are ranked, such as an index's members; default all that have a PM.
    """
    events = ticker_ends(actions, history, settings.default_for)
    splits = Splits.of(actions, history.dates, history.symbols)
    outcome = follow(history, Tape.of(history, bars), events, splits, horizon_quarters)
    change = outcome.close - 1
    market = _ahead(market_level[:, None], horizon_quarters) / market_level[:, None] - 1
    expected = volatility * np.sqrt(horizon_quarters / 4)
    realised: Dates = np.full(len(history.dates), np.datetime64("NaT", "D"))
    realised[: max(len(history.dates) - horizon_quarters, 0)] = history.dates[horizon_quarters:]
    values = {
        DIRECTION: np.where(np.isnan(change), np.nan, (change > 0).astype(np.float64)),
        MAGNITUDE: change,
        EXCESS: change - market,
        RANK: _ranks(change if universe is None else np.where(universe, change, np.nan)),
        VELOCITY: change / np.where(expected > 0, expected, np.nan),
        TOTAL: outcome.total - 1,
    }
    return Labels(horizon_quarters, realised, values, outcome.origin, settings.origins)


def listed(history: BarHistory, actions: pl.DataFrame) -> Bools:
    """(D, S) whether a name could be bought on the date: it had a current bar, and the ticker had not been given up.

    Quotes that go on after a delisting or rename that was known are no prices.
    """
    events = ticker_ends(actions, history, LabelSettings().default_for)
    return history.listed & ~given_up(history.ends.shape, events)


def _ranks(change: Floats) -> Floats:
    """(D, S) centred ranks of each date's known values."""
    known = np.isfinite(change).sum(axis=1, keepdims=True)
    ranks = stats.rankdata(change, axis=1, nan_policy="omit")
    centred: Floats = (ranks - (known + 1) / 2) / np.maximum(known, 1)
    return np.where(known >= FEWEST_RANKED, centred, np.nan)


def _ahead(values: Floats, quarters: int) -> Floats:
    later = np.full(values.shape, np.nan)
    later[: max(len(values) - quarters, 0)] = values[quarters:]
    return later
