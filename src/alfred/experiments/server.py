"""A tracking server for many machines: MLflow's own, on a database, with the models' files handed on by it.

Its process is told the database's address in its environment only, where other users of the machine do not see it.
"""

import importlib.metadata
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from alfred.core.errors import ConfigError
from alfred.core.home import Home
from alfred.core.settings import Settings
from alfred.experiments.tracking import SERVERS, parted, reach_database

BACKEND_VARIABLE = "ALFRED_SERVER_BACKEND"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ServerSettings(Settings):
    """What a server is asked to be.

    Attributes:
        host, port: where it listens.
        backend: address of the database, without a password; empty for a SQLite file in the home.
        artifacts: folder or address (such as s3://bucket/path) of the files; empty for a folder in the home.
        allow: names or addresses, comma-separated, under which other machines may call it.
        workers: processes; each answers in threads.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=5000, ge=1, le=65535)
    backend: str = ""
    artifacts: str = ""
    allow: str = ""
    workers: int = Field(default=1, ge=1)


def server_command(
    settings: ServerSettings, home: Home, environment: Mapping[str, str]
) -> tuple[list[str], dict[str, str], str]:
    """How to start a server, once all that would fail later has been looked at.

    Args:
        settings: what it is to be.
        home: where its SQLite file and files are, where nothing else is said.
        environment: of this process.

    Returns:
        The command, which holds no secret; the environment to run it in; and the place of its data without secrets.

    Raises:
        ConfigError: the extra is not installed, the port is taken, or the backend is no database, or its password is
            on the command line.
        FetchError: the database does not answer.
    """
    _require_extra()
    backend, place = _backend(settings, home, environment)
    _require_free(settings.host, settings.port)
    artifacts = settings.artifacts
    if not artifacts:
        folder = home.root / "server" / "artifacts"
        folder.mkdir(parents=True, exist_ok=True)
        artifacts = str(folder)
    told = {
        **environment,
        "MLFLOW_BACKEND_STORE_URI": backend,
        "MLFLOW_ARTIFACTS_DESTINATION": artifacts,
        "MLFLOW_SERVE_ARTIFACTS": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    if settings.allow:
        told["MLFLOW_SERVER_ALLOWED_HOSTS"] = ",".join([*LOOPBACK, "localhost:*", "127.0.0.1:*", settings.allow])
    told.pop("ALFRED_TRACKING_URI", None)  # of a client; the server is none
    command = [sys.executable, "-m", "mlflow", "server", "--host", settings.host, "--port", str(settings.port)]
    return [*command, "--workers", str(settings.workers)], told, place


def start_server(command: list[str], environment: Mapping[str, str]) -> None:
    """Become the server; it ends with this process."""
    if sys.platform == "win32":
        import subprocess

        ended = subprocess.run(command, env=dict(environment), check=False)  # noqa: S603 - as below
        sys.exit(ended.returncode)
    os.execve(command[0], command, dict(environment))  # noqa: S606 - the command is made above, no shell is used


def _backend(settings: ServerSettings, home: Home, environment: Mapping[str, str]) -> tuple[str, str]:
    """The database's address with its password, if it has one, and without."""
    told = environment.get(BACKEND_VARIABLE, "")
    if settings.backend and told:
        raise ConfigError(f"--backend and {BACKEND_VARIABLE} both name a database; give one.")
    if not settings.backend and not told:
        database = home.root / "server" / "mlflow.db"
        database.parent.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{database}", str(database)
    uri, source = (told, BACKEND_VARIABLE) if told else (settings.backend, "--backend")
    kind, place, hidden = parted(uri, source)
    if kind in SERVERS:
        raise ConfigError(
            f"{source} must be a database, such as postgresql://host/name or sqlite:///file; {place} is none."
        )
    if hidden and not told:
        raise ConfigError(
            f"--backend {place} was given with a password or options, which every user of this machine can see on a "
            f"command line; put the whole address into the variable {BACKEND_VARIABLE}."
        )
    if kind == "sqlite":
        Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    else:
        reach_database(uri, place, "leave the backend out to use a SQLite file in the home")
    return uri, place


def _require_extra() -> None:
    try:
        importlib.metadata.version("mlflow")
    except importlib.metadata.PackageNotFoundError:
        raise ConfigError("a tracking server needs the extra: pip install 'alfred[server]'.") from None


def _require_free(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"port {port} of {host} cannot be used ({error.strerror}); choose another by --port, or stop what "
                "has it."
            ) from error
