"""Part of a stack: networks of equal shapes that take a batch together, each by its own weights."""

import copy
from collections.abc import Callable, Mapping
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
        return self.natural(self.raw(rows))

    def natural(self, stored: Tensor) -> Tensor:
        """From the order of `raw` to (k, *shape), or back."""
        return stored.transpose(1, 2) if len(self.shape) == 2 else stored


class _Products(nn.Linear):
    """A linear map of each member."""

    stored: Tensor  # (k, in, out)
    row: Tensor | None  # (k, 1, out)

    def forward(self, values: Tensor) -> Tensor:
        """(k, ..., in) -> (k, ..., out)."""
        flat = values if values.ndim == 3 else values.flatten(1, -2)
        product = torch.bmm(flat, self.stored) if self.row is None else torch.baddbmm(self.row, flat, self.stored)
        return product if values.ndim == 3 else product.view(*values.shape[:-1], -1)


class Part:
    """Neighbours in a stack that take a batch together, or a member that stands alone.

    A network that can take others beside it is computed in the same way where there are none, so that results do not
    depend on them: with `vmap` even of one. Others get their batch as it is.
    """

    @torch.enable_grad()  # whoever asks for a part first: validation would leave its views without gradients
    def __init__(
        self, network: nn.Module, slots: Mapping[str, Slot], weights: Tensor, *, batched: bool, compiled: bool
    ) -> None:
        self._network = copy.deepcopy(network)
        self._slots = tuple(slots.values())
        self._native = takes_members(network)
        self._alone = not batched
        if self._native:
            views = {name: slot.raw(weights) for name, slot in slots.items()}
        else:
            views = {name: slot.of(weights)[0] if self._alone else slot.of(weights) for name, slot in slots.items()}
        self._leaves: dict[str, Tensor] = {name: nn.Parameter(view.detach()) for name, view in views.items()}
        forward: Callable[[dict[str, Tensor], Tensor, Tensor], Tensor]
        if self._native:
            forward = self._of_all
            self._bind({name: slot.natural(self._leaves[name]) for name, slot in slots.items()})
            self._stack_products()
        elif self._alone:
            forward = self._of_only
            self._bind(self._leaves)
        else:
            forward = torch.vmap(self._of_one)
        self._forward = torch.compile(forward) if compiled else forward

    def outputs(self, x: Tensor, seen: Tensor) -> Tensor:
        """Raw outputs (k, B) for x (k, B, L, F) and seen (k, B, L)."""
        outputs: Tensor = self._forward(self._leaves, x, seen)
        return outputs

    def gradients(self, objective: Tensor) -> list[Tensor]:
        """What comes out of differentiating: (k, ...) a parameter, as `Slot.raw`."""
        found = torch.autograd.grad(objective, tuple(self._leaves.values()))
        if self._native:
            return [gradient.contiguous() for gradient in found]
        return [
            slot.natural(gradient[None] if self._alone else gradient).contiguous()
            for slot, gradient in zip(self._slots, found, strict=True)
        ]

    def train(self, learning: bool) -> None:
        """Set the network's mode, where it is another: to go through its layers takes a tenth of its forward pass."""
        if self._network.training != learning:
            self._network.train(learning)

    def buffers(self) -> dict[str, Tensor]:
        """What the network holds beside its weights."""
        return dict(self._network.named_buffers())

    def _bind(self, weights: Mapping[str, Tensor]) -> None:
        """Put the weights into the network for good: to do so at every step costs as much as two of its layers."""
        for name, weight in weights.items():
            owner, _, own = name.rpartition(".")
            module = self._network.get_submodule(owner)
            delattr(module, own)
            setattr(module, own, weight)

    def _stack_products(self) -> None:
        for name, module in self._network.named_modules():
            if type(module) is nn.Linear:
                module.__class__ = _Products
                module.stored = self._leaves[f"{name}.weight"]
                module.row = None if module.bias is None else module.bias.unsqueeze(1)

    def _of_all(self, _weights: dict[str, Tensor], x: Tensor, seen: Tensor) -> Tensor:
        output: Tensor = self._network(x, seen)
        return output

    def _of_only(self, _weights: dict[str, Tensor], x: Tensor, seen: Tensor) -> Tensor:
        output: Tensor = self._network(x[0], seen[0])
        return output[None]

    def _of_one(self, weights: dict[str, Tensor], x: Tensor, seen: Tensor) -> Tensor:
        output: Tensor = functional_call(self._network, weights, (x, seen))
        return output
