"""Tables from elsewhere, as evidence: a panel with one row a date and symbol, and perhaps predictions."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from alfred.core.calendar import Dates, day
from alfred.core.contracts import Floats
from alfred.core.errors import ConfigError, DataError
from alfred.core.settings import Settings, suggestion
from alfred.evaluation.audit import Evidence, FoldRows, LabelEvidence, PanelEvidence, Rows

MOST_CELLS = 400_000_000
"""Cells of the largest panel that is examined, 3.2 GB."""
PARTS = {
    "train": "train", "training": "train", "fit": "train", "in-sample": "train",
    "valid": "valid", "validation": "valid", "val": "valid", "dev": "valid",
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test", "out-of-sample": "test",
}  # fmt: skip
"""What tables call the parts."""
PREDICTION_NAMES = ("prediction", "mean", "forecast", "pred", "y_pred", "yhat", "score")


class ForeignTable(Settings):
    """Where a table lies and what its columns are called; an empty name means that there is no such column.

    Attributes:
        panel: Parquet or CSV, one row a date and symbol; every other numeric column is a feature.
        label: column that is to be forecast. One of 0 and 1 is a direction; one that averages 0 on each date is
            relative to the other names; any other is taken for a relative change.
        date, symbol: columns of the key; a date is the day on which the row is used.
        known_at: day or instant at which a row's last value became known.
        period_end: end of the period that the row's accounts are about.
        part: column that tells training, validation and test rows, of the predictions or of the panel.
        scores: columns made by a language model.
        knowledge_cutoff: day (ISO) up to which that model knows the world.
        ignore: columns that are no features, such as further labels.
        horizon: dates of the table from a row to the date of its label.
        predictions: Parquet or CSV with date, symbol and `prediction`; perhaps analyst, seed, fold and `part`.
        prediction: column of the forecast; default the first of the usual names.
        protocol: question that the split is meant to answer, of `alfred.evaluation.protocols`; empty where unknown.
    """

    panel: Path
    label: str
    date: str = "date"
    symbol: str = "symbol"
    known_at: str = ""
    period_end: str = ""
    part: str = ""
    scores: tuple[str, ...] = ()
    knowledge_cutoff: str = ""
    ignore: tuple[str, ...] = ()
    horizon: int = 1
    predictions: Path | None = None
    prediction: str = ""
    protocol: str = ""


@dataclass(frozen=True)
class ForeignEvidence:
    """Evidence of a table, and the columns that are no numbers and were not looked at."""

    evidence: Evidence
    skipped: tuple[str, ...]


def foreign_evidence(table: ForeignTable) -> ForeignEvidence:
    """Read tables from elsewhere.

    Raises:
        ConfigError: a file or column is not there.
        DataError: a key is missing or stands twice, or the table is too large.
    """
    if table.horizon < 1:
        raise ConfigError(f"--horizon must be at least 1, got {table.horizon}.")
    rows = _read(table.panel)
    _require(rows, table.panel, table.label, *_named(table))
    grid = _Grid.of(rows, table)
    apart = {table.label, table.part, *_named(table), *table.ignore}
    numeric = [name for name in rows.columns if name not in apart and rows[name].dtype.is_numeric()]
    numeric += [name for name in rows.columns if name not in apart and rows[name].dtype == pl.Boolean]
    skipped = tuple(name for name in rows.columns if name not in apart and name not in numeric)
    if not numeric:
        raise DataError(f"{table.panel} has no numeric column besides its key and label; there is nothing to examine.")
    if grid.size * len(numeric) > MOST_CELLS:
        raise DataError(
            f"{table.panel} spans {grid.size * len(numeric):,} cells of dates, symbols and columns, more than "
            f"{MOST_CELLS:,}; give rows on common dates, or examine a part of the columns."
        )
    # One column after another lies together, because checks go column by column.
    cells = np.empty((len(numeric), *grid.shape))
    for at, name in enumerate(numeric):
        cells[at] = grid.place(rows[name])
    cells[~np.isfinite(cells)] = np.nan
    panel = PanelEvidence(grid.dates, grid.symbols, tuple(numeric), np.moveaxis(cells, 0, 2), grid.present)
    evidence = Evidence(
        panel=panel,
        label=_label(table, grid.place(rows[table.label])),
        known_at=grid.days(rows, table.known_at),
        period_end=grid.days(rows, table.period_end),
        protocol=table.protocol or None,
        language_columns=table.scores or None,
        knowledge_cutoff=day(table.knowledge_cutoff) if table.knowledge_cutoff else None,
    )
    return ForeignEvidence(_with_predictions(evidence, table, rows), skipped)


@dataclass(frozen=True)
class _Grid:
    """Dates and symbols of a table, and the place of each of its rows among them."""

    dates: Dates
    symbols: tuple[str, ...]
    row: NDArray[np.int64]
    column: NDArray[np.int64]

    @classmethod
    def of(cls, rows: pl.DataFrame, table: ForeignTable) -> "_Grid":
        days = _days(rows, table.date, table.panel)
        names = rows[table.symbol].cast(pl.String)
        if days.null_count() or names.null_count() or rows.is_empty():
            raise DataError(
                f"{table.panel} has {days.null_count()} row(s) without a date and {names.null_count()} without a "
                f"symbol among {len(rows):,}; every row needs both."
            )
        twice = pl.DataFrame({"date": days, "symbol": names}).is_duplicated()
        if twice.any():
            first = int(twice.arg_max() or 0)
            raise DataError(
                f"{table.panel} has {int(twice.sum()):,} rows that share date and symbol, such as {names[first]} on "
                f"{days[first]}; a panel has one row for each."
            )
        dates, symbols = days.unique().sort(), names.unique().sort()
        return cls(
            dates.to_numpy().astype("datetime64[D]"),
            tuple(symbols),
            dates.search_sorted(days).to_numpy().astype(np.int64),
            symbols.search_sorted(names).to_numpy().astype(np.int64),
        )

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.dates), len(self.symbols)

    @property
    def size(self) -> int:
        return len(self.dates) * len(self.symbols)

    @property
    def present(self) -> NDArray[np.bool_]:
        there = np.zeros(self.shape, np.bool_)
        there[self.row, self.column] = True
        return there

    def place(self, values: pl.Series) -> Floats:
        """(D, S) values, NaN where missing."""
        found = np.full(self.shape, np.nan)
        found[self.row, self.column] = values.cast(pl.Float64).fill_null(np.nan).to_numpy()
        return found

    def days(self, rows: pl.DataFrame, name: str) -> Dates | None:
        """(D, S) days of a column, NaT where missing; None without a column."""
        if not name:
            return None
        found: Dates = np.full(self.shape, np.datetime64("NaT", "D"))
        found[self.row, self.column] = _days(rows, name, Path(name)).to_numpy().astype("datetime64[D]")
        return found


def _label(table: ForeignTable, values: Floats) -> LabelEvidence:
    """The label; when the last ones were realised nobody says, so `realised_on` is not at hand."""
    known = np.isfinite(values)
    if not known.any():
        raise DataError(f"the label {table.label!r} has no value; name the column that is to be forecast.")
    direction = np.isin(values[known], (0.0, 1.0)).all()
    counts = known.sum(axis=1)
    means = np.where(known, values, 0.0).sum(axis=1)[counts > 1] / counts[counts > 1]
    centred = len(means) > 0 and np.abs(means).max() < 1e-3 * max(float(np.nanstd(values)), 1e-300)
    relative = None if direction or centred else values
    return LabelEvidence(table.label, values, table.horizon, relative)


def _with_predictions(evidence: Evidence, table: ForeignTable, rows: pl.DataFrame) -> Evidence:
    said = None
    if table.predictions is not None:
        said = _keyed(_read(table.predictions), table.predictions, table)
    if table.part:
        keyed = said if said is not None and table.part in said.columns else _keyed(rows, table.panel, table)
        evidence = replace(evidence, folds=_folds(keyed, table, evidence))
        if said is not None and table.part in said.columns:
            said = said.filter(_part(said, table) == "test")
    if said is None:
        return evidence
    name = table.prediction or next((known for known in PREDICTION_NAMES if known in said.columns), "")
    _require(said, Path(str(table.predictions)), name or "prediction")
    kept = [other for other in ("analyst", "seed", "fold") if other in said.columns]
    if "fold" in kept:
        said = said.with_columns(pl.col("fold").rank("dense").cast(pl.Int64) - 1)
    predictions = said.select("date", "symbol", pl.col(name).cast(pl.Float64).alias("mean"), *kept)
    return replace(evidence, predictions=predictions.join(_came(evidence), on=["date", "symbol"], how="left"))


def _came(evidence: Evidence) -> pl.DataFrame:
    """Columns date, symbol, label of all rows that have one."""
    panel, label = evidence.panel, evidence.label
    if panel is None or label is None:
        return pl.DataFrame(schema={"date": pl.Date, "symbol": pl.String, "label": pl.Float64})
    row, column = np.nonzero(np.isfinite(label.values))
    return pl.DataFrame(
        {
            "date": panel.dates[row],
            "symbol": np.array(panel.symbols, dtype=object)[column],
            "label": label.values[row, column],
        },
        schema_overrides={"date": pl.Date, "symbol": pl.String},
    )


def _keyed(rows: pl.DataFrame, path: Path, table: ForeignTable) -> pl.DataFrame:
    """The table with its key in the columns date and symbol."""
    _require(rows, path, table.date, table.symbol)
    days, names = _days(rows, table.date, path).alias("date"), rows[table.symbol].cast(pl.String).alias("symbol")
    return rows.drop(table.date, table.symbol).with_columns(days, names)


def _part(rows: pl.DataFrame, table: ForeignTable) -> pl.Series:
    said = rows[table.part].cast(pl.String).str.to_lowercase().str.strip_chars()
    unknown = [name for name in said.unique().drop_nulls().to_list() if name not in PARTS]
    if unknown:
        raise ConfigError(
            f"the column {table.part!r} calls parts {', '.join(sorted(unknown))}; known are {', '.join(PARTS)}."
        )
    return said.replace_strict(PARTS)


def _folds(rows: pl.DataFrame, table: ForeignTable, evidence: Evidence) -> tuple[FoldRows, ...]:
    """Rows of the parts, fold by fold where the table has a column of that name."""
    parted = rows.with_columns(_part(rows, table).alias("part"))
    number = pl.col("fold") if "fold" in parted.columns else pl.lit(0).alias("fold")
    found = []
    for _, of_fold in parted.with_columns(number).sort("fold").group_by("fold", maintain_order=True):
        parts = {name: of_fold.filter(pl.col("part") == name) for name in ("train", "valid", "test")}
        if parts["train"].is_empty() or parts["test"].is_empty():
            raise DataError(f"the column {table.part!r} must tell both training and test rows of every fold.")
        valid = None if parts["valid"].is_empty() else _part_rows(parts["valid"], table, evidence)
        train, test = (_part_rows(parts[name], table, evidence) for name in ("train", "test"))
        found.append(FoldRows(train, test, valid))
    return tuple(found)


def _part_rows(rows: pl.DataFrame, table: ForeignTable, evidence: Evidence) -> Rows:
    dates = rows["date"].to_numpy().astype("datetime64[D]")
    if evidence.panel is None:
        return Rows(dates, rows["symbol"].to_numpy())
    every = evidence.panel.dates
    at = np.minimum(np.searchsorted(every, dates) + table.horizon, len(every) - 1)
    return Rows(dates, rows["symbol"].to_numpy().astype(str), every[at])


def _named(table: ForeignTable) -> tuple[str, ...]:
    """Columns of the panel that the settings name besides the label."""
    part = table.part if table.predictions is None else ""
    return tuple(filter(None, (table.date, table.symbol, table.known_at, table.period_end, part)))


def _read(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise ConfigError(f"there is no file {path}; give a Parquet or CSV file.")
    try:
        if path.suffix.lower() in {".csv", ".txt", ".tsv"}:
            separator = "\t" if path.suffix.lower() == ".tsv" else ","
            return pl.read_csv(path, separator=separator, infer_schema_length=None, try_parse_dates=True, glob=False)
        return pl.read_parquet(path, glob=False)
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{path} cannot be read as a table: {error}.") from error


def _days(rows: pl.DataFrame, name: str, path: Path) -> pl.Series:
    column = rows[name]
    try:
        if column.dtype == pl.String:
            return column.str.slice(0, 10).str.to_date("%Y-%m-%d")
        return column.cast(pl.Date)
    except pl.exceptions.PolarsError as error:
        raise DataError(f"column {name!r} of {path} holds no dates such as 2004-03-31: {error}.") from error


def _require(rows: pl.DataFrame, path: Path, *names: str) -> None:
    for name in names:
        if name not in rows.columns:
            raise ConfigError(f"{path} has no column {name!r}; {suggestion(name, rows.columns)}")
