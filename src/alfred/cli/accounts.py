"""The analysts of accounts, and whether they know more than a company's last figures."""

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from alfred.cli.screen import Bars, out
from alfred.cli.studies import MarketName, Overrides
from alfred.core.home import home

if TYPE_CHECKING:
    from alfred.core.contracts import Interval
    from alfred.evaluation.relative import RelativeError

COLOURS = {"beats": "green", "loses": "red"}


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(fundamentals)


def fundamentals(
    study: Annotated[
        Path | None, typer.Argument(help="A study's TOML file; default that of the synthetic market.")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Forecast revenue growth, margins and earnings per share one and four quarters ahead, over a study's folds.

    Prints everyone's errors relative to the random walk's and the seasonal naive forecast's; below 1 is better. The
    section [fundamentals] of the study says which labels, horizons and analysts. The audit's errors stop it.
    """
    from alfred.experiments.fundamental_walk import RANDOM_WALK, SEASONAL
    from alfred.experiments.fundamentals import load_fundamentals, run_fundamentals
    from alfred.experiments.study import load_study
    from alfred.report.audit import warnings

    plan = load_study(study or MarketName.SYNTHETIC.study, overrides or ())
    with Bars() as progress:
        folder = run_fundamentals(plan, home(), progress)
    record, _ = load_fundamentals(folder)
    level = f"{plan.evaluation.level:.0%}"
    out.print(f"Errors on test rows over those of the baselines, with {level} intervals over blocks of quarters:")
    for (target, horizon), errors in itertools.groupby(record.errors, lambda one: (one.target, one.horizon_quarters)):
        out.print(_table(target, horizon, list(errors), (RANDOM_WALK, SEASONAL)))
    if 4 in {error.horizon_quarters for error in record.errors}:
        out.print("[dim]Four quarters ahead the seasonal naive forecast is the random walk.[/]")
    for left in record.left_out:
        out.print(f"[yellow]Left out: {escape(left.name)}: {escape(left.reason)}.[/]", soft_wrap=True)
    for warning in warnings(record):
        out.print(f"[yellow]{escape(warning)}[/]", soft_wrap=True)
    for line in _findings(record.errors, RANDOM_WALK):
        out.print(f"[bold]{escape(line)}[/]", soft_wrap=True)
    if record.trials is not None:
        out.print(
            f"The family {record.trials.family} has had {record.trials.count:,} trials.", markup=False, soft_wrap=True
        )
    if record.audit is not None:
        out.print(f"Audit: {record.audit.summary}", markup=False, soft_wrap=True)
    out.print(f"Record and forecasts: {folder}", markup=False, soft_wrap=True)


def _table(target: str, horizon: int, errors: "list[RelativeError]", baselines: tuple[str, str]) -> Table:
    first, (walk, seasonal) = errors[0], baselines
    ahead = "one quarter ahead" if horizon == 1 else f"{horizon} quarters ahead"
    name = target.removeprefix("next_")
    table = Table(
        box=None,
        title=f"{name}, {ahead}: {first.rows:,} rows in {first.quarters} quarters",
        title_justify="left",
        title_style="bold",
    )
    table.add_column("analyst", overflow="fold")
    for heading in ("MAE", "/ random walk's", "RMSE / random walk's", "MAE / seasonal's", "cover"):
        table.add_column(heading, justify="right", no_wrap=True)
    for error in errors:
        beside, other = error.against(walk), error.against(seasonal)
        table.add_row(
            escape(error.analyst),
            f"{error.mae:.4f}",
            _ratio(beside.mae, beside.mae_over_quarters),
            _ratio(beside.rmse, beside.rmse_over_quarters),
            _ratio(other.mae, other.mae_over_quarters),
            f"{error.coverage:.0%}",
            style=_style(error, walk),
        )
    return table


def _ratio(value: float | None, over: "Interval | None") -> str:
    if value is None:
        return "-"
    text = f"{value:.3f}"
    return text if over is None else f"{text} \\[{over.lower:.3f}, {over.upper:.3f}]"


def _style(error: "RelativeError", walk: str) -> str:
    if error.analyst == walk:
        return "dim"
    return COLOURS.get(error.finding(walk).partition(" ")[0], "")


def _findings(errors: "tuple[RelativeError, ...]", walk: str) -> list[str]:
    """One line an analyst: how often it beats the random walk, how often it loses to it."""
    lines = []
    for analyst in dict.fromkeys(error.analyst for error in errors if error.analyst != walk):
        found = [error.finding(walk) for error in errors if error.analyst == analyst]
        better, worse, few = (sum(one.startswith(word) for one in found) for word in ("beats", "loses", "too few"))
        untold = f", and {few} have too few quarters to tell" if few else ""
        lines.append(f"{analyst}: beats the {walk} in {better} of {len(found)} tests, loses to it in {worse}{untold}.")
    return lines
