"""The notes' plain network: the window flattened, then layers of one width or an hourglass, then a head."""

import functools
from pathlib import Path

from torch import nn

from alfred.analysts._network import Build, NetworkAnalyst, empty_network, restore_network
from alfred.analysts._plain import HEADS, SIGNED, PlainNetwork
from alfred.analysts._presets import SIZES, AnalystSpec, Choice, Preset, choose
from alfred.core.contracts import FittedAnalyst
from alfred.core.errors import ConfigError
from alfred.core.progress import Progress
from alfred.training.compute import parameters_of
from alfred.training.losses import outputs_of
from alfred.training.settings import TrainSettings

_SIZES = {"small": (10, 256), "medium": (10, 1024), "large": (100, 1024)}
_COMPRESSION = "vanilla.compression.tanh"


def _presets() -> dict[str, Preset]:
    presets = {
        f"vanilla.{word}{head.ending}": head.preset(f"{layers} layers of {size}", size, layers)
        for word, (layers, size) in _SIZES.items()
        for head in HEADS
    }
    presets[_COMPRESSION] = Preset(
        "5 layers, each half of the one before and then back (1024 to 256), tanh head: magnitude",
        SIZES,
        SIGNED,
        "tanh",
        1024,
        5,
    )
    return presets


PRESETS = _presets()


def _widths(choice: Choice) -> tuple[int, ...]:
    if choice.name != _COMPRESSION:
        return (choice.size,) * choice.layers
    halvings = choice.layers // 2
    if choice.layers % 2 == 0 or choice.size % 2**halvings:
        raise ConfigError(
            f"{_COMPRESSION} needs an odd number of layers and a size that can be halved {halvings} times, "
            f"got {choice.layers} layers of size {choice.size}."
        )
    down = [choice.size // 2**step for step in range(halvings + 1)]
    return tuple(down + down[-2::-1])


def _build(choice: Choice, columns: int, quarters: int) -> nn.Module:
    return PlainNetwork(columns * quarters, _widths(choice), outputs_of(choice.head))


def _build_of(choice: Choice) -> Build:
    _widths(choice)  # refuses a shape that cannot be built, before any data are read
    return functools.partial(_build, choice)


def _choose(spec: AnalystSpec) -> Choice:
    return choose(spec, PRESETS[spec.name])


def create(spec: AnalystSpec, train_settings: TrainSettings, seed: int, progress: Progress) -> NetworkAnalyst:
    """An analyst that has not learnt yet.

    Raises:
        ConfigError: the spec asks for what it cannot do.
    """
    choice = _choose(spec)
    return NetworkAnalyst(spec, choice, _build_of(choice), train_settings, seed, progress)


def restore(folder: Path) -> FittedAnalyst:
    """What `save` wrote."""
    return restore_network(folder, _choose, _build_of)


def parameters(choice: Choice, columns: int, quarters: int) -> int:
    """All learnt numbers, input weights and head included."""
    return parameters_of(empty_network(_build_of(choice), columns, quarters))


def notes_parameters(choice: Choice) -> int | None:
    """The notes' size^2 (layers - 1) + size layers: hidden weights and biases, without input weights and head."""
    if choice.name == _COMPRESSION:
        return None
    return choice.size**2 * (choice.layers - 1) + choice.size * choice.layers
