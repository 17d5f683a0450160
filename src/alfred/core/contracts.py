"""What stages hand to one another: frozen dataclasses, validated where they are made.

Shapes use these letters: N rows, L quarters of history, F columns, D decision dates, S symbols, T sessions.
"""

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


@dataclass(frozen=True)
class Windows:
    """The rows an analyst may look at: scaled features up to each row's decision date, and, in training, the label.

    Attributes:
        x: (N, L, F) float32. Scaled with training rows only. A missing value is 0 (the training centre) and the
            indicator column of its feature is 1. Quarter L-1 is the decision date's own.
        seen: (N, L) bool. False where the symbol had no history yet; those quarters of `x` are all 0.
        columns: F names; indicator columns are called "missing:<feature>".
        dates: (N,) decision dates, datetime64[D].
        symbols: (N,) tickers.
        target: name of the label that is to be forecast (PQ, PM or excess).
        horizon_quarters: quarters from the decision date to the label's date.
        y: (N,) float64 label without missing values, or None in rows handed out for forecasting.
    """

    x: NDArray[np.float32]
    seen: Bools
    columns: tuple[str, ...]
    dates: Dates
    symbols: Names
    target: str
    horizon_quarters: int = 1
    y: Floats | None = None

    def __post_init__(self) -> None:
        rows = len(self.dates)
        if self.x.ndim != 3 or self.x.shape[0] != rows or self.x.shape[2] != len(self.columns):
            raise DataError(
                f"windows of {rows} rows and {len(self.columns)} columns need x of shape "
                f"({rows}, quarters, {len(self.columns)}), got {self.x.shape}."
            )
        if self.seen.shape != self.x.shape[:2] or len(self.symbols) != rows:
            raise DataError(f"seen {self.seen.shape} and symbols ({len(self.symbols)},) must match x {self.x.shape}.")
        if not np.isfinite(self.x).all():
            raise DataError("windows hold values that are not finite; scaling must replace missing ones by 0.")
        if self.y is not None and (self.y.shape != (rows,) or not np.isfinite(self.y).all()):
            raise DataError(f"labels must be {rows} finite numbers, got shape {self.y.shape}; drop rows without label.")

    def __len__(self) -> int:
        return len(self.dates)

    def rows(self, which: NDArray[Any]) -> Self:
        """The rows selected by a boolean mask or by positions."""
        return replace(
            self,
            x=self.x[which],
            seen=self.seen[which],
            dates=self.dates[which],
            symbols=self.symbols[which],
            y=None if self.y is None else self.y[which],
        )

    def without_labels(self) -> Self:
        """The same rows as they are handed out for forecasting."""
        return replace(self, y=None)


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
        best_epoch: number of the epoch whose weights were kept (by validation loss), 0 where there are none.
        epochs: the learning curve.
        stopped: why it ended ("patience", "epochs", "closed form").
    """

    parameters: int
    seconds: float
    samples_per_second: float = 0.0
    best_epoch: int = 0
    epochs: tuple[Epoch, ...] = ()
    stopped: str = "closed form"


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
