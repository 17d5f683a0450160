"""What a decision knows of the portfolio it will change: what was bought before, at the decision's own close.

Orders are filled after the decision, often at the next session's close. Weights at the fill's prices would tell the
decision one session of the future, so it is told its last trade's shares and cash at the prices of its own close.
Dividends, interest and fees since that trade are not counted in cash; a delisting until then is, as paid out.
"""

from typing import NamedTuple

import numpy as np

from alfred.backtest._compiled import over_blocks
from alfred.backtest.course import ACCOUNTS_A_THREAD, Course, Steps
from alfred.backtest.engine import Rows
from alfred.core.contracts import Floats
from alfred.core.errors import DataError
from alfred.manager._kernels import tell_block


class Told(NamedTuple):
    """What a share bought at the fill before gives at each decision's close, and last at the course's end.

    Attributes:
        price: (D + 1, S) dollars, 0 where the name was delisted by then.
        paid: (D + 1, S) dollars that a delisting since the fill had paid by then.
    """

    price: Floats
    paid: Floats


def told(course: Course, decided: Rows) -> Told:
    """Tables of a course whose targets were decided at the closes of the (D,) rows `decided`.

    Raises:
        DataError: a decision comes before the fill of the one before it, so that it cannot know what it holds.
    """
    early = np.flatnonzero(decided[1:] < course.rows[:-2])
    if len(early):
        raise DataError(
            f"decision {early[0] + 1} is taken on row {decided[early[0] + 1]}, before the fill of the one before it on "
            f"row {course.rows[early[0]]}; rebalance less often, or fill sooner."
        )
    gone = course.ends <= np.append(decided, course.rows[-1])[:, None]
    paid = np.zeros(gone.shape)
    paid[1:] = np.where(gone[1:], course.gains.payout, 0.0)
    return Told(np.where(gone, 0.0, np.concatenate([course.told, course.mark[-1:]])), paid)


def weights_told(course: Course, known: Told, at: Rows, steps: Steps, *, threads: int = 1) -> Floats:
    """(B, S) weights that the decisions after rebalancings `at` are told, 0 where the account is ruined."""
    done = at, steps.weights, steps.ruined
    held = np.empty(steps.weights.shape)

    def part(first: int, stop: int) -> None:
        tell_block(first, stop, done, (course.mark, *known), held)

    over_blocks(part, len(at), max(1, min(threads, len(at) // ACCOUNTS_A_THREAD)))
    return held
