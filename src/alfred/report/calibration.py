"""Whether stated probabilities and intervals come true."""

from dataclasses import dataclass

from alfred.evaluation.contracts import CalibrationBin, Scorecard
from alfred.experiments.record import RunRecord
from alfred.report.coverage import year_plot, year_table
from alfred.report.forest import coverage_plot
from alfred.report.format import COUNT, PERCENT, level
from alfred.report.palette import Series
from alfred.report.plot import Json, Plot, axis, layout, plain
from alfred.report.table import Cell, Column, Table, measured


@dataclass(frozen=True)
class CalibrationSection:
    """The plots, and what they draw as tables."""

    plots: tuple[Plot, ...]
    by_year: Plot | None
    years: Table | None
    bins: Table | None


def calibration_section(record: RunRecord, series: dict[str, Series]) -> CalibrationSection:
    """Reliability of prob_up, and coverage of the forecasts' intervals."""
    cards = [card for card in record.scorecards if card.calibration]
    plots = (
        _reliability(cards, series) if cards else None,
        coverage_plot(record.scorecards, series, record.scorecards[0].interval_level) if record.scorecards else None,
    )
    yearly = [card for card in record.scorecards if card.coverage_by_year]
    return CalibrationSection(
        tuple(plot for plot in plots if plot),
        year_plot(yearly, series) if yearly else None,
        year_table(yearly) if yearly else None,
        _bins(cards) if cards else None,
    )


def _reliability(cards: list[Scorecard], series: dict[str, Series]) -> Plot:
    every = [bin_ for card in cards for bin_ in card.calibration]
    said = [bin_.forecast for bin_ in every]
    came = [end for bin_ in every for end in (bin_.observed, bin_.interval.lower, bin_.interval.upper)]
    most = max(bin_.rows for bin_ in every)
    diagonal: Json = {
        "type": "scatter",
        "mode": "lines",
        "x": [0, 1],
        "y": [0, 1],
        "line": {"color": "@soft", "width": 1, "dash": "dash"},
        "hoverinfo": "skip",
    }
    x_axis, y_axis = ({"range": _reach(values), "tickformat": ".0%", "nticks": 7} for values in (said, came))
    return Plot(
        "plot-reliability",
        "Reliability of “up”",
        "On the dashed line a stated 60% comes true 60% of the time; points whose interval misses it are over- or "
        "underconfident, and larger points hold more rows.",
        "Observed share of rises against the forecast probability, for each analyst.",
        [diagonal, *[_points(card.calibration, series[card.analyst], most) for card in cards]],
        layout(axis("forecast probability of a rise", x_axis), axis("observed share of rises", y_axis)),
        height=420,
        phone_height=360,
        legend=tuple(series[card.analyst] for card in cards),
    )


def _reach(shares: list[float]) -> list[float]:
    """Ends of an axis of shares, with room for the points' own size."""
    return [max(-0.02, min(shares) - 0.03), min(1.02, max(shares) + 0.03)]


def _points(bins: tuple[CalibrationBin, ...], line: Series, most: int) -> Json:
    spans = [f"{PERCENT.span(bin_.interval)} ({level(bin_.interval)})" for bin_ in bins]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": plain(line.label),
        "meta": line.key,
        "x": [bin_.forecast for bin_ in bins],
        "y": [bin_.observed for bin_ in bins],
        "customdata": [[span, bin_.rows] for span, bin_ in zip(spans, bins, strict=True)],
        "line": {"color": line.faint(0.5), "width": 1.2, "dash": line.dash},
        "marker": {
            "color": line.colour,
            "opacity": 1,
            "size": [6 + 10 * (bin_.rows / most) ** 0.5 for bin_ in bins],
        },
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [bin_.interval.upper - bin_.observed for bin_ in bins],
            "arrayminus": [bin_.observed - bin_.interval.lower for bin_ in bins],
            "color": line.faint(0.6),
            "thickness": 1.3,
            "width": 0,
        },
        "hovertemplate": "said %{x:.1%}, came %{y:.1%}<br>%{customdata[0]}<br>%{customdata[1]:,} rows"
        "<extra>%{fullData.name}</extra>",
    }


def _bins(cards: list[Scorecard]) -> Table:
    columns = (
        Column("Analyst"),
        Column("Mean forecast", numeric=True),
        Column("Observed", numeric=True),
        Column("Rows", numeric=True),
    )
    rows = tuple(
        (
            Cell(card.analyst),
            Cell(PERCENT.text(bin_.forecast), sort=bin_.forecast),
            measured(bin_.observed, PERCENT, bin_.interval),
            Cell(COUNT.text(bin_.rows), sort=bin_.rows),
        )
        for card in cards
        for bin_ in card.calibration
    )
    return Table("Bins of the forecast probability of a rise", columns, rows)
