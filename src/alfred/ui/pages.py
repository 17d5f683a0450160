"""What the dashboard's pages hold, as sheets in the report's style; each is read anew when it is asked for."""

import datetime as dt
from pathlib import Path
from urllib.parse import quote

import polars as pl

from alfred.core.errors import AlfredError
from alfred.core.home import Home
from alfred.experiments.counting import count
from alfred.experiments.record import RunRecord, load_record
from alfred.experiments.trials import Trial, TrialLedger
from alfred.lake.store import Lake
from alfred.report.format import COUNT, PERCENT, NumberStyle, instant
from alfred.report.recommended import ledger_section_of
from alfred.report.sheet import Part, Sheet
from alfred.report.summary import best_analyst, figure_of
from alfred.report.table import Cell, Column, Table, measured

_IC = NumberStyle(3, signed=True)
_EVER = dt.datetime.max.replace(tzinfo=dt.UTC)


def runs_of(home: Home) -> tuple[Path, ...]:
    """Folders of all runs, the latest first."""
    paths = sorted(home.runs.glob("*/run.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    return tuple(path.parent for path in paths)


def run_table(home: Home) -> tuple[Table, tuple[str, ...]]:
    """Every run with its best analyst, and the names of those that this version cannot read."""
    columns = (
        Column("Run"), Column("Made, UTC", whole=True), Column("Best analyst"),
        Column("Rank IC", numeric=True, title="of the best analyst, picked afterwards"),
        Column("Accuracy", numeric=True), Column("Always up", numeric=True, title="share of the same rows that rose"),
        Column("Verdict"),
    )  # fmt: skip
    rows, unreadable = [], []
    for folder in runs_of(home):
        try:
            record = load_record(folder)
            rows.append((record.created_at, _run_row(folder, record)))
        except AlfredError:
            unreadable.append(folder.name)
    latest = sorted(rows, key=lambda row: row[0], reverse=True)
    return Table("Finished runs, the latest first", columns, tuple(row for _, row in latest)), tuple(unreadable)


def _run_row(folder: Path, record: RunRecord) -> tuple[Cell, ...]:
    best = best_analyst(record)
    ic, accuracy = (None if best is None else figure_of(best, name) for name in ("rank_ic", "accuracy"))
    return (
        Cell(folder.name, (record.protocol,), href=f"/runs/{quote(folder.name)}"),
        Cell(instant(record.created_at)[:16]),
        Cell("" if best is None else best.analyst),
        measured(None, _IC) if ic is None else measured(ic.value, _IC, ic.over_quarters),
        measured(None, PERCENT) if accuracy is None else measured(accuracy.value, PERCENT, accuracy.over_quarters),
        measured(None if best is None else best.rise_share, PERCENT),
        Cell(record.verdict),
    )


def lake_sheet(home: Home) -> Sheet:
    """What the lake holds, and what the quality checks refused."""
    lake = Lake(home.lake)
    view = lake.asof(_EVER)
    held = view.coverage(by_symbol=False)
    if held.is_empty():
        headline = "The lake holds nothing yet; bring data in with `alfred data fetch`, or run the demo."
        return Sheet("The lake", headline, ())
    names = ("table", "source", "symbols", "rows", "first", "last")
    columns = tuple(Column(name.capitalize(), numeric=name in {"symbols", "rows"}, whole=True) for name in names)
    rows = tuple(
        (
            Cell(row["table"]),
            Cell(row["source"]),
            Cell(COUNT.text(row["symbols"]), sort=row["symbols"]),
            Cell(COUNT.text(row["rows"]), sort=row["rows"]),
            *(Cell(str(row[day]) if row[day] else "\u2013") for day in ("first", "last")),
        )
        for row in held.iter_rows(named=True)
    )
    refused, warned = view.quarantine().filter(~pl.col("released")), view.findings()
    tables = [table for table in (_by_check("In quarantine", refused), _by_check("Warnings", warned)) if table]
    lead = "A row in quarantine takes no part in anything; `alfred data check` shows examples and reasons."
    nothing = "The checks refused no row and warned of none."
    quality = Part(
        "quality", "Quality", "What the checks found", lead=lead if tables else nothing, tables=tuple(tables)
    )
    versions = tuple((table, f"version {version}") for table, version in sorted(lake.versions().items()))
    return Sheet(
        "The lake",
        f"The lake holds {COUNT.text(int(held['rows'].sum()))} rows in {held['table'].n_unique()} tables.",
        (
            Part("tables", "Tables", "Tables", tables=(Table("By table and source", columns, rows),)),
            quality,
            Part("versions", "Versions", "Versions", lead="A run records the versions it read.", facts=versions),
        ),
        imprint=f"In {lake.root}",
    )


def _by_check(title: str, found: pl.DataFrame) -> Table | None:
    if found.is_empty():
        return None
    counts = (
        found.group_by("check").agg(rows=pl.len(), symbols=pl.col("symbol").n_unique()).sort("rows", descending=True)
    )
    columns = (Column("Check"), Column("Rows", numeric=True), Column("Symbols", numeric=True))
    rows = tuple(
        (Cell(check), Cell(COUNT.text(rows), sort=rows), Cell(COUNT.text(symbols), sort=symbols))
        for check, rows, symbols in counts.iter_rows()
    )
    return Table(title, columns, rows)


def trials_sheet(home: Home, family: str = "") -> Sheet:
    """The trial ledger: all families counted, or one family's trials."""
    ledger = TrialLedger.open(home)
    if family:
        trials = ledger.trials(family)
        headline = f"The family {family} has had {COUNT.text(len(trials))} trial{'s' * (len(trials) != 1)}."
        return Sheet("Trials", headline, (Part("trials", "Trials", "Trials", tables=(_trial_table(trials),)),))
    columns = (
        Column("Family"), Column("Trials", numeric=True), Column("Finished", numeric=True),
        Column("Failed", numeric=True), Column("Unfinished", numeric=True), Column("Sealed after", whole=True),
        Column("Looks into the vault", numeric=True),
    )  # fmt: skip
    rows = []
    for name in ledger.families():
        found = count(home, name)
        numbers = (found.count, found.finished, found.failed, found.unfinished)
        rows.append(
            (
                Cell(name, href=f"/trials/{quote(name, safe='')}"),
                *(Cell(COUNT.text(number), sort=number) for number in numbers),
                Cell(found.sealed_after[:10] or "\u2013"),
                Cell(COUNT.text(len(found.unsealed)), sort=len(found.unsealed)),
            )
        )
    families = "1 family of studies has" if len(rows) == 1 else f"{COUNT.text(len(rows))} families of studies have"
    told = f"{families} been tried." if rows else "Nothing has been tried yet."
    table = Table("Studies that are tries at one question count together", columns, tuple(rows))
    lead = "The more was tried, the better the best of it looks by chance alone; reports deflate by this number."
    part = Part("families", "Families", "Families", lead=lead, tables=(table,) if rows else ())
    return Sheet("Trials", told, (part,), imprint=f"In {ledger.store.place}")


def recommendations_sheet(home: Home) -> Sheet:
    """The ledger of recommendations: whether it is as it was written, and what became of each entry."""
    found = ledger_section_of(home)
    empty = "There are no recommendations yet; `alfred recommend` makes one."
    tables = (found.table,) if found.table else ()
    lead = "Each entry holds the hash of the one before, so that a change shows; docs/recommend.md says what cannot."
    part = Part("ledger", "Ledger", "Ledger", lead=lead, tables=tables, notes=found.remarks)
    return Sheet(
        "Recommendations", found.state or empty, (part,) if tables or found.remarks else (), warnings=found.faults
    )


def _trial_table(trials: tuple[Trial, ...]) -> Table:
    columns = (
        Column("Analyst"), Column("Study"), Column("Status"), Column("Began, UTC", whole=True),
        Column("Rank IC", numeric=True), Column("Accuracy", numeric=True),
    )  # fmt: skip
    rows = []
    for trial in sorted(trials, key=lambda trial: trial.began, reverse=True):
        figures = trial.figures or {}
        rows.append(
            (
                Cell(trial.analyst, (trial.protocol,)),
                Cell(trial.study, (trial.digest[:10],)),
                Cell(trial.status, (trial.failure,) if trial.failure else ()),
                Cell(instant(trial.began)[:16]),
                measured(figures.get("rank_ic"), _IC),
                measured(figures.get("accuracy"), PERCENT),
            )
        )
    return Table("Every configuration that was evaluated, the latest first", columns, tuple(rows))
