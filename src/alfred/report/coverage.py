"""Coverage of the forecasts' intervals year by year: an average may hide years in which they held far too little."""

from collections.abc import Sequence

from alfred.evaluation.contracts import Scorecard
from alfred.report.format import DASH, PERCENT
from alfred.report.palette import Series
from alfred.report.plot import Json, Plot, axis, layout, plain, rule
from alfred.report.table import Cell, Column, Table


def year_plot(cards: Sequence[Scorecard], series: dict[str, Series]) -> Plot:
    """A line for each analyst, and the nominal level."""
    nominal = cards[0].interval_level
    shares = [nominal, *(year.coverage for card in cards for year in card.coverage_by_year)]
    reach = [max(-0.02, min(shares) - 0.04), min(1.02, max(shares) + 0.04)]
    return Plot(
        "plot-coverage-years",
        "Interval coverage by year",
        f"Share of each year's labels inside their intervals, which should be {nominal:.0%} (dashed line). A year is "
        "four quarters in which names move together: some distance from the line is chance, years on end on one side "
        "are not.",
        "Interval coverage by year of the decision date, for each analyst.",
        [_line(card, series[card.analyst]) for card in cards],
        layout(
            axis("year of the decision date", {"tickformat": "d", "nticks": 12, "showgrid": False}),
            axis("labels inside", {"range": reach, "tickformat": ".0%", "nticks": 7}),
            {"shapes": [rule(y=nominal, dash="dash", colour="@soft")]},
        ),
        height=340,
        phone_height=300,
        phone={"xaxis.nticks": 5},
        legend=tuple(series[card.analyst] for card in cards),
    )


def _line(card: Scorecard, line: Series) -> Json:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": plain(line.label),
        "meta": line.key,
        "x": [year.year for year in card.coverage_by_year],
        "y": [year.coverage for year in card.coverage_by_year],
        "customdata": [[year.rows, year.quarters] for year in card.coverage_by_year],
        "line": {"color": line.colour, "width": line.width, "dash": line.dash},
        "marker": {"color": line.colour, "size": 6},
        "hovertemplate": "%{x}: %{y:.1%}<br>%{customdata[0]:,} rows in %{customdata[1]} quarters"
        "<extra>%{fullData.name}</extra>",
    }


def year_table(cards: Sequence[Scorecard]) -> Table:
    """One row a year, one column an analyst."""
    years = sorted({year.year for card in cards for year in card.coverage_by_year})
    found = [{year.year: year for year in card.coverage_by_year} for card in cards]
    columns = (Column("Year", whole=True), *(Column(card.analyst, numeric=True) for card in cards))
    rows = []
    for year in years:
        cells = [Cell(str(year))]
        for of_year in found:
            told = of_year.get(year)
            if told is None:
                cells.append(Cell(DASH, title="no labels of this year"))
            else:
                title = f"{told.rows:,} rows in {told.quarters} quarters"
                cells.append(Cell(PERCENT.text(told.coverage), sort=told.coverage, title=title))
        rows.append(tuple(cells))
    return Table(f"Interval coverage by year, nominal {cards[0].interval_level:.0%}", columns, tuple(rows))
