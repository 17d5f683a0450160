"""What a period pays: the log return after costs, less penalties, or the differential Sharpe ratio.

With V_d the account's value before all costs of decision d, V_{d+1} the same one period later, M_d the highest value so
far, and g = log(V_{d+1} / V_d), a share lost of all but `RUIN` being the worst that is paid:

    log_return             g
    differential_sharpe    (B dA - A dB / 2) / (B - A^2)^(3/2), dA = g - A, dB = g^2 - B
    drawdown penalty       drawdown_penalty max(0, (1 - V_{d+1} / M_{d+1}) - (1 - V_d / M_d))
    variance penalty       variance_penalty g^2 / 2

A and B are moving averages of g and g^2, 0 at an episode's start, and after the payment A grows by decay dA and B by
decay dB (Moody and Saffell, 2001, "Learning to trade via direct reinforcement", IEEE Transactions on Neural Networks
12, equations 10 to 12). B - A^2 counts as at least `LEAST_VARIANCE`, so that a few quiet periods pay no fortune.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from alfred.manager.settings import RewardSettings

RUIN = 1e-4
"""Least share of its value that an account counts as keeping over a period; log(RUIN) is about -9.2."""
LEAST_VARIANCE = 1e-6
"""Of log returns a period: a deviation of 0.1%."""


class Memory(NamedTuple):
    """What rewards remember of an episode, (B,) each.

    Attributes:
        peak: highest value so far, dollars.
        mean, square: moving averages of the log return and of its square.
    """

    peak: Tensor
    mean: Tensor
    square: Tensor


def fresh(worth: Tensor) -> Memory:
    """At an episode's start, with (B,) dollars."""
    return Memory(worth, torch.zeros_like(worth), torch.zeros_like(worth))


def log_growth(before: Tensor, worth: Tensor) -> Tensor:
    """(B,) log return of a period from (B,) dollars before its costs to those at its end; no less than log(RUIN)."""
    return (worth / before.clamp(min=1e-300)).clamp(min=RUIN).log()


def reward(settings: RewardSettings, before: Tensor, worth: Tensor, memory: Memory) -> tuple[Tensor, Tensor, Memory]:
    """(B,) what a period pays, its log return, and what is remembered after it; differentiable in values and memory.

    Args:
        settings: what is paid.
        before, worth: (B,) dollars before the period's costs and at its end, the latter 0 where ruined.
        memory: of the periods before.
    """
    growth = log_growth(before, worth)
    above, squares = growth - memory.mean, growth**2 - memory.square
    if settings.kind == "log_return":
        paid = growth
    else:
        variance = (memory.square - memory.mean**2).clamp(min=LEAST_VARIANCE)
        paid = (memory.square * above - 0.5 * memory.mean * squares) / variance**1.5
    peak = torch.maximum(memory.peak, worth)
    if settings.drawdown_penalty:
        fallen = before / memory.peak - worth / peak
        paid = paid - settings.drawdown_penalty * fallen.clamp(min=0.0)
    if settings.variance_penalty:
        paid = paid - 0.5 * settings.variance_penalty * growth**2
    decay = settings.decay
    return paid, growth, Memory(peak, memory.mean + decay * above, memory.square + decay * squares)


class Payer:
    """The same for one account in plain numbers, as an environment that steps one at a time is paid."""

    def __init__(self, settings: RewardSettings, worth: float) -> None:
        self.settings = settings
        self.peak, self.mean, self.square = worth, 0.0, 0.0

    def pay(self, before: float, worth: float) -> float:
        """What a period pays, which is remembered."""
        settings = self.settings
        growth = math.log(max(worth / before, RUIN))
        above, squares = growth - self.mean, growth * growth - self.square
        if settings.kind == "log_return":
            paid = growth
        else:
            variance = max(self.square - self.mean * self.mean, LEAST_VARIANCE)
            paid = (self.square * above - 0.5 * self.mean * squares) / variance**1.5
        peak = max(self.peak, worth)
        if settings.drawdown_penalty:
            paid -= settings.drawdown_penalty * max(before / self.peak - worth / peak, 0.0)
        if settings.variance_penalty:
            paid -= 0.5 * settings.variance_penalty * growth * growth
        self.peak = peak
        self.mean += settings.decay * above
        self.square += settings.decay * squares
        return paid
