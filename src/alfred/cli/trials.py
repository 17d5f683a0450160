"""Commands of honesty: how often a family has tried, and the one look into its vault."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.markup import escape
from rich.table import Table

from alfred.cli.screen import Bars, out
from alfred.cli.studies import Overrides, conclude, tell_analysts
from alfred.core.home import home

if TYPE_CHECKING:
    from alfred.experiments.record import TrialCount
    from alfred.experiments.trials import Returns, Trial

SHOWN = ("rank_ic", "accuracy")


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(trials)
    app.command()(unseal)


def trials(
    family: Annotated[str, typer.Option(help="List this family's trials; default all families, counted.")] = "",
) -> None:
    """Print the trial ledger: everything that was ever evaluated, on whichever machine, finished or not.

    It is kept with the tracking data: in the home, or on the server that ALFRED_TRACKING_URI names.

    alfred trials --family demo
    """
    from alfred.experiments.counting import count
    from alfred.experiments.trials import TrialLedger

    ledger = TrialLedger.open(home())
    families = (family,) if family else ledger.families()
    if not families or (family and not ledger.count(family)):
        of = f" of the family {family!r}" if family else ""
        out.print(f"There are no trials{of} at {ledger.store.place}.", markup=False, soft_wrap=True)
        return
    if family:
        out.print(_list(ledger.trials(family)))
        for line in choosing(count(home(), family), ledger.returns(family)):
            out.print(line, markup=False, soft_wrap=True)
    else:
        out.print(_families([count(home(), name) for name in families]))
    for name in families:
        for line in vault_lines(count(home(), name)):
            out.print(line, markup=False, soft_wrap=True)


def unseal(
    study: Annotated[Path, typer.Argument(help="A study's TOML file.")],
    overrides: Overrides = None,
    again: Annotated[
        bool, typer.Option("--again", help="Look once more, and be marked for it for ever; it tests nothing any more.")
    ] = False,
) -> None:
    """Evaluate a study once on the quarters that were sealed, train on everything before, and write the result down.

    The first look is the only test. A second one is refused, on every machine that uses the same tracking data; with
    --again it is made and marked. Every later report of the family says that its vault is spent.

    alfred unseal study.toml
    """
    from alfred.experiments.record import load_record
    from alfred.experiments.study import load_study
    from alfred.experiments.unseal import unseal as open_vault

    plan = load_study(study, overrides or ())
    with Bars() as progress:
        folder = open_vault(plan, home(), progress, again=again)
    record = load_record(folder)
    out.print(f"Protocol {record.protocol}: {record.question}", markup=False, soft_wrap=True)
    tell_analysts(record)
    conclude(record, folder)


def vault_lines(found: "TrialCount") -> list[str]:
    """What is to be said of a family's vault; empty where it has none."""
    lines = []
    if found.sealed_after:
        lines.append(f"{found.family}: what became known after {found.sealed_after[:10]} is sealed.")
    for one in found.unsealed:
        result = one.verdict or "no result: it failed, or is still running"
        lines.append(
            f"{found.family}: look {one.number} into the vault, on {one.opened_at[:10]}, by {one.study} "
            f"({one.digest[:10]}): {result}"
        )
    return lines


def choosing(found: "TrialCount", returns: "Returns") -> list[str]:
    """What it is worth to choose the best of a family's strategies, as far as their common quarters tell."""
    from alfred.core.errors import DataError
    from alfred.evaluation.overfitting import overfitting

    lines = []
    if found.effective is not None:
        lines.append(
            f"{found.family}: {len(returns.names)} strategies traded; by the correlation of their quarterly returns "
            f"they amount to {found.effective:.1f} independent tries."
        )
    try:
        told = overfitting(returns.values[np.isfinite(returns.values).all(axis=1)], measure="sharpe")
    except DataError:
        return lines
    lines.append(
        f"{found.family}: probability of backtest overfitting {told.probability:.0%}: so often the strategy with the "
        "best Sharpe ratio in one half of the quarters lay below the median in the other (50% is pure chance)."
    )
    return lines


def _families(counts: "list[TrialCount]") -> Table:
    table = Table(box=None)
    table.add_column("family", no_wrap=True)
    for column in ("trials", "finished", "failed", "unfinished"):
        table.add_column(column, justify="right")
    table.add_column("vault")
    for one in counts:
        numbers = (one.count, one.finished, one.failed, one.unfinished)
        vault = "spent" if one.unsealed else f"sealed after {one.sealed_after[:10]}" if one.sealed_after else "none"
        table.add_row(escape(one.family), *(f"{number:,}" for number in numbers), vault)
    return table


def _list(found: "tuple[Trial, ...]") -> Table:
    table = Table(box=None)
    for column in ("began", "study", "analyst", "protocol", "state"):
        table.add_column(column, overflow="fold")
    for column in SHOWN:
        table.add_column(column.replace("_", " "), justify="right")
    for one in found:
        figures = one.figures or {}
        values = [f"{figures[name]:.3f}" if name in figures else "-" for name in SHOWN]
        state = "running or killed" if one.status == "running" else one.status
        table.add_row(one.began[:16].replace("T", " "), one.study, escape(one.analyst), one.protocol, state, *values)
    return table
