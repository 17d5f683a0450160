"""Why a forecast is what it is, what can be dropped, and a smaller panel that is judged on later quarters."""

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from alfred.cli.screen import Bars, err, out
from alfred.cli.studies import Overrides
from alfred.core.contracts import Interval
from alfred.core.errors import ConfigError
from alfred.core.home import home
from alfred.core.storage import write_whole

if TYPE_CHECKING:
    from alfred.experiments.ablating import Ablation
    from alfred.experiments.explaining import Explanation
    from alfred.experiments.selecting import Selection
    from alfred.experiments.subject import Subject
    from alfred.explain.ablation import Ablated, Effect

SHOWN = 15
Analyst = Annotated[str, typer.Option(help="An analyst of the run or study, as its report names it; default the last.")]


class Part(enum.StrEnum):
    """Rows that an ablation's figures are of."""

    VALIDATION = "validation"
    TEST = "test"


class By(enum.StrEnum):
    """What is ablated at once."""

    COLUMN = "column"
    FAMILY = "family"


class WayName(enum.StrEnum):
    """How a column is ablated."""

    MEAN = "mean"
    PERMUTE = "permute"
    RETRAIN = "retrain"


class RuleName(enum.StrEnum):
    """How columns are chosen."""

    CONTROL = "control"
    LOSS = "loss"
    IC = "ic"
    NOTES = "notes"


class Shuffled(enum.StrEnum):
    """What a control shuffles against the labels."""

    COLUMNS = "columns"
    LABELS = "labels"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(explain)
    app.command()(ablate)
    app.command()(select)


def explain(
    name: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's folder, its name's beginning, or latest.")
    ] = "latest",
    analyst: Analyst = "",
    symbol: Annotated[list[str] | None, typer.Option(help="Only this name; may be given several times.")] = None,
    since: Annotated[str, typer.Option(help="First decision date; default the first tested.")] = "",
    until: Annotated[str, typer.Option(help="Last decision date; default the last tested.")] = "",
    rows: Annotated[int, typer.Option(min=0, help="At most so many forecasts, drawn at random; 0 for all.")] = 200,
    seed: Annotated[int | None, typer.Option(help="Whose fit; default the run's first seed.")] = None,
    control: Annotated[
        int | None,
        typer.Option(
            min=0, help="Fits beside shuffled columns, for the line that noise reaches; default 9, large networks 0."
        ),
    ] = None,
    shuffle: Annotated[Shuffled, typer.Option(help="What the control shuffles.")] = Shuffled.COLUMNS,
    likeness: Annotated[float, typer.Option(help="Correlation from which columns are told together.")] = 0.7,
    samples: Annotated[int, typer.Option(help="Draws a forecast, of networks.")] = 192,
    background: Annotated[int, typer.Option(help="Training rows that forecasts are compared with.")] = 128,
) -> None:
    """Take test forecasts apart: what each column adds, by Shapley values that add up to the forecast.

    Tables and a page go into the run's folder. Base and values add up within 0.1% of every forecast, or it is an error.

    alfred explain latest --analyst ridge

    alfred explain latest --analyst vanilla.small.tanh --symbol KO --since 2015-01-01
    """
    from alfred.experiments.explaining import ExplainRequest, explain_run, load_explanation
    from alfred.experiments.runs import find_run
    from alfred.report import write_report
    from alfred.report.explanation import write_explanation
    from alfred.report.page import FILE

    request = ExplainRequest.parse(
        {
            "analyst": analyst,
            "seed": seed,
            "rows": rows,
            "symbols": tuple(symbol or ()),
            "since": since or None,
            "until": until or None,
            "likeness": likeness,
            "control": control,
            "control_kind": shuffle.value,
            "sampling": {"samples": samples, "background": background},
        },
        "alfred explain",
    )
    with Bars() as progress:
        run = find_run(home(), name)
        folder = explain_run(home(), run, request, progress)
    found = load_explanation(folder)
    out.print(_columns(folder))
    for line in _about(found):
        out.print(line, markup=False, soft_wrap=True)
    out.print(f"Page: {write_explanation(folder)}", markup=False, soft_wrap=True)
    if (run / FILE).is_file():
        write_report(run)


def ablate(
    target: Annotated[
        str, typer.Argument(metavar="STUDY|RUN", help="A study's TOML file, or a run as `alfred report` takes it.")
    ] = "latest",
    analyst: Analyst = "",
    way: Annotated[
        list[WayName] | None, typer.Option(help="mean, permute or retrain; may be given several times.")
    ] = None,
    by: Annotated[By, typer.Option(help="One column at a time, or one family.")] = By.COLUMN,
    rows: Annotated[Part, typer.Option(help="Whose figures; test rows are not for choosing.")] = Part.VALIDATION,
    repeats: Annotated[int, typer.Option(min=1, help="Permutations, whose figures are averaged.")] = 5,
    csv: Annotated[Path | None, typer.Option(help="Write every figure to this file.")] = None,
    overrides: Overrides = None,
) -> None:
    """Ablate columns: how loss, F1 and rank IC change without each, with intervals over quarters and seeds.

    mean puts the training mean in a column's place, permute exchanges it among the names of a date, retrain fits the
    analyst without it, which counts as a trial of the study's family.

    alfred ablate latest --analyst ridge

    alfred ablate study.toml --way retrain --by family
    """
    from alfred.experiments.ablating import AblateRequest
    from alfred.experiments.ablating import ablate as compute

    ways = tuple(dict.fromkeys(one.value for one in way or (WayName.MEAN, WayName.PERMUTE)))
    request = AblateRequest.parse(
        {"ways": ways, "by": by.value, "part": rows.value, "repeats": repeats}, "alfred ablate"
    )
    with Bars() as progress:
        progress.say("data and panel")
        found = compute(_subject(target, analyst, overrides), request, progress)
    for one in ways:
        out.print(_ablations(found, one))
    for line in _rows_of(found):
        out.print(line, soft_wrap=True)
    if csv is not None:
        write_whole(csv, found.frame().write_csv())
        err.print(f"Wrote {csv}.", markup=False, soft_wrap=True)


def select(
    study: Annotated[Path, typer.Argument(help="A study's TOML file.")],
    analyst: Analyst = "",
    rule: Annotated[
        RuleName, typer.Option(help="control: above noise; loss, ic: worse without; notes: not better without.")
    ] = RuleName.CONTROL,
    verify_from: Annotated[str, typer.Option(help="First quarter that judges; default the later half's first.")] = "",
    shuffles: Annotated[int, typer.Option(min=1, help="Fits beside shuffled columns, in each early fold.")] = 9,
    save: Annotated[Path | None, typer.Option(help="Write the study with the smaller panel to this file.")] = None,
    overrides: Overrides = None,
) -> None:
    """Propose a smaller panel: chosen on early validation rows, judged on later quarters.

    Judging makes two runs, with all columns and with those kept. Both count as trials of the study's family.

    alfred select study.toml --analyst ridge --save smaller.toml
    """
    from alfred.experiments.selecting import SelectRequest
    from alfred.experiments.selecting import select as choose
    from alfred.experiments.study import load_study

    request = SelectRequest.parse(
        {"analyst": analyst, "rule": rule.value, "verify_from": verify_from or None, "shuffles": shuffles},
        "alfred select",
    )
    if save is not None and save.exists():
        raise ConfigError(f"{save} exists already; choose another name, or remove it first.")
    plan = load_study(study, overrides or ())
    with Bars() as progress:
        found, smaller = choose(plan, home(), request, progress)
    for line in _selected(found):
        out.print(line, markup=False, soft_wrap=True)
    if save is not None and smaller is not None:
        write_whole(save, smaller.toml())
        err.print(f"Wrote {save}.", markup=False, soft_wrap=True)


def _subject(target: str, analyst: str, overrides: list[str] | None) -> "Subject":
    """Of a study's file, or of a run."""
    from alfred.experiments.runs import find_run
    from alfred.experiments.study import load_study
    from alfred.experiments.subject import subject_of_run, subject_of_study

    if target.endswith(".toml"):
        return subject_of_study(home(), load_study(Path(target), overrides or ()), analyst)
    if overrides:
        raise ConfigError("--set changes a study; a run is what it was. Name the study's TOML file instead.")
    return subject_of_run(home(), find_run(home(), target), analyst)


def _columns(folder: Path) -> Table:
    import polars as pl

    frame = pl.read_parquet(folder / "columns.parquet", glob=False).head(SHOWN)
    table = Table(box=None)
    table.add_column("column", no_wrap=True)
    for heading in ("mean |value|", "share", "mean", "direction"):
        table.add_column(heading, justify="right", no_wrap=True)
    marked = "line" in frame.columns
    if marked:
        table.add_column("beside noise", justify="right", no_wrap=True)
    for row in frame.iter_rows(named=True):
        cells = [
            f"{row['mean_abs']:.5f}",
            f"{row['share']:.1%}",
            f"{row['mean']:+.5f}",
            "-" if row["direction"] is None else f"{row['direction']:+.2f}",
        ]
        if marked:
            cells.append(f"{row['control_importance']:.5f} {'above' if row['above'] else 'below'} {row['line']:.5f}")
        table.add_row(escape(row["column"]), *cells, style="" if not marked or row["above"] else "dim")
    return table


def _about(found: "Explanation") -> list[str]:
    lines = [
        (
            f"{found.analyst}, seed {found.seed}, by {found.method}: {found.rows:,} of {found.of_rows:,} test "
            f"forecasts of {found.target}, {found.first} to {found.last}; base {found.base:.5f}."
        ),
        f"Base and values add up to every forecast; the largest gap is {found.largest_gap:.1e} of it.",
    ]
    if found.noise:
        lines.append(f"Sampling: the standard error of a value is {found.noise:.0%} of the mean absolute value.")
    if found.shuffles:
        lines.append(
            f"Noise line: the largest importance of {found.shuffles} shuffles of the {found.control_kind}; noise alone "
            f"shows a column above it 1 time in {found.shuffles + 1}."
        )
    else:
        lines.append("No control was made, so nothing here tells importance from noise; --control 9 makes one.")
    return lines


def _ablations(found: "Ablation", way: str) -> Table:
    table = Table(box=None, title=f"{way}, {found.part} rows", title_justify="left")
    table.add_column("without", no_wrap=True)
    for heading in ("loss, over quarters", "over seeds", "F1", "rank IC, over quarters"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("mark", no_wrap=True)
    for one in found.ablated:
        if one.way == way:
            table.add_row(escape(one.what), *_cells(one))
    return table


def _cells(one: "Ablated") -> tuple[str, str, str, str, str]:
    if one.loss.change is None:
        return "-", "-", "-", "-", escape(one.note)
    note = " ".join(part for part in (one.mark, one.note.partition(":")[0]) if part)
    return (
        _effect(one.loss, "{:+.6f}"),
        _span(one.loss.over_seeds, "{:+.6f}"),
        _effect(one.f1, "{:+.4f}", intervals=False),
        _effect(one.rank_ic, "{:+.4f}"),
        escape(note),
    )


def _effect(effect: "Effect", pattern: str, *, intervals: bool = True) -> str:
    if effect.change is None:
        return "-"
    return pattern.format(effect.change) + (f" {_span(effect.over_quarters, pattern)}" if intervals else "")


def _span(interval: Interval | None, pattern: str) -> str:
    return "-" if interval is None else f"\\[{pattern.format(interval.lower)}, {pattern.format(interval.upper)}]"


def _rows_of(found: "Ablation") -> list[str]:
    own = ", ".join(f"{name} {'-' if value is None else f'{value:.5f}'}" for name, value in found.own.items())
    lines = [
        f"{found.analyst} with all columns: {own}; loss {found.loss}, {len(found.seeds)} seed(s).",
        f"{found.part.capitalize()} rows: {found.rows:,} in {found.quarters} quarters, {found.first} to {found.last}.",
        "Figures are those without less those with. needed: loss up and F1 down without it; harmful: the reverse.",
    ]
    if found.counted:
        lines.append(
            f"Fitted anew: {found.counted} configurations, each of which counts as a trial of the study's family."
        )
    if found.part == "validation" and found.last >= found.test_first:
        lines.append(
            f"[yellow]Validation quarters from {found.test_first} on are test quarters of earlier folds. Whoever drops "
            "columns by them has seen what a run is judged on; `alfred select` chooses on earlier ones.[/]"
        )
    if found.part == "test":
        lines.append(
            "[yellow]These are test rows. Whoever drops columns by them has chosen on the test; `alfred select` "
            "chooses on earlier rows and judges on later ones.[/]"
        )
    return lines


def _selected(found: "Selection") -> list[str]:
    lines = [
        f"Chosen for {found.analyst} on validation rows of {found.folds} fold(s), until {found.chosen_until}.",
        f"features = {list(found.kept)}".replace("'", '"'),
        f"Dropped: {', '.join(found.dropped) or 'none'}.",
    ]
    for name, effect in found.effects.items():
        if effect.change is not None:
            span = "" if effect.over_quarters is None else _span(effect.over_quarters, "{:+.5f}").replace("\\", "")
            lines.append(f"{name}, smaller less whole panel, from {found.verified_from}: {effect.change:+.5f} {span}")
    if found.whole:
        lines.append(f"Runs: {found.whole} and {found.smaller}.")
    return [*lines, found.verdict]
