"""Who may use a tracking server that asks for a login: whoever sends the one name and password of its environment.

MLflow's own application for logins (`basic-auth`) stands before every address of the server; it asks `asked` here, and
nothing but the environment of the server's processes knows the password. Neither it nor a hash of it is in a file.
Without a login it shows only that it is well (`/health`), the pages' scripts, and MLflow's own version and features.
"""

import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from alfred.core.errors import ConfigError
from alfred.core.storage import write_whole

if TYPE_CHECKING:
    from flask import Response
    from werkzeug.datastructures import Authorization

LOGIN_VARIABLE = "ALFRED_SERVER_LOGIN"
SHORTEST_PASSWORD = 12
APPLICATION = ("--app-name", "basic-auth")
CLOSED = "This tracking server asks for a name and a password; let ALFRED_TRACKING_URI hold them."


def login_of(environment: Mapping[str, str]) -> tuple[str, str]:
    """Name and password that the environment asks of whoever calls.

    Raises:
        ConfigError: there is none, or one that is too easy to guess; the message does not show it.
    """
    name, _, password = environment.get(LOGIN_VARIABLE, "").partition(":")
    if not name or not password:
        raise ConfigError(
            f"--login needs the variable {LOGIN_VARIABLE}, NAME:PASSWORD; others send it in ALFRED_TRACKING_URI."
        )
    if len(password) < SHORTEST_PASSWORD:
        raise ConfigError(
            f"the password in {LOGIN_VARIABLE} has {len(password)} characters; take at least {SHORTEST_PASSWORD}, for "
            "whoever reaches the server may guess as often as it answers."
        )
    return name, password


def login_environment(folder: Path, name: str) -> dict[str, str]:
    """What MLflow's application needs to stand before the server, beside the login itself.

    It keeps a table of names in a file of its own, with a password there that nobody knows and nothing asks for.

    Args:
        folder: of the server.
        name: that logs in.
    """
    database = f"sqlite:///{folder / 'names.db'}".replace("%", "%%")
    settings = folder / "login.ini"
    write_whole(
        settings,
        f"[mlflow]\ndefault_permission = NO_PERMISSIONS\ndatabase_uri = {database}\n"
        f"authorization_function = {__name__}:asked\n",
    )
    return {
        "MLFLOW_AUTH_CONFIG_PATH": str(settings),
        "MLFLOW_AUTH_ADMIN_USERNAME": name,
        "MLFLOW_AUTH_ADMIN_PASSWORD": secrets.token_urlsafe(32),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_urlsafe(32),
        "MLFLOW_BASIC_AUTH_FAIL_CLOSED": "true",
    }


def asked() -> "Authorization | Response":
    """What MLflow's application asks on every request: the login that came, if it is the right one, or a refusal."""
    from flask import Response, request

    given = request.authorization
    if given is not None and given.type == "basic" and is_right(given.username or "", given.password or ""):
        return given
    return Response(CLOSED, 401, {"WWW-Authenticate": 'Basic realm="Alfred"'}, mimetype="text/plain")


def is_right(name: str, password: str) -> bool:
    """Whether they are those of the environment; how long the answer takes tells nothing about how much is right."""
    right = os.environ.get(LOGIN_VARIABLE, "").encode()
    return hmac.compare_digest(f"{name}:{password}".encode(), right) and b":" in right
