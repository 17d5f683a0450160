"""What a run's analysts said, quarter by quarter, and the last thing that each had learnt from when it said so."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from alfred.core.calendar import Dates
from alfred.core.contracts import LABELS, Floats
from alfred.core.errors import DataError
from alfred.evaluation.protocols import SAME_YEARS
from alfred.evaluation.splits import Fold, walk_forward
from alfred.experiments.study import Study
from alfred.panel.panel import Panel
from alfred.universe.baskets import Baskets

SAYS = ("mean", "lower", "upper", "prob_up")


@dataclass(frozen=True)
class Said:
    """One analyst's forecasts, averaged over its seeds.

    Attributes:
        analyst: its entry in the study.
        target: the label that it forecasts.
        values: (Q, S, 4) in the order of `SAYS`, NaN where it said nothing.
        learnt_until: (Q,) last date of any label that its fit, its validation or its calibration had seen.
    """

    analyst: str
    target: str
    values: Floats
    learnt_until: Dates


def said_by(
    forecasts: pl.DataFrame, quarters: Dates, symbols: Sequence[str], panel: Panel, *, study: Study, baskets: Baskets
) -> tuple[Said, ...]:
    """What each analyst said.

    Args:
        forecasts: rows of `forecasts.parquet`.
        quarters: (Q,) decision dates.
        symbols: S names.
        panel, study, baskets: what the analysts learnt from, and how.

    Raises:
        DataError: a forecast's fold is none of the study's walk-forward.
    """
    folds = walk_forward(panel.dates, panel.labels.horizon_quarters, study.splits, study.universe.protocol)
    rolls = study.universe.protocol not in SAME_YEARS
    found = []
    for analyst in forecasts["analyst"].unique(maintain_order=True):
        own = forecasts.filter(pl.col("analyst") == analyst)
        target = str(own["target"][0])
        until = _learnt_until(
            own, quarters, [_fitted_until(fold, panel, target, baskets.training) for fold in folds], rolls
        )
        found.append(Said(analyst, target, _matrices(own, quarters, symbols), until))
    return tuple(found)


def _matrices(own: pl.DataFrame, quarters: Dates, symbols: Sequence[str]) -> Floats:
    means = own.group_by("as_of", "symbol").agg(pl.col(SAYS).mean())
    place = {symbol: at for at, symbol in enumerate(symbols)}
    rows = np.searchsorted(quarters, means["as_of"].to_numpy().astype("datetime64[D]"))
    columns = np.array([place[symbol] for symbol in means["symbol"]])
    values = np.full((len(quarters), len(symbols), len(SAYS)), np.nan)
    values[rows, columns] = means.select(SAYS).to_numpy()
    return values


def _fitted_until(fold: Fold, panel: Panel, target: str, training: Sequence[str]) -> np.datetime64:
    """Last date on which a label of the fold's training or validation rows was realised."""
    names = np.array([panel.symbols.index(symbol) for symbol in training])
    where = np.ix_(np.concatenate([fold.train, fold.valid]), names)
    used = np.isfinite(panel.labels.of(target)[where])
    return np.datetime64(panel.labels.realised[where][used].max(), "D")


def _learnt_until(own: pl.DataFrame, quarters: Dates, fitted: Sequence[np.datetime64], rolls: bool) -> Dates:
    """(Q,) the later of the fit's last label, and of the last label that had calibrated confidence before a quarter.

    Rolling calibration reads labels of test rows that were realised by the decision date, of whichever fold.
    """
    parts = own.select("as_of", "fold").unique().sort("as_of", "fold")
    strange = [fold for fold in parts["fold"] if fold >= len(fitted)]
    if strange:
        raise DataError(f"there are forecasts of fold {strange[0]}, but the study has {len(fitted)} folds.")
    known = own.filter(pl.any_horizontal(pl.col(name).is_not_null() for name in LABELS))
    realised = np.unique(known["realised_on"].drop_nulls().to_numpy().astype("datetime64[D]"))
    until = np.full(len(quarters), np.datetime64("0001-01-01"), dtype="datetime64[D]")
    for as_of, fold in zip(parts["as_of"].to_numpy().astype("datetime64[D]"), parts["fold"], strict=True):
        seen = [fitted[fold], *(realised[realised <= as_of][-1:] if rolls else ())]
        at = np.searchsorted(quarters, as_of)
        until[at] = max(until[at], *seen)
    return until
