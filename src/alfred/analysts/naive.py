"""The forecast to beat: what the training rows did on average, for every row alike."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alfred.analysts._linear import FittedLinear, fitted_linear, restore_linear
from alfred.analysts._presets import AnalystSpec, Choice, Preset, choose
from alfred.analysts._table import labels_to_learn
from alfred.core.contracts import FitRecord, FittedAnalyst, Windows
from alfred.core.progress import Progress
from alfred.training.settings import TrainSettings

PRESETS = {"naive": Preset("mean of the training labels, for every row: the forecast to beat")}


@dataclass(frozen=True)
class Naive:
    """Mean of the training labels; the probability of a rise is the share of them above zero."""

    spec: AnalystSpec
    target: str

    def fit(self, train: Windows, valid: Windows) -> FittedLinear:
        """Learn one number.

        Raises:
            DataError, LeakError: as `labels_to_learn`.
        """
        label, _ = labels_to_learn(train, valid, self.target)
        begun = time.perf_counter()
        weights = np.zeros((train.quarters, len(train.columns)))
        record = FitRecord(parameters=1, seconds=time.perf_counter() - begun)
        rises = float((label > 0).mean())
        return fitted_linear(self.spec, train, valid, weights, float(label.mean()), record, rise_share=rises)


def create(spec: AnalystSpec, train_settings: TrainSettings, seed: int, progress: Progress) -> Naive:  # noqa: ARG001
    """An analyst that has not learnt yet; nothing in it depends on training settings or seed."""
    return Naive(spec, choose(spec, PRESETS[spec.name]).label)


def restore(folder: Path) -> FittedAnalyst:
    """What `save` wrote."""
    return restore_linear(folder)


def parameters(choice: Choice, columns: int, quarters: int) -> int:  # noqa: ARG001
    """One: the mean."""
    return 1


def notes_parameters(choice: Choice) -> None:
    """The formula is for networks."""
