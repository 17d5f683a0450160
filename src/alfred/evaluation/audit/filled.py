"""Values where nothing was known yet: the future filled backwards, and zeros for missing."""

import re
from collections.abc import Iterator

import numpy as np
import polars as pl

from alfred.core.contracts import Bools, Floats
from alfred.evaluation.audit._contracts import AuditCheck, Found, Probe, TooLittleError, few
from alfred.evaluation.audit._evidence import Evidence, PanelEvidence
from alfred.evaluation.audit._measures import is_market_wide, leading_runs, of_the_market

FEWEST_FILLED = 4
"""Dates with one and the same value, from the first on, before a column is looked at more closely."""
FEWEST_LATER = 4
"""Dates after them, so that the column can show that it usually moves."""
SHARE_OF_NAMES = 0.02
MOST_LATER_ZEROS = 0.02
"""A column that is often 0 once it has begun may have been 0 before."""
DIFFERENCE = re.compile("delta|diff|change|surprise|growth|return|momentum", re.IGNORECASE)
"""Columns in which 0 means that nothing changed."""
ATOM, ATOM_OVER_NEXT = 0.01, 10
"""Share of zeros in a column of both signs, and how many times the next most frequent value they must be."""


def filled_backwards(evidence: Evidence) -> Iterator[Found]:
    """Columns that begin with one value, other than 0, for far longer than any later one lasts."""
    panel = _long_panel(evidence)
    for at, column in enumerate(panel.columns):
        values, names = _one_per_market(panel, at)
        struck, length = _constant_start(values)
        struck &= (_first(values) != 0) & ~_usual(values, length)
        if struck.sum() >= _enough(values):
            first = values[:, int(np.flatnonzero(struck)[0])]
            start = np.flatnonzero(np.isfinite(first))
            which = [names[place] for place in np.flatnonzero(struck)]
            what = (
                f"column {column} begins with one and the same value for {int(np.median(length[struck]))} dates "
                f"{_of(which)}, such as {first[start[0]]:.6g} from {panel.dates[start[0]]} on: filled backwards."
            )
            yield Found(what, columns=(column,), symbols=tuple(which[:5]), dates=(str(panel.dates[start[0]]),),
                        rows=int(length[struck].sum()))  # fmt: skip


def zeros_at_first(evidence: Evidence) -> Iterator[Found]:
    """Columns that are 0 for some names always, or until they begin, and for the others never."""
    panel = _long_panel(evidence)
    for at, column in enumerate(panel.columns):
        if DIFFERENCE.search(column):
            continue
        values, names = _one_per_market(panel, at)
        known = np.isfinite(values)
        first, _, count = leading_runs(values)
        zero = values == 0
        begun = np.cumsum(known & ~zero, axis=0) > 0
        after = known & begun
        enough = count >= FEWEST_FILLED
        always = enough & (zero.sum(axis=0) == count)
        struck = enough & (_first(values) == 0) & (first >= FEWEST_FILLED)
        if not after.sum() or (zero & after).sum() > MOST_LATER_ZEROS * after.sum():
            continue
        if struck.sum() >= _enough(values):
            which = [names[place] for place in np.flatnonzero(struck)]
            cells = int(first[struck].sum())
            what = (
                f"column {column} is exactly 0 in {cells:,} cells {_of(which)} before it begins"
                f"{f' ({int(always.sum())} of them never begin)' if always.any() else ''}, "
                "and almost never afterwards: zeros stand for missing values."
            )
            yield Found(what, "warning", (column,), tuple(which[:5]), rows=cells)


def zeros_in_between(evidence: Evidence) -> Iterator[Found]:
    """Columns of both signs in which exactly 0 is far more frequent than any other value."""
    panel = _long_panel(evidence)
    for at, column in enumerate(panel.columns):
        if DIFFERENCE.search(column):
            continue
        values, _ = _one_per_market(panel, at)
        known = values[np.isfinite(values)]
        zeros = int((known == 0).sum())
        if zeros < max(10, ATOM * len(known)):
            continue
        signs = (known > 0).sum(), (known < 0).sum()
        if min(signs) < 0.02 * len(known):
            continue
        other = np.sort(known[known != 0])
        runs = np.diff(np.flatnonzero(np.concatenate([[True], np.diff(other) != 0, [True]])))
        if len(runs) > 20 and zeros > ATOM_OVER_NEXT * runs.max():
            what = (
                f"column {column} is exactly 0 in {zeros:,} of {len(known):,} cells, {zeros / runs.max():.0f} times as "
                "often as its next most frequent value: zeros stand for missing values."
            )
            yield Found(what, "warning", (column,), rows=zeros, figures={"share": zeros / len(known)})


def zeros_in_accounts(evidence: Evidence) -> Iterator[Found]:
    """Estimates that are 0 with a surprise that contradicts them, and figures that are 0 in every filing of a name."""
    if evidence.earnings is not None and len(evidence.earnings):
        rows = evidence.earnings
        wrong = rows.filter(pl.col("estimated_eps") == 0, pl.col("surprise") == 0, pl.col("reported_eps").abs() > 0.005)
        if len(wrong) >= 3:
            names = wrong["symbol"].unique().sort().to_list()
            what = (
                f"{len(wrong):,} of {len(rows):,} announcements have an estimate of 0 and a surprise of 0 beside other "
                f"earnings, of {few(names)}: zeros stand for estimates that nobody made."
            )
            yield Found(what, "warning", ("estimated_eps", "surprise"), tuple(names[:5]), rows=len(wrong))
    facts = evidence.facts
    if facts is None or facts.is_empty():
        return
    each = facts.group_by("concept", "symbol").agg((pl.col("value") == 0).all().alias("never"), pl.len())
    for concept, names in (
        each.filter(pl.col("never"), pl.col("len") >= FEWEST_FILLED).sort("symbol").group_by("concept").agg("symbol")
    ).sort("concept").iter_rows():  # fmt: skip
        of = each.filter(pl.col("concept") == concept)
        rare = facts.filter(pl.col("concept") == concept, ~pl.col("symbol").is_in(names))["value"]
        if len(names) >= 3 and len(rare) and (rare == 0).mean() < MOST_LATER_ZEROS:  # type: ignore[operator]
            what = (
                f"{concept} is 0 in every filing of {len(names)} of {len(of)} names, such as {few(names)}, and almost "
                "never of the others: zeros stand for figures that nobody reports."
            )
            yield Found(what, "warning", (concept,), tuple(names[:5]), rows=len(names))


def _constant_start(values: Floats) -> tuple[Bools, "np.ndarray[tuple[int], np.dtype[np.int64]]"]:
    """Names whose first value lasts longer than twice any later one, and how long."""
    first, later, count = leading_runs(values)
    struck: Bools = (first >= FEWEST_FILLED) & (first > 2 * later) & (count - first >= FEWEST_LATER)
    return struck, first


def _first(values: Floats) -> Floats:
    """(S,) first known value of each name."""
    known = np.isfinite(values)
    first: Floats = values[np.argmax(known, axis=0), np.arange(values.shape[1])]
    return first


def _usual(values: Floats, length: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Bools:
    """Names that begin with a value that the column takes often elsewhere, as a share of 1 does: it may last."""
    known = np.isfinite(values)
    started = known & (np.cumsum(known, axis=0) <= length)
    elsewhere = np.sort(values[known & ~started])
    first = _first(values)
    equal = np.searchsorted(elsewhere, first, side="right") - np.searchsorted(elsewhere, first, side="left")
    usual: Bools = equal > ATOM * max(len(elsewhere), 1)
    return usual


def _enough(values: Floats) -> int:
    """Names that must be struck: one where there is one series or few names, otherwise more than by chance."""
    names = int((np.isfinite(values).sum(axis=0) >= FEWEST_FILLED + FEWEST_LATER).sum())
    return max(1 if names < 20 else 2, int(np.ceil(SHARE_OF_NAMES * names)))


def _one_per_market(panel: PanelEvidence, at: int) -> tuple[Floats, tuple[str, ...]]:
    """A column's values by name, or, where it is the same for all names, as one series."""
    values = panel.column(at)
    if is_market_wide(values):
        return of_the_market(values)[:, None], ("all names",)
    return values, panel.symbols


def _of(names: list[str]) -> str:
    return f"of {few(names)}"


def _long_panel(evidence: Evidence) -> PanelEvidence:
    panel = evidence.panel
    if panel is None or len(panel.dates) < FEWEST_FILLED + FEWEST_LATER:
        raise TooLittleError(f"fewer than {FEWEST_FILLED + FEWEST_LATER} dates")
    return panel


def _needs_accounts(evidence: Evidence) -> Iterator[Found]:
    empty = all(table is None or table.is_empty() for table in (evidence.facts, evidence.earnings))
    if empty:
        raise TooLittleError("there are no accounts")
    yield from zeros_in_accounts(evidence)


CHECKS = (
    AuditCheck(
        "filled-backwards", 4, "the future filled backwards",
        "leave a value missing until it is known, and let models see that it is",
        (Probe(("panel",), "how long columns stay at their first value", "error", filled_backwards),),
    ),
    AuditCheck(
        "zeros-for-missing", 5, "zeros for missing values",
        "store missing as null with an indicator, never as 0",
        (
            Probe(("panel",), "zeros before a column begins, or for some names always", "warning", zeros_at_first),
            Probe(("panel",), "zeros in between, beside how often other values occur", "warning", zeros_in_between),
            Probe(("facts", "earnings"), "zeros in filings and announcements", "warning", _needs_accounts),
        ),
    ),
)  # fmt: skip
