import numpy as np
from hypothesis import given, settings
from worlds_of_accounts import worlds

from alfred.backtest.course import Course, step_many
from alfred.backtest.realistic import run_realistic

NAN = np.nan


def walk(course, weights, cash):
    """One account through a whole course."""
    shares, steps = np.zeros((1, weights.shape[1])), []
    cash = np.array([cash])
    for at in range(len(course.most)):
        step = step_many(course, np.array([at]), cash, shares, weights[at : at + 1])
        steps.append(step)
        cash, shares = step.cash, step.shares
        if step.ruined[0]:
            break
    return steps


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_a_course_is_the_account_of_run_realistic(world):
    bars, weights, rows, reality = world
    rows = rows[rows < len(bars.dates) - 1]
    if not len(rows):
        return
    weights, usd = (
        weights[: len(rows)] * np.random.default_rng(0).choice([1.0, 1.0, 3.0]),
        reality.frictions.capital_usd,
    )
    whole = run_realistic(bars, weights, rows, reality)
    steps = walk(Course.of(bars, np.append(rows, len(bars.dates) - 1), reality), weights, usd)
    assert len(steps) == len(whole.commission)
    assert steps[-1].ruined[0] == (whole.account.ruined_on is not None)
    close = {"rtol": 1e-10, "atol": 1e-10 * usd}
    for kind in ("commission", "spread", "impact", "interest", "dividends", "delisted", "borrow"):
        np.testing.assert_allclose([getattr(step, kind)[0] for step in steps], getattr(whole, kind), **close)
    np.testing.assert_allclose(np.concatenate([step.weights for step in steps]), whole.weights, atol=1e-10)
    # At a fill the account's value is the one after its costs.
    values = [step.after[0] for step in steps] + [steps[-1].worth[0]]
    fills = np.append(rows[: len(steps)], len(bars.dates) - 1) - rows[0]
    if steps[-1].ruined[0]:
        values, fills = values[:-2], fills[:-2]
    np.testing.assert_allclose(values, whole.account.value[fills] * usd, **close)
    traded = [step for step in steps if step.after[0] > 0.0]
    np.testing.assert_allclose([step.turnover[0] for step in traded], whole.account.turnover[: len(traded)], **close)
