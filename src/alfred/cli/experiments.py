"""The table of all experiments."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from alfred.cli.screen import WIDTH_OF_A_FILE, Screen, err, out
from alfred.core.home import home
from alfred.core.storage import cell, write_whole
from alfred.evaluation.protocols import SAME_YEARS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alfred.experiments.listing import Experiment

MARKDOWN = (
    "model", "seeds", "quarters", "size", "label", "loss", "eval_loss", "mae", "pearson", "r2", "sign_accuracy",
    "protocol", "rise_share", "rank_ic", "eval_loss_less_naive", "sign_accuracy_less_naive", "trials", "strategy",
    "sharpe", "deflated_sharpe", "seconds_per_epoch", "seconds_to_best",
    "samples_per_second", "parameters", "peak_memory_mb", "energy_joules", "family", "run",
)  # fmt: skip
"""The notes' columns, then skill beside chance, cost and origin. Figures are written as `0.123 [0.1, 0.15] ±0.01`: with
their interval over quarters, and half of that over seeds where there are several."""


LONGEST_MODEL = 22
"""Least width of the first column; memory and energy are in the file and on the page, where there is room."""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(experiments)


def experiments(
    sort: Annotated[
        str, typer.Option(help="Column of the CSV to sort by, the best first; default the latest run first.")
    ] = "",
    family: Annotated[str, typer.Option(help="Only runs of this family of studies.")] = "",
    csv: Annotated[Path | None, typer.Option(help="Write all columns to this file.")] = None,
    html: Annotated[
        Path | None,
        typer.Option(help="Write a page to this file: the table, and quality against cost with the Pareto front."),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table, for notes.")] = False,
    columns: Annotated[
        str, typer.Option(metavar="NAMES", help="The Markdown table's columns, such as model,seed_values,mae.")
    ] = "",
    run: Annotated[
        str, typer.Option(metavar="RUN", help="Only this run: its folder, its name's beginning, or latest.")
    ] = "",
) -> None:
    """List the analysts of all runs: what each is, how it did on test rows, what it cost.

    With a tracking server (ALFRED_TRACKING_URI) the runs of all machines are listed. The notes' names of columns, such
    as eval_rank_ic or config_sequence_length, are known too.

    alfred experiments --sort eval_rank_ic

    alfred experiments --family demo --html experiments.html

    alfred experiments --sort seconds_per_epoch --csv experiments.csv

    alfred experiments --run latest --markdown > experiments.md
    """
    from alfred.experiments.listing import column_named, list_experiments

    wanted = tuple(column_named(name.strip()) for name in columns.split(",")) if columns else MARKDOWN
    found = list_experiments(home(), run, family)
    rows = found.sorted_by(sort) if sort else found.experiments
    for name in found.unreadable:
        err.print(f"[yellow]{escape(name)} was made by another version and is left out.[/]", soft_wrap=True)
    if not rows:
        of = f" of the family {family!r}" if family else ""
        out.print(
            f"There are no runs{of} yet; `alfred demo`, `alfred run` or `alfred evaluate` makes one.", soft_wrap=True
        )
        return
    if html is not None:
        from alfred.report.experiments import experiments_page

        write_whole(html, experiments_page(rows, sort))
        err.print(f"Wrote {html}.", markup=False, soft_wrap=True)
    if csv is not None:
        _write(rows, csv)
        err.print(f"Wrote {csv}.", markup=False, soft_wrap=True)
    if markdown or columns:
        for line in _markdown(rows, wanted):
            out.print(line, markup=False, soft_wrap=True)
        return
    Screen(highlight=False, emoji=False, width=max(out.width, WIDTH_OF_A_FILE)).print(_table(rows))
    forecasters = sum(one.model != "naive" for one in rows)
    if forecasters > 1:
        err.print(
            f"[dim]{forecasters} analysts beside the naive ones, all on test rows: the best of many looks better than "
            "it is.[/]",
            soft_wrap=True,
        )


def _table(rows: "Sequence[Experiment]") -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("model\n[dim]run[/]", overflow="fold", min_width=LONGEST_MODEL)
    table.add_column("label\n[dim]loss[/]", no_wrap=True)
    for above, below in (
        ("seeds", ""), ("size", "quarters"), ("eval loss", "MAE"), ("Pearson", "R²"), ("sign", "accuracy"),
        ("rank IC", "95% interval"), ("Sharpe", "deflated"),
        ("trials", "family"), ("s/epoch", "s to best"), ("parameters", "samples/s"),
    ):  # fmt: skip
        table.add_column(f"{above}\n[dim]{below}[/]", justify="right", no_wrap=True)
    for one in rows:
        span = "" if one.rank_ic_lower is None else f"{one.rank_ic_lower:.3f} to {one.rank_ic_upper:.3f}"
        table.add_row(
            _two(one.model, one.run if one.protocol not in SAME_YEARS else f"{one.run} {one.protocol}: memory"),
            _two(one.label, one.loss),
            _number(one.seeds, 0),
            _two(_number(one.size, 0), _number(one.quarters, 0)),
            _two(_number(one.eval_loss, 4), _number(one.mae, 4)),
            _two(_number(one.pearson, 3), _number(one.r2, 3)),
            _two(_number(one.sign_accuracy, 3), _number(one.accuracy, 3)),
            _two(_number(one.rank_ic, 3), span),
            _two(_number(one.sharpe, 2), _number(one.deflated_sharpe, 3)),
            _two(_number(one.trials, 0), one.family),
            _two(_number(one.seconds_per_epoch, 3), _number(one.seconds_to_best, 1)),
            _two(_number(one.parameters, 0), _number(one.samples_per_second, 0)),
        )
    return table


def _two(above: str, below: str) -> str:
    return f"{escape(above)}\n[dim]{escape(below)}[/]"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:,.{digits}f}"


def _markdown(rows: "Sequence[Experiment]", columns: "Sequence[str]") -> list[str]:
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    for one in rows:
        cells = one.cells()
        lines.append(f"| {' | '.join(_with_ends(cells, name) for name in columns)} |")
    return lines


def _with_ends(cells: dict[str, Any], name: str) -> str:
    """A value, its interval over quarters and half of that over seeds, as far as there are any."""
    text = _cell(cells[name])
    lower, upper = cells.get(f"{name}_lower"), cells.get(f"{name}_upper")
    if lower is not None:
        text += f" [{_cell(lower)}, {_cell(upper)}]"
    low, high = cells.get(f"{name}_seeds_lower"), cells.get(f"{name}_seeds_upper")
    if cells["seeds"] > 1 and low is not None and high is not None:
        text += f" ±{(high - low) / 2:.2g}"
    return text


def _cell(value: str | float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _write(rows: "Sequence[Experiment]", path: Path) -> None:
    import polars as pl

    plain = [
        {name: cell(value) if isinstance(value, str) else value for name, value in one.cells().items()} for one in rows
    ]
    table = pl.DataFrame(plain, infer_schema_length=None)
    write_whole(path, table.write_csv())
