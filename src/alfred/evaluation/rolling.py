"""Intervals that learn from the quarters they have been tested on: adaptive conformal inference over a walk-forward.

A fitted analyst calibrates its intervals on its validation rows, once. By the time a later quarter of its test span is
forecast, the labels of the first ones have been realised. So before each test quarter

1. the set that calibrates is the fold's validation rows and its test rows whose label was realised by then, every
   quarter weighing the same (rows of one quarter move together);
2. the score of a row is how far its interval must be stretched about the forecast to hold the label, 1 where it just
   does: a normalised residual, whatever the analyst's interval is made of (Lei et al. 2018; Sesia and Candes 2020);
3. the level aimed at is raised by `RATE` (nominal level - share held) after every realised test quarter, on across
   folds (Gibbs and Candes 2021, Adaptive conformal inference under distribution shift): whatever the market does, the
   mean coverage over T quarters tends to the nominal one as 1 / (RATE T).

The stretch is one number for all rows of a quarter. Forecasts themselves do not change.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from alfred.core.calendar import Dates
from alfred.core.contracts import Bools, Floats
from alfred.core.quantile import date_weights, weighted_quantile

RATE = 0.05
"""How much of a quarter's miss the level takes up: a memory of about 20 quarters. Fixed before any result was seen."""

COLUMNS = ("fold", "as_of", "realised_on", "mean", "lower", "upper", "label")
"""What a table needs here; `label` and `realised_on` are null until known."""


@dataclass(frozen=True, eq=False)
class _Scored:
    """Rows by position: fold, decision date, date of the label, forecast, ends of the interval, label, stretch needed.

    Label and stretch are NaN where there is no label yet.
    """

    fold: NDArray[np.int64]
    as_of: Dates
    realised_on: Dates
    mean: Floats
    lower: Floats
    upper: Floats
    label: Floats
    stretch: Floats


def rolling_intervals(test: pl.DataFrame, valid: pl.DataFrame, level: float) -> tuple[Floats, Floats]:
    """Ends (N,), (N,) of the intervals of one analyst's test rows, each from what was realised on its decision date.

    Args:
        test: `COLUMNS` of the test rows of one seed, all folds.
        valid: `COLUMNS` of the validation rows that each fold's analyst was calibrated on.
        level: nominal coverage.
    """
    tested, before = _scored(test), _scored(valid)
    lower, upper = tested.lower.copy(), tested.upper.copy()
    aim, counted = level, set[np.datetime64]()
    for date in np.unique(tested.as_of):
        known_by_now = _is_known(tested, date)
        for quarter in np.unique(tested.as_of[known_by_now]):
            if quarter not in counted:
                counted.add(quarter)
                rows = known_by_now & (tested.as_of == quarter)
                inside = (lower[rows] <= tested.label[rows]) & (tested.label[rows] <= upper[rows])
                aim = min(max(aim + RATE * (level - float(inside.mean())), 0.0), 1.0)
        rows = tested.as_of == date
        fold = tested.fold[rows][0]
        known = [part for part in (_known(before, fold, date), _known(tested, fold, date)) if len(part[0])]
        if known:
            stretches, quarters = (np.concatenate(column) for column in zip(*known, strict=True))
            stretch = weighted_quantile(stretches, date_weights(quarters), aim)
            lower[rows] = tested.mean[rows] - stretch * (tested.mean - tested.lower)[rows]
            upper[rows] = tested.mean[rows] + stretch * (tested.upper - tested.mean)[rows]
    return lower, upper


def _scored(frame: pl.DataFrame) -> _Scored:
    mean, lower, upper, label = (
        frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in ("mean", "lower", "upper", "label")
    )
    side = np.where(label >= mean, upper - mean, mean - lower)
    away = np.abs(label - mean)
    # An interval without width holds its own forecast and cannot be stretched to hold anything else.
    stretch = np.where(side > 0, away / np.where(side > 0, side, 1.0), np.where(away == 0, 0.0, 1.0))
    as_of, realised_on = (frame[name].to_numpy().astype("datetime64[D]") for name in ("as_of", "realised_on"))
    known = np.where(np.isfinite(label), stretch, np.nan)
    return _Scored(frame["fold"].to_numpy().astype(np.int64), as_of, realised_on, mean, lower, upper, label, known)


def _is_known(rows: _Scored, date: np.datetime64) -> Bools:
    known: Bools = np.isfinite(rows.stretch) & (rows.realised_on <= date)  # not-a-time is no smaller than anything
    return known


def _known(rows: _Scored, fold: int, date: np.datetime64) -> tuple[Floats, Dates]:
    """Stretches of a fold's rows that are known on a date, and the rows' quarters."""
    which = (rows.fold == fold) & _is_known(rows, date)
    return rows.stretch[which], rows.as_of[which]
