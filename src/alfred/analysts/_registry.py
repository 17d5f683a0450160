"""Analysts by name: the presets of every file in this folder, and of third parties' entry points."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from alfred.analysts._presets import OPTIONS, AnalystSpec, Choice, Preset, choose
from alfred.analysts._store import read_saved
from alfred.core.contracts import Analyst, FittedAnalyst
from alfred.core.errors import ConfigError, DataError
from alfred.core.plugins import plugin, plugin_names
from alfred.core.progress import Progress, Silent
from alfred.core.settings import suggestion
from alfred.training.settings import TrainSettings

PACKAGE = "alfred.analysts"
_SILENT = Silent()


class AnalystFile(Protocol):
    """What a file of this folder holds."""

    @property
    def PRESETS(self) -> Mapping[str, Preset]:  # noqa: N802
        """The analysts it offers, by name; each begins with the file's own."""

    def create(self, spec: AnalystSpec, train_settings: TrainSettings, seed: int, progress: Progress) -> Analyst:
        """An analyst that has not learnt yet; ConfigError where the spec asks for what it cannot do."""

    def restore(self, folder: Path) -> FittedAnalyst:
        """What `FittedAnalyst.save` wrote; DataError where the folder holds something else."""

    def parameters(self, choice: Choice, columns: int, quarters: int) -> int:
        """How many numbers it learns from windows of that size."""

    def notes_parameters(self, choice: Choice) -> int | None:
        """The count by the notes' formula, None where the formula does not apply."""


@dataclass(frozen=True)
class AnalystDescription:
    """An analyst as it is listed.

    Attributes:
        name: preset.
        description: one line.
        target: label it forecasts by default.
        labels: all that it can forecast.
        loss: loss it trains on by default; "mse" for least squares and for a mean.
        notes_parameters: hidden weights by the notes' formula, None where it does not apply.
        parameters: all learnt numbers for the windows asked about, None where none were.
        quarters: history it looks at by default.
        options: of `OPTIONS` by name, the defaults.
        uses_seed: whether its forecasts depend on the seed; one seed is enough where they do not.
    """

    name: str
    description: str
    target: str
    labels: tuple[str, ...]
    loss: str
    notes_parameters: int | None
    parameters: int | None
    quarters: int
    options: Mapping[str, str | int]
    uses_seed: bool

    @property
    def is_network(self) -> bool:
        """Whether it has hidden layers, with weights before it has learnt."""
        return bool(self.options["size"])


def analyst_names() -> tuple[str, ...]:
    """Names of all analysts, sorted by file and in each file's own order."""
    return tuple(name for family in plugin_names(PACKAGE) for name in _file(family).PRESETS)


def make_analyst(spec: AnalystSpec, train_settings: TrainSettings, seed: int, progress: Progress = _SILENT) -> Analyst:
    """An analyst that has not learnt yet. Its forecasts are a function of these arguments and the rows alone.

    Raises:
        ConfigError: there is no such analyst, or it does not take one of the options.
    """
    return _file_of(spec.name).create(spec, train_settings, seed, progress)


def restore_analyst(folder: Path) -> FittedAnalyst:
    """A fitted analyst as `save` left it; its forecasts are the same to the last bit. No code is read from the folder.

    Raises:
        DataError: the folder holds no analyst of this version, or its files were changed since.
    """
    saved = read_saved(folder)
    try:
        file = _file_of(saved.name)
        label = choose(saved.spec, file.PRESETS[saved.name]).label
        if label != saved.inputs.target:
            raise ConfigError(f"{saved.name} was to forecast {label}, but learnt {saved.inputs.target}.")
        return file.restore(folder)
    except ConfigError as error:
        raise DataError(f"{folder} holds an analyst that cannot be restored: {error}") from error


def describe(name: str, columns: int | None = None, quarters: int | None = None) -> AnalystDescription:
    """What an analyst is. No weights are allocated.

    Args:
        name: preset.
        columns: feature columns to count parameters for; None leaves the count out.
        quarters: quarters of history in a window; default the analyst's own.

    Raises:
        ConfigError: there is no such analyst.
    """
    file = _file_of(name)
    preset = file.PRESETS[name]
    choice = choose(AnalystSpec(name=name), preset)
    return AnalystDescription(
        name=name,
        description=preset.description,
        target=choice.label,
        labels=preset.labels,
        loss=choice.loss,
        notes_parameters=file.notes_parameters(choice),
        parameters=None if columns is None else file.parameters(choice, columns, quarters or choice.quarters),
        quarters=choice.quarters,
        options={option: getattr(choice, option) for option in OPTIONS},
        uses_seed=preset.uses_seed,
    )


def _file(family: str) -> AnalystFile:
    return cast("AnalystFile", plugin(PACKAGE, family))


def _file_of(name: str) -> AnalystFile:
    """The file that offers a preset; only that file is imported where the name is right."""
    family = name.split(".", 1)[0].replace("-", "_")
    if family in plugin_names(PACKAGE) and name in _file(family).PRESETS:
        return _file(family)
    raise ConfigError(f"there is no analyst {name!r}; {suggestion(name, analyst_names())}")
