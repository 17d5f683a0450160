"""What a study may ask of an analyst, and what an analyst's file offers under each of its names."""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from alfred.core.contracts import DIRECTION, EXCESS, FUNDAMENTALS, MAGNITUDE, RANK, TOTAL, VELOCITY
from alfred.core.errors import ConfigError
from alfred.core.settings import Settings, suggestion
from alfred.training.losses import Head

Label = Literal[
    "PQ", "PM", "excess", "rank", "velocity", "total_return",
    "next_revenue_growth", "next_Margin_Gross", "next_Margin_Operating", "next_Margin_Net_Profit", "next_EPS_change",
]  # fmt: skip

SIZES = (MAGNITUDE, EXCESS, RANK, VELOCITY, TOTAL)
"""Labels that say how far, not only whether up."""
OPTIONS = ("loss", "size", "layers", "quarters")
"""What a spec may set beside its name and label."""


class AnalystSpec(Settings):
    """One analyst of a study; whatever is None takes the preset's value.

    Attributes:
        name: preset, such as "vanilla.small.tanh".
        label: target to forecast. By default PQ for a sigmoid head and PM for everything else.
        loss: what a network trains on.
        size: width of a network's hidden layers.
        layers: number of a network's hidden layers.
        quarters: quarters of history it looks at, the decision date's own among them.
        untrained: keep a network's initial weights, as a control beside trained ones; never so unless asked for.
        members: analysts of which an ensemble is made; their label is the ensemble's.
        member_seeds: fits of each member whose forecasts depend on chance; default 5.
    """

    name: str
    label: Label | None = None
    loss: str | None = None
    size: int | None = Field(default=None, ge=1, le=65_536)
    layers: int | None = Field(default=None, ge=1, le=1_000)
    quarters: int | None = Field(default=None, ge=1, le=80)
    untrained: bool = False
    members: tuple["AnalystSpec", ...] | None = Field(default=None, min_length=1, max_length=64)
    member_seeds: int | None = Field(default=None, ge=1, le=1_000)


@dataclass(frozen=True)
class Preset:
    """What an analyst's file offers under one name.

    Attributes:
        description: one line for people.
        labels: targets it can forecast, the default first.
        losses: losses it can train on, the default first. One alone is its nature and no option.
        head: what turns a network's raw output into the forecast.
        size, layers: a network's defaults; None where there is no such thing.
        quarters: history it looks at by default.
        random: whether chance plays a part in its learning though it is no network.
        members: an ensemble's default members; empty where it is one analyst.
    """

    description: str
    labels: tuple[str, ...] = (MAGNITUDE, DIRECTION, *SIZES[1:])
    losses: tuple[str, ...] = ("mse",)
    head: Head = "identity"
    size: int | None = None
    layers: int | None = None
    quarters: int = 1
    random: bool = False
    members: tuple[str, ...] = ()

    @property
    def uses_seed(self) -> bool:
        """Whether forecasts depend on the seed: a network's do, through its first weights and the order of rows."""
        return self.random or self.size is not None


@dataclass(frozen=True)
class Choice:
    """A spec with its preset's values filled in; size and layers are 0 where the analyst has none."""

    name: str
    label: str
    loss: str
    head: Head
    size: int
    layers: int
    quarters: int


def choose(spec: AnalystSpec, preset: Preset) -> Choice:
    """Fill the preset's values into `spec`.

    Raises:
        ConfigError: the spec sets an option that this analyst does not take, or to a value that it cannot use.
    """
    for option in ("size", "layers"):
        if getattr(spec, option) is not None and getattr(preset, option) is None:
            raise ConfigError(f"{spec.name} takes no {option}, got {getattr(spec, option)}; remove the option.")
    if spec.untrained and preset.size is None:
        raise ConfigError(f"{spec.name} has no initial weights to forecast with; only networks can stay untrained.")
    for option in ("members", "member_seeds"):
        if getattr(spec, option) is not None and not preset.members:
            raise ConfigError(f"{spec.name} is one analyst and takes no {option}; remove the option.")
    if spec.loss is not None and len(preset.losses) == 1:
        raise ConfigError(f"{spec.name} takes no loss, got {spec.loss!r}; remove the option.")
    if spec.loss is not None and spec.loss not in preset.losses:
        raise ConfigError(f"{spec.name} cannot train on the loss {spec.loss!r}; {suggestion(spec.loss, preset.losses)}")
    # Whoever can say how far a price goes can say it of a figure of the accounts.
    labels = (*preset.labels, *FUNDAMENTALS) if MAGNITUDE in preset.labels else preset.labels
    if spec.label is not None and spec.label not in labels:
        raise ConfigError(
            f"{spec.name} cannot forecast the label {spec.label}; its head is {preset.head}, "
            f"which is for {' and '.join(preset.labels)}."
        )
    return Choice(
        name=spec.name,
        label=spec.label or preset.labels[0],
        loss=spec.loss or preset.losses[0],
        head=preset.head,
        size=spec.size or preset.size or 0,
        layers=spec.layers or preset.layers or 0,
        quarters=spec.quarters or preset.quarters,
    )
