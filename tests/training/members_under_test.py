"""Trainings that differ in everything that members of a pass may differ in. Run as a script, it is killed half-way."""

import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as f

from alfred.core.contracts import Windows
from alfred.training.checkpoint import Checkpoints
from alfred.training.compute import build_seeded
from alfred.training.loop import Training, train_many
from alfred.training.losses import loss_function
from alfred.training.settings import TrainSettings

QUARTERS, COLUMNS = 3, ("a", "b", "c", "d")
SETTINGS = TrainSettings(
    epochs=8, batch_size=32, learning_rate=0.02, patience=3, plateau_patience=1, threads=None, device="cpu"
)
LOSS = loss_function("bce", "sigmoid")
COUNTS = (150, 97, 150, 33, 128)


class Deep(nn.Module):
    """Batched by vmap: sequences, a product of a sequence's own, and what each member has for itself."""

    def __init__(self) -> None:
        super().__init__()
        self.read = nn.Linear(len(COLUMNS), 32)
        self.mix = nn.Linear(32, 32, bias=False)
        self.shift = nn.Parameter(torch.zeros(QUARTERS, 32))
        self.head = nn.Linear(32, 1)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        values = (self.read(x) + self.shift) * seen.unsqueeze(-1)
        values = f.relu(f.layer_norm(self.mix(values.tanh()), values.shape[-1:]))
        return (values.mean(-2) * self.head.weight).sum(-1) + self.head.bias


class Native(nn.Module):
    """Takes the weights of many members as they are."""

    takes_members = True

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.ModuleList([nn.Linear(QUARTERS * len(COLUMNS), 48), nn.Linear(48, 16, bias=False)])
        self.head = nn.Linear(16, 1)

    def forward(self, x: Tensor, _seen: Tensor) -> Tensor:
        values = x.flatten(-2)
        for layer in self.hidden:
            values = f.relu(f.layer_norm(layer(values), (layer.out_features,)))
        return (values * self.head.weight).sum(-1) + self.head.bias


def fold(count: int, first: str, seed: int) -> Windows:
    """Rows that look back over one another's cells, of which the first have a short history."""
    random = np.random.default_rng(seed)
    cells = random.normal(size=(count + 1, len(COLUMNS))).astype(np.float32)
    cells[0] = 0
    index = np.maximum(np.arange(1, count + 1)[:, None] + np.arange(1 - QUARTERS, 1), 0).astype(np.int32)
    y = cells[index[:, -1], 0] - 0.5 * cells[index[:, -2], 1] + random.normal(size=count) > 0
    dates = np.datetime64(first) + np.arange(count)
    return Windows(cells, index, COLUMNS, dates, np.full(count, "AAA"), "PQ", y=y.astype(float))


def trainings(kind: type[nn.Module] = Deep) -> list[Training]:
    """Five members: the first and third share their rows, all others have rows of their own."""
    shared = fold(COUNTS[0], "2000-01-03", 0), fold(60, "2010-01-01", 9)
    rows = [
        shared if at in (0, 2) else (fold(n, "2000-01-03", at), fold(50 + at, "2010-01-01", 10 + at))
        for at, n in enumerate(COUNTS)
    ]
    return [
        Training(build_seeded(kind, seed), learn, judge, seed, f"member {seed}")
        for seed, (learn, judge) in enumerate(rows)
    ]


class Killer:
    """Kills its own process in the middle, as nothing in Python can prevent."""

    def __init__(self, after: int) -> None:
        self.left = after

    def start(self, task: str, total: int | None = None) -> None:
        pass

    def advance(self, task: str, steps: int = 1, note: str = "") -> None:
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)

    def finish(self, task: str, note: str = "") -> None:
        pass

    def say(self, message: str) -> None:
        pass


if __name__ == "__main__":
    torch.set_num_threads(2)
    train_many(trainings(), LOSS, SETTINGS, progress=Killer(18), checkpoints=Checkpoints(Path(sys.argv[1]), seconds=0))
