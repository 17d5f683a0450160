"""The shared queue of a sweep: which configurations there are, who works on which, and what came of them.

Three tables of our own in a database that all machines reach, SQLite or PostgreSQL. A configuration is one row, under a
digest of everything that determines its result; it is handed to one worker at a time. A worker holds it by a lease that
it must renew: whoever was not heard of for long enough is taken to be dead, and another worker goes on. Every change is
made on condition that the row's `turn` is still the one that was read, so of many at once exactly one succeeds, and
what a worker says after it lost its lease changes nothing. Times are the database's, so machines need not agree on one.

Every operation may be repeated: where an answer got lost, asking again finds what the first try did.
"""

import errno
import functools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

from alfred.core.errors import ConfigError, FetchError
from alfred.core.home import SWEEP_VARIABLE
from alfred.core.storage import FULL

QUEUED, RUNNING, FINISHED, PRUNED, FAILED = "queued", "running", "finished", "pruned", "failed"
ENDED = (FINISHED, PRUNED, FAILED)
BUSY_S = 60.0
PAUSE_S = 1.0
FOR_GOOD = ("readonly", "read-only", "unable to open", "no such table", "password", "does not exist")
"""What no waiting puts right, in a database's words."""
T = TypeVar("T")

_TABLES = sa.MetaData()
_sweeps = sa.Table(
    "alfred_sweeps",
    _TABLES,
    sa.Column("sweep", sa.String(32), primary_key=True),
    sa.Column("form", sa.Text, nullable=False),
)
_trials = sa.Table(
    "alfred_sweep_trials",
    _TABLES,
    sa.Column("sweep", sa.String(32), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("key", sa.String(64), nullable=False, index=True),
    sa.Column("point", sa.Text, nullable=False),
)
_work = sa.Table(
    "alfred_sweep_work",
    _TABLES,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("turn", sa.Integer, nullable=False),
    sa.Column("owner", sa.String(128), nullable=False),
    sa.Column("beat", sa.Float, nullable=False),
    sa.Column("deaths", sa.Integer, nullable=False),
    sa.Column("began", sa.Float, nullable=False),
    sa.Column("ended", sa.Float, nullable=False),
    sa.Column("reports", sa.Text, nullable=False),
    sa.Column("result", sa.Text, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
)


@dataclass(frozen=True)
class Row:
    """One configuration of a sweep.

    Attributes:
        number: in the sweep.
        key: digest of all that determines the result.
        point: its values of the settings that are varied.
        state: "queued", "running", "finished", "pruned" or "failed".
        owner: the worker that has it, or had it last.
        deaths: workers that died over it.
        began, ended: in seconds since 1970, 0 where it has not.
        reports: mean objective after each fit so far.
        result: what came of it.
        error: why it failed.
    """

    number: int
    key: str
    point: Mapping[str, Any]
    state: str
    owner: str
    deaths: int
    began: float
    ended: float
    reports: tuple[float, ...]
    result: Mapping[str, Any]
    error: str


@dataclass(frozen=True)
class Held:
    """A configuration that a worker holds: which, in which sweep, and the turn in which it was taken."""

    key: str
    number: int
    point: Mapping[str, Any]
    owner: str
    turn: int
    deaths: int


class Queue:
    """The queue in one database.

    Args:
        url: SQLAlchemy's, of SQLite or PostgreSQL; its password reaches no message.
        patience_s: how long to wait for a database that does not answer.
    """

    def __init__(self, url: str, patience_s: float) -> None:
        try:
            self._url = sa.make_url(url)
        except sa.exc.ArgumentError:
            raise ConfigError(_unusable("its value is no address")) from None
        kind = self._url.get_backend_name()
        if kind not in {"sqlite", "postgresql"}:
            raise ConfigError(_unusable(f"it names {kind}"))
        self._patience_s = patience_s
        try:
            self._engine = _engine(self._url)
        except ImportError as error:
            raise ConfigError(
                f"{SWEEP_VARIABLE} needs {error.name}, which is not installed; try: pip install 'alfred[server]'."
            ) from None
        self._unwell = -float("inf")
        self._asked(_make_tables)

    @property
    def place(self) -> str:
        """The database's address without password."""
        return self._url.render_as_string(hide_password=True)

    def close(self) -> None:
        """Give back the connections."""
        self._engine.dispose()

    def enter(self, sweep: str, form: Mapping[str, Any]) -> Mapping[str, Any]:
        """Write a sweep down, or find what was written down before; the first form stays.

        Args:
            sweep: its identity.
            form: what workers must know of it.
        """

        def work(connection: sa.Connection) -> Mapping[str, Any]:
            with _if_absent(connection):
                connection.execute(_sweeps.insert().values(sweep=sweep, form=json.dumps(dict(form))))
            found: Mapping[str, Any] = json.loads(
                connection.execute(sa.select(_sweeps.c.form).where(_sweeps.c.sweep == sweep)).scalar_one()
            )
            return found

        return self._asked(work)

    def form(self, sweep: str) -> Mapping[str, Any] | None:
        """What was written down of a sweep; None where there is no such sweep."""

        def work(connection: sa.Connection) -> Mapping[str, Any] | None:
            found = connection.execute(sa.select(_sweeps.c.form).where(_sweeps.c.sweep == sweep)).scalar()
            return None if found is None else json.loads(found)

        return self._asked(work)

    def add(self, sweep: str, number: int, key: str, point: Mapping[str, Any]) -> bool:
        """Put a configuration into a sweep; one that another sweep has as well is there once.

        Returns:
            Whether the number is this configuration's; otherwise another worker has used it.
        """

        def work(connection: sa.Connection) -> bool:
            with _if_absent(connection):
                connection.execute(_work.insert().values(key=key, **_NEW))
            with _if_absent(connection):
                connection.execute(
                    _trials.insert().values(sweep=sweep, number=number, key=key, point=json.dumps(dict(point)))
                )
            found = sa.select(_trials.c.key).where(_trials.c.sweep == sweep, _trials.c.number == number)
            return bool(connection.execute(found).scalar_one() == key)

        return self._asked(work)

    def rows(self, sweep: str) -> tuple[Row, ...]:
        """Every configuration of a sweep, by number."""

        def work(connection: sa.Connection) -> tuple[Row, ...]:
            return tuple(_row(one) for one in connection.execute(_of(sweep)))

        return self._asked(work)

    def claim(
        self, sweep: str, owner: str, *, lease_s: float, attempts: int, numbers: Sequence[int] | None = None
    ) -> Held | None:
        """Take the first configuration that waits, or whose worker has died; None where there is none at present.

        One during which `attempts` workers died has failed, and is not handed out again.

        Args:
            sweep: which.
            owner: who asks; no two workers have one name.
            lease_s: silence after which a worker is taken to be dead.
            attempts: workers that may die over one configuration.
            numbers: take one of these only; default all but negative ones.
        """

        def work(connection: sa.Connection) -> Held | None:
            now = connection.execute(_NOW).scalar_one()
            # After the database was away, workers need time to be heard of again.
            patient = time.monotonic() - self._unwell < lease_s
            for one in connection.execute(_of(sweep)):
                if one.number < 0 if numbers is None else one.number not in numbers:
                    continue
                mine = one.state == RUNNING and one.owner == owner
                stale = one.state == RUNNING and not mine and not patient and now - one.beat > lease_s
                if mine:
                    return _held(one, owner, one.turn, one.deaths)
                if not stale and one.state != QUEUED:
                    continue
                deaths = one.deaths + stale
                change = {"state": RUNNING, "owner": owner, "beat": now, "deaths": deaths, "began": now}
                if deaths >= attempts:
                    change = {"state": FAILED, "deaths": deaths, "ended": now, "error": _deaths(deaths, one.error)}
                if _changed(connection, one.key, one.turn, **change) and change["state"] == RUNNING:
                    return _held(one, owner, one.turn + 1, deaths)
            return None

        return self._asked(work)

    def beat(self, held: Held, reports: Sequence[float] | None = None) -> bool:
        """Renew a lease, and tell what was found so far; False where the configuration is no longer the worker's."""

        def work(connection: sa.Connection) -> bool:
            told = {} if reports is None else {"reports": json.dumps(list(reports))}
            mine = (_work.c.key == held.key) & (_work.c.turn == held.turn) & (_work.c.state == RUNNING)
            change = _work.update().where(mine).values(beat=connection.execute(_NOW).scalar_one(), **told)
            return connection.execute(change).rowcount == 1

        return self._asked(work)

    def finish(self, held: Held, state: str, result: Mapping[str, Any], error: str = "") -> bool:
        """Write down what came of a configuration; False where it is no longer the worker's to tell."""

        def work(connection: sa.Connection) -> bool:
            now = connection.execute(_NOW).scalar_one()
            values = {"state": state, "ended": now, "result": json.dumps(dict(result)), "error": error}
            if _changed(connection, held.key, held.turn, **values):
                return True
            # An answer that got lost: it is as we said.
            row = connection.execute(sa.select(_work).where(_work.c.key == held.key)).one()
            return bool(row.owner == held.owner and row.turn == held.turn + 1 and row.state == state)

        return self._asked(work)

    def release(self, owner: str, *, died: str | None = None) -> int:
        """Put what a worker holds back into the queue; how many that were.

        Args:
            owner: of what.
            died: what it said last, if it died; a worker that was told to stop did not die.
        """

        def work(connection: sa.Connection) -> int:
            held = sa.select(_work).where(_work.c.owner == owner, _work.c.state == RUNNING)
            told = {} if died is None else {"error": died[:1000]}
            return sum(
                _changed(connection, one.key, one.turn, state=QUEUED, deaths=one.deaths + (died is not None), **told)
                for one in connection.execute(held).all()
            )

        return self._asked(work)

    def retry(self, sweep: str) -> int:
        """Put the failed configurations of a sweep back into the queue; how many that were."""

        def work(connection: sa.Connection) -> int:
            failed = [one for one in connection.execute(_of(sweep)) if one.state == FAILED]
            anew = {name: value for name, value in _NEW.items() if name != "turn"}
            return sum(_changed(connection, one.key, one.turn, **anew) for one in failed)

        return self._asked(work)

    def _asked(self, work: Callable[[sa.Connection], T]) -> T:
        """Do some work in one transaction, again and again while the database is away.

        Raises:
            FetchError: it stays away, or something is wrong with it that no waiting puts right.
            OSError: its disk is full.
        """
        begun = time.monotonic()
        while True:
            try:
                with self._engine.begin() as connection:
                    return work(connection)
            except SQLAlchemyError as error:
                text = self._told(error)
                if any(words in text for words in FULL):
                    raise OSError(errno.ENOSPC, f"No space left on device, says the database {self.place}") from None
                waited = time.monotonic() - begun
                if not _passes(error) or waited > self._patience_s:
                    after = f" after {waited / 60:.0f} minutes" if waited > 60 else ""
                    raise FetchError(
                        f"the sweep's database {self.place} cannot be read or written{after}: {text}; put it right, "
                        f"or let {SWEEP_VARIABLE} name another."
                    ) from None
                self._unwell = time.monotonic()
                time.sleep(PAUSE_S)

    def _told(self, error: SQLAlchemyError) -> str:
        cause = error.orig if isinstance(error, DBAPIError) else error
        text = f"{type(cause).__name__}: {cause}".partition("\n")[0].rstrip(".")
        return text.replace(self._url.password, "***") if self._url.password else text


_NEW: Mapping[str, Any] = {
    "state": QUEUED, "turn": 0, "owner": "", "beat": 0.0, "deaths": 0, "began": 0.0, "ended": 0.0, "reports": "[]",
    "result": "{}", "error": "",
}  # fmt: skip
_NOW = sa.select(sa.cast(sa.extract("epoch", sa.func.current_timestamp()), sa.Float))


@functools.cache
def _engine(url: sa.URL) -> sa.Engine:
    """One engine a place and process; connections that a restarted server closed are noticed before they are used."""
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 10})
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_S})

    @event.listens_for(engine, "connect")
    def _plain(connection: Any, _record: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _write_lock_first(connection: sa.Connection) -> None:
        # Two readers that both want to write would otherwise refuse each other.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _make_tables(connection: sa.Connection) -> None:
    if connection.dialect.name == "postgresql":
        # Two that make a table at once would otherwise meet in the catalogue.
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(4127066)"))
    _TABLES.create_all(connection)


@contextmanager
def _if_absent(connection: sa.Connection) -> Iterator[None]:
    """An insertion that gives way to a row that is there."""
    try:
        with connection.begin_nested():
            yield
    except sa.exc.IntegrityError:
        pass


def _of(sweep: str) -> sa.Select[Any]:
    joined = _trials.join(_work, _trials.c.key == _work.c.key)
    columns = [_trials.c.number, _trials.c.point, *_work.c]
    return sa.select(*columns).select_from(joined).where(_trials.c.sweep == sweep).order_by(_trials.c.number)


def _changed(connection: sa.Connection, key: str, turn: int, **values: Any) -> bool:
    """Change a row if it still has this turn."""
    at = (_work.c.key == key) & (_work.c.turn == turn)
    return connection.execute(_work.update().where(at).values(**{"turn": turn + 1, **values})).rowcount == 1


def _held(row: Any, owner: str, turn: int, deaths: int) -> Held:
    return Held(row.key, row.number, json.loads(row.point), owner, turn, deaths)


def _row(one: Any) -> Row:
    return Row(
        number=one.number,
        key=one.key,
        point=json.loads(one.point),
        state=one.state,
        owner=one.owner,
        deaths=one.deaths,
        began=one.began,
        ended=one.ended,
        reports=tuple(json.loads(one.reports)),
        result=json.loads(one.result),
        error=one.error,
    )


def _passes(error: SQLAlchemyError) -> bool:
    """Whether it may be better in a while: the server is away or busy."""
    if not isinstance(error, OperationalError | InterfaceError):
        return isinstance(error, DBAPIError) and error.connection_invalidated
    return not any(words in str(error).lower() for words in FOR_GOOD)


def _deaths(deaths: int, said: str) -> str:
    last = f" (the last said: {said.rstrip('.')})" if said else ""
    return (
        f"{deaths} workers died over it{last}, as happens where there is too little memory; give it less to do, or try "
        "again by --retry."
    )


def _unusable(why: str) -> str:
    return (
        f"{SWEEP_VARIABLE} must be sqlite:///file or postgresql://host/database, but {why}; it is not shown here, as "
        "it may hold a password."
    )
