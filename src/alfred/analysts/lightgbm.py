"""Gradient-boosted trees (Friedman 2001, 2002) on the flattened window, grown by LightGBM (Ke et al. 2017).

Small trees, many rows a leaf, half the columns and four fifths of the rows a round: what is fixed here was fixed before
any result was seen. Only the number of rounds is chosen, on the validation rows, and it may be none.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit, logit

from alfred.analysts._conformal import Calibration, calibrate_rows
from alfred.analysts._presets import AnalystSpec, Choice, Preset, choose
from alfred.analysts._store import read_analyst, read_saved, save_analyst
from alfred.analysts._table import labels_to_learn, parts
from alfred.analysts._trees import Trees
from alfred.core.contracts import DIRECTION, Epoch, FitRecord, FittedAnalyst, Floats, Forecast, Windows
from alfred.core.errors import ConfigError, DataError
from alfred.core.progress import Progress
from alfred.training.rows import Inputs
from alfred.training.settings import TrainSettings

if TYPE_CHECKING:
    from lightgbm import Booster

ROUNDS, PATIENCE, LEAVES, RATE = 1_000, 50, 8, 0.05
ROWS_A_LEAF, SHARE_A_LEAF = 20, 0.01
"""A leaf holds at least so many training rows, and at least so large a share of them."""
FIXED = {
    "num_leaves": LEAVES,
    "learning_rate": RATE,
    "lambda_l2": 10.0,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    # A missing value is 0 beside its indicator, for this analyst as for all.
    "use_missing": False,
    "deterministic": True,
    "force_col_wise": True,
    "verbosity": -1,
}
_OBJECTIVES = {"mse": ("regression", "l2"), "huber": ("huber", "huber"), "bce": ("binary", "binary_logloss")}
"""What LightGBM calls a loss where it learns, and where it measures."""

PRESETS = {
    "lightgbm": Preset(
        f"boosted trees of {LEAVES} leaves, as many as the validation rows bear",
        losses=("mse", "huber", "bce"),
        random=True,
    )
}


@dataclass(frozen=True)
class LightGBM:
    """Trees before they are grown."""

    spec: AnalystSpec
    choice: Choice
    settings: TrainSettings
    seed: int
    progress: Progress

    @property
    def target(self) -> str:
        """The label it forecasts."""
        return self.choice.label

    def fit(self, train: Windows, valid: Windows) -> "FittedTrees":
        """Grow trees until the validation loss has not fallen for `PATIENCE` rounds; keep those up to its lowest.

        Raises:
            DataError, LeakError: as `labels_to_learn`.
            ConfigError: lightgbm is not installed.
        """
        y, _ = labels_to_learn(train, valid, self.target)
        begun = time.perf_counter()
        # Before the first tree every row is given the training mean, or the share of rises, never quite 0 or 1.
        base = float(logit((y.sum() + 1) / (len(y) + 2)) if self.target == DIRECTION else y.mean())
        task = f"{self.choice.name}, seed {self.seed}"
        self.progress.start(task, ROUNDS)
        try:
            booster, epochs, best, stopped = self._grow(train, valid, base, task)
        finally:
            self.progress.finish(task)
        trees = Trees.of_text(booster.model_to_string(), best, LEAVES)
        seconds = time.perf_counter() - begun
        record = FitRecord(
            parameters=trees.parameters + 1,
            seconds=seconds,
            samples_per_second=len(epochs) * len(y) / max(seconds, 1e-9),
            best_epoch=best,
            epochs=tuple(epochs),
            stopped=stopped,
        )
        mean = _mean(valid, trees, base)
        calibration = calibrate_rows(train, valid, mean)
        return FittedTrees(self.spec, Inputs.of(train), trees, base, calibration, record, self.settings, self.seed)

    def _grow(self, train: Windows, valid: Windows, base: float, task: str) -> tuple["Booster", list[Epoch], int, str]:
        """The booster, its rounds, the number of the best, 0 where no tree is better than none, and why it ended."""
        booster = self._booster(train, valid, base)
        epochs: list[Epoch] = []
        best, lowest, stopped = 0, _loss(booster.eval_valid()), "epochs"
        for number in range(1, ROUNDS + 1):
            if booster.update():
                stopped = "no further split"
                break
            train_loss, valid_loss = _loss(booster.eval_train()), _loss(booster.eval_valid())
            epochs.append(Epoch(number, train_loss, valid_loss, RATE))
            self.progress.advance(task, 1, f"validation loss {valid_loss:.4g}")
            if valid_loss < lowest:
                best, lowest = number, valid_loss
            elif number - best >= PATIENCE:
                stopped = "patience"
                break
        return booster, epochs, best, stopped

    def _booster(self, train: Windows, valid: Windows, base: float) -> "Booster":
        lightgbm = _library()
        objective, metric = _OBJECTIVES[self.choice.loss]
        parameters: dict[str, Any] = FIXED | {
            "objective": objective,
            "metric": metric,
            "alpha": self.settings.loss.delta,
            "min_data_in_leaf": max(ROWS_A_LEAF, round(SHARE_A_LEAF * len(train))),
            "seed": self.seed,
            "num_threads": self.settings.threads or 1,
        }
        # Names are left to the library, which numbers the columns; it refuses some of the characters in ours.
        learn = lightgbm.Dataset(_table(train), train.y, init_score=np.full(len(train), base), params=parameters)
        judge = lightgbm.Dataset(
            _table(valid), valid.y, reference=learn, init_score=np.full(len(valid), base), params=parameters
        )
        booster: Booster = lightgbm.Booster(parameters, learn)
        booster.add_valid(judge, "valid")
        return booster


@dataclass(frozen=True)
class FittedTrees:
    """Trees that have been grown.

    Attributes:
        spec: what they were made from.
        inputs: windows they accept.
        trees: splits and leaves.
        base: what a row begins with; for PQ in log odds, as the leaves are.
        calibration: their confidence.
        record: cost and rounds.
        settings, seed: what they were grown with.
    """

    spec: AnalystSpec
    inputs: Inputs
    trees: Trees
    base: float
    calibration: Calibration
    record: FitRecord
    settings: TrainSettings
    seed: int

    def predict(self, windows: Windows) -> Forecast:
        """Forecast every row.

        Raises:
            DataError: the windows differ in columns, length, target or horizon from those learnt on.
        """
        self.inputs.require(windows, "the windows to forecast")
        return self.calibration.of_rows(windows, _mean(windows, self.trees, self.base))

    def save(self, folder: Path) -> None:
        """Write it into `folder`."""
        save_analyst(
            folder,
            self.spec,
            self.inputs,
            self.calibration,
            self.record,
            weights={**self.trees.tensors(), "base": np.array([self.base])},
            training=self.settings,
            seed=self.seed,
        )


def _mean(windows: Windows, trees: Trees, base: float) -> Floats:
    """(N,) forecasts."""
    means = np.empty(len(windows))
    for place, x in parts(windows):
        means[place] = base + trees.sums(x)
    return expit(means) if windows.target == DIRECTION else means


def _table(windows: Windows) -> Any:
    return windows.x.reshape(len(windows), windows.quarters * len(windows.columns))


def _loss(told: list[Any]) -> float:
    """The one number in what LightGBM tells of its one metric on one set of rows."""
    return float(told[0][2])


def _library() -> Any:
    try:
        import lightgbm
    except (ImportError, OSError) as error:
        raise ConfigError(
            f"growing trees needs the library lightgbm, which cannot be loaded here ({error}); install lightgbm, "
            f"and on macOS its OpenMP runtime with `brew install libomp`."
        ) from error
    return lightgbm


def create(spec: AnalystSpec, train_settings: TrainSettings, seed: int, progress: Progress) -> LightGBM:
    """An analyst that has not learnt yet. Of the training settings it takes threads and Huber's delta.

    Raises:
        ConfigError: the spec asks for what it cannot do.
    """
    return LightGBM(spec, _choose(spec), train_settings, seed, progress)


def _choose(spec: AnalystSpec) -> Choice:
    """A direction is learnt by its log loss, a size by squares or Huber's loss."""
    chosen = choose(spec, PRESETS[spec.name])
    fitting = ("bce",) if chosen.label == DIRECTION else ("mse", "huber")
    if spec.loss is not None and spec.loss not in fitting:
        raise ConfigError(
            f"{spec.name} learns {chosen.label} by {' or '.join(fitting)}, got the loss {spec.loss!r}; "
            f"remove the option."
        )
    return replace(chosen, loss=spec.loss or fitting[0])


def restore(folder: Path) -> FittedAnalyst:
    """What `save` wrote. LightGBM itself is not needed.

    Raises:
        DataError: the folder holds something else.
    """
    saved = read_saved(folder)
    _choose(saved.spec)
    if saved.training is None or saved.seed is None:
        raise DataError(f"{folder} does not say how lightgbm was trained; save the analyst again.")
    shapes = {**Trees.shapes(saved.record.best_epoch, LEAVES), "base": (1,)}
    _, tensors, calibration = read_analyst(folder, shapes)
    trees = Trees.of_tensors(tensors, saved.inputs.quarters * len(saved.inputs.columns))
    base = float(tensors["base"][0])
    return FittedTrees(saved.spec, saved.inputs, trees, base, calibration, saved.record, saved.training, saved.seed)


def parameters(choice: Choice, columns: int, quarters: int) -> int:  # noqa: ARG001
    """The most it can learn: a value a leaf and a threshold a split of every round, and where all begin."""
    return ROUNDS * (2 * LEAVES - 1) + 1


def notes_parameters(choice: Choice) -> None:
    """The formula is for networks."""
