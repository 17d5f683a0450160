"""One pass: members that share a stack go through their epochs together until each has stopped."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import groupby
from typing import Self, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from alfred.core.contracts import Windows
from alfred.core.errors import ConfigError
from alfred.training.checkpoint import Shelf
from alfred.training.course import Course
from alfred.training.device import DeviceWindows
from alfred.training.losses import Loss
from alfred.training.members import Stack
from alfred.training.settings import TrainSettings

T = TypeVar("T")

VALID_CELLS = 4096
"""Quarters of history that validation looks at at once: what a network of a sequence computes on the way grows with
them."""
SMALLEST_VALID_BATCH = 256
_LANES = 32
"""The processor computes exponentials of so many numbers at a time, and rounds what is left over at a tensor's end in
another way. Losses are computed in rows of whole multiples, so that it does not matter who stands beside a member."""


@dataclass
class Member:
    """One training among others.

    Attributes:
        network: receives the best epoch's weights at the end, and is left alone until then.
        order: gives the order of rows, epoch after epoch.
        course: how far it has come.
        shelf: where it is kept meanwhile, if anywhere.
        draws: whether its network cannot stand beside others, and may draw numbers of torch's own generator.
    """

    network: nn.Module
    train: Windows
    valid: Windows
    order: torch.Generator
    course: Course
    shelf: Shelf | None = None
    draws: bool = False


class NotFiniteError(Exception):
    """A member's loss is no longer a number."""

    def __init__(self, member: Member) -> None:
        super().__init__()
        self.member = member


class NoMemoryError(Exception):
    """Not even single rows fit into memory."""


@dataclass(frozen=True)
class _Rows:
    """Rows of several members on the device: windows and labels of all, where each one's begin, and how many."""

    windows: DeviceWindows
    y: Tensor
    firsts: tuple[int, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, parts: Sequence[Windows], device: torch.device) -> Self:
        windows, firsts = DeviceWindows.joined(parts, device)
        distinct = {id(part): part for part in parts}.values()
        y = torch.from_numpy(np.concatenate([np.asarray(part.y, np.float32) for part in distinct]))
        return cls(windows, y.to(device), firsts, tuple(len(part) for part in parts))

    def batch(self, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x (k, B, L, F), seen (k, B, L) and y (k, B) for positions (k, B)."""
        x, seen = self.windows.inputs(positions.flatten())
        return x.view(*positions.shape, *x.shape[1:]), seen.view(*positions.shape, -1), self.y[positions]

    def only(self, members: Sequence[int]) -> "_Rows":
        firsts, counts = (tuple(values[at] for at in members) for values in (self.firsts, self.counts))
        return _Rows(self.windows, self.y, firsts, counts)


class Pass:
    """Members of equal networks, the longest first so that those who still have rows stand together."""

    def __init__(
        self,
        members: Sequence[Member],
        loss: Loss,
        settings: TrainSettings,
        device: torch.device,
        *,
        bfloat16: bool,
        say: Callable[[str], None],
        halt: threading.Event,
    ) -> None:
        self._members = sorted(members, key=lambda member: -len(member.train))
        self._loss, self._settings, self._device = loss, settings, device
        self._bfloat16, self._say, self._halt = bfloat16, say, halt
        self._pieces = 1
        self._valid_batch = max(SMALLEST_VALID_BATCH, VALID_CELLS // members[0].train.quarters)
        batched = not any(member.draws for member in members)
        self._stack = Stack([member.network for member in self._members], settings, device, batched=batched)
        self._train = _Rows.of([member.train for member in self._members], device)
        self._valid = _Rows.of([member.valid for member in self._members], device)
        for at, member in enumerate(self._members):
            self._resume(at, member)

    def run(self, report: Callable[[Member], None]) -> None:
        """Train all of them; `report` hears of a member after each of its epochs.

        Raises:
            NotFiniteError: a loss is no longer finite.
            NoMemoryError: even with one row at a time there is too little memory.
        """
        self._release()
        while self._members and not self._halt.is_set():
            begun = time.perf_counter()
            learnt, judged = self._learn(), self._judge()
            seconds = (time.perf_counter() - begun) / len(self._members)
            for member, train_loss, valid_loss in zip(self._members, learnt, judged, strict=True):
                if not np.isfinite((train_loss, valid_loss)).all():
                    raise NotFiniteError(member)
                self._require_still_buffers(member)
                member.course = member.course.after(train_loss, valid_loss, seconds, self._settings)
                report(member)
            self._stack.keep([at for at, member in enumerate(self._members) if member.course.improved])
            self._write()
            self._release()

    def _learn(self) -> list[float]:
        """One epoch; mean loss of each member's rows as they were met, while the weights moved."""
        rows = self._train
        order = torch.zeros(len(self._members), max(rows.counts), dtype=torch.int64)
        for at, member in enumerate(self._members):
            mixed = torch.randperm(rows.counts[at], generator=member.order)
            order[at, : rows.counts[at]] = mixed + rows.firsts[at]
        order = order.to(self._device)
        total = torch.zeros(len(self._members), device=self._device)
        for members, start, count in _batches(rows.counts, self._settings.batch_size):
            if self._halt.is_set():
                break
            positions = order[members, start : start + count]
            # Summed on the device: reading it here would make an accelerator wait at every step.
            losses, gradients = self._within_memory(self._differentiate, members, positions)
            self._stack.update(members, [member.course.rate for member in self._members[members]], gradients)
            total[members] += losses
        return [value / count for value, count in zip(total.tolist(), rows.counts, strict=True)]

    def _differentiate(self, members: slice, positions: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Summed losses of a batch (k,), and the gradients of their means; some rows at a time if need be."""
        part = self._stack.part(members)
        part.train(True)
        total = torch.zeros(len(positions), device=self._device)
        gradients: list[Tensor] = []
        size = -(-positions.shape[1] // self._pieces)
        for start in range(0, positions.shape[1], size):
            x, seen, y = self._train.batch(positions[:, start : start + size])
            with torch.autocast(self._device.type, torch.bfloat16) if self._bfloat16 else nullcontext():
                outputs = part.outputs(x, seen)
            losses = self._losses(outputs.float(), y)
            found = part.gradients(losses.sum() / positions.shape[1])
            if gradients:
                torch._foreach_add_(gradients, found)
            gradients = gradients or found
            total += losses.detach().sum(1)
        return total, gradients

    @torch.no_grad()
    def _judge(self) -> list[float]:
        """Mean validation loss of each member, the weights held still; in full precision, as it will forecast."""
        total = torch.zeros(len(self._members), device=self._device)
        for members, start, count in _batches(self._valid.counts, self._valid_batch):
            firsts = torch.tensor(self._valid.firsts[members], device=self._device).unsqueeze(1)
            positions = firsts + torch.arange(start, start + count, device=self._device)
            total[members] += self._within_memory(self._loss_of, members, positions)
        return [value / count for value, count in zip(total.tolist(), self._valid.counts, strict=True)]

    def _loss_of(self, members: slice, positions: Tensor) -> Tensor:
        part = self._stack.part(members)
        part.train(False)
        total = torch.zeros(len(positions), device=self._device)
        size = -(-positions.shape[1] // self._pieces)
        for start in range(0, positions.shape[1], size):
            x, seen, y = self._valid.batch(positions[:, start : start + size])
            total += self._losses(part.outputs(x, seen), y).sum(1)
        return total

    def _losses(self, outputs: Tensor, y: Tensor) -> Tensor:
        """(k, B), row by row."""
        rows = y.shape[1]
        if rows % _LANES:
            more = -rows % _LANES
            y = nn.functional.pad(y, (0, more))
            outputs = nn.functional.pad(outputs, (0, more) if outputs.ndim == 2 else (0, 0, 0, more))
        return self._loss.rows(outputs, y)[:, :rows]

    def _within_memory(self, compute: Callable[[slice, Tensor], T], members: slice, positions: Tensor) -> T:
        """Compute, and where memory is out compute again with half as many rows at a time."""
        while True:
            try:
                return compute(members, positions)
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
            # Only here, where the error no longer holds on to what was computed, is its memory free.
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
            batch = self._settings.batch_size
            if self._pieces >= batch:
                raise NoMemoryError
            self._pieces *= 2
            self._say(
                f"out of memory on {self._device.type}: batches of {batch} rows are computed "
                f"{-(-batch // self._pieces)} at a time from here on; results are the same but for rounding."
            )

    def _release(self) -> None:
        """Hand over the best weights of those who have stopped; the others go on."""
        going = []
        for at, member in enumerate(self._members):
            if member.course.stopped is None:
                going.append(at)
                continue
            self._stack.best_into(member.network.to(self._device).eval(), at)
        if len(going) < len(self._members):
            self._members = [self._members[at] for at in going]
            self._train, self._valid = self._train.only(going), self._valid.only(going)
            self._stack.narrow(going)

    def _require_still_buffers(self, member: Member) -> None:
        """Only weights are kept, and only weights depend on the best epoch."""
        for name, buffer in member.network.named_buffers():
            if not torch.equal(
                buffer, self._stack.part(slice(0, len(self._members))).buffers()[name].to(buffer.device)
            ):
                raise ConfigError(
                    f"training changes the network's buffer {name!r}; normalise over a row's own values, "
                    f"without running statistics, so that a row's forecast depends on that row alone."
                )

    def _resume(self, at: int, member: Member) -> None:
        state = self._state(at, member)
        found = member.shelf and member.shelf.read({name: tuple(tensor.shape) for name, tensor in state.items()})
        if not found:
            return
        member.course, tensors = found
        self._stack.load(at, tensors)
        member.order.set_state(tensors["order"])
        if member.draws:
            torch.set_rng_state(tensors["draws"])
            if self._device.type == "cuda":
                torch.cuda.set_rng_state(tensors["draws.cuda"])

    def _write(self) -> None:
        for at, member in enumerate(self._members):
            if member.shelf and (member.shelf.due or member.course.stopped):
                member.shelf.write(member.course, self._state(at, member))

    def _state(self, at: int, member: Member) -> dict[str, Tensor]:
        state = self._stack.state(at) | {"order": member.order.get_state()}
        if member.draws:
            state["draws"] = torch.get_rng_state()
            if self._device.type == "cuda":
                state["draws.cuda"] = torch.cuda.get_rng_state()
        return state


def _batches(counts: Sequence[int], size: int) -> Iterator[tuple[slice, int, int]]:
    """Neighbours that take a batch together, its first row and its rows: everyone's last may be a shorter one."""
    for start in range(0, max(counts), size):
        left = [min(size, count - start) for count in counts]
        for count, group in groupby(range(len(counts)), key=left.__getitem__):
            members = list(group)
            if count > 0:
                yield slice(members[0], members[-1] + 1), start, count


def out_of_memory(error: RuntimeError) -> bool:
    """Whether this is what torch says when a device, or the processor, has no memory left."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
