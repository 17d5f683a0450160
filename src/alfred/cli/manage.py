"""The portfolio manager of a study: its policies against simpler ones."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from alfred.cli.screen import Bars, out
from alfred.cli.studies import Overrides, figure_text
from alfred.core.home import home

if TYPE_CHECKING:
    from alfred.experiments.managed import ManagerRecord


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(manage)


def manage(
    study: Annotated[Path, typer.Argument(help="A study's TOML file, such as `alfred init` writes.")],
    overrides: Overrides = None,
) -> None:
    """Run a study, let the policies of its section [manager] trade on its forecasts, and judge them.

    Policies that learn do so on the decisions before each of theirs alone; every policy is compared with all simpler
    rules. What was finished before is taken up. Writes the folder manager into the run's and a section of its report.
    """
    from alfred.experiments.manage import manage as manage_run
    from alfred.experiments.run import run_study
    from alfred.experiments.study import load_study
    from alfred.report.page import write_report

    plan = load_study(study, overrides or ())
    with Bars() as progress:
        folder = run_study(plan, home(), progress)
        record = manage_run(folder, home(), plan.manager, progress)
    out.print(_table(record))
    for warning in record.warnings:
        out.print(f"[yellow]{escape(warning)}[/]", soft_wrap=True)
    for sentence in record.verdict:
        out.print(f"[bold]{escape(sentence)}[/]", soft_wrap=True)
    out.print(f"Report: {write_report(folder)}#manager", markup=False, soft_wrap=True)


def _table(record: "ManagerRecord") -> Table:
    every = "months" if record.settings["rebalance"] == "monthly" else "quarters"
    table = Table(
        box=None,
        title=f"{record.periods} {every} from {record.first}, {record.names} names; log growth a year, net",
        title_justify="left",
        title_style="bold",
    )
    table.add_column("policy", no_wrap=True)
    for heading in ("growth", "less 1/N", "volatility", "drawdown", "turnover", "seeds"):
        table.add_column(heading, justify="right", no_wrap=True)
    against = {one.policy: one for one in record.comparisons if one.rule == "equal-weight"}
    for one in record.figures:
        other = against.get(one.policy)
        table.add_row(
            escape(one.title),
            figure_text(one.growth, one.interval, "{:.1%}"),
            figure_text(other.difference, other.interval, "{:+.1%}") if other else "-",
            f"{one.volatility:.1%}",
            f"{one.drawdown:.1%}",
            f"{one.turnover:.2f}",
            str(one.seeds),
        )
    return table
