"""The command that starts a tracking server."""

import os
from typing import Annotated

import typer

from alfred.cli.screen import err
from alfred.core.home import home


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(server)


def server(
    backend: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Database, such as postgresql://alfred@host/alfred, without a password; default a SQLite file in "
            "the home. With a password, put the whole address into ALFRED_SERVER_BACKEND instead.",
        ),
    ] = "",
    artifacts: Annotated[
        str, typer.Option(metavar="PLACE", help="Folder or s3://... of the models' files; default in the home.")
    ] = "",
    host: Annotated[str, typer.Option(help="Where to listen; 0.0.0.0 for other machines too.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Likewise.")] = 5000,
    allow: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Names under which other machines call it, such as lab.local; its pages work there under these only.",
        ),
    ] = "",
    login: Annotated[
        bool, typer.Option("--login", help="Ask everybody for the name and password of ALFRED_SERVER_LOGIN.")
    ] = False,
    workers: Annotated[int, typer.Option(help="Processes that answer, each in threads.")] = 1,
) -> None:
    """Start a tracking server: trials, runs and models of many machines in one place, until Ctrl-C.

    On one machine, with PostgreSQL behind it and the models' files in a folder that the server hands on:

    ALFRED_SERVER_BACKEND=postgresql://alfred:PASSWORD@localhost/alfred ALFRED_SERVER_LOGIN=lab:SECRET alfred server
    --login --host 0.0.0.0 --allow lab.local

    On every machine that takes part:

    export ALFRED_TRACKING_URI=http://lab:SECRET@lab.local:5000

    alfred run study.toml

    alfred models list

    Without --login whoever reaches the port may read and write, so it listens on loopback unless told otherwise. What
    is sent is not encrypted: across a network that others listen to, go by ssh -L or put a proxy that speaks TLS before
    it. It needs the extra `server`.
    """
    from alfred.experiments.server import ServerSettings, server_command, start_server, warning_of

    settings = ServerSettings.parse(
        {
            "host": host,
            "port": port,
            "backend": backend,
            "artifacts": artifacts,
            "allow": allow,
            "login": login,
            "workers": workers,
        },
        "alfred server",
    )
    command, environment, place = server_command(settings, home(), os.environ)
    name = f"[{host}]" if ":" in host else host
    err.print(
        f"Tracking data in {place}; pages at http://{name}:{port}. Stop with Ctrl-C.", markup=False, soft_wrap=True
    )
    if warning := warning_of(settings):
        err.print(warning, style="yellow", markup=False, soft_wrap=True)
    start_server(command, environment)
