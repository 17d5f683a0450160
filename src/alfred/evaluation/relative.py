"""Errors of forecasts relative to those of baselines, with intervals over quarters.

A ratio below 1 is a smaller error than the baseline's. Both errors are sums over the same rows of the same resampled
quarters, so that what makes a quarter hard for everyone cancels. An analyst with several seeds is judged by the mean of
its absolute, or squared, errors over them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from alfred.core.contracts import Floats, Interval
from alfred.core.errors import DataError
from alfred.evaluation.bootstrap import BootstrapSettings, block_counts, percentile_interval
from alfred.evaluation.verdict import FEWEST_QUARTERS

KEYS = ("target", "horizon_quarters")
ROW = ("symbol", "as_of")
BEATS, LOSES, EVEN, SAME = "beats", "loses to", "no difference shown from", "equals"
TOO_FEW = "too few quarters to be told from"


@dataclass(frozen=True)
class Ratio:
    """An error over a baseline's.

    Attributes:
        baseline: whose error is 1.
        mae, rmse: ratios of mean absolute and of root mean squared errors; None where the baseline errs nowhere.
        mae_over_quarters, rmse_over_quarters: their block-bootstrap intervals; None beside a missing ratio.
    """

    baseline: str
    mae: float | None
    mae_over_quarters: Interval | None
    rmse: float | None
    rmse_over_quarters: Interval | None


@dataclass(frozen=True)
class RelativeError:
    """One analyst's errors on one label at one horizon.

    Attributes:
        analyst, target, horizon_quarters: what was forecast, and by whom.
        rows, quarters, seeds: size of the sample.
        mae, rmse: errors in units of the label.
        coverage: share of labels within the intervals; their nominal level is `level`.
        ratios: against each baseline, in the order asked for.
    """

    analyst: str
    target: str
    horizon_quarters: int
    rows: int
    quarters: int
    seeds: int
    mae: float
    rmse: float
    coverage: float
    level: float
    ratios: tuple[Ratio, ...]

    def against(self, baseline: str) -> Ratio:
        """The ratio to one baseline; KeyError where there is none."""
        for one in self.ratios:
            if one.baseline == baseline:
                return one
        raise KeyError(baseline)

    def finding(self, baseline: str) -> str:
        """What the ratio of the mean absolute errors lets one say; of few quarters, nothing."""
        over = self.against(baseline).mae_over_quarters
        if over is None or (over.lower == over.upper == 1):
            return f"{SAME} {baseline}"
        if self.quarters < FEWEST_QUARTERS * self.horizon_quarters:
            return f"{TOO_FEW} {baseline}"
        word = BEATS if over.upper < 1 else LOSES if over.lower > 1 else EVEN
        return f"{word} {baseline}"


@dataclass(frozen=True, eq=False)
class _Errors:
    """Sums over quarters (Q,), means over seeds: absolute and squared errors, rows."""

    rows: pl.DataFrame
    absolute: Floats
    squared: Floats
    count: Floats


def relative_errors(
    forecasts: pl.DataFrame, baselines: Sequence[str], settings: BootstrapSettings
) -> tuple[RelativeError, ...]:
    """Judge every analyst, the baselines among them, on every label and horizon, in the order of the forecasts.

    Args:
        forecasts: columns analyst, seed, symbol, as_of, target, horizon_quarters, mean, lower, upper, level and
            realised (the label, null where it is not known; these rows do not count).
        baselines: analysts that the others are measured by.
        settings: of the bootstrap; blocks are at least twice the horizon long where that is above 1.

    Raises:
        DataError: an analyst and a baseline do not cover the same rows, a baseline is absent, or fewer than 2 quarters
            have a label.
    """
    known = forecasts.with_columns(pl.col("realised").fill_nan(None)).drop_nulls("realised")
    if known.is_empty():
        raise DataError("none of the forecasts of accounts has a realised label yet; test earlier dates.")
    found: list[RelativeError] = []
    for (target, horizon), part in known.group_by(KEYS, maintain_order=True):
        names = part["analyst"].unique(maintain_order=True).to_list()
        absent = [name for name in baselines if name not in names]
        if absent:
            raise DataError(f"nobody called {', '.join(absent)} forecasts {target} {horizon} quarters ahead.")
        own = {name: part.filter(pl.col("analyst") == name) for name in names}
        errors = {name: _errors(rows) for name, rows in own.items()}
        for name in names:
            _check_same(name, errors[name], baselines[0], errors[baselines[0]])
        counts = block_counts(len(errors[names[0]].count), settings.over_horizon(int(horizon)))
        for name in names:
            beside = {baseline: errors[baseline] for baseline in baselines}
            found.append(_judged(own[name], errors[name], beside, counts, settings.over_horizon(int(horizon))))
    return tuple(found)


def _errors(rows: pl.DataFrame) -> _Errors:
    error = pl.col("mean") - pl.col("realised")
    by_row = rows.group_by(*ROW).agg(
        error.abs().mean().alias("absolute"), error.pow(2).mean().alias("squared"), pl.col("realised").first()
    )
    by_row = by_row.sort("as_of", "symbol")
    by_quarter = by_row.group_by("as_of", maintain_order=True).agg(
        pl.col("absolute").sum(), pl.col("squared").sum(), pl.len().alias("count")
    )
    sums = (by_quarter[name].cast(pl.Float64).to_numpy() for name in ("absolute", "squared", "count"))
    return _Errors(by_row.select(*ROW, "realised"), *sums)


def _check_same(name: str, own: _Errors, baseline: str, other: _Errors) -> None:
    if not own.rows.equals(other.rows):
        raise DataError(
            f"{name} and {baseline} do not forecast the same rows ({own.rows.height} and {other.rows.height}); "
            "errors can only be compared on the same ones."
        )


def _judged(
    rows: pl.DataFrame, own: _Errors, baselines: dict[str, _Errors], counts: Floats, settings: BootstrapSettings
) -> RelativeError:
    total = own.count.sum()
    first = rows.row(0, named=True)
    inside = (pl.col("lower") <= pl.col("realised")) & (pl.col("realised") <= pl.col("upper"))
    return RelativeError(
        analyst=first["analyst"],
        target=first["target"],
        horizon_quarters=int(first["horizon_quarters"]),
        rows=int(total),
        quarters=len(own.count),
        seeds=rows["seed"].n_unique(),
        mae=float(own.absolute.sum() / total),
        rmse=float(np.sqrt(own.squared.sum() / total)),
        coverage=float(rows.select(inside.mean()).item()),
        level=float(first["level"]),
        ratios=tuple(_ratio(name, own, other, counts, settings) for name, other in baselines.items()),
    )


def _ratio(name: str, own: _Errors, other: _Errors, counts: Floats, settings: BootstrapSettings) -> Ratio:
    mae, over_mae = _quotient(own.absolute, other.absolute, counts, settings)
    rmse, over_rmse = _quotient(own.squared, other.squared, counts, settings, root=True)
    return Ratio(name, mae, over_mae, rmse, over_rmse)


def _quotient(
    own: Floats, other: Floats, counts: Floats, settings: BootstrapSettings, *, root: bool = False
) -> tuple[float | None, Interval | None]:
    """Quotient of the sums, or its square root, with its interval; the rows cancel, as they are the same."""
    if other.sum() == 0:
        return None, None
    power = 0.5 if root else 1.0
    if np.array_equal(own, other):
        return 1.0, Interval(1.0, 1.0, settings.level)
    below = counts @ other
    draws = np.full(len(counts), np.nan)
    np.divide(counts @ own, below, out=draws, where=below > 0)
    blocks = len(own) / settings.block_length(len(own))
    return float((own.sum() / other.sum()) ** power), percentile_interval(draws**power, settings.level, blocks)
