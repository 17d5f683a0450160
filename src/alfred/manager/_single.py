"""One account in a course, stepped in memory that is allotted once: what an environment of one account needs.

`course.step_many` checks and allots for every call, which for one account takes longer than the step itself. The
compiled loops are the same, so is every number.
"""

import numpy as np
from numpy.typing import NDArray

from alfred.backtest import _account_kernels as account_kernels
from alfred.backtest import _limit_kernels as limit_kernels
from alfred.backtest.course import Course, Steps
from alfred.core.errors import DataError
from alfred.manager import _kernels
from alfred.manager.known import Told

FIGURES = Steps._fields[3:-1]
"""Dollars of a step in the order in which it gives them: before, after, worth, traded, then each cost and flow."""
ALONE = (0, 1)


class SingleAccount:
    """Cash and shares of one account, and the weights that its next decision is told.

    Attributes:
        at: number of the next rebalancing.
        held: (S,) weights that it is told.
    """

    def __init__(self, course: Course, known: Told) -> None:
        names = course.most.shape[1]
        self.at, self.held = 0, np.zeros(names)
        self._course, self._told = course, (course.mark, *known)
        self._period, self._cash, self._shares = np.zeros(1, np.int64), np.zeros(1), np.zeros((1, names))
        self._target, self._wanted, self._row = np.zeros((1, names)), np.zeros((1, names)), np.zeros((1, names))
        self._final, self._kept, self._weights = np.zeros(1), np.zeros((1, names)), np.zeros((1, names))
        self._figures, self._ruined = np.zeros((1, len(FIGURES))), np.zeros(1, np.bool_)

    def reset(self, at: int, cash: float) -> None:
        """All in cash before rebalancing `at`."""
        self.at, self._cash[0] = at, cash
        self._shares[:], self.held[:] = 0.0, 0.0

    def step(self, action: NDArray[np.float32], scale: float, mask: NDArray[np.bool_]) -> tuple[list[float], bool]:
        """Trade to `scale` times the (S,) action within mask and limits, and hold; figures and whether it is ruined.

        Raises:
            DataError: the action is not finite.
        """
        if not _kernels.want(action, scale, mask, self._target[0]):
            raise DataError("actions must be finite; use 0 for no position.")
        self._period[0] = self.at
        before = self._period, self._cash, self._shares
        found = self._final, self._kept, self._weights, self._figures, self._ruined
        limit_kernels.allow_block(ALONE, (*before, self._target), self._course.bounds, self._wanted)
        account_kernels.step_block(ALONE, (*before, self._wanted), self._course.tables, found)
        figures: list[float] = self._figures[0].tolist()
        done = self._period, self._weights, self._ruined
        _kernels.tell_block(0, 1, done, self._told, self._row)
        self.held = self._row[0]
        self._cash, self._final = self._final, self._cash
        self._shares, self._kept = self._kept, self._shares
        self.at += 1
        return figures, bool(self._ruined[0])
