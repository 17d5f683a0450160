"""`alfred server --login` over HTTP: nobody gets in without the name and password, and nothing shows them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import served
from served import Server

from alfred.core.errors import ConfigError
from alfred.core.home import Home
from alfred.experiments.login import asked, is_right, login_of
from alfred.experiments.server import ServerSettings, is_loopback, server_command, warning_of
from alfred.experiments.tracking import tracking

NAME, PASSWORD = served.LOGIN
LOGIN = f"{NAME}:{PASSWORD}"
OPEN = ("/health", "/static-files/", "/api/3.0/mlflow/server-info", "/ajax-api/3.0/mlflow/server-info")
ROUTES = """
import json
from mlflow.server import app as inner
from mlflow.server.fastapi_app import app
found = [(method, rule.rule) for rule in inner.url_map.iter_rules() for method in rule.methods - {"OPTIONS", "HEAD"}]
waiting = list(app.routes)
while waiting:
    one = waiting.pop()
    if getattr(one, "methods", None):
        found += [(method, one.path) for method in one.methods]
    waiting += getattr(getattr(one, "original_router", None), "routes", [])
print(json.dumps(found))
"""


@pytest.fixture(autouse=True)
def no_login_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where MLflow's client looks for a login; put back afterwards."""
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")


@pytest.mark.slow
@pytest.mark.parametrize("given", ["", "lab:wrong password!@", "other:correct%20horse%2Fbattery@"])
def test_without_the_login_a_client_is_told_what_to_do(tracking_server: Server, tmp_path: Path, given: str) -> None:
    with pytest.raises(ConfigError) as caught:
        tracking(Home(tmp_path, shared_tracking=tracking_server.bare.replace("//", f"//{given}")))
    place = tracking_server.bare.partition("://")[2]
    refused = "does not take this name and password" if given else "asks for a name and a password"
    assert str(caught.value) == (
        f"the tracking server {tracking_server.bare} {refused}; let ALFRED_TRACKING_URI be http://NAME:PASSWORD@{place}."
    )


@pytest.mark.slow
def test_no_address_of_the_server_answers_without_the_login(tracking_server: Server) -> None:
    """All that the server's own program says it answers to, and what it does not know either."""
    told = subprocess.run([sys.executable, "-W", "ignore", "-c", ROUTES], capture_output=True, text=True, check=True)
    routes = json.loads(told.stdout.splitlines()[-1])
    assert len(routes) > 300
    native = [path for _, path in routes if "assistant" in path or "mlflow-artifacts" in path]
    assert len(native) > 10
    paths = {(method, _filled(path)) for method, path in routes}
    paths |= {
        ("GET", "/nowhere"),
        ("GET", "/api/2.0/mlflow-artifacts/artifacts/../../x"),
        ("GET", "//health/../version"),
    }
    opened = set()
    with httpx.Client(base_url=tracking_server.bare, timeout=30) as client:
        for method, path in sorted(paths):
            answer = client.request(method, path)
            if answer.status_code != 401:
                opened.add((path, answer.status_code))
            assert answer.status_code != 200 or path.startswith(OPEN), (method, path)
        assert {path for path, _ in opened if not path.startswith(OPEN)} == set(), opened
        for login in ((NAME, "wrong"), (NAME, ""), ("", PASSWORD), ("admin", PASSWORD), (NAME, PASSWORD + " ")):
            assert client.get("/version", auth=login).status_code == 401
        assert client.get("/version", headers={"Authorization": "Bearer x"}).status_code == 401
        assert client.get("/version", auth=(NAME, PASSWORD)).status_code == 200


def _filled(path: str) -> str:
    """A route's pattern with its places filled in."""
    for opening, closing in (("<", ">"), ("{", "}")):
        while opening in path:
            path = path.partition(opening)[0] + "1" + path.partition(opening)[2].partition(closing)[2]
    return path


@pytest.mark.slow
def test_it_answers_under_its_own_names_and_to_its_own_pages_only(tracking_server: Server) -> None:
    port = tracking_server.bare.rpartition(":")[2]
    asked_for = {"experiment_ids": ["0"]}

    def status(host: str, origin: str = "") -> int:
        headers = {"Host": host, **({"Origin": origin} if origin else {})}
        where = f"{tracking_server.bare}/ajax-api/2.0/mlflow/runs/search"
        return httpx.post(where, json=asked_for, headers=headers, auth=(NAME, PASSWORD), timeout=30).status_code

    own = f"lab.local:{port}"
    assert [status(host) for host in (own, "lab.local", f"127.0.0.1:{port}", "localhost:6000")] == [200] * 4
    assert [status(host) for host in ("evil.example", f"lab.local.evil.example:{port}", "192.168.evil.example")] == [
        403
    ] * 3
    assert [status(own, f"http://{own}"), status(own, "https://lab.local")] == [200, 200]
    assert [status(own, "http://evil.example"), status(own, f"http://{own}.evil.example")] == [403, 403]


def command(tmp_path: Path, environment: dict[str, str], **settings: Any) -> tuple[list[str], dict[str, str], str]:
    return server_command(ServerSettings.parse({"port": 59_123, **settings}, "test"), Home(tmp_path), environment)


def test_a_login_is_asked_for_by_mlflows_own_application(tmp_path: Path) -> None:
    place = tmp_path / "100% mine"
    words, told, _ = command(place, {"ALFRED_SERVER_LOGIN": LOGIN}, login=True)
    assert words[-2:] == ["--app-name", "basic-auth"]
    assert (told["MLFLOW_AUTH_ADMIN_USERNAME"], told["ALFRED_SERVER_LOGIN"]) == (NAME, LOGIN)
    again = command(place, {"ALFRED_SERVER_LOGIN": LOGIN}, login=True)[1]
    for secret in ("MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY"):
        assert len(told[secret]) > 30
        assert told[secret] != again[secret]
        assert PASSWORD not in told[secret]
    settings = Path(told["MLFLOW_AUTH_CONFIG_PATH"]).read_text()
    assert "default_permission = NO_PERMISSIONS" in settings
    assert f"authorization_function = {asked.__module__}:asked" in settings
    assert f"sqlite:///{place}/server/names.db".replace("%", "%%") in settings
    assert PASSWORD not in settings
    assert "--app-name" not in command(tmp_path, {"ALFRED_SERVER_LOGIN": LOGIN})[0]


@pytest.mark.parametrize("given", ["", "lab", "lab:", ":correct horse battery"])
def test_a_login_is_a_name_and_a_password(given: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--login needs the variable ALFRED_SERVER_LOGIN, NAME:PASSWORD"):
        command(tmp_path, {"ALFRED_SERVER_LOGIN": given}, login=True)


def test_a_password_that_is_soon_guessed_is_refused_and_not_shown() -> None:
    with pytest.raises(
        ConfigError, match=r"the password in ALFRED_SERVER_LOGIN has 7 characters; take at least 12"
    ) as told:
        login_of({"ALFRED_SERVER_LOGIN": "lab:hunter2"})
    assert "hunter2" not in str(told.value)
    assert login_of({"ALFRED_SERVER_LOGIN": "lab:a:password:of:colons"}) == ("lab", "a:password:of:colons")


def test_only_the_right_login_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALFRED_SERVER_LOGIN", raising=False)
    assert not is_right("", "")
    monkeypatch.setenv("ALFRED_SERVER_LOGIN", LOGIN)
    assert is_right(NAME, PASSWORD)
    for name, password in (("", ""), (NAME, ""), ("", PASSWORD), (NAME, PASSWORD[:-1]), (PASSWORD, NAME), (NAME, "ü")):
        assert not is_right(name, password)


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("127.8.0.1", True), ("0.0.0.0", False), ("::", False),
     ("192.168.1.5", False), ("lab.local", False)],
)  # fmt: skip
def test_whoever_listens_to_others_is_told_who_may_do_what(host: str, own: bool) -> None:
    assert is_loopback(host) == own
    plain, asking = (ServerSettings(host=host, port=5001, login=login) for login in (False, True))
    if own:
        assert (warning_of(plain), warning_of(asking)) == ("", "")
        return
    assert warning_of(plain) == (
        "Whoever reaches port 5001 can read, change and delete all trials, runs and models, without a password. Ask "
        "for one by --login, or stay on loopback and let others come by `ssh -N -L 5001:127.0.0.1:5001 HOST`."
    )
    assert warning_of(asking).startswith("Whoever has the name and password can read, change and delete all trials")
    assert "Both travel as plain text" in warning_of(asking)


@pytest.mark.parametrize(
    ("settings", "names", "origins"),
    [
        ({}, None, None),
        ({"host": "0.0.0.0"}, None, None),
        ({"allow": "lab.local"}, ["lab.local", "lab.local:59123"], 4),
        ({"allow": " lab.local:1, [fe80::1]"}, ["lab.local:1", "[fe80::1]", "[fe80::1]:59123"], 6),
        ({"allow": "*"}, ["*", "*:59123"], None),
    ],
)  # fmt: skip
def test_names_go_to_hosts_and_pages(
    tmp_path: Path, settings: dict[str, str], names: list[str] | None, origins: int | None
) -> None:
    told = command(tmp_path, {}, **settings)[1]
    hosts = told.get("MLFLOW_SERVER_ALLOWED_HOSTS")
    assert (hosts and hosts.split(",")[6:]) == names
    pages = told.get("MLFLOW_SERVER_CORS_ALLOWED_ORIGINS")
    assert (pages and len(pages.split(","))) == origins
    assert told["MLFLOW_ENABLE_REMOTE_ASSISTANT"] == "false"
