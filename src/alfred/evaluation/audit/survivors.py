"""Universes in which nobody ever fails."""

import math
from collections.abc import Iterator

import numpy as np
import polars as pl

from alfred.evaluation.audit._contracts import AuditCheck, Found, Probe, TooLittleError
from alfred.evaluation.audit._evidence import Evidence

ENDS_PER_YEAR = 0.02
"""Share of listed companies that end in a year by merger, failure or choice; the true one has always been higher."""
CHANCE = 0.01
QUIET_DAYS = 30


def nobody_ends(evidence: Evidence) -> Iterator[Found]:
    """Prices of names none of which ends before the data do."""
    spans = evidence.listing
    if spans is None or spans.is_empty():
        raise TooLittleError("needs listing")
    first, last = (spans[name].to_numpy().astype("datetime64[D]") for name in ("first", "last"))
    days = (last - first).astype(np.int64)
    ended = int((last < last.max() - QUIET_DAYS).sum())
    if evidence.actions is not None:
        ended += len(evidence.actions.filter(pl.col("kind") == "delisting"))
    yield from _judged(len(spans), float(days.sum()) / 365.25, ended, evidence)


def nobody_leaves(evidence: Evidence) -> Iterator[Found]:
    """A panel that no name leaves before its last date."""
    panel = evidence.panel
    if panel is None:
        raise TooLittleError("needs panel")
    if evidence.listing is not None:
        raise TooLittleError("the listing of the whole universe tells more")
    there = panel.present
    first = np.argmax(there, axis=0)
    last = len(panel.dates) - 1 - np.argmax(there[::-1], axis=0)
    some = there.any(axis=0)
    days = (panel.dates[last] - panel.dates[first])[some].astype("timedelta64[D]").astype(np.float64)
    ended = int((last[some] < len(panel.dates) - 1).sum())
    yield from _judged(int(some.sum()), float(days.sum()) / 365.25, ended, evidence)


def _judged(names: int, years: float, ended: int, evidence: Evidence) -> Iterator[Found]:
    if ended or evidence.members_by_date:
        return
    chance = math.exp(-ENDS_PER_YEAR * years)
    if chance > CHANCE:
        raise TooLittleError(f"{names} names over {years:.0f} years together could all have lasted by chance")
    what = (
        f"none of {names} names ends before the data do, in {years:,.0f} years of listing together: they were chosen "
        "because they survived. Returns are higher than an investor of the time could have expected."
    )
    yield Found(what, "warning", rows=names, figures={"years": years, "chance": chance})


CHECKS = (
    AuditCheck(
        "survivors-only", 18, "survivors only",
        "bring the names that were delisted, or members of an index by date; until then, read every return as too high",
        (
            Probe(("listing",), "how many names end before the data do, beside how many should have", "warning",
                  nobody_ends),
            Probe(("panel",), "how many names leave the panel before its last date", "warning", nobody_leaves),
        ),
    ),
)  # fmt: skip
