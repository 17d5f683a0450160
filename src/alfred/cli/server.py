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
        str, typer.Option(metavar="NAMES", help="Names under which other machines call it, such as lab.local:5000.")
    ] = "",
    workers: Annotated[int, typer.Option(help="Processes that answer, each in threads.")] = 1,
) -> None:
    """Start a tracking server: trials, runs and models of many machines in one place, until Ctrl-C.

    On one machine, with PostgreSQL behind it and the models' files in a folder that the server hands on:

    ALFRED_SERVER_BACKEND=postgresql://alfred:PASSWORD@localhost/alfred alfred server --host 0.0.0.0

    On every machine that takes part:

    export ALFRED_TRACKING_URI=http://lab.local:5000

    alfred run study.toml

    alfred models list

    Whoever reaches the port may read and write, so listen on loopback or in a network that you trust, or put a proxy
    that asks for a password before it: ALFRED_TRACKING_URI may hold name and password. It needs the extra `server`.
    """
    from alfred.experiments.server import LOOPBACK, ServerSettings, server_command, start_server

    settings = ServerSettings.parse(
        {"host": host, "port": port, "backend": backend, "artifacts": artifacts, "allow": allow, "workers": workers},
        "alfred server",
    )
    command, environment, place = server_command(settings, home(), os.environ)
    err.print(
        f"Tracking data in {place}; pages at http://{host}:{port}. Stop with Ctrl-C.", markup=False, soft_wrap=True
    )
    if host not in LOOPBACK:
        err.print(
            f"[yellow]Whoever reaches port {port} may read and write; listen only in a network that you trust.[/]",
            soft_wrap=True,
        )
    start_server(command, environment)
