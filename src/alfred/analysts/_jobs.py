"""Many fits of one analyst, over seeds and folds, in as few passes as it can make of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from alfred.analysts._presets import AnalystSpec
from alfred.analysts._registry import make_analyst
from alfred.core.contracts import FittedAnalyst, Windows
from alfred.core.errors import ConfigError
from alfred.core.progress import Progress, Silent
from alfred.training.settings import TrainSettings

_SILENT = Silent()


@dataclass(frozen=True)
class Job:
    """One fit.

    Attributes:
        train: rows to learn from. Jobs of one fold should share the very object, which is then moved once.
        valid: later rows to choose and calibrate on.
        seed: of first weights and of the order of rows.
    """

    train: Windows
    valid: Windows
    seed: int


@runtime_checkable
class FitsMany(Protocol):
    """An analyst that has something to gain from fitting many at once."""

    def fit_many(self, jobs: Sequence[Job], checkpoints: Path | None = None) -> Sequence[FittedAnalyst]:
        """What `fit` gives for each job, each with its own seed."""


@runtime_checkable
class Adopts(Protocol):
    """An analyst that can take up what was learnt elsewhere."""

    def adopt(self, job: Job, weights: Mapping[str, NDArray[Any]]) -> FittedAnalyst:
        """What `fit` would give, had it ended in these weights."""


def adopt(
    spec: AnalystSpec, train_settings: TrainSettings, job: Job, weights: Mapping[str, NDArray[Any]]
) -> FittedAnalyst:
    """A network with weights that were learnt elsewhere, its confidence calibrated on the validation rows.

    Args:
        spec: the network.
        train_settings: where and with how many threads it forecasts.
        job: rows and seed.
        weights: by the names of the network's own state.

    Raises:
        ConfigError: it is no network.
        DataError, LeakError: the weights are not its own, or as `fit`.
    """
    analyst = make_analyst(spec, train_settings, job.seed)
    if not isinstance(analyst, Adopts):
        raise ConfigError(f"{spec.name} is no network, and takes up no weights.")
    return analyst.adopt(job, weights)


def fit_many(
    spec: AnalystSpec,
    train_settings: TrainSettings,
    jobs: Sequence[Job],
    *,
    progress: Progress = _SILENT,
    checkpoints: Path | None = None,
) -> list[FittedAnalyst]:
    """Fit an analyst many times; each result is that of `make_analyst(..., seed).fit(train, valid)`.

    Args:
        spec: the analyst.
        train_settings: of networks.
        jobs: what to fit, in any order.
        progress: hears of epochs.
        checkpoints: folder for trainings in progress; if killed, the same call goes on from there.

    Raises:
        DataError, LeakError, ConfigError: as `fit`, for the first job that fails.
    """
    analysts = [make_analyst(spec, train_settings, job.seed, progress) for job in jobs]
    if analysts and isinstance(analysts[0], FitsMany):
        return list(analysts[0].fit_many(jobs, checkpoints))
    return [analyst.fit(job.train, job.valid) for analyst, job in zip(analysts, jobs, strict=True)]
