"""Learning curves and rank IC by quarter."""

import statistics
from dataclasses import dataclass

import polars as pl

from alfred.core.calendar import quarter_name
from alfred.report.format import significant
from alfred.report.palette import Series, is_naive
from alfred.report.plot import Json, Plot, axis, layout, plain, rule

_SETTLING = 8


def learning_plots(curves: pl.DataFrame, series: dict[str, Series]) -> tuple[Plot, ...]:
    """One plot for every analyst that learns in epochs: median loss over folds and seeds, with quartiles."""
    found: list[Plot] = []
    for name, line in series.items():
        own = curves.filter(pl.col("analyst") == name)
        if not own.is_empty():
            found.append(_learning_plot(own, line, f"plot-learning-{len(found)}"))
    return tuple(found)


def _learning_plot(own: pl.DataFrame, line: Series, key: str) -> Plot:
    runs = own.select("fold", "seed").n_unique()
    # Runs stop at different epochs. Once fewer than half are left, their median says more about who is left than
    # about learning.
    by_epoch = own.group_by("epoch").agg(
        pl.len().alias("runs"), *[_quantile(part, at) for part in ("train", "valid") for at in (0.25, 0.5, 0.75)]
    )
    shown = by_epoch.filter(pl.col("runs") * 2 >= runs).sort("epoch")
    epochs = shown["epoch"].to_list()
    traces: list[Json] = []
    for part, label, colour, dash in (
        ("train", "training", "@muted", "dash"),
        ("valid", "validation", line.colour, "solid"),
    ):
        low, mid, high = ([_short(v) for v in shown[f"{part}_{at}"]] for at in (0.25, 0.5, 0.75))
        traces.append(_band(epochs, low, high, f"{colour}/0.15"))
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers" if len(epochs) < 3 else "lines",
                "name": label,
                "x": epochs,
                "y": mid,
                "line": {"color": colour, "width": 2, "dash": dash},
                "hovertemplate": f"epoch %{{x}}, {label} %{{y:.4f}}<extra></extra>",
            }
        )
    best = [int(epoch) for epoch in own.filter(pl.col("best"))["epoch"]]
    middle = statistics.median(best) if best else None
    shapes: list[Json] = []
    told = "no best epoch is recorded"
    if middle is not None:
        traces.append(_best_epochs(best))
        shapes.append(rule(x=middle, colour="@ink"))
        told = f"best epoch (dotted) has median {middle:g}, ticks below are single runs"
    return Plot(
        key,
        line.label,
        f"Median loss of {runs} runs (folds times seeds) with its middle half, while at least half still train; "
        f"{told}. Validation turning up while training falls is overfitting.",
        f"Training and validation loss by epoch of {line.label}.",
        traces,
        layout(
            axis("epoch", {"rangemode": "tozero", "showgrid": False, "anchor": "y2"}),
            axis("loss", {"nticks": 6, "domain": [0.08, 1]}),
            {"shapes": shapes, "yaxis2": {"domain": [0, 0.05], "visible": False, "fixedrange": True}},
        ),
        height=320,
        phone_height=290,
        legend=(
            Series("train", "training", "@muted", "dash", 2),
            Series("valid", "validation", line.colour, "solid", 2),
        ),
    )


def _quantile(part: str, at: float) -> pl.Expr:
    loss = pl.col(f"{part}_loss").fill_nan(None)
    return loss.quantile(at, interpolation="linear").alias(f"{part}_{at}")


def _short(value: float | None) -> float | None:
    return None if value is None else significant(value)


def _band(x: list[int], low: list[float | None], high: list[float | None], colour: str) -> Json:
    """The area between two curves as one closed outline; places without a value are left out."""
    whole = [(at, a, b) for at, a, b in zip(x, low, high, strict=True) if a is not None and b is not None]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [at for at, _, _ in whole] + [at for at, _, _ in reversed(whole)],
        "y": [b for _, _, b in whole] + [a for _, a, _ in reversed(whole)],
        "fill": "toself",
        "fillcolor": colour,
        "line": {"width": 0, "color": colour},
        "hoverinfo": "skip",
    }


def _best_epochs(best: list[int]) -> Json:
    return {
        "type": "scatter",
        "mode": "markers",
        "yaxis": "y2",
        "x": best,
        "y": [0] * len(best),
        "marker": {"symbol": "line-ns-open", "size": 9, "color": "@soft/0.5", "line": {"width": 1}},
        "hovertemplate": "best epoch %{x} of one run<extra></extra>",
    }


@dataclass(frozen=True)
class QuarterSection:
    """The plot, if any analyst has a rank IC, and the analysts that have none."""

    plot: Plot | None
    without: tuple[str, ...]


def quarter_section(quarters: pl.DataFrame, series: dict[str, Series]) -> QuarterSection:
    """Rank IC of each test quarter as bars, and its mean so far as a line; one analyst at a time."""
    known = quarters.with_columns(pl.col("rank_ic").cast(pl.Float64).fill_nan(None)).drop_nulls("rank_ic")
    traces: list[Json] = []
    legend, without = [], []
    for name, line in sorted(series.items(), key=lambda entry: is_naive(entry[0])):
        own = known.filter(pl.col("analyst") == name).sort("as_of")
        if own.is_empty():
            without.append(name)
            continue
        legend.append(line)
        dates = own["as_of"].to_numpy().astype("datetime64[D]")
        mean = (own["rank_ic"].cum_sum() / pl.Series(range(1, own.height + 1))).to_list()
        # The mean of the first few quarters is noise that would set the scale of the whole line.
        settled = [
            value if at >= _SETTLING or own.height <= 2 * _SETTLING else None for at, value in enumerate(mean, 1)
        ]
        names = [quarter_name(date) for date in dates]
        shared: Json = {"meta": line.key, "x": [str(date) for date in dates], "customdata": names}
        bar: Json = {"type": "bar", "marker": {"color": line.faint(0.45)}, "name": plain(name)}
        path: Json = {
            "type": "scatter",
            "mode": "lines",
            "line": {"color": line.colour, "width": 2},
            "name": plain(name),
            "yaxis": "y2",
        }
        for trace, values, what in ((bar, own["rank_ic"].to_list(), "rank IC"), (path, settled, "mean so far")):
            hover = f"%{{customdata}}<br>{what} %{{y:+.3f}}<extra>%{{fullData.name}}</extra>"
            traces.append(
                shared | trace | {"y": [None if v is None else round(v, 4) for v in values], "hovertemplate": hover}
            )
    if not traces:
        return QuarterSection(None, tuple(without))
    zero = {"zeroline": True, "zerolinecolor": "@soft"}
    plot = Plot(
        "plot-quarters",
        "Rank IC by quarter",
        "Above, single test quarters by the date of their forecasts; below, on a finer scale, the mean of all quarters "
        f"so far (where there are many, from the {_SETTLING}th on). Skill shows as a line that settles above zero, not "
        "as a few tall bars.",
        "Rank IC of every test quarter and its running mean, for the analyst chosen.",
        traces,
        layout(
            axis("decision date", {"type": "date", "showgrid": False, "anchor": "y2"}),
            axis("rank IC", {"domain": [0.42, 1], "range": [-1.05, 1.05], "tickformat": ".1f"} | zero),
            {
                "bargap": 0.25,
                "yaxis2": axis("mean so far", {"domain": [0, 0.34], "tickformat": ".2f", "nticks": 5} | zero),
            },
        ),
        height=460,
        phone_height=420,
        legend=tuple(legend),
        pick="one",
    )
    return QuarterSection(plot, tuple(without))
