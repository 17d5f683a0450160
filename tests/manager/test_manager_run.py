from dataclasses import dataclass, replace

import numpy as np
import pytest
from toy import scene_of

from alfred.backtest.realistic import run_realistic
from alfred.backtest.settings import REALISTIC, LimitSettings
from alfred.core.errors import DataError
from alfred.manager.policies import equal_weight
from alfred.manager.run import run_policy

RETURNS = np.random.default_rng(3).normal(0.02, 0.1, (6, 4))


@dataclass
class Follows:
    """Wants a little more of what it holds, and remembers what it was told."""

    seen: list

    def weights(self, observation):
        self.seen.append(observation)
        return 0.5 * observation.held + 0.1

    def save(self, folder):
        pass


def test_a_policy_is_told_what_it_holds_at_the_decision_not_at_the_fill():
    scene = scene_of(RETURNS, noise=0.03)
    policy = Follows([])
    found = run_policy(scene, policy)
    # Without costs, the first trade gives 10% each; then prices drift until the close of the second decision.
    grown = 0.1 * scene.bars.total[scene.decided[1]] / scene.bars.total[scene.rows[0]]
    np.testing.assert_allclose(policy.seen[0].held, 0.0)
    np.testing.assert_allclose(policy.seen[1].held, grown / (grown.sum() + 0.6), rtol=1e-12)
    np.testing.assert_array_equal(found.held[1], policy.seen[1].held)


def test_prices_after_a_decision_do_not_move_it():
    scene = scene_of(RETURNS, noise=0.03, frictions=REALISTIC)
    total = scene.bars.total.copy()
    cut = int(scene.decided[3])
    total[cut + 1 :] *= np.exp(np.random.default_rng(0).normal(0, 0.2, total[cut + 1 :].shape))
    other = replace(scene, bars=replace(scene.bars, total=total, close=total))
    first, second = (run_policy(one, Follows([])).targets for one in (scene, other))
    np.testing.assert_array_equal(first[:4], second[:4])
    assert (first[4:] != second[4:]).any()


def test_the_account_is_that_of_the_targets_and_ends_with_the_last_period():
    scene = scene_of(RETURNS, noise=0.01, frictions=REALISTIC, masked=0.3)
    found = run_policy(scene, Follows([]))
    whole = scene.span(0, 6)
    again = run_realistic(whole.bars, found.targets, scene.rows[:-1], whole.reality)
    np.testing.assert_array_equal(found.run.account.value, again.account.value)
    assert found.run.account.dates[-1] == scene.bars.dates[scene.rows[-1]]
    assert (found.targets[~scene.mask] == 0.0).all()
    assert (found.run.weights.sum(axis=1) <= 1.0 + 1e-9).all()


def test_a_ruined_account_decides_no_more():
    returns = np.full((4, 2), 0.1)
    returns[1] = [3.0, 4.0]
    scene = scene_of(returns, limits=LimitSettings())

    class Short:
        def weights(self, observation):
            return np.array([-0.5, -0.5])

    found = run_policy(scene, Short())
    assert len(found.targets) == len(found.held) == len(found.run.weights) == 2
    assert found.run.account.ruined_on is not None
    assert found.run.account.value[-1] == 0.0


def test_one_over_n_without_costs_earns_the_mean_return():
    found = run_policy(scene_of(RETURNS), equal_weight.EqualWeight())
    assert found.run.account.value[-1] == pytest.approx(np.prod(1.0 + RETURNS.mean(axis=1)), rel=1e-9)


def test_a_delisting_is_told_from_its_day_on():
    scene = scene_of(np.full((4, 3), 0.0))
    gone = int(scene.rows[1])  # between the decision before it and its fill

    def at(row):
        conditions = replace(scene.reality.conditions, delisted=np.array([row, 999, 999]))
        return replace(scene, reality=replace(scene.reality, conditions=conditions))

    for row, expected in ((gone, 1 / 3), (gone - 1, 0.0)):
        policy = Follows([])
        policy.weights = lambda seen, policy=policy: policy.seen.append(seen) or np.full(3, 1 / 3)
        run_policy(at(row), policy)
        assert policy.seen[1].held[0] == pytest.approx(expected)
    # 70% of the third is paid out.
    assert policy.seen[1].held[1] == pytest.approx((1 / 3) / (2 / 3 + 0.7 / 3))


def test_wrong_answers_and_late_fills_are_refused():
    scene = scene_of(RETURNS)
    for wrong, text in ((np.zeros(3), r"has the shape \(3,\)"), (np.full(4, np.nan), "not finite")):

        class Wrong:
            def weights(self, observation, wrong=wrong):
                return wrong

        with pytest.raises(DataError, match=text):
            run_policy(scene, Wrong())
    late = replace(scene, decided=np.maximum(scene.decided - 25, 0), dates=scene.dates)
    with pytest.raises(DataError, match="before the fill of the one before it"):
        run_policy(late, Follows([]))
