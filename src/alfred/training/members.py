"""Members side by side: weights, gradients and AdamW's moments of equal networks, one row of a matrix each.

A member's numbers are computed by the same operations whether it stands alone or in company: a batched matrix product
for a product, reductions within its own row, an optimiser's step of its own.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn

from alfred.training.parts import Part, Slot, without_weights
from alfred.training.settings import TrainSettings

MAX_GRADIENT_NORM = 1.0
"""Gradients longer than this are shortened to it, so that one quarter's outlier does not undo an epoch's learning."""

_ROW = 4096
"""Rows are filled up to whole multiples of so many numbers, so that they all begin alike in memory."""

Shapes = tuple[tuple[str, torch.Size], ...]
State = Mapping[str, Tensor]


def shapes_of(network: nn.Module) -> Shapes:
    """Names and shapes of what it learns; equal in networks that can stand side by side."""
    return tuple((name, weight.shape) for name, weight in network.named_parameters() if weight.requires_grad)


class Stack:
    """Members side by side.

    Each learns by AdamW (Loshchilov and Hutter 2019) at its own rate, its gradient shortened by its own norm; weight
    matrices decay, all else does not.
    """

    def __init__(
        self, networks: Sequence[nn.Module], settings: TrainSettings, device: torch.device, *, batched: bool
    ) -> None:
        first, self._batched = networks[0], batched
        self._shape = without_weights(first, device)
        self._decay, self._compiled = settings.weight_decay, settings.compile
        shapes = shapes_of(first)
        ends = [0, *accumulate(shape.numel() for _, shape in shapes)]
        self._slots = {name: Slot(shape, *at) for (name, shape), at in zip(shapes, pairwise(ends), strict=True)}
        self._used = ends[-1]
        wide = -(-max(self._used, 1) // _ROW) * _ROW
        self.weights, self._mean, self._square = (torch.zeros(len(networks), wide, device=device) for _ in range(3))
        for at, network in enumerate(networks):
            own = dict(network.named_parameters())
            for name, slot in self._slots.items():
                slot.of(self.weights)[at].copy_(own[name].detach())
        self._kept = self.weights.clone()
        self._steps = torch.zeros(len(networks), device=device)
        self._lay_out()

    def __len__(self) -> int:
        return len(self.weights)

    def part(self, members: slice) -> Part:
        """Some of the members."""
        key = (members.start, members.stop)
        if key not in self._parts:
            self._parts[key] = Part(
                self._shape, self._slots, self.weights[members], batched=self._batched, compiled=self._compiled
            )
        return self._parts[key]

    @torch.no_grad()
    def update(self, members: slice, rates: Sequence[float], gradients: Sequence[Tensor]) -> None:
        """One step of these members along their gradients, as `Part.gradients` gives them, each at its own rate."""
        own = list(zip(*(gradient.unbind() for gradient in gradients), strict=True))
        divisors = (_norms(own) / MAX_GRADIENT_NORM).clamp_min(1.0)
        # On the processor it costs nothing to look, and what needs no shortening need not be written again.
        long = (divisors > 1.0).tolist() if divisors.device.type == "cpu" else [True] * len(divisors)
        self._steps[members] += 1
        for at, (rate, of_member) in enumerate(zip(rates, own, strict=True)):
            for decay, chosen, (weights, means, squares, steps) in self._groups[members.start + at]:
                # What torch.optim.AdamW(fused=True) calls; its own bookkeeping costs as much as four layers' products.
                torch._fused_adamw_(
                    weights,
                    [of_member[parameter] for parameter in chosen],
                    means,
                    squares,
                    [],
                    steps,
                    lr=rate,
                    beta1=0.9,
                    beta2=0.999,
                    weight_decay=decay,
                    eps=1e-8,
                    amsgrad=False,
                    maximize=False,
                    grad_scale=divisors[at] if long[at] else None,
                    found_inf=None,
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
        for name in ("weights", "_mean", "_square", "_kept", "_steps"):
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
        """Make what points into the rows anew."""
        self._parts: dict[tuple[int, int], Part] = {}
        slots = tuple(self._slots.values())
        matrices = [at for at, slot in enumerate(slots) if len(slot.shape) > 1]
        others = [at for at, slot in enumerate(slots) if len(slot.shape) <= 1]
        kinds = [(decay, chosen) for decay, chosen in ((self._decay, matrices), (0.0, others)) if chosen]
        raw = [[slot.raw(rows).unbind() for slot in slots] for rows in (self.weights, self._mean, self._square)]
        self._groups = [
            [
                (
                    decay,
                    chosen,
                    (*([parts[slot][at] for slot in chosen] for parts in raw), [self._steps[at]] * len(chosen)),
                )
                for decay, chosen in kinds
            ]
            for at in range(len(self))
        ]


def _norms(members: Sequence[Sequence[Tensor]]) -> Tensor:
    """(k,) Euclidean lengths of the members' gradients, over all parameters."""
    lengths = torch._foreach_norm([gradient for own in members for gradient in own])
    norms: Tensor = torch.linalg.vector_norm(torch.stack(lengths).view(len(members), -1), dim=1)
    return norms + 1e-6
