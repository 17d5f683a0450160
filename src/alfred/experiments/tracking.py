"""Where tracking data are: an MLflow store, by default a SQLite file in the home, otherwise what the environment names.

`ALFRED_TRACKING_URI` may be a server (`https://name:password@host`) or a database (`postgresql://...`). Its password
reaches no message, log or record: every error passes through here and comes out with the place named without it.

MLflow is imported when tracking is first asked for, since that takes half a second. It sends no usage data.
"""

import functools
import logging
import os
import secrets as random_tokens
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from alfred.core.errors import ConfigError, FetchError
from alfred.core.home import TRACKING_VARIABLE, Home

if TYPE_CHECKING:
    import sqlite3

    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

DATABASE = "mlflow.db"
SERVERS, DATABASES = ("http", "https"), ("sqlite", "postgresql", "mysql", "mssql")
NONCE = "alfred.claim"
PATIENCE_S = 10.0
REFUSING = (401, 403, 407)
LIBPQ = ("postgresql", "postgresql+psycopg", "postgresql+psycopg2")
"""Databases whose driver waits for ever for one that takes the call and says nothing, unless told otherwise."""


@dataclass(frozen=True)
class Claim:
    """A name that is given once only, and what its holder said when taking it.

    Attributes:
        name: of the claim.
        number: the store's own for it.
        about: what was said, and what was added since.
        mine: whether this very call took it.
    """

    name: str
    number: str
    about: Mapping[str, str]
    mine: bool


@dataclass(frozen=True, eq=False)
class Tracking:
    """One store of tracking data.

    Attributes:
        place: its address without name or password.
        client: MLflow's; use it inside `asked`.
        artifacts: where the files of new experiments go; None where the server decides.
        hidden: texts that no message may hold.
        holds_files: whether files can be kept with it, and had again on every machine that uses it; a bare database
            holds none.
    """

    place: str
    client: "MlflowClient" = field(repr=False)
    artifacts: str | None
    hidden: tuple[str, ...] = field(repr=False)
    holds_files: bool = True

    @contextmanager
    def asked(self) -> Iterator["MlflowClient"]:
        """The client; what fails in the block is told without secrets.

        Raises:
            FetchError: the store did not do as it was asked.
        """
        with _told_without(self.hidden, self.place):
            yield self.client

    def experiment(self, name: str, about: Mapping[str, str] | None = None) -> str:
        """The number of an experiment of that name, made where there is none; one that was deleted is brought back."""
        claim = self.claim(name, about or {})
        with self.asked() as client:
            if not claim.mine and client.get_experiment(claim.number).lifecycle_stage == "deleted":
                client.restore_experiment(claim.number)
        return claim.number

    def claim(self, name: str, about: Mapping[str, str]) -> Claim:
        """Take a name that no one has taken, or find out who did; of many at once exactly one takes it.

        The names of experiments are unique in MLflow's database, and a deleted one keeps its name.

        Args:
            name: what to take.
            about: kept with it in the same transaction.
        """
        nonce = random_tokens.token_hex(8)
        location = None if self.artifacts is None else f"{self.artifacts}/{nonce}"
        with self.asked() as client:
            from mlflow.exceptions import MlflowException

            try:
                number = client.create_experiment(name, location, {**about, NONCE: nonce})
                return Claim(name, number, {**about, NONCE: nonce}, mine=True)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
        found = self.find(name)
        if found is None:
            raise FetchError(f"the tracking data at {self.place} say that {name} exists and that it does not.")
        # An answer that got lost on the way is asked for again, and then the name is already there: ours.
        return Claim(name, found.experiment_id, dict(found.tags), mine=found.tags.get(NONCE) == nonce)

    def find(self, name: str) -> "Experiment | None":
        """The experiment of that name, deleted or not; None where the name was never taken."""
        with self.asked() as client:
            return client.get_experiment_by_name(name)

    def names(self, prefix: str) -> "list[Experiment]":
        """All experiments whose names begin so, deleted ones too, sorted by name."""
        from mlflow.entities import ViewType

        found: list[Experiment] = []
        token: str | None = None
        with self.asked() as client:
            while True:
                page = client.search_experiments(
                    ViewType.ALL, max_results=1000, filter_string=f"name LIKE '{prefix}%'", page_token=token
                )
                found += page
                token = page.token
                if not token:
                    return sorted(found, key=lambda one: one.name)

    def runs(self, experiments: Sequence[str], condition: str = "") -> "list[Run]":
        """Every run of some experiments that meets a condition of MLflow's search, deleted ones too, oldest first."""
        from mlflow.entities import ViewType

        found: list[Run] = []
        token: str | None = None
        with self.asked() as client:
            while True:
                page = client.search_runs(
                    list(experiments), condition, ViewType.ALL, 1000, ["attributes.start_time ASC"], token
                )
                found += page
                token = page.token
                if not token:
                    return found


@contextmanager
def _told_without(hidden: Sequence[str], place: str) -> Iterator[None]:
    """Turn what fails in the block into one sentence without secrets."""
    from google.protobuf.json_format import ParseError
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, RequestException, ParseError) as error:
        text = str(error).partition("\n")[0].rstrip(".")
        for secret in hidden:
            text = text.replace(secret, "***")
        raise FetchError(f"the tracking data at {place} cannot be read or written: {text}.") from None


def tracking(home: Home) -> Tracking:
    """The tracking data of a home; a store that is not there yet is made.

    Raises:
        ConfigError: `ALFRED_TRACKING_URI` names a kind of place that cannot be used.
        FetchError: the server or database does not answer.
        OSError: the home's folder cannot be written.
    """
    if home.shared_tracking:
        return _opened(home.shared_tracking, None)
    database, artifacts = home.tracking / DATABASE, (home.tracking / "artifacts").as_uri()
    if not database.exists():
        home.tracking.mkdir(parents=True, exist_ok=True)
        _prepare_mlflow()
        with _told_without((), str(database)):
            _make(database, artifacts)
    with database.open("ab"):  # says at once what MLflow would try ten times
        pass
    return _opened(f"sqlite:///{database}", artifacts)


def _make(database: Path, artifacts: str) -> None:
    """Make a database as MLflow does, but wait for the disk once instead of after each of its many migrations."""
    import sqlalchemy

    _prepare_mlflow()
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    def hurry(connection: "sqlite3.Connection", _: object) -> None:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = MEMORY")

    with _scratch(database) as scratch:
        sqlalchemy.event.listen(sqlalchemy.Engine, "connect", hurry)
        try:
            SqlAlchemyStore(f"sqlite:///{scratch}", artifacts).engine.dispose()
        finally:
            sqlalchemy.event.remove(sqlalchemy.Engine, "connect", hurry)
        with scratch.open("rb+") as file:
            os.fsync(file.fileno())
        try:
            os.link(scratch, database)
        except FileExistsError:  # another process was first
            pass
        except OSError:  # a file system without links
            if not database.exists():
                scratch.rename(database)


@contextmanager
def _scratch(path: Path) -> Iterator[Path]:
    """A file beside another, gone after the block."""
    scratch = path.with_name(f".{path.name}.{random_tokens.token_hex(8)}.partial")
    try:
        yield scratch
    finally:
        scratch.unlink(missing_ok=True)


@functools.cache
def _opened(uri: str, artifacts: str | None) -> Tracking:
    kind, place, hidden = parted(uri)
    if kind in SERVERS:
        uri = _without_credentials(uri, place)
        _reach_server(uri, place)
    elif kind != "sqlite":
        reach_database(uri, place, f"unset {TRACKING_VARIABLE} to keep tracking data in the home")
    with _told_without(hidden, place):
        return Tracking(place, _client(uri), artifacts, hidden, kind in SERVERS or artifacts is not None)


def parted(uri: str, variable: str = TRACKING_VARIABLE) -> tuple[str, str, tuple[str, ...]]:
    """Kind of the place, its address without credentials, and all texts in which the credentials may show."""
    try:
        parts = urlsplit(uri)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        raise ConfigError(_unusable(variable, "its value is no address")) from None
    kind = parts.scheme.partition("+")[0]
    if kind not in (*SERVERS, *DATABASES):
        raise ConfigError(_unusable(variable, "its value begins otherwise"))
    found = [parts.password, parts.query, f"{parts.username}:{parts.password}" if parts.password else None]
    hidden = {text for one in found if one for text in (one, unquote(one))}
    place = f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"
    return kind, place, tuple(sorted(hidden, key=len, reverse=True))


def _unusable(variable: str, why: str) -> str:
    return (
        f"{variable} must be a server (http://, https://) or a database (sqlite:///, postgresql://, "
        f"mysql://), but {why}; it is not shown here, as it may hold a password."
    )


def _without_credentials(uri: str, place: str) -> str:
    """A server's address as MLflow may log it; name and password go where its client looks for them."""
    parts = urlsplit(uri)
    if parts.username:
        os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(parts.username)
        os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(parts.password or "")
    return place


def _reach_server(uri: str, place: str) -> None:
    """Say at once that nobody answers, which MLflow's client takes minutes to find out, or that it lets nobody in."""
    import httpx

    name = os.environ.get("MLFLOW_TRACKING_USERNAME", "")
    login = (name, os.environ.get("MLFLOW_TRACKING_PASSWORD", "")) if name else None
    try:
        # What it says is not read: it may never end.
        asked = httpx.stream("GET", f"{uri.rstrip('/')}/version", timeout=PATIENCE_S, follow_redirects=True, auth=login)
        with asked as answer:
            status = answer.status_code
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise FetchError(
            f"the tracking server {place} does not answer ({type(error).__name__}); start it, or unset "
            f"{TRACKING_VARIABLE} to keep tracking data in the home."
        ) from None
    if status == httpx.codes.UNAUTHORIZED and not os.environ.get("MLFLOW_TRACKING_TOKEN"):
        refused = "does not take this name and password" if name else "asks for a name and a password"
        raise ConfigError(
            f"the tracking server {place} {refused}; let {TRACKING_VARIABLE} be "
            f"{uri.partition(':')[0]}://NAME:PASSWORD@{place.partition('://')[2]}."
        )
    if status in REFUSING or status >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise FetchError(
            f"the tracking server {place} answers with status {status}; look at the name and password in "
            f"{TRACKING_VARIABLE}, and at the server's log."
        )


def reach_database(uri: str, place: str, otherwise: str) -> None:
    """Say at once that a database does not answer.

    Args:
        uri: its address.
        place: the same without credentials.
        otherwise: what to do beside starting it, for the message.

    Raises:
        FetchError: it does not.
    """
    import sqlalchemy

    try:
        timed = urlsplit(uri).scheme in LIBPQ and "connect_timeout" not in uri
        engine = sqlalchemy.create_engine(uri, connect_args={"connect_timeout": int(PATIENCE_S)} if timed else {})
        with engine.connect():
            pass
        engine.dispose()
    except (sqlalchemy.exc.SQLAlchemyError, ImportError, OSError) as error:
        cause = f"its driver {error.name} is not installed" if isinstance(error, ImportError) else type(error).__name__
        raise FetchError(
            f"the tracking database {place} cannot be reached ({cause}); start it, or {otherwise}."
        ) from None


def _client(uri: str) -> "MlflowClient":
    _prepare_mlflow()
    from mlflow import MlflowClient

    return MlflowClient(uri)


def _prepare_mlflow() -> None:
    """Import MLflow so that it sends no usage data, gives up in a minute, and logs nothing but errors.

    It would tell of tables that it makes; what fails comes back as an exception.
    """
    for name, value in (
        ("MLFLOW_DISABLE_TELEMETRY", "true"),
        ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "5"),
        ("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false"),
    ):
        os.environ.setdefault(name, value)
    import mlflow  # noqa: F401 - sets up its loggers

    for logger in ("mlflow", "alembic"):
        logging.getLogger(logger).setLevel(logging.ERROR)
