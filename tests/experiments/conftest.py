"""Shared by the tests of experiments."""

from collections.abc import Iterator

import postgres
import pytest


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Postgres]:
    """One real PostgreSQL server for the whole session."""
    if postgres.programs() is None:
        pytest.skip("PostgreSQL is not installed on this machine (Debian's package postgresql)")
    with postgres.running() as server:
        yield server
