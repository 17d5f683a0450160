"""Proximal policy optimisation (Schulman et al., 2017, arXiv:1707.06347) by stable-baselines3, on the same network.

What is drawn at random are the network's scores, not the weights: a normal distribution around them with one deviation
for all names, one for cash and one for the pace. Weights follow from scores as everywhere, so that every draw is a
portfolio, and permuting names changes nothing. Of N names' scores drawn at once each blurs what the others did: it
needs many more periods than `gradient`, which knows how the account pays, and the more the larger N is.

What was learnt is kept as safetensors; stable-baselines3's own files, which are pickled, are never written or read.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from alfred.core.errors import MissingExtraError
from alfred.core.progress import Progress
from alfred.manager.contracts import PolicyDescription, Scene
from alfred.manager.encoding import HELD, MASK
from alfred.manager.judging import LOOKS, Judge, Task
from alfred.manager.learnt import LearntPolicy
from alfred.manager.network import PortfolioNetwork, Scores, portfolio
from alfred.manager.settings import ManagerSettings
from alfred.training.compute import parameters_of, seeded, threads

NAME = "ppo"
LARGEST_SCORE = 50.0
FIRST_DEVIATION = 1.0
"""Of scores; e to it is how far it multiplies the weight of a name."""
EPOCHS, MINIBATCHES = 4, 4
DISCOUNT, TRACE = 0.7, 0.7
"""A decision matters to later rewards through the weights it leaves behind, which are gone after few periods."""
LARGEST_DIVERGENCE = 0.03
PERCENT = 100.0
"""Rewards in percent are of the size that a critic learns from."""
DESCRIPTION = PolicyDescription(
    title="proximal policy optimisation",
    learns=True,
    uses_forecasts=True,
    reference="Schulman, Wolski, Dhariwal, Radford and Klimov (2017), Proximal policy optimization algorithms",
)


def fit(scene: Scene, settings: ManagerSettings, seed: int, progress: Progress) -> LearntPolicy:
    """Learn on the first periods of a scene, and let its last ones choose when to stop.

    Raises:
        MissingExtraError: stable-baselines3 or Gymnasium is not installed.
        DataError: the scene is too short.
    """
    _require()
    from stable_baselines3 import PPO

    task, learning = Task.of(scene, settings, seed), settings.learning
    judge, steps = Judge(task, settings), learning.steps * 1000
    progress.start(NAME, steps)
    periods = min(learning.episode_periods, len(task.train))
    with threads(None, parameters_of(task.network), learning.batch * len(scene.bars.symbols)), _drawn(seed):
        model = PPO(
            _policy_of(task.network),
            _environments(task, settings, periods, seed),
            learning_rate=lambda left: learning.learning_rate * left,
            n_steps=periods,
            batch_size=max(2, periods * learning.batch // MINIBATCHES),
            n_epochs=EPOCHS,
            gamma=DISCOUNT,
            gae_lambda=TRACE,
            target_kl=LARGEST_DIVERGENCE,
            device="cpu",
        )
        model.learn(steps, callback=_watch(judge, steps, progress))
    policy = judge.settle(NAME, seed)
    progress.finish(NAME, note=f"{policy.record.decider} decides")
    return policy


def restore(folder: Path) -> LearntPolicy:
    """What `save` wrote; it decides without stable-baselines3."""
    return LearntPolicy.restore(folder, NAME)


def _require() -> None:
    try:
        import gymnasium  # noqa: F401
        import stable_baselines3  # noqa: F401
    except ImportError as missing:
        raise MissingExtraError(
            "the policy ppo needs stable-baselines3 and Gymnasium; pip install 'alfred[manager]'."
        ) from missing


@contextmanager
def _drawn(seed: int) -> Iterator[None]:
    """Draw from `seed`, also where stable-baselines3 shuffles by numpy's global state, and leave no trace."""
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed % 2**32)  # noqa: NPY002
    try:
        with seeded(seed):
            yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


def _environments(task: Task, settings: ManagerSettings, periods: int, seed: int) -> Any:
    """A vector of `PortfolioEnv` over one set of tables, whose actions are scores and whose rewards are in percent."""
    from gymnasium.spaces import Box
    from stable_baselines3.common.vec_env import DummyVecEnv, VecEnvWrapper

    from alfred.manager.environment import PortfolioEnv

    first = PortfolioEnv(task.train, reward=settings.reward, encoder=task.encoder, episode_periods=periods)
    names, shape = task.train.mask.shape[1], task.network.shape

    class Scored(VecEnvWrapper):
        def __init__(self) -> None:
            inner = DummyVecEnv([first.twin for _ in range(settings.learning.batch)])
            space = Box(-LARGEST_SCORE, LARGEST_SCORE, (names + 2,), np.float32)
            super().__init__(inner, action_space=space)
            self._seen = torch.empty(0)

        def reset(self) -> Any:
            found = self.venv.reset()
            self._seen = torch.from_numpy(np.array(found))
            return found

        def step_async(self, actions: Any) -> None:
            drawn, mask, held = torch.from_numpy(actions), self._seen[..., MASK] > 0.5, self._seen[..., HELD].double()
            target = portfolio(_split(drawn), mask, held, long_only=shape.long_only, gross=shape.gross)
            self.venv.step_async((target / first.scale).numpy().astype(np.float32))

        def step_wait(self) -> Any:
            found, rewards, over, told = self.venv.step_wait()
            self._seen = torch.from_numpy(np.array(found))
            return found, rewards * PERCENT, over, told

    made = Scored()
    made.seed(seed)
    return made


def _split(actions: Tensor) -> Scores:
    return Scores(actions[:, :-2], actions[:, -2], actions[:, -1])


def _policy_of(network: PortfolioNetwork) -> Any:
    """A policy class of stable-baselines3 around the network, with a critic that sees names through their mean."""
    from stable_baselines3.common.distributions import DiagGaussianDistribution
    from stable_baselines3.common.policies import ActorCriticPolicy

    class Policy(ActorCriticPolicy):
        def _build(self, lr_schedule: Callable[[float], float]) -> None:
            width, channels = network.shape.width, network.shape.channels
            self.network = network
            self.critic = nn.Sequential(nn.Linear(channels, width), nn.SiLU())
            self.worth = nn.Linear(width, 1)
            self.log_std = nn.Parameter(torch.full((3,), np.log(FIRST_DEVIATION)))
            self.optimizer = torch.optim.Adam(self.parameters(), lr=lr_schedule(1.0))

        def forward(self, obs: Any, deterministic: bool = False) -> tuple[Tensor, Tensor, Tensor]:
            drawn = self.get_distribution(obs)
            actions = drawn.get_actions(deterministic=deterministic)
            return actions, self.predict_values(obs), drawn.log_prob(actions)

        def evaluate_actions(self, obs: Any, actions: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
            drawn = self.get_distribution(obs)
            return self.predict_values(obs), drawn.log_prob(actions), drawn.entropy()

        def get_distribution(self, obs: Any) -> Any:
            scores = self.network(obs)
            means = torch.cat([scores.names, scores.cash[:, None], scores.pace[:, None]], dim=1)
            names = self.log_std[:1].expand(means.shape[1] - 2)
            return DiagGaussianDistribution(means.shape[1]).proba_distribution(
                means, torch.cat([names, self.log_std[1:]])
            )

        def predict_values(self, obs: Any) -> Tensor:
            found: Tensor = self.worth(self.critic(obs).mean(dim=1))
            return found

    return Policy


def _watch(judge: Judge, steps: int, progress: Progress) -> Any:
    """Looks at the training `LOOKS` times, after a rollout has been learnt from."""
    from stable_baselines3.common.callbacks import BaseCallback

    class Watch(BaseCallback):
        def __init__(self) -> None:
            super().__init__()
            self._told, self._looked = 0, 0

        def _on_step(self) -> bool:
            return True

        def _on_rollout_start(self) -> None:
            self._tell(last=False)

        def _on_training_end(self) -> None:
            self._tell(last=True)

        def _tell(self, *, last: bool) -> None:
            due = self.num_timesteps - self._looked >= steps / LOOKS
            if not (due or last):
                return
            self._looked = self.num_timesteps
            note = judge.look(self.num_timesteps)
            progress.advance(NAME, min(self.num_timesteps, steps) - self._told, note=note)
            self._told = min(self.num_timesteps, steps)

    return Watch()
