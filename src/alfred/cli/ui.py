"""The dashboard in a browser."""

from typing import Annotated

import typer

from alfred.cli.screen import err, out
from alfred.core.errors import ConfigError
from alfred.core.home import home

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(ui)


def ui(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 8765,
    host: Annotated[str, typer.Option(help="Address to listen on. There is no login: think before you change it.")] = (
        "127.0.0.1"
    ),
) -> None:
    """Serve the dashboard on this machine: runs and reports, the lake, the trial ledger, and new runs with progress.

    It listens on loopback. From another machine, tunnel: ssh -L 8765:127.0.0.1:8765 this-machine

    alfred ui --port 8080
    """
    import socket

    import uvicorn

    from alfred.ui.app import make_app
    from alfred.ui.jobs import Jobs

    if host not in LOOPBACK:
        err.print("[yellow]There is no login: everyone who reaches this address may read all and start runs.[/]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
            # From here on a browser waits for its answer, so that the address below works as soon as it is shown.
            listening.listen()
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {host} port {port} ({error.strerror}); choose another --port."
            ) from error
        shown = f"[{host}]" if ":" in host else host
        out.print(
            f"Dashboard: http://{shown}:{listening.getsockname()[1]}/  (Ctrl-C ends it; runs go on)", markup=False
        )
        names = ("127.0.0.1", "localhost", "[::1]") if host in LOOPBACK else ("*",)
        settings = uvicorn.Config(make_app(Jobs(home()), names), log_level="warning", access_log=False)
        uvicorn.Server(settings).run(sockets=[listening])
