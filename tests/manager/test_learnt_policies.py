"""What every policy that learns keeps to; `test_known_solutions.py` is about what they learn."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from toy import scene_of

from alfred.backtest.settings import REALISTIC, LimitSettings
from alfred.core.errors import DataError
from alfred.core.progress import Silent
from alfred.manager.batched import BatchedAccounts
from alfred.manager.encoding import Encoder
from alfred.manager.judging import p_values, rewards_of
from alfred.manager.learnt import LearntPolicy, decide
from alfred.manager.policies import equal_weight, gradient
from alfred.manager.run import run_policy
from alfred.manager.settings import LearningSettings, ManagerSettings, RewardSettings

SHORT = ManagerSettings(learning=LearningSettings(width=8, steps=3, batch=4, episode_periods=3))
SURE = ManagerSettings(learning=SHORT.learning.model_copy(update={"significance": 1.0}))
RETURNS = np.random.default_rng(31).normal(0.02, 0.1, (40, 4))


def growth_of(scene, policy):
    """(D,) log returns of the periods."""
    value = run_policy(scene, policy).run.account.value[scene.rows - scene.rows[0]]
    return np.diff(np.log(np.concatenate([[1.0], value[1:]])))


@pytest.fixture(scope="module")
def learnt():
    return gradient.fit(scene_of(RETURNS, masked=0.2), SURE, 5, Silent())


def test_one_seed_learns_one_policy(learnt):
    again = gradient.fit(scene_of(RETURNS, masked=0.2), SURE, 5, Silent())
    other = gradient.fit(scene_of(RETURNS, masked=0.2), SURE, 6, Silent())
    same = [torch.equal(a, b) for a, b in zip(learnt.network.parameters(), again.network.parameters(), strict=True)]
    assert all(same)
    assert not torch.equal(next(learnt.network.parameters()), next(other.network.parameters()))


def test_a_policy_is_restored_as_it_was_saved(learnt, tmp_path):
    learnt.save(tmp_path)
    back = gradient.restore(tmp_path)
    assert back.record == learnt.record
    assert learnt.record.decider == "learnt"
    scene = scene_of(RETURNS, masked=0.2)
    for at in (0, 17):
        seen = scene.observe(at, np.full(4, 0.2))
        np.testing.assert_array_equal(back.weights(seen), learnt.weights(seen))
        assert (learnt.weights(seen)[~scene.mask[at]] == 0.0).all()
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}


def test_changed_and_foreign_folders_are_refused(learnt, tmp_path):
    learnt.save(tmp_path)
    with pytest.raises(DataError, match="holds the policy 'gradient', but 'ppo'"):
        LearntPolicy.restore(tmp_path, "ppo")
    weights = (tmp_path / "weights.safetensors").read_bytes()
    (tmp_path / "weights.safetensors").write_bytes(weights[:-1] + b"!")
    with pytest.raises(DataError, match=r"is not the file that policy\.json was written with"):
        gradient.restore(tmp_path)
    (tmp_path / "weights.safetensors").unlink()
    with pytest.raises(DataError, match=r"lacks weights\.safetensors"):
        gradient.restore(tmp_path)


def test_a_description_of_another_kind_is_refused(learnt, tmp_path):
    learnt.save(tmp_path)
    told = json.loads((tmp_path / "policy.json").read_text())
    (tmp_path / "policy.json").write_text(json.dumps(told | {"format": "alfred.policy.0"}))
    with pytest.raises(DataError, match="is no policy of this version"):
        gradient.restore(tmp_path)


def test_the_policy_decides_as_it_was_judged(learnt):
    scene = scene_of(RETURNS, masked=0.2, frictions=REALISTIC).span(5, 20)
    env = BatchedAccounts(scene, encoder=learnt.encoder)
    with torch.no_grad():
        rewards = rewards_of(env, lambda *seen: decide(learnt.network, *seen))
    # Rewards count a trade's costs to the period after it, values at fills to the one before: their sums are the same.
    np.testing.assert_allclose(rewards.sum(), growth_of(scene, learnt).sum(), atol=1e-9)


def test_many_accounts_judge_a_long_scene_period_by_period():
    scene = scene_of(np.random.default_rng(2).normal(0.02, 0.1, (131, 2)))
    env = BatchedAccounts(scene)
    rewards = rewards_of(env, lambda encoded, mask, held: mask / mask.sum(dim=1, keepdim=True))
    # Without costs it does not matter where an account begins.
    np.testing.assert_allclose(rewards, growth_of(scene, equal_weight.EqualWeight()), atol=1e-12)


def test_the_periods_that_judge_are_not_learnt_from():
    one_look = ManagerSettings(learning=SURE.learning.model_copy(update={"steps": 1}))
    scrambled = RETURNS.copy()
    scrambled[30:] = np.random.default_rng(9).normal(0.0, 0.3, (10, 4))
    first, second = (gradient.fit(scene_of(returns), one_look, 5, Silent()) for returns in (RETURNS, scrambled))
    for mine, other in zip(first.network.parameters(), second.network.parameters(), strict=True):
        assert torch.equal(mine, other)
    assert first.record.gain != second.record.gain
    np.testing.assert_array_equal(first.encoder.of_names.center, second.encoder.of_names.center)


def test_where_nothing_was_learnt_the_start_decides_exactly():
    never = ManagerSettings(learning=SHORT.learning.model_copy(update={"significance": 1e-9, "learning_rate": 1e-6}))
    scene = scene_of(RETURNS, masked=0.3)
    policy = gradient.fit(scene, never, 0, Silent())
    assert policy.record.decider == "equal-weight"
    seen = scene.observe(9, np.array([0.9, 0.0, 0.0, 0.0]))
    np.testing.assert_array_equal(policy.weights(seen), equal_weight.EqualWeight().weights(seen))
    both = scene_of(RETURNS, limits=LimitSettings(gross_max=1.5))
    policy = gradient.fit(both, never, 0, Silent())
    assert policy.record.decider == "cash"
    assert policy.weights(both.observe(9, np.zeros(4))).tolist() == [0.0] * 4


def test_without_periods_to_judge_the_last_step_decides():
    policy = gradient.fit(
        scene_of(RETURNS), ManagerSettings(learning=SHORT.learning.model_copy(update={"valid_share": 0.0})), 0, Silent()
    )
    assert (policy.record.decider, policy.record.best_step, policy.record.gain) == ("learnt", 3, None)


def test_too_few_periods_are_refused():
    with pytest.raises(DataError, match="needs at least 2 periods to learn from, but got 1"):
        gradient.fit(scene_of(RETURNS[:1]), SHORT, 0, Silent())


@pytest.mark.parametrize(
    "reward", [{"kind": "differential_sharpe"}, {"drawdown_penalty": 1.0, "variance_penalty": 2.0}]
)
def test_it_learns_from_every_reward_under_every_friction(reward):
    scene = scene_of(RETURNS, frictions=REALISTIC, limits=LimitSettings(gross_max=1.2, name_max=0.5), noise=0.01)
    policy = gradient.fit(scene, ManagerSettings(learning=SURE.learning, reward=RewardSettings(**reward)), 1, Silent())
    assert np.isfinite(growth_of(scene, policy)).all()
    assert np.abs(policy.weights(scene.observe(3, np.zeros(4)))).sum() > 0.0


def test_gains_that_every_period_shows_are_no_luck_and_noise_is():
    generator = np.random.default_rng(4)
    noise = generator.normal(0.0, 1.0, (24, 6))
    chances = p_values(np.column_stack([noise, generator.normal(2.0, 1.0, 24)]), 0)
    assert chances[-1] == 0.0
    assert chances[:-1].min() > 0.05
    assert p_values(noise[:7], 0).tolist() == [1.0] * 6
    assert p_values(np.zeros((24, 2)), 0).tolist() == [1.0, 1.0]


def test_the_best_of_many_looks_at_noise_seldom_passes():
    generator = np.random.default_rng(8)
    passed = [p_values(generator.normal(0.0, 1.0, (40, 10)), draw).min() <= 0.1 for draw in range(150)]
    # 10% by design; blocks of few periods make it somewhat more, three standard errors are 7%.
    assert 0.02 <= np.mean(passed) <= 0.22


def test_an_unknown_column_is_refused(learnt):
    scene = scene_of(RETURNS)
    with pytest.raises(DataError, match="learnt the columns"):
        learnt.weights(replace(scene, columns=("a", "b", "c", "d")).observe(0, np.zeros(4)))
    assert Encoder.fit(scene).channels == learnt.encoder.channels
