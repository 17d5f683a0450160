"""Several runs in one page: what differs, what each found, and differences with their doubt."""

import json
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl

from alfred.evaluation.contracts import Scorecard
from alfred.experiments.comparison import ComparedRun, Comparison, Difference, growth
from alfred.report.accounts import ticks
from alfred.report.forest import Row, forest
from alfred.report.format import COUNT, DASH, PERCENT, RATIO, NumberStyle, level, listed, seconds, significant
from alfred.report.frames import thin
from alfred.report.palette import HUES, Series, is_naive
from alfred.report.plot import Json, Plot, axis, layout, plain
from alfred.report.sheet import Part, Sheet, write_sheet
from alfred.report.skill import OVERVIEW, title_and_style
from alfred.report.summary import figure_of
from alfred.report.table import Cell, Column, Table, measured

_IC = NumberStyle(3, signed=True)
MARKS = (
    "▲ or ▼ marks a difference whose interval leaves out zero. The more pairs one looks at, the more such marks chance "
    "alone brings."
)
LONGEST = 120
"""Characters of a setting's value in the table."""


def write_comparison(path: Path, comparison: Comparison) -> Path:
    """Write the page, whole or not at all; returns `path`."""
    return write_sheet(path, comparison_sheet(comparison))


def headline(comparison: Comparison) -> str:
    """What the comparison found about ranking, in one sentence."""
    first = comparison.runs[0].name
    found = [one for one in comparison.differences if one.measure == "rank_ic"]
    if not found:
        return f"No analyst is common to {first} and the other runs, so nothing of them is paired."
    sure = [one for one in found if one.interval is not None and (one.interval.lower > 0 or one.interval.upper < 0)]
    told = "; ".join(
        f"{one.analyst} in {one.run} by {_IC.text(one.difference)} ({_IC.span(one.interval)})" for one in sure[:3]
    )
    others = f", and {len(sure) - 3} more" if len(sure) > 3 else ""
    if not sure:
        return f"No analyst ranks differently from {first} by more than chance would: {_tests(len(found))}."
    leave = "leaves" if len(sure) == 1 else "leave"
    return f"Of {_tests(len(found))} with {first}, {len(sure)} {leave} out zero: {told}{others}."


def comparison_sheet(comparison: Comparison) -> Sheet:
    """The page of a comparison."""
    runs = comparison.runs
    hues = {run.name: f"@s{at % HUES}" for at, run in enumerate(runs)}
    return Sheet(
        "Comparison of runs",
        headline(comparison),
        (
            Part(
                "runs",
                "Runs",
                "The runs",
                tables=(_run_table(runs),),
                notes=tuple(f"{run.name}: {run.record.verdict}" for run in runs),
            ),
            _settings_part(comparison),
            _skill_part(comparison, hues),
            _account_part(runs, hues),
        ),
        warnings=comparison.cautions,
        imprint=f"Differences are to {runs[0].name}, the first named.",
    )


def _tests(number: int) -> str:
    return f"{number} paired comparison" + ("" if number == 1 else "s")


def _run_table(runs: tuple[ComparedRun, ...]) -> Table:
    columns = (
        Column("Run"), Column("Made", whole=True), Column("Protocol"), Column("Test quarters", numeric=True),
        Column("Names", numeric=True), Column("Columns", numeric=True, title="features of the panel"),
        Column("Time", numeric=True, title="of all stages; less where they were taken up"),
    )  # fmt: skip
    rows = []
    for run in runs:
        record = run.record
        spent = sum(stage.seconds for stage in record.timings)
        names, features = len(record.evaluation_basket), len(record.panel.columns)
        tested = run.quarters["as_of"].n_unique()
        rows.append(
            (
                Cell(run.name, (run.folder.name,)),
                Cell(record.created_at[:10]),
                Cell(record.protocol),
                Cell(COUNT.text(tested), sort=tested),
                Cell(COUNT.text(names), sort=names),
                Cell(COUNT.text(features), sort=features),
                Cell(seconds(spent), sort=spent),
            )
        )
    return Table("What was run, the first held against the others", columns, tuple(rows))


def _settings_part(comparison: Comparison) -> Part:
    columns = (Column("Setting"), *(Column(run.name) for run in comparison.runs))
    rows = tuple((Cell(key), *(Cell(_told(value)) for value in values)) for key, values in comparison.settings.items())
    what = f"{COUNT.text(len(rows))} settings differ" if rows else "The settings are the same; data or code differ."
    tables = (Table("Settings that differ; an en dash is absent", columns, rows),) if rows else ()
    return Part("settings", "Settings", "What differs", lead=what.rstrip(".") + ".", tables=tables)


def _told(value: Any) -> str:
    """A setting's value in words, shortened in the middle where it is long."""
    text = _words(value) or DASH
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]} … {text[-half:]}"


def _words(value: Any) -> str:
    """Of a table its entries that are set, those of a list one after the other."""
    if isinstance(value, dict):
        told = {key: _words(inner) for key, inner in value.items() if inner is not None and inner is not False}
        name = told.pop("name", "")
        rest = ", ".join(f"{key} {inner}" for key, inner in told.items() if inner)
        return f"{name} ({rest})" if name and rest else name or rest
    if isinstance(value, list | tuple):
        return ("; " if any(isinstance(one, dict) for one in value) else ", ").join(map(_words, value))
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def _skill_part(comparison: Comparison, hues: dict[str, str]) -> Part:
    rows, at = [], count()
    for run in comparison.runs:
        for card in run.record.scorecards:
            figure = figure_of(card, "rank_ic")
            if figure is not None and figure.value is not None:
                name = Series(f"c{next(at)}", f"{run.name}/{card.analyst}", hues[run.name])
                rows.append(Row(name, figure.value, figure.over_quarters, card.minimum_detectable_ic))
    caption = (
        "Each on its own test quarters. Intervals that overlap may still differ once quarters are paired, as below."
    )
    plot = forest("plot-ic", ("Rank IC", caption, "mean rank IC"), rows, _IC)
    tables = [_figure_table(comparison.runs)]
    if comparison.differences:
        tables.insert(0, _difference_table(comparison.differences))
    return Part(
        "skill",
        "Skill",
        "Analysts",
        plots=(plot,) if plot else (),
        tables=tuple(tables),
        notes=(MARKS,),
    )


def _difference_table(differences: tuple[Difference, ...]) -> Table:
    columns = (
        Column("Analyst"), Column("Run"), Column("Measure"), Column("Quarters", numeric=True, title="common to both"),
        Column("First run", numeric=True), Column("This run", numeric=True), Column("Difference", numeric=True),
    )  # fmt: skip
    rows = []
    for one in differences:
        heading, style = title_and_style(one.measure)
        span = one.interval
        tone = "" if span is None else "better" if span.lower > 0 else "worse" if span.upper < 0 else ""
        small = style.difference().span(span) + {"better": " ▲", "worse": " ▼", "": ""}[tone]
        rows.append(
            (
                Cell(one.analyst),
                Cell(one.run),
                Cell(heading),
                Cell(COUNT.text(one.quarters), sort=one.quarters),
                Cell(style.text(one.first), sort=one.first),
                Cell(style.text(one.other), sort=one.other),
                Cell(style.difference().text(one.difference), (small,) if small else (), one.difference, tone=tone),
            )
        )
    confidence = next((level(one.interval) for one in differences if one.interval), "no")
    return Table(f"Paired over common test quarters, with {confidence} intervals", columns, tuple(rows))


def _figure_table(runs: tuple[ComparedRun, ...]) -> Table:
    cards = [(run.name, card) for run in runs for card in run.record.scorecards]
    present = [name for name in OVERVIEW if any(figure_of(card, name) for _, card in cards)]
    columns = [Column("Analyst"), Column("Run")]
    columns += [Column(title_and_style(name)[0], numeric=True) for name in present]
    columns.append(Column("Always up", numeric=True, title="share of the test rows that rose"))
    rows = []
    for run, card in cards:
        figures = [_figure_cell(card, name) for name in present]
        up = Cell(PERCENT.text(card.rise_share), sort=card.rise_share)
        rows.append((Cell(card.analyst, (f"{card.target}, {card.loss} loss",)), Cell(run), *figures, up))
    return Table("Every analyst of every run on its own test rows", tuple(columns), tuple(rows))


def _figure_cell(card: Scorecard, name: str) -> Cell:
    figure, style = figure_of(card, name), title_and_style(name)[1]
    return measured(None, style) if figure is None else measured(figure.value, style, figure.over_quarters)


def _account_part(runs: tuple[ComparedRun, ...], hues: dict[str, str]) -> Part:
    columns = (
        Column("Portfolio"), Column("Run"), Column("Annual return", numeric=True), Column("Sharpe", numeric=True),
        Column("Volatility", numeric=True), Column("Max. drawdown", numeric=True),
        Column("Turnover p.a.", numeric=True),
    )  # fmt: skip
    rows = []
    for run in runs:
        for portfolio in run.record.portfolios:
            told = portfolio.statistics
            rows.append(
                (
                    Cell(portfolio.name, () if portfolio.kind == "strategy" else ("benchmark",)),
                    Cell(run.name),
                    measured(told.annual_return, PERCENT, told.annual_return_interval),
                    measured(told.sharpe, RATIO, told.sharpe_interval),
                    measured(told.annual_volatility, PERCENT),
                    measured(told.max_drawdown, PERCENT),
                    measured(told.turnover_per_year, RATIO),
                )
            )
    table = Table("Each over its own test quarters, net of its own costs", columns, tuple(rows))
    plot = _growth_plot(runs, hues)
    names = listed([run.name for run in runs])
    lead = (
        f"Accounts of {names}." if plot is None else "The plot starts every account at 1 on the first common session."
    )
    return Part("accounts", "Accounts", "Accounts", lead=lead, plots=(plot,) if plot else (), tables=(table,))


def _growth_plot(runs: tuple[ComparedRun, ...], hues: dict[str, str]) -> Plot | None:
    """Strategies in the colour of their run, its 1/N in grey; None where no session is common."""
    traces: list[Json] = []
    legend: list[Series] = []
    values: list[pl.Series] = []
    dashes = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
    for (run, portfolio), account in growth(runs).items():
        if account.height < 2 or is_naive(portfolio):
            continue
        place = sum(entry.label.startswith(f"{run}: ") for entry in legend)
        line = Series(f"g{len(legend)}", f"{run}: {portfolio}", hues[run], dashes[place % len(dashes)])
        drawn = thin(account)
        legend.append(line)
        values.append(account["value"])
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": plain(line.label),
                "meta": line.key,
                "x": drawn["date"].dt.to_string().to_list(),
                "y": [significant(value) if value and value > 0 else None for value in drawn["value"]],
                "line": {"color": line.colour, "width": line.width, "dash": line.dash},
                "hovertemplate": "%{x|%Y-%m-%d}, value %{y:.3f}<extra>%{fullData.name}</extra>",
            }
        )
    if not traces:
        return None
    money = {"type": "log", "tickvals": ticks(pl.concat(values)), "tickformat": "~g"}
    return Plot(
        "plot-growth",
        "Growth over the sessions that all runs share",
        "One unit of capital over time on a logarithmic scale, net of each run's costs.",
        f"Account value over time of {len(legend)} portfolios.",
        traces,
        layout(
            axis("date", {"type": "date", "showgrid": False}), axis("value (start = 1)", money), {"dragmode": "zoom"}
        ),
        height=480,
        phone_height=420,
        phone={"dragmode": False},
        legend=tuple(legend),
    )
