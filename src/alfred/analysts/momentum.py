"""One-column momentum: the label's least-squares line on the return from twelve months to one month ago."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alfred.analysts._linear import FittedLinear, fitted_linear, restore_linear
from alfred.analysts._presets import AnalystSpec, Choice, Preset, choose
from alfred.analysts._table import labels_to_learn
from alfred.core.contracts import FitRecord, FittedAnalyst, Windows
from alfred.core.errors import DataError
from alfred.core.progress import Progress
from alfred.training.settings import TrainSettings

COLUMN = "momentum_12_1"
PRESETS = {"momentum": Preset(f"least-squares line of the label on {COLUMN} (Jegadeesh and Titman 1993)")}


@dataclass(frozen=True)
class Momentum:
    """Slope and intercept on the decision date's own momentum."""

    spec: AnalystSpec
    target: str
    progress: Progress

    def fit(self, train: Windows, valid: Windows) -> FittedLinear:
        """Learn two numbers. Where momentum does not vary the slope is 0, and `progress` hears of it.

        Raises:
            DataError: the panel has no column momentum_12_1.
            DataError, LeakError: as `labels_to_learn`.
        """
        label, _ = labels_to_learn(train, valid, self.target)
        if COLUMN not in train.columns:
            raise DataError(f"momentum needs the column {COLUMN!r}, which the panel lacks; add it to the features.")
        begun = time.perf_counter()
        at = train.columns.index(COLUMN)
        x = train.cells[train.index[:, -1], at].astype(np.float64)
        spread = x - x.mean()
        variation = float((spread**2).sum())
        slope = float((spread * label).sum()) / variation if variation > 0 else 0.0
        if variation == 0:
            self.progress.say(f"{COLUMN} is the same in all {len(train)} training rows; momentum forecasts their mean.")
        weights = np.zeros((train.quarters, len(train.columns)))
        weights[-1, at] = slope
        record = FitRecord(parameters=2, seconds=time.perf_counter() - begun)
        return fitted_linear(self.spec, train, valid, weights, float(label.mean() - slope * x.mean()), record)


def create(spec: AnalystSpec, train_settings: TrainSettings, seed: int, progress: Progress) -> Momentum:  # noqa: ARG001
    """An analyst that has not learnt yet; nothing in it depends on training settings or seed."""
    return Momentum(spec, choose(spec, PRESETS[spec.name]).label, progress)


def restore(folder: Path) -> FittedAnalyst:
    """What `save` wrote."""
    return restore_linear(folder)


def parameters(choice: Choice, columns: int, quarters: int) -> int:  # noqa: ARG001
    """Two: slope and intercept."""
    return 2


def notes_parameters(choice: Choice) -> None:
    """The formula is for networks."""
