"""Scalers that saw more than training rows, and columns that they skipped."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from alfred.core.contracts import Floats
from alfred.evaluation.audit._contracts import AuditCheck, Found, Probe, TooLittleError, few, many
from alfred.evaluation.audit._evidence import Evidence, FoldRows, PanelEvidence, Rows, ScalerEvidence
from alfred.evaluation.protocols import SAME_YEARS

TOLERANCE = 1e-6
CENTRED = 1e-3
"""A mean this near 0 and a deviation this near 1 over all rows were made so on all rows."""
FEWEST_SCALED = 3
HUGE = 100.0


def refitted(evidence: Evidence) -> Iterator[Found]:
    """Centre and spread of every column, computed once more from the rows they are to come from, and from all rows.

    A row whose label is not known teaches analysts nothing, but a scaler may learn from it: it was known as well.
    """
    panel = evidence.panel
    if panel is None or evidence.scalers is None or evidence.folds is None:
        raise TooLittleError("needs panel, scalers, folds")
    every = panel.values[panel.present]
    for scaler in evidence.scalers:
        fold = evidence.folds[scaler.fold]
        rows = fold.train if scaler.rows is None else scaler.rows
        if evidence.protocol not in SAME_YEARS:
            yield from _beyond_training(scaler.fold, rows, fold)
        training = _values(panel, rows)
        wrong, as_all = [], []
        for at, column in enumerate(scaler.columns):
            if scaler.rules[at] == "rank":
                continue
            place = panel.columns.index(column)
            if not _agrees(scaler, at, training[:, place]):
                wrong.append(column)
                if _agrees(scaler, at, every[:, place]):
                    as_all.append(column)
        if wrong:
            how = f"; {len(as_all)} of them are those of all rows, the test among them" if as_all else ""
            what = (
                f"fold {scaler.fold + 1}: centre and spread of {len(wrong)} of {len(scaler.columns)} columns are not "
                f"those of the training rows ({few(wrong)}){how}."
            )
            yield Found(what, columns=tuple(wrong[:5]), rows=len(wrong))


def scaled_over_all_rows(evidence: Evidence) -> Iterator[Found]:
    """Columns with mean 0 and deviation 1, or from 0 to 1, over all rows, but not on each date."""
    panel = evidence.panel
    if panel is None:
        raise TooLittleError("needs panel")
    found = []
    for at, column in enumerate(panel.columns):
        values = panel.column(at)
        known = values[np.isfinite(values)]
        if len(np.unique(known[:1000])) < 10:
            continue
        mean, spread = float(known.mean()), float(known.std())
        standard = abs(mean) < CENTRED and abs(spread - 1) < CENTRED
        squeezed = known.min() == 0 and known.max() == 1 and 0.02 < mean < 0.98
        if (standard or squeezed) and not _scaled_each_date(values, standard):
            found.append(column)
    if len(found) >= min(FEWEST_SCALED, len(panel.columns)):
        what = (
            f"{len(found)} columns have mean 0 and deviation 1, or run from 0 to 1, over all rows of all dates "
            f"({few(found)}): a scaler saw the rows that are to be forecast."
        )
        yield Found(what, columns=tuple(found[:5]), rows=len(found))


def skipped(evidence: Evidence) -> Iterator[Found]:
    """Scaled columns that are still as large as before."""
    for scaled in evidence.scaled or ():
        largest = np.nan_to_num(scaled.largest, nan=0.0, posinf=np.inf)
        wild = np.flatnonzero(largest > scaled.bound)
        if len(wild):
            names = [scaled.columns[at] for at in wild]
            worst = wild[int(np.argmax(largest[wild]))]
            what = (
                f"fold {scaled.fold + 1}: beyond {scaled.bound:g} after scaling: {many(len(wild), 'column')} "
                f"({few(names)}; {scaled.columns[worst]} {largest[worst]:.3g}) that the scaler skipped."
            )
            yield Found(what, columns=tuple(names[:5]), rows=len(wild), figures={"largest": float(largest[worst])})


def wild_beside_scaled(evidence: Evidence) -> Iterator[Found]:
    """A few columns that are not scaled, in a panel whose other columns are."""
    panel = evidence.panel
    if panel is None:
        raise TooLittleError("needs panel")
    largest, spread = np.zeros(len(panel.columns)), np.zeros(len(panel.columns))
    for at in range(len(panel.columns)):
        values = panel.column(at)
        known = values[np.isfinite(values)]
        if len(known):
            largest[at], spread[at] = np.abs(known).max(), known.std()
    tame = (largest <= HUGE) & (spread > 0.2) & (spread < 5)
    wild = np.flatnonzero((largest > HUGE) & (spread > 10))
    if len(wild) and tame.sum() >= max(FEWEST_SCALED, 0.7 * len(panel.columns)):
        names = [panel.columns[at] for at in wild]
        worst = wild[int(np.argmax(largest[wild]))]
        what = (
            f"{int(tame.sum())} of {len(panel.columns)} columns look scaled, but {few(names)} not: "
            f"{panel.columns[worst]} reaches {largest[worst]:.3g}."
        )
        yield Found(what, "warning", tuple(names[:5]), rows=len(wild), figures={"largest": float(largest[worst])})


def without_rule(evidence: Evidence) -> Iterator[Found]:
    """Columns of the panel that a scaler does not know."""
    panel = evidence.panel
    for scaler in evidence.scalers or ():
        absent = [name for name in (panel.columns if panel else ()) if name not in scaler.columns]
        absent += [name for name, rule in zip(scaler.columns, scaler.rules, strict=True) if not rule]
        if absent:
            what = f"fold {scaler.fold + 1}: no scaling rule for {many(len(absent), 'column')}: {few(absent)}."
            yield Found(what, columns=tuple(absent[:5]), rows=len(absent))


def _beyond_training(number: int, rows: Rows, fold: FoldRows) -> Iterator[Found]:
    """Rows of a scaler that are not the fold's to learn from, whatever they are said to be."""
    first = min(part.dates.min() for part in (fold.valid, fold.test) if part is not None and len(part))
    late = rows.frame().filter(pl.col("date") >= first).sort("date", "symbol")
    if late.height:
        named = [f"{symbol} on {date}" for date, symbol in late.head(5).iter_rows()]
        what = (
            f"fold {number + 1}: {late.height:,} of the {len(rows):,} rows that its scaler was fitted on lie on or "
            f"after {first}, where the next part begins: {few(named, late.height)}."
        )
        yield Found(what, rows=late.height)


def _agrees(scaler: ScalerEvidence, at: int, column: Floats) -> bool:
    """Whether a column's centre and spread follow from these values by its rule."""
    known = column[np.isfinite(column)]
    center, spread = float(scaler.center[at]), float(scaler.spread[at])
    if not len(known):
        return bool(np.isnan(center))
    rule = scaler.rules[at]
    if rule == "signed-log":
        known = np.sign(known) * np.log1p(np.abs(known))
    elif rule == "yeo-johnson":
        known = _power(known, float(scaler.power[at]))
    if rule == "robust":
        low, middle, high = np.percentile(known, [25, 50, 75])
        own = float(middle), float(high - low) / 1.349 if high > low else float(known.std())
    else:
        own = float(known.mean()), float(known.std())
    size = max(abs(own[0]), own[1], 1e-300)
    if known.max() - known.min() <= 1e-9 * max(1.0, size):
        return abs(center - own[0]) <= TOLERANCE * max(1.0, size)
    return abs(center - own[0]) <= TOLERANCE * size and abs(spread - own[1]) <= TOLERANCE * max(own[1], 1e-300)


def _power(values: Floats, exponent: float) -> Floats:
    """Yeo and Johnson (2000), A new family of power transformations."""
    grown, shrunk = np.log1p(np.maximum(values, 0)), np.log1p(np.maximum(-values, 0))
    up = grown if exponent == 0 else np.expm1(exponent * grown) / exponent
    down = shrunk if exponent == 2 else np.expm1((2 - exponent) * shrunk) / (2 - exponent)
    found: Floats = np.where(values >= 0, up, -down)
    return found


def _scaled_each_date(values: Floats, standard: bool) -> bool:
    """Whether each date by itself is scaled, which needs no other date."""
    known = np.isfinite(values)
    count = known.sum(axis=1)
    full = known[count >= 5]
    some = np.where(full, values[count >= 5], 0.0)
    if not len(some):
        return False
    means = some.sum(axis=1) / full.sum(axis=1)
    if standard:
        return bool(np.median(np.abs(means)) < CENTRED / 10)
    low = np.where(full, some, np.inf).min(axis=1)
    high = np.where(full, some, -np.inf).max(axis=1)
    return bool((np.abs(low) < CENTRED).mean() > 0.9 and (np.abs(high - 1) < CENTRED).mean() > 0.9)


def _values(panel: PanelEvidence, rows: Rows) -> Floats:
    """(N, F) values of those rows that the panel holds."""
    place = {symbol: at for at, symbol in enumerate(panel.symbols)}
    at_date = np.minimum(np.searchsorted(panel.dates, rows.dates), len(panel.dates) - 1)
    at_symbol = np.array([place.get(symbol, -1) for symbol in rows.symbols.tolist()], np.int64)
    there = (at_symbol >= 0) & (panel.dates[at_date] == rows.dates)
    found: Floats = panel.values[at_date[there], at_symbol[there]]
    return found


CHECKS = (
    AuditCheck(
        "scaler-saw-everything", 7, "a scaler fitted on everything",
        "fit scalers on training rows of each fold; ranks or z-scores within a date need no other date",
        (
            Probe(("panel", "scalers", "folds"), "centre and spread, refitted on training rows and on all",
                  "error", refitted),
            Probe(("panel",), "mean and deviation, or least and largest value, over all rows", "error",
                  scaled_over_all_rows),
        ),
    ),
    AuditCheck(
        "column-not-scaled", 8, "columns the scaler silently skipped",
        "give the column a scaling rule, for heavy tails signed-log or rank, or leave it out",
        (
            Probe(("scaled",), "largest scaled value of each column in training rows", "error", skipped),
            Probe(("panel", "scalers"), "columns without a rule", "error", without_rule),
            Probe(("panel",), "columns that stick out in a panel of scaled ones", "warning", wild_beside_scaled),
        ),
    ),
)  # fmt: skip
