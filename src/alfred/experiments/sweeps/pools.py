"""Processes of this machine that work on a sweep, each with its share of cores and accelerators."""

import math
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from alfred.core.errors import DataError
from alfred.experiments.sweeps.queue import Queue
from alfred.experiments.sweeps.settings import WorkerSettings
from alfred.experiments.sweeps.worker import new_name, owner_of

STOP_S = 20.0
LAST_LINES = 20
CANNOT_GO_ON = 2
"""Exit code of a program that said what is wrong."""
FALSE_STARTS = 5
"""Workers that may die one after the other without having held anything."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS")


class Pool(Protocol):
    """Workers on one sweep, while the block runs."""

    def __enter__(self) -> Self:
        """Start them."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop those that still run; what they hold goes back into the queue."""

    def tend(self) -> bool:
        """Look after them: whether any still works.

        Raises:
            AlfredError, OSError: one said that it cannot go on.
        """


@dataclass(frozen=True)
class Shares:
    """How this machine is divided.

    Attributes:
        number: processes.
        threads: of each.
        devices: accelerators that each may see; empty where there are none.
    """

    number: int
    threads: int
    devices: tuple[str, ...]

    @classmethod
    def of(cls, asked: WorkerSettings, open_trials: int, cores: int, accelerators: int) -> "Shares":
        """Divide so many cores and accelerators among no more processes than there are trials to do."""
        share = asked.gpus if asked.gpus is not None else float(accelerators > 0)
        side_by_side = math.floor(accelerators / share + 1e-9) if share and accelerators else cores
        number = max(1, min(asked.number or side_by_side, open_trials))
        threads = asked.threads or max(1, cores // number)
        if not share or not accelerators:
            return cls(number, threads, ("",) * number if accelerators else ())
        each = max(1, round(share))
        seen = [
            [(at * each + k if share >= 1 else int(at * share)) % accelerators for k in range(each)]
            for at in range(number)
        ]
        return cls(number, threads, tuple(",".join(str(one) for one in own) for own in seen))

    def environment(self, place: int) -> dict[str, str]:
        """What a process's libraries are told."""
        told = dict.fromkeys(THREADS, str(self.threads))
        return told | ({"CUDA_VISIBLE_DEVICES": self.devices[place]} if self.devices else {})


@dataclass
class _Process:
    """A worker's process, and its last words."""

    place: int
    owner: str
    running: "subprocess.Popen[str]"
    said: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))

    def __post_init__(self) -> None:
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()

    def _listen(self) -> None:
        if self.running.stderr is not None:
            with self.running.stderr as lines:
                self.said.extend(lines)

    def last_words(self) -> str:
        """What it said last."""
        self.listener.join(timeout=2)
        return " ".join(line.strip() for line in self.said).strip()


class LocalPool:
    """Processes of this machine; one that dies is replaced, and what it held is handed out again at once.

    Args:
        command: starts a worker, when the sweep's identity, its own name and our process number are added.
        identity: of the sweep.
        shares: of the machine.
        queue: the sweep's.
    """

    def __init__(self, command: Sequence[str], identity: str, shares: Shares, queue: Queue) -> None:
        self._command, self._identity, self._shares, self._queue = command, identity, shares, queue
        self._processes: list[_Process] = []
        self._false_starts = 0

    def __enter__(self) -> Self:
        for place in range(self._shares.number):
            self._processes.append(self._start(place))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in self._processes:
            if one.running.poll() is None:
                one.running.send_signal(signal.SIGINT)
        for one in self._processes:
            try:
                one.running.wait(STOP_S)
            except subprocess.TimeoutExpired:
                one.running.kill()
                one.running.wait()
            one.listener.join(timeout=2)
        # Where the error is that the queue is away, their leases run out.
        if kind is None or issubclass(kind, KeyboardInterrupt):
            for one in self._processes:
                self._queue.release(one.owner)

    def tend(self) -> bool:
        """Replace those that died; whether any still works."""
        for one in [one for one in self._processes if one.running.poll() is not None]:
            self._processes.remove(one)
            if one.running.returncode != 0:
                self._bury(one)
        return bool(self._processes)

    @property
    def pids(self) -> tuple[int, ...]:
        """Of the processes that run."""
        return tuple(one.running.pid for one in self._processes)

    def _bury(self, one: _Process) -> None:
        code = one.running.returncode
        said = one.last_words()
        if code == CANNOT_GO_ON:
            self._queue.release(one.owner)
            raise DataError(f"a worker cannot go on: {said.removeprefix('Error: ').rstrip('.')}.")
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        self._false_starts = (
            0 if self._queue.release(one.owner, died=f"{how}; {said}".rstrip("; ")) else self._false_starts + 1
        )
        if self._false_starts >= FALSE_STARTS:
            raise DataError(f"{FALSE_STARTS} workers died before they did anything ({how}; {said.rstrip('.')}).")
        self._processes.append(self._start(one.place))

    def _start(self, place: int) -> _Process:
        name = new_name()
        running = subprocess.Popen(  # noqa: S603 - our own program
            [*self._command, self._identity, name, str(os.getpid())],
            env={**os.environ, **self._shares.environment(place)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is the driver's, who then stops them in order
        )
        return _Process(place, owner_of(name, running.pid), running)


def cores() -> int:
    """Processor cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def accelerators(environment: Mapping[str, str] = os.environ) -> int:
    """Accelerators that networks can train on and that can be given to processes one by one."""
    import torch

    return 0 if environment.get("CUDA_VISIBLE_DEVICES") == "" else torch.cuda.device_count()
