"""Windows on the device: cells go there once, and what a step looks at is gathered there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alfred.core.contracts import Windows


@dataclass(frozen=True)
class DeviceWindows:
    """Windows as tensors: cells (C, F) float32 and index (N, L) int32, as in `Windows`.

    On the processor the tensors are the windows' own memory and are not to be written to.
    """

    cells: Tensor
    index: Tensor

    @classmethod
    def of(cls, windows: Windows, device: torch.device) -> Self:
        """The windows, moved."""
        return cls(_tensor(windows.cells).to(device), _tensor(windows.index).to(device))

    @classmethod
    def joined(cls, parts: Sequence[Windows], device: torch.device) -> tuple[Self, tuple[int, ...]]:
        """Several windows as one, and the position of each one's first row. What is there twice is taken once.

        The windows' columns and lengths must be the same.
        """
        distinct = list({id(part): part for part in parts}.values())
        if len(distinct) == 1:
            return cls.of(distinct[0], device), (0,) * len(parts)
        first, cells, indices = 0, [distinct[0].cells[:1]], []
        firsts, filled = {}, 0
        for part in distinct:
            firsts[id(part)] = first
            first += len(part)
            cells.append(part.cells[1:])
            # Every part's empty cell becomes the one in front.
            indices.append(np.where(part.index > 0, part.index + np.int32(filled), np.int32(0)))
            filled += len(part.cells) - 1
        there = cls(_tensor(np.concatenate(cells)).to(device), _tensor(np.concatenate(indices)).to(device))
        return there, tuple(firsts[id(part)] for part in parts)

    def __len__(self) -> int:
        return len(self.index)

    def inputs(self, which: Tensor | slice, rows: int | None = None) -> tuple[Tensor, Tensor]:
        """What a network is given: x (B, L, F), gathered, and seen (B, L).

        Args:
            which: positions, or a slice, of rows.
            rows: B; where `which` gives fewer, rows without any history, all 0, fill up.
        """
        index = self.index[which]
        if rows is not None and len(index) < rows:
            index = torch.nn.functional.pad(index, (0, 0, 0, rows - len(index)))
        x = self.cells.index_select(0, index.flatten()).view(*index.shape, self.cells.shape[1])
        return x, index > 0


def _tensor(array: NDArray[Any]) -> Tensor:
    """The array's own memory where torch can take it, which it does not where it must not be written to."""
    return torch.from_numpy(np.require(array, requirements=("C", "W")))
