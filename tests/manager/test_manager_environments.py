"""The Gymnasium environment, its batched twin on the CPU, and the differentiable one: one account, three ways."""

import importlib
import sys
import warnings

import gymnasium.utils.env_checker
import numpy as np
import pytest
import stable_baselines3.common.env_checker
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import scene_of
from wild_scenes import LIMITS, wild, wild_scenes

from alfred.backtest.realistic import run_realistic
from alfred.backtest.settings import REALISTIC, LimitSettings
from alfred.core.errors import ConfigError, DataError, MissingExtraError
from alfred.manager.batched import Accounts, BatchedAccounts
from alfred.manager.environment import PortfolioEnv, action_scale
from alfred.manager.run import run_policy
from alfred.manager.settings import RewardSettings

RETURNS = np.random.default_rng(3).normal(0.02, 0.1, (6, 4))
REWARDS = (
    RewardSettings(),
    RewardSettings(drawdown_penalty=2.0, variance_penalty=3.0),
    RewardSettings(kind="differential_sharpe", decay=0.2, drawdown_penalty=0.5),
)
FIGURES = (
    "before", "after", "worth", "commission", "spread", "impact", "interest", "dividends", "delisted", "borrow",
    "turnover",
)  # fmt: skip


def detached(accounts: Accounts) -> Accounts:
    memory = type(accounts.memory)(*(part.detach() for part in accounts.memory))
    return Accounts(*(memory if part is accounts.memory else part.detach() for part in accounts))


def actions_of(scene, seed, episodes):
    """(episodes, D, S) actions: long, both ways, and some that do nothing; float32 as an agent gives them."""
    rng = np.random.default_rng(seed)
    shape = (episodes, *scene.mask.shape)
    found = rng.uniform(-1.0, 1.0, shape) * rng.choice([0.0, 0.3, 1.0], (episodes, shape[1], 1))
    found[::2] = np.abs(found[::2])
    return found.astype(np.float32)


@settings(max_examples=120, deadline=None)
@given(wild_scenes(), st.sampled_from(REWARDS), st.integers(0, 2**32))
def test_the_three_agree_step_by_step(scene, reward, seed):
    env, twin = PortfolioEnv(scene, reward=reward), BatchedAccounts(scene, reward=reward)
    actions = actions_of(scene, seed, 3)
    alike = accounts = twin.start(torch.zeros(3, dtype=torch.int64))
    told, lives = [env.reset(seed=0)[0]] * 3, [True] * 3
    paths = [list(run_gymnasium(env, path)) for path in actions]
    for at in range(len(scene)):
        for which in (accounts, alike):
            np.testing.assert_allclose(np.array(told), twin.observe(which).detach().numpy(), atol=1e-6)
        target = torch.tensor(actions[:, at].astype(np.float64) * env.scale)
        accounts, outcome = twin.step(accounts, target)
        alike, same = twin.step(detached(alike), target.clone().requires_grad_())
        assert same.reward.requires_grad
        assert not outcome.reward.requires_grad
        same = type(same)(*(part.detach() for part in same))
        for which, path in enumerate(paths):
            if not lives[which]:
                for one in (outcome, same):
                    assert one.ruined[which]
                    assert float(one.reward[which]) == float(one.worth[which]) == 0.0
                continue
            seen, paid, ruined, truncated, info = path[at]
            told[which], lives[which] = seen, not ruined
            for one in (outcome, same):
                assert float(one.reward[which]) == pytest.approx(paid, rel=1e-6, abs=1e-9)
                assert bool(one.ruined[which]) == ruined
                for name in FIGURES:
                    close = {"rel": 1e-9, "abs": 1e-9 * twin.course.reality.frictions.capital_usd}
                    assert float(getattr(one, name)[which]) == pytest.approx(info[name], **close), name
            assert truncated == (at == len(scene) - 1 and not ruined)
        told = [now if live else np.where(np.arange(now.shape[1]) == 0, 0.0, now) for now, live in zip(
            told, lives, strict=True)]  # fmt: skip
        if not all(lives):
            told = refreshed(twin, accounts, told, lives)


def run_gymnasium(env, path):
    env.reset(seed=0)
    for action in path:
        found = env.step(action)
        yield found
        if found[2]:
            return


def refreshed(twin, accounts, told, lives):
    """Ruined accounts go on seeing the market in the batch, where an episode has ended; with nothing held."""
    seen = twin.observe(accounts).numpy()
    for which, live in enumerate(lives):
        if not live:
            assert (seen[which, :, 0] == 0.0).all()
            told[which] = seen[which]
    return told


@settings(max_examples=60, deadline=None)
@given(wild_scenes(), st.integers(0, 2**32))
def test_no_dollar_is_lost(scene, seed):
    """Each step's worth is the one before, less costs, plus what every share and the cash brought, to 1e-9."""
    env, twin = PortfolioEnv(scene), BatchedAccounts(scene)
    prices = twin.course.quotes
    for path in actions_of(scene, seed, 2):
        env.reset(seed=0)
        accounts = twin.start(torch.zeros(1, dtype=torch.int64))
        for at, action in enumerate(path):
            last, end = scene.rows[at], scene.rows[at + 1]
            _, _, ruined, _, info = env.step(action)
            target = torch.tensor(action.astype(np.float64) * env.scale)[None].requires_grad_()
            before = float((accounts.cash + (accounts.shares * torch.tensor(twin.course.mark[at])).sum()).detach())
            accounts, outcome = twin.step(detached(accounts), target)
            if ruined:
                break
            shares = outcome.weights[0].detach().numpy() * info["after"] / twin.course.mark[at]
            gained = 0.0
            for name in np.flatnonzero(shares):
                stop = min(int(twin.course.ends[name]), int(end) + 1)
                path_of = prices[last:stop, name]
                quoted = path_of[~np.isnan(path_of)]
                final = quoted[-1] if len(quoted) else twin.course.mark[at, name]
                gained += shares[name] * (final - twin.course.mark[at, name])
            figures = {name: float(getattr(outcome, name).detach()) for name in FIGURES}
            for found in (info, figures):
                size = max(1.0, np.abs(shares * twin.course.mark[at]).sum() + found["before"])
                paid = found["commission"] + found["spread"] + found["impact"]
                assert abs(found["before"] - before) <= 1e-9 * size
                assert abs(found["before"] - paid - found["after"]) <= 1e-9 * size
                flows = found["interest"] + found["dividends"] + found["delisted"] - found["borrow"]
                assert abs(found["after"] + gained + flows - found["worth"]) <= 1e-9 * size
            left = float(
                accounts.cash.detach() + (accounts.shares.detach() * torch.tensor(twin.course.mark[at + 1])).sum()
            )
            assert left == pytest.approx(info["worth"], rel=1e-9, abs=1e-9 * size)


@pytest.mark.parametrize("limits", LIMITS, ids=str)
def test_the_environment_is_the_account_of_run_realistic(limits):
    scene = wild(5, names=5, decisions=5, limits=limits, gone=0.0)
    env = PortfolioEnv(scene)
    actions = 0.4 * actions_of(scene, 1, 1)[0]
    env.reset()
    found = [env.step(action)[4] for action in actions]
    part = scene.span(0, 5)
    targets = np.where(scene.mask, actions.astype(np.float64) * env.scale, 0.0)
    whole = run_realistic(part.bars, targets, scene.rows[:-1], part.reality)
    capital = scene.reality.frictions.capital_usd
    assert found[-1]["worth"] / capital == pytest.approx(whole.account.value[-1], rel=1e-9)
    for name in ("commission", "spread", "impact", "interest", "dividends", "borrow"):
        np.testing.assert_allclose([one[name] for one in found], getattr(whole, name), rtol=1e-8, atol=1e-9 * capital)


def test_an_agent_in_the_environment_is_told_what_a_policy_is():
    scene = scene_of(RETURNS, noise=0.02, frictions=REALISTIC, masked=0.2)
    env = PortfolioEnv(scene)

    class Network:
        def weights(self, observation):
            return self.act(env.encoder.encode(observation))

        def act(self, encoded):
            return np.float64(0.25) * encoded[:, 1] + 0.5 * encoded[:, 0].astype(np.float64) - 0.01 * encoded[:, 3]

    policy = Network()
    managed = run_policy(scene, policy)
    seen, _ = env.reset()
    for at in range(len(scene)):
        np.testing.assert_allclose(seen[:, 0], managed.held[at], atol=1e-6)
        seen, _, _, _, info = env.step(policy.act(seen).astype(np.float32))
    assert info["worth"] / 1e5 == pytest.approx(managed.run.account.value[-1], rel=1e-6)


def test_checkers_pass():
    scene = scene_of(RETURNS, noise=0.02, frictions=REALISTIC, masked=0.2)
    for env in (PortfolioEnv(scene), PortfolioEnv(scene, episode_periods=3)):
        with warnings.catch_warnings():
            # Both find nothing wrong; they would rather have a registered environment, and images or flat vectors.
            warnings.filterwarnings("ignore", ".*not having a spec.*")
            warnings.filterwarnings("ignore", ".*unconventional shape.*")
            gymnasium.utils.env_checker.check_env(env)
            stable_baselines3.common.env_checker.check_env(env)


def test_episodes_are_spans_that_a_seed_chooses():
    scene = scene_of(RETURNS)
    env = PortfolioEnv(scene, episode_periods=2)
    starts = set()
    for seed in range(40):
        env.reset(seed=seed)
        first = env.at
        starts.add(first)
        assert env.step(np.zeros(4, np.float32))[2:4] == (False, False)
        assert env.step(np.zeros(4, np.float32))[2:4] == (False, True)
        env.reset(seed=seed)
        assert env.at == first
    assert starts == set(range(5))
    env.reset(options={"at": 5})
    assert env.step(np.zeros(4, np.float32))[3]
    with pytest.raises(DataError, match="call reset"):
        env.step(np.zeros(4, np.float32))
    with pytest.raises(ConfigError, match="cannot begin at 6"):
        env.reset(options={"at": 6})
    with pytest.raises(ConfigError, match="does not fit a scene of 6"):
        PortfolioEnv(scene, episode_periods=7)


def test_ruin_ends_an_episode_with_a_finite_reward():
    returns = np.full((4, 2), 0.1)
    returns[1] = [3.0, 4.0]
    env = PortfolioEnv(scene_of(returns, limits=LimitSettings()))
    env.reset()
    env.step(np.array([-0.5, -0.5], np.float32))
    _, paid, ruined, truncated, info = env.step(np.array([-0.5, -0.5], np.float32))
    assert (ruined, truncated, info["worth"]) == (True, False, 0.0)
    assert paid == pytest.approx(np.log(1e-4))


def test_an_action_of_one_is_the_most_of_a_name_that_limits_allow():
    for limits, scale in (
        (LimitSettings(), 1.0),
        (LimitSettings(long_only=True, gross_max=1.0), 1.0),
        (LimitSettings(gross_max=1.0, name_max=0.1), 1.0),
        (LimitSettings(gross_max=3.0, name_max=1.5), 1.5),
        (LimitSettings(gross_max=2.0), 2.0),
    ):
        assert action_scale(limits) == scale
    env = PortfolioEnv(scene_of(RETURNS, limits=LimitSettings(gross_max=2.0, name_max=1.5)))
    env.reset()
    info = env.step(np.array([1.0, 0.0, 0.0, 0.0], np.float32))[4]
    assert info["turnover"] == pytest.approx(1.5)


def test_accounts_of_a_batch_do_not_know_of_one_another():
    scene = wild(7, names=5, decisions=5, limits=LIMITS[4])
    twin, rng = BatchedAccounts(scene, threads=2), np.random.default_rng(0)
    at = torch.tensor(rng.integers(0, 5, 300))
    target, weights = (torch.tensor(rng.normal(0, 0.3, (300, 5))) for _ in range(2))
    whole, together = twin.step(twin.start(at, 0.5 * weights), target)
    for which in (0, 17, 299):
        part = slice(which, which + 1)
        alone, single = twin.step(twin.start(at[part], 0.5 * weights[part]), target[part])
        for one, many in ((alone.held, whole.held), (single.reward, together.reward), (single.worth, together.worth)):
            torch.testing.assert_close(one, many[part], rtol=0.0, atol=0.0)


def test_an_account_may_begin_with_weights():
    scene = scene_of(RETURNS)
    twin = BatchedAccounts(scene)
    accounts = twin.start(torch.tensor([2]), torch.tensor([[0.5, 0.1, 0.0, 0.0]]))
    _, outcome = twin.step(accounts, torch.tensor([[0.5, 0.1, 0.0, 0.0]]))
    assert float(outcome.traded) == pytest.approx(0.0, abs=1e-9)
    assert float(outcome.growth) == pytest.approx(np.log1p(0.5 * RETURNS[2, 0] + 0.1 * RETURNS[2, 1]))


def test_names_that_cannot_be_traded_are_not_begun_with():
    scene = wild(9, names=6, decisions=4, gone=0.5)
    twin = BatchedAccounts(scene)
    accounts = twin.start(torch.arange(4), torch.full((4, 6), 0.1))
    closed = (twin.course.most <= 0.0) | ~scene.mask
    assert closed.any()
    np.testing.assert_array_equal(accounts.held.numpy(), np.where(closed, 0.0, np.float32(0.1)))
    np.testing.assert_allclose(accounts.cash.numpy(), 1e5 * (1.0 - accounts.held.numpy().sum(axis=1)))


def test_without_gymnasium_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    monkeypatch.delitem(sys.modules, "alfred.manager.environment")
    with pytest.raises(MissingExtraError, match=r"pip install 'alfred\[manager\]'"):
        importlib.import_module("alfred.manager.environment")


def test_a_sector_limit_needs_sectors():
    scene = scene_of(RETURNS, limits=LimitSettings(sector_max=0.5))
    for make in (PortfolioEnv, BatchedAccounts):
        with pytest.raises(DataError, match="needs each name's sector"):
            make(scene)


def test_wrong_targets_are_refused():
    twin = BatchedAccounts(scene_of(RETURNS))
    accounts = twin.start(torch.tensor([5]))
    with pytest.raises(DataError, match=r"shape \(1, 4\), got \(1, 3\)"):
        twin.step(accounts, torch.zeros(1, 3))
    for wants in (False, True):
        with pytest.raises(DataError, match="must be finite"):
            twin.step(accounts, torch.full((1, 4), torch.nan, requires_grad=wants))
    env = PortfolioEnv(scene_of(RETURNS))
    env.reset()
    with pytest.raises(DataError, match="must be finite"):
        env.step(np.full(4, np.inf, np.float32))
    accounts, _ = twin.step(accounts, torch.zeros(1, 4))
    with pytest.raises(DataError, match="last decision is 5"):
        twin.step(accounts, torch.zeros(1, 4))
