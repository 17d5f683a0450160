"""A tracking server for many machines: MLflow's own, on a database, with the models' files handed on by it.

Its process is told the database's address in its environment only, where other users of the machine do not see it.
"""

import importlib.metadata
import ipaddress
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from alfred.core.errors import ConfigError
from alfred.core.home import Home
from alfred.core.settings import Settings
from alfred.experiments.login import APPLICATION, login_environment, login_of
from alfred.experiments.tracking import SERVERS, parted, reach_database

BACKEND_VARIABLE = "ALFRED_SERVER_BACKEND"
OWN_NAMES = ("localhost", "localhost:*", "127.0.0.1", "127.0.0.1:*", "[::1]", "[[]::1]:*")
"""Of loopback, on any port, as a tunnel may end on another one."""


class ServerSettings(Settings):
    """What a server is asked to be.

    Attributes:
        host, port: where it listens.
        backend: address of the database, without a password; empty for a SQLite file in the home.
        artifacts: folder or address (such as s3://bucket/path) of the files; empty for a folder in the home.
        allow: names or addresses, comma-separated, under which other machines may call it.
        login: ask everybody for the name and password of `ALFRED_SERVER_LOGIN`.
        workers: processes; each answers in threads.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=5000, ge=1, le=65535)
    backend: str = ""
    artifacts: str = ""
    allow: str = ""
    login: bool = False
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
            on the command line, or there is no login that could be asked for.
        FetchError: the database does not answer.
    """
    _require_extra("mlflow")
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
        "MLFLOW_ENABLE_REMOTE_ASSISTANT": "false",  # it would run programs on the server
        **_called(settings),
    }
    told.pop("ALFRED_TRACKING_URI", None)  # of a client; the server is none
    command = [sys.executable, "-m", "mlflow", "server", "--host", settings.host, "--port", str(settings.port)]
    command += ["--workers", str(settings.workers)]
    if settings.login:
        _require_extra("Flask-WTF")
        folder = home.root / "server"
        folder.mkdir(parents=True, exist_ok=True)
        told |= login_environment(folder, login_of(environment)[0])
        command += APPLICATION
    return command, told, place


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def warning_of(settings: ServerSettings) -> str:
    """Who can read and write what, where others than this machine reach the server; otherwise empty."""
    if is_loopback(settings.host):
        return ""
    tunnel = f"ssh -N -L {settings.port}:127.0.0.1:{settings.port} HOST"
    if settings.login:
        return (
            f"Whoever has the name and password can read, change and delete all trials, runs and models. Both travel "
            f"as plain text: across a network that others listen to, stay on loopback and let them come by `{tunnel}` "
            "or through a proxy that speaks TLS."
        )
    return (
        f"Whoever reaches port {settings.port} can read, change and delete all trials, runs and models, without a "
        f"password. Ask for one by --login, or stay on loopback and let others come by `{tunnel}`."
    )


def _called(settings: ServerSettings) -> dict[str, str]:
    """Under which names the server answers, and which pages' requests it takes: its own, under those names.

    Without names MLflow answers under those of loopback and under addresses of private networks.
    """
    given = [name.strip() for name in settings.allow.split(",") if name.strip()]
    if not given and not is_loopback(settings.host) and not _is_any(settings.host):
        given = [f"[{settings.host}]" if ":" in settings.host else settings.host]
    if not given:
        return {}
    names = [name for one in given for name in ((one,) if _has_port(one) else (one, f"{one}:{settings.port}"))]
    origins = [f"{kind}://{name}" for name in names if not name.startswith("*:") and name != "*" for kind in SERVERS]
    return {
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join([*OWN_NAMES, *names]),
        **({"MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": ",".join(origins)} if origins else {}),
    }


def _has_port(name: str) -> bool:
    return ":" in name.rpartition("]")[2]


def _is_any(host: str) -> bool:
    """Whether it means all of the machine's addresses."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


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


def _require_extra(package: str) -> None:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise ConfigError(
            f"a tracking server needs the extra, for {package} is not installed: pip install 'alfred[server]'."
        ) from None


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
