"""The notes' networks that read history with an LSTM: beside a convolution and attention, or after them."""

import functools
from pathlib import Path

from torch import nn

from alfred.analysts._extractors import (
    Attention,
    Convolution,
    Encoder,
    Layered,
    Recurrence,
    SideBySide,
    sequence_presets,
)
from alfred.analysts._network import Build, NetworkAnalyst, empty_network, restore_network
from alfred.analysts._plain import PlainNetwork
from alfred.analysts._presets import AnalystSpec, Choice, choose
from alfred.core.contracts import FittedAnalyst
from alfred.core.progress import Progress
from alfred.training.compute import parameters_of
from alfred.training.losses import outputs_of
from alfred.training.settings import TrainSettings

_LAYERED = "extractors.layered"

PRESETS = sequence_presets(
    "lstm",
    {
        "extractors": "LSTM, convolution and attention side by side",
        _LAYERED: "convolution, then attention, then LSTM",
    },
)


def _build(choice: Choice, columns: int, quarters: int) -> nn.Module:
    size, widths, outputs = choice.size, (choice.size,) * choice.layers, outputs_of(choice.head)
    if _LAYERED in choice.name:
        attention = Encoder(size, size, quarters, [Attention(size)])
        layers = [Convolution(columns, size), attention, Recurrence(size, size)]
        return Layered(layers, PlainNetwork(size, widths, outputs))
    attention = Encoder(columns, size, quarters, [Attention(size)])
    extractors = [Recurrence(columns, size), Convolution(columns, size), attention]
    return SideBySide(extractors, PlainNetwork(len(extractors) * size, widths, outputs))


def _build_of(choice: Choice) -> Build:
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
    """All learnt numbers, extractors and head included."""
    return parameters_of(empty_network(_build_of(choice), columns, quarters))


def notes_parameters(choice: Choice) -> None:
    """The formula is for the plain network alone, which is the smaller part here."""
