"""What went in: data, baskets, panel columns and folds, and what is missing from each."""

from dataclasses import dataclass

import numpy as np

from alfred.experiments.record import FoldSummary, LeftOut, RunRecord
from alfred.report.format import COUNT, PERCENT
from alfred.report.palette import Series
from alfred.report.plot import Json, Plot, axis, layout
from alfred.report.table import Cell, Column, Table, texts


@dataclass(frozen=True)
class DataSection:
    """Facts are pairs of term and description."""

    facts: tuple[tuple[str, str], ...]
    missing: Table | None
    training_basket: tuple[str, ...]
    evaluation_basket: tuple[str, ...]
    labels: Table | None
    columns: Table | None
    left_out: Table | None
    folds: Table | None
    plot: Plot | None


def data_section(record: RunRecord) -> DataSection:
    """Everything the reader must know about the data before a figure is believed."""
    data, panel = record.data, record.panel
    versions = ", ".join(f"{table} v{version}" for table, version in data.versions.items())
    facts = (
        ("Provider", data.provider),
        ("Span", f"{data.first} to {data.last}, {COUNT.text(data.sessions)} sessions"),
        ("Symbols", COUNT.text(data.symbols)),
        ("Universe", f"members of {panel.members} on each date" if panel.members else "every name with a price"),
        ("Table versions", versions or "none recorded"),
        ("Decision dates", f"{COUNT.text(panel.dates)} from {panel.first} to {panel.last}"),
        ("Rows without a label", COUNT.text(panel.rows_without_label)),
        ("Panel digest", panel.digest),
    )
    return DataSection(
        facts,
        _reasons("What the data don't have", "What", data.missing),
        record.training_basket,
        record.evaluation_basket,
        _labels(panel.labels),
        _columns(record),
        _reasons("Columns left out of the panel", "Column", panel.left_out),
        _folds(record.folds),
        _fold_plot(record.folds) if record.folds else None,
    )


def _reasons(caption: str, what: str, entries: tuple[LeftOut, ...]) -> Table | None:
    if not entries:
        return None
    rows = tuple(texts((entry.name, entry.reason)) for entry in entries)
    return Table(caption, (Column(what), Column("Why")), rows)


def _labels(counts: dict[str, int]) -> Table | None:
    if not counts:
        return None
    rows = tuple((Cell(way), Cell(COUNT.text(count), sort=count)) for way, count in counts.items())
    return Table("How the labels came about", (Column("How they came about"), Column("Rows", numeric=True)), rows)


def _columns(record: RunRecord) -> Table | None:
    panel = record.panel
    if not panel.columns:
        return None
    shares = [panel.missing_share.get(name) for name in panel.columns]
    rows = tuple(
        (Cell(name), Cell(PERCENT.text(share), sort=share)) for name, share in zip(panel.columns, shares, strict=True)
    )
    return Table("Feature columns used", (Column("Column"), Column("Cells missing", numeric=True)), rows)


def _folds(folds: tuple[FoldSummary, ...]) -> Table | None:
    if not folds:
        return None
    columns = (
        Column("Fold", numeric=True),
        Column("Training", whole=True),
        Column("Rows", numeric=True),
        Column("Validation", whole=True),
        Column("Rows", numeric=True),
        Column("Test", whole=True),
        Column("Rows", numeric=True),
    )
    rows = []
    for number, fold in enumerate(folds, 1):
        row = [Cell(str(number), sort=number)]
        for first, last, count in _parts(fold):
            row += [Cell(f"{first} to {last}"), Cell(COUNT.text(count), sort=count)]
        rows.append(tuple(row))
    return Table("Folds of the walk-forward", columns, tuple(rows))


def _parts(fold: FoldSummary) -> tuple[tuple[str, str, int], ...]:
    return (
        (fold.train_first, fold.train_last, fold.train_rows),
        (fold.valid_first, fold.valid_last, fold.valid_rows),
        (fold.test_first, fold.test_last, fold.test_rows),
    )


def _fold_plot(folds: tuple[FoldSummary, ...]) -> Plot:
    count = len(folds)
    row = max(7, min(24, 420 // count))
    legend = (
        Series("train", "training", "@muted", width=6),
        Series("valid", "validation", "@s1", width=6),
        Series("test", "test", "@accent", width=6),
    )
    traces = [_spans(folds, part, series) for part, series in enumerate(legend)]
    step = max(1, round(count / 12))
    y_axis = axis("fold", {"range": [count + 0.7, 0.3], "showgrid": False, "tick0": 1, "dtick": step})
    height = 90 + row * count
    return Plot(
        "plot-folds",
        "Walk-forward",
        "Each row is one fold: only what lies to the left of a test span could have shaped the forecasts made in it.",
        f"Spans of training, validation and test over time for {count} folds.",
        traces,
        layout(axis("date", {"type": "date"}), y_axis, {"barmode": "overlay", "bargap": 0.35}),
        height=height,
        phone_height=height,
        legend=legend,
    )


def _spans(folds: tuple[FoldSummary, ...], part: int, series: Series) -> Json:
    """One bar a fold from the part's first to its last date; plotly takes a date axis' lengths in milliseconds."""
    spans = [_parts(fold)[part] for fold in folds]
    lengths = [(np.datetime64(last) - np.datetime64(first)).astype("timedelta64[ms]") for first, last, _ in spans]
    return {
        "type": "bar",
        "orientation": "h",
        "name": series.label,
        "meta": series.key,
        "base": [first for first, _, _ in spans],
        "x": [int(length.astype(np.int64)) for length in lengths],
        "y": list(range(1, len(folds) + 1)),
        "text": [f"{first} to {last}, {rows:,} rows" for first, last, rows in spans],
        "textposition": "none",
        "marker": {"color": series.colour, "line": {"width": 0}},
        "hovertemplate": "fold %{y}<br>%{text}<extra>%{fullData.name}</extra>",
    }
