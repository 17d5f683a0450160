"""What a fit took of the machine: peak memory, and energy where the device tells.

On CUDA the peak is what torch had allocated at most, and the energy is the counter of the whole GPU (NVML), whoever
else used it meanwhile. On the processor the peak is the process' largest resident set during the fit; on systems other
than Linux the mark cannot be set back, so there it is the largest since the process began. Energy is then not told.
"""

import ctypes
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from alfred.core.contracts import FitRecord
from alfred.training.compute import device_of

_STATUS, _SET_BACK = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
"""What the Linux kernel takes for "set the peak of the resident set back to its present size"; see proc(5)."""

Counter = Callable[[], float | None]
"""Joules that a device has used since some fixed time, None where it does not tell."""


@dataclass
class Spent:
    """What was measured; None before the end, or where it is not told."""

    peak_memory_mb: float | None = None
    energy_joules: float | None = None

    def on(self, record: FitRecord, share: float = 1.0) -> FitRecord:
        """The record of the fit that was measured, with these figures.

        Args:
            record: as the fit left it.
            share: its part of the energy, where several fits were measured together.
        """
        energy = None if self.energy_joules is None else share * self.energy_joules
        return replace(record, peak_memory_mb=self.peak_memory_mb, energy_joules=energy)


class _EarlierPeaks:
    """Setting the peak back must not make the process forget what it had needed before."""

    largest_mb = 0.0


@contextmanager
def metered(device_name: str = "auto") -> Iterator[Spent]:
    """Measure what happens inside; the figures are there when it ends.

    Args:
        device_name: as in the training settings. Analysts that are no networks work on the processor whatever it says;
            ask for "cpu" for them.

    Raises:
        ConfigError: the device is not there.
    """
    device = device_of(device_name)
    spent = Spent()
    counter: Counter = lambda: None  # noqa: E731
    if device.type == "cuda":
        torch.cuda.synchronize(device)  # starts CUDA, too, without which there is nothing to set back
        torch.cuda.reset_peak_memory_stats(device)
        counter = gpu_energy(device)
    else:
        _set_peak_back()
    before = counter()
    yield spent
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    after = counter()
    spent.energy_joules = None if before is None or after is None else after - before
    spent.peak_memory_mb = torch.cuda.max_memory_allocated(device) / 1e6 if device.type == "cuda" else _resident_peak()


def process_peak_mb() -> float:
    """The largest resident set of this process so far, in units of 10^6 bytes."""
    return max(_EarlierPeaks.largest_mb, _resident_peak())


def gpu_energy(device: torch.device, library: str = "libnvidia-ml.so.1") -> Counter:
    """The energy counter of a GPU, through the library that comes with its driver; one that tells nothing without."""
    try:
        nvml = ctypes.CDLL(library)
        total = nvml.nvmlDeviceGetTotalEnergyConsumption
        uuid = str(torch.cuda.get_device_properties(device).uuid)
    except (OSError, AttributeError, RuntimeError, AssertionError):
        return lambda: None
    handle = ctypes.c_void_p()
    name = f"GPU-{uuid.removeprefix('GPU-')}".encode()
    if nvml.nvmlInit_v2() or nvml.nvmlDeviceGetHandleByUUID(name, ctypes.byref(handle)):
        return lambda: None

    def joules() -> float | None:
        used = ctypes.c_ulonglong()
        if total(handle, ctypes.byref(used)):
            return None
        return used.value / 1e3

    return joules


def _set_peak_back() -> None:
    _EarlierPeaks.largest_mb = process_peak_mb()
    try:
        _SET_BACK.write_text(_RESET_PEAK, encoding="ascii")
    except OSError:
        return


def _resident_peak() -> float:
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
