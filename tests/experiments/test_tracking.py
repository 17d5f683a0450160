"""Tracking data: names are given once, and a password in their address reaches no message."""

import http.server
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from alfred.core.errors import ConfigError, FetchError
from alfred.core.home import TRACKING_VARIABLE, Home
from alfred.core.home import home as home_of_environment
from alfred.experiments import tracking as trackings
from alfred.experiments.tracking import Tracking, tracking

PASSWORD = "hunter2%40x"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Tracking:
    return tracking(Home(tmp_path_factory.mktemp("home")))


def test_a_name_is_given_once(store: Tracking) -> None:
    first = store.claim("alfred/test/a", {"who": "first"})
    second = store.claim("alfred/test/a", {"who": "second"})
    assert (first.mine, second.mine) == (True, False)
    assert second.about["who"] == "first"
    with store.asked() as client:
        client.delete_experiment(first.number)
    third = store.claim("alfred/test/a", {"who": "third"})
    assert (third.mine, third.about["who"]) == (False, "first")


def test_of_many_at_once_exactly_one_is_given_it(store: Tracking) -> None:
    ready, claims = threading.Barrier(8), []

    def take(who: int) -> None:
        ready.wait()
        claims.append(store.claim("alfred/test/race", {"who": str(who)}))

    threads = [threading.Thread(target=take, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claim.mine for claim in claims) == [False] * 7 + [True]
    assert len({claim.about["who"] for claim in claims}) == 1


def test_names_are_found_by_their_beginning(store: Tracking) -> None:
    for name in ("alfred/p/a", "alfred/p/b", "alfred/q/a"):
        store.claim(name, {})
    assert [one.name for one in store.names("alfred/p/")] == ["alfred/p/a", "alfred/p/b"]
    assert store.find("alfred/p/c") is None


def test_no_files_appear_beside_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tracking(Home(tmp_path / "home")).claim("a", {})
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    assert [path.name for path in (tmp_path / "home" / "tracking").iterdir()] == ["mlflow.db"]


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        (f"ftp://me:{PASSWORD}@host/x", "its value begins otherwise; it is not shown here"),
        (f"me:{PASSWORD}@host", "ALFRED_TRACKING_URI must be a server"),
        (f"http://me:{PASSWORD}@host:port/", "its value is no address"),
        (f"http://me:{PASSWORD}@127.0.0.1:9/x", r"the tracking server http://127.0.0.1:9/x does not answer"),
        (f"postgresql+nodriver://me:{PASSWORD}@127.0.0.1:9/x", r"database postgresql\+nodriver://127.0.0.1:9/x cannot"),
    ],
)
def test_a_password_reaches_no_message(
    uri: str, says: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture
) -> None:  # fmt: skip
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv(TRACKING_VARIABLE, uri)
    place = home_of_environment()
    with pytest.raises((ConfigError, FetchError), match=says) as caught:
        tracking(place)
    printed = capfd.readouterr()
    shown = "".join(traceback.format_exception(caught.value))
    for text in (shown, repr(place), printed.out, printed.err, caplog.text):
        assert "hunter2" not in text


def test_what_a_store_says_is_told_without_its_secrets() -> None:
    from mlflow.exceptions import MlflowException

    store = Tracking("https://host", None, None, (f"me:{PASSWORD}", PASSWORD, "hunter2@x"))  # type: ignore[arg-type]
    with pytest.raises(FetchError) as caught, store.asked():
        raise MlflowException(f"request to https://me:{PASSWORD}@host with hunter2@x failed.\nmore")
    said = "the tracking data at https://host cannot be read or written: request to https://***@host with *** failed."
    assert str(caught.value) == said
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_importing_the_program_does_not_import_mlflow() -> None:
    import subprocess
    import sys

    code = "import alfred.cli.main, alfred.experiments.trials, sys; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@contextmanager
def answering(status: int, body: bytes, *, endless: bool = False) -> Iterator[int]:
    """A server on loopback that says the same to everyone; its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if not endless:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(body)
                while endless:
                    self.wfile.write(body)
                    time.sleep(0.05)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads, server.block_on_close = True, False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_a_server_that_refuses_is_told_at_once(tmp_path: Path, status: int) -> None:
    with answering(status, b"<html>no</html>") as port:
        place = Home(tmp_path, shared_tracking=f"http://me:s3cret-{status}@127.0.0.1:{port}")
        with pytest.raises(FetchError, match=f"answers with status {status}; look at the name and password") as caught:
            tracking(place)
    assert "s3cret" not in str(caught.value)


def test_a_server_that_never_ends_its_answer_is_not_waited_for(tmp_path: Path) -> None:
    with answering(200, b"OK", endless=True) as port:
        began = time.monotonic()
        tracking(Home(tmp_path, shared_tracking=f"http://127.0.0.1:{port}"))
        assert time.monotonic() - began < 5


def test_a_server_that_is_another_program_is_told(tmp_path: Path) -> None:
    with answering(200, b'{"experiments": "none", "runs": 3}') as port:
        store = tracking(Home(tmp_path, shared_tracking=f"http://127.0.0.1:{port}"))
        with pytest.raises(FetchError, match=f"127.0.0.1:{port} cannot be read or written: Failed to parse"):
            store.names("alfred/")


def test_an_address_that_can_be_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="does not answer"):
        tracking(Home(tmp_path, shared_tracking=f"http://me:s3cret@{'a' * 300}.example:5000"))


def test_a_database_that_takes_the_call_and_says_nothing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("psycopg")
    monkeypatch.setattr(trackings, "PATIENCE_S", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(FetchError, match=r"cannot be reached \(OperationalError\)") as caught:
            tracking(Home(tmp_path, shared_tracking=f"postgresql+psycopg://me:s3cret@127.0.0.1:{port}/db"))
    assert "s3cret" not in str(caught.value)
