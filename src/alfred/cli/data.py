"""Bringing data in, and seeing what is there and what is wrong with it."""

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from alfred.cli.screen import Bars, out
from alfred.core.errors import ConfigError
from alfred.core.home import Home, home

if TYPE_CHECKING:
    import polars as pl

    from alfred.lake.journal import Entry
    from alfred.lake.quality import QualitySettings

SHOWN = 20
ALL_FAILED = 2

data = typer.Typer(
    name="data",
    no_args_is_help=True,
    help="Bring data in, and see what there is and what is wrong with it.\n\n"
    "Start with `alfred data fetch yahoo --symbols AAPL,MSFT --since 2004-01-01`, then `alfred data status`.",
)


def add_to(app: typer.Typer) -> None:
    """Register the group of commands."""
    data.command()(fetch)
    data.command()(status)
    data.command()(check)
    data.command()(release)
    data.command()(tidy)
    app.add_typer(data)


def fetch(
    provider: Annotated[str, typer.Argument(help="Where from: yahoo, edgar, fred, alphavantage, csvfile, ...")],
    symbols: Annotated[
        str,
        typer.Option(help="AAPL,MSFT or @file.txt (one a line, # comments) or @sp500, @nasdaq100, @dow; fred: series."),
    ] = "",
    since: Annotated[str, typer.Option(help="First date, such as 2004-01-01; default all there is.")] = "",
    until: Annotated[str, typer.Option(help="Last date; default up to now.")] = "",
    path: Annotated[Path | None, typer.Option(help="File or folder, for providers that read files.")] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Take up only what failed in the last call of this request.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Fetch anew what was finished before.")] = False,
) -> None:
    """Fetch data from a provider into the lake.

    Stop it with Ctrl-C, or lose the machine: the same command goes on where it stopped. One symbol that fails does
    not stop the others; --retry-failed takes the failed ones up again. A request without an end that was finished
    on another day brings in what is new since; files are always read again. The exit code is 2 if everything failed
    or no rows came but only what could not be read.

    FRED without FRED_API_KEY brings daily market quotes alone. ALFRED_HOME/quality.toml, if there is one, says what
    the quality checks do.

    alfred data fetch constituents

    alfred data fetch yahoo --symbols @sp500 --since 2004-01-01

    alfred data fetch fred --symbols 10year,^VIX,DGS30

    alfred data fetch csvfile --path prices/
    """
    from alfred.lake.contracts import Request
    from alfred.lake.fetch import FetchReport
    from alfred.lake.fetch import fetch as run
    from alfred.lake.store import Lake
    from alfred.lake.symbols import symbols_of

    here = home()
    lake = Lake(here.lake)
    first, last = _day(since), _day(until)
    if first is not None and last is not None and first > last:
        raise ConfigError(f"--since {first} lies after --until {last}; the range is empty.")
    request = Request(symbols_of(symbols, lake), first, last, path)
    with Bars() as progress:
        report: FetchReport = run(
            lake,
            here.root / "fetches",
            provider,
            request,
            quality=_quality(here),
            progress=progress,
            retry_failed=retry_failed,
            again=again,
        )
    counts = f"{report.done:,} done, {len(report.failed):,} failed, {report.skipped:,} skipped"
    news = "nothing new" if report.nothing_new else f"{report.inserted:,} new, {report.updated:,} changed"
    out.print(f"{report.provider}: {counts}; {report.rows:,} rows came, {news}.", soft_wrap=True)
    if report.quarantined or report.warned:
        out.print(
            f"Quality: {report.quarantined:,} rows in quarantine, {report.warned:,} warnings; see `alfred data check`.",
            soft_wrap=True,
        )
    if not (report.done or report.failed):
        out.print("Nothing was left to fetch; --again fetches everything anew.", soft_wrap=True)
    _failures("Failed:", report.failed)
    _failures("Failed in an earlier call:", report.failed_before)
    if report.failed or report.failed_before:
        out.print("Take these up again with --retry-failed.", soft_wrap=True)
    if report.unreadable and report.unreadable == report.done:
        out.print(
            "No rows came, only pieces that could not be read; `alfred data check` shows each and the reason.",
            soft_wrap=True,
        )
    if (report.failed or report.unreadable) and report.done == report.unreadable:
        raise typer.Exit(ALL_FAILED)


def status(
    symbol: Annotated[str, typer.Option(help="One symbol or series, table by table.")] = "",
) -> None:
    """Show what the lake holds: by table and source, how many symbols and rows, from when to when."""
    import polars as pl

    from alfred.lake.store import Lake

    lake = Lake(home().lake)
    held = lake.asof(dt.datetime.max.replace(tzinfo=dt.UTC)).coverage(by_symbol=bool(symbol))
    held = held.filter(pl.col("symbol") == symbol) if symbol else held
    if held.is_empty():
        what = f"nothing of {symbol}" if symbol else "nothing yet"
        told = f"The lake at {lake.root} holds {what}; bring data in with `alfred data fetch`."
        out.print(told, markup=False, soft_wrap=True)
        return
    table = Table(box=None)
    for column in ("table", "source"):
        table.add_column(column, no_wrap=True)
    for column in ("symbols", "rows", "first", "last"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in held.iter_rows(named=True):
        symbols = "-" if row["symbols"] is None else f"{row['symbols']:,}"
        days = (str(row[day]) if row[day] else "-" for day in ("first", "last"))
        table.add_row(row["table"], escape(row["source"]), symbols, f"{row['rows']:,}", *days)
    out.print(table)


def check(
    name: Annotated[str, typer.Option("--check", help="Only this check.")] = "",
    symbol: Annotated[str, typer.Option(help="Only this symbol.")] = "",
    examples: Annotated[int, typer.Option(help="Examples to print for each check.", min=0)] = 3,
) -> None:
    """Show what the quality checks found: rows in quarantine, warnings, and all stored bars checked once more.

    A row in quarantine takes no part in anything. `alfred data release` puts one back that is right after all.
    ALFRED_HOME/quality.toml, if there is one, says what the checks do.
    """
    import polars as pl

    from alfred.core.settings import suggestion
    from alfred.lake.ingest import check_lake
    from alfred.lake.quality import all_checks
    from alfred.lake.store import Lake

    here = home()
    lake = Lake(here.lake)
    view = lake.asof(dt.datetime.max.replace(tzinfo=dt.UTC))
    columns = ("check", "table", "symbol", "date", "reason", "row_key")
    refused = view.quarantine().filter(~pl.col("released")).select(columns)
    warned = view.findings().select(columns)
    stored = check_lake(lake, _quality(here))
    stored = stored.with_columns(pl.lit("bars").alias("table"), pl.lit("{}").alias("row_key")).select(columns)
    # What was warned of when it came is found again in the stored bars; it is one finding.
    stored = stored.join(warned, on=["check", "table", "symbol", "date"], how="anti", nulls_equal=True)
    warned = pl.concat([warned, stored])
    known = {"unreadable"} | {one.name for one in all_checks()} | {*refused["check"], *warned["check"]}
    if name and name not in known:
        raise ConfigError(f"there is no check {name!r}; {suggestion(name, known)}")
    for title, found in (("In quarantine", refused), ("Warnings", warned)):
        kept = found.filter(pl.col("check") == name) if name else found
        kept = kept.filter(pl.col("symbol") == symbol) if symbol else kept
        _findings(title, kept, examples)


def release(
    symbol: Annotated[str, typer.Option(help="Rows of this symbol.")] = "",
    date: Annotated[str, typer.Option(help="Rows of this date.")] = "",
    check: Annotated[str, typer.Option(help="Rows that this check refused.")] = "",
) -> None:
    """Take rows out of quarantine and put them back into their tables, for good: no check refuses them again.

    alfred data release --symbol SIVB --date 2023-03-28
    """
    from alfred.lake.ingest import release as put_back
    from alfred.lake.store import Lake

    back = put_back(Lake(home().lake), symbol or None, _day(date), check or None)
    out.print(f"Released {back:,} rows." if back else "No row in quarantine fits; see `alfred data check`.")


def tidy(
    keep_days: Annotated[
        int, typer.Option(help="Versions that were current in so many days stay readable.", min=1)
    ] = 30,
) -> None:
    """Put many small files of the lake together and delete those that nothing needs any more.

    Rows stay the same, and reading gets faster. Versions that the runs under ALFRED_HOME were made on stay for ever.
    """
    from alfred.experiments.runs import recorded_versions
    from alfred.lake.store import Lake

    here = home()
    for table, deleted in Lake(here.lake).tidy(keep_days, recorded_versions(here)).items():
        out.print(f"{table}: tidied, {deleted:,} files deleted")


def _quality(here: Home) -> "QualitySettings":
    from alfred.lake.quality import load_quality

    return load_quality(here.root / "quality.toml")


def _day(text: str) -> dt.date | None:
    from alfred.core.calendar import day

    return dt.date.fromisoformat(str(day(text))) if text else None


def _failures(title: str, entries: "tuple[Entry, ...]") -> None:
    if not entries:
        return
    out.print(f"[yellow]{title}[/]")
    for entry in entries[:SHOWN]:
        out.print(f"  {escape(entry.task)}: {escape(entry.failed)}", soft_wrap=True)
    if len(entries) > SHOWN:
        out.print(f"  and {len(entries) - SHOWN:,} more")


def _findings(title: str, found: "pl.DataFrame", examples: int) -> None:
    import polars as pl

    if found.is_empty():
        out.print(f"[bold]{title}:[/] none")
        return
    out.print(f"[bold]{title}:[/] {len(found):,}")
    counts = found.group_by("check").len().sort("len", "check", descending=[True, False])
    for check, count in counts.iter_rows():
        of_check = found.filter(pl.col("check") == check).sort("symbol", "date", nulls_last=True)
        out.print(f"  {escape(check)}: {count:,} rows of {of_check['symbol'].n_unique():,} symbols")
        shown = of_check if of_check["symbol"].null_count() else of_check.unique("symbol", maintain_order=True)
        for row in shown.head(examples).iter_rows(named=True):
            place = json.loads(row["row_key"]).get("where")
            where = " ".join(str(row[part]) for part in ("table", "symbol", "date") if row[part] is not None)
            where = f"{where} {place}" if place else where
            out.print(f"    [dim]{escape(where)}: {escape(row['reason'] or '')}[/]", soft_wrap=True)
