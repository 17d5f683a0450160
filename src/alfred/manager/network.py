"""The network of the policies that learn: the same parameters for 20 names or 5,000, in any order.

Each name is looked at by one network with its own numbers, and told of the others through their mean and maximum
(Zaheer et al., 2017, "Deep Sets", NeurIPS 30), so that permuting names permutes weights. What comes out are `Scores`;
`portfolio` turns them into weights without any parameter. Beside the layers stands a linear way from a name's numbers
to its score: alone it would be a parametric portfolio policy (Brandt, Santa-Clara and Valkanov, 2009, "Parametric
Portfolio Policies", Review of Financial Studies 22).

Output layers begin at zero, so that a long-only account begins near 1/N and everything else has to be learnt. One that
may short begins near cash, but not in it, where a ratio of return to risk would have no slope to follow.
"""

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from alfred.core.settings import Settings
from alfred.manager.encoding import CASH, FIRST, HELD, MASK

FIRST_CASH = 0.02
"""Share of cash that a long-only network begins with: exactly 0 would be out of the reach of a softmax."""
FIRST_SIGNED = 0.01
"""Deviation of the first weights that lead to signed scores; accounts begin with a gross of a percent or so."""
FIRST_PACE = 0.9
"""Share of the way to its aim that a network begins to trade."""


class NetworkShape(Settings):
    """What determines a network's parameters and how its scores become weights.

    Attributes:
        channels, market_channels: of an encoded observation, all and the last ones, as `Encoder` tells them.
        width, layers: of the network that looks at each name.
        long_only: weights by a softmax over names and cash; otherwise signed.
        gross: largest sum of absolute weights that comes out.
    """

    channels: int = Field(ge=FIRST + 1)
    market_channels: int = Field(ge=0)
    width: int = Field(ge=1)
    layers: int = Field(ge=1)
    long_only: bool = True
    gross: float = Field(default=1.0, gt=0.0)


class Scores(NamedTuple):
    """What the network says, any finite number each; all at 0 is the start.

    Attributes:
        names: (B, S) of each name.
        cash: (B,) of cash.
        pace: (B,) of going all the way from the held weights to the aim.
    """

    names: Tensor
    cash: Tensor
    pace: Tensor


class PortfolioNetwork(nn.Module):
    """Scores from encoded observations."""

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        self.shape = shape
        width, columns = shape.width, shape.channels - FIRST - shape.market_channels + 1
        sizes = [columns] + [width] * shape.layers
        parts: list[nn.Module] = []
        for before, after in pairwise(sizes):
            parts += [nn.Linear(before, after), nn.SiLU()]
        self.each = nn.Sequential(*parts)
        self.context = nn.Sequential(nn.Linear(2 * width + 1 + shape.market_channels, width), nn.SiLU())
        self.joined = nn.Linear(2 * width, width)
        self.curved = nn.Linear(width, 1, bias=False)
        self.linear = nn.Linear(columns, 1, bias=False)
        self.account = nn.Linear(width, 3)
        for last in (self.curved, self.linear, self.account):
            for weights in last.parameters():
                nn.init.zeros_(weights)
        if not shape.long_only:
            nn.init.normal_(self.curved.weight, std=FIRST_SIGNED)

    def forward(self, encoded: Tensor) -> Scores:
        """Scores for (B, S, channels) encoded observations; only names that may be held count."""
        there, market = encoded[..., MASK : MASK + 1] > 0.5, encoded.shape[2] - self.shape.market_channels
        count = there.sum(dim=1).clamp(min=1)  # (B, 1)
        # In units of an equal share, so that it means the same among 20 names and among 5,000.
        held = encoded[..., HELD : HELD + 1] * (count / self.shape.gross).unsqueeze(2)
        own = torch.cat([encoded[..., FIRST:market], held], dim=2)
        all_of = torch.cat([encoded[:, 0, CASH : CASH + 1], encoded[:, 0, market:]], dim=1)
        each = self.each(own)  # (B, S, width)
        mean = torch.where(there, each, 0.0).sum(dim=1) / count
        most = torch.where(there, each, -torch.inf).amax(dim=1)
        most = torch.where(torch.isfinite(most), most, 0.0)
        context = self.context(torch.cat([mean, most, all_of], dim=1))  # (B, width)
        both = torch.cat([each, context.unsqueeze(1).expand_as(each)], dim=2)
        account = self.account(context)  # (B, 3)
        scores = self.curved(nn.functional.silu(self.joined(both))) + self.linear(own)
        return Scores(scores.squeeze(2) + account[:, :1], account[:, 1], account[:, 2])


def portfolio(scores: Scores, mask: Tensor, held: Tensor, *, long_only: bool, gross: float) -> Tensor:
    """(B, S) target weights, exactly 0 where a name may not be held; float64. With s the scores of N names:

    - Long-only: aim w_i = G exp(s_i) / (N k exp(c) + sum_j exp(s_j)), a softmax over names and cash in which cash
      counts as much as N names, so that the share of cash does not depend on N. k sets its first share.
    - Signed: aim w_i = G s_i / (N exp(c) + sum_j |s_j|), all cash for s = 0, and it nears gross G as |s| grows.
    - Both trade a share p of the way from the held weights h to the aim: w = h + p (aim - h). p below 1 is what is best
      under costs that grow with the trade (Garleanu and Pedersen, 2013, "Dynamic Trading with Predictable Returns and
      Transaction Costs", Journal of Finance 68), and p near 0 does not trade.

    Args:
        scores: as the network gives them.
        mask: (B, S) bool.
        held: (B, S) weights before the trade.
        long_only: which of both.
        gross: G.
    """
    names, cash, pace = (part.double() for part in scores)
    count = mask.sum(dim=1).clamp(min=1).double()
    if long_only:
        share = max(1.0 - 1.0 / gross, FIRST_CASH)
        cash = cash + math.log(share / (1.0 - share)) + count.log()
        all_names = torch.where(mask, names, -torch.inf)
        aim = gross * torch.softmax(torch.cat([all_names, cash.unsqueeze(1)], dim=1), dim=1)[:, :-1]
    else:
        sized = torch.where(mask, names, 0.0)
        aim = gross * sized / (count * cash.exp() + sized.abs().sum(dim=1)).unsqueeze(1)
    way = torch.sigmoid(pace + math.log(FIRST_PACE / (1.0 - FIRST_PACE))).unsqueeze(1)
    kept = torch.where(mask, held.double(), 0.0)
    return kept + way * (aim - kept)
