"""Part of a stack: networks of equal shapes that take a batch together, each by its own weights."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call


def can_stand_together(network: nn.Module, quarters: int, columns: int) -> bool:
    """Whether several such networks can take a batch together.

    Those can that say so themselves (`takes_members`), and those that `torch.func.vmap` takes: not if they draw random
    numbers or write into their buffers. It is tried on tensors without memory.
    """
    if takes_members(network):
        return True
    empty = without_weights(network, torch.device("meta")).train()
    weights = {name: torch.empty(2, *weight.shape, device="meta") for name, weight in empty.named_parameters()}
    x = torch.empty(2, 2, quarters, columns, device="meta")
    seen = torch.empty(2, 2, quarters, dtype=torch.bool, device="meta")
    try:
        torch.vmap(lambda own, *inputs: functional_call(empty, own, inputs))(weights, x, seen)
    except RuntimeError:
        return False
    return True


def takes_members(network: nn.Module) -> bool:
    """Whether the network's `forward` also takes (k, B, L, F) and (k, B, L) with weights (k, ...), and gives (k, B).

    It then works on its tensors' last axes only, and says so by an attribute of this name. Its linear maps get products
    that are batched over members; with `vmap` every operation costs some 15 microseconds more.
    """
    return bool(getattr(network, "takes_members", False))


def without_weights(network: nn.Module, device: torch.device) -> nn.Module:
    """A copy of the network on the device, whose weights take no memory."""
    memo: dict[int, Tensor] = {id(buffer): buffer.to(device, copy=True) for buffer in network.buffers()}
    for weight in network.parameters():
        memo[id(weight)] = nn.Parameter(torch.empty_like(weight, device="meta"))
    return copy.deepcopy(network, dict(memo))


@dataclass(frozen=True)
class Slot:
    """Where a parameter stands in a member's row. Matrices stand transposed, as their gradients come out."""

    shape: torch.Size
    start: int
    stop: int

    def raw(self, rows: Tensor) -> Tensor:
        """(k, P) -> (k, ...), the same memory in the order in which it lies."""
        stored = self.shape[::-1] if len(self.shape) == 2 else self.shape
        return rows[:, self.start : self.stop].view(len(rows), *stored)

    def of(self, rows: Tensor) -> Tensor:
        """(k, P) -> (k, *shape), the same memory."""
        return self.raw(rows).transpose(1, 2) if len(self.shape) == 2 else self.raw(rows)

    def as_stored(self, gradient: Tensor) -> Tensor:
        """A gradient (k, *shape) in the order of `raw`; nothing is copied where it lies so."""
        return (gradient.transpose(1, 2) if len(self.shape) == 2 else gradient).contiguous()


class _Products(nn.Linear):
    """A linear map of each member: weight (k, out, in), bias (k, out)."""

    def forward(self, values: Tensor) -> Tensor:
        """(k, ..., in) -> (k, ..., out)."""
        flat, weight = values.flatten(1, -2), self.weight.transpose(1, 2)
        bias: Tensor | None = self.bias
        product = torch.bmm(flat, weight) if bias is None else torch.baddbmm(bias.unsqueeze(1), flat, weight)
        return product.view(*values.shape[:-1], -1)


class Part:
    """Neighbours in a stack that take a batch together.

    One that stands alone among networks that do not take members gets the batch as if there were no others.
    """

    def __init__(self, network: nn.Module, slots: Mapping[str, Slot], weights: Tensor, *, compiled: bool) -> None:
        self._network = copy.deepcopy(network)
        self._slots = tuple(slots.values())
        native = takes_members(network)
        self._alone = alone = len(weights) == 1 and not native
        views = {name: slot.of(weights).detach() for name, slot in slots.items()}
        self._leaves: dict[str, Tensor] = {
            name: nn.Parameter(view[0] if alone else view) for name, view in views.items()
        }
        forward = self._of_all if native else self._of_only if alone else torch.vmap(self._of_one)
        self._forward = torch.compile(forward) if compiled else forward
        if native or alone:
            self._bind()

    def outputs(self, x: Tensor, seen: Tensor) -> Tensor:
        """Raw outputs (k, B) for x (k, B, L, F) and seen (k, B, L)."""
        outputs: Tensor = self._forward(self._leaves, x, seen)
        return outputs

    def gradients(self, objective: Tensor) -> list[Tensor]:
        """What comes out of differentiating: (k, ...) a parameter, as `Slot.raw`."""
        found = torch.autograd.grad(objective, tuple(self._leaves.values()))
        return [
            slot.as_stored(gradient[None] if self._alone else gradient)
            for slot, gradient in zip(self._slots, found, strict=True)
        ]

    def train(self, learning: bool) -> None:
        """Set the network's mode, where it is another: to go through its layers takes a tenth of its forward pass."""
        if self._network.training != learning:
            self._network.train(learning)

    def buffers(self) -> dict[str, Tensor]:
        """What the network holds beside its weights."""
        return dict(self._network.named_buffers())

    def _bind(self) -> None:
        """Put the weights into the network for good: to do so at every step costs as much as two of its layers."""
        for name, leaf in self._leaves.items():
            owner, _, own = name.rpartition(".")
            module = self._network.get_submodule(owner)
            setattr(module, own, leaf)
            if type(module) is nn.Linear and leaf.ndim == 3:
                module.__class__ = _Products

    def _of_all(self, _weights: dict[str, Tensor], x: Tensor, seen: Tensor) -> Tensor:
        output: Tensor = self._network(x, seen)
        return output

    def _of_only(self, _weights: dict[str, Tensor], x: Tensor, seen: Tensor) -> Tensor:
        output: Tensor = self._network(x[0], seen[0])
        return output[None]

    def _of_one(self, weights: dict[str, Tensor], x: Tensor, seen: Tensor) -> Tensor:
        output: Tensor = functional_call(self._network, weights, (x, seen))
        return output
