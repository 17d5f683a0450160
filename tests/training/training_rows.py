"""Rows and a network small enough to train in a blink."""

import numpy as np
import torch
from torch import Tensor, nn

from alfred.core.contracts import Windows

COLUMNS = ("a", "b", "c")
FIRST_DAY = np.datetime64("2000-01-03")


def rows(count: int, *, first: np.datetime64 = FIRST_DAY, seed: int = 0, target: str = "PM") -> Windows:
    """One row a day of one symbol; the label is 0.3 a - 0.2 b plus a little noise."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 1, len(COLUMNS))).astype(np.float32)
    y = 0.3 * x[:, 0, 0] - 0.2 * x[:, 0, 1] + 0.01 * random.normal(size=count)
    return Windows.of(
        x=x,
        seen=np.ones((count, 1), bool),
        columns=COLUMNS,
        dates=first + np.arange(count),
        symbols=np.full(count, "AAA"),
        target=target,
        y=(y > 0).astype(float) if target == "PQ" else y,
    )


LATER = np.datetime64("2020-01-02")


class Line(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(len(COLUMNS), 1)

    def forward(self, x: Tensor, _seen: Tensor) -> Tensor:
        return self.map(x[:, -1]).squeeze(1)


class Constant(nn.Module):
    """Always answers with its one weight; its loss is the same number in all epochs when it cannot learn."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, _seen: Tensor) -> Tensor:
        return self.weight.expand(len(x))
