"""When to stop learning, and whether anything was learnt: told by periods after those that were learnt from.

A training is looked at now and then. The best of many looks beats a fixed rule by luck alone, the more so the wilder
they are. So each look's mean reward on the later periods, less that of the start (1/N where long-only, otherwise cash),
is held against the largest that any look would reach by luck (a single step of Romano and Wolf, 2005, "Stepwise
multiple testing as formalized data snooping", Econometrica 73). Of the looks whose p-value is at most
`LearningSettings.significance` the one with the largest mean decides. Where there is none, the start decides, exactly:
a manager that learnt nothing is not noise.
"""

import copy
import time
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import torch
from torch import Tensor

from alfred.core.contracts import Floats
from alfred.core.errors import DataError
from alfred.evaluation.bootstrap import stationary_counts
from alfred.manager.batched import BatchedAccounts
from alfred.manager.contracts import Scene
from alfred.manager.encoding import Encoder
from alfred.manager.learnt import Decider, LearningRecord, LearntPolicy, decide, start_weights
from alfred.manager.network import NetworkShape, PortfolioNetwork
from alfred.manager.settings import ManagerSettings
from alfred.training.compute import build_seeded

LOOKS = 20
"""At a training, evenly spread over its steps."""
MEAN_BLOCK = 4.0
"""Periods of a block of the test's bootstrap, on average."""
DRAWS = 1000
FEWEST_PERIODS = 8
"""From fewer nothing can be told, and the start decides."""
FEWEST_TOGETHER = 64
"""Periods that one account goes through at least when many judge a long span side by side, each from all in cash."""


class Rule(Protocol):
    """What (B, S) weights accounts want, before they are brought within limits."""

    def __call__(self, encoded: Tensor, mask: Tensor, held: Tensor) -> Tensor:
        """Of (B, S, K) encoded observations, (B, S) names that may be held and (B, S) weights held."""


@dataclass(frozen=True)
class Task:
    """What every policy that learns begins with.

    Attributes:
        train: periods to learn from.
        valid: later ones, which only judge; None where there are none.
        encoder: fitted on `train`.
        network: at its start.
        start: who decides where nothing was learnt.
    """

    train: Scene
    valid: Scene | None
    encoder: Encoder
    network: PortfolioNetwork
    start: Decider

    @classmethod
    def of(cls, scene: Scene, settings: ManagerSettings, seed: int) -> Self:
        """Divide a scene and build the network; its limits say whether shorts are learnt, and how much gross.

        Raises:
            DataError: the scene is too short to leave a period to learn from.
        """
        learning, limits = settings.learning, scene.reality.limits
        judged = int(len(scene) * learning.valid_share)
        if len(scene) - judged < 2:
            raise DataError(f"a policy needs at least 2 periods to learn from, but got {len(scene)}, {judged} of them "
                            "to judge it; train on more, or lower learning.valid_share.")  # fmt: skip
        train = scene.span(0, len(scene) - judged)
        encoder = Encoder.fit(train)
        shape = NetworkShape(
            channels=len(encoder.channels),
            market_channels=encoder.market_channels,
            width=learning.width,
            layers=learning.layers,
            long_only=limits.long_only,
            gross=1.0 if limits.gross_max is None else limits.gross_max,
        )
        return cls(
            train=train,
            valid=scene.span(len(train), len(scene)) if judged else None,
            encoder=encoder,
            network=build_seeded(lambda: PortfolioNetwork(shape), seed),
            start="equal-weight" if limits.long_only else "cash",
        )


class Judge:
    """Looks at a training, and says in the end who decides."""

    def __init__(self, task: Task, settings: ManagerSettings) -> None:
        self._task, self._significance = task, settings.learning.significance
        self._began = time.perf_counter()
        self._steps, self._gains, self._stages = list[int](), list[Floats](), list[dict[str, Tensor]]()
        self._env: BatchedAccounts | None = None
        if task.valid is not None:
            self._env = BatchedAccounts(task.valid, reward=settings.reward, encoder=task.encoder)
            self._start = rewards_of(self._env, _rule_of(task.start))

    def look(self, step: int) -> str:
        """Judge the network as it is after `step` steps; gives a remark for who watches."""
        network = self._task.network
        self._steps.append(step)
        self._stages.append(copy.deepcopy(network.state_dict()))
        if self._env is None:
            return ""
        with torch.no_grad():
            self._gains.append(rewards_of(self._env, lambda *seen: decide(network, *seen)) - self._start)
        return f"{1e4 * self._gains[-1].mean():+.1f} bps a period to the start"

    def settle(self, name: str, seed: int) -> LearntPolicy:
        """The policy of the last look where there is none to judge it, of the best one, or the start."""
        task, chosen, learnt = self._task, len(self._steps) - 1, True
        gain = p_value = None
        if task.valid is not None:
            gains = np.stack(self._gains, axis=1)
            means, luck = gains.mean(axis=0), p_values(gains, seed)
            sure = luck <= self._significance
            learnt = bool(sure.any())
            chosen = int(np.where(sure, means, -np.inf).argmax() if learnt else means.argmax())
            gain, p_value = float(means[chosen]), float(luck[chosen])
        task.network.load_state_dict(self._stages[chosen])
        record = LearningRecord(
            seed=seed,
            periods=len(task.train),
            valid_periods=0 if task.valid is None else len(task.valid),
            steps=self._steps[-1],
            best_step=self._steps[chosen],
            gain=gain,
            p_value=p_value,
            decider="learnt" if learnt else task.start,
            seconds=time.perf_counter() - self._began,
        )
        return LearntPolicy(name, task.encoder, task.network.eval(), record)


def p_values(gains: Floats, seed: int) -> Floats:
    """(K,) chance that the best of K looks gains as much as each did, over its error, where none gains anything.

    Args:
        gains: (D, K) of D periods; of fewer than `FEWEST_PERIODS` every p-value is 1.
        seed: of the stationary bootstrap.
    """
    periods, looks = gains.shape
    if periods < FEWEST_PERIODS:
        return np.ones(looks)
    means, error = gains.mean(axis=0), gains.std(axis=0, ddof=1) / np.sqrt(periods)
    scale = np.where(error > 1e-12, error, np.inf)
    drawn = stationary_counts(periods, MEAN_BLOCK, DRAWS, seed) @ gains / periods - means
    highest = (drawn / scale).max(axis=1)
    chances: Floats = (highest[:, None] >= means / scale).mean(axis=0)
    return chances


def rewards_of(env: BatchedAccounts, rule: Rule) -> Floats:
    """(D,) rewards of a rule from all in cash; many accounts share a long scene, each a span of it."""
    together = max(1, env.decisions // FEWEST_TOGETHER)
    span = -(-env.decisions // together)
    # The last spans overlap where their number does not divide the decisions; the later account's rewards count.
    first = np.linspace(0, env.decisions - span, together).round().astype(np.int64)
    accounts, found = env.start(torch.from_numpy(first)), np.empty(env.decisions)
    for period in range(span):
        target = rule(env.observe(accounts), env.mask(accounts), accounts.held)
        accounts, outcome = env.step(accounts, target)
        found[first + period] = outcome.reward.numpy()
    return found


def _rule_of(start: Decider) -> Rule:
    def rule(encoded: Tensor, mask: Tensor, held: Tensor) -> Tensor:  # noqa: ARG001
        return torch.from_numpy(start_weights(mask.numpy(), start))

    return rule
