"""The notes' plain network, its heads and the losses that they train on: alone, or behind extractors of a sequence."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as f

from alfred.analysts._presets import SIZES, Preset
from alfred.core.contracts import DIRECTION
from alfred.training.losses import Head

HEAD_SCALE = 0.1
"""The head's first weights are this fraction of torch's, so that untrained forecasts have the size of labels."""

SIGNED = ("huber-sign", "mse-sign", "sign-ratio", "huber", "mse")
"""Losses behind a tanh head, the notes' own first."""


@dataclass(frozen=True)
class HeadOption:
    """How a preset's name ends, and what that means."""

    ending: str
    head: Head
    words: str
    labels: tuple[str, ...]
    losses: tuple[str, ...]

    def preset(self, shape: str, size: int, layers: int, quarters: int = 1) -> Preset:
        """A network of that shape with this head."""
        return Preset(
            f"{shape}, {self.words}",
            self.labels,
            self.losses,
            self.head,
            size=size,
            layers=layers,
            quarters=quarters,
        )


HEADS = (
    HeadOption("", "sigmoid", "sigmoid head: probability of a rise", (DIRECTION,), ("bce", "mse")),
    HeadOption(
        ".identity",
        "identity",
        "linear head: magnitude",
        SIZES,
        ("mse", "huber", "huber-sign", "mse-sign", "sign-ratio"),
    ),
    HeadOption(".tanh", "tanh", "tanh head: magnitude within -100% and +100%", SIZES, SIGNED),
    HeadOption(".gaussian", "gaussian", "Gaussian head: magnitude and its own deviation", SIZES, ("gaussian",)),
)


class PlainNetwork(nn.Module):
    """Hidden layers of linear map, normalisation, ReLU; then the head's raw outputs, mostly one.

    Normalisation is over a row's own values (layer normalisation, Ba et al. 2016) and learns nothing. Batch
    normalisation, which the notes used, would make a row's forecast depend on the rows beside it.
    """

    takes_members = True
    """Works on the last axes only, so that weights of many members can go through it at once."""

    def __init__(self, inputs: int, widths: tuple[int, ...], outputs: int = 1) -> None:
        super().__init__()
        before = (inputs, *widths[:-1])
        self.hidden = nn.ModuleList(nn.Linear(*pair) for pair in zip(before, widths, strict=True))
        self.head = nn.Linear(widths[-1], outputs)
        with_small_start = nn.Parameter(self.head.weight.detach() * HEAD_SCALE)
        self.head.weight = with_small_start

    def forward(self, x: Tensor, _seen: Tensor) -> Tensor:
        """Raw outputs (B,), of several (B, outputs), for x (B, L, F) or for an extractor's values (B, 1, W).

        Unseen quarters are zeros in `x` already, so the mask adds nothing.
        """
        values = x.flatten(-2)  # (B, L*F)
        for layer in self.hidden:
            values = layer(values)  # (B, width)
            values = f.layer_norm(values, values.shape[-1:])  # (B, width), mean 0 and variance 1 in each row
            values = f.relu(values)  # (B, width)
        # Row by row: a product with a single column rounds otherwise when it is batched over members.
        if self.head.weight.shape[-2] == 1:
            output: Tensor = (values * self.head.weight).sum(-1) + self.head.bias  # (B, width) -> (B,)
            return output
        rows = (weight.unsqueeze(-2) for weight in self.head.weight.unbind(-2))
        each = [(values * row).sum(-1) for row in rows]  # (B,) of every output
        return torch.stack(each, dim=-1) + self.head.bias.unsqueeze(-2)  # (B, outputs)
