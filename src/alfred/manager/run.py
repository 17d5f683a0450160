"""An account that a policy decides: what it is shown, what it wants, and what comes of it."""

from dataclasses import dataclass

import numpy as np

from alfred.backtest.course import Course, step_many
from alfred.backtest.realistic import RealisticAccount, run_realistic
from alfred.core.contracts import Floats
from alfred.core.errors import DataError
from alfred.manager.contracts import FittedPolicy, Scene
from alfred.manager.known import told, weights_told


@dataclass(frozen=True)
class ManagedAccount:
    """What a policy decided over a scene, and the account it made.

    Attributes:
        run: the account with its flows, (R,) by rebalancing that was done; R < D where it was ruined.
        targets: (R, S) weights that the policy asked for, 0 for names that may not be held, before limits.
        held: (R, S) weights that each decision was told.
    """

    run: RealisticAccount
    targets: Floats
    held: Floats


def run_policy(scene: Scene, policy: FittedPolicy) -> ManagedAccount:
    """Let a policy decide every decision of a scene, from all in cash to the end of the last period.

    Raises:
        DataError: the policy's weights are not one finite number for each name; a decision comes before the fill of the
            one before it; or as `run_realistic`.
    """
    whole = scene.span(0, len(scene))
    course = Course.of(whole.bars, whole.rows, whole.reality, decided=whole.decided)
    known, targets, shown = told(course, whole.decided), [], []
    cash, shares = np.array([course.reality.frictions.capital_usd]), np.zeros((1, len(whole.bars.symbols)))
    held = shares[0]
    for at in range(len(whole)):
        weights = policy.weights(whole.observe(at, held))
        targets.append(within_mask(weights, whole, at))
        shown.append(held)
        step = step_many(course, np.array([at]), cash, shares, targets[-1][None])
        if step.ruined[0]:
            break
        cash, shares = step.cash, step.shares
        held = weights_told(course, known, np.array([at]), step)[0]
    # The course gives the decisions; the account's daily values come from the run over all sessions, which agrees.
    wanted = np.array(targets)
    filled = np.zeros((len(whole), wanted.shape[1]))
    filled[: len(wanted)] = wanted
    return ManagedAccount(run_realistic(whole.bars, filled, whole.rows[:-1], whole.reality), wanted, np.array(shown))


def within_mask(weights: Floats, scene: Scene, at: int) -> Floats:
    """(S,) the weights, with 0 for names that may not be held from decision `at` on.

    Raises:
        DataError: they are not one finite number for each name.
    """
    names = len(scene.bars.symbols)
    if weights.shape != (names,) or not np.isfinite(weights).all():
        bad = "numbers that are not finite" if weights.shape == (names,) else f"the shape {weights.shape}"
        raise DataError(f"on {scene.dates[at]} a policy must give {names} finite weights, but its answer has {bad}.")
    wanted: Floats = np.where(scene.mask[at], weights, 0.0)
    return wanted
