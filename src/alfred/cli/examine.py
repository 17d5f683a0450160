"""The notes' two looks at the data before anyone is trained: correlations with a label, and the label itself."""

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from alfred.cli.screen import Bars, err, out
from alfred.cli.studies import MarketName, Overrides
from alfred.core.calendar import day
from alfred.core.contracts import MAGNITUDE, Bools
from alfred.core.errors import ConfigError
from alfred.core.home import home
from alfred.core.storage import write_whole

if TYPE_CHECKING:
    from alfred.experiments.prepared import Prepared
    from alfred.experiments.study import Study
    from alfred.explain.correlation import Correlations, Estimate, FeatureCorrelation

FOUND_AT = 0.1
"""False-discovery rate at which a column counts as found."""
COLOURS = ((0.05, "bold green"), (FOUND_AT, "green"), (0.2, "yellow"))


class Basket(enum.StrEnum):
    """Whose rows."""

    TRAINING = "training"
    EVALUATION = "evaluation"
    ALL = "all"


StudyFile = Annotated[Path | None, typer.Argument(help="A study's TOML file; default the demo's.")]
Label = Annotated[str, typer.Option(help="PM, PQ, excess, rank, velocity or total_return.")]
Since = Annotated[str, typer.Option(help="First decision date; default the first there is.")]
Until = Annotated[str, typer.Option(help="Last decision date; default the last whose label is known before the test.")]
AllDates = Annotated[bool, typer.Option("--all-dates", help="The test period too, with a warning.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(correlate)
    app.command("label-stats")(label_stats)


def correlate(
    study: StudyFile = None,
    label: Label = MAGNITUDE,
    basket: Annotated[Basket, typer.Option(help="Whose rows.")] = Basket.TRAINING,
    since: Since = "",
    until: Until = "",
    all_dates: AllDates = False,
    top: Annotated[
        int | None, typer.Option(min=1, help="Only so many columns, those with the largest absolute Pearson.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write every column's figures to this file.")] = None,
    overrides: Overrides = None,
) -> None:
    """Correlate every column with a label, and say which correlations are more than the best of many tries.

    q is the false-discovery rate: of the columns up to a q of 0.1, one in ten is expected to be chance.
    """
    from alfred.explain.correlation import BEYOND_BELIEF
    from alfred.explain.correlation import correlate as compute

    plan, prepared = _prepared(study, overrides)
    rows = _rows(plan, prepared, _names(prepared, basket), since, until, all_dates)
    found = compute(prepared.panel, label, rows, plan.evaluation)
    if csv is not None:
        _write(found, csv)
    shown = sorted(found.features, key=_size, reverse=True)[:top]
    out.print(_table([feature for feature in found.features if feature in shown], plan.evaluation.level))
    out.print(_summary(found, basket), soft_wrap=True)
    for feature in found.features:
        if feature.beyond_belief:
            out.print(
                f"[bold red]{escape(feature.feature)} is beyond belief: look for a leak first.[/] Honest columns do "
                f"not correlate above {BEYOND_BELIEF} with a label.",
                soft_wrap=True,
            )
    if csv is not None:
        err.print(f"Wrote {csv}.", markup=False, soft_wrap=True)


def label_stats(
    study: StudyFile = None,
    label: Label = MAGNITUDE,
    r2: Annotated[float, typer.Option(help="Share of the variance that a forecast is wanted to explain.")] = 0.8,
    basket: Annotated[Basket, typer.Option(help="Whose rows; all prints both baskets.")] = Basket.ALL,
    since: Since = "",
    until: Until = "",
    all_dates: AllDates = False,
    overrides: Overrides = None,
) -> None:
    """Describe a label: its spread, what mean squared error a wanted R² means, how its values came about."""
    from alfred.explain.label_stats import label_stats as compute

    plan, prepared = _prepared(study, overrides)
    titles = {Basket.TRAINING: "TRAINING", Basket.EVALUATION: "EVAL"}
    blocks: list[str] = []
    for one, title in titles.items():
        if basket in {one, Basket.ALL}:
            rows = _rows(plan, prepared, _names(prepared, one), since, until, all_dates, warn=not blocks)
            blocks += [title, "", *compute(prepared.panel, label, rows, r2).lines(), ""]
    for line in blocks[:-1]:
        out.print(line, markup=False, soft_wrap=True)


def _prepared(path: Path | None, overrides: list[str] | None) -> "tuple[Study, Prepared]":
    from alfred.experiments.prepared import prepare
    from alfred.experiments.study import load_study

    study = load_study(path or MarketName.SAMPLE.study, overrides or ())
    with Bars() as progress:
        progress.say("data and panel")
        return study, prepare(study, home())


def _names(prepared: "Prepared", basket: Basket) -> tuple[str, ...]:
    baskets = prepared.inputs.baskets
    if basket is Basket.TRAINING:
        return baskets.training
    if basket is Basket.EVALUATION:
        return baskets.evaluation
    return tuple(dict.fromkeys((*baskets.training, *baskets.evaluation)))


def _rows(
    study: "Study",
    prepared: "Prepared",
    names: tuple[str, ...],
    since: str,
    until: str,
    all_dates: bool,
    warn: bool = True,
) -> Bools:
    """The chosen rows; a warning where some of their labels are realised after the test began."""
    from alfred.evaluation.splits import walk_forward
    from alfred.explain.rows import chosen_rows

    if all_dates and until:
        raise ConfigError(f"--all-dates and --until {until} contradict each other; give one of them.")
    panel = prepared.panel
    fold = walk_forward(panel.dates, study.panel.horizon_quarters, study.splits, study.universe.protocol)[0]
    last, test = panel.dates[fold.valid[-1]], panel.dates[fold.test[0]]
    end = None if all_dates else day(until) if until else last
    first = day(since) if since else None
    if first is not None and first > (panel.dates[-1] if end is None else end):
        hint = "" if until or all_dates else " (the last date before the test; --until or --all-dates go beyond)"
        raise ConfigError(f"--since {first} lies after the last date, {end or panel.dates[-1]}{hint}.")
    if warn and (end is None or end > last):
        err.print(
            f"[yellow]These rows reach into the test period, which begins on {test}. Whoever chooses columns, labels "
            f"or losses by them has looked at the test; leave --until at {last}.[/]",
            soft_wrap=True,
        )
    return chosen_rows(panel, names, first, end)


def _size(feature: "FeatureCorrelation") -> float:
    return -1.0 if feature.pearson is None else abs(feature.pearson.value)


def _table(features: "list[FeatureCorrelation]", level: float) -> Table:
    table = Table(box=None)
    table.add_column("column", no_wrap=True)
    for heading in ("Pearson", f"{level:.0%} interval", "q", "rank", "q", "IC", "rows"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("strength", no_wrap=True)
    for one in features:
        ic = "-" if one.rank_ic is None else f"{one.rank_ic:.3f}"
        words = "-" if one.pearson is None else one.pearson.strength
        cells = (*_cells(one.pearson), *(_cells(one.rank)[at] for at in (0, 2)), ic, f"{one.rows:,}", words)
        table.add_row(escape(one.feature), *cells, style=_colour(one))
    return table


def _cells(estimate: "Estimate | None") -> tuple[str, str, str]:
    """Value, interval and q-value."""
    if estimate is None:
        return "-", "-", "-"
    ends = f"\\[{estimate.interval.lower:.3f}, {estimate.interval.upper:.3f}]"
    return f"{estimate.value:.4f}", ends, f"{estimate.q_value:.3f}"


def _colour(feature: "FeatureCorrelation") -> str:
    if feature.beyond_belief:
        return "bold red"
    rates = [estimate.q_value for estimate in (feature.pearson, feature.rank) if estimate is not None]
    return next((colour for rate, colour in COLOURS if rates and min(rates) <= rate), "dim")


def _summary(found: "Correlations", basket: Basket) -> str:
    passed = found.found(FOUND_AT)
    names = f": {', '.join(feature.feature for feature in passed)}" if passed else ""
    return escape(
        f"{found.label} of the {'both baskets' if basket is Basket.ALL else f'{basket} basket'}: {found.rows:,} rows "
        f"in {found.quarters} quarters, {found.first} to {found.last}. Of {len(found.features)} columns, "
        f"{len(passed)} are found at a false-discovery rate of {FOUND_AT:.0%}{names}."
    )


def _write(found: "Correlations", path: Path) -> None:
    import polars as pl

    rows = []
    for one in found.features:
        row: dict[str, object] = {"column": one.feature, "rows": one.rows, "quarters": one.quarters}
        for name, estimate in (("pearson", one.pearson), ("rank", one.rank)):
            row[name] = None if estimate is None else estimate.value
            row[f"{name}_lower"] = None if estimate is None else estimate.interval.lower
            row[f"{name}_upper"] = None if estimate is None else estimate.interval.upper
            row[f"{name}_p"] = None if estimate is None else estimate.p_value
            row[f"{name}_q"] = None if estimate is None else estimate.q_value
            row[f"{name}_strength"] = None if estimate is None else estimate.strength
        rows.append(row | {"rank_ic": one.rank_ic, "beyond_belief": one.beyond_belief})
    write_whole(path, pl.DataFrame(rows, infer_schema_length=None).write_csv())
