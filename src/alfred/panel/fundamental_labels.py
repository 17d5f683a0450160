"""Labels of accounts: what a company's coming quarter will be told to have been, when it is first told.

On a decision date the latest period known ends on some day e. The target of h quarters ahead is the period that ends
within 30 days of h mean quarters after e, whatever quarters are missing between. Its figure counts as first filed:
restatements and comparisons of later filings never change a label. It is realised on the first decision date by whose
close it can be had, which differs from name to name; a figure that comes more than `LATE` quarters late counts as never
told.

| label | figure of the target quarter | bounds |
| --- | --- | --- |
| next_revenue_growth | revenue / that of the quarter a year before - 1, both as first filed | -1, 1 |
| next_Margin_Gross and the others | share of revenue | -1, 1 |
| next_EPS_change | (earnings - those of the quarter a year before) / market value on the decision date | -0.2, 0.2 |

Earnings per share are not comparable between names; set against the price of a share they are, as standardised
unexpected earnings are (Foster 1977; Livnat and Mendenhall 2006). Numerator and price are taken times the shares of the
decision date, so that neither a later split nor a fourth quarter, of which filings tell no earnings per share, moves
them. The quarter a year before the target is taken as the decision date knew it: the label holds one unknown only.

Figures beyond the bounds count as the bounds: a few companies without revenue would otherwise be all that an error
measures (of 1,700 in 2015 to 2017 the margins reach from -8,525 to 26,454). They were fixed before any result was seen,
and they hold for what is known on the decision date too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from alfred.core.calendar import Dates
from alfred.core.contracts import EPS_AHEAD, FUNDAMENTALS, GROWTH_AHEAD, MARGINS_AHEAD, Floats
from alfred.core.errors import ConfigError
from alfred.panel._facts_kernels import NEAR_DAYS, QUARTER_DAYS
from alfred.panel.accounts import margin, revenue_growth
from alfred.panel.catalogue import column, feature
from alfred.panel.facts import FactHistory
from alfred.panel.panel import Labels
from alfred.panel.sources import Sources

YEAR = 4
LATE = 4
"""Quarters after its due decision date in which a figure is still waited for."""
USUAL = 8
BOUNDS: Mapping[str, float] = MappingProxyType({GROWTH_AHEAD: 1.0, **dict.fromkeys(MARGINS_AHEAD, 1.0), EPS_AHEAD: 0.2})
"""Size at which each label is cut off."""

_Measure = Callable[[FactHistory, int], Floats]
"""(D, S) a figure of the quarter so many before the latest."""


@dataclass(frozen=True, eq=False)
class FundamentalLabel:
    """One label at one horizon, and what the decision date knows to forecast it by; (D, S), NaN where missing.

    Attributes:
        target: one of `FUNDAMENTALS`.
        horizon_quarters: h.
        value: the label.
        realised_on: decision date on which it became known, NaT where it did not.
        last: the random walk's forecast, the latest figure known.
        seasonal: the seasonal naive forecast, the figure of the quarter a year before the target. At 4 quarters ahead
            it is the random walk's.
    """

    target: str
    horizon_quarters: int
    value: Floats
    realised_on: Dates
    last: Floats
    seasonal: Floats
    usual: Floats

    @property
    def change(self) -> Labels:
        """What analysts learn: the label less the latest known figure, where both baselines have a forecast.

        An analyst that has learnt nothing then forecasts the random walk and not the mean of all companies.
        """
        change = np.where(np.isfinite(self.seasonal), self.value - self.last, np.nan)
        return Labels(self.horizon_quarters, self.realised_on, {self.target: change})


def fundamental_label(sources: Sources, target: str, horizon_quarters: int) -> FundamentalLabel:
    """Compute one label for every decision date and name.

    Args:
        sources: tables on consecutive decision dates.
        target: one of `FUNDAMENTALS`.
        horizon_quarters: h, 1 to 4.

    Raises:
        ConfigError: there is no such label, or the horizon lies outside.
    """
    if target not in FUNDAMENTALS:
        raise ConfigError(f"there is no label of accounts {target!r}; there are {', '.join(FUNDAMENTALS)}.")
    if not 1 <= horizon_quarters <= YEAR:
        raise ConfigError(f"accounts are forecast 1 to {YEAR} quarters ahead, got {horizon_quarters}.")
    before = YEAR - horizon_quarters
    measure = _measure(target)
    told, realised_on = first_told(sources.facts, sources.facts_as_first_filed, measure, horizon_quarters)
    if target == EPS_AHEAD:
        value_of_shares = column(sources, feature("market_cap"))
        base = measure(sources.facts, before)
        value, last = ((one - base) / value_of_shares for one in (told, measure(sources.facts, 0)))
        seasonal = (base - base) / value_of_shares
        past = [(measure(sources.facts, back) - base) / value_of_shares for back in range(USUAL)]
    else:
        value, last, seasonal = told, measure(sources.facts, 0), measure(sources.facts, before)
        past = [measure(sources.facts, back) for back in range(USUAL)]
    bound = BOUNDS[target]
    value, last, seasonal = (np.clip(one, -bound, bound) for one in (value, last, seasonal))
    usual = _mean_of_most(np.clip(np.stack(past), -bound, bound))
    realised_on = np.where(np.isfinite(value), realised_on, np.datetime64("NaT", "D"))
    return FundamentalLabel(target, horizon_quarters, value, realised_on, last, seasonal, usual)


def first_told(
    known: FactHistory, first_filed: FactHistory, measure: _Measure, horizon_quarters: int
) -> tuple[Floats, Dates]:
    """(D, S) the figure of each target period, and the decision date on which it could first be had.

    Args:
        known: what was known on each decision date; says which period was the latest.
        first_filed: the same filings with every figure as first filed.
        measure: the figure.
        horizon_quarters: from the latest period to the target.
    """
    dates = len(known.dates)
    figures = np.stack([measure(first_filed, back) for back in range(LATE + 1)])
    target = _days(known.period_end) + horizon_quarters * QUARTER_DAYS
    latest = _days(first_filed.period_end)
    value, realised_on = np.full(target.shape, np.nan), np.full(target.shape, np.datetime64("NaT", "D"))
    for later in range(1, min(horizon_quarters + LATE, dates - 1) + 1):
        past = latest[later:] - target[: dates - later]
        with np.errstate(invalid="ignore"):
            back = np.rint(past / QUARTER_DAYS)
            near = (np.abs(past - back * QUARTER_DAYS) <= NEAR_DAYS) & (back >= 0) & (back <= LATE)
        place = np.where(near, back, 0).astype(np.int64)
        figure = np.take_along_axis(figures[:, later:], place[None], axis=0)[0]
        new = near & np.isfinite(figure) & np.isnan(value[: dates - later])
        value[: dates - later][new] = figure[new]
        on = np.broadcast_to(known.dates[later:, None], new.shape)
        realised_on[: dates - later][new] = on[new]
    return value, realised_on


def _measure(target: str) -> _Measure:
    if target == GROWTH_AHEAD:
        return revenue_growth
    if target == EPS_AHEAD:
        return lambda facts, back: facts.quarter("NetIncome", back)
    return lambda facts, back: margin(facts, target.removeprefix("next_"), back)


def _mean_of_most(values: Floats) -> Floats:
    """(D, S) mean over the first axis of (K, D, S), of what is known; NaN where less than half is."""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    mean: Floats = np.where(known, values, 0.0).sum(axis=0) / np.maximum(count, 1)
    return np.where(2 * count >= len(values), mean, np.nan)


def _days(ends: Dates) -> Floats:
    return np.where(np.isnat(ends), np.nan, ends.astype("datetime64[D]").astype(np.int64))
