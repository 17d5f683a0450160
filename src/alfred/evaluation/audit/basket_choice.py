"""How names were chosen: by correlation of what, and beginning with which."""

from collections.abc import Iterator

import numpy as np

from alfred.core.errors import ConfigError
from alfred.evaluation.audit._contracts import AuditCheck, Found, Probe, TooLittleError, few
from alfred.evaluation.audit._evidence import Evidence
from alfred.universe.baskets import scan

MATCHING = 0.9
FEWEST_CELLS = 30


def chosen_by(evidence: Evidence) -> Iterator[Found]:
    """The choice, made once more on returns and on levels."""
    repeated = 0
    for choice in evidence.choices or ():
        if choice.on == "levels":
            what = f"the basket from {choice.start} on was chosen by correlation of price levels, which all trend."
            yield Found(what, "warning", symbols=choice.chosen[:5])
            continue
        if choice.bars is None or choice.start not in choice.chosen:
            continue
        repeated += 1
        again = {}
        for on in ("returns", "levels"):
            try:
                again[on] = scan(choice.bars, choice.start, len(choice.chosen), exclude=choice.excluded, on=on).symbols
            except ConfigError as error:
                raise TooLittleError(f"the choice cannot be repeated: {error}") from error
        if set(choice.chosen) != set(again["returns"]):
            by_levels = set(choice.chosen) == set(again["levels"])
            strange = [name for name in choice.chosen if name not in again["returns"]]
            how = "but correlation of price levels gives it" if by_levels else f"which would not take {few(strange)}"
            what = f"the basket from {choice.start} on is not what correlation of returns gives, {how}."
            yield Found(what, symbols=tuple(strange[:5]), rows=len(strange))
    if not repeated and not any(choice.on == "levels" for choice in evidence.choices or ()):
        raise TooLittleError("no basket was chosen by correlation")


def price_levels(evidence: Evidence) -> Iterator[Found]:
    """Columns whose own relative change is the label: they are the price itself."""
    panel, label = evidence.panel, evidence.label
    if panel is None or label is None or label.relative is None:
        raise TooLittleError("the label is no relative change")
    if panel.quoted_levels is True:
        return
    ahead = label.horizon
    found = []
    for at, column in enumerate(panel.columns):
        values = panel.column(at)
        if len(values) <= ahead:
            raise TooLittleError("fewer dates than the horizon")
        with np.errstate(divide="ignore", invalid="ignore"):
            change = values[ahead:] / values[:-ahead] - 1
        both = np.isfinite(change) & np.isfinite(label.relative[:-ahead])
        if both.sum() < FEWEST_CELLS:
            continue
        close = np.isclose(change[both], label.relative[:-ahead][both], rtol=1e-3, atol=1e-4)
        if close.mean() > MATCHING:
            found.append(column)
    if found:
        what = (
            f"{few(found)} is a level of the price: levels trend and look correlated with anything that does, "
            "and one adjusted backwards knows later splits and dividends."
        )
        yield Found(what, "warning", columns=tuple(found[:5]), rows=len(found))


def begins_elsewhere(evidence: Evidence) -> Iterator[Found]:
    """Baskets that do not begin with the name that was asked for."""
    for choice in evidence.choices or ():
        first = choice.chosen[0] if choice.chosen else "nothing"
        if first != choice.start:
            what = f"the choice was to begin with {choice.start}, but begins with {first}."
            yield Found(what, symbols=(choice.start, first))
        if set(choice.chosen) & set(choice.excluded):
            both = sorted(set(choice.chosen) & set(choice.excluded))
            yield Found(f"{few(both)} were excluded from the choice, but are in it.", symbols=tuple(both[:5]))


CHECKS = (
    AuditCheck(
        "level-correlation", 10, "correlation of price levels",
        "correlate returns; use relative changes in place of price levels",
        (
            Probe(("choices",), "chosen baskets, beside what correlation of returns and of levels would give", "error",
                  chosen_by),
            Probe(("panel", "label"), "columns whose relative change is the label", "warning", price_levels),
        ),
    ),
    AuditCheck(
        "start-ignored", 11, "the starting ticker ignored",
        "choose the basket again; the greedy choice must begin where it is told to",
        (Probe(("choices",), "first name of each chosen basket", "error", begins_elsewhere),),
    ),
)  # fmt: skip
