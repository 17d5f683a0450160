"""Forecasts beside what came, as dense arrays: every seed of one analyst on the same rows, sorted by quarter."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from alfred.core.calendar import Dates
from alfred.core.contracts import DIRECTION, LABELS, MAGNITUDE, Floats, Names
from alfred.core.errors import DataError

FORECAST_COLUMNS = ("mean", "lower", "upper", "prob_up")
_KEYS = ("analyst", "seed", "symbol", "as_of", "target")


@dataclass(frozen=True, eq=False)
class ForecastRows:
    """One analyst's forecasts of one target: S seeds, N rows of Q quarters, sorted by date, then symbol.

    Attributes:
        target: the label that is forecast.
        seeds: S seeds.
        quarters: (Q,) decision dates, ascending.
        starts: (Q,) position of each quarter's first row.
        symbols: (N,) tickers.
        mean, lower, upper, prob_up: (S, N) as in `Forecast`.
        label: (N,) realised label of the target.
        rise: (N,) 1 where what `prob_up` speaks of came true: PQ for the target PQ, otherwise a label above zero.
        realised: (N,) what ranks are compared with: the label, or PM where the label is only a direction.
        without_label: rows of each seed that were left out because their label is not known.
    """

    target: str
    seeds: tuple[int, ...]
    quarters: Dates
    starts: NDArray[np.int64]
    symbols: Names
    mean: Floats
    lower: Floats
    upper: Floats
    prob_up: Floats
    label: Floats
    rise: Floats
    realised: Floats
    without_label: int

    def __len__(self) -> int:
        return len(self.label)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(Q,) rows of each quarter."""
        return np.diff(np.append(self.starts, len(self))).astype(np.int64)

    @property
    def dates(self) -> Dates:
        """(N,) decision date of each row."""
        return np.repeat(self.quarters, self.sizes)


def forecast_rows(forecasts: pl.DataFrame, analyst: str, target: str | None = None) -> ForecastRows:
    """Pick one analyst's rows out of a table of forecasts; rows without realised labels are left out and counted.

    Args:
        forecasts: columns of a run's forecasts.parquet.
        analyst: its name in the column `analyst`.
        target: the label forecast; None where the analyst forecasts one only.

    Raises:
        DataError: columns are absent; there are no rows, or none with a realised label; targets are mixed; a forecast
            is not finite; a row is there twice; or the seeds do not cover the same rows.
    """
    _require(forecasts, (*_KEYS, *FORECAST_COLUMNS, DIRECTION, MAGNITUDE))
    own = forecasts.filter(pl.col("analyst") == analyst)
    targets = own["target"].unique().sort().to_list()
    if target is None and len(targets) > 1:
        raise DataError(f"{analyst} forecasts {', '.join(targets)}; say which target is meant.")
    wanted = target or (targets[0] if targets else "")
    own = own.filter(pl.col("target") == wanted)
    if own.is_empty():
        has = f"it forecasts {', '.join(targets)}" if targets else f"there are {_names(forecasts['analyst'])}"
        raise DataError(f"there are no forecasts by {analyst!r}{f' of {wanted}' if wanted else ''}; {has}.")
    if wanted not in LABELS:
        raise DataError(f"the target {wanted!r} of {analyst} is no label; labels are {', '.join(LABELS)}.")
    needed = sorted({wanted, DIRECTION, MAGNITUDE})
    _require(forecasts, [wanted])
    known = own.with_columns(pl.col(*needed).cast(pl.Float64).fill_nan(None)).drop_nulls(needed)
    if known.is_empty():
        raise DataError(
            f"none of the {own.height} forecasts by {analyst} has a realised {wanted} yet; test earlier dates."
        )
    return _dense(known.sort("seed", "as_of", "symbol"), analyst, wanted, own.height - known.height)


def _require(forecasts: pl.DataFrame, columns: Sequence[str]) -> None:
    absent = [name for name in columns if name not in forecasts.columns]
    if absent:
        raise DataError(
            f"the forecasts lack the columns {', '.join(absent)}; take them from a run's forecasts.parquet."
        )


def check_same_rows(rows: ForecastRows, analyst: str, naive: ForecastRows) -> None:
    """Make sure that an analyst and the naive forecast are judged on the same rows and labels.

    Raises:
        DataError: one of them has a row that the other lacks, or their labels differ; the message names a row.
    """
    if not (np.array_equal(rows.symbols, naive.symbols) and np.array_equal(rows.dates, naive.dates)):
        own, other = (set(zip(part.dates.tolist(), part.symbols.tolist(), strict=True)) for part in (rows, naive))
        extra, whose, lacking = own - other, analyst, "the naive forecast"
        if not extra:
            extra, whose, lacking = other - own, "the naive forecast", analyst
        date, symbol = min(extra)
        raise DataError(
            f"{whose} has {len(extra)} rows that {lacking} lacks, such as {symbol} on {date}; "
            "forecast the same rows with both."
        )
    for name in ("label", "rise", "realised"):
        unequal = np.flatnonzero(getattr(rows, name) != getattr(naive, name))
        if unequal.size:
            at = int(unequal[0])
            raise DataError(
                f"the realised labels of {analyst} and of the naive forecast differ in {unequal.size} rows, such as "
                f"{rows.symbols[at]} on {rows.dates[at]}; take both from one panel."
            )


def _dense(frame: pl.DataFrame, analyst: str, target: str, without_label: int) -> ForecastRows:
    seeds = tuple(int(seed) for seed in frame["seed"].unique().sort())
    first = frame.filter(pl.col("seed") == seeds[0])
    twice = first.filter(first.select("as_of", "symbol").is_duplicated())
    if twice.height:
        raise DataError(
            f"{analyst} forecasts {twice['symbol'][0]} on {twice['as_of'][0]} more than once with seed {seeds[0]}; "
            "folds must not test a date twice."
        )
    told = ["as_of", "symbol", *(name for name in LABELS if name in frame.columns)]
    for seed in seeds[1:]:
        other = frame.filter(pl.col("seed") == seed)
        if not other.select(told).equals(first.select(told)):
            raise DataError(
                f"seeds {seeds[0]} and {seed} of {analyst} do not cover the same rows and labels "
                f"({first.height} and {other.height} rows); forecast the same rows with every seed."
            )
    shape = (len(seeds), first.height)
    arrays = {
        name: frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy().reshape(shape) for name in FORECAST_COLUMNS
    }
    for name, values in arrays.items():
        if not np.isfinite(values).all():
            raise DataError(f"{analyst} has {(~np.isfinite(values)).sum()} forecasts whose {name} is not finite.")
    dates = first["as_of"].to_numpy().astype("datetime64[D]")
    quarters, starts = np.unique(dates, return_index=True)
    labels = {name: first[name].to_numpy().astype(np.float64) for name in {target, DIRECTION, MAGNITUDE}}
    return ForecastRows(
        target=target,
        seeds=seeds,
        quarters=quarters,
        starts=starts.astype(np.int64),
        symbols=first["symbol"].to_numpy().astype(np.str_),
        **arrays,
        label=labels[target],
        rise=labels[DIRECTION] if target == DIRECTION else (labels[target] > 0).astype(np.float64),
        realised=labels[MAGNITUDE if target == DIRECTION else target],
        without_label=without_label // len(seeds),
    )


def _names(column: pl.Series) -> str:
    names = column.unique().sort().to_list()
    return ", ".join(names) if names else "none"
