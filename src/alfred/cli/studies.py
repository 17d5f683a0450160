"""Commands that make, run and report studies."""

import enum
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from alfred.cli.screen import Bars, err, out
from alfred.core.contracts import Interval
from alfred.core.errors import ConfigError
from alfred.core.home import home
from alfred.core.storage import write_whole

if TYPE_CHECKING:
    from alfred.experiments.record import RunRecord

Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set one key over the study's, such as train.epochs=3."),
]


class StudyName(enum.StrEnum):
    """The studies that come with the program."""

    DEMO = "demo"
    SYNTHETIC = "synthetic"
    GRID = "grid"
    SWEEP = "sweep"

    @property
    def path(self) -> Path:
        """Where it lies."""
        return Path(str(files("alfred.experiments") / "studies" / f"{self.value}.toml"))


class MarketName(enum.StrEnum):
    """The markets that need no download, and the studies that run on them."""

    SAMPLE = "sample"
    SYNTHETIC = "synthetic"

    @property
    def study(self) -> Path:
        """The study that comes with the program."""
        return (StudyName.DEMO if self is MarketName.SAMPLE else StudyName.SYNTHETIC).path


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(demo)
    app.command()(init)
    app.command()(run)
    app.command()(report)


def demo(
    market: Annotated[
        MarketName,
        typer.Option(help="Real prices of 20 large caps, or an invented market in which the truth is known."),
    ] = MarketName.SAMPLE,
    overrides: Overrides = None,
) -> None:
    """Run the whole chain offline to a report: on real prices, or on a market with a planted signal.

    The first run takes a minute or two; a second one takes up the finished stages.
    """
    _run(market.study, overrides)


def init(
    path: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("study.toml"),
    study: Annotated[
        StudyName,
        typer.Option(help="Which to start from: grid is the notes' table, on your own prices; sweep tries many."),
    ] = StudyName.DEMO,
) -> None:
    """Write a commented study to start from; run it with `alfred run`."""
    if path.exists():
        raise ConfigError(f"{path} exists already; choose another name, or remove it first.")
    text = study.path.read_text(encoding="utf-8")
    write_whole(path, text.replace(f'name = "{study.value}"', f'name = "{_study_name(path)}"', 1))
    command = "sweep" if study is StudyName.SWEEP else "run"
    out.print(f"Wrote {path}. Edit it, then: alfred {command} {path}", markup=False, soft_wrap=True)


def run(
    study: Annotated[Path, typer.Argument(help="A study's TOML file.")],
    overrides: Overrides = None,
    data_of: Annotated[
        str, typer.Option(metavar="RUN", help="Read the data in the versions that this run read, though they moved on.")
    ] = "",
) -> None:
    """Run a study: data, panel, analysts, walk-forward, backtests, report.

    Ctrl-C stops it cleanly; the same command goes on from the finished stages.
    """
    _run(study, overrides, data_of)


def report(
    name: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's folder, its name's beginning, or latest.")
    ] = "latest",
) -> None:
    """Write a run's report again and print its path."""
    from alfred.experiments.counting import recount
    from alfred.experiments.record import load_record
    from alfred.experiments.runs import find_run
    from alfred.report.page import write_report

    folder = find_run(home(), name)
    if problem := recount(home(), folder, load_record(folder)):
        err.print(f"[yellow]{escape(problem)}[/]", soft_wrap=True)
    out.print(str(write_report(folder)), markup=False, soft_wrap=True)


def _study_name(path: Path) -> str:
    kept = "".join(letter if letter.isalnum() else "-" for letter in path.stem.lower()).strip("-")
    return kept if kept.isascii() and kept else "study"


def _run(path: Path, overrides: list[str] | None, data_of: str = "") -> None:
    from alfred.experiments.record import load_record
    from alfred.experiments.run import run_study
    from alfred.experiments.runs import find_run
    from alfred.experiments.study import load_study

    study = load_study(path, overrides or ())
    versions = load_record(find_run(home(), data_of)).data.versions if data_of else None
    with Bars() as progress:
        folder = run_study(study, home(), progress, versions)
    record = load_record(folder)
    tell_analysts(record)
    conclude(record, folder)


def tell_analysts(record: "RunRecord") -> None:
    """Print the analysts' first figures."""
    rows = "rows that were trained on" if record.verdict.startswith("Memory") else "test rows"
    out.print(f"On {rows}, with 95% intervals over blocks of quarters:")
    table = Table(box=None)
    table.add_column("analyst", no_wrap=True)
    for column in ("rank IC", "accuracy", "always up"):
        table.add_column(column, justify="right", no_wrap=True)
    for card in record.scorecards:
        ic, accuracy = card.figure("rank_ic"), card.figure("accuracy")
        table.add_row(
            escape(card.analyst),
            figure_text(ic.value, ic.over_quarters, "{:.3f}"),
            figure_text(accuracy.value, accuracy.over_quarters, "{:.1%}"),
            f"{card.rise_share:.1%}",
        )
    out.print(table)


def conclude(record: "RunRecord", folder: Path) -> None:
    """Write the report; print what to know before the figures, the verdict, how often was tried, and the page."""
    from alfred.experiments.counting import counted, recount, spent
    from alfred.report.audit import warnings
    from alfred.report.page import write_report

    problem = recount(home(), folder, record)
    found = counted(folder, record)
    page = write_report(folder)
    looked = () if found is None else spent(found, record.digest)
    for warning in (*looked, *warnings(record), *([problem] if problem else [])):
        out.print(f"[yellow]{escape(warning)}[/]", soft_wrap=True)
    out.print(f"[bold]{escape(record.verdict)}[/]", soft_wrap=True)
    if found is not None:
        vault = f"; what became known after {found.sealed_after[:10]} is sealed" if found.sealed_after else ""
        counts = f"{found.count:,} trial{'s' * (found.count != 1)}"
        out.print(f"The family {found.family} has had {counts}{vault}.", markup=False, soft_wrap=True)
    if record.audit is not None:
        out.print(f"Audit: {record.audit.summary} More by: alfred audit", markup=False, soft_wrap=True)
    out.print(f"Report: {page}", markup=False, soft_wrap=True)


def figure_text(value: float | None, over: Interval | None, pattern: str) -> str:
    """A value and its interval, for a table of the console; a dash where there is none."""
    if value is None:
        return "-"
    text = pattern.format(value)
    return text if over is None else f"{text} \\[{pattern.format(over.lower)}, {pattern.format(over.upper)}]"
