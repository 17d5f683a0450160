"""The market as a Gymnasium environment: one account, one decision a step, every friction and limit.

Observation, action, reward and episode are described in `docs/manager.md`; `batched.BatchedAccounts` is the same for
many accounts at once.
"""

import copy
from typing import Any, Self

import numpy as np

from alfred.backtest.course import Course
from alfred.backtest.settings import LimitSettings
from alfred.core.errors import ConfigError, DataError, MissingExtraError
from alfred.manager._kernels import put_weights
from alfred.manager._single import FIGURES, SingleAccount
from alfred.manager.contracts import Scene
from alfred.manager.encoding import CLIP, LARGEST_WEIGHT, Encoder, Singles
from alfred.manager.known import told
from alfred.manager.reward import Payer
from alfred.manager.settings import RewardSettings

try:
    import gymnasium
    from gymnasium.spaces import Box
except ImportError as missing:
    raise MissingExtraError("the environment needs Gymnasium; pip install 'alfred[manager]'.") from missing


class PortfolioEnv(gymnasium.Env[Singles, Singles]):
    """One account in a scene.

    Attributes:
        observation_space: (S, K) float32, the channels of `Encoder`.
        action_space: (S,) float32 within -1 and 1.
        scale: target weight of an action of 1.
    """

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(
        self,
        scene: Scene,
        *,
        reward: RewardSettings | None = None,
        encoder: Encoder | None = None,
        episode_periods: int | None = None,
    ) -> None:
        """Build the tables of a scene.

        Args:
            scene: the market, its frictions and limits.
            reward: what periods pay; default the log return.
            encoder: of observations, fitted on training decisions; default fitted on this scene.
            episode_periods: of an episode, which then begins at a random decision; default the whole scene, from its
                first decision.

        Raises:
            DataError: as `Course.of`, or a decision comes before the fill of the one before it.
            ConfigError: the scene has fewer periods than an episode.
        """
        if episode_periods is not None and not 1 <= episode_periods <= len(scene):
            raise ConfigError(f"an episode of {episode_periods} periods does not fit a scene of {len(scene)}.")
        part = scene.span(0, len(scene))
        self.course = Course.of(part.bars, part.rows, part.reality, decided=part.decided)
        self.encoder = Encoder.fit(scene) if encoder is None else encoder
        self.reward = RewardSettings() if reward is None else reward
        self.scale = action_scale(part.reality.limits)
        self._periods = len(scene) if episode_periods is None else episode_periods
        self._decisions, self._random = len(scene), episode_periods is not None
        self._mask, self._encoded = np.ascontiguousarray(scene.mask), self.encoder.tables(scene)
        self._capital = part.reality.frictions.capital_usd
        bound = max(CLIP, LARGEST_WEIGHT)
        self.observation_space = Box(-bound, bound, self._encoded.shape[1:], np.float32)
        self.action_space = Box(-1.0, 1.0, (scene.mask.shape[1],), np.float32)
        self._told = told(self.course, scene.decided)
        self._account, self._over = SingleAccount(self.course, self._told), True

    def twin(self) -> Self:
        """Another account of its own on the same tables, as a vector of environments needs."""
        other = copy.copy(self)
        other._account, other._over, other._np_random = SingleAccount(self.course, self._told), True, None
        return other

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Singles, dict[str, float]]:
        """Begin an episode with the initial capital in cash; `options={"at": d}` begins it at decision d."""
        super().reset(seed=seed)
        first = int(self.np_random.integers(self._decisions - self._periods + 1)) if self._random else 0
        first = first if options is None else int(options.get("at", first))
        if not 0 <= first < self._decisions:
            last = self._decisions - 1
            raise ConfigError(f"the scene has decisions 0 to {last}; an episode cannot begin at {first}.")
        self._account.reset(first, self._capital)
        self._end, self._over = min(first + self._periods, self._decisions), False
        self._payer = Payer(self.reward, self._capital)
        return self._observe(), {"worth": self._capital}

    @property
    def at(self) -> int:
        """Number of the next decision."""
        return self._account.at

    def step(self, action: Singles) -> tuple[Singles, float, bool, bool, dict[str, float]]:
        """Trade to `scale` times the action within mask and limits, hold until the next fill, and be paid.

        Returns:
            The next observation; the reward; whether the account is ruined; whether the episode's span is over; and
            dollars before and after the trade and at the period's end, of each cost and flow, with the turnover.

        Raises:
            DataError: the action is not finite, or the episode is over.
        """
        if self._over:
            raise DataError("the episode is over; call reset before the next step.")
        account, single = self._account, np.asarray(action, dtype=np.float32)
        figures, ruined = account.step(single, self.scale, self._mask[account.at])
        info = dict(zip(FIGURES, figures, strict=True))
        info["turnover"] = info["traded"] / info["after"] if info["after"] > 0.0 else 0.0
        paid = self._payer.pay(info["before"], info["worth"])
        truncated = not ruined and account.at >= self._end
        self._over = ruined or truncated
        return self._observe(), paid, ruined, truncated, info

    def _observe(self) -> Singles:
        found: Singles = self._encoded[min(self._account.at, self._decisions - 1)].copy()
        put_weights(self._account.held, LARGEST_WEIGHT, found)
        return found


def action_scale(limits: LimitSettings) -> float:
    """The target weight of an action of 1: what limits allow in one name, where that is more than the account."""
    most = min(limits.gross_max or np.inf, limits.name_max or np.inf)
    return max(1.0, most) if np.isfinite(most) else 1.0
