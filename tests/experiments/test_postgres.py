"""The server that other tests stand on: real, on loopback only, closed without its password, gone afterwards."""

import os
from pathlib import Path

import postgres
import pytest

pytestmark = pytest.mark.slow


def test_each_database_is_new_and_the_password_is_asked_for(postgres_server: postgres.Postgres) -> None:
    import psycopg

    first, second = postgres_server.database(), postgres_server.database()
    with psycopg.connect(first) as connection:
        connection.execute("CREATE TABLE kept (one int)")
    with psycopg.connect(second) as connection:
        found = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        assert found == (0,)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"postgresql://alfred:wrong@127.0.0.1:{postgres_server.port}/postgres")


def test_it_is_gone_after_its_block() -> None:
    import psycopg

    if postgres.programs() is None:
        pytest.skip("PostgreSQL is not installed on this machine (Debian's package postgresql)")
    with postgres.running() as server:
        with psycopg.connect(server.url()) as connection:
            row = connection.execute("SHOW data_directory").fetchone()
        assert row is not None
        folder = Path(row[0])
        assert folder.is_dir()
        assert folder.stat().st_uid != 0 or os.geteuid() != 0
    assert not folder.exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(server.url(), connect_timeout=2)
