"""The notes' experiment again, and where its figure went."""

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from alfred.cli.screen import Bars, out
from alfred.cli.studies import Overrides
from alfred.core.home import home

if TYPE_CHECKING:
    from alfred.experiments.notes import Step, Waterfall


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(notes)


def notes(
    study: Annotated[
        Path | None, typer.Argument(help="A study of one network; default the notes' baskets on the sample.")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Repeat the protocol of the original notes, defects and all, then remove one defect at a time.

    Prints the waterfall from the notes' figure to an honest one, and writes it as a page. Takes a few minutes; what is
    finished is kept, and an interrupted call goes on from there.

    alfred notes --set data.provider=csvfile --set universe.scan.training_start=AAPL
    """
    from alfred.experiments.notes import Waterfall, rerun_notes
    from alfred.experiments.study import load_study
    from alfred.report.waterfall import headline, write_waterfall

    own = Path(str(files("alfred.experiments") / "studies" / "notes.toml"))
    plan = load_study(study or own, overrides or ())
    with Bars() as progress:
        folder = rerun_notes(plan, home(), progress)
    found = Waterfall.load(folder)
    page = write_waterfall(folder)
    out.print(
        f"{found.analyst}, {len(found.seeds)} seed(s), judged on {found.first} to {found.last} at every step. Sign "
        "accuracy, 95% intervals over seeds, an account's net return a year, and in brackets the number of the audit's "
        "check:",
        markup=False,
        soft_wrap=True,
    )
    out.print(_table(found))
    for line in _beside(found):
        out.print(line, markup=False, soft_wrap=True)
    out.print(headline(found), style="bold", markup=False, soft_wrap=True)
    out.print(f"Waterfall: {page}", markup=False, soft_wrap=True)


def _table(found: "Waterfall") -> Table:
    from alfred.report.waterfall import label

    table = Table(box=None)
    table.add_column("put right (check)", no_wrap=True)
    for heading in ("accuracy", "always up", "change, points", "share", "sum of trade %", "a year"):
        table.add_column(heading, justify="right", no_wrap=True)
    for step in found.steps:
        table.add_row(
            label(step),
            f"{step.sign_accuracy.value:.1%}",
            f"{step.always_up:.1%}",
            *_change(step),
            f"{step.sum_of_trades_pct.value:+,.0f}%",
            f"{step.annual_return.value:+.1%}",
        )
    return table


def _change(step: "Step") -> tuple[str, str]:
    if step.removed is None:
        return "", ""
    if step.idle:
        return "no such data", "0.0%"
    over = step.change.over_seeds
    span = "" if over is None else f" \\[{100 * over.lower:+.1f}, {100 * over.upper:+.1f}]"
    return f"{100 * step.change.value:+.1f}{span}", f"{round(step.share, 3) + 0.0:.1%}"


def _beside(found: "Waterfall") -> list[str]:
    company = ", ".join(f"{name} {value:+.1%}" for name, value in found.benchmarks.items())
    last = found.steps[-1]
    above, span = 100 * (last.sign_accuracy.value - last.always_up), last.against_up
    left = f"{above:+.1f} points [{100 * span.lower:+.1f}, {100 * span.upper:+.1f}]"
    hold = f"{found.average_hold_pct:+,.0f}%"
    lines = [
        f"What is left less always up: {left} over blocks of quarters.",
        f"Accounts without a forecast, a year, on the basket of the end: {company}; the notes' mean of holds: {hold}.",
    ]
    if found.survivors_only:
        lines.append("Survivorship (row 18) is in all of it: these names were chosen because they still existed.")
    return lines
