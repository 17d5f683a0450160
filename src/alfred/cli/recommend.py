"""A portfolio to hold, and the ledger that keeps what was recommended."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from alfred.cli.screen import Bars, err, out
from alfred.core.contracts import DIRECTION, MAGNITUDE, TOTAL
from alfred.core.home import home
from alfred.core.storage import cell, write_whole

if TYPE_CHECKING:
    from alfred.experiments.recommendations import Entry, Ledger
    from alfred.experiments.scoring import Score
    from alfred.manager.recommendation import Line, Recommendation, Voice

LOST = 1
"""Exit code of a ledger that does not fit."""


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(recommend)
    app.command()(ledger)


def recommend(
    run: Annotated[
        str,
        typer.Argument(metavar="[RUN|STUDY]", help="A run's folder, its name's beginning, latest, or a study.toml."),
    ] = "latest",
    as_of: Annotated[str, typer.Option(metavar="DATE", help="Decision date, such as 2022-09-30.")] = "",
    capital: Annotated[float | None, typer.Option(help="Worth of the whole account, dollars.")] = None,
    holdings: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What is held: a CSV of symbol,shares; a row cash has dollars.")
    ] = None,
    cash: Annotated[float | None, typer.Option(help="Dollars beside the holdings.")] = None,
    policy: Annotated[
        str, typer.Option(metavar="NAME", help="Who decides; default whom `alfred manage` recommends, or 1/N.")
    ] = "",
    fractional: Annotated[bool, typer.Option("--fractional", help="Buy parts of shares.")] = False,
    keep: Annotated[bool, typer.Option("--record/--no-record", help="Write it into the ledger.")] = True,
) -> None:
    """Turn a run's forecasts of one decision date into a portfolio: shares, orders, costs, and what to expect.

    Nothing that came after the date is read. The recommendation goes into the ledger, which scores it when its quarter
    closes (`alfred ledger --score`).

    alfred recommend --as-of 2020-09-30 --capital 100000

    alfred recommend study.toml --as-of 2020-09-30 --holdings held.csv --policy black-litterman
    """
    from alfred.core.errors import ConfigError
    from alfred.experiments.recommendations import record
    from alfred.experiments.recommending import Wish, recommendation_of
    from alfred.experiments.run import run_study
    from alfred.experiments.runs import find_run
    from alfred.experiments.study import load_study

    if not as_of:
        raise ConfigError("say for which decision date, such as --as-of 2022-09-30.")
    with Bars() as progress:
        is_study = run.endswith(".toml")
        folder = run_study(load_study(Path(run)), home(), progress) if is_study else find_run(home(), run)
        wish = Wish(as_of, policy, capital, holdings, cash, fractional)
        entry = recommendation_of(folder, home(), wish, progress)
    if keep:
        entry = record(home(), entry)
    _show(entry)
    if keep:
        path = home().root / "recommendations" / f"{entry.number:05d}-{entry.as_of}-{entry.recommendation.policy}.csv"
        write_whole(path, _csv(entry.recommendation))
        out.print(f"Entry {entry.number} of the ledger, {entry.hash}; orders in {path}", markup=False, soft_wrap=True)


def ledger(
    verify: Annotated[bool, typer.Option("--verify", help="Only check that nothing was altered or removed.")] = False,
    score: Annotated[bool, typer.Option("--score", help="Tell what became of each whose quarter has closed.")] = False,
) -> None:
    """List what was recommended, check that nobody changed it since, and tell what became of it.

    Every look verifies the chain of hashes against the ledger's head and the tracking data; where it does not fit, the
    entries are named and the exit code is 1. docs/recommend.md says what a chain of hashes can show and what not.

    alfred ledger --score
    """
    from alfred.experiments.recommendations import read
    from alfred.experiments.scoring import scores

    found = read(home())
    if not found.entries and not found.faults:
        for remark in found.remarks:
            err.print(f"[yellow]{escape(remark)}[/]", soft_wrap=True)
        out.print("There are no recommendations yet; `alfred recommend` makes one.")
        return
    if score:
        results = scores(home(), found.entries)
        out.print(_scored(found, results))
        for line in _remarked(found, results):
            out.print(line, markup=False, soft_wrap=True)
    elif not verify:
        out.print(_listed(found))
    _verdict(found)
    if found.faults:
        raise typer.Exit(LOST)


def _verdict(found: "Ledger") -> None:
    for remark in found.remarks:
        err.print(f"[yellow]{escape(remark)}[/]", soft_wrap=True)
    for fault in found.faults:
        err.print(f"[bold red]Entry {fault.number}:[/] {escape(fault.text)}", soft_wrap=True)
    if not found.faults:
        out.print(
            f"All {len(found.entries)} entries follow one another unchanged; the last has the hash {found.head}",
            markup=False,
            soft_wrap=True,
        )


def _show(entry: "Entry") -> None:
    told = entry.recommendation
    table = Table(
        box=None,
        title=f"{told.policy} as of {told.as_of}, on {entry.run}; held until {entry.ends_on}",
        title_justify="left",
        title_style="bold",
    )
    table.add_column("name", no_wrap=True)
    for heading in ("price", "held", "order", "shares", "weight", "forecast", "up", "cost"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("analysts", overflow="fold")
    for line in told.lines:
        table.add_row(
            escape(line.symbol), f"{line.price:,.2f}", _count(line.held), _count(line.order, "+"),
            _count(line.shares), f"{line.weight:.1%}", _forecast(line),
            "-" if line.prob_up is None else f"{line.prob_up:.0%}",
            f"{line.commission_usd + line.spread_usd + line.impact_usd:,.2f}",
            escape(", ".join(map(_said, line.voices))),
        )  # fmt: skip
    cash_share = round(told.cash_usd / (told.worth_usd - told.cost_usd), 6) + 0.0
    table.add_row("cash", "", "", "", "", f"{cash_share:.1%}", "", "", "", "")
    out.print(table)
    for text in _lines(entry):
        out.print(text, markup=False, soft_wrap=True)


def _said(voice: "Voice") -> str:
    """What an analyst says of a name: a change in percent, a chance of a rise, or its own label's figure."""
    if voice.target in {MAGNITUDE, TOTAL}:
        return f"{voice.analyst} {voice.mean:+.1%}"
    if voice.target == DIRECTION:
        return f"{voice.analyst} up {voice.mean:.0%}"
    return f"{voice.analyst} {voice.target} {voice.mean:+.3f}"


def _lines(entry: "Entry") -> list[str]:
    told, expected = entry.recommendation, entry.recommendation.expected
    cost = told.cost_usd / told.worth_usd
    account = (
        f"Account: {told.worth_usd:,.2f} dollars before; cash {round(told.cash_usd, 2) + 0.0:,.2f} after orders and "
        "estimated costs"
    )
    costs = (
        f"Costs of getting there: {told.cost_usd:,.2f} ({cost:.2%}): commission {told.commission_usd:,.2f}, spread "
        f"{told.spread_usd:,.2f}, impact {told.impact_usd:,.2f}; to 1/N it would be {told.equal_weight_cost_usd:,.2f}"
    )
    outlook = (
        f"Expected until {entry.ends_on}, before costs: {expected.mean:+.1%}; {expected.level:.0%} interval "
        f"[{expected.lower:+.1%}, {expected.upper:+.1%}] where names err together, [{expected.lower_apart:+.1%}, "
        f"{expected.upper_apart:+.1%}] where each errs alone; names share the market, so believe the first"
    )
    lines = [
        account,
        costs,
        outlook,
        f"Limits that bind: {'; '.join(told.binding) or 'none'}",
    ]
    if expected.silent > 0.0:
        lines.append(f"{expected.silent:.1%} of the account is in names without a forecast, which count as unchanged")
    lines += [f"Note: {note}" for note in told.notes]
    if entry.hindsight:
        lines.append(
            f"Made in hindsight: on {entry.made_at[:10]}, after its quarter had closed. It proves no foresight."
        )
    return lines


def _listed(found: "Ledger") -> Table:
    table = Table(box=None)
    table.add_column("entry", justify="right")
    for heading in ("made", "as of", "until", "policy", "run"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "policy")
    for heading in ("names", "expected", "interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("hash", no_wrap=True)
    for entry in found.entries:
        told = entry.recommendation
        table.add_row(
            str(entry.number), entry.made_at[:10] + (" (hindsight)" if entry.hindsight else ""), entry.as_of,
            entry.ends_on, escape(told.policy), escape(entry.run), str(sum(line.shares != 0.0 for line in told.lines)),
            f"{told.expected.mean:+.1%}", _interval(told), entry.hash[:8],
        )  # fmt: skip
    return table


def _scored(found: "Ledger", results: "tuple[Score, ...]") -> Table:
    table = Table(
        box=None, caption_justify="left", caption="change: of the weights, by what was forecast, before costs; hit: it "
        "lies in the interval of errors together; names: how many lie in their own",
    )  # fmt: skip
    table.add_column("entry", justify="right")
    for heading in ("as of", "policy"):
        table.add_column(heading, no_wrap=True)
    for heading in ("worth", "return", "1/N", "index", "change", "interval", "", "names"):
        table.add_column(heading, justify="right", no_wrap=True)
    for entry, one in zip(found.entries, results, strict=True):
        begin = (str(entry.number), entry.as_of, escape(entry.recommendation.policy))
        if one.state == "scored":
            table.add_row(
                *begin, f"{one.after_usd:,.0f}", _change(one.gain), _change(one.equal_weight),
                _change(one.index), _change(one.change), _interval(entry.recommendation),
                "" if one.hit is None else "hit" if one.hit else "missed", f"{one.names_hit}/{one.names}",
            )  # fmt: skip
        else:
            table.add_row(*begin, *["-"] * 8)
    return table


def _remarked(found: "Ledger", results: "tuple[Score, ...]") -> list[str]:
    """What a reader must know of each score, a line an entry."""
    lines = []
    for entry, one in zip(found.entries, results, strict=True):
        why = {
            "open": f"its quarter ends on {entry.ends_on}",
            "sealed": f"its quarter lies in the vault of {entry.family}, which nobody has opened",
            "no prices": f"the lake has no prices of {entry.ends_on} yet; fetch them",
        }.get(one.state, "")
        told = [*([why] if why else []), *(["made in hindsight"] if entry.hindsight else []), *one.remarks]
        lines += [f"Entry {entry.number}: {'; '.join(told)}"] if told else []
    return lines


def _interval(told: "Recommendation") -> str:
    return f"[{told.expected.lower:+.1%}, {told.expected.upper:+.1%}]"


def _change(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2%}"


def _count(shares: float, sign: str = "") -> str:
    if shares == 0.0:
        return "-"
    return f"{shares:{sign},.0f}" if shares == round(shares) else f"{shares:{sign},.4f}"


def _forecast(line: "Line") -> str:
    if line.mean is None or line.lower is None or line.upper is None:
        return "-"
    return f"{line.mean:+.1%} [{line.lower:+.1%}, {line.upper:+.1%}]"


def _csv(told: "Recommendation") -> str:
    """One row a name, for a spreadsheet or a broker's form."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("symbol", "price", "held", "order", "shares", "weight", "mean", "lower", "upper", "prob_up"))
    for line in told.lines:
        numbers = (line.price, line.held, line.order, line.shares, line.weight)
        rows.writerow((cell(line.symbol), *numbers, line.mean, line.lower, line.upper, line.prob_up))
    rows.writerow(("cash", 1.0, told.cash_before_usd, told.cash_usd - told.cash_before_usd, told.cash_usd,
                   told.cash_usd / (told.worth_usd - told.cost_usd), None, None, None, None))  # fmt: skip
    return text.getvalue()
