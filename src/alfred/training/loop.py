"""The one training loop: AdamW, early stopping and the best epoch by a later validation period.

A network takes `x` (B, L, F) and `seen` (B, L) and gives raw outputs (B,); its head is part of the loss.

To train many members (seeds, folds) in one stacked pass, the state that is one member's own is kept apart: losses have
values row by row, and `_Best` holds a member's best weights, epoch and loss.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from alfred.core.contracts import Epoch, FitRecord, Windows
from alfred.core.errors import DataError
from alfred.core.progress import Progress, Silent
from alfred.training.compute import device_of, parameters_of, seeded, threads
from alfred.training.device import DeviceWindows
from alfred.training.losses import Loss
from alfred.training.rows import require_fit_rows
from alfred.training.settings import TrainSettings

__all__ = ["MAX_GRADIENT_NORM", "TrainSettings", "TrainingOutcome", "train"]

MAX_GRADIENT_NORM = 1.0
"""Gradients longer than this are shortened to it, so that one quarter's outlier does not undo an epoch's learning."""

VALID_BATCH = 4096
_SILENT = Silent()


@dataclass(frozen=True)
class TrainingOutcome:
    """What training found out; the best epoch's weights are in the network itself."""

    record: FitRecord


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
) -> TrainingOutcome:
    """Train `network` in place, and leave it on the device with the weights of the best epoch.

    The best epoch is the first with the lowest validation loss. Its training loss is the mean over the epoch's rows
    as they were met, while the weights moved. With one seed, one machine and one number of threads, two runs on the
    processor agree bit for bit.

    Args:
        network: gives raw outputs (B,) for x (B, L, F) and seen (B, L).
        train: rows to learn from.
        valid: rows, all later, that decide the learning rate, the end and the best epoch.
        loss: differentiable loss on raw outputs.
        settings: of the loop.
        seed: decides the order of rows and what the network draws while it trains.
        progress: hears of every epoch.
        task: what `progress` calls this fit.

    Raises:
        DataError: rows are unusable, or the loss is no longer finite.
        LeakError: a validation row is a training row or does not lie later.
        ConfigError: the device is not there.
    """
    require_fit_rows(train, valid)
    device = device_of(settings.device)
    parameters = parameters_of(network)
    begun = time.perf_counter()
    progress.start(task, settings.epochs)
    try:
        with threads(settings.threads, parameters, min(settings.batch_size, len(train))), seeded(seed, device):
            network.to(device)
            best, epochs, stopped = _fit(
                network,
                _Rows.of(train, device),
                _Rows.of(valid, device),
                loss,
                settings,
                order=torch.Generator().manual_seed(seed),
                report=lambda epoch: progress.advance(task, 1, f"validation loss {epoch.valid_loss:.4g}"),
            )
    except _NotFiniteError as error:
        raise DataError(_why_not_finite(error.epoch, train, valid, settings)) from None
    finally:
        progress.finish(task)
    seconds = time.perf_counter() - begun
    return TrainingOutcome(
        FitRecord(
            parameters=parameters,
            seconds=seconds,
            samples_per_second=len(epochs) * len(train) / max(seconds, 1e-9),
            best_epoch=best.epoch,
            epochs=epochs,
            stopped=stopped,
        )
    )


@dataclass(frozen=True)
class _Rows:
    """Windows on the device, and their labels y (N,)."""

    windows: DeviceWindows
    y: Tensor

    @classmethod
    def of(cls, windows: Windows, device: torch.device) -> Self:
        y = torch.from_numpy(np.array(windows.y, np.float32))
        return cls(DeviceWindows.of(windows, device), y.to(device))

    def __len__(self) -> int:
        return len(self.y)


class _Best:
    """The first epoch with the lowest validation loss, and its weights."""

    def __init__(self, network: nn.Module) -> None:
        self.loss, self.epoch = math.inf, 0
        self._live = list(network.state_dict().values())
        self._kept = [tensor.clone() for tensor in self._live]

    def offer(self, epoch: int, loss: float) -> bool:
        if loss >= self.loss:
            return False
        self.loss, self.epoch = loss, epoch
        for kept, live in zip(self._kept, self._live, strict=True):
            kept.copy_(live)
        return True

    def put_back(self) -> None:
        with torch.no_grad():
            for kept, live in zip(self._kept, self._live, strict=True):
                live.copy_(kept)


class _NotFiniteError(Exception):
    def __init__(self, epoch: int) -> None:
        super().__init__(epoch)
        self.epoch = epoch


def _fit(
    network: nn.Module,
    train: _Rows,
    valid: _Rows,
    loss: Loss,
    settings: TrainSettings,
    *,
    order: torch.Generator,
    report: Callable[[Epoch], None],
) -> tuple[_Best, tuple[Epoch, ...], str]:
    optimiser = _optimiser(network, settings)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, factor=settings.plateau_factor, patience=settings.plateau_patience, threshold=0.0
    )
    best = _Best(network)
    epochs: list[Epoch] = []
    for number in range(1, settings.epochs + 1):
        rate = float(optimiser.param_groups[0]["lr"])
        permutation = torch.randperm(len(train), generator=order).to(train.y.device)
        train_loss = _learn(network, train, permutation, loss, optimiser, batch_size=settings.batch_size)
        valid_loss = _judge(network, valid, loss)
        if not (math.isfinite(train_loss) and math.isfinite(valid_loss)):
            raise _NotFiniteError(number)
        epochs.append(Epoch(number, train_loss, valid_loss, rate))
        report(epochs[-1])
        if not best.offer(number, valid_loss) and number - best.epoch >= settings.patience:
            break
        plateau.step(valid_loss)
    stopped = "patience" if epochs[-1].number - best.epoch >= settings.patience else "epochs"
    best.put_back()
    network.eval()
    return best, tuple(epochs), stopped


def _optimiser(network: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    matrices = [weight for weight in network.parameters() if weight.ndim > 1]
    others = [weight for weight in network.parameters() if weight.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=settings.learning_rate, fused=True)


def _learn(
    network: nn.Module,
    rows: _Rows,
    permutation: Tensor,
    loss: Loss,
    optimiser: torch.optim.Optimizer,
    *,
    batch_size: int,
) -> float:
    """One pass over the rows in the order of `permutation`; mean loss of the rows as they were met."""
    network.train()
    weights = list(network.parameters())
    total = torch.zeros((), device=rows.y.device)
    for start in range(0, len(rows), batch_size):
        chosen = permutation[start : start + batch_size]
        optimiser.zero_grad(set_to_none=True)
        value = loss(network(*rows.windows.inputs(chosen)), rows.y[chosen])
        torch.autograd.backward(value)
        nn.utils.clip_grad_norm_(weights, MAX_GRADIENT_NORM)
        optimiser.step()
        # Summed on the device: reading it here would make an accelerator wait at every step.
        total += value.detach() * len(chosen)
    return float(total) / len(rows)


@torch.no_grad()
def _judge(network: nn.Module, rows: _Rows, loss: Loss) -> float:
    """Mean loss with the weights held still."""
    network.eval()
    total = torch.zeros((), device=rows.y.device)
    for start in range(0, len(rows), VALID_BATCH):
        part = slice(start, start + VALID_BATCH)
        total += loss.rows(network(*rows.windows.inputs(part)), rows.y[part]).sum()
    return float(total) / len(rows)


def _why_not_finite(epoch: int, train: Windows, valid: Windows, settings: TrainSettings) -> str:
    used = (windows.cells[np.unique(windows.index)] for windows in (train, valid))
    largest = np.maximum(*(np.abs(cells).max(axis=0) for cells in used))
    at = int(largest.argmax())
    return (
        f"the loss was no longer finite in epoch {epoch}; look at the inputs' scaling first (the largest is "
        f"{largest[at]:.4g}, in column {train.columns[at]}), then lower the learning rate ({settings.learning_rate:g})."
    )
