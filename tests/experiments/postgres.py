"""A real PostgreSQL for tests: its own cluster on a free port of loopback, as an unprivileged user, gone afterwards.

`postgres_server` of `conftest.py` starts one for the whole session; `Postgres.database` makes an empty database in it.
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STARTS = 3
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Postgres:
    """A running server.

    Attributes:
        port: on 127.0.0.1.
        user, password: of its superuser; the password holds characters that an address must quote.
        log: what it writes about itself.
    """

    port: int
    user: str
    password: str
    log: Path

    def url(self, database: str = "postgres") -> str:
        """Address of a database with user and password, as SQLAlchemy and MLflow take it."""
        from urllib.parse import quote

        return f"postgresql://{self.user}:{quote(self.password, safe='')}@127.0.0.1:{self.port}/{database}"

    def database(self) -> str:
        """Address of a new, empty database."""
        import psycopg

        name = f"t{secrets.token_hex(6)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)


def programs() -> Path | None:
    """The folder of PostgreSQL's own programs; None where it is not installed."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").exists() and (place / "postgres").exists()), None)


@contextmanager
def running() -> Iterator[Postgres]:
    """A server on an empty cluster; stopped and removed after the block.

    Raises:
        FileNotFoundError: PostgreSQL is not installed.
    """
    place = programs()
    if place is None:
        raise FileNotFoundError("PostgreSQL is not installed (Debian's package postgresql)")
    password = f"s3cret/@{secrets.token_hex(4)}"
    folder = Path(tempfile.mkdtemp(prefix="alfred-postgres-"))  # pytest's own folders are closed to other users
    try:
        _make_cluster(place, folder, password)
        with _started(place, folder, password) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged() -> dict[str, Any]:
    """How to start a process as someone who may own a cluster, which root may not."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    owner = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


def _make_cluster(place: Path, folder: Path, password: str) -> None:
    owner = _unprivileged()
    secret = folder / "password"
    secret.touch(0o600)
    secret.write_text(password)
    if owner:
        for path in (folder, secret):
            os.chown(path, owner["user"], owner["group"])
    command = [
        str(place / "initdb"), "--pgdata", str(folder / "data"), "--username", "alfred", "--pwfile", str(secret),
        "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, cwd=folder, **owner)
    secret.unlink()


@contextmanager
def _started(place: Path, folder: Path, password: str) -> Iterator[Postgres]:
    process = None
    log = folder / "server.log"
    try:
        for _ in range(STARTS):  # another process may take the free port first
            port = free_port()
            process = _start(place, folder, port, log)
            server = Postgres(port, "alfred", password, log)
            if _answers(process, server):
                break
        else:
            raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}")
        yield server
    finally:
        if process is not None:
            _stop(process)


def _start(place: Path, folder: Path, port: int, log: Path) -> "subprocess.Popen[bytes]":
    settings = {
        "listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "max_connections": 100,
        "shared_buffers": "16MB", "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off",
    }  # fmt: skip
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    with log.open("ab") as file:
        return subprocess.Popen(
            [str(place / "postgres"), "-D", str(folder / "data"), *options],
            stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=folder, start_new_session=True, **_unprivileged(),
        )  # fmt: skip


def _answers(process: "subprocess.Popen[bytes]", server: Postgres) -> bool:
    """Whether it takes connections before it ends."""
    import psycopg

    end = time.monotonic() + PATIENCE_S
    while process.poll() is None:
        try:
            psycopg.connect(server.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return True
    return False


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Stop it without waiting for its clients."""
    for word in (signal.SIGINT, signal.SIGQUIT):
        if process.poll() is None:
            process.send_signal(word)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                continue
    if process.poll() is None:
        process.kill()
        process.wait(timeout=20)


def free_port() -> int:
    """A port of loopback that nobody listens on just now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
