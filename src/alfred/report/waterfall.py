"""The waterfall of the notes' re-run: one page with the picture, the table and what each step did."""

import textwrap
from pathlib import Path

from alfred.core.contracts import Interval
from alfred.experiments.notes import Step, Waterfall
from alfred.report.format import COUNT, PERCENT, NumberStyle, listed
from alfred.report.plot import Json, Plot, axis, layout, plain, rule
from alfred.report.sheet import Part, Sheet, write_sheet
from alfred.report.table import Cell, Column, Table, measured

FILE = "waterfall.html"
POINTS = NumberStyle(1, signed=True)
OF_THE_FALL = NumberStyle(1, percent=True)
SUM = NumberStyle(0, unit="%")
IDLE = "no such data here"
SURVIVORS = (
    "Survivorship (the audit's check 18) is still in every figure: these companies were chosen because they existed at "
    "the end of the data, so that always up is right more often than an investor of the time could have expected."
)
MARGIN = {"l": 8, "r": 12, "t": 26, "b": 8}
_HALF = 0.3


def write_waterfall(folder: Path) -> Path:
    """Write the page of a re-run into its folder, whole or not at all; returns its path."""
    return write_sheet(folder / FILE, sheet(Waterfall.load(folder)))


def headline(waterfall: Waterfall) -> str:
    """What the re-run found, in one sentence."""
    first, last = waterfall.steps[0], waterfall.steps[-1]
    largest = max(waterfall.steps[1:], key=lambda step: step.share)
    made = "" if largest.removed is None else largest.removed.made
    fall = 100 * (first.sign_accuracy.value - last.sign_accuracy.value)
    return (
        f"The notes' protocol shows {PERCENT.text(first.sign_accuracy.value)} sign accuracy; without its defects "
        f"{PERCENT.text(last.sign_accuracy.value)} are left, where always up is right in "
        f"{PERCENT.text(last.always_up)}. The largest part of these {NumberStyle(1).text(fall)} points, "
        f"{OF_THE_FALL.text(largest.share)}: {made}."
    )


def label(step: Step) -> str:
    """A step's name: what was put right, with the number of its check in docs/audit.md."""
    if step.removed is None:
        return "the notes' protocol"
    return step.removed.repaired + ("" if step.removed.row is None else f" ({step.removed.row})")


def points(value: float) -> str:
    """A difference of shares in percentage points."""
    return POINTS.text(100 * value)


def point_span(interval: Interval | None) -> str:
    """Its interval, empty where there is none."""
    if interval is None:
        return ""
    return POINTS.span(Interval(100 * interval.lower, 100 * interval.upper, interval.level))


def sheet(waterfall: Waterfall) -> Sheet:
    """The page of a re-run."""
    accounts = ", ".join(f"{name} {PERCENT.text(value)} a year" for name, value in waterfall.benchmarks.items())
    basket = listed(waterfall.steps[-1].names)
    beside = (
        f"Accounts that need no forecast, on the basket of the end ({basket}), net of the same costs: {accounts}. The "
        "notes' own benchmark, the mean of the names' buy-and-hold returns, says "
        f"{SUM.text(waterfall.average_hold_pct)}."
    )
    steps = Part(
        "steps",
        "Steps",
        "Step by step",
        plots=(waterfall_plot(waterfall),),
        tables=(step_table(waterfall),),
        notes=(beside,),
    )
    return Sheet(
        "The notes again",
        headline(waterfall),
        (steps,),
        warnings=(SURVIVORS,) if waterfall.survivors_only else (),
        imprint=f"{waterfall.data} {waterfall.analyst}, {COUNT.text(waterfall.parameters)} parameters, "
        f"{len(waterfall.seeds)} seeds. Every step is judged on the decision dates {waterfall.first} to "
        f"{waterfall.last}. Digest {waterfall.digest}.",
    )


def step_table(waterfall: Waterfall) -> Table:
    """Every step with its figures and its share."""
    columns = (
        Column("Put right"),
        Column("Sign accuracy", numeric=True, title="mean of the seeds, and its 95% interval over them"),
        Column("Always up", numeric=True, title="share of the same rows that rose"),
        Column("Less always up", numeric=True, title="percentage points, with the interval over blocks of quarters"),
        Column("Change", numeric=True, title="percentage points since the step before, paired over seeds"),
        Column("Share", numeric=True, title="of the whole fall"),
        Column("Sum of trade %", numeric=True, title="the notes' total profit percentage; it is not a return"),
        Column("Account a year", numeric=True, title="compounded, net of costs, filled the session after"),
    )
    return Table(
        "The largest forecast of each quarter is traded, as in the notes. Intervals are over seeds, those of less "
        "always up over blocks of quarters",
        columns,
        tuple(_row(step) for step in waterfall.steps),
    )


def _row(step: Step) -> tuple[Cell, ...]:
    was = () if step.removed is None else (f"was: {step.removed.made}",)
    above = step.sign_accuracy.value - step.always_up
    first = step.removed is None
    return (
        Cell(label(step), was),
        measured(step.sign_accuracy.value, PERCENT, step.sign_accuracy.over_seeds),
        Cell(PERCENT.text(step.always_up), sort=step.always_up),
        Cell(points(above), (point_span(step.against_up),), above),
        Cell("") if first else Cell(points(step.change.value), (_aside(step),), step.change.value),
        Cell("") if first else Cell(OF_THE_FALL.text(step.share), sort=step.share),
        measured(step.sum_of_trades_pct.value, SUM, step.sum_of_trades_pct.over_seeds),
        measured(step.annual_return.value, PERCENT, step.annual_return.over_seeds),
    )


def _aside(step: Step) -> str:
    return IDLE if step.idle else point_span(step.change.over_seeds)


def waterfall_plot(waterfall: Waterfall) -> Plot:
    """Bars from each step's sign accuracy to the next one's; what is left at the end stands beside always up."""
    steps = waterfall.steps
    names = [*(plain(label(step)) for step in steps), "<b>what is left</b>"]
    names[0] = "<b>the notes' protocol</b>"
    values = [step.sign_accuracy.value for step in steps]
    traces = [
        _ends(values[0], 0, "@worse", steps[0].over_quarters),
        *(draw(steps[at], values[at - 1], at) for at in range(1, len(steps)) for draw in (_bar, _whisker)),
        _ups(steps),
        _ends(values[-1], len(steps), "@accent", steps[-1].over_quarters),
    ]
    y = axis(
        "",
        {
            "tickmode": "array", "tickvals": list(range(len(names))), "ticktext": names, "showgrid": False,
            "range": [len(names) - 0.4, -0.6], "tickfont": {"color": "@ink"},
        },
    )  # fmt: skip
    low = min([*values, *(step.always_up for step in steps), steps[-1].over_quarters.lower])
    x = axis("sign accuracy", {"tickformat": ".0%", "range": [low - 0.04, 1.04], "tickangle": 0, "nticks": 9})
    links = [_link(values[at], at) for at in range(len(values))]
    up = rule(x=steps[-1].always_up, dash="dash", colour="@soft")
    told = "; ".join(f"{label(step)} {PERCENT.text(step.sign_accuracy.value)}" for step in steps)
    count = len(waterfall.seeds)
    return Plot(
        "plot-waterfall",
        "From the notes' figure to an honest one",
        f"Each bar is the change of sign accuracy when one defect is removed, mean of {count} seeds, with its 95% "
        "interval; shares depend on the order of removal. Upright marks: always up on the same rows; dashed: on the "
        "rows of the end. In brackets: the audit's check that finds it. The dots' intervals are over blocks of "
        "quarters.",
        f"Waterfall of sign accuracy: {told}.",
        traces,
        layout(x, y, {"shapes": [up, *links], "annotations": [_named(steps[-1].always_up)], "margin": MARGIN}),
        height=126 + 38 * len(names),
        phone_height=126 + 52 * len(names),
        phone={
            "xaxis.nticks": 4,
            "xaxis.range": [low - 0.04, 1.16],
            "font.size": 10.5,
            "yaxis.ticktext": [_broken(name) for name in names],
        },
    )


def _broken(name: str) -> str:
    """A name in lines that leave a narrow screen room for the bars."""
    return "<br>".join(textwrap.wrap(name, 16))


def _bar(step: Step, before: float, place: int) -> Json:
    """A floating bar from the step before."""
    after = step.sign_accuracy.value
    low, high = min(before, after), max(before, after)
    return {
        "type": "bar", "orientation": "h", "base": [low], "x": [high - low], "y": [place], "width": [2 * _HALF],
        "marker": {"color": _colour(step, "/0.75")},
        "hovertemplate": f"{PERCENT.text(before)} to {PERCENT.text(after)}<br>{point_span(step.change.over_seeds)} "
        "points<extra></extra>",
    }  # fmt: skip


def _whisker(step: Step, before: float, place: int) -> Json:
    """The interval of the change around the bar's end, and the change in words beside it."""
    after, span = step.sign_accuracy.value, step.change.over_seeds
    reach = (
        (0.0, 0.0) if span is None or step.idle else (span.upper - step.change.value, step.change.value - span.lower)
    )
    return {
        "type": "scatter", "mode": "text", "x": [after, max(before, after + reach[0])], "y": [place, place],
        "text": ["", f"  {IDLE if step.idle else points(step.change.value)}"], "textposition": "middle right",
        "textfont": {"color": "@muted" if step.idle else "@ink"}, "cliponaxis": False, "hoverinfo": "skip",
        "error_x": {
            "type": "data", "symmetric": False, "array": [reach[0], 0], "arrayminus": [reach[1], 0],
            "color": _colour(step, ""), "thickness": 1.5, "width": 4,
        },
    }  # fmt: skip


def _colour(step: Step, opacity: str) -> str:
    if step.idle:
        return "@muted"
    return f"@{'worse' if step.change.value <= 0 else 'better'}{opacity}"


def _ends(value: float, place: int, colour: str, span: Interval) -> Json:
    """The first and the last figure, with an interval over blocks of quarters."""
    return {
        "type": "scatter",
        "mode": "markers+text",
        "x": [value],
        "y": [place],
        "text": [f"<b>{PERCENT.text(value)}</b>"],
        "textposition": "bottom right" if place else "top center",
        "textfont": {"color": colour},
        "marker": {"color": colour, "size": 12},
        "cliponaxis": False,
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [span.upper - value],
            "arrayminus": [value - span.lower],
            "color": colour,
            "thickness": 2,
            "width": 5,
        },
        "hovertemplate": f"{PERCENT.text(value)}<br>{PERCENT.span(span)} over blocks of quarters<extra></extra>",
    }


def _ups(steps: tuple[Step, ...]) -> Json:
    return {
        "type": "scatter", "mode": "markers", "x": [step.always_up for step in steps],
        "y": list(range(len(steps))),
        "marker": {"symbol": "line-ns-open", "size": 16, "color": "@ink", "line": {"width": 2}},
        "hovertemplate": "always up: %{x:.1%}<extra></extra>",
    }  # fmt: skip


def _named(always_up: float) -> Json:
    """What the dashed line is."""
    return {
        "x": always_up,
        "y": 1,
        "yref": "paper",
        "yanchor": "bottom",
        "text": f"always up {PERCENT.text(always_up)}",
        "showarrow": False,
        "font": {"color": "@soft"},
    }


def _link(value: float, place: int) -> Json:
    """The hairline that carries a value down to the next bar."""
    line = {"color": "@muted", "width": 1}
    return {"type": "line", "x0": value, "x1": value, "y0": place, "y1": place + 1, "line": line, "layer": "below"}
