"""The mistakes of the notes, made on purpose: each a small change of honest data, with the number of the audit's check.

`alfred.experiments.notes` alone may import this module (a test looks), so that no run can make one of them by accident.
None of them opens a guard of the laboratory: where a guard would refuse, the data are forged before it sees them.
"""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from alfred.core.contracts import Floats, Windows
from alfred.lake.tables import INSTANT
from alfred.panel.catalogue import catalogue
from alfred.panel.panel import Panel
from alfred.panel.tables import Tables

SHARED_NAMES = 2
"""ROST and JNPR stand in both baskets of the notes."""
FUND = "SPY"
WITHOUT_GRADIENT = {"huber-sign": "huber", "mse-sign": "mse", "sign-ratio": "mse"}
"""What the sign-aware losses train as where the sign's indicator has no gradient."""


@dataclass(frozen=True)
class Defect:
    """One mistake and its repair.

    Attributes:
        key: short name.
        row: number of the audit's check (docs/audit.md); None where it has none.
        made: what the notes did.
        repaired: what is done once it is removed.
    """

    key: str
    row: int | None
    made: str
    repaired: str


BEST_TOLD = Defect("best-told", 15, "the best of several tries is told", "the mean of all seeds is told")
TRAINING_ROWS = Defect("training-rows", 1, "evaluated on the training rows", "evaluated on a basket of its own")
SAME_NAMES = Defect("same-names", 2, f"{SHARED_NAMES} names stand in both baskets", "disjoint baskets")
SAME_QUARTERS = Defect("same-quarters", 3, "trained on the quarters it is tested on", "trained on earlier quarters")
FILLED_BACKWARDS = Defect("filled-backwards", 4, "missing values filled backwards", "nothing is filled backwards")
ZEROS = Defect("zeros", 5, "zeros for what is missing", "missing stays missing")
PERIOD_END = Defect("period-end", 6, "filings known at the period's end", "filings known when filed")
SCALED_ON_ALL = Defect("scaled-on-all", 7, "scaler fitted on everything", "scaler fitted on training rows")
NO_GRADIENT = Defect("no-gradient", 12, "sign penalty without gradient", "sign penalty with a gradient")
TRAINING_LOSS = Defect("training-loss", 13, "best epoch by training loss", "best epoch by later quarters")
LEVELS = Defect("levels", None, "price levels adjusted backwards", "no level that knows later splits")
LADDER = (
    BEST_TOLD, TRAINING_ROWS, SAME_NAMES, SAME_QUARTERS, FILLED_BACKWARDS, ZEROS, PERIOD_END, SCALED_ON_ALL,
    NO_GRADIENT, TRAINING_LOSS, LEVELS,
)  # fmt: skip
"""The order of removal: how the figure was told, then the table's own order, then what it does not list."""


def row_2_shared(training: tuple[str, ...], evaluation: tuple[str, ...]) -> tuple[str, ...]:
    """The evaluation basket with training names in its last places."""
    return (*evaluation[:-SHARED_NAMES], *training[1 : 1 + SHARED_NAMES])


def row_4_filled_backwards(panel: Panel) -> Panel:
    """Every missing value takes the next one that will be known."""
    filled = panel.values.copy()
    for at in range(len(panel.dates) - 2, -1, -1):
        filled[at] = np.where(np.isnan(filled[at]), filled[at + 1], filled[at])
    return replace(panel, values=_where_listed(panel, filled))


def row_5_zeros(panel: Panel) -> Panel:
    """Every value still missing is 0."""
    return replace(panel, values=_where_listed(panel, np.nan_to_num(panel.values, nan=0.0)))


def row_6_known_at_period_end(tables: Tables) -> Tables:
    """Every figure of a filing is known on the day its period ends, and its last vintage is the only one."""
    figure = ["symbol", "concept", "period_end", "period_kind", "source"]
    last = tables.facts.sort("known_at").unique(figure, keep="last", maintain_order=True)
    early = last.with_columns(pl.col("period_end").cast(INSTANT).alias("known_at"))
    return replace(tables, facts=early.sort("symbol", "concept", "period_end", "period_kind", "known_at"))


def row_13_training_rows_to_choose_by(train: Windows) -> Windows:
    """The training rows once more, dated after themselves: the loop takes them for a validation period."""
    beyond = train.dates.max() - train.dates.min() + np.timedelta64(1, "D")
    return replace(train, dates=train.dates + beyond)


def without_levels(panel: Panel) -> Panel:
    """The panel without the columns that know later splits, where its prices were adjusted backwards."""
    kept = np.array([not (name in catalogue() and catalogue()[name].is_level) for name in panel.features])
    names = tuple(name for name, keep in zip(panel.features, kept, strict=True) if keep)
    return replace(panel, features=names, values=panel.values[:, :, kept])


def with_fund(tables: Tables) -> Tables:
    """The market index in the place of the fund SPY, a column of the notes, where the lake has none. No mistake."""
    if FUND in tables.series["series"]:
        return tables
    index = tables.market.select(
        pl.lit(FUND).alias("series"), "date", "known_at", pl.lit("the study's index").alias("source"), "value"
    )
    return replace(tables, series=pl.concat([tables.series, index.select(tables.series.columns)]))


def _where_listed(panel: Panel, values: Floats) -> Floats:
    return np.where(panel.listed[:, :, None], values, np.nan)
