"""Ablation: what an analyst's forecasts lose when a column, or a family of them, tells nothing.

| way | what becomes of the columns | what it asks |
| --- | --- | --- |
| mean | every number is the training mean, as in the experiment notes | what the fitted analyst makes of them |
| permute | names of a date exchange their numbers, history and all (Breiman 2001; Fisher et al. 2019) | the same, and \
the numbers stay plausible; what is the same for all names of a date cannot be tested so |
| retrain | the analyst is fitted without them | whether others can stand in for them |

Mean and permutation speak of the analyst as it is: of two columns that say the same, each may look idle. Only training
anew shows what can be dropped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from alfred.core.contracts import Floats, Interval, Windows
from alfred.core.errors import ConfigError
from alfred.evaluation.bootstrap import BootstrapSettings, block_counts, percentile_interval, seed_interval
from alfred.evaluation.metrics import Sums, metric_values
from alfred.panel.catalogue import catalogue
from alfred.panel.windows import INDICATOR

Way = Literal["mean", "permute", "retrain"]
MEASURES = ("loss", "f1", "rank_ic")
OTHER = "other"
"""Family of columns that stand in no catalogue."""


@dataclass(frozen=True)
class Effect:
    """Change of one figure: without the columns less with them, mean over seeds; None where it is undefined.

    Attributes:
        change: of the figure.
        over_seeds: Student's t over seeds; None for one seed.
        over_quarters: block bootstrap over quarters, paired.
    """

    change: float | None
    over_seeds: Interval | None
    over_quarters: Interval | None


@dataclass(frozen=True)
class Ablated:
    """What one ablation did.

    Attributes:
        what: column or family.
        columns: those that told nothing.
        way: how.
        loss, f1, rank_ic: change of each; the loss is the one that the analyst is judged by.
        note: why there is no figure, or what it cannot tell.
    """

    what: str
    columns: tuple[str, ...]
    way: Way
    loss: Effect
    f1: Effect
    rank_ic: Effect
    note: str = ""

    @property
    def mark(self) -> str:
        """needed: without them the loss goes up and F1 down, the notes' rule; harmful: the other way round."""
        loss, f1 = self.loss.change or 0.0, self.f1.change or 0.0
        if loss > 0 and f1 < 0:
            return "needed"
        return "harmful" if loss < 0 and f1 > 0 else ""


def family_of(column: str) -> str:
    """The family of the catalogue that a column of windows, or the column that an indicator is named after, is of."""
    known = catalogue().get(column.removeprefix(INDICATOR))
    return known.family if known is not None else OTHER


def families(columns: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Columns by family, in their order."""
    found: dict[str, list[str]] = {}
    for name in columns:
        found.setdefault(family_of(name), []).append(name)
    return {family: tuple(names) for family, names in found.items()}


def at_mean(windows: Windows, columns: Sequence[str], means: Mapping[str, float]) -> Windows:
    """The rows with some columns at their training means wherever there is history; cells are copied once."""
    cells = windows.cells.copy()
    for name in columns:
        if name in windows.columns:
            cells[1:, windows.columns.index(name)] = means[name]
    return _of_cells(windows, cells)


def training_means(train: Windows) -> dict[str, float]:
    """Means of the columns over the training rows, in the analyst's units, the decision quarter's own."""
    now = train.cells[train.index[:, -1]].astype(np.float64).mean(axis=0)
    return dict(zip(train.columns, now.tolist(), strict=True))


def permuted(windows: Windows, columns: Sequence[str], random: np.random.Generator) -> Windows:
    """The rows with some columns, all quarters of them, taken from other names of the same date.

    Where a row has no history its cells stay empty.
    """
    order = np.arange(len(windows))
    for date in np.unique(windows.dates):
        rows = np.flatnonzero(windows.dates == date)
        order[rows] = random.permutation(rows)
    x, seen = windows.x, windows.seen
    at = [windows.columns.index(name) for name in columns if name in windows.columns]
    x[:, :, at] = np.where(seen[:, :, None], x[order][:, :, at], np.float32(0))
    return Windows.of(
        x=x,
        seen=seen,
        columns=windows.columns,
        dates=windows.dates,
        symbols=windows.symbols,
        target=windows.target,
        horizon_quarters=windows.horizon_quarters,
        y=windows.y,
    )


def without(windows: Windows, columns: Sequence[str]) -> Windows:
    """The rows without some columns.

    Raises:
        ConfigError: none would be left.
    """
    kept = [at for at, name in enumerate(windows.columns) if name not in columns]
    if not kept:
        raise ConfigError("an analyst cannot be fitted without any column; ablate fewer at once.")
    return Windows(
        np.ascontiguousarray(windows.cells[:, kept]),
        windows.index,
        tuple(windows.columns[at] for at in kept),
        windows.dates,
        windows.symbols,
        windows.target,
        windows.horizon_quarters,
        windows.y,
    )


def effects(with_them: Sums, without_them: Sums, target: str, settings: BootstrapSettings) -> dict[str, Effect]:
    """Changes of loss, F1 and rank IC.

    Args:
        with_them, without_them: (S, Q) sums of `quarter_sums`, of the same seeds and quarters.
        target: label.
        settings: of the bootstrap.
    """
    own, other = (_metrics({name: sums.sum(axis=1) for name, sums in part.items()}, target) for part in
                  (with_them, without_them))  # fmt: skip
    quarters = next(iter(with_them.values())).shape[1]
    counts = block_counts(quarters, settings)
    drawn, other_drawn = (_metrics({name: counts @ sums.T for name, sums in part.items()}, target) for part in
                          (with_them, without_them))  # fmt: skip
    blocks = quarters / settings.block_length(quarters)
    found = {}
    for name in MEASURES:
        change = other[name] - own[name]
        if not np.isfinite(change).all():
            found[name] = NOTHING
            continue
        of_seeds = seed_interval(change, settings.level) if len(change) > 1 else None
        draws = (other_drawn[name] - drawn[name]).mean(axis=1)
        found[name] = Effect(float(change.mean()), of_seeds, percentile_interval(draws, settings.level, blocks))
    return found


NOTHING = Effect(None, None, None)


def _metrics(totals: Sums, target: str) -> dict[str, Floats]:
    values = metric_values(totals, target)
    return {name: values[name] for name in MEASURES}


def _of_cells(windows: Windows, cells: np.ndarray) -> Windows:
    return Windows(
        cells,
        windows.index,
        windows.columns,
        windows.dates,
        windows.symbols,
        windows.target,
        windows.horizon_quarters,
        windows.y,
    )
