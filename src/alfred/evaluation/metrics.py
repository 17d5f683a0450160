"""The metrics, each a function of sums per quarter.

Every metric here is a function of totals, and totals of resampled quarters are a matrix product of counts and sums
per quarter. So the bootstrap never touches rows again: (draws, Q) counts @ (Q, sums) gives all it needs.

Conventions, so that a metric exists wherever it can: a rank correlation or Pearson correlation with a constant is 0,
precision without a forecast of a rise is 0, recall without a rise is 0, and F1 without either is 0.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alfred.core.contracts import DIRECTION, Floats
from alfred.core.errors import DataError
from alfred.evaluation.rows import ForecastRows

RowLoss = Callable[[Floats, Floats], Floats]
"""Takes predictions (N,) and labels (N,), gives the loss of each row (N,); lower is better."""

Sums = dict[str, Floats]
"""Sums by name; all of one shape, such as (S, Q) for each seed and quarter, or (draws, S) for resampled totals."""

FEWEST_NAMES = 3
"""Names a quarter needs to have a rank correlation."""

HIGHER_IS_BETTER: Mapping[str, bool | None] = MappingProxyType(
    {
        "rank_ic": True,
        "loss": False,
        "accuracy": True,
        "sign_accuracy": True,
        "precision": True,
        "recall": True,
        "f1": True,
        "mae": False,
        "r2": True,
        "pearson": True,
        "log_loss": False,
        "brier": False,
        "coverage": None,
        "width": None,
    }
)
"""Every metric in the order to be shown; None where neither more nor less is better."""

_REGRESSION = ("mae", "r2", "pearson")
_ROUNDING = 1e-12


def metric_names(target: str) -> tuple[str, ...]:
    """Metrics of a target, in the order to be shown; those of regression are left out for a direction."""
    return tuple(name for name in HIGHER_IS_BETTER if target != DIRECTION or name not in _REGRESSION)


def quarter_sums(rows: ForecastRows, row_loss: RowLoss, rank_ic: Floats) -> Sums:
    """Sums over each quarter's rows: arrays of shape (S, Q).

    Args:
        rows: forecasts and labels.
        row_loss: loss of each row, given predictions and labels.
        rank_ic: (S, Q) as `rank_ics` gives it.

    Raises:
        DataError: the loss does not give one finite number for each row.
    """
    forecast_up, rose = rows.prob_up > 0.5, rows.rise > 0.5
    positive = forecast_up if rows.target == DIRECTION else rows.mean > 0
    # Deviations from a constant keep correlations and R2 as they are, and keep their sums free of cancellation.
    label = rows.label - rows.label.mean()
    mean = rows.mean - rows.mean.mean(axis=1, keepdims=True)
    error = rows.mean - rows.label
    probability = np.clip(rows.prob_up, np.finfo(np.float64).eps, 1 - np.finfo(np.float64).eps)
    of_rows: dict[str, NDArray[Any]] = {
        "rows": np.ones_like(rows.mean),
        "loss": _losses(rows, row_loss),
        "right": forecast_up == rose,
        "sign_right": positive == rose,
        "true_up": forecast_up & rose,
        "forecast_up": forecast_up,
        "rose": np.broadcast_to(rose, rows.mean.shape),
        "absolute_error": np.abs(error),
        "squared_error": error**2,
        "label": np.broadcast_to(label, rows.mean.shape),
        "label_squared": np.broadcast_to(label**2, rows.mean.shape),
        "mean": mean,
        "mean_squared": mean**2,
        "product": mean * label,
        "log_loss": -np.log(np.where(rose, probability, 1 - probability)),
        "brier": (rows.prob_up - rose) ** 2,
        "covered": (rows.lower <= rows.label) & (rows.label <= rows.upper),
        "width": rows.upper - rows.lower,
    }
    sums = {name: np.add.reduceat(values.astype(np.float64), rows.starts, axis=1) for name, values in of_rows.items()}
    sums["rank_ic"] = np.nan_to_num(rank_ic)
    sums["quarters_with_ic"] = np.isfinite(rank_ic).astype(np.float64)
    return sums


def metric_values(totals: Sums, target: str) -> dict[str, Floats]:
    """Every metric of a target from totals of any one shape; NaN where it is undefined.

    rank_ic: mean over quarters of the Spearman correlation across symbols (quarters of fewer than 3 names have none).
    loss: mean over rows. accuracy, precision, recall, f1: prob_up > 0.5 against the rise that it speaks of; for the
    target excess that is a rise above the market's. sign_accuracy: mean > 0 against label > 0, so that a label of
    exactly 0 is no rise, as in PQ; for PQ it is the accuracy. mae, pearson: of the mean against the label. r2:
    1 - SSE / SST about the mean label of the test rows. log_loss, brier: of prob_up against that rise. coverage,
    width: share of labels inside the interval, ends included, and its mean width.
    """
    rows = totals["rows"]
    values = {
        "rank_ic": _ratio(totals["rank_ic"], totals["quarters_with_ic"], np.nan),
        "loss": totals["loss"] / rows,
        "accuracy": totals["right"] / rows,
        "sign_accuracy": totals["sign_right"] / rows,
        "precision": _ratio(totals["true_up"], totals["forecast_up"], 0.0),
        "recall": _ratio(totals["true_up"], totals["rose"], 0.0),
        "f1": _ratio(2 * totals["true_up"], totals["forecast_up"] + totals["rose"], 0.0),
        "log_loss": totals["log_loss"] / rows,
        "brier": totals["brier"] / rows,
        "coverage": totals["covered"] / rows,
        "width": totals["width"] / rows,
    }
    if target != DIRECTION:
        label_variance = _variance(totals["label"], totals["label_squared"], rows)
        variances = label_variance * _variance(totals["mean"], totals["mean_squared"], rows)
        covariance = totals["product"] / rows - totals["label"] * totals["mean"] / rows**2
        values["mae"] = totals["absolute_error"] / rows
        values["r2"] = 1 - _ratio(totals["squared_error"] / rows, label_variance, np.nan)
        values["pearson"] = _ratio(covariance, np.sqrt(variances), 0.0)
    return {name: values[name] for name in metric_names(target)}


def rank_ics(rows: ForecastRows) -> Floats:
    """Spearman correlation of forecasts and realised values across each quarter's symbols: (S, Q).

    Ties share their average rank. A quarter in which either side is constant has 0 by convention; one of fewer than
    3 names has none (NaN). For the target PQ, forecasts are compared with PM, whose ranks a direction cannot give.
    """
    realised = centred_ranks(rows.realised, rows.starts)
    own = np.stack([centred_ranks(mean, rows.starts) for mean in rows.mean])
    scale = np.sqrt(np.add.reduceat(own**2, rows.starts, axis=1) * np.add.reduceat(realised**2, rows.starts))
    correlation = _ratio(np.add.reduceat(own * realised, rows.starts, axis=1), scale, 0.0)
    return np.where(rows.sizes >= FEWEST_NAMES, correlation, np.nan)


def centred_ranks(values: Floats, starts: NDArray[np.int64]) -> Floats:
    """Ranks (N,) within the groups that begin at `starts`, less the group's mean rank; ties share their average."""
    sizes = np.diff(np.append(starts, len(values)))
    group = np.repeat(np.arange(len(starts)), sizes)
    order = np.lexsort((values, group))
    sorted_values = values[order]
    begins = np.append(True, (np.diff(group) != 0) | (sorted_values[1:] != sorted_values[:-1]))
    run_starts = np.flatnonzero(begins)
    middle = run_starts + (np.diff(np.append(run_starts, len(values))) - 1) / 2
    ranks = np.empty(len(values))
    ranks[order] = middle[np.cumsum(begins) - 1]
    centred: Floats = ranks - np.repeat(starts + (sizes - 1) / 2, sizes)
    return centred


def _losses(rows: ForecastRows, row_loss: RowLoss) -> Floats:
    losses = np.asarray(row_loss(rows.mean.ravel(), np.tile(rows.label, len(rows.seeds))), dtype=np.float64)
    if losses.shape != (rows.mean.size,) or not np.isfinite(losses).all():
        raise DataError(
            f"the loss must give {rows.mean.size} finite numbers, one for each row, got shape {losses.shape} with "
            f"{(~np.isfinite(losses)).sum()} that are not finite."
        )
    return losses.reshape(rows.mean.shape)


def _ratio(above: Floats, below: Floats, otherwise: float) -> Floats:
    """`above` / `below`, and `otherwise` where `below` is not above zero."""
    positive = below > 0
    return np.where(positive, above / np.where(positive, below, 1.0), otherwise)


def _variance(total: Floats, total_squared: Floats, rows: Floats) -> Floats:
    """Variance (divided by n); exactly 0 where it is only what rounding left of a constant."""
    variance = total_squared / rows - (total / rows) ** 2
    return np.where(variance > _ROUNDING * total_squared / rows, variance, 0.0)
