"""Servers and clusters of a test or benchmark of sweeps, on loopback, gone afterwards."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from postgres import free_port

PROGRAM = [sys.executable, "-c", "from alfred.cli.main import main; main()"]
PATIENCE_S = 90.0


@dataclass
class TrackingServer:
    """MLflow's server on a database, which can be killed and started again on the same port."""

    database: str
    folder: Path
    port: int = field(default_factory=free_port)
    _running: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1",
            "--artifacts-destination", str(self.folder / "artifacts"),
        ]  # fmt: skip
        # By the environment, since the address holds a password.
        told = {
            **os.environ, "MLFLOW_BACKEND_STORE_URI": self.database, "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }  # fmt: skip
        with (self.folder / "server.log").open("ab") as log:
            self._running = subprocess.Popen(
                command, env=told, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> None:
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            try:
                if httpx.get(f"{self.url}/health", timeout=2).status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(0.2)
        raise RuntimeError(f"MLflow did not start:\n{(self.folder / 'server.log').read_text()[-3000:]}")

    def kill(self) -> None:
        if self._running is not None:
            os.killpg(self._running.pid, signal.SIGKILL)  # it and its workers, and nobody else
            self._running.wait()
            self._running = None


@contextmanager
def tracking_server(database: str, folder: Path) -> Iterator[TrackingServer]:
    server = TrackingServer(database, folder)
    server.start()
    try:
        server.wait()
        yield server
    finally:
        server.kill()


@contextmanager
def ray_cluster(nodes: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """A cluster of one-core nodes on this machine, each with its own environment; gives its address."""
    with ray_nodes(nodes) as cluster:
        yield cluster.address


@contextmanager
def ray_nodes(nodes: Sequence[Mapping[str, str]]) -> Iterator[Any]:
    """The same, as Ray's own cluster of processes, of which some can be killed."""
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    try:
        for environment in nodes:
            cluster.add_node(
                num_cpus=1, num_gpus=0, object_store_memory=80_000_000, include_dashboard=False,
                env_vars=dict(environment),
            )  # fmt: skip
        cluster.wait_for_nodes()
        yield cluster
    finally:
        cluster.shutdown()


def sweep_program(file: Path, *options: str, environment: Mapping[str, str]) -> "subprocess.Popen[str]":
    """`alfred sweep`, as a process of its own."""
    return subprocess.Popen(
        [*PROGRAM, "sweep", str(file), *options], env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def children(pid: int) -> list[int]:
    """Processes that a process started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            found += [int(entry.name)] * (parent == pid)
    return found


def environment_of(home: Path, **more: Any) -> dict[str, str]:
    return {"ALFRED_HOME": str(home), "OMP_NUM_THREADS": "1", **{name: str(value) for name, value in more.items()}}
