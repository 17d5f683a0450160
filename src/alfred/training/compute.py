"""Where the arithmetic happens: device, processor threads, and random state that leaves no trace."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from alfred.core.errors import ConfigError

T = TypeVar("T")

SMALL_WORK = 1e9
"""Parameters times rows of a step below which one thread is taken. A second one starts to pay at a twentieth of it, by
some 40%; but where other programs want the same cores, threads that wait for one another cost a multiple."""


def device_of(name: str) -> torch.device:
    """The device of that name; "auto" takes cuda, then mps, then cpu.

    Raises:
        ConfigError: this machine has no such device.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, available in there.items() if available)
    if not there.get(name, False):
        found = ", ".join(device for device, available in there.items() if available)
        raise ConfigError(f"the device {name!r} is not available here; there is {found}. 'auto' takes the best.")
    return torch.device(name)


def is_small(parameters: int, rows: int) -> bool:
    """Whether steps of so many rows are too little work to be shared among threads."""
    return parameters * rows < SMALL_WORK


@contextmanager
def threads(wanted: int | None, parameters: int, rows: int) -> Iterator[int]:
    """Compute with `wanted` threads, then set torch's number back.

    With None it is one thread for small work (fewer than `SMALL_WORK` parameters x rows a step) and torch's present
    number otherwise. The number depends on nothing else, so that equal work is split, and rounded, in the same way.
    """
    before = torch.get_num_threads()
    number = wanted or (1 if is_small(parameters, rows) else before)
    torch.set_num_threads(number)
    try:
        yield number
    finally:
        torch.set_num_threads(before)


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Run with torch's random numbers started at `seed`; afterwards they go on as if nothing had been drawn."""
    cuda = [torch.cuda.current_device()] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(seed)
        if cuda:
            torch.cuda.manual_seed(seed)
        yield


def build_seeded(build: Callable[[], T], seed: int) -> T:
    """What `build` makes, its random initial weights a function of `seed` alone."""
    with seeded(seed):
        return build()


def parameters_of(network: torch.nn.Module) -> int:
    """How many numbers a network learns."""
    return sum(weight.numel() for weight in network.parameters() if weight.requires_grad)
