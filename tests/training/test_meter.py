"""What a fit took of the machine."""

import ctypes
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from alfred.core.contracts import Epoch, FitRecord
from alfred.core.errors import ConfigError
from alfred.training import meter
from alfred.training.meter import gpu_energy, metered, process_peak_mb


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the mark cannot be set back")
def test_the_peak_is_that_of_the_fit_and_the_process_forgets_nothing() -> None:
    with metered("cpu") as large:
        block = np.ones(30_000_000)
        assert block.sum() > 0
        del block
    with metered("cpu") as small:
        pass
    assert large.peak_memory_mb is not None
    assert small.peak_memory_mb is not None
    assert large.peak_memory_mb > small.peak_memory_mb + 200
    assert process_peak_mb() >= large.peak_memory_mb
    assert small.energy_joules is None


def test_without_the_kernels_help_the_peak_is_the_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(meter, "_STATUS", tmp_path / "status")
    monkeypatch.setattr(meter, "_SET_BACK", tmp_path / "none" / "clear_refs")
    with metered("cpu") as spent:
        pass
    assert spent.peak_memory_mb is not None
    assert 10 < spent.peak_memory_mb < 1e6


def test_figures_reach_the_record() -> None:
    with metered("cpu") as spent:
        pass
    epochs = tuple(Epoch(number, 1.0, 1.0, 0.1) for number in (1, 2, 3, 4))
    record = spent.on(FitRecord(parameters=3, seconds=8.0, best_epoch=3, epochs=epochs))
    assert record.peak_memory_mb == spent.peak_memory_mb
    assert record.seconds_to_best == 6.0
    spent.energy_joules = 10.0
    assert (spent.on(record).energy_joules, spent.on(record, share=0.25).energy_joules) == (10.0, 2.5)
    assert FitRecord(parameters=1, seconds=1.0).seconds_to_best is None


def test_an_unknown_device_is_refused() -> None:
    with (
        pytest.raises(ConfigError, match="not available here"),
        metered("cuda" if not torch.cuda.is_available() else "tpu"),
    ):
        pass


class _Driver:
    """The three calls of NVML that are used; `wrong` is the one that answers with an error."""

    def __init__(self, readings: list[int], wrong: str = "") -> None:
        self.readings, self.wrong, self.asked = readings, wrong, b""

    def _answers(self, name: str) -> int:
        return 3 if name == self.wrong else 0

    def nvmlInit_v2(self) -> int:  # noqa: N802
        return self._answers("init")

    def nvmlDeviceGetHandleByUUID(self, name: bytes, handle: object) -> int:  # noqa: N802
        self.asked = name
        return self._answers("handle")

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: object, used: Any) -> int:  # noqa: N802
        used._obj.value = self.readings.pop(0)
        return self._answers("energy")


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Callable[[_Driver], _Driver]:
    def install(made: _Driver) -> _Driver:
        monkeypatch.setattr(ctypes, "CDLL", lambda name: made)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="ab-12"))
        return made

    return install


def test_energy_is_read_from_the_drivers_counter(driver: Callable[[_Driver], _Driver]) -> None:
    made = driver(_Driver([5_000, 7_500]))
    counter = gpu_energy(torch.device("cuda"))
    assert made.asked == b"GPU-ab-12"
    assert (counter(), counter()) == (5.0, 7.5)


@pytest.mark.parametrize("wrong", ["init", "handle", "energy"])
def test_a_driver_that_does_not_tell_gives_none(driver: Callable[[_Driver], _Driver], wrong: str) -> None:
    driver(_Driver([5_000], wrong))
    assert gpu_energy(torch.device("cuda"))() is None


def test_no_driver_gives_none() -> None:
    assert gpu_energy(torch.device("cuda"), "libdoes-not-exist.so.1")() is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_tells_its_memory_and_perhaps_its_energy() -> None:
    with metered("cuda") as spent:
        block = torch.ones(25_000_000, device="cuda")
        for _ in range(50):
            block = block * 1.0001
    assert spent.peak_memory_mb is not None
    assert spent.peak_memory_mb >= 200
    assert spent.energy_joules is None or spent.energy_joules >= 0
