"""The notes' scanner."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape
from rich.table import Table

from alfred.cli.screen import err, out
from alfred.core.home import home


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(scan)


def scan(
    start: Annotated[str, typer.Option(help="First name; the greedy choice begins here.")],
    n: Annotated[int, typer.Option(help="Names in the basket, the start included.")] = 10,
    exclude: Annotated[
        str, typer.Option(help="Names not to choose: AAPL,MSFT or a baskets file, for a second, disjoint basket.")
    ] = "",
    save: Annotated[
        Path | None,
        typer.Option(help="Baskets file: a new one gets this basket as training, an existing one as evaluation."),
    ] = None,
    on: Annotated[
        Literal["returns", "levels"], typer.Option(help="Correlate daily returns, or price levels as in the notes.")
    ] = "returns",
    since: Annotated[str, typer.Option(help="Names need prices since this date; default all there are.")] = "",
    as_of: Annotated[
        str, typer.Option(help="Use only what was known on this day. Choose one before your test period.")
    ] = "",
    provider: Annotated[str, typer.Option(help="Where prices come from.")] = "sample",
) -> None:
    """Pick names with enough history that are least correlated with those picked before.

    Two disjoint baskets for a study:

    alfred scan --start AAPL --n 10 --as-of 2003-12-31 --save baskets.json

    alfred scan --start GE --n 10 --as-of 2003-12-31 --exclude baskets.json --save baskets.json
    """
    from alfred.core.calendar import day
    from alfred.core.errors import ConfigError
    from alfred.core.settings import suggestion
    from alfred.evaluation.protocols import DEFAULT_PROTOCOL, check_baskets
    from alfred.experiments.market import read_market
    from alfred.experiments.study import DataSettings
    from alfred.lake.store import Lake
    from alfred.universe.baskets import Baskets, load_baskets
    from alfred.universe.baskets import scan as choose

    span = {"provider": provider} | ({"until": as_of} if as_of else {})
    bars = read_market(Lake(home().lake), DataSettings.parse(span, "scan")).matrix()
    excluded = _names(exclude)
    unknown = [name for name in excluded if name not in bars.symbols]
    if unknown:
        raise ConfigError(
            f"--exclude names {unknown[0]!r}, which has no prices; {suggestion(unknown[0], bars.symbols)}"
        )
    chosen = choose(bars, start, n, since=day(since) if since else None, exclude=excluded, on=on)
    table = Table(box=None)
    table.add_column("name")
    table.add_column("mean absolute correlation with those above", justify="right")
    for name, likeness in zip(chosen.symbols, chosen.correlation, strict=True):
        table.add_row(escape(name), "start" if name == start else f"{likeness:.3f}")
    out.print(table)
    out.print(repr(list(chosen.symbols)), markup=False, soft_wrap=True)
    err.print(f"[dim]known on {bars.dates[-1]}, {len(bars.dates):,} sessions, {len(bars.symbols)} names[/]")
    if chosen.too_short:
        err.print(f"Left out for want of history: {', '.join(chosen.too_short)}.", markup=False)
    if chosen.caution:
        err.print(f"[yellow]{chosen.caution}[/]")
    if save is not None and not as_of:
        err.print(
            f"[yellow]Chosen with all prices to {bars.dates[-1]}, by who was still traded then. A study that tests "
            "earlier quarters with these names knows their future, and the file does not tell; say --as-of before its "
            "test.[/]",
            soft_wrap=True,
        )
    if save is not None:
        baskets = Baskets(chosen.symbols)
        if save.exists():
            baskets = Baskets(load_baskets(save).training, chosen.symbols)
            check_baskets(baskets.training, baskets.evaluation, DEFAULT_PROTOCOL)
        baskets.save(save)
        err.print(f"Saved as {'evaluation' if baskets.evaluation else 'training'} basket in {save}.", markup=False)


def _names(text: str) -> tuple[str, ...]:
    """Symbols from `AAPL,MSFT` or from a baskets file."""
    from alfred.universe.baskets import load_baskets

    if text.endswith(".json"):
        baskets = load_baskets(Path(text))
        return baskets.training + baskets.evaluation
    return tuple(name.strip() for name in text.split(",") if name.strip())
