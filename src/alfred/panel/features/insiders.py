"""Columns of insiders' trades: what officers, directors and large owners told of in the quarter."""

from collections.abc import Callable

import numpy as np

from alfred.core.contracts import Bools, Floats
from alfred.panel.asof import Known
from alfred.panel.catalogue import Feature
from alfred.panel.sources import Sources

KNOWN = "from the filing's known_at; a trade belongs to the quarter in which its filing became known"


def _value(side: str) -> Callable[[Sources], Floats]:
    def compute(sources: Sources) -> Floats:
        lines = sources.insider
        shares, value = lines.number(f"{side}_shares"), lines.number(f"{side}_value")
        # A value of 0 is a grant, a gift or an exercise at no price: what it was worth is not told.
        valued = value > 0
        traded = valued | (shares > 0) | _of_neither_side(lines)
        quiet = (lines.sums(traded) == 0) & lines.covered(sources.fill_days.insider)
        total = lines.sums(np.where(valued, value, 0.0))
        return np.where((lines.sums(valued) > 0) | quiet, total, np.nan)

    return compute


def _of_neither_side(lines: Known) -> Bools:
    """(N,) lines without any number, which may have been trades of either side."""
    told = [lines.number(f"{side}_{what}") for side in ("acquired", "disposed") for what in ("shares", "value")]
    untold: Bools = np.logical_and.reduce([np.isnan(numbers) for numbers in told])
    return untold


def _feature(name: str, side: str, verb: str) -> Feature:
    return Feature(
        name,
        f"sum over the lines of insiders' filings that became known in the quarter (after the decision date before, up "
        f"to this one's close) of shares {verb} * price as the form gives it, every transaction code; a line without "
        "a price, or with one of 0, is left out",
        "USD",
        ("insider",),
        KNOWN,
        f"where shares were {verb} but no line tells for how much; without such lines it is 0 for a symbol with a "
        "filing known in the last fill_days.insider days, and missing for any other, whose trades no one may follow",
        "signed-log",
        _value(side),
        delta="absolute",
    )


FEATURES = (
    _feature("insider_acquisition", "acquired", "acquired"),
    _feature("insider_disposal", "disposed", "disposed of"),
)
