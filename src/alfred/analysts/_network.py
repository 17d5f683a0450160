"""What every network analyst shares: fitting, forecasting, saving. A network's file writes its layers only."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from alfred.analysts._conformal import Calibration, calibrate_rows
from alfred.analysts._jobs import Job
from alfred.analysts._presets import AnalystSpec, Choice
from alfred.analysts._store import read_analyst, read_saved, save_analyst
from alfred.core.contracts import FitRecord, Floats, Forecast, Windows
from alfred.core.errors import ConfigError, DataError
from alfred.core.progress import Progress
from alfred.training.checkpoint import Checkpoints
from alfred.training.compute import build_seeded, device_of, parameters_of, threads
from alfred.training.device import DeviceWindows
from alfred.training.loop import Training, train_many
from alfred.training.losses import Head, activate, deviation, loss_function
from alfred.training.rows import Inputs, require_fit_rows, require_target
from alfred.training.settings import TrainSettings

Build = Callable[[int, int], nn.Module]
"""Makes a network for so many columns and quarters; of x (B, L, F) and seen (B, L) it makes raw outputs (B,), or
(B, 2) before a Gaussian head."""

CHUNK = 256
"""Rows of one forward pass in forecasting, the last one filled up with zeros. Matrix products round by their shape;
with one shape only, a row's forecast does not depend on how many rows are asked about."""


@dataclass(frozen=True)
class NetworkAnalyst:
    """A network before it has learnt."""

    spec: AnalystSpec
    choice: Choice
    build: Build
    settings: TrainSettings
    seed: int
    progress: Progress

    @property
    def target(self) -> str:
        """The label it forecasts."""
        return self.choice.label

    def fit(self, train: Windows, valid: Windows) -> "FittedNetwork":
        """Train to the best validation epoch (an untrained control not at all), then calibrate on validation rows.

        Raises:
            DataError, LeakError, ConfigError: as `alfred.training.loop.train`.
        """
        return self.fit_many([Job(train, valid, self.seed)])[0]

    def fit_many(self, jobs: Sequence[Job], checkpoints: Path | None = None) -> "list[FittedNetwork]":
        """What `fit` gives for each job, each with its own seed, trained together as far as it pays.

        An untrained control is not trained at all.

        Args:
            jobs: folds and seeds.
            checkpoints: folder for trainings in progress; None keeps nothing.

        Raises:
            DataError, LeakError, ConfigError: as `alfred.training.loop.train_many`.
        """
        for job in jobs:
            require_fit_rows(job.train, job.valid)
            require_target(job.train, self.target)
        trainings = [self._training(job, several=len(jobs) > 1) for job in jobs]
        if self.spec.untrained:
            return [
                self._fitted(job, training.network, _untrained(training.network))
                for job, training in zip(jobs, trainings, strict=True)
            ]
        loss = loss_function(self.choice.loss, self.choice.head, self.settings.loss)
        kept = None if checkpoints is None else Checkpoints(checkpoints)
        outcomes = train_many(trainings, loss, self.settings, progress=self.progress, checkpoints=kept)
        return [
            self._fitted(job, training.network, outcome.record)
            for job, training, outcome in zip(jobs, trainings, outcomes, strict=True)
        ]

    def adopt(self, job: Job, weights: Mapping[str, NDArray[Any]]) -> "FittedNetwork":
        """Take up weights that were learnt elsewhere: nothing is trained, confidence comes from the validation rows.

        Args:
            job: its rows and seed; the training rows tell how labels scatter.
            weights: by the names of this network's own state.

        Raises:
            DataError, LeakError: as `fit`; or the weights are not this network's.
        """
        require_fit_rows(job.train, job.valid)
        require_target(job.train, self.target)
        network = empty_network(self.build, len(job.train.columns), job.train.quarters)
        shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
        found = {name: values.shape for name, values in weights.items()}
        if found != shapes:
            apart = min(name for name in {*found, *shapes} if found.get(name) != shapes.get(name))
            raise DataError(
                f"these are not the weights of {self.choice.name} on {len(job.train.columns)} columns of "
                f"{job.train.quarters} quarter(s): {apart} is {found.get(apart, 'absent')} and should be "
                f"{shapes.get(apart, 'absent')}."
            )
        tensors = {name: torch.from_numpy(np.array(values, np.float32)) for name, values in weights.items()}
        broken = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
        if broken:
            raise DataError(f"the weights {broken[0]} of {self.choice.name} are not finite numbers.")
        network.load_state_dict(tensors, assign=True)
        network.eval()
        return self._fitted(job, network, FitRecord(parameters_of(network), seconds=0.0, stopped="taken up"))

    def _training(self, job: Job, *, several: bool) -> Training:
        build = functools.partial(self.build, len(job.train.columns), job.train.quarters)
        until = f", from rows until {job.train.dates.max()}" if several else ""
        task = f"{self.choice.name}, seed {job.seed}{until}"
        return Training(build_seeded(build, job.seed), job.train, job.valid, job.seed, task)

    def _fitted(self, job: Job, network: nn.Module, record: FitRecord) -> "FittedNetwork":
        mean, own = network_forecast(network, self.choice.head, job.valid, self.settings.threads)
        calibration = calibrate_rows(job.train, job.valid, mean, own_scale=own)
        inputs = Inputs.of(job.train)
        return FittedNetwork(self.spec, self.choice.head, inputs, network, calibration, record, self.settings, job.seed)


def _untrained(network: nn.Module) -> FitRecord:
    return FitRecord(parameters=parameters_of(network), seconds=0.0, stopped="untrained")


@dataclass(frozen=True)
class FittedNetwork:
    """A network that has learnt, on the device where it forecasts."""

    spec: AnalystSpec
    head: Head
    inputs: Inputs
    network: nn.Module
    calibration: Calibration
    record: FitRecord
    settings: TrainSettings
    seed: int

    def predict(self, windows: Windows) -> Forecast:
        """Forecast every row; a row's forecast depends on that row alone.

        Raises:
            DataError: the windows differ in columns, length, target or horizon from those learnt on.
        """
        self.inputs.require(windows, "the windows to forecast")
        mean, own = network_forecast(self.network, self.head, windows, self.settings.threads)
        return self.calibration.of_rows(windows, mean) if own is None else self.calibration.forecast(mean, own)

    def save(self, folder: Path) -> None:
        """Write it into `folder`."""
        weights = {name: tensor.cpu().numpy() for name, tensor in self.network.state_dict().items()}
        save_analyst(
            folder,
            self.spec,
            self.inputs,
            self.calibration,
            self.record,
            weights=weights,
            training=self.settings,
            seed=self.seed,
        )


@torch.no_grad()
def network_forecast(
    network: nn.Module, head: Head, windows: Windows, wanted_threads: int | None
) -> tuple[Floats, Floats | None]:
    """(N,) forecasts, and of a Gaussian head their (N,) deviations.

    The head is applied in double precision, so that no probability rounds to 0 or 1.
    """
    device = next(network.parameters()).device
    network.eval()
    means = np.empty(len(windows))
    deviations = np.empty(len(windows)) if head == "gaussian" else None
    with threads(wanted_threads, parameters_of(network), CHUNK) as number:
        # A number that divides the block: otherwise its rows are split, and rounded, unevenly.
        torch.set_num_threads(1 << (number.bit_length() - 1))
        there = DeviceWindows.of(windows, device)
        for start in range(0, len(windows), CHUNK):
            part = slice(start, start + CHUNK)
            output = network(*there.inputs(part, rows=CHUNK)).cpu().double()
            means[part] = activate(head, output)[: len(means[part])].numpy()
            if deviations is not None:
                deviations[part] = deviation(output)[: len(means[part])].numpy()
    return means, deviations


def restore_network(
    folder: Path, choose_of: Callable[[AnalystSpec], Choice], build_of: Callable[[Choice], Build]
) -> FittedNetwork:
    """What `FittedNetwork.save` wrote, on the device it was trained on if this machine has it.

    Raises:
        DataError: the folder holds something else.
        ConfigError: the saved spec is none that this analyst takes.
    """
    saved = read_saved(folder)
    choice = choose_of(saved.spec)
    if saved.training is None or saved.seed is None:
        raise DataError(f"{folder} does not say how {choice.name} was trained; save the analyst again.")
    # On the meta device no memory is taken before the file has proven to hold these very weights.
    network = empty_network(build_of(choice), len(saved.inputs.columns), saved.inputs.quarters)
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    _, tensors, calibration = read_analyst(folder, shapes)
    network.load_state_dict({name: torch.from_numpy(values.copy()) for name, values in tensors.items()}, assign=True)
    try:
        network.to(device_of(saved.training.device))
    except ConfigError:
        network.to("cpu")
    network.eval()
    return FittedNetwork(
        saved.spec, choice.head, saved.inputs, network, calibration, saved.record, saved.training, saved.seed
    )


def empty_network(build: Build, columns: int, quarters: int) -> nn.Module:
    """A network without memory for its weights, to count them or to be filled."""
    with torch.device("meta"):
        return build(columns, quarters)
