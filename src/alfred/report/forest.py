"""Dot-and-interval plots: one row an analyst, so that what an interval leaves out is seen at a glance."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from alfred.core.contracts import Interval
from alfred.evaluation.contracts import Scorecard
from alfred.report.format import PERCENT, SIGNED_PERCENT, NumberStyle, level
from alfred.report.palette import Series
from alfred.report.plot import Json, Plot, axis, layout, rule, wrapped
from alfred.report.summary import figure_of

_SAME = 1e-9
NARROW = 0.06
"""An axis that spans less needs a further digit to tell its ticks apart."""


@dataclass(frozen=True)
class Row:
    """One analyst's dot, its interval, and the half-width of the band in which it can't be told from zero."""

    series: Series
    value: float
    interval: Interval | None
    unseen: float = 0.0


def ic_plot(cards: Sequence[Scorecard], series: dict[str, Series]) -> Plot | None:
    """Rank IC of each analyst; None where no analyst has one."""
    rows = []
    for card in cards:
        figure = figure_of(card, "rank_ic")
        if figure is not None and figure.value is not None:
            rows.append(Row(series[card.analyst], figure.value, figure.over_quarters, card.minimum_detectable_ic))
    caption = (
        "An interval that crosses zero is no evidence of skill; inside the grey band an effect is too small for this "
        "many quarters to tell from none."
    )
    style = NumberStyle(3, signed=True)
    return forest("plot-ic", ("Rank IC", caption, "mean rank IC"), rows, style)


def accuracy_plot(cards: Sequence[Scorecard], series: dict[str, Series]) -> Plot | None:
    """Accuracy less the share of rows that rose; None where no analyst has an accuracy.

    The paired interval is recorded against the naive forecast. It is drawn only where that forecast's accuracy is
    the share of rises, for then the two differences are one.
    """
    rows = []
    for card in cards:
        figure = figure_of(card, "accuracy")
        if figure is None or figure.value is None:
            continue
        same = figure.naive is not None and abs(figure.naive - card.rise_share) < _SAME
        interval = figure.difference_over_quarters if same else None
        rows.append(Row(series[card.analyst], figure.value - card.rise_share, interval))
    caption = (
        "Accuracy less that of saying “always up” on the same rows: to the right of zero an analyst is right more "
        "often than that, and an interval across zero leaves it open."
    )
    return forest("plot-accuracy", ("Direction", caption, "accuracy less always up"), rows, SIGNED_PERCENT)


def coverage_plot(cards: Sequence[Scorecard], series: dict[str, Series], nominal: float) -> Plot | None:
    """Share of labels inside the forecasts' intervals, against the nominal level."""
    rows = []
    for card in cards:
        figure = figure_of(card, "coverage")
        if figure is not None and figure.value is not None:
            rows.append(Row(series[card.analyst], figure.value, figure.over_quarters))
    caption = (
        f"The forecasts' intervals should hold {nominal:.0%} of what came (dashed line): to the left of it "
        "they promise too much, to the right they are wider than they need to be."
    )
    return forest("plot-coverage", ("Interval coverage", caption, "labels inside"), rows, PERCENT, nominal)


def forest(
    key: str, words: tuple[str, str, str], rows: list[Row], style: NumberStyle, zero: float = 0.0
) -> Plot | None:
    """A plot of `rows`; `words` are title, caption and the axis' title, and `zero` is what they are compared with."""
    title, caption, x_title = words
    if not rows:
        return None
    traces = [_trace(row, place, style) for place, row in enumerate(rows)]
    bands: list[Json] = [_band(row, place) for place, row in enumerate(rows) if row.unseen > 0]
    y_axis = axis(
        "",
        {
            "tickmode": "array",
            "tickvals": list(range(len(rows))),
            "ticktext": [wrapped(row.series.label) for row in rows],
            "range": [len(rows) - 0.4, -0.6],
            "showgrid": False,
            "tickfont": {"color": "@ink"},
        },
    )
    reach = _reach(rows, zero)
    narrow = reach[1] - reach[0] < NARROW
    form = (".1%" if narrow else ".0%") if style.percent else (".3f" if narrow else ".2f")
    ticks = {"tickformat": form, "nticks": 8, "tickangle": 0, "range": reach}
    x_axis = axis(x_title, ticks)
    if zero:
        bands.append(rule(x=zero, dash="dash", colour="@soft"))
    else:
        x_axis |= {"zeroline": True, "zerolinecolor": "@soft", "zerolinelayer": "below traces"}
    height = 92 + 40 * len(rows)
    told = "; ".join(f"{row.series.label} {style.text(row.value)}" for row in rows[:12])
    return Plot(
        key,
        title,
        caption,
        f"{title} with intervals: {told}.",
        traces,
        layout(x_axis, y_axis, {"shapes": bands}),
        height=height,
        phone_height=height,
        phone={"xaxis.nticks": 4},
    )


def _reach(rows: list[Row], zero: float) -> list[float]:
    """Ends of the axis: all dots, intervals and bands, and the line they are compared with, with room beside them."""
    ends = [zero, *(row.value for row in rows)]
    ends += [end for row in rows for end in (-row.unseen, row.unseen) if row.unseen]
    ends += [end for row in rows if row.interval for end in (row.interval.lower, row.interval.upper)]
    finite = [end for end in ends if math.isfinite(end)]
    room = 0.06 * (max(finite) - min(finite)) or 0.01
    return [min(finite) - room, max(finite) + room]


def _trace(row: Row, place: int, style: NumberStyle) -> Json:
    span = style.span(row.interval)
    told = f"{span} ({level(row.interval)} interval)" if span else "no interval recorded"
    trace: Json = {
        "type": "scatter",
        "mode": "markers",
        "name": wrapped(row.series.label, 60),
        "x": [row.value],
        "y": [place],
        "marker": {"color": row.series.colour, "size": 10},
        "hovertemplate": f"{style.text(row.value)}<br>{told}<extra>%{{fullData.name}}</extra>",
    }
    if row.interval is not None and span:
        trace["error_x"] = {
            "type": "data",
            "symmetric": False,
            "array": [row.interval.upper - row.value],
            "arrayminus": [row.value - row.interval.lower],
            "color": row.series.colour,
            "thickness": 2,
            "width": 5,
        }
    return trace


def _band(row: Row, place: int) -> Json:
    return {
        "type": "rect",
        "x0": -row.unseen,
        "x1": row.unseen,
        "y0": place - 0.32,
        "y1": place + 0.32,
        "fillcolor": "@muted/0.14",
        "line": {"width": 0},
        "layer": "below",
    }
