"""Figures that were used before they were filed."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from alfred.evaluation.audit._contracts import AuditCheck, Found, Probe, TooLittleError
from alfred.evaluation.audit._evidence import Evidence

FASTEST_DAYS = 4
"""Nobody closes the books, and nobody reports, sooner after a period's end."""
SHARE_TOO_FAST = 0.02


def known_after_use(evidence: Evidence) -> Iterator[Found]:
    """Rows whose values became known only after the date at which they stand."""
    panel, known_at = evidence.panel, evidence.known_at
    if panel is None or known_at is None:
        raise TooLittleError("needs panel, known_at")
    late = panel.present & (known_at.astype("datetime64[D]") > panel.dates[:, None])
    if late.any():
        date, symbol = (place[0] for place in np.nonzero(late))
        which = [panel.symbols[at] for at in np.flatnonzero(late.any(axis=0))]
        what = (
            f"{int(late.sum()):,} of {int(panel.present.sum()):,} rows became known after the date at which they "
            f"stand, such as {panel.symbols[symbol]} on {panel.dates[date]}, known on {known_at[date, symbol]}."
        )
        yield Found(what, symbols=tuple(which[:5]), dates=(str(panel.dates[date]),), rows=int(late.sum()))


def used_at_period_end(evidence: Evidence) -> Iterator[Found]:
    """Rows whose accounts are about a period that had just ended."""
    panel, period_end = evidence.panel, evidence.period_end
    if panel is None or period_end is None:
        raise TooLittleError("needs panel, period_end")
    said = panel.present & ~np.isnat(period_end)
    days = (panel.dates[:, None] - period_end.astype("datetime64[D]")).astype(np.int64)
    fast = said & (days < FASTEST_DAYS)
    if fast.sum() > SHARE_TOO_FAST * max(int(said.sum()), 1):
        date, symbol = (place[0] for place in np.nonzero(fast))
        which = [panel.symbols[at] for at in np.flatnonzero(fast.any(axis=0))]
        what = (
            f"{int(fast.sum()):,} of {int(said.sum()):,} rows use accounts less than {FASTEST_DAYS} days after their "
            f"period's end, such as {panel.symbols[symbol]} on {panel.dates[date]}; filings take 30 to 60 days."
        )
        yield Found(what, symbols=tuple(which[:5]), dates=(str(panel.dates[date]),), rows=int(fast.sum()))


def known_too_soon(evidence: Evidence) -> Iterator[Found]:
    """Facts and earnings that are said to be known when their period ends."""
    looked = 0
    for name, table in (("facts", evidence.facts), ("earnings", evidence.earnings)):
        if table is None or table.is_empty():
            continue
        looked += 1
        fast = table.filter(pl.col("known_at").dt.date() < pl.col("period_end") + pl.duration(days=FASTEST_DAYS))
        if len(fast) > SHARE_TOO_FAST * len(table):
            names = fast["symbol"].unique().sort().to_list()
            first = fast.row(0, named=True)
            what = (
                f"{len(fast):,} of {len(table):,} {name} are known less than {FASTEST_DAYS} days after their period's "
                f"end, such as {first['symbol']} for {first['period_end']}; filings take 30 to 60 days."
            )
            yield Found(what, symbols=tuple(names[:5]), dates=(str(first["period_end"]),), rows=len(fast))
    if not looked:
        raise TooLittleError("there are no accounts")


CHECKS = (
    AuditCheck(
        "used-before-filed", 6, "fundamentals at the period's end",
        "join figures on the day they were filed, restated ones on the day of their restatement",
        (
            Probe(("panel", "known_at"), "when rows became known, beside their dates", "error", known_after_use),
            Probe(("panel", "period_end"), "ends of the accounts' periods, beside the rows' dates", "error",
                  used_at_period_end),
            Probe(("facts", "earnings"), "when filings became known, beside their periods' ends", "error",
                  known_too_soon),
        ),
    ),
)  # fmt: skip
