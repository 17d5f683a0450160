"""What must hold of the rows an analyst learns from, whichever analyst it is."""

from typing import Self

import numpy as np
from pydantic import Field

from alfred.core.contracts import DIRECTION, Bools, Windows
from alfred.core.errors import DataError, LeakError
from alfred.core.settings import Settings

_EXAMPLES = 3


class Inputs(Settings):
    """The shape and meaning of the windows an analyst has learnt on.

    Attributes:
        columns: feature names, in order.
        quarters: quarters of history in a window.
        target: label that is forecast.
        horizon_quarters: quarters from the decision date to the label's date.
    """

    columns: tuple[str, ...]
    quarters: int = Field(ge=1)
    target: str
    horizon_quarters: int = Field(ge=1)

    @classmethod
    def of(cls, windows: Windows) -> Self:
        """The inputs that `windows` offers."""
        return cls(
            columns=windows.columns,
            quarters=windows.quarters,
            target=windows.target,
            horizon_quarters=windows.horizon_quarters,
        )

    def require(self, windows: Windows, what: str) -> None:
        """Accept only windows of the same columns in the same order, length, target and horizon.

        Raises:
            DataError: they differ; the message names the difference and calls the windows `what`.
        """
        got = type(self).of(windows)
        if got.columns != self.columns:
            raise DataError(f"{what} hold other columns than the analyst learnt on: {self._columns_apart(got)}.")
        for name, unit in (("quarters", "quarters of history"), ("horizon_quarters", "quarters ahead")):
            if getattr(got, name) != getattr(self, name):
                raise DataError(
                    f"{what} have {getattr(got, name)} {unit}, the analyst learnt on {getattr(self, name)}."
                )
        if got.target != self.target:
            raise DataError(f"{what} are about {got.target}, the analyst learnt to forecast {self.target}.")

    def _columns_apart(self, got: "Inputs") -> str:
        lacking = [name for name in self.columns if name not in got.columns]
        extra = [name for name in got.columns if name not in self.columns]
        if lacking or extra:
            parts = [f"lacking are {', '.join(lacking)}"] if lacking else []
            parts += [f"unknown are {', '.join(extra)}"] if extra else []
            return "; ".join(parts)
        at = next(i for i, pair in enumerate(zip(got.columns, self.columns, strict=False)) if pair[0] != pair[1])
        return f"the order differs, column {at + 1} is {got.columns[at]} and was {self.columns[at]}"


def require_fit_rows(train: Windows, valid: Windows) -> None:
    """Accept training and validation rows only if learning from one and choosing by the other is honest.

    Raises:
        DataError: one is empty, has no labels, has a direction label other than 0 or 1, or they differ in columns,
            length, target or horizon.
        LeakError: a row stands in both, or a validation date does not lie after every training date.
    """
    for name, windows in (("training", train), ("validation", valid)):
        if not len(windows):
            raise DataError(f"there are no {name} rows; widen the {name} period or the basket.")
        if windows.y is None:
            raise DataError(f"the {name} rows have no labels; hand over the rows whose label is known.")
        if windows.target == DIRECTION and not np.isin(windows.y, (0.0, 1.0)).all():
            raise DataError(f"the {name} rows' {DIRECTION} labels must be 0 or 1; another column was taken for them.")
    Inputs.of(train).require(valid, "the validation rows")

    last = train.dates.max()
    early = valid.dates <= last
    if not early.any():
        return
    shared = _in_both(train, valid)
    if shared.any():
        raise LeakError(
            f"{shared.sum()} validation rows are training rows too ({_examples(valid, shared)}); "
            f"split the rows by date before fitting."
        )
    raise LeakError(
        f"{early.sum()} validation rows do not lie after the last training date {last} ({_examples(valid, early)}); "
        f"validate on later quarters."
    )


def require_target(train: Windows, target: str) -> None:
    """Accept only rows whose label is the one to be forecast.

    Raises:
        DataError: it is another.
    """
    if train.target != target:
        raise DataError(f"the training rows' label is {train.target}, the analyst forecasts {target}; change one.")


def _in_both(train: Windows, valid: Windows) -> Bools:
    """(N,) of `valid`: whether a row of the same symbol and date is in `train`."""
    symbols = np.concatenate([train.symbols, valid.symbols])
    _, code = np.unique(symbols, return_inverse=True)
    days = np.concatenate([train.dates, valid.dates]).astype("datetime64[D]").astype(np.int64)
    key = days * len(symbols) + code
    both: Bools = np.isin(key[len(train) :], key[: len(train)])
    return both


def _examples(windows: Windows, which: Bools) -> str:
    at = np.flatnonzero(which)[:_EXAMPLES]
    named = [f"{windows.symbols[i]} {windows.dates[i]}" for i in at]
    return ", ".join(named) + (", ..." if which.sum() > _EXAMPLES else "")
