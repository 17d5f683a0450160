"""Rows as one table: what the analysts share that see a window as one long row of numbers."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from alfred.core.contracts import Floats, Windows
from alfred.training.rows import require_fit_rows, require_target

_PART = 4096


def labels_to_learn(train: Windows, valid: Windows, target: str) -> tuple[Floats, Floats]:
    """Labels (N,) and (M,) of training and validation rows that may be learnt from and chosen by.

    Raises:
        DataError, LeakError: as `require_fit_rows`.
        DataError: the label is another than `target`.
    """
    require_fit_rows(train, valid)
    require_target(train, target)
    return np.asarray(train.y, np.float64), np.asarray(valid.y, np.float64)


def flat(windows: Windows) -> Floats:
    """Windows (N, L, F) side by side: (N, L*F) float64."""
    return windows.x.reshape(len(windows), windows.quarters * len(windows.columns)).astype(np.float64)


def parts(windows: Windows) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """The table (N, L*F) block by block, each with its place, so that the whole never stands in memory."""
    width = windows.quarters * len(windows.columns)
    for start in range(0, len(windows), _PART):
        place = slice(start, start + _PART)
        yield place, windows.cells[windows.index[place]].reshape(-1, width)


def of_least_loss(losses: Floats) -> int:
    """Position of the smallest loss; `losses` runs from what claims most to what claims least, which wins a tie."""
    return len(losses) - 1 - int(losses[::-1].argmin())
