"""Several runs beside one another."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from alfred.cli.screen import out
from alfred.core.home import home


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(compare)


def compare(
    runs: Annotated[list[str], typer.Argument(help="Two or more runs: folders, beginnings of their names, or latest.")],
    page: Annotated[Path | None, typer.Option("--out", help="Write the page here; default beside the runs.")] = None,
) -> None:
    """Compare runs in one page: settings that differ, analysts, accounts, and differences with their intervals.

    Differences are to the run named first, paired quarter by quarter, so that good quarters for all do not count.

    alfred compare demo-3f9a1c demo-77ab02

    alfred compare latest demo-3f9a1c --out comparison.html
    """
    from alfred.experiments.comparison import compare_runs
    from alfred.experiments.runs import find_run
    from alfred.report.compare import headline, write_comparison
    from alfred.report.skill import title_and_style

    folders = [find_run(home(), name) for name in runs]
    found = compare_runs(folders)
    for caution in found.cautions:
        out.print(caution, style="yellow", markup=False, soft_wrap=True)
    if found.differences:
        table = Table(box=None)
        for heading in ("analyst", "run", "measure"):
            table.add_column(heading, no_wrap=True)
        for heading in ("quarters", escape(found.runs[0].name), "this run", "difference, 95% interval"):
            table.add_column(heading, justify="right", no_wrap=True)
        for one in found.differences:
            name, style = title_and_style(one.measure)
            span = style.difference().span(one.interval)
            gap = style.difference().text(one.difference) + (f" ({span})" if span else "")
            values = (style.text(one.first), style.text(one.other))
            table.add_row(escape(one.analyst), escape(one.run), name.lower(), str(one.quarters), *values, gap)
        out.print(table)
    out.print(headline(found), style="bold", markup=False, soft_wrap=True)
    target = page or home().runs / f"compared-{'-'.join(run.record.digest[:6] for run in found.runs)}.html"
    out.print(f"Comparison: {write_comparison(target, found)}", markup=False, soft_wrap=True)
