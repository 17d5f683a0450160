"""`alfred server`: a real one on a real PostgreSQL, models of one machine used on another, no secret shown."""

import importlib.metadata
import socket
from pathlib import Path
from urllib.parse import quote

import postgres
import pytest
from served import Server
from stored_run import NETWORK, RIDGE, made

from alfred.core.errors import ConfigError, FetchError
from alfred.core.home import Home
from alfred.experiments.listing import list_experiments
from alfred.experiments.promotion import promote, remove
from alfred.experiments.server import ServerSettings, server_command
from alfred.experiments.store import (
    StoredModel,
    analyst_from_store,
    find_model,
    log_run,
    records_elsewhere,
    stored_models,
)
from alfred.experiments.tracking import tracking
from alfred.experiments.trials import Series, Trial, TrialLedger

SECRET = "hunter2"


@pytest.mark.slow
def test_models_of_one_machine_are_used_on_another_through_postgresql(
    tmp_path: Path, tracking_server: Server, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    here, there = (Home(tmp_path / name, shared_tracking=tracking_server.uri) for name in ("here", "there"))
    run = made(here)
    assert log_run(here, run.folder)
    assert log_run(here, run.folder)
    models = stored_models(there, "kept")
    assert {one.name for one in models} == {
        f"{run.name}/{RIDGE}/0",
        f"{run.name}/{NETWORK}/0",
        f"{run.name}/{NETWORK}/1",
    }

    model = find_model(there, f"kept/{NETWORK}/1")
    assert promote(there, model) == ""
    restored = analyst_from_store("kept@champion", here)
    local = analyst_from_store(model.name, there)
    found, again = restored.forecast(run.panel), local.forecast(run.panel)
    assert found.equals(again)
    assert not (there.root / "tracking").exists()
    assert not (here.root / "tracking").exists()

    # The table lists runs of other machines, fetched once.
    listed = list_experiments(there, family="kept").experiments
    assert {one.run for one in listed} == {run.name}
    assert list_experiments(here, family="kept").experiments == listed
    assert run.name in {path.parent.name for path in records_elsewhere(there)}
    assert run.name not in {path.parent.name for path in records_elsewhere(here)}

    # Its Sharpe ratio is deflated by the tries as they are counted now, on every machine alike.
    before = {one.analyst: one.deflated_sharpe for one in listed if one.deflated_sharpe is not None}
    assert before
    ledger = TrialLedger.open(here)
    for number in range(4):
        trial = ledger.begin(Trial(f"k{number}", "kept", "s", "d", "ridge", "p"))
        returns = Series(150, tuple((-1) ** (at // 2**number) * 0.1 + 0.02 * number for at in range(16)))
        ledger.finish(trial, {"rank_ic": 0.0}, {"simple": returns})
    after = list_experiments(there, family="kept").experiments
    assert after == list_experiments(here, family="kept").experiments
    assert {one.trials for one in after} == {4}
    assert all(0 < (one.deflated_sharpe or 0.0) < before[one.analyst] for one in after if one.analyst in before)

    # Files of models lie with the server and are handed on by it; removed ones are gone there.
    files = tracking_server.log.parent / "server" / "artifacts"
    ridge = find_model(there, f"kept/{RIDGE}")
    assert len(manifests(files, ridge)) == 3
    remove(there, [ridge])
    assert len(manifests(files, ridge)) == 2
    assert ridge.name not in {one.name for one in stored_models(here)}
    with pytest.raises(ConfigError, match="withdraw the alias"):
        remove(here, [model])

    # Without the server, what was fetched before is still listed.
    gone = f"http://127.0.0.1:{postgres.free_port()}"
    with pytest.raises(FetchError, match="does not answer"):
        tracking(Home(tmp_path / "later", shared_tracking=gone))
    alone = Home(there.root, shared_tracking=gone)
    assert {one.run for one in list_experiments(alone, family="kept").experiments} == {run.name}

    printed = capfd.readouterr()
    assert_not_shown(tracking_server.login, [printed.out, printed.err, caplog.text, repr(here)], [tmp_path])


@pytest.mark.slow
def test_the_server_shows_no_secret(tracking_server: Server, postgres_server: postgres.Postgres) -> None:
    """Neither on its command lines, which other users of the machine see, nor in what it writes."""
    shown = " ".join(tracking_server.commands())
    assert "mlflow server" in shown
    for login in (tracking_server.login, (postgres_server.user, postgres_server.password)):
        assert_not_shown(login, [shown], [tracking_server.log.parent])


def assert_not_shown(login: tuple[str, str] | None, texts: list[str], folders: list[Path]) -> None:
    assert login is not None
    files = [path for root in folders for path in root.rglob("*") if path.is_file()]
    assert files
    for secret in (login[1], quote(login[1], safe="")):
        assert not any(secret in text for text in texts)
        assert not [path for path in files if secret.encode() in path.read_bytes()]


def manifests(files: Path, model: StoredModel) -> list[Path]:
    """Of the models of its run."""
    return [path for path in files.rglob("manifest.json") if model.number in path.parts]


@pytest.mark.slow
def test_a_database_alone_counts_and_keeps_no_files(tmp_path: Path, postgres_server: postgres.Postgres) -> None:
    home = Home(tmp_path / "home", shared_tracking=postgres_server.database())
    run = made(home)
    assert not log_run(home, run.folder)
    assert stored_models(home) == ()
    assert not (tmp_path / "mlruns").exists()
    wrong = postgres_server.url("postgres").replace(quote(postgres_server.password, safe=""), SECRET)
    with pytest.raises(FetchError, match=r"postgresql://127.0.0.1:\d+/postgres cannot be reached") as caught:
        tracking(Home(tmp_path / "other", shared_tracking=wrong))
    assert SECRET not in str(caught.value)


def command(tmp_path: Path, environment: dict[str, str] | None = None, **settings: object) -> object:
    asked = ServerSettings.parse({"port": postgres.free_port(), **settings}, "test")
    return server_command(asked, Home(tmp_path), environment or {})


def test_by_default_data_are_in_the_home_and_nobody_else_is_listened_to(tmp_path: Path) -> None:
    words, environment, place = command(tmp_path, {"ALFRED_TRACKING_URI": "http://x", "PATH": "/bin"})  # type: ignore[misc]
    assert words[1:6] == ["-m", "mlflow", "server", "--host", "127.0.0.1"]
    assert words[-2:] == ["--workers", "1"]
    assert place == str(tmp_path / "server" / "mlflow.db")
    assert environment["MLFLOW_BACKEND_STORE_URI"] == f"sqlite:///{place}"
    assert environment["MLFLOW_ARTIFACTS_DESTINATION"] == str(tmp_path / "server" / "artifacts")
    assert (tmp_path / "server" / "artifacts").is_dir()
    assert "ALFRED_TRACKING_URI" not in environment
    assert "MLFLOW_SERVER_ALLOWED_HOSTS" not in environment


def test_other_names_and_places_are_passed_on(tmp_path: Path) -> None:
    backend = f"sqlite:///{tmp_path}/deep/own.db"
    _, environment, place = command(tmp_path, backend=backend, artifacts="s3://b/x", allow="lab:1")  # type: ignore[misc]
    assert environment["MLFLOW_SERVER_ALLOWED_HOSTS"].endswith(",lab:1")
    assert environment["MLFLOW_ARTIFACTS_DESTINATION"] == "s3://b/x"
    assert (environment["MLFLOW_BACKEND_STORE_URI"], place) == (backend, backend)
    assert (tmp_path / "deep").is_dir()


def test_a_password_is_taken_from_the_environment_only(tmp_path: Path) -> None:
    address = f"postgresql://me:{SECRET}@127.0.0.1:9/x"
    with pytest.raises(ConfigError, match=r"--backend postgresql://127.0.0.1:9/x was given with a password") as caught:
        command(tmp_path, backend=address)
    assert SECRET not in str(caught.value)
    with pytest.raises(FetchError, match=r"postgresql://127.0.0.1:9/x cannot be reached \(OperationalError\)") as told:
        command(tmp_path, {"ALFRED_SERVER_BACKEND": address})
    assert SECRET not in str(told.value)
    with pytest.raises(ConfigError, match="--backend and ALFRED_SERVER_BACKEND both name a database"):
        command(tmp_path, {"ALFRED_SERVER_BACKEND": address}, backend="sqlite:///x.db")


def test_what_cannot_work_is_said_before_it_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="must be a database, such as postgresql://host/name"):
        command(tmp_path, backend="http://127.0.0.1:9")
    with pytest.raises(ConfigError, match=r"--backend must be a server .* but its value begins otherwise"):
        command(tmp_path, backend="ftp://127.0.0.1:9")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port {port} of 127.0.0.1 cannot be used \(Address already in use\)"):
            command(tmp_path, port=port)
    with pytest.raises(ConfigError, match="port"):
        command(tmp_path, port=0)

    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    with pytest.raises(ConfigError, match=r"needs the extra: pip install 'alfred\[server\]'"):
        command(tmp_path)
