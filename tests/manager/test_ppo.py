import sys

import numpy as np
import pytest
import torch
from toy import scene_of

from alfred.core.errors import MissingExtraError
from alfred.core.progress import Silent
from alfred.manager.environment import PortfolioEnv
from alfred.manager.policies import ppo
from alfred.manager.settings import LearningSettings, ManagerSettings

SHORT = ManagerSettings(
    learning=LearningSettings(width=8, layers=1, steps=1, batch=8, episode_periods=6, significance=1.0)
)
RETURNS = np.random.default_rng(41).normal(0.02, 0.1, (40, 4))


@pytest.fixture(scope="module")
def learnt():
    return ppo.fit(scene_of(RETURNS, masked=0.2), SHORT, 5, Silent())


def test_one_seed_learns_one_policy_and_leaves_no_trace_in_random_numbers(learnt):
    np.random.seed(77)  # noqa: NPY002
    torch.manual_seed(77)
    numpys, torchs = np.random.random(), torch.rand(1)  # noqa: NPY002
    np.random.seed(77)  # noqa: NPY002
    torch.manual_seed(77)
    again = ppo.fit(scene_of(RETURNS, masked=0.2), SHORT, 5, Silent())
    assert np.random.random() == numpys  # noqa: NPY002
    assert torch.equal(torch.rand(1), torchs)
    for mine, other in zip(learnt.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(mine, other)
    assert learnt.record.steps == 1008
    assert any(weights.abs().max() > 0.0 for weights in learnt.network.linear.parameters())


def test_it_is_kept_without_pickle_and_decides_as_before(learnt, tmp_path):
    learnt.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}
    back, scene = ppo.restore(tmp_path), scene_of(RETURNS, masked=0.2)
    seen = scene.observe(17, np.full(4, 0.2))
    np.testing.assert_array_equal(back.weights(seen), learnt.weights(seen))
    assert (learnt.weights(seen)[~scene.mask[17]] == 0.0).all()


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'alfred\[manager\]'"):
        ppo.fit(scene_of(RETURNS), SHORT, 0, Silent())


def test_twins_on_one_set_of_tables_do_not_touch_one_another():
    scene = scene_of(RETURNS)
    alone, first = PortfolioEnv(scene), PortfolioEnv(scene)
    second = first.twin()
    for env in (alone, first, second):
        env.reset(seed=1)
    generator = np.random.default_rng(1)
    for _ in range(5):
        action = generator.random(4).astype(np.float32) / 4
        wanted = alone.step(action)
        second.step(np.zeros(4, dtype=np.float32))
        found = first.step(action)
        np.testing.assert_array_equal(found[0], wanted[0])
        assert found[1:] == wanted[1:]
