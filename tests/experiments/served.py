"""A tracking server as `alfred server` starts it, on a free port of loopback, stopped after its block."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx
from postgres import free_port

PATIENCE_S = 200.0


LOGIN = ("lab", "correct horse/battery")


@dataclass(frozen=True)
class Server:
    """A running server: its address, with the login that it asks for, its process, and what it writes about itself."""

    uri: str
    process: "subprocess.Popen[bytes]"
    log: Path
    login: tuple[str, str] | None = None

    @property
    def bare(self) -> str:
        """Its address without a login."""
        kind, _, rest = self.uri.partition("://")
        return f"{kind}://{rest.rpartition('@')[2]}"

    def commands(self) -> list[str]:
        """The command lines of all its processes, as any user of the machine can see them."""
        group, found = os.getpgid(self.process.pid), []
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if os.getpgid(int(place.name)) == group:
                    found.append((place / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        return found


@contextmanager
def serving(
    folder: Path,
    backend: str = "",
    port: int | None = None,
    *,
    options: Sequence[str] = (),
    login: tuple[str, str] | None = None,
) -> Iterator[Server]:
    """A server on a database.

    Args:
        folder: its home, with the models' files.
        backend: address of the database with its password; empty for a SQLite file.
        port: to listen on; default a free one.
        options: more words of the command.
        login: name and password that it asks for.
    """
    port = port or free_port()
    environment = {**os.environ, "ALFRED_HOME": str(folder), "OMP_NUM_THREADS": "1"}
    environment.pop("ALFRED_TRACKING_URI", None)
    if backend:
        environment["ALFRED_SERVER_BACKEND"] = backend
    if login:
        environment["ALFRED_SERVER_LOGIN"] = ":".join(login)
        options = ["--login", *options]
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "server.log"
    command = [
        sys.executable,
        "-c",
        "from alfred.cli.main import main; main()",
        "server",
        "--port",
        str(port),
        *options,
    ]
    with log.open("ab") as file:
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=file, stderr=file, stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
    try:
        _wait(port, process, log)
        asked = f"{login[0]}:{quote(login[1], safe='')}@" if login else ""
        yield Server(f"http://{asked}127.0.0.1:{port}", process, log, login)
    finally:
        stop(process)


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Ask it to end; what is left after a while is ended."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=15)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=60)


def _wait(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
