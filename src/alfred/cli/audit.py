"""The audit of a run, or of a table from elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from alfred.cli.scramble import scramble
from alfred.cli.screen import err, out
from alfred.cli.studies import Overrides
from alfred.core.errors import ConfigError
from alfred.core.home import home

if TYPE_CHECKING:
    from alfred.evaluation.audit import Audit
    from alfred.experiments.foreign import ForeignEvidence
    from alfred.experiments.study import Study

COLOURS = {"error": "bold red", "warning": "yellow", "clean": "green", "not examined": "dim"}
HAS_ERRORS = 1


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(audit)


def audit(
    name: Annotated[
        str,
        typer.Argument(
            metavar="[RUN]",
            help="A run's folder, its name's beginning, or latest; with --scramble also a study's TOML file.",
            show_default=False,
        ),
    ] = "",
    panel: Annotated[Path | None, typer.Option(help="A table from elsewhere: Parquet or CSV.")] = None,
    label: Annotated[str, typer.Option(help="Column that is to be forecast.")] = "",
    date: Annotated[str, typer.Option(help="Column of the day on which a row is used.")] = "date",
    symbol: Annotated[str, typer.Option(help="Column of the ticker.")] = "symbol",
    known_at: Annotated[str, typer.Option(help="Column that says when a row became known.")] = "",
    period_end: Annotated[str, typer.Option(help="Column of the end of the accounts' period.")] = "",
    horizon: Annotated[int, typer.Option(min=1, help="Dates from a row to that of its label.")] = 1,
    part: Annotated[str, typer.Option(help="Column that tells train, valid and test rows.")] = "",
    predictions: Annotated[Path | None, typer.Option(help="Forecasts of the table's rows: Parquet or CSV.")] = None,
    prediction: Annotated[str, typer.Option(help="Column of the forecast; default prediction, mean, ...")] = "",
    scores: Annotated[str, typer.Option(help="Columns made by a language model: sentiment,outlook")] = "",
    knowledge_cutoff: Annotated[str, typer.Option(help="Day up to which that model knows the world.")] = "",
    ignore: Annotated[str, typer.Option(help="Columns that are no features: PQ,excess")] = "",
    protocol: Annotated[str, typer.Option(help="Question that the split is meant to answer.")] = "",
    another_future: Annotated[
        bool, typer.Option("--scramble", help="Replace all after random dates, and require that nothing before moves.")
    ] = False,
    dates: Annotated[int, typer.Option(min=1, help="How many decision dates --scramble draws.")] = 3,
    seed: Annotated[int, typer.Option(help="Of --scramble's draw and futures.")] = 0,
    overrides: Overrides = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="What was and was not looked at, too.")] = False,
) -> None:
    """Look for the 22 ways in which results have fooled their authors: in a run, or in any table of features.

    Ends with 0 where nothing makes the results unbelievable, and with 1 otherwise.

    alfred audit latest

    alfred audit --panel table.parquet --label PM --predictions p.parquet --part split

    alfred audit study.toml --scramble --dates 5
    """
    from alfred.core.settings import suggestion
    from alfred.evaluation.protocols import PROTOCOLS
    from alfred.experiments.audit import audit_run
    from alfred.experiments.foreign import ForeignTable, foreign_evidence
    from alfred.experiments.runs import find_run

    if another_future:
        if panel is not None:
            raise ConfigError("--scramble makes a study's figures anew from the lake; of a table it cannot.")
        scramble(_study(name, overrides), dates, seed)
        return
    if overrides:
        raise ConfigError("--set goes with --scramble, which makes a study's figures anew.")
    if panel is None:
        if label or predictions is not None:
            raise ConfigError("--label and --predictions go with --panel, which names the table that they are about.")
        found = audit_run(home(), find_run(home(), name or "latest"))
    else:
        if name or not label:
            raise ConfigError("a table needs --panel and --label, and no name of a run beside them.")
        if protocol and protocol not in PROTOCOLS:
            raise ConfigError(f"there is no protocol {protocol!r}; {suggestion(protocol, PROTOCOLS)}")
        table = ForeignTable(
            panel=panel, label=label, date=date, symbol=symbol, known_at=known_at, period_end=period_end, part=part,
            scores=_names(scores), knowledge_cutoff=knowledge_cutoff, ignore=_names(ignore), horizon=horizon,
            predictions=predictions, prediction=prediction, protocol=protocol,
        )  # fmt: skip
        found = _of_table(foreign_evidence(table))
    _show(found, verbose)
    if found.errors:
        raise typer.Exit(HAS_ERRORS)


def _study(name: str, overrides: Overrides) -> "Study":
    from alfred.experiments.runs import find_run
    from alfred.experiments.study import load_study

    is_file = name.endswith(".toml")
    return load_study(Path(name) if is_file else find_run(home(), name or "latest") / "study.toml", overrides or ())


def _of_table(foreign: "ForeignEvidence") -> "Audit":
    from alfred.evaluation.audit import examine

    panel = foreign.evidence.panel
    if panel is not None:
        dates, symbols, columns = panel.values.shape
        err.print(f"[dim]{dates:,} dates, {symbols:,} symbols, {columns:,} columns[/]")
    if foreign.skipped:
        err.print(f"Not numbers, and not looked at: {', '.join(foreign.skipped)}.", markup=False, soft_wrap=True)
    return examine(foreign.evidence)


def _show(found: "Audit", verbose: bool) -> None:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("", justify="right")
    table.add_column("check", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("finding", overflow="fold")
    for outcome in found.outcomes:
        lines = [
            f"[{COLOURS[one.severity]}]{escape(one.what)}[/] What to do: {escape(one.advice)}."
            for one in outcome.findings
        ]
        if verbose:
            lines += [f"[dim]looked at: {escape(text)}[/]" for text in outcome.examined]
        if verbose or outcome.status == "not examined":
            lines += [f"[dim]not examined: {escape(text)}[/]" for text in outcome.not_examined]
        status = f"[{COLOURS[outcome.status]}]{outcome.status}[/]"
        table.add_row(str(outcome.row), outcome.check, status, "\n".join(lines) or f"[dim]{escape(outcome.defect)}[/]")
    out.print(table)
    out.print(f"[bold]{escape(found.summary)}[/]", soft_wrap=True)


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
