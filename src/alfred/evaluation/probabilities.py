"""Probabilities of a rise that learn from the quarters they have been tested on.

An analyst's `prob_up` may claim too much, or too little, or lean to one side. Before each test quarter

    logit p' = a + b logit p

is fitted by logistic regression (Platt 1999; on logits: Kull, Silva Filho and Flach 2017) on what had been realised by
then: the analyst's test rows, those of earlier folds among them, and its fold's validation rows of quarters that were
not tested. Rows of one quarter move together, so a quarter counts as one observation however many names it has; and
few quarters tell little, so a has the prior N(0, 1) and b the prior N(1, 1): without evidence p' is p. The priors were
fixed before any result was seen. Ranks within a quarter do not change unless b turns out negative, which is kept at 0.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from alfred.core.calendar import Dates
from alfred.core.contracts import Bools, Floats

CLIP = 1e-6
"""Probabilities are kept this far from 0 and 1, where logits end."""
STEPS = 50

COLUMNS = ("fold", "as_of", "realised_on", "prob_up", "rise")
"""What a table needs here; `rise` (1 or 0) and `realised_on` are null until known."""


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
    probability = np.clip(both["prob_up"].to_numpy(), CLIP, 1 - CLIP)
    logit = np.log(probability) - np.log1p(-probability)
    tested = np.arange(len(both)) < len(test)

    corrected = test["prob_up"].to_numpy().copy()
    for date in np.unique(as_of[tested]):
        now = tested & (as_of == date)
        known = np.isfinite(rise) & (realised_on <= date)  # not-a-time is no smaller than anything
        used = _used(known, tested, fold == fold[now][0], as_of)
        if used.any():
            shift, slope = _fit(logit[used], rise[used], as_of[used])
            corrected[now[: len(test)]] = _logistic(shift + slope * logit[now])
    return corrected


def _used(known: Bools, tested: Bools, in_fold: Bools, as_of: Dates) -> Bools:
    """Known test rows, and the fold's known validation rows of quarters that none of them covers."""
    from_tests = known & tested
    used: Bools = from_tests | (known & ~tested & in_fold & ~np.isin(as_of, np.unique(as_of[from_tests])))
    return used


def _fit(logit: Floats, rise: Floats, quarter: Dates) -> tuple[float, float]:
    """Shift and slope, the mode of their posterior, by Newton's method with halved steps."""
    _, group, sizes = np.unique(quarter, return_inverse=True, return_counts=True)
    weight: Floats = 1.0 / sizes[group]
    design: NDArray[np.float64] = np.column_stack([np.ones(len(logit)), logit])
    prior, at = np.array([0.0, 1.0]), np.array([0.0, 1.0])

    def loss(where: Floats) -> float:
        score = design @ where
        entropy = np.logaddexp(0.0, score) - rise * score
        return float(weight @ entropy + ((where - prior) ** 2).sum() / 2)

    for _ in range(STEPS):
        probability = _logistic(design @ at)
        slope = design.T @ (weight * (probability - rise)) + (at - prior)
        curvature = (design.T * (weight * probability * (1 - probability))) @ design + np.eye(2)
        step = np.linalg.solve(curvature, slope)
        while loss(at - step) > loss(at) + 1e-12:
            step = step / 2
        at = at - step
        if np.abs(step).max() < 1e-10:
            break
    return float(at[0]), max(float(at[1]), 0.0)


def _logistic(score: Floats) -> Floats:
    return 0.5 * (1.0 + np.tanh(score / 2))
