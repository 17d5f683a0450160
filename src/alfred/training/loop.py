"""The one training loop: AdamW, early stopping and the best epoch by a later validation period.

A network takes `x` (B, L, F) and `seen` (B, L) and gives raw outputs (B,); its head is part of the loss.

Many trainings of one network (seeds, folds) go through it together, each with the result it would have had alone.
"""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from alfred.core.contracts import FitRecord, Windows
from alfred.core.errors import ConfigError, DataError
from alfred.core.progress import Progress, Silent
from alfred.training.checkpoint import Checkpoints, Shelf, name_of
from alfred.training.compute import device_of, is_small, parameters_of, seeded, threads
from alfred.training.course import Course
from alfred.training.losses import Loss
from alfred.training.members import MAX_GRADIENT_NORM, shapes_of
from alfred.training.parts import can_stand_together
from alfred.training.passes import Member, NoMemoryError, NotFiniteError, Pass, out_of_memory
from alfred.training.plan import plan
from alfred.training.rows import require_fit_rows
from alfred.training.settings import TrainSettings

__all__ = ["MAX_GRADIENT_NORM", "TrainSettings", "Training", "TrainingOutcome", "train", "train_many"]

_SILENT = Silent()


@dataclass(frozen=True)
class TrainingOutcome:
    """What training found out; the best epoch's weights are in the network itself."""

    record: FitRecord


@dataclass(frozen=True)
class Training:
    """One training to be done.

    Attributes:
        network: gives raw outputs (B,) for x (B, L, F) and seen (B, L).
        train: rows to learn from.
        valid: rows, all later, that decide the learning rate, the end and the best epoch.
        seed: decides the order of rows and what the network draws while it trains.
        task: what progress calls it.
    """

    network: nn.Module
    train: Windows
    valid: Windows
    seed: int
    task: str = "training"


def train(
    network: nn.Module,
    train: Windows,
    valid: Windows,
    loss: Loss,
    settings: TrainSettings,
    *,
    seed: int,
    progress: Progress = _SILENT,
    task: str = "training",
    checkpoints: Checkpoints | None = None,
) -> TrainingOutcome:
    """Train `network` in place, and leave it on the device with the weights of the best epoch.

    The best epoch is the first with the lowest validation loss. Its training loss is the mean over the epoch's rows
    as they were met, while the weights moved. With one seed, one machine and one number of threads, two runs on the
    processor agree bit for bit, whether or not one of them was killed and taken up again.

    Args:
        network, train, valid, seed, task: as in `Training`.
        loss: differentiable loss on raw outputs.
        settings: of the loop.
        progress: hears of every epoch.
        checkpoints: where to keep it in progress; None keeps nothing.

    Raises:
        DataError: rows are unusable, or the loss is no longer finite.
        LeakError: a validation row is a training row or does not lie later.
        ConfigError: the device is not there, or has too little memory for a single row.
    """
    return train_many(
        [Training(network, train, valid, seed, task)], loss, settings, progress=progress, checkpoints=checkpoints
    )[0]


def train_many(
    trainings: Sequence[Training],
    loss: Loss,
    settings: TrainSettings,
    *,
    progress: Progress = _SILENT,
    checkpoints: Checkpoints | None = None,
) -> list[TrainingOutcome]:
    """Train many networks of one kind, as many at once as pays; the results are those of `train`, one by one.

    On the processor, with one thread a pass, they are equal to the last bit as far as a batched matrix product rounds
    alike however many it is of: products with a single column do not, and functions such as tanh of tensors whose size
    is no multiple of 32. An accelerator may choose other kernels for a batch; there they are equal but for rounding.

    Args:
        trainings: networks made by the same code for windows of the same columns and lengths train together.
        loss, settings, progress, checkpoints: as in `train`.

    Returns:
        Outcomes in the order of `trainings`. A pass's wall time is divided among its members.

    Raises:
        DataError, LeakError, ConfigError: as `train`, for the first training that fails; the others end there too.
    """
    for one in trainings:
        require_fit_rows(one.train, one.valid)
    device = device_of(settings.device)
    kinds: dict[object, list[int]] = {}
    for at, one in enumerate(trainings):
        small = is_small(parameters_of(one.network), min(settings.batch_size, len(one.train)))
        kind = type(one.network), shapes_of(one.network), one.train.quarters, one.train.columns, small
        kinds.setdefault(kind, []).append(at)
    records: dict[int, FitRecord] = {}
    for places in kinds.values():
        alike = _Alike(
            [trainings[at] for at in places],
            loss,
            settings,
            device=device,
            progress=progress,
            checkpoints=checkpoints,
        )
        records |= dict(zip(places, alike.train(), strict=True))
    return [TrainingOutcome(records[at]) for at in range(len(trainings))]


class _Alike:
    """Trainings of networks of one kind."""

    def __init__(
        self,
        trainings: Sequence[Training],
        loss: Loss,
        settings: TrainSettings,
        *,
        device: torch.device,
        progress: Progress,
        checkpoints: Checkpoints | None,
    ) -> None:
        self._trainings, self._loss, self._settings, self._device = trainings, loss, settings, device
        self._progress, self._checkpoints = progress, checkpoints
        self._lock, self._halt = threading.Lock(), threading.Event()
        first = trainings[0]
        rows = [len(one.train) for one in trainings]
        stackable = can_stand_together(first.network, first.train.quarters, len(first.train.columns))
        self._parameters = parameters_of(first.network)
        self._rows_of_step = min(settings.batch_size, max(rows))
        small = is_small(self._parameters, self._rows_of_step)
        self._plan = plan(rows, self._parameters, settings, device, small=small, stackable=stackable)
        self._members = [self._member(one, alone=not stackable) for one in trainings]

    def train(self) -> list[FitRecord]:
        """Do them all."""
        with threads(self._settings.threads, self._parameters, self._rows_of_step) as number:
            if self._plan.side_by_side == 1:
                for places in self._plan.passes:
                    self._pass(places, number)
            else:
                self._side_by_side(number)
        for member in self._members:
            if member.shelf:
                member.shelf.clear()
        return [
            member.course.record(self._parameters, len(one.train))
            for member, one in zip(self._members, self._trainings, strict=True)
        ]

    def _side_by_side(self, number: int) -> None:
        with ThreadPoolExecutor(self._plan.side_by_side) as pool:
            running = [pool.submit(self._pass, places, number) for places in self._plan.passes]
            try:
                for one in as_completed(running):
                    one.result()
            except BaseException:
                self._halt.set()
                raise

    def _pass(self, places: Sequence[int], number: int) -> None:
        """Train some of them together, or in halves where together they do not fit into memory."""
        torch.set_num_threads(number)
        members = [self._members[at] for at in places]
        tasks = {id(self._members[at]): self._trainings[at].task for at in places}

        def report(member: Member) -> None:
            with self._lock:
                loss = member.course.epochs[-1].valid_loss
                self._progress.advance(tasks[id(member)], 1, f"validation loss {loss:.4g}")

        with self._lock:
            for task in tasks.values():
                self._progress.start(task, self._settings.epochs)
        try:
            with seeded(self._trainings[places[0]].seed, self._device) if members[0].draws else nullcontext():
                self._pass_of(members).run(report)
            return
        except NotFiniteError as error:
            what = f"{tasks[id(error.member)]}: " if len(self._members) > 1 else ""
            raise DataError(what + _why_not_finite(error.member, self._settings)) from None
        except (NoMemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and not out_of_memory(error):
                raise
        finally:
            with self._lock:
                for task in tasks.values():
                    self._progress.finish(task)
        self._in_halves([at for at in places if self._members[at].course.stopped is None], number)

    def _in_halves(self, places: Sequence[int], number: int) -> None:
        if len(places) == 1:
            raise ConfigError(
                f"there is too little memory on {self._device.type} for {self._trainings[places[0]].task} "
                f"({self._parameters:,} parameters); take a smaller size or another device."
            )
        self._say(f"out of memory on {self._device.type}: {len(places)} trainings go on in two passes.")
        half = -(-len(places) // 2)
        for some in (places[:half], places[half:]):
            for at in some:
                self._members[at] = self._member(self._trainings[at], alone=False)
            self._pass(some, number)

    def _pass_of(self, members: Sequence[Member]) -> Pass:
        return Pass(
            members,
            self._loss,
            self._settings,
            self._device,
            bfloat16=self._plan.bfloat16,
            say=self._say,
            halt=self._halt,
        )

    def _member(self, one: Training, *, alone: bool) -> Member:
        shelf = None
        if self._checkpoints:
            rows = (one.train, one.valid)
            name = name_of(one.network, rows, self._loss, self._settings, seed=one.seed, device=self._device.type)
            shelf = Shelf(self._checkpoints, name)
        order = torch.Generator().manual_seed(one.seed)
        course = Course(self._settings.learning_rate)
        return Member(one.network, one.train, one.valid, order, course, shelf, draws=alone)

    def _say(self, message: str) -> None:
        with self._lock:
            self._progress.say(message)


def _why_not_finite(member: Member, settings: TrainSettings) -> str:
    used = (windows.cells[np.unique(windows.index)] for windows in (member.train, member.valid))
    largest = np.maximum(*(np.abs(cells).max(axis=0) for cells in used))
    at = int(largest.argmax())
    return (
        f"the loss was no longer finite in epoch {len(member.course.epochs) + 1}; look at the inputs' scaling first "
        f"(the largest is {largest[at]:.4g}, in column {member.train.columns[at]}), then lower the learning rate "
        f"({settings.learning_rate:g})."
    )
