"""What stages hand to one another: frozen dataclasses, validated where they are made.

Shapes use these letters: N rows, L quarters of history, F columns, D decision dates, S symbols, T sessions.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from alfred.core.calendar import Dates
from alfred.core.errors import DataError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Names = NDArray[np.str_]

DIRECTION = "PQ"
"""Label: 1.0 where the close is higher one horizon later, otherwise 0.0."""
MAGNITUDE = "PM"
"""Label: relative change of the close over the horizon (0.05 is +5%)."""
EXCESS = "excess"
"""Label: PM less the market index's relative change over the same dates."""
RANK = "rank"
"""Label: centred rank of PM among the names of the date, between -0.5 (worst) and 0.5."""
VELOCITY = "velocity"
"""Label: PM in units of the deviation that the name's volatility before the date lets expect over the horizon."""
TOTAL = "total_return"
"""Label: as PM, with dividends reinvested."""
LABELS = (MAGNITUDE, DIRECTION, EXCESS, RANK, VELOCITY, TOTAL)
"""All labels of prices, in the order of tables."""
GROWTH_AHEAD = "next_revenue_growth"
"""Label: revenue of a coming quarter over that of the quarter a year before it, less 1."""
MARGINS_AHEAD = ("next_Margin_Gross", "next_Margin_Operating", "next_Margin_Net_Profit")
"""Labels: margins of a coming quarter."""
EPS_AHEAD = "next_EPS_change"
"""Label: change of a coming quarter's earnings per share over a year, in units of the price."""
FUNDAMENTALS = (GROWTH_AHEAD, *MARGINS_AHEAD, EPS_AHEAD)
"""All labels of accounts; analysts learn them as differences from the last known figure."""


@dataclass(frozen=True)
class Windows:
    """The rows an analyst may look at: scaled features up to each row's decision date, and, in training, the label.

    A symbol's quarter stands in `cells` once, however many rows look back at it.

    Attributes:
        cells: (C, F) float32 features of a symbol in a quarter, scaled with training rows only. A missing value is 0
            (the training centre); indicator columns say where. Row 0 is the empty cell, all 0.
        index: (N, L) int32 rows of `cells`, 0 where the symbol had no history yet. Quarter L-1 is the decision
            date's own.
        columns: F names; indicator columns are called "missing:<feature>".
        dates: (N,) decision dates, datetime64[D].
        symbols: (N,) tickers.
        target: name of the label that is to be forecast (PQ, PM or excess).
        horizon_quarters: quarters from the decision date to the label's date.
        y: (N,) float64 label without missing values, or None in rows handed out for forecasting.
    """

    cells: NDArray[np.float32]
    index: NDArray[np.int32]
    columns: tuple[str, ...]
    dates: Dates
    symbols: Names
    target: str
    horizon_quarters: int = 1
    y: Floats | None = None

    def __post_init__(self) -> None:
        rows, width = len(self.dates), len(self.columns)
        if self.cells.ndim != 2 or self.cells.shape[1] != width or self.cells.dtype != np.float32:
            raise DataError(
                f"windows of {width} columns need float32 cells of shape (cells, {width}), "
                f"got {self.cells.dtype} of {self.cells.shape}."
            )
        if not len(self.cells) or self.cells[0].any():
            raise DataError("the first cell of windows is the empty one, which history that is not there points at.")
        if not np.isfinite(self.cells).all():
            raise DataError("windows hold values that are not finite; scaling must replace missing ones by 0.")
        if self.index.ndim != 2 or len(self.index) != rows or not self.index.shape[1] or self.index.dtype != np.int32:
            raise DataError(
                f"windows of {rows} rows need an int32 index of shape ({rows}, quarters), "
                f"got {self.index.dtype} of {self.index.shape}."
            )
        if self.index.size and (self.index.min() < 0 or self.index.max() >= len(self.cells)):
            raise DataError(f"the index of windows points outside their {len(self.cells)} cells.")
        if len(self.symbols) != rows:
            raise DataError(f"windows of {rows} rows need as many symbols, got {len(self.symbols)}.")
        if self.y is not None and (self.y.shape != (rows,) or not np.isfinite(self.y).all()):
            raise DataError(f"labels must be {rows} finite numbers, got shape {self.y.shape}; drop rows without label.")

    @classmethod
    def of(
        cls,
        *,
        x: NDArray[np.float32],
        seen: Bools,
        columns: tuple[str, ...],
        dates: Dates,
        symbols: Names,
        target: str,
        horizon_quarters: int = 1,
        y: Floats | None = None,
    ) -> Self:
        """Windows from dense arrays, every quarter of every row a cell of its own; for small uses.

        Args:
            x: (N, L, F) features, 0 where `seen` is False.
            seen: (N, L) whether the symbol had history there.

        Raises:
            DataError: shapes do not match, or a quarter that is not seen holds values.
        """
        if x.ndim != 3 or seen.shape != x.shape[:2]:
            raise DataError(f"windows need x (rows, quarters, columns) and seen to match, got {x.shape}, {seen.shape}.")
        if x[~seen].any():
            raise DataError("windows hold values in quarters that are not seen; these must be 0.")
        cells = np.concatenate([np.zeros((1, x.shape[2]), np.float32), x[seen].astype(np.float32)])
        index = np.where(seen, np.cumsum(seen.ravel()).reshape(seen.shape), 0).astype(np.int32)
        return cls(cells, index, columns, dates, symbols, target, horizon_quarters, y)

    def __len__(self) -> int:
        return len(self.dates)

    @property
    def quarters(self) -> int:
        """L, quarters of history in a row."""
        return int(self.index.shape[1])

    @property
    def seen(self) -> Bools:
        """(N, L) bool, False where the symbol had no history yet."""
        return self.index > 0

    @property
    def x(self) -> NDArray[np.float32]:
        """(N, L, F) float32, a copy L times the size of the cells; what can gather from them part by part should."""
        return self.cells[self.index]

    def rows(self, which: NDArray[Any] | slice) -> Self:
        """The rows selected by a boolean mask, by positions or by a slice. They share the cells."""
        return self._with(
            {
                "index": self.index[which],
                "dates": self.dates[which],
                "symbols": self.symbols[which],
                "y": None if self.y is None else self.y[which],
            }
        )

    def latest(self, quarters: int) -> Self:
        """The same rows with their latest quarters, all of them where there are no more. They share the cells."""
        return self if quarters >= self.quarters else self._with({"index": self.index[:, -quarters:]})

    def without_labels(self) -> Self:
        """The same rows as they are handed out for forecasting."""
        return self._with({"y": None})

    def _with(self, parts: dict[str, Any]) -> Self:
        """Fewer rows or no label. A part of what is valid is valid: the cells are not looked at again."""
        part = copy.copy(self)
        for name, value in parts.items():
            object.__setattr__(part, name, value)
        return part


@dataclass(frozen=True)
class Forecast:
    """What an analyst says about the rows of a `Windows`, in their order.

    Attributes:
        mean: (N,) expected label; for PQ the probability of a rise.
        lower, upper: (N,) ends of the interval that holds the label with probability `level`.
        prob_up: (N,) probability that the label is above zero (for PQ, that it is 1), within [0, 1].
        level: nominal coverage of the interval.
    """

    mean: Floats
    lower: Floats
    upper: Floats
    prob_up: Floats
    level: float = 0.8

    def __post_init__(self) -> None:
        shapes = {array.shape for array in (self.mean, self.lower, self.upper, self.prob_up)}
        if len(shapes) != 1 or self.mean.ndim != 1:
            raise DataError(f"a forecast needs four arrays of one length, got shapes {sorted(shapes)}.")
        for name in ("mean", "lower", "upper", "prob_up"):
            if not np.isfinite(getattr(self, name)).all():
                raise DataError(f"the forecast's {name} holds values that are not finite.")
        if (self.lower > self.mean).any() or (self.mean > self.upper).any():
            raise DataError("the forecast's intervals are out of order; lower <= mean <= upper must hold.")
        if ((self.prob_up < 0) | (self.prob_up > 1)).any():
            raise DataError("prob_up must lie between 0 and 1.")

    def __len__(self) -> int:
        return len(self.mean)


@dataclass(frozen=True)
class Epoch:
    """One pass of training: mean losses over its training and validation rows."""

    number: int
    train_loss: float
    valid_loss: float
    learning_rate: float


@dataclass(frozen=True)
class FitRecord:
    """What fitting cost and how it went; closed-form analysts have no epochs.

    Attributes:
        parameters: learnt numbers.
        seconds: wall time of the fit.
        samples_per_second: training rows seen per second of training, 0 where there are no epochs.
        best_epoch: number of the epoch whose weights were kept (by validation loss), 0 where none was or helped.
        epochs: the learning curve.
        stopped: why it ended ("patience", "epochs", "closed form", "converged", "no further split", "members",
            "untrained").
        peak_memory_mb: most memory during the fit, in units of 10^6 bytes: the device's where it trained on one,
            otherwise the process'. None where it was not measured.
        energy_joules: of the device during the fit, None where it does not tell.
    """

    parameters: int
    seconds: float
    samples_per_second: float = 0.0
    best_epoch: int = 0
    epochs: tuple[Epoch, ...] = ()
    stopped: str = "closed form"
    peak_memory_mb: float | None = None
    energy_joules: float | None = None

    @property
    def seconds_to_best(self) -> float | None:
        """Wall time until the best epoch was there, epochs taking equal time; None where there are no epochs."""
        return self.seconds * self.best_epoch / len(self.epochs) if self.epochs else None


class FittedAnalyst(Protocol):
    """An analyst that has learnt and can forecast."""

    @property
    def record(self) -> FitRecord:
        """What the fit cost and how it went."""

    def predict(self, windows: Windows) -> Forecast:
        """Forecast every row of `windows`; labels in it, if any, are not read."""

    def save(self, folder: Path) -> None:
        """Write what was learnt into `folder` as JSON and safetensors, never pickle."""


class Analyst(Protocol):
    """An analyst before it has learnt: the constructor stores settings and seed, `fit` learns."""

    @property
    def target(self) -> str:
        """The label it forecasts."""

    def fit(self, train: Windows, valid: Windows) -> FittedAnalyst:
        """Learn from `train`; choose (epoch, penalty) and calibrate intervals on `valid`, which lies later in time.

        Raises:
            DataError: `train` or `valid` is empty or without labels.
        """


@dataclass(frozen=True)
class Interval:
    """Two ends and the confidence with which they hold the quantity."""

    lower: float
    upper: float
    level: float = 0.95


@dataclass(frozen=True)
class Bars:
    """Daily prices as dense matrices, for the engine.

    Attributes:
        dates: (T,) sessions, ascending.
        symbols: S tickers.
        close: (T, S) price per share as quoted (split-adjusted), NaN where there was no quote.
        total: (T, S) total-return price (dividends reinvested), NaN where there was no quote.
    """

    dates: Dates
    symbols: tuple[str, ...]
    close: Floats
    total: Floats

    def __post_init__(self) -> None:
        shape = (len(self.dates), len(self.symbols))
        if self.close.shape != shape or self.total.shape != shape:
            raise DataError(f"bars of shape {shape} got close {self.close.shape} and total {self.total.shape}.")
        if len(self.dates) > 1 and not (np.diff(self.dates.astype("datetime64[D]").astype(np.int64)) > 0).all():
            raise DataError("sessions must ascend without repeats.")

    def columns(self, symbols: Sequence[str]) -> Self:
        """The bars of some symbols, in the order asked for.

        Raises:
            DataError: a symbol has no bars; the message names it.
        """
        place = {symbol: at for at, symbol in enumerate(self.symbols)}
        absent = [symbol for symbol in symbols if symbol not in place]
        if absent:
            raise DataError(f"no bars for {', '.join(absent)}; there are {', '.join(self.symbols)}.")
        at = [place[symbol] for symbol in symbols]
        return replace(self, symbols=tuple(symbols), close=self.close[:, at], total=self.total[:, at])
