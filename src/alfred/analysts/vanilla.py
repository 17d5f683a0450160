"""The notes' plain network: the window flattened, then layers of one width or an hourglass, then a head."""

import functools
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional as f

from alfred.analysts._network import Build, NetworkAnalyst, empty_network, restore_network
from alfred.analysts._presets import SIZES, AnalystSpec, Choice, Preset, choose
from alfred.core.contracts import DIRECTION, FittedAnalyst
from alfred.core.errors import ConfigError
from alfred.core.progress import Progress
from alfred.training.compute import parameters_of
from alfred.training.settings import TrainSettings

HEAD_SCALE = 0.1
"""The head's first weights are this fraction of torch's, so that untrained forecasts have the size of labels."""

_SIZES = {"small": (10, 256), "medium": (10, 1024), "large": (100, 1024)}
_COMPRESSION = "vanilla.compression.tanh"
_DIRECTIONS = ("bce", "mse")
_PLAIN = ("mse", "huber", "huber-sign", "mse-sign", "sign-ratio")
_SIGNED = ("huber-sign", "mse-sign", "sign-ratio", "huber", "mse")


def _presets() -> dict[str, Preset]:
    presets = {}
    for word, (layers, size) in _SIZES.items():
        shape = f"{layers} layers of {size}"
        presets[f"vanilla.{word}"] = Preset(
            f"{shape}, sigmoid head: probability of a rise", (DIRECTION,), _DIRECTIONS, "sigmoid", size, layers
        )
        presets[f"vanilla.{word}.identity"] = Preset(
            f"{shape}, linear head: magnitude", SIZES, _PLAIN, "identity", size, layers
        )
        presets[f"vanilla.{word}.tanh"] = Preset(
            f"{shape}, tanh head: magnitude within -100% and +100%", SIZES, _SIGNED, "tanh", size, layers
        )
    presets[_COMPRESSION] = Preset(
        "5 layers, each half of the one before and then back (1024 to 256), tanh head: magnitude",
        SIZES,
        _SIGNED,
        "tanh",
        1024,
        5,
    )
    return presets


PRESETS = _presets()


class Vanilla(nn.Module):
    """Hidden layers of linear map, normalisation, ReLU; then one raw output.

    Normalisation is over a row's own values (layer normalisation, Ba et al. 2016) and learns nothing. Batch
    normalisation, which the notes used, would make a row's forecast depend on the rows beside it.
    """

    def __init__(self, inputs: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        before = (inputs, *widths[:-1])
        self.hidden = nn.ModuleList(nn.Linear(*pair) for pair in zip(before, widths, strict=True))
        self.head = nn.Linear(widths[-1], 1)
        with_small_start = nn.Parameter(self.head.weight.detach() * HEAD_SCALE)
        self.head.weight = with_small_start

    def forward(self, x: Tensor, _seen: Tensor) -> Tensor:
        """Raw outputs (B,) for x (B, L, F). Unseen quarters are zeros in `x` already, so the mask adds nothing."""
        values = x.flatten(1)  # (B, L*F)
        for layer in self.hidden:
            values = layer(values)  # (B, width)
            values = f.layer_norm(values, values.shape[1:])  # (B, width), mean 0 and variance 1 in each row
            values = f.relu(values)  # (B, width)
        output: Tensor = self.head(values).squeeze(1)  # (B, 1) -> (B,)
        return output


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
    return Vanilla(columns * quarters, _widths(choice))


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
