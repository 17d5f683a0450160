"""Walk-forward splits over decision dates: train, then validate, then test, with every label realised in between.

Positions count quarters, because decision dates are consecutive quarter ends. A label of horizon h at position t
is realised at the close of position t + h, which is the instant at which the decision of t + h is made. It may
therefore serve the part that begins at t + h, but none that begins earlier; rows in between are purged.

    train ......... | purged + embargo | valid .... | purged + embargo | test .... |
    0 ..   (t + h + embargo <= first of valid)      (t + h + embargo <= first of test)

A protocol that tests the quarters which were trained on has one fold: validation stands last, training before it, and
the test part is made of training quarters. `check_fold` is told the protocol, and lets no other test what was learnt.

    train .................. | purged + embargo | valid .... |
         test .............. |

What companies file is known later for one than for another: such labels are purged row by row, and `check_realised`
looks at every row.

Purge and embargo: Lopez de Prado, Advances in Financial Machine Learning (2018), chapter 7.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from alfred.core.calendar import Dates, IsoDate, day, quarter_index, quarter_name
from alfred.core.errors import ConfigError, DataError, LeakError
from alfred.core.settings import Settings
from alfred.evaluation.protocols import DEFAULT_PROTOCOL, SAME_YEARS

Positions = NDArray[np.int64]


class SplitSettings(Settings):
    """How the walk-forward moves.

    Attributes:
        test_first: earliest decision date to test (ISO); None: as early as `min_train_quarters` allows.
        test_last: latest decision date to test (ISO); None: the last there is.
        test_quarters: quarters tested before the next training; "all" trains once and never again.
        valid_quarters: quarters held out between training and test, for early stopping and calibration.
        embargo_quarters: quarters removed beside those that the purge removes.
        min_train_quarters: fewest quarters to train on; under "rolling", exactly that many.
        window: "expanding" trains on all quarters since the first, "rolling" on the latest `min_train_quarters`.
    """

    test_first: IsoDate | None = None
    test_last: IsoDate | None = None
    test_quarters: int | Literal["all"] = 8
    valid_quarters: int = Field(default=8, ge=1)
    embargo_quarters: int = Field(default=0, ge=0)
    min_train_quarters: int = Field(default=20, ge=1)
    window: Literal["expanding", "rolling"] = "expanding"

    @field_validator("test_quarters", mode="before")
    @classmethod
    def _count_or_all(cls, value: object) -> object:
        if value != "all" and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise ValueError(f"a number of quarters, at least 1, or 'all', got {value!r}")
        return value


@dataclass(frozen=True, eq=False)
class Fold:
    """One step of the walk-forward: ascending positions (int64) into the decision dates of each part."""

    train: Positions
    valid: Positions
    test: Positions

    def __post_init__(self) -> None:
        for name in ("train", "valid", "test"):
            part = getattr(self, name)
            if part.ndim != 1 or not part.size or (np.diff(part) <= 0).any():
                raise DataError(f"a fold's {name} part must hold ascending positions, at least one, got {part}.")


def walk_forward(
    dates: Dates, horizon_quarters: int, settings: SplitSettings, protocol: str = DEFAULT_PROTOCOL
) -> tuple[Fold, ...]:
    """Folds whose test parts lie side by side and cover every tested date once; the last may be short.

    Args:
        dates: (D,) decision dates, consecutive quarters. The latest may still be without a label.
        horizon_quarters: quarters from a decision date to the date of its label.
        settings: lengths of the parts, and the range to test.
        protocol: one that tests the quarters it trained on has one fold, whose test part lies within its training
            part; `test_quarters` and `window` then say nothing.

    Raises:
        ConfigError: the horizon is below 1, or no decision date lies in the range to test.
        DataError: the dates are not consecutive quarters, or there are too few before the first test date.
    """
    _check_dates(dates)
    if horizon_quarters < 1:
        raise ConfigError(f"horizon_quarters must be at least 1, got {horizon_quarters}.")
    gap = horizon_quarters + settings.embargo_quarters
    if protocol in SAME_YEARS:
        return (_same_years(dates, horizon_quarters, gap, settings),)
    first, stop = _test_range(dates, gap, settings)
    step = stop - first if settings.test_quarters == "all" else settings.test_quarters
    return tuple(_fold(start, min(start + step, stop), gap, settings) for start in range(first, stop, step))


def check_fold(
    fold: Fold, dates: Dates, horizon_quarters: int, embargo_quarters: int = 0, protocol: str = DEFAULT_PROTOCOL
) -> None:
    """Make sure that each part's labels are known when the next part begins.

    Under a protocol that tests the quarters it trained on, that holds for training and validation, and every test
    quarter must be one of training: a mixture would answer neither question.

    Args:
        fold: what to check; where it comes from does not matter.
        dates: (D,) decision dates that its positions point into.
        horizon_quarters: quarters from a decision date to the date of its label.
        embargo_quarters: quarters that must lie between, beside the horizon.
        protocol: the question that the fold is to answer.

    Raises:
        LeakError: a label is realised too late, or a test quarter is not one that the protocol tests; the message names
            the dates.
    """
    parts = [("training", fold.train, "validation", fold.valid), ("validation", fold.valid, "test", fold.test)]
    if protocol in SAME_YEARS:
        strange = np.setdiff1d(fold.test, fold.train)
        if strange.size:
            raise LeakError(
                f"the protocol {protocol} tests the quarters that were trained on, but {dates[strange[0]]} was not "
                f"({len(strange)} such test dates); test training quarters, or name another protocol."
            )
        parts = parts[:1]
    for name, part, next_name, next_part in parts:
        last, first = dates[part].max(), dates[next_part].min()
        quarters = quarter_index(np.array([last, first]))
        if quarters[0] + horizon_quarters + embargo_quarters > quarters[1]:
            known = quarter_name(last.astype("datetime64[M]") + 3 * horizon_quarters)
            embargo = f" plus an embargo of {embargo_quarters} quarters" if embargo_quarters else ""
            raise LeakError(
                f"the label of the {name} row of {last} is realised at the end of {known}{embargo}, "
                f"after the first {next_name} date {first}; purge the {name} rows before it."
            )


def check_realised(
    part: str, next_part: str, *, dates: Dates, realised_on: Dates, first: np.datetime64, embargo_quarters: int = 0
) -> None:
    """Make sure that every label of a part is known when the next part begins, where that differs from row to row.

    Args:
        part, next_part: what they are called, such as "training" and "validation".
        dates: (N,) decision date of each row.
        realised_on: (N,) decision date on which each row's label became known, NaT where it has not.
        first: first decision date of the next part.
        embargo_quarters: quarters that must lie between, beside those until the label is known.

    Raises:
        LeakError: a label is realised too late, or not at all; the message names the dates.
    """
    late = np.isnat(realised_on) | (quarter_index(realised_on) + embargo_quarters > quarter_index(np.array([first]))[0])
    if not late.any():
        return
    at = int(np.flatnonzero(late)[0])
    embargo = f" plus an embargo of {embargo_quarters} quarters" if embargo_quarters else ""
    when = "never realised" if np.isnat(realised_on[at]) else f"realised on {realised_on[at]}{embargo}"
    raise LeakError(
        f"the labels of {int(late.sum())} {part} rows are not known on the first {next_part} date {first}: that of "
        f"{dates[at]} is {when}; purge these rows."
    )


def _check_dates(dates: Dates) -> None:
    if not len(dates):
        raise DataError("there are no decision dates to split; the panel is empty.")
    steps = np.diff(quarter_index(dates))
    if (steps != 1).any():
        at = int(np.flatnonzero(steps != 1)[0])
        raise DataError(f"decision dates must be consecutive quarters, but {dates[at + 1]} follows {dates[at]}.")


def _test_range(dates: Dates, gap: int, settings: SplitSettings) -> tuple[int, int]:
    """Position of the first tested date, and the position after the last one."""
    before = settings.min_train_quarters + settings.valid_quarters + 2 * (gap - 1)
    parts = (
        f"{settings.min_train_quarters} to train, {settings.valid_quarters} to validate, "
        f"{2 * (gap - 1)} purged or embargoed"
    )
    if len(dates) <= before:
        raise DataError(
            f"the walk-forward needs at least {before + 1} quarters ({parts}, 1 to test), but there are {len(dates)} "
            f"({dates[0]} to {dates[-1]}); use longer history or lower min_train_quarters or valid_quarters."
        )
    first = before
    if settings.test_first is not None:
        first = int(np.searchsorted(dates, day(settings.test_first)))
        if first < before:
            raise DataError(
                f"test_first {settings.test_first} needs {before} quarters before it ({parts}), but there are {first}; "
                f"the earliest date that can be tested is {dates[before]}."
            )
    stop = len(dates)
    if settings.test_last is not None:
        stop = int(np.searchsorted(dates, day(settings.test_last), side="right"))
    if stop <= first:
        raise ConfigError(
            f"there is no decision date to test from {settings.test_first or dates[before]} to "
            f"{settings.test_last or dates[-1]}; the dates that can be tested run from {dates[before]} to {dates[-1]}."
        )
    return first, stop


def _fold(start: int, stop: int, gap: int, settings: SplitSettings) -> Fold:
    valid_stop = start - gap + 1
    valid_start = valid_stop - settings.valid_quarters
    train_stop = valid_start - gap + 1
    train_start = train_stop - settings.min_train_quarters if settings.window == "rolling" else 0
    return Fold(
        train=np.arange(train_start, train_stop, dtype=np.int64),
        valid=np.arange(valid_start, valid_stop, dtype=np.int64),
        test=np.arange(start, stop, dtype=np.int64),
    )


def _same_years(dates: Dates, horizon_quarters: int, gap: int, settings: SplitSettings) -> Fold:
    """The fold whose test part lies within its training part."""
    stop = len(dates)
    if settings.test_last is not None:
        stop = int(np.searchsorted(dates, day(settings.test_last), side="right"))
    labelled = min(stop, len(dates) - horizon_quarters)
    valid_start = labelled - settings.valid_quarters
    train_stop = valid_start - gap + 1
    first = 0 if settings.test_first is None else int(np.searchsorted(dates, day(settings.test_first)))
    if train_stop < settings.min_train_quarters:
        raise DataError(
            f"training and testing the same quarters needs {settings.min_train_quarters} to train, {gap - 1} purged or "
            f"embargoed and {settings.valid_quarters} to validate, all with labels, but there are {max(labelled, 0)}; "
            "use longer history or lower min_train_quarters or valid_quarters."
        )
    if first >= train_stop:
        raise ConfigError(
            f"there is no training quarter to test from {settings.test_first} on; training ends with "
            f"{dates[train_stop - 1]}."
        )
    return Fold(
        train=np.arange(train_stop, dtype=np.int64),
        valid=np.arange(valid_start, labelled, dtype=np.int64),
        test=np.arange(first, train_stop, dtype=np.int64),
    )
