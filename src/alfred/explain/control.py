"""What noise would reach: the line below which a column's importance says nothing.

A fit gives weight to columns that know nothing, and the more columns there are the larger is the largest of them. The
control gives the analyst, beside every column, a copy whose rows are shuffled against the labels, and fits it on both:
what the copies reach is what noise reaches under the very settings (penalty, rounds, epoch) that the real columns earn.
Shuffled copies are the shadows of Boruta (Kursa and Rudnicki 2010, Journal of Statistical Software 36). Shuffling the
labels alone (Altmann et al. 2010, Bioinformatics 26), also offered, makes all columns noise at once; an analyst that
chooses its penalty on validation rows then shrinks everything to nothing, and the line lies too low.

Rows are shuffled as markets allow: the decision dates go round by a random number of quarters, so that what moves a
whole quarter still does and what resembles the quarter before still does, and within each date the names are mixed.

With R shuffles, all F columns noise of one kind and exchangeable with their copies, the chance that any of them rises
above the largest of the R F copies is 1 in R + 1. Columns that are the same for all names of a date have far fewer
independent values than rows; they are held against copies of their own kind.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from alfred.core.contracts import Bools, FittedAnalyst, Floats, Windows
from alfred.core.errors import ConfigError, DataError
from alfred.core.progress import Progress
from alfred.explain.shapley import ExplainSettings, attribute, background_rows

COPY = "shuffled:"
MOST_BYTES = 4e9
"""Of windows with copies, which share no cells."""

Kind = Literal["columns", "labels"]
FitOne = Callable[[Windows, Windows], FittedAnalyst]
"""Fits the analyst on training and validation rows."""


@dataclass(frozen=True, eq=False)
class ControlFold:
    """What a fold's analyst learnt from, and the rows that are explained; all ordered by date.

    `fit` fits an analyst of the same settings, `train` and `valid` have labels.
    """

    fit: FitOne
    train: Windows
    valid: Windows
    rows: Windows


@dataclass(frozen=True, eq=False)
class ControlLine:
    """Every column beside the line that noise reaches.

    Attributes:
        kind: what was shuffled.
        shuffles: R fits.
        columns: F names.
        importance: (F,) mean absolute value of each, in the control's own fits.
        by_date: (F,) whether a column is the same for all names of every date.
        line: (F,) the largest importance of a shuffled column of the same kind.
    """

    kind: Kind
    shuffles: int
    columns: tuple[str, ...]
    importance: Floats
    by_date: Bools
    line: Floats

    @property
    def above(self) -> Bools:
        """(F,) whether a column rises above what noise reaches."""
        risen: Bools = self.importance > self.line
        return risen

    @property
    def chance(self) -> float:
        """That noise columns alone would show one above."""
        return 1 / (self.shuffles + 1)


def control_line(
    folds: Sequence[ControlFold],
    shuffles: int,
    settings: ExplainSettings,
    *,
    kind: Kind = "columns",
    progress: Progress | None = None,
) -> ControlLine:
    """Fit the analyst `shuffles` times beside noise in every fold, and explain the same rows each time.

    Importance is over the rows of all folds together; a column that a fold lacks adds nothing there.

    Args:
        folds: what was learnt from and is explained.
        shuffles: R.
        settings: of the explanations; the seed is also that of the shuffles.
        kind: "columns" doubles the columns by shuffled copies, "labels" shuffles the labels.
        progress: hears of every fit, as the task "control".

    Raises:
        ConfigError: there are no shuffles, or the copies would not fit into memory.
        DataError: there are no folds, or as the analyst's fit and `attribute`.
    """
    if shuffles < 1:
        raise ConfigError(f"a control needs at least 1 shuffle, got {shuffles}.")
    columns = tuple(dict.fromkeys(name for fold in folds for name in fold.train.columns))
    rows = sum(len(fold.rows) for fold in folds)
    if not rows:
        raise DataError("a control needs rows to explain; there are none.")
    own, noise = np.zeros((shuffles, len(columns))), np.zeros((shuffles, len(columns)))
    by_date = np.ones(len(columns), np.bool_)
    for at, fold in enumerate(folds):
        place, share = [columns.index(name) for name in fold.train.columns], len(fold.rows) / rows
        by_date[place] &= same_for_all_names(fold.train)
        for number in range(shuffles):
            random = np.random.default_rng([settings.seed, at, number])
            real, copies = _beside_noise(fold, random, settings, kind)
            own[number, place] += share * real
            noise[number, place] += share * copies
            if progress is not None:
                progress.advance("control", note=f"shuffle {number + 1}")
    line = np.zeros(len(columns))
    for of_kind in (by_date, ~by_date):
        if of_kind.any():
            line[of_kind] = noise[:, of_kind].max()
    return ControlLine(kind, shuffles, columns, own.mean(axis=0), by_date, line)


def _beside_noise(
    fold: ControlFold, random: np.random.Generator, settings: ExplainSettings, kind: Kind
) -> tuple[Floats, Floats]:
    """(F,) importance of the columns and of noise in their place."""
    parts = (fold.train, fold.valid, fold.rows)
    orders = [shuffled_order(part, random) for part in parts]
    if kind == "labels":
        # The columns' own importance comes from labels as they were.
        real = _importance(fold.fit(fold.train, fold.valid), fold.rows, fold.train, settings)
        learn, judge = (relabelled(part, order) for part, order in zip(parts[:2], orders[:2], strict=True))
        return real, _importance(fold.fit(learn, judge), fold.rows, fold.train, settings)
    learn, judge, ask = (with_copies(part, order) for part, order in zip(parts, orders, strict=True))
    found = _importance(fold.fit(learn, judge), ask, learn, settings)
    return found[: len(fold.train.columns)], found[len(fold.train.columns) :]


def shuffled_order(windows: Windows, random: np.random.Generator) -> np.ndarray:
    """(N,) positions that take every row's place: dates go round, names of a date are mixed.

    A date with more names than the one that comes to it takes some of them twice. One date alone has its names mixed.
    """
    dates, starts, counts = np.unique(windows.dates, return_index=True, return_counts=True)
    if (np.diff(windows.dates.astype(np.int64)) < 0).any():
        raise DataError("rows must be ordered by date before they are shuffled.")
    turn = int(random.integers(1, len(dates))) if len(dates) > 1 else 0
    order = np.empty(len(windows), np.int64)
    for at in range(len(dates)):
        source = (at + turn) % len(dates)
        rounds = -(-counts[at] // counts[source])
        mixed = np.concatenate([random.permutation(counts[source]) for _ in range(rounds)])[: counts[at]]
        order[starts[at] : starts[at] + counts[at]] = starts[source] + mixed
    return order


def with_copies(windows: Windows, order: np.ndarray) -> Windows:
    """The rows with twice the columns: behind their own stand, shuffled, those of the rows at `order`.

    Raises:
        ConfigError: that would take more than 4 GB.
    """
    size = len(windows) * windows.quarters * 2 * len(windows.columns) * 4
    if size > MOST_BYTES:
        raise ConfigError(
            f"a control with {len(windows):,} rows of {windows.quarters} quarters and {2 * len(windows.columns)} "
            f"columns takes {size / 1e9:.1f} GB; use fewer names, dates or quarters, or do without the control."
        )
    x, seen = windows.x, windows.seen
    copies = np.where(seen[:, :, None], windows.cells[windows.index[order]], np.float32(0))
    return Windows.of(
        x=np.concatenate([x, copies], axis=2),
        seen=seen,
        columns=(*windows.columns, *(f"{COPY}{name}" for name in windows.columns)),
        dates=windows.dates,
        symbols=windows.symbols,
        target=windows.target,
        horizon_quarters=windows.horizon_quarters,
        y=windows.y,
    )


def relabelled(windows: Windows, order: np.ndarray) -> Windows:
    """The rows with the labels of those at `order`.

    Raises:
        DataError: they have no labels.
    """
    if windows.y is None:
        raise DataError("rows without labels cannot have their labels shuffled.")
    return Windows(
        windows.cells,
        windows.index,
        windows.columns,
        windows.dates,
        windows.symbols,
        windows.target,
        windows.horizon_quarters,
        windows.y[order],
    )


def same_for_all_names(windows: Windows) -> Bools:
    """(F,) whether a column is the same for all names of every date; False where no date has two names."""
    _, starts, counts = np.unique(windows.dates, return_index=True, return_counts=True)
    now = windows.cells[windows.index[:, -1]]
    spread = np.maximum.reduceat(now, starts, axis=0) - np.minimum.reduceat(now, starts, axis=0)
    several = counts > 1
    if not several.any():
        return np.zeros(now.shape[1], np.bool_)
    alike: Bools = np.asarray((spread[several] <= 1e-6).all(axis=0))
    return alike


def _importance(fitted: FittedAnalyst, rows: Windows, train: Windows, settings: ExplainSettings) -> Floats:
    background = background_rows(train, settings.background, settings.seed)
    found = attribute(fitted, rows.without_labels(), background, "the control", settings)
    importance: Floats = np.abs(found.by_column).mean(axis=0)
    return importance
