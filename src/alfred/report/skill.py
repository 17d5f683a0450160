"""Scorecards: every figure with its doubt and beside the naive forecast's."""

import math
from dataclasses import dataclass

from alfred.core.contracts import Interval
from alfred.evaluation.contracts import Figure, Scorecard
from alfred.experiments.record import RunRecord
from alfred.report.forest import accuracy_plot, ic_plot
from alfred.report.format import COUNT, DASH, PERCENT, NumberStyle, level
from alfred.report.palette import Series, is_naive
from alfred.report.plot import Plot
from alfred.report.summary import figure_of
from alfred.report.table import Cell, Column, Table, measured

_IC = NumberStyle(3, signed=True)
_LOSS = NumberStyle(4)
_STYLES = {
    "rank_ic": ("Rank IC", _IC),
    "accuracy": ("Accuracy", PERCENT),
    "precision": ("Precision", PERCENT),
    "recall": ("Recall", PERCENT),
    "f1": ("F1", NumberStyle(3)),
    "mae": ("MAE", _LOSS),
    "r2": ("R²", _IC),
    "pearson": ("Pearson", _IC),
    "sign_accuracy": ("Sign accuracy", PERCENT),
    "loss": ("Loss", _LOSS),
    "log_loss": ("Log loss", _LOSS),
    "brier": ("Brier score", _LOSS),
    "coverage": ("Coverage", PERCENT),
    "width": ("Interval width", _LOSS),
}
OVERVIEW = ("rank_ic", "accuracy", "mae", "r2", "pearson", "sign_accuracy", "loss", "log_loss", "coverage")


@dataclass(frozen=True)
class AnalystDetail:
    """All figures of one analyst, its verdict and the size of its sample."""

    series: Series
    verdict: str
    skilled: bool
    sample: str
    figures: Table


@dataclass(frozen=True)
class SkillSection:
    """The table over analysts, the plots, and one entry for each analyst."""

    overview: Table | None
    plots: tuple[Plot, ...]
    analysts: tuple[AnalystDetail, ...]


def skill_section(record: RunRecord, series: dict[str, Series]) -> SkillSection:
    """Everything evaluation said about the analysts."""
    if not record.scorecards:
        return SkillSection(None, (), ())
    plots = (ic_plot(record.scorecards, series), accuracy_plot(record.scorecards, series))
    details = tuple(_detail(card, series[card.analyst]) for card in record.scorecards)
    return SkillSection(_overview(record.scorecards), tuple(plot for plot in plots if plot), details)


def title_and_style(name: str) -> tuple[str, NumberStyle]:
    """Heading and number format of a figure; one that this page doesn't know is written with four decimals."""
    return _STYLES.get(name, (name.replace("_", " ").capitalize(), _LOSS))


def _overview(cards: tuple[Scorecard, ...]) -> Table:
    present = [name for name in OVERVIEW if any(figure_of(card, name) for card in cards)]
    columns = [Column("Analyst")]
    for name in present:
        columns.append(Column(title_and_style(name)[0], numeric=True, title=_sense(cards, name)))
        if name == "accuracy":
            columns.append(Column("Always up", numeric=True, title="share of the test rows that rose"))
    rows = []
    for card in cards:
        row = [Cell(card.analyst, (f"{card.target}, {card.loss} loss", _seeds(card)))]
        for name in present:
            row.append(_overview_cell(figure_of(card, name), is_naive(card.analyst)))
            if name == "accuracy":
                row.append(Cell(PERCENT.text(card.rise_share), sort=card.rise_share))
        rows.append(tuple(row))
    caption = (
        f"All test rows, averaged over seeds. Small print: {_confidence(cards)} interval over quarters, then Δ to naive"
    )
    return Table(caption, tuple(columns), tuple(rows))


def _overview_cell(figure: Figure | None, naive: bool) -> Cell:
    if figure is None:
        return measured(None, PERCENT)
    style = title_and_style(figure.name)[1]
    gap = style.difference().span(figure.difference_over_quarters)
    against = f"Δ {style.difference().text(figure.difference)}" if _finite(figure.difference) and not naive else ""
    tone = _tone(figure)
    mark = {"better": " ▲", "worse": " ▼", "": ""}[tone]
    lines = tuple(line for line in (style.span(figure.over_quarters), against + mark) if line)
    told = f"difference to naive {gap} ({level(figure.difference_over_quarters)} interval)" if gap else ""
    title = figure.note or told
    return Cell(style.text(figure.value), lines, figure.value, title, tone)


def _tone(figure: Figure) -> str:
    """Whether the difference's interval leaves out zero, and on which side."""
    gap = figure.difference_over_quarters
    if gap is None or figure.higher_is_better is None or not (gap.lower > 0 or gap.upper < 0):
        return ""
    return "better" if (gap.lower > 0) == figure.higher_is_better else "worse"


def _detail(card: Scorecard, series: Series) -> AnalystDetail:
    columns = (
        Column("Figure"),
        Column("Value", numeric=True, title="all test rows, averaged over seeds"),
        Column("Over quarters", numeric=True, title="block bootstrap over test quarters"),
        Column("Over seeds", numeric=True, title="of no width where nothing is random"),
        Column("Naive", numeric=True, title="the naive forecast on the same rows"),
        Column("Difference", numeric=True, title="value less naive, with its paired interval"),
        Column("Better is"),
        Column("Remark"),
    )
    rows = tuple(_figure_row(figure, card) for figure in card.figures)
    floor = NumberStyle(3).text(card.minimum_detectable_ic)
    without = f" {COUNT.text(card.rows_without_label)} rows have no label yet." if card.rows_without_label else ""
    sample = (
        f"{COUNT.text(card.rows)} test rows in {COUNT.text(card.quarters)} quarters, {_seeds(card)}; target "
        f"{card.target}, trained with {card.loss}. Smallest mean rank IC that this sample could have told from zero: "
        f"{floor} (one-sided 5%{_shared(card)}, power 80%).{without}"
    )
    table = Table(f"All figures of {card.analyst}", columns, rows)
    return AnalystDetail(series, card.verdict, card.skilled, sample, table)


def _shared(card: Scorecard) -> str:
    return f" shared by {card.tried} analysts" if card.tried > 1 else ""


def _figure_row(figure: Figure, card: Scorecard) -> tuple[Cell, ...]:
    heading, style = title_and_style(figure.name)
    sense = {True: "higher", False: "lower", None: "neither"}[figure.higher_is_better]
    return (
        Cell(heading, (card.loss,) if figure.name == "loss" else ()),
        Cell(style.text(figure.value), sort=figure.value, title=figure.note),
        _span_cell(figure.over_quarters, style),
        _span_cell(figure.over_seeds, style),
        Cell(style.text(figure.naive), sort=figure.naive),
        measured(figure.difference, style.difference(), figure.difference_over_quarters),
        Cell(sense),
        Cell(figure.note or DASH),
    )


def _span_cell(interval: Interval | None, style: NumberStyle) -> Cell:
    """An interval on its own, sorted by its width."""
    span = style.span(interval)
    if interval is None or not span:
        return Cell(DASH, title="not recorded")
    return Cell(span, sort=interval.upper - interval.lower, title=f"{level(interval)} interval")


def _sense(cards: tuple[Scorecard, ...], name: str) -> str:
    senses = {figure.higher_is_better for card in cards if (figure := figure_of(card, name))}
    if senses == {True}:
        return "higher is better"
    return "lower is better" if senses == {False} else "neither higher nor lower is better"


def _confidence(cards: tuple[Scorecard, ...]) -> str:
    levels = {level(figure.over_quarters) for card in cards for figure in card.figures if figure.over_quarters}
    return " or ".join(sorted(levels)) or "no"


def _seeds(card: Scorecard) -> str:
    return "1 seed" if card.seeds == 1 else f"{card.seeds} seeds"


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
