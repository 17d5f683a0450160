"""Compiled parts of an environment's step that are not the account's: what is wanted, told and seen."""

import math

import numpy as np
from numpy.typing import NDArray

from alfred.backtest._compiled import compiled
from alfred.core.contracts import Bools, Floats

Rows = NDArray[np.int64]
Singles = NDArray[np.float32]
Done = tuple[Rows, Floats, Bools]
"""(B,) rebalancings, (B, S) weights after the trades, and (B,) whether ruined since."""
Tables = tuple[Floats, Floats, Floats]
"""(D + 1, S) marks at the fills, and price and payment of a share at the decisions' closes, as `known.Told` says."""


@compiled
def want(action: Singles, scale: float, mask: Bools, target: Floats) -> bool:
    """Fill in (S,) target weights of an action; whether all of it is finite."""
    finite = True
    for name in range(len(action)):
        finite = finite and math.isfinite(action[name])
        wanted = scale * min(max(float(action[name]), -1.0), 1.0)
        target[name] = wanted if mask[name] else 0.0
    return finite


@compiled
def tell_block(first: int, stop: int, done: Done, tables: Tables, held: Floats) -> None:
    """Fill in the (B, S) weights that the decisions after rebalancings are told, for accounts `first` to `stop`."""
    (at, weights, ruined), (mark, price, paid) = done, tables
    for account in range(first, stop):
        period, own, cash, worth = at[account], held[account], 1.0, 0.0
        if ruined[account]:
            own[:] = 0.0
            continue
        for name in range(weights.shape[1]):
            weight = weights[account, name]
            bought = weight / mark[period, name]
            own[name] = bought * price[period + 1, name]
            cash -= weight
            worth += own[name] + bought * paid[period + 1, name]
        worth += cash
        for name in range(weights.shape[1]):
            own[name] = own[name] / worth if worth > 0.0 else 0.0


@compiled
def put_weights(held: Floats, largest: float, found: Singles) -> None:
    """Write (S,) weights held into the first channel of (S, K) of an account in cash, and what is left to the third."""
    cash = 1.0
    for name in range(len(held)):
        cash -= held[name]
    left = min(max(cash, -largest), largest)
    for name in range(len(held)):
        found[name, 0] = min(max(held[name], -largest), largest)
        found[name, 2] = left
