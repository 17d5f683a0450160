"""The panel: dates by symbols by features, with masks, and beside them, as another type, the labels."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from alfred.core.calendar import Dates, quarter_index
from alfred.core.contracts import Bools, Floats
from alfred.core.digest import digest_of
from alfred.core.errors import ConfigError, DataError, LeakError
from alfred.core.settings import suggestion
from alfred.core.storage import write_whole


@dataclass(frozen=True)
class Labels:
    """What came after each decision date. Never among the features, and never handed to a forecast.

    Attributes:
        horizon_quarters: quarters from the decision date to the label's.
        realised_on: decision date on which the label became known, NaT where that lies after the data's end: (D,), or
            (D, S) where it differs from name to name, as with what companies file.
        values: label name (PQ, PM, excess, ...) to (D, S), NaN where it is not known.
        origin: (D, S) how each label came about, or why there is none: a position in `origins`.
        origins: what the positions mean, such as "traded" or "delisting return".
    """

    horizon_quarters: int
    realised_on: Dates
    values: dict[str, Floats]
    origin: NDArray[np.int8] = field(default_factory=lambda: np.zeros((0, 0), np.int8))
    origins: tuple[str, ...] = ()

    def of(self, name: str) -> Floats:
        """(D, S) values of one label.

        Raises:
            ConfigError: there is none of that name.
        """
        if name not in self.values:
            raise ConfigError(f"the panel has no label {name!r}; {suggestion(name, self.values)}")
        return self.values[name]

    @property
    def realised(self) -> Dates:
        """(D, S) decision date on which each label became known."""
        shape = next(iter(self.values.values())).shape
        return self.realised_on if self.realised_on.ndim == 2 else np.repeat(self.realised_on[:, None], shape[1], 1)

    def known_by(self, date: np.datetime64, embargo_quarters: int = 0) -> "Labels":
        """These labels as they stood on a decision date: those realised later are missing, and so are those realised
        within so many quarters before it."""
        last = quarter_index(np.array([date]))[0] - embargo_quarters
        realised = self.realised
        known = ~np.isnat(realised) & (quarter_index(realised) <= last)
        return replace(self, values={name: np.where(known, one, np.nan) for name, one in self.values.items()})

    def came_about(self, rows: Bools) -> dict[str, int]:
        """How many of the chosen (D, S) rows have their label, or none, in each of the ways that occur among them."""
        counts = np.bincount(self.origin[rows], minlength=len(self.origins)) if self.origins else ()
        return {name: int(count) for name, count in zip(self.origins, counts, strict=True) if count}


@dataclass(frozen=True)
class Panel:
    """Features of S symbols on D decision dates.

    Attributes:
        dates: (D,) decision dates, consecutive quarters.
        symbols: S tickers.
        features: F column names.
        values: (D, S, F), NaN where a value was not known on the date.
        listed: (D, S) whether the symbol had a current price on the date.
        labels: what came after.
        left_out: column name to the reason why it is not among the features.
        foreknown: (D, S) rows whose language columns a model may have written that knew what came after
            (`alfred.panel.foreknown`); empty (0, 0) where the panel has no such columns.
        unmet: dates and symbols with a price that do not count, as they lack a column that the settings require.
    """

    dates: Dates
    symbols: tuple[str, ...]
    features: tuple[str, ...]
    values: Floats
    listed: Bools
    labels: Labels
    left_out: dict[str, str]
    foreknown: Bools = field(default_factory=lambda: np.zeros((0, 0), np.bool_))
    unmet: int = 0

    def __post_init__(self) -> None:
        shape = (len(self.dates), len(self.symbols))
        if self.values.shape != (*shape, len(self.features)) or self.listed.shape != shape:
            raise DataError(f"a panel of {shape} needs values {(*shape, len(self.features))}, got {self.values.shape}.")
        if np.isinf(self.values).any():
            column = self.features[int(np.argmax(np.isinf(self.values).any(axis=(0, 1))))]
            raise DataError(f"feature {column!r} holds infinite values; a formula divided by zero.")
        disguised = sorted(set(self.features) & set(self.labels.values))
        if disguised:
            raise LeakError(f"the label {disguised[0]!r} stands among the features; labels may only be labels.")

    @property
    def mask(self) -> Bools:
        """(D, S, F) where a value is known."""
        return np.isfinite(self.values)

    def digest(self) -> str:
        """Digest of everything in the panel."""
        labels = [part for name in sorted(self.labels.values) for part in (name, self.labels.values[name])]
        flags = [self.foreknown] if self.foreknown.any() else []
        return digest_of(
            self.dates.astype(np.int64), list(self.symbols), list(self.features), self.values, self.listed,
            self.labels.horizon_quarters, self.labels.realised_on.astype(np.int64), *labels,
            self.labels.origin, list(self.labels.origins), *flags,
        )  # fmt: skip

    def save(self, folder: Path) -> None:
        """Write `features.parquet` and `labels.parquet` (one row a date and symbol) and `panel.json` into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        key = {
            "date": np.repeat(self.dates, len(self.symbols)),
            "symbol": np.tile(np.array(self.symbols, dtype=object), len(self.dates)),
        }
        cells = self.values.reshape(-1, len(self.features))
        features = pl.DataFrame({**key, "listed": self.listed.ravel()}).with_columns(
            pl.Series(name, cells[:, at], nan_to_null=True) for at, name in enumerate(self.features)
        )
        if self.foreknown.size:
            features = features.with_columns(pl.Series("foreknown", self.foreknown.ravel()))
        features.write_parquet(folder / "features.parquet")
        labels = pl.DataFrame({**key, "realised_on": self.labels.realised.ravel()})
        if self.labels.origins:
            labels = labels.with_columns(pl.Series("origin", self.labels.origin.ravel()))
        labels.with_columns(
            pl.Series(name, value.ravel(), nan_to_null=True) for name, value in self.labels.values.items()
        ).write_parquet(folder / "labels.parquet")
        form = {
            "dates": len(self.dates),
            "symbols": self.symbols,
            "features": self.features,
            "labels": list(self.labels.values),
            "origins": self.labels.origins,
            "horizon_quarters": self.labels.horizon_quarters,
            "realised_by_row": self.labels.realised_on.ndim == 2,
            "left_out": self.left_out,
            "foreknown": bool(self.foreknown.size),
            "unmet": self.unmet,
            "digest": self.digest(),
        }
        write_whole(folder / "panel.json", json.dumps(form, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            DataError: a file is absent, or the content does not match its digest.
        """
        try:
            form = json.loads((folder / "panel.json").read_text(encoding="utf-8"))
            features = pl.read_parquet(folder / "features.parquet", glob=False)
            labels = pl.read_parquet(folder / "labels.parquet", glob=False)
        except (OSError, ValueError, pl.exceptions.PolarsError) as error:
            raise DataError(f"{folder} holds no readable panel: {error}.") from error
        shape = (int(form["dates"]), len(form["symbols"]))
        cells = features.select(form["features"]).fill_null(np.nan).to_numpy()
        realised = _days(labels["realised_on"]).reshape(shape)
        panel = cls(
            dates=_days(features["date"])[:: shape[1]],
            symbols=tuple(form["symbols"]),
            features=tuple(form["features"]),
            values=cells.reshape(*shape, len(form["features"])),
            listed=features["listed"].to_numpy().reshape(shape),
            labels=Labels(
                horizon_quarters=form["horizon_quarters"],
                realised_on=realised if form["realised_by_row"] else realised[:, 0],
                values={name: labels[name].fill_null(np.nan).to_numpy().reshape(shape) for name in form["labels"]},
                origin=_codes(labels, shape if form["origins"] else (0, 0)),
                origins=tuple(form["origins"]),
            ),
            left_out=form["left_out"],
            unmet=int(form["unmet"]),
            **({"foreknown": features["foreknown"].to_numpy().reshape(shape)} if form["foreknown"] else {}),
        )
        if panel.digest() != form["digest"]:
            raise DataError(f"the panel in {folder} was altered since it was made; delete it and run again.")
        return panel


def _codes(labels: pl.DataFrame, shape: tuple[int, int]) -> NDArray[np.int8]:
    """Origins of labels; none where the labels were made by hand."""
    return labels["origin"].to_numpy().reshape(shape) if shape[0] else np.zeros(shape, np.int8)


def _days(column: pl.Series) -> Dates:
    return column.to_numpy().astype("datetime64[D]")
