"""The command line: thin commands over the stages. The only place that prints, and that catches errors."""

import io
import sys
from typing import Annotated, Any

import typer
from rich.markup import escape
from typer.core import TyperGroup

from alfred.cli import (
    accounts,
    audit,
    backtest,
    catalogues,
    compare,
    data,
    doctor,
    examine,
    experiments,
    explain,
    language,
    manage,
    models,
    notes,
    recommend,
    scan,
    server,
    single,
    studies,
    sweep,
    trials,
    ui,
)
from alfred.cli.screen import err
from alfred.core.errors import AlfredError
from alfred.core.version import __version__

BAD_INPUT, UNEXPECTED, INTERRUPTED = 2, 1, 130


class Alfred(TyperGroup):
    """The command group that turns errors into one sentence and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; a traceback appears only under --debug."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            err.print("\nStopped. Finished stages are kept; the same command goes on from there.")
            raise typer.Exit(INTERRUPTED) from None
        except AlfredError as error:
            if ctx.params.get("debug"):
                raise
            err.print(f"[bold red]Error:[/] {escape(str(error))}", soft_wrap=True)
            raise typer.Exit(BAD_INPUT) from error
        except (typer.Exit, typer.Abort):
            raise
        except OSError as error:
            if ctx.params.get("debug"):
                raise
            err.print(f"[bold red]Error:[/] {escape(_system(error))}", soft_wrap=True)
            raise typer.Exit(BAD_INPUT) from error
        except Exception as error:
            if ctx.params.get("debug") or hasattr(error, "exit_code"):
                raise
            err.print(
                f"[bold red]Unexpected {type(error).__name__}:[/] {escape(str(error))}\n"
                "This is a defect of Alfred; `alfred --debug ...` shows where it happened."
            )
            raise typer.Exit(UNEXPECTED) from error


app = typer.Typer(
    name="alfred",
    cls=Alfred,
    help="A research laboratory for equities: data that cannot know the future, analysts that must beat the naive "
    "forecast, accounts net of costs, and one honest report.\n\nStart with `alfred demo`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _root(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=lambda wanted: _version() if wanted else None)
    ] = False,
) -> None:
    """Options that come before a command."""


def _version() -> None:
    typer.echo(f"alfred {__version__}")
    raise typer.Exit


def _system(error: OSError) -> str:
    """What the system refused, and for which file."""
    place = f": {error.filename}" if error.filename else ""
    return f"{error.strerror or error}{place}. Finished stages are kept; put this right and call again."


studies.add_to(app)
single.add_to(app)
experiments.add_to(app)
compare.add_to(app)
sweep.add_to(app)
models.add_to(app)
server.add_to(app)
trials.add_to(app)
audit.add_to(app)
scan.add_to(app)
examine.add_to(app)
explain.add_to(app)
accounts.add_to(app)
catalogues.add_to(app)
backtest.add_to(app)
recommend.add_to(app)
notes.add_to(app)
data.add_to(app)
language.add_to(app)
manage.add_to(app)
ui.add_to(app)
doctor.add_to(app)


def main() -> None:
    """Entry point of the program `alfred`."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal or pipe that lacks a letter ends no command
    app()
