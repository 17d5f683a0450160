"""Attributions in tables: over all rows, by date, by name, for columns and for groups of them."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from alfred.core.contracts import Floats, Interval
from alfred.evaluation.bootstrap import BootstrapSettings, block_counts, percentile_interval
from alfred.explain.attribution import Attribution
from alfred.explain.groups import Group

FEWEST_DATES = 8
"""Dates needed for an interval over blocks of quarters."""
_DEFAULTS = BootstrapSettings()


def by_group(found: Attribution, groups: Sequence[Group]) -> Floats:
    """(N, G) values of groups: sums over the columns of each that the attribution has."""
    own = found.by_column
    place = {name: at for at, name in enumerate(found.columns)}
    sums = [own[:, [place[name] for name in group.columns if name in place]].sum(axis=1) for group in groups]
    return np.stack(sums, axis=1) if sums else np.zeros((len(found), 0))


def column_table(found: Attribution, groups: Sequence[Group], settings: BootstrapSettings = _DEFAULTS) -> pl.DataFrame:
    """Every column over all rows, the largest first.

    Columns: column; group; mean_abs (mean absolute value, in units of the label) with lower and upper over blocks of
    quarters (null for fewer than 8 dates); share of the sum of all; mean (signed); direction (correlation of the
    column's own number with its value: +1 where more of it always adds; null where one of them does not vary); error
    (standard error of one value, root mean square; 0 where exact).
    """
    values = found.by_column
    sizes = np.abs(values).mean(axis=0)
    spans = _intervals(found, np.abs(values), settings)
    group_of = {name: group.name for group in groups for name in group.columns}
    whole = float(sizes.sum())
    frame = pl.DataFrame(
        {
            "column": list(found.columns),
            "group": [group_of.get(name, name) for name in found.columns],
            "mean_abs": sizes,
            "lower": [None if span is None else span.lower for span in spans],
            "upper": [None if span is None else span.upper for span in spans],
            "share": sizes / whole if whole > 0 else np.zeros(len(sizes)),
            "mean": values.mean(axis=0),
            "direction": [_direction(found.cells[:, at], values[:, at]) for at in range(len(sizes))],
            "error": np.sqrt((found.errors**2).mean(axis=0)),
        },
        schema_overrides={"lower": pl.Float64, "upper": pl.Float64, "direction": pl.Float64},
    )
    return frame.sort("mean_abs", descending=True, maintain_order=True)


def group_table(found: Attribution, groups: Sequence[Group], settings: BootstrapSettings = _DEFAULTS) -> pl.DataFrame:
    """Every group over all rows, the largest first: group, columns, likeness, mean_abs, lower, upper, share, mean."""
    values = by_group(found, groups)
    sizes = np.abs(values).mean(axis=0)
    spans = _intervals(found, np.abs(values), settings)
    whole = float(sizes.sum())
    frame = pl.DataFrame(
        {
            "group": [group.name for group in groups],
            "columns": [", ".join(group.columns) for group in groups],
            "likeness": [group.likeness for group in groups],
            "mean_abs": sizes,
            "lower": [None if span is None else span.lower for span in spans],
            "upper": [None if span is None else span.upper for span in spans],
            "share": sizes / whole if whole > 0 else np.zeros(len(sizes)),
            "mean": values.mean(axis=0),
        },
        schema_overrides={"lower": pl.Float64, "upper": pl.Float64},
    )
    return frame.sort("mean_abs", descending=True, maintain_order=True)


def part_table(found: Attribution, groups: Sequence[Group], key: str) -> pl.DataFrame:
    """Every group by date ("as_of") or by name ("symbol"): the key, group, mean_abs, mean, rows."""
    values = by_group(found, groups)
    keys = found.dates if key == "as_of" else found.symbols
    parts = []
    for one in np.unique(keys):
        own = values[keys == one]
        parts.append(
            pl.DataFrame(
                {
                    "group": [group.name for group in groups],
                    "mean_abs": np.abs(own).mean(axis=0),
                    "mean": own.mean(axis=0),
                    "rows": [len(own)] * len(groups),
                }
            ).select(pl.lit(one.item()).alias(key), pl.all())
        )
    return pl.concat(parts)


def value_table(found: Attribution) -> pl.DataFrame:
    """One row a forecast: symbol, as_of, forecast, base, history, then every column's value."""
    frame = pl.DataFrame(
        {
            "symbol": found.symbols.tolist(),
            "as_of": found.dates,
            "forecast": found.forecast,
            "base": found.base,
            "history": found.history,
        },
        schema_overrides={"symbol": pl.String, "as_of": pl.Date},
    )
    own = found.by_column
    return frame.with_columns(pl.Series(f"value:{name}", own[:, at]) for at, name in enumerate(found.columns))


def quarter_table(found: Attribution) -> pl.DataFrame | None:
    """Every forecast, column and quarter of history, values other than 0: symbol, as_of, column, quarters_back, value.

    None where values do not tell quarters apart, or there is one quarter only.
    """
    quarters = found.values.shape[1]
    if quarters == 1:
        return None
    row, quarter, column = np.nonzero(found.values)
    return pl.DataFrame(
        {
            "symbol": found.symbols[row].tolist(),
            "as_of": found.dates[row],
            "column": np.array(found.columns, dtype=object)[column].tolist(),
            "quarters_back": (quarters - 1 - quarter).astype(np.int64),
            "value": found.values[row, quarter, column],
        },
        schema_overrides={"symbol": pl.String, "as_of": pl.Date, "column": pl.String},
    )


def _intervals(found: Attribution, sizes: Floats, settings: BootstrapSettings) -> list[Interval | None]:
    """Of each column's mean over rows, resampling blocks of quarters; None for fewer than 8."""
    dates, which = np.unique(found.dates, return_inverse=True)
    if len(dates) < FEWEST_DATES:
        return [None] * sizes.shape[1]
    rows = np.bincount(which).astype(np.float64)
    sums = np.zeros((len(dates), sizes.shape[1]))
    np.add.at(sums, which, sizes)
    counts = block_counts(len(dates), settings)
    drawn = (counts @ sums) / (counts @ rows)[:, None]
    blocks = len(dates) / settings.block_length(len(dates))
    return [percentile_interval(drawn[:, at], settings.level, blocks) for at in range(sizes.shape[1])]


def _direction(cells: Floats, values: Floats) -> float | None:
    if np.ptp(cells) <= 1e-12 or np.ptp(values) <= 1e-15:
        return None
    return float(np.corrcoef(cells, values)[0, 1])
