"""Direct ascent of the reward through the account, as every period's is differentiable in the weights.

Policies that maximise what they are paid, without a value function between, are due to Moody and Saffell (2001,
"Learning to trade via direct reinforcement", IEEE Transactions on Neural Networks 12). Each step draws spans of the
training periods, lets the network trade through them with the weights that it holds carried along, and moves its
parameters along the gradient of the mean reward, back through all periods of the span. What an account holds when its
span begins comes from a portfolio-vector memory (Jiang, Xu and Liang, 2017, "A Deep Reinforcement Learning Framework
for the Financial Portfolio Management Problem", arXiv:1706.10059): the weights that the policy last arrived with at
that decision. A share of the accounts begins in cash instead, as every account does one day.

Weight decay pulls to the start, not to zero (Li, Grandvalet and Davoine, 2018, "Explicit inductive bias for transfer
learning with convolutional networks", ICML), and the start is what decides where later periods do not show that
anything was learnt (`judging`).
"""

import math
from pathlib import Path

import torch
from torch import Tensor

from alfred.core.errors import DataError
from alfred.core.progress import Progress
from alfred.manager.batched import BatchedAccounts
from alfred.manager.contracts import PolicyDescription, Scene
from alfred.manager.judging import LOOKS, Judge, Task
from alfred.manager.learnt import LearntPolicy, decide, start_weights
from alfred.manager.settings import ManagerSettings
from alfred.training.compute import parameters_of, threads

NAME = "gradient"
FROM_CASH = 0.25
"""Share of the accounts whose span begins in cash."""
MAX_GRADIENT_NORM = 1.0
DESCRIPTION = PolicyDescription(
    title="direct gradient of the account's reward",
    learns=True,
    uses_forecasts=True,
    reference="Moody and Saffell (2001), Learning to trade via direct reinforcement; Jiang, Xu and Liang (2017)",
)


def fit(scene: Scene, settings: ManagerSettings, seed: int, progress: Progress) -> LearntPolicy:
    """Learn on the first periods of a scene, and let its last ones choose when to stop.

    Raises:
        DataError: the scene is too short, or the gradient is no longer finite.
    """
    task = Task.of(scene, settings, seed)
    judge, steps = Judge(task, settings), settings.learning.steps
    rows = settings.learning.batch * len(scene.bars.symbols)
    every = -(-steps // LOOKS)
    progress.start(NAME, steps)
    with threads(None, parameters_of(task.network), rows):
        ascent = _Ascent(task, settings, seed)
        for step in range(steps):
            ascent.step(step / steps)
            looked = (step + 1) % every == 0 or step + 1 == steps
            progress.advance(NAME, note=judge.look(step + 1) if looked else "")
        policy = judge.settle(NAME, seed)
    progress.finish(NAME, note=f"{policy.record.decider} decides")
    return policy


def restore(folder: Path) -> LearntPolicy:
    """What `save` wrote."""
    return LearntPolicy.restore(folder, NAME)


class _Ascent:
    """The state of a training: parameters, Adam's moments, the portfolio-vector memory and random numbers."""

    def __init__(self, task: Task, settings: ManagerSettings, seed: int) -> None:
        self._learning, self._network = settings.learning, task.network
        self._env = BatchedAccounts(task.train, reward=settings.reward, encoder=task.encoder)
        self._periods = min(settings.learning.episode_periods, len(task.train))
        self._random = torch.Generator().manual_seed(seed)
        self._first = [weights.detach().clone() for weights in self._network.parameters()]
        self._adam = torch.optim.Adam(self._network.parameters(), lr=settings.learning.learning_rate)
        arrived = torch.from_numpy(start_weights(task.train.mask, task.start))
        # Row d is what decision d finds; nothing comes before the first.
        self._memory = torch.cat([torch.zeros_like(arrived[:1]), arrived])

    def step(self, done: float) -> None:
        """One step along the gradient; the rate falls from its first value to 0 by half a cosine."""
        rate = self._learning.learning_rate * 0.5 * (1.0 + math.cos(math.pi * done))
        self._adam.param_groups[0]["lr"] = rate
        self._adam.zero_grad()
        (-self._mean_reward()).backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self._network.parameters(), MAX_GRADIENT_NORM)
        if not bool(torch.isfinite(norm)):
            raise DataError("the gradient of the reward is no longer finite; lower learning.learning_rate.")
        self._adam.step()
        with torch.no_grad():
            for weights, first in zip(self._network.parameters(), self._first, strict=True):
                weights.sub_(rate * self._learning.weight_decay * (weights - first))

    def _mean_reward(self) -> Tensor:
        """A period's, over a batch of spans; what the accounts arrive with goes into the memory."""
        batch, env = self._learning.batch, self._env
        first = torch.randint(env.decisions - self._periods + 1, (batch,), generator=self._random)
        from_cash = torch.rand(batch, generator=self._random) < FROM_CASH
        accounts = env.start(first, torch.where(from_cash[:, None], 0.0, self._memory[first]))
        paid = torch.zeros((), dtype=torch.float64)
        for _ in range(self._periods):
            target = decide(self._network, env.observe(accounts), env.mask(accounts), accounts.held)
            accounts, outcome = env.step(accounts, target)
            paid = paid + outcome.reward.mean()
            self._memory[accounts.at] = accounts.held.detach()
        return paid / self._periods
