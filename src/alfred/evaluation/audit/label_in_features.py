"""Columns that know the label: under its name, in its values, in any disguise, or by looking ahead."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from alfred.core.contracts import Floats
from alfred.evaluation.audit._contracts import AuditCheck, Found, Probe, Severity, TooLittleError
from alfred.evaluation.audit._evidence import Evidence, LabelEvidence, PanelEvidence
from alfred.evaluation.audit._measures import (
    belief_bound,
    by_date,
    correlation,
    correlations,
    dependence,
    drawn_rows,
    is_market_wide,
    mean_and_error,
    of_the_market,
    pooled_ranks,
    ranks,
    untied,
)

BELIEVABLE_IC, IMPOSSIBLE_IC = 0.2, 0.5
"""Mean rank correlation across names: 0.02 to 0.05 is good; nothing honest reaches the first."""
POOLED, IMPOSSIBLE_POOLED = 0.5, 0.7
SHAPELESS, IMPOSSIBLE_SHAPELESS = 0.25, 0.5
AHEAD_IC, AHEAD_ERRORS, AHEAD_OVER_BACK = 0.12, 6.0, 1.5
FEWEST_DATES = 8


def by_name(evidence: Evidence) -> Iterator[Found]:
    """A column called like a label, or equal to one in every cell."""
    panel, label = _parts(evidence)
    every = {label.name: label.values, **label.others}
    if label.relative is not None:
        every.setdefault("relative change", label.relative)
    names = {name.lower() for name in (label.name, *label.others)}
    for at, column in enumerate(panel.columns):
        if column.lower() in names:
            yield Found(f"the label {column} stands among the features.", columns=(column,))
            continue
        values = panel.column(at)
        for name, known in every.items():
            both = np.isfinite(values) & np.isfinite(known)
            if both.sum() > 30 and np.ptp(known[both]) and np.allclose(values[both], known[both], rtol=1e-6, atol=0):
                what = f"column {column} equals the label {name} in all {int(both.sum()):,} cells that both have."
                yield Found(what, columns=(column,), rows=int(both.sum()))
                break


@dataclass(frozen=True)
class _Knowledge:
    """How much a column says about what comes: correlations across names, its error, with what had come before,
    over all rows, in any shape, and the dates behind them."""

    ahead: float
    error: float
    back: float
    pooled: float
    shapeless: float
    dates: int


def by_knowledge(evidence: Evidence) -> Iterator[Found]:
    """A column whose relation to what comes is beyond belief."""
    panel, label = _parts(evidence)
    if label.foreseeable:
        raise TooLittleError(f"what was known before tells much of {label.name}; no relation is beyond belief")
    target = label.values if label.relative is None else label.relative
    if int(np.isfinite(target).any(axis=1).sum()) < FEWEST_DATES:
        raise TooLittleError(f"fewer than {FEWEST_DATES} dates have labels")
    ranked, market = ranks(target), by_date(target)
    before = np.full(target.shape, np.nan)
    before[label.horizon :] = ranked[: -label.horizon]
    drawn = drawn_rows(np.isfinite(target))
    some = _Drawn(target.ravel()[drawn], untied(ranked, seed=0).ravel()[drawn])
    for at, column in enumerate(panel.columns):
        values = panel.column(at)
        if is_market_wide(values):
            yield from _knows_the_market(column, of_the_market(values), market)
            continue
        own = ranks(values)
        ahead, error, dates = mean_and_error(correlations(own, ranked))
        back, _, _ = mean_and_error(correlations(own, before))
        mine = _Drawn(values.ravel()[drawn], untied(own, seed=1).ravel()[drawn])
        pooled = correlation(pooled_ranks(mine.values), pooled_ranks(some.values))
        yield from _judged(column, _Knowledge(ahead, error, back, pooled, _shapeless(mine, some), dates))


@dataclass(frozen=True)
class _Drawn:
    """Values of drawn rows (N,), and their ranks within dates without ties."""

    values: Floats
    ranks: Floats


def _shapeless(column: _Drawn, label: _Drawn) -> float:
    """Largest xi of a column and the label: of their ranks within dates either way, where what a date tells plays no
    part, and of the column as a function of the label over all rows, where it counts only if it is large."""
    within = max(dependence(column.ranks, label.ranks), dependence(label.ranks, column.ranks))
    over = dependence(label.values, column.values)
    return max(within, over if over >= IMPOSSIBLE_SHAPELESS else 0.0)


def _judged(column: str, found: _Knowledge) -> Iterator[Found]:
    figures = {
        "rank_ic": found.ahead, "rank_ic_error": found.error, "rank_ic_of_past": found.back,
        "pooled_rank_correlation": found.pooled, "xi": found.shapeless, "dates": float(found.dates),
    }  # fmt: skip
    sure = abs(found.ahead) >= 6 * found.error
    for value, bounds, holds, how in (
        (abs(found.ahead), (BELIEVABLE_IC, IMPOSSIBLE_IC), sure, "across the names of a date"),
        (
            abs(found.pooled), (belief_bound(found.dates, POOLED), belief_bound(found.dates, IMPOSSIBLE_POOLED)), True,
            "over all rows",
        ),
    ):  # fmt: skip
        if holds and value >= bounds[0]:
            what = (
                f"column {column} has a rank correlation of {value:.2f} with what comes after, {how}; "
                "honest columns have 0.02 to 0.05."
            )
            yield Found(what, "error" if value >= bounds[1] else "warning", (column,), figures=figures)
            return
    if found.shapeless >= SHAPELESS:
        what = f"column {column} and the label are functions of one another in some shape: xi is {found.shapeless:.2f}."
        severe: Severity = "error" if found.shapeless >= IMPOSSIBLE_SHAPELESS else "warning"
        yield Found(what, severe, (column,), figures=figures)
        return
    leads = abs(found.ahead) >= AHEAD_IC and abs(found.ahead) >= AHEAD_ERRORS * found.error
    if leads and abs(found.ahead) > AHEAD_OVER_BACK * abs(found.back):
        what = (
            f"column {column} goes with the change that comes ({found.ahead:+.2f} across names) more than with the one "
            f"before it ({found.back:+.2f}), as a column does that is shifted by a period."
        )
        yield Found(what, "warning", (column,), figures=figures)


def _knows_the_market(column: str, values: Floats, market: Floats) -> Iterator[Found]:
    """A column that is the same for all names can know the market's change; its level or its step may."""
    for how, series in (("", values), ("the step of ", np.diff(values, prepend=np.nan))):
        both = np.isfinite(series) & np.isfinite(market)
        if both.sum() < FEWEST_DATES:
            continue
        value = abs(correlation(series, market))
        bound = belief_bound(int(both.sum()), POOLED)
        if value >= bound:
            what = f"{how}column {column} has a correlation of {value:.2f} with the market's change that comes after."
            severe: Severity = "error" if value >= belief_bound(int(both.sum()), IMPOSSIBLE_POOLED) else "warning"
            yield Found(
                what[0].upper() + what[1:] if how else what, severe, (column,),
                figures={"correlation": value, "bound": bound, "dates": float(both.sum())},
            )  # fmt: skip
            return


def _parts(evidence: Evidence) -> tuple[PanelEvidence, LabelEvidence]:
    if evidence.panel is None or evidence.label is None:
        raise TooLittleError("needs panel, label")
    return evidence.panel, evidence.label


CHECKS = (
    AuditCheck(
        "label-in-features",
        20,
        "a label in the features",
        "take the column out, or find out from what and when it is computed; a column must be known on its date",
        (
            Probe(("panel", "label"), "names and values of columns beside those of labels", "error", by_name),
            Probe(
                ("panel", "label"),
                "correlation of every column with what comes: ranks within dates and over all rows, dependence of any "
                "shape (Chatterjee's xi), lead against lag, and the market's change for columns without names",
                "error", by_knowledge,
            ),
        ),
    ),
)  # fmt: skip
