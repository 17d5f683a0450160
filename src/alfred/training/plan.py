"""Which trainings go through one pass, and how many passes go side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from alfred.training.settings import TrainSettings

STATE_BYTES = 20
"""Of a parameter in training: weight, gradient, two moments and the best weight so far."""

CACHE_BYTES = 50e6
"""A pass on the processor stays below it. Four members of `vanilla.small` (48 MB) do; with eight, the optimiser's step
took 1.7 times as long a member."""

DEVICE_SHARE = 0.4
"""Of an accelerator's free memory for the members' state; the rest is for what a step computes."""


@dataclass(frozen=True)
class Plan:
    """How trainings of one kind are done.

    Attributes:
        passes: positions of the trainings of each pass.
        side_by_side: passes at a time, each on a processor core of its own.
        bfloat16: whether products are computed in it while learning.
    """

    passes: tuple[tuple[int, ...], ...]
    side_by_side: int
    bfloat16: bool


def plan(
    rows: Sequence[int],
    parameters: int,
    settings: TrainSettings,
    device: torch.device,
    *,
    small: bool,
    stackable: bool,
) -> Plan:
    """Plan trainings of one network on so many rows each.

    On the processor, large networks train one after another: their products fill the cores. Small ones share passes
    that fit into the cache, one pass a core, which needs no waiting for one another at every operation. On an
    accelerator as many share a pass as its memory holds.

    Args:
        rows: training rows of each.
        parameters: of the network.
        settings: `threads`, where given, is the number of cores that one pass uses; passes then follow one another.
        device: where they train.
        small: whether a step is too little work to be shared among cores.
        stackable: whether several can share a pass.
    """
    order = sorted(range(len(rows)), key=lambda at: -rows[at])
    bfloat16 = settings.precision == "bfloat16" or (
        settings.precision == "auto" and device.type == "cuda" and not small and torch.cuda.is_bf16_supported()
    )
    cores, width = 1, 1
    if stackable and device.type != "cpu":
        width = max(1, int(_free_bytes(device) * DEVICE_SHARE / (STATE_BYTES * parameters)))
    elif stackable and small:
        cores = 1 if settings.threads else torch.get_num_threads()
        width = max(1, int(CACHE_BYTES / (STATE_BYTES * parameters)))
    width = min(width, settings.members or width, -(-len(rows) // cores))
    passes = tuple(tuple(order[start : start + width]) for start in range(0, len(order), width))
    return Plan(passes, min(cores, len(passes)), bfloat16)


def _free_bytes(device: torch.device) -> float:
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return float(free)
    return float(torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
