"""The page of an explanation: what moves an analyst's forecasts, over all, by date and by name."""

from html import unescape
from pathlib import Path

import polars as pl

from alfred.experiments.explaining import Explanation, load_explanation
from alfred.report.format import COUNT, PERCENT, NumberStyle, significant
from alfred.report.palette import HUES, Series
from alfred.report.plot import Json, Plot, axis, layout, plain
from alfred.report.sheet import Part, Sheet, write_sheet
from alfred.report.table import Cell, Column, Table

FILE = "explanation.html"
BARS, LINES, NAMED, TOLD, FORECASTS = 25, 6, 6, 5, 100
"""Most columns in a plot, groups over time, groups beside names, columns told of a forecast, and forecasts told."""
LETTERS = 18
"""Of a name beside a bar, on a narrow screen."""
VALUE = NumberStyle(5)
CHANGE = NumberStyle(5, signed=True)
TURN = NumberStyle(2, signed=True)


def write_explanation(folder: Path) -> Path:
    """Write the page of an explanation into its folder, whole or not at all; returns its path.

    Raises:
        DataError: the folder holds no explanation.
    """
    return write_sheet(folder / FILE, explanation_sheet(folder))


def explanation_sheet(folder: Path) -> Sheet:
    """The page of an explanation.

    Raises:
        DataError: the folder holds no explanation.
    """
    about = load_explanation(folder)
    columns, groups, dates, names, values = (
        pl.read_parquet(folder / f"{name}.parquet", glob=False)
        for name in ("columns", "groups", "dates", "names", "values")
    )
    over_time = _lines(dates, groups["group"].head(LINES).to_list())
    return Sheet(
        title=f"{about.analyst} explained",
        headline=headline(about, columns),
        warnings=_warnings(about, columns),
        imprint=f"Run {about.run}, {about.analyst}, seed {about.seed}",
        links=(("The run's report", "../../report.html"),) if (folder.parents[1] / "report.html").is_file() else (),
        parts=(
            Part("about", "About", "What was explained", facts=_facts(about)),
            Part(
                "columns", "Columns", "What moves the forecasts",
                plots=(column_plot(columns, about),), tables=(_column_table(columns),),
            ),
            Part(
                "groups", "Groups", "Columns that say the same",
                plots=(_group_bars(groups),), tables=(_group_table(groups),),
            ),
            Part(
                "parts", "Dates and names", "By date and by name",
                plots=(over_time,) if dates["as_of"].n_unique() > 1 else (),
                tables=(_name_table(names, groups["group"].head(NAMED).to_list()),),
            ),
            Part("forecasts", "Forecasts", "Forecast by forecast", tables=(_forecast_table(values),)),
        ),
    )  # fmt: skip


def headline(about: Explanation, columns: pl.DataFrame) -> str:
    """What moves the analyst most, in a sentence."""
    told = columns.filter(pl.col("mean_abs") > 0).head(3)
    if told.is_empty():
        return f"{about.analyst} forecasts the same for every row: no column moves it."
    first = ", ".join(f"{row['column']} ({PERCENT.text(row['share'])})" for row in told.iter_rows(named=True))
    beside = ""
    if "above" in columns.columns:
        above = int(columns["above"].fill_null(value=False).sum())
        beside = f" {above} of {len(columns)} columns {'rises' if above == 1 else 'rise'} above what noise reaches."
    return f"What moves {about.analyst} most: {first}.{beside}"


def _facts(about: Explanation) -> tuple[tuple[str, str], ...]:
    exact = "exact" if not about.noise else f"standard error {PERCENT.text(about.noise)} of the mean absolute value"
    control, background = "none", about.request.sampling.background
    if about.shuffles:
        control = (
            f"{about.shuffles} shuffles of the {about.control_kind}; noise alone shows one above in {about.chance:.0%} "
            "of cases"
        )
    return (
        ("Run", about.run),
        ("Forecasts", f"{COUNT.text(about.rows)} of {COUNT.text(about.of_rows)} test forecasts of {about.target}"),
        ("Decision dates", f"{about.first} to {about.last}"),
        ("Seed", str(about.seed)),
        ("Method", f"{about.method}; {exact}"),
        ("Base", f"{VALUE.text(about.base)} on average: each fit's mean forecast of {background} of its training rows"),
        ("Largest gap", f"{about.largest_gap:.1e} of a forecast, where 0.001 would be an error"),
        ("Noise line", control),
    )


def _warnings(about: Explanation, columns: pl.DataFrame) -> tuple[str, ...]:
    found = [
        (
            "These are test forecasts. They tell what the analyst does, not what is true of markets, and whoever drops "
            "columns by them has chosen on the test: `alfred select` chooses on earlier rows and judges on later ones."
        )
    ]
    if not about.shuffles:
        found.append("No control was made: nothing on this page tells importance from noise.")
    elif not columns["above"].fill_null(value=False).any():
        found.append("No column rises above what noise reaches: do not read a story into the order below.")
    if about.noise > 0.5:
        found.append(
            f"Values are sampled, with a standard error of {PERCENT.text(about.noise)} of their mean size; ask for "
            "more samples before single values are believed."
        )
    return tuple(found)


def column_plot(columns: pl.DataFrame, about: Explanation, key: str = "plot-columns", title: str = "Columns") -> Plot:
    """Importance of the largest columns, with the line that noise reaches where there was a control."""
    shown = columns.filter(pl.col("mean_abs") > 0).head(BARS)
    names = [plain(name) for name in shown["column"]]
    marked = "above" in shown.columns
    above = shown["above"].fill_null(value=False).to_list() if marked else [True] * len(names)
    trace = _bar(names, shown, ["@accent" if risen else "@muted/0.6" for risen in above])
    data = [trace]
    caption = "Mean absolute Shapley value of each column, in units of the label; whiskers over blocks of quarters."
    if marked:
        data.append(
            {
                "type": "scatter", "mode": "markers", "x": [significant(v) for v in shown["line"].fill_null(0.0)],
                "y": names, "name": "noise line",
                "marker": {"symbol": "line-ns-open", "size": 14, "color": "@worse", "line": {"width": 2}},
                "hovertemplate": "noise reaches %{x:.5f}<extra></extra>",
            }
        )  # fmt: skip
        caption += (
            " Upright marks: the largest importance that noise reached. Grey columns do not rise above it, in the "
            "control's own fits."
        )
    return _upright(key, title, caption, f"Importance of {len(names)} columns of {about.analyst}.", data, names)


def _group_bars(groups: pl.DataFrame) -> Plot:
    shown = groups.filter(pl.col("mean_abs") > 0).head(BARS)
    names = [plain(name) for name in shown["group"]]
    data = [_bar(names, shown, ["@s1"] * len(names))]
    return _upright(
        "plot-groups",
        "Groups of correlated columns",
        "Values of columns that move together are added up before their size is taken: what one of them could say for "
        "another is counted once.",
        f"Importance of {len(names)} groups.",
        data,
        names,
    )


def _bar(names: list[str], shown: pl.DataFrame, colours: list[str]) -> Json:
    value = shown["mean_abs"].to_list()
    upper, lower = (shown[end].fill_null(shown["mean_abs"]).to_list() for end in ("upper", "lower"))
    return {
        "type": "bar", "orientation": "h", "x": [significant(v) for v in value], "y": names,
        "marker": {"color": colours},
        "error_x": {
            "type": "data", "symmetric": False, "array": [max(0.0, u - v) for u, v in zip(upper, value, strict=True)],
            "arrayminus": [max(0.0, v - w) for w, v in zip(lower, value, strict=True)], "color": "@soft",
            "thickness": 1, "width": 3,
        },
        "hovertemplate": "%{y}: %{x:.5f}<extra></extra>",
    }  # fmt: skip


def _upright(  # noqa: PLR0917 - a plot's words, and what it draws
    key: str, title: str, caption: str, label: str, data: list[Json], names: list[str]
) -> Plot:
    ticks = {"tickmode": "array", "tickvals": names, "ticktext": names, "tickfont": {"color": "@ink"}}
    y = axis("", {"autorange": "reversed", "showgrid": False, **ticks})
    x = axis("mean |Shapley value|, units of the label", {"rangemode": "tozero", "nticks": 7})
    height, short = 90 + 22 * max(3, len(names)), [plain(_short(unescape(name))) for name in names]
    return Plot(
        key, title, caption, label, data, layout(x, y, {"bargap": 0.35}), height=height, phone_height=height,
        phone={"font.size": 9.5, "xaxis.nticks": 3, "yaxis.ticktext": short},
    )  # fmt: skip


def _short(name: str) -> str:
    """A name for the axis of a narrow screen: its beginning and its end, in which names of one family differ."""
    half = LETTERS // 2
    return name if len(name) <= LETTERS else f"{name[:half]}…{name[1 - half :]}"


def _lines(dates: pl.DataFrame, largest: list[str]) -> Plot:
    data: list[Json] = []
    legend = []
    for at, group in enumerate(largest):
        own = dates.filter(pl.col("group") == group).sort("as_of")
        series = Series(f"g{at}", group, f"@s{at % HUES}")
        legend.append(series)
        data.append(
            {
                "type": "scatter", "mode": "lines", "name": plain(group), "meta": series.key,
                "x": [str(day) for day in own["as_of"]], "y": [significant(v) for v in own["mean"]],
                "line": {"color": series.colour, "width": 1.6},
                "hovertemplate": "%{x}: %{y:+.5f}<extra>%{fullData.name}</extra>",
            }
        )  # fmt: skip
    return Plot(
        "plot-dates",
        "By date",
        "Mean value of the largest groups on each decision date: above zero they raised the date's forecasts.",
        f"Mean values of {len(largest)} groups by date.",
        data,
        layout(axis("decision date", {"type": "date"}), axis("mean value", {"zeroline": True})),
        legend=tuple(legend),
    )


def _number(value: float | None, style: NumberStyle) -> Cell:
    return Cell(style.text(value), sort=value)


def _column_table(columns: pl.DataFrame) -> Table:
    marked = "above" in columns.columns
    heads = [
        Column("Column"), Column("Group"), Column("Mean |value|", numeric=True), Column("Share", numeric=True),
        Column("Mean", numeric=True),
        Column("Direction", numeric=True, title="correlation of the column's own number with its value"),
        Column("Error", numeric=True, title="standard error of one value, from sampling"),
    ]  # fmt: skip
    if marked:
        heads += [
            Column("Beside noise", numeric=True, title="importance in the control's fits, which have copies as well"),
            Column("Noise line", numeric=True),
            Column("Rises above"),
        ]
    rows = []
    for row in columns.iter_rows(named=True):
        cells = [
            Cell(row["column"]), Cell(row["group"]), _number(row["mean_abs"], VALUE), _number(row["share"], PERCENT),
            _number(row["mean"], CHANGE), _number(row["direction"], TURN), _number(row["error"], VALUE),
        ]  # fmt: skip
        if marked:
            told = "" if row["above"] is None else "yes" if row["above"] else "no"
            cells += [_number(row["control_importance"], VALUE), _number(row["line"], VALUE), Cell(told)]
        rows.append(tuple(cells))
    return Table("Every column, the largest first", tuple(heads), tuple(rows))


def _group_table(groups: pl.DataFrame) -> Table:
    heads = (
        Column("Group"), Column("Columns"), Column("Least correlation", numeric=True),
        Column("Mean |value|", numeric=True), Column("Share", numeric=True), Column("Mean", numeric=True),
    )  # fmt: skip
    rows = tuple(
        (
            Cell(row["group"]), Cell(row["columns"]), _number(row["likeness"], NumberStyle(2)),
            _number(row["mean_abs"], VALUE), _number(row["share"], PERCENT), _number(row["mean"], CHANGE),
        )
        for row in groups.iter_rows(named=True)
    )  # fmt: skip
    return Table("Every group of correlated columns", heads, rows)


def _name_table(names: pl.DataFrame, largest: list[str]) -> Table:
    heads = (Column("Name"), Column("Rows", numeric=True), *(Column(group, numeric=True) for group in largest))
    rows = []
    for (symbol,), own in names.group_by("symbol", maintain_order=True):
        mean = dict(zip(own["group"], own["mean"], strict=True))
        count = int(own["rows"][0])
        cells = [Cell(str(symbol)), Cell(COUNT.text(count), sort=count)]
        rows.append((*cells, *(_number(mean.get(group), CHANGE) for group in largest)))
    return Table("Mean value of the largest groups for each name", heads, tuple(rows))


def _forecast_table(values: pl.DataFrame) -> Table:
    heads = (
        Column("Name"), Column("Date", whole=True), Column("Forecast", numeric=True), Column("Base", numeric=True),
        Column("What moved it"),
    )  # fmt: skip
    own = [name for name in values.columns if name.startswith("value:")]
    rows = []
    for row in values.sort("as_of", descending=True).head(FORECASTS).iter_rows(named=True):
        largest = sorted(own, key=lambda name: -abs(row[name]))[:TOLD]
        told = [f"{name.removeprefix('value:')}\u00a0{CHANGE.text(row[name])}" for name in largest if row[name]]
        rest = row["forecast"] - row["base"] - sum(row[name] for name in largest)
        rows.append(
            (
                Cell(row["symbol"]), Cell(str(row["as_of"])), _number(row["forecast"], VALUE),
                _number(row["base"], VALUE), Cell("; ".join(told), (f"all else {CHANGE.text(rest)}",)),
            )
        )  # fmt: skip
    return Table(
        f"Forecasts, the latest first, with the {TOLD} columns that moved each most. Base and values add up to the "
        "forecast",
        heads,
        tuple(rows),
    )
