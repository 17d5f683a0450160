"""What a reader must know before any figure of a run."""

from collections.abc import Sequence

import numpy as np

from alfred.core.calendar import day
from alfred.evaluation.protocols import SAME_YEARS
from alfred.experiments.market import Market
from alfred.experiments.portfolios import Portfolios
from alfred.experiments.study import NamesSettings, entry_name
from alfred.experiments.walkforward import WalkForward
from alfred.lake.symbols import INDEXES
from alfred.panel.catalogue import catalogue
from alfred.panel.labels import STOPPED_PRICES
from alfred.universe.baskets import Baskets

FILED = "facts"
"""Table of what companies file."""
SIZE_COLUMNS = ("market_cap", "dollar_volume", "illiquidity")
"""Columns that tell how large a company was."""


def warnings_of(
    market: Market, baskets: Baskets, walk: WalkForward, portfolios: Portfolios, names: NamesSettings | None = None
) -> tuple[str, ...]:
    """What a reader must know before any figure; `names` is the study's wish for a whole list, where it has one."""
    found = []
    if walk.protocol in SAME_YEARS:
        found.append(
            "Memory: the quarters tested here were trained on. Every figure shows what was remembered, and no account "
            "below could have been run."
        )
    if market.description.survivors_only:
        found.append(survivorship(walk.panel.features))
    first = walk.panel.dates[walk.folds[0].test[0]]
    found += chosen_later(names, day(str(market.bars["date"].max())), first)
    levels = [name for name in walk.panel.features if catalogue()[name].is_level]
    if levels and not market.levels_usable:
        found.append(
            f"Look-ahead: {', '.join(levels)} is a price level adjusted backwards; it knows later splits and dividends."
        )
    stopped = walk.panel.labels.came_about(walk.panel.listed).get(STOPPED_PRICES, 0)
    if stopped:
        found.append(
            f"Ends unknown: the prices of {stopped} rows stop before their label's date and no action says why; what "
            "their holders lost is in no figure here."
        )
    found += _names_lost(walk, baskets.without_prices)
    unmarked = walk.unmarked()
    if unmarked:
        worst = sorted(unmarked.items(), key=lambda item: -item[1])
        named = ", ".join(f"{name} ({share:.0%})" for name, share in worst[:5])
        more = f" and {len(worst) - 5} more" if len(worst) > 5 else ""
        found.append(
            f"Missing only in the test: {named}{more}. Training rows always held these columns, so that analysts could "
            "not learn what their absence means, and take their mean for it."
        )
    quarters = sum(len(fold.test) for fold in walk.folds)
    if walk.kept is not None:
        fold = walk.folds[0]
        found.append(
            f"One model: {entry_name(walk.kept.spec)} learnt once, from quarters to {walk.panel.dates[fold.train[-1]]} "
            f"and its epoch from quarters to {walk.panel.dates[fold.valid[-1]]}; it is not trained anew in the "
            f"{quarters} test quarters, as `alfred run` does every few of them."
        )
    if quarters < 40:
        found.append(f"Few dates: {quarters} test quarters can show only large effects.")
    found += portfolios.warnings
    return tuple(found)


def _names_lost(walk: WalkForward, lost: Sequence[str]) -> list[str]:
    """Names and rows that take no part, or take part without a family of columns; none goes missing in silence."""
    panel, found = walk.panel, []
    if lost:
        listed = len({*walk.training, *walk.evaluation}) + len(lost)
        shown = ", ".join(lost[:5]) + (f" and {len(lost) - 5:,} more" if len(lost) > 5 else "")
        found.append(f"No prices: {len(lost):,} of {listed:,} listed names have none and take no part: {shown}.")
    if panel.unmet:
        share = panel.unmet / (panel.unmet + panel.listed.sum())
        found.append(
            f"Required columns: {panel.unmet:,} rows with a price ({share:.0%}) lack one that panel.required names and "
            "take no part."
        )
    own = [at for at, name in enumerate(panel.features) if FILED in catalogue()[name].tables]
    taking = panel.listed.any(axis=0)
    if own and taking.any():
        without = taking & ~np.isfinite(panel.values[:, :, own]).any(axis=(0, 2))
        if without.any():
            found.append(
                f"No filings: {int(without.sum()):,} of {int(taking.sum()):,} names have no fundamentals on any date. "
                "They are kept, with these columns marked as missing; panel.required leaves such rows out."
            )
    return found


def chosen_later(names: NamesSettings | None, last: np.datetime64, first: np.datetime64) -> list[str]:
    """The warning over an index's members that were looked up after the test had begun.

    Args:
        names: the study's list, None where it has none.
        last: last session of the data, on which membership is looked up where the list names no day.
        first: first decision date that is tested.
    """
    if names is None:
        return []
    on = last if names.as_of is None else day(names.as_of)
    indexes = [part.strip() for part in names.list.split(",") if part.strip().removeprefix("@").lower() in INDEXES]
    if not indexes or on < first:
        return []
    text = (
        f"Survivorship: the names are the members of {' and '.join(indexes)} on {on}, after the first test quarter of "
        f"{first}. Whoever was a member by then had not failed, and had mostly grown; no investor could choose so. Set "
        f"universe.names.as_of before {first}."
    )
    return [text]


def survivorship(columns: Sequence[str]) -> str:
    """The warning over results on names that were chosen at the end of the data, on these columns."""
    text = (
        "Survivorship: these companies were chosen because they still existed at the end of the data. Returns and the "
        "share of rising quarters are higher than an investor of the time could have expected."
    )
    sizes = [name for name in SIZE_COLUMNS if name in columns]
    if not sizes:
        return text
    return (
        f"{text} So is the rank IC of whoever learns from {', '.join(sizes)}: a company that was small and stands in a "
        "later list of large ones has grown. Leave these columns out (panel.exclude) before believing it."
    )
