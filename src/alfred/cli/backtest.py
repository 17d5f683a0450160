"""The notes' backtests on a run's forecasts."""

from typing import Annotated

import typer

from alfred.cli.screen import out
from alfred.core.home import home


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(backtest)


def backtest(
    strategy: Annotated[str, typer.Option(help="simple, nuanced or magnitude-choice.")] = "simple",
    ticker: Annotated[str, typer.Option(help="One name, with the whole account in it; default the whole basket.")] = "",
    run: Annotated[str, typer.Option(help="A run's folder, its name's beginning, or latest.")] = "latest",
    analyst: Annotated[str, typer.Option(help="Whose forecasts; default the run's last analyst.")] = "",
    ledger: Annotated[bool, typer.Option(help="Print every line of the ledger.")] = True,
) -> None:
    """Trade a run's forecasts by a rule of the notes; print the ledger, the trades, and what the account did."""
    from alfred.experiments.replay import replay
    from alfred.experiments.runs import find_run

    for line in replay(home(), find_run(home(), run), strategy, ticker=ticker, analyst=analyst, with_ledger=ledger):
        out.print(line, markup=False, soft_wrap=True)
