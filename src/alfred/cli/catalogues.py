"""Commands that list what there is: features and analysts."""

import itertools
from typing import Annotated

import typer

from alfred.cli.screen import out

COLUMNS_OF_THE_SAMPLE = 17


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(features)
    app.command()(analysts)


def features(name: Annotated[str, typer.Argument(metavar="[NAME]", help="One column, in full.")] = "") -> None:
    """List the panel's columns, or print one with its formula, unit, source and what missing means."""
    from alfred.core.contracts import LABELS
    from alfred.panel.catalogue import catalogue, feature

    if name:
        column = feature(name)
        for label, value in (
            ("name", column.name),
            ("family", column.family),
            ("formula", column.formula),
            ("unit", column.unit),
            ("tables", ", ".join(column.tables)),
            ("known", column.known),
            ("missing", column.missing),
            ("scaling", column.scaling),
        ):
            out.print(f"[bold]{label:<8}[/] {value}", soft_wrap=True)
        return
    for family, columns in itertools.groupby(catalogue().values(), key=lambda column: column.family):
        out.print(f"[bold]{family}[/]")
        for column in columns:
            out.print(f"  {column.name:<30}{column.formula} [dim]({column.unit}; {column.scaling})[/]", soft_wrap=True)
    out.print(
        f"The labels {', '.join(LABELS)} are no features; `alfred features NAME` prints one column in full.",
        soft_wrap=True,
    )


def analysts(
    columns: Annotated[int, typer.Option(min=1, help="Columns to count parameters for.")] = COLUMNS_OF_THE_SAMPLE,
) -> None:
    """List the analysts with what they forecast and how many parameters they have.

    "hidden" is the notes' formula, size² x (layers - 1) + size x layers; "all" adds input weights and head.
    """
    from alfred.analysts import analyst_names, describe

    out.print(f"[bold]{'name':<40}{'label':<7}{'loss':<11}{'hidden':>12}{'all':>13}[/]")
    for name in analyst_names():
        about = describe(name, columns)
        hidden, everything = (f"{n:,}" if n else "-" for n in (about.notes_parameters, about.parameters))
        out.print(f"{name:<40}{about.target:<7}{about.loss:<11}{hidden:>12}{everything:>13}")
        out.print(f"    [dim]{about.description}[/]", soft_wrap=True)
