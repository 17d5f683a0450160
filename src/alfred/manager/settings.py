"""Settings of the manager: who decides, how often, under which frictions and limits, and what it is paid for."""

from typing import Literal

from pydantic import Field, field_validator

from alfred.backtest.settings import REALISTIC, FrictionSettings, LimitSettings
from alfred.core.plugins import plugin_names
from alfred.core.settings import Seed, Settings, suggestion

POLICIES = "alfred.manager.policies"
RULES = ("cash", "equal-weight", "buy-and-hold", "inverse-volatility", "top-decile", "magnitude-choice")
"""Rules that need nothing but the core and no time; others, and the policies that learn, are asked for by name."""
LONG_ONLY = LimitSettings(long_only=True, gross_max=1.0)
"""All weights at least 0 and together at most the account: no shorts, no borrowing."""


class RewardSettings(Settings):
    """What one period pays.

    Attributes:
        kind: "log_return", log of the account's value after over before all costs; or "differential_sharpe" (Moody and
            Saffell, 2001, "Learning to trade via direct reinforcement", IEEE Transactions on Neural Networks 12).
        drawdown_penalty: times what the period adds to the drawdown (a share of the highest value so far).
        variance_penalty: times half the squared return.
        decay: of the moving averages of the differential Sharpe ratio.
    """

    kind: Literal["log_return", "differential_sharpe"] = "log_return"
    drawdown_penalty: float = Field(default=0.0, ge=0.0, le=100.0)
    variance_penalty: float = Field(default=0.0, ge=0.0, le=100.0)
    decay: float = Field(default=0.05, gt=0.0, le=1.0)


class LearningSettings(Settings):
    """How the policies that learn do so.

    Attributes:
        width, layers: of the network that looks at each name.
        steps: of gradient ascent, or of the environment for `ppo` in thousands.
        batch: accounts in a step.
        episode_periods: periods in an episode; shorter where the training span is.
        learning_rate: of the first step.
        weight_decay: of the optimiser.
        valid_share: last share of the training periods that only choose when to stop.
        significance: largest p-value, on these periods, of what was learnt against its start at which it may decide.
    """

    width: int = Field(default=32, ge=1, le=1024)
    layers: int = Field(default=2, ge=1, le=16)
    steps: int = Field(default=300, ge=1, le=1_000_000)
    batch: int = Field(default=64, ge=1, le=65_536)
    episode_periods: int = Field(default=12, ge=1, le=400)
    learning_rate: float = Field(default=3e-3, gt=0.0, le=1.0)
    weight_decay: float = Field(default=1e-3, ge=0.0, le=1.0)
    valid_share: float = Field(default=0.25, ge=0.0, le=0.9)
    significance: float = Field(default=0.1, gt=0.0, le=1.0)


class ManagerSettings(Settings):
    """Everything that determines a manager.

    Attributes:
        policies: who decides; each is judged against all that are simpler, and against 1/N in any case.
        analysts: whose forecasts it sees, by their entries in the study; default all but the naive one.
        hide: columns of names and of the market that it is not shown, such as "log_dollar_volume" where the names are
            known to have grown.
        rebalance: how often it may trade.
        seeds: trainings of each policy that learns.
        first_periods: periods before its first own decision, which it may only learn from.
        refit_periods: periods between two trainings.
        covariance_sessions: daily returns from which rules estimate risk.
        most_names: rules that invert a covariance look at so many names, those of the largest dollar volume.
        frictions, limits: of the account.
        reward: what policies learn from.
        learning: how.
    """

    policies: tuple[str, ...] = RULES
    analysts: tuple[str, ...] = ()
    hide: tuple[str, ...] = ()
    rebalance: Literal["quarterly", "monthly"] = "quarterly"
    seeds: tuple[Seed, ...] = Field(default=tuple(range(10)), min_length=1)
    first_periods: int = Field(default=16, ge=4, le=400)
    refit_periods: int = Field(default=4, ge=1, le=400)
    covariance_sessions: int = Field(default=252, ge=20, le=2520)
    most_names: int = Field(default=100, ge=2, le=1000)
    frictions: FrictionSettings = REALISTIC
    limits: LimitSettings = LONG_ONLY
    reward: RewardSettings = RewardSettings()
    learning: LearningSettings = LearningSettings()

    @field_validator("policies")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        names = tuple(name.replace("_", "-") for name in value)
        there = plugin_names(POLICIES)
        for name in names:
            # Not imported here: a study names policies that its run has no use for.
            if name.replace("-", "_") not in there:
                raise ValueError(f"there is no {name!r} among the policies; {suggestion(name, there)}")
            if names.count(name) > 1:
                raise ValueError(f"the policy {name} is named twice")
        return names

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a seed is named twice; results of one seed would count double")
        return value
