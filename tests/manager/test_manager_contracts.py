from dataclasses import replace

import numpy as np
import pytest
from toy import scene_of

from alfred.core.errors import DataError, LeakError
from alfred.core.progress import Silent
from alfred.manager.policies import equal_weight
from alfred.manager.settings import ManagerSettings

RETURNS = np.random.default_rng(3).normal(0.02, 0.1, (6, 4))


def test_toy_prices_return_what_they_were_told():
    scene = scene_of(RETURNS, noise=0.01)
    fills = scene.bars.total[scene.rows]
    np.testing.assert_allclose(fills[1:] / fills[:-1] - 1.0, RETURNS)


def test_an_observation_holds_nothing_after_the_decision():
    scene = scene_of(RETURNS, noise=0.01)
    seen = scene.observe(3, np.zeros(4))
    assert seen.bars.dates[-1] == scene.dates[3]
    assert len(seen.dollar_volume) == len(seen.bars.dates)
    np.testing.assert_allclose(
        seen.returns(5),
        np.diff(scene.bars.total[: scene.decided[3] + 1], axis=0)[-5:]
        / scene.bars.total[scene.decided[3] - 5 : scene.decided[3]],
    )


def test_a_span_ends_with_its_last_period():
    part = scene_of(RETURNS).span(1, 4)
    assert len(part) == 3
    assert part.bars.dates[-1] == part.bars.dates[part.rows[-1]]
    assert len(part.reality.conditions.dollar_volume) == len(part.bars.dates)


def test_what_a_decision_may_learn_from_ends_with_its_own_close():
    scene = scene_of(RETURNS, noise=0.01)
    part = scene.before(4)
    assert len(part) == 4
    assert part.bars.dates[-1] == part.bars.dates[part.rows[-1]] == scene.dates[4]
    assert scene.span(0, 4).bars.dates[-1] > scene.dates[4]
    assert len(part.reality.conditions.dollar_volume) == len(part.bars.dates)
    assert (part.rows[:-1] == scene.rows[:4]).all()
    assert len(scene.before(0)) == 0
    slow = replace(scene, rows=scene.rows + np.append(np.zeros(3), [19, 19, 19, 0]).astype(int))
    assert len(slow.before(4)) == 4
    late = replace(scene, decided=np.append(scene.decided[:-1], scene.decided[-2]))
    assert len(late.before(5)) == 4


def test_forecasts_of_analysts_that_saw_the_future_are_refused():
    scene = scene_of(RETURNS)
    learnt = scene.outlook.learnt_until.copy()
    learnt[2] = scene.dates[2] + 1
    with pytest.raises(LeakError, match="out of fold"):
        replace(scene, outlook=replace(scene.outlook, learnt_until=learnt))


def test_shapes_are_checked():
    scene = scene_of(RETURNS)
    with pytest.raises(DataError, match="mask must have the shape"):
        replace(scene, mask=scene.mask[1:])
    with pytest.raises(DataError, match="ascend"):
        replace(scene, rows=scene.rows[::-1].copy())


def test_equal_weight_shares_the_account_among_those_that_may_be_held():
    scene = scene_of(RETURNS, masked=0.4, seed=5)
    policy = equal_weight.fit(scene, ManagerSettings(), 0, Silent())
    weights = policy.weights(scene.observe(0, np.zeros(4)))
    assert weights[~scene.mask[0]].tolist() == [0.0] * int((~scene.mask[0]).sum())
    assert weights.sum() == pytest.approx(1.0)
