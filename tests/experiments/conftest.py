"""Shared by the tests of experiments."""

import os
import socket
from collections.abc import Iterator

import postgres
import pytest
from served import LOGIN, Server, serving


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Postgres]:
    """One real PostgreSQL server for the whole session."""
    if postgres.programs() is None:
        pytest.skip("PostgreSQL is not installed on this machine (Debian's package postgresql)")
    with postgres.running() as server:
        yield server


@pytest.fixture(scope="session")
def tracking_server(tmp_path_factory: pytest.TempPathFactory, postgres_server: postgres.Postgres) -> Iterator[Server]:
    """One `alfred server` on it for the whole session, which asks for a login; each test takes a family of its own."""
    names = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
    before = {name: os.environ.pop(name, None) for name in names}
    # Where `tracking` puts a login for MLflow's client, which is made once a process.
    os.environ |= dict(zip(names, LOGIN, strict=True))
    try:
        place = tmp_path_factory.mktemp("server")
        with serving(place, postgres_server.database(), login=LOGIN, options=["--allow", "lab.local"]) as server:
            yield server
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
    with socket.socket() as one:
        one.settimeout(1)
        assert one.connect_ex(("127.0.0.1", int(server.uri.rpartition(":")[2]))) != 0
