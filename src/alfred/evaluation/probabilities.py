"""Probabilities of a rise that learn from the quarters they have been tested on.

An analyst's `prob_up` p says more than the share p0 of rises among the rows it learnt from, and may claim too much.
Before each test quarter

    logit p' = logit p0 + b (logit p - logit p0)

is fitted by logistic regression (Platt 1999) on what had been realised by then: the analyst's test rows, those of
earlier folds among them, and its fold's validation rows of quarters that were not tested. Rows of one quarter move
together, so a quarter counts as one observation however many names it has; and few quarters tell little, so b has the
prior N(1, 1): without evidence p' is p. What has proved worthless ends at p0, which is what the naive forecast says;
b is kept from turning claims round. There is no free shift: the few quarters of a test would overrule the base rate of
many more that were learnt from.
"""

from collections.abc import Callable

import numpy as np
import polars as pl
from scipy.optimize import brentq

from alfred.core.calendar import Dates
from alfred.core.contracts import Bools, Floats

CLIP = 1e-6
"""Probabilities are kept this far from 0 and 1, where logits end."""

COLUMNS = ("fold", "as_of", "realised_on", "prob_up", "base", "rise")
"""What a table needs here: p and p0 of each row; `rise` (1 or 0) and `realised_on` are null until known."""


def rolling_probabilities(test: pl.DataFrame, valid: pl.DataFrame) -> Floats:
    """(N,) corrected `prob_up` of one analyst's test rows, each from what was realised on its decision date.

    Args:
        test: `COLUMNS` of the test rows of one seed, all folds.
        valid: `COLUMNS` of the validation rows of each fold.
    """
    both = pl.concat([frame.select(COLUMNS) for frame in (test, valid)])
    fold = both["fold"].to_numpy().astype(np.int64)
    as_of, realised_on = (both[name].to_numpy().astype("datetime64[D]") for name in ("as_of", "realised_on"))
    rise = both["rise"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    base, stated = (_logit(both[name].to_numpy()) for name in ("base", "prob_up"))
    claim = stated - base
    tested = np.arange(len(both)) < len(test)

    corrected = test["prob_up"].to_numpy().copy()
    for date in np.unique(as_of[tested]):
        now = tested & (as_of == date)
        known = np.isfinite(rise) & (realised_on <= date)  # not-a-time is no smaller than anything
        used = _used(known, tested, fold == fold[now][0], as_of)
        if used.any():
            share = _share_kept(base[used], claim[used], rise[used], as_of[used])
            corrected[now[: len(test)]] = _logistic(base[now] + share * claim[now])
    return corrected


def _used(known: Bools, tested: Bools, in_fold: Bools, as_of: Dates) -> Bools:
    """Known test rows, and the fold's known validation rows of quarters that none of them covers."""
    from_tests = known & tested
    used: Bools = from_tests | (known & ~tested & in_fold & ~np.isin(as_of, np.unique(as_of[from_tests])))
    return used


def _share_kept(base: Floats, claim: Floats, rise: Floats, quarter: Dates) -> float:
    """b, the mode of its posterior: the root of an increasing function, by Brent's method."""
    _, group, sizes = np.unique(quarter, return_inverse=True, return_counts=True)
    weight: Floats = claim / sizes[group]

    def slope(share: float) -> float:
        return float(weight @ (_logistic(base + share * claim) - rise)) + share - 1.0

    return float(brentq(slope, 0.0, _above(slope), xtol=1e-10)) if slope(0.0) < 0 else 0.0


def _above(slope: Callable[[float], float]) -> float:
    high = 1.0
    while slope(high) < 0:
        high *= 2
    return high


def _logit(probability: Floats) -> Floats:
    clipped: Floats = np.clip(probability, CLIP, 1 - CLIP)
    return np.log(clipped) - np.log1p(-clipped)


def _logistic(score: Floats) -> Floats:
    return 0.5 * (1.0 + np.tanh(score / 2))
