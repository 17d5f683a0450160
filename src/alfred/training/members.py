"""Members side by side: weights, gradients and AdamW's moments of equal networks, one row of a matrix each.

A member's numbers are computed by the same operations whether it stands alone or in company: a batched matrix product
for a product, reductions within its own row, an optimiser's step of its own.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim.adamw import adamw

from alfred.training.settings import TrainSettings

MAX_GRADIENT_NORM = 1.0
"""Gradients longer than this are shortened to it, so that one quarter's outlier does not undo an epoch's learning."""

_BLOCK = 4096
"""Norms are taken over blocks of so many numbers first, so that their rounding depends on neither members nor threads.
Rows are filled up to whole blocks."""

Shapes = tuple[tuple[str, torch.Size], ...]
State = Mapping[str, Tensor]


def shapes_of(network: nn.Module) -> Shapes:
    """Names and shapes of what it learns; equal in networks that can stand side by side."""
    return tuple((name, weight.shape) for name, weight in network.named_parameters() if weight.requires_grad)


def can_stand_together(network: nn.Module, quarters: int, columns: int) -> bool:
    """Whether `torch.func.vmap` takes the network: not if it draws random numbers or writes into its buffers.

    It is tried on tensors without memory.
    """
    weights = {name: torch.empty(2, *weight.shape, device="meta") for name, weight in network.named_parameters()}
    buffers = {name: buffer.to("meta") for name, buffer in network.named_buffers()}
    x = torch.empty(2, 2, quarters, columns, device="meta")
    seen = torch.empty(2, 2, quarters, dtype=torch.bool, device="meta")
    learning = network.training
    try:
        torch.vmap(lambda own, *inputs: functional_call(network.train(), {**own, **buffers}, inputs))(weights, x, seen)
    except RuntimeError:
        return False
    finally:
        network.train(learning)
    return True


@dataclass(frozen=True)
class _Slot:
    """Where a parameter stands in a member's row. Matrices stand transposed, as their gradients come out."""

    shape: torch.Size
    start: int
    stop: int

    def of(self, rows: Tensor) -> Tensor:
        """(k, P) -> (k, *shape), the same memory."""
        part = rows[:, self.start : self.stop]
        if len(self.shape) != 2:
            return part.view(len(rows), *self.shape)
        return part.view(len(rows), *reversed(self.shape)).transpose(1, 2)


class Part:
    """Neighbours in a stack that take a batch together."""

    def __init__(
        self,
        network: nn.Module,
        slots: Mapping[str, _Slot],
        weights: Tensor,
        gradients: Tensor,
        *,
        compiled: bool,
    ) -> None:
        self._network = network
        self._alone = len(weights) == 1
        self._leaves = {name: self._view(slot, weights).detach().requires_grad_() for name, slot in slots.items()}
        self._gradients = [self._view(slot, gradients) for slot in slots.values()]
        if self._alone:
            # Bound for good: to put weights into a network at every step costs as much as two of its layers.
            for name, leaf in self._leaves.items():
                owner, _, own = name.rpartition(".")
                setattr(network.get_submodule(owner), own, nn.Parameter(leaf))
            self._leaves = {name: network.get_parameter(name) for name in slots}
        forward = self._of_alone if self._alone else torch.vmap(self._of_one)
        self._forward = torch.compile(forward) if compiled else forward

    def outputs(self, x: Tensor, seen: Tensor) -> Tensor:
        """Raw outputs (k, B) for x (k, B, L, F) and seen (k, B, L)."""
        outputs: Tensor = self._forward(self._leaves, x, seen)
        return outputs

    def take_gradients(self, objective: Tensor, *, add: bool) -> None:
        """Differentiate, and put what comes out into the stack's gradients, or add it to them."""
        found = torch.autograd.grad(objective, tuple(self._leaves.values()))
        if add:
            torch._foreach_add_(self._gradients, found)
        else:
            torch._foreach_copy_(self._gradients, found)

    def train(self, learning: bool) -> None:
        """Set the network's mode."""
        self._network.train(learning)

    def buffers(self) -> dict[str, Tensor]:
        """What the network holds beside its weights."""
        return dict(self._network.named_buffers())

    def _view(self, slot: _Slot, rows: Tensor) -> Tensor:
        return slot.of(rows)[0] if self._alone else slot.of(rows)

    def _of_alone(self, _weights: dict[str, Tensor], x: Tensor, seen: Tensor) -> Tensor:
        output: Tensor = self._network(x[0], seen[0])
        return output[None]

    def _of_one(self, weights: dict[str, Tensor], x: Tensor, seen: Tensor) -> Tensor:
        output: Tensor = functional_call(self._network, weights, (x, seen))
        return output


class Stack:
    """Members side by side.

    Each learns by AdamW (Loshchilov and Hutter 2019) at its own rate, its gradient shortened by its own norm; weight
    matrices decay, all else does not.
    """

    def __init__(self, networks: Sequence[nn.Module], settings: TrainSettings, device: torch.device) -> None:
        first = networks[0]
        self._shape = copy.deepcopy(first).to(device)
        self._decay, self._compiled = settings.weight_decay, settings.compile
        order = sorted(shapes_of(first), key=lambda named: len(named[1]) <= 1)
        ends = [0, *accumulate(shape.numel() for _, shape in order)]
        placed = {name: _Slot(shape, *at) for (name, shape), at in zip(order, pairwise(ends), strict=True)}
        self._slots = {name: placed[name] for name, _ in shapes_of(first)}
        self._matrices = sum(shape.numel() for _, shape in order if len(shape) > 1)
        self._used = ends[-1]
        wide = -(-max(self._used, 1) // _BLOCK) * _BLOCK
        self.weights, self._gradients, self._mean, self._square = (
            torch.zeros(len(networks), wide, device=device) for _ in range(4)
        )
        for at, network in enumerate(networks):
            own = dict(network.named_parameters())
            for name, slot in self._slots.items():
                slot.of(self.weights)[at].copy_(own[name].detach())
        self._kept = self.weights.clone()
        self._steps = torch.zeros(len(networks), 2, device=device)
        self._lay_out()

    def __len__(self) -> int:
        return len(self.weights)

    def part(self, members: slice) -> Part:
        """Some of the members."""
        key = (members.start, members.stop)
        if key not in self._parts:
            network = copy.deepcopy(self._shape) if members.stop - members.start == 1 else self._shape
            self._parts[key] = Part(
                network, self._slots, self.weights[members], self._gradients[members], compiled=self._compiled
            )
        return self._parts[key]

    @torch.no_grad()
    def update(self, members: slice, rates: Sequence[float]) -> None:
        """One step of these members along their gradients, each at its learning rate."""
        gradients = self._gradients[members]
        blocks = torch.linalg.vector_norm(gradients.view(len(gradients), -1, _BLOCK), dim=2)
        norms = torch.linalg.vector_norm(blocks, dim=1)
        divisors = ((norms + 1e-6) / MAX_GRADIENT_NORM).clamp_min(1.0)
        # On the processor it costs nothing to look, and what needs no shortening need not be written again.
        short = (divisors == 1.0).tolist() if divisors.device.type == "cpu" else [False] * len(divisors)
        for at, rate in enumerate(rates):
            for decay, tensors in self._groups[members.start + at]:
                adamw(
                    *tensors,
                    fused=True,
                    grad_scale=None if short[at] else divisors[at],
                    amsgrad=False,
                    beta1=0.9,
                    beta2=0.999,
                    lr=rate,
                    weight_decay=decay,
                    eps=1e-8,
                    maximize=False,
                )

    def keep(self, members: Sequence[int]) -> None:
        """These members' present weights are their best so far."""
        for at in members:
            self._kept[at].copy_(self.weights[at])

    @torch.no_grad()
    def best_into(self, network: nn.Module, member: int) -> None:
        """Put a member's best weights into a network of the same shapes."""
        own = dict(network.named_parameters())
        for name, slot in self._slots.items():
            own[name].copy_(slot.of(self._kept[member : member + 1])[0])

    def narrow(self, members: Sequence[int]) -> None:
        """Only these go on."""
        chosen = torch.tensor(members, dtype=torch.int64, device=self.weights.device)
        for name in ("weights", "_gradients", "_mean", "_square", "_kept", "_steps"):
            setattr(self, name, getattr(self, name).index_select(0, chosen))
        self._lay_out()

    def state(self, member: int) -> dict[str, Tensor]:
        """What one member has come to, a copy."""
        return {name: row[member].to("cpu", copy=True) for name, row in self._rows().items()}

    def load(self, member: int, state: State) -> None:
        """Take up what `state` gave."""
        for name, row in self._rows().items():
            row[member].copy_(state[name])

    def _rows(self) -> dict[str, Tensor]:
        used = {"weights": self.weights, "mean": self._mean, "square": self._square, "best": self._kept}
        return {name: rows[:, : self._used] for name, rows in used.items()} | {"steps": self._steps}

    def _lay_out(self) -> None:
        self._parts: dict[tuple[int, int], Part] = {}
        spans = ((self._decay, 0, self._matrices), (0.0, self._matrices, self._used))
        rows = (self.weights, self._gradients, self._mean, self._square)
        self._groups = [
            [
                (decay, (*([row[at, start:stop]] for row in rows), [], [self._steps[at, group]]))
                for group, (decay, start, stop) in enumerate(spans)
                if stop > start
            ]
            for at in range(len(self))
        ]
