"""Labels where there can be none: beyond the data's end, or after a delisting."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from alfred.core.contracts import Bools, Floats
from alfred.evaluation.audit._contracts import AuditCheck, Found, Probe, Severity, TooLittleError, few, many
from alfred.evaluation.audit._evidence import Evidence, LabelEvidence, PanelEvidence

FEWEST_NAMES = 5
REUSED_DAYS = 60
"""From so long after a delisting on, quotes are those of another company (row 9)."""
FEWEST_ENDS, SHARE_OF_ENDS, MOST_USUAL = 3, 0.3, 0.05
SHARE_OFF = 1e-3


def realised_beyond(evidence: Evidence) -> Iterator[Found]:
    """Labels that are there though nobody could have known them when the data end."""
    panel, label = _parts(evidence)
    if label.realised_on is None:
        raise TooLittleError("nobody says when labels were realised")
    early: Bools = np.isfinite(label.values) & np.isnat(label.realised_on)
    end = "the data's end"
    if evidence.bars is not None and len(evidence.bars):
        last = evidence.bars["date"].to_numpy().astype("datetime64[D]").max()
        early |= np.isfinite(label.values) & (label.realised_on > last)
        end = str(last)
    if early.any():
        yield _found(panel, early, f"{int(early.sum()):,} labels need prices after {end}", "error")


def all_alike_at_the_end(evidence: Evidence) -> Iterator[Found]:
    """Last dates on which all names have one and the same label."""
    panel, label = _parts(evidence)
    known = np.isfinite(label.values)
    with_label = np.flatnonzero(known.sum(axis=1) >= FEWEST_NAMES)
    if len(with_label) < 2:
        raise TooLittleError(f"fewer than two dates have {FEWEST_NAMES} labels")
    alike = np.array([np.ptp(label.values[at][known[at]]) == 0 for at in with_label])
    tail = len(alike) - int(np.argmin(alike[::-1])) if not alike.all() else 0
    struck = with_label[tail:]
    usual = alike[:tail].mean() if tail else 1.0
    if len(struck) and usual < MOST_USUAL and len(struck) <= max(4, label.horizon):
        value = label.values[struck[0]][known[struck[0]]][0]
        mask = known.copy()
        mask[: struck[0]] = False
        what = f"all labels of the last {many(len(struck), 'date')} are {value:g}: what is not known yet was filled in"
        yield _found(panel, mask, what, "error")


def zero_where_names_end(evidence: Evidence) -> Iterator[Found]:
    """Names whose last label is exactly 0, where they end before the panel does."""
    panel, label = _parts(evidence)
    if label.relative is None:
        raise TooLittleError("the label is no relative change")
    known = np.isfinite(label.relative)
    last = len(panel.dates) - 1 - np.argmax(panel.present[::-1], axis=0)
    ends = panel.present.any(axis=0) & (last < len(panel.dates) - 1)
    final = label.relative[last, np.arange(len(panel.symbols))]
    zero: Bools = ends & (final == 0)
    usual = float((label.relative[known] == 0).mean()) if known.any() else 0.0
    if ends.sum() < FEWEST_ENDS:
        raise TooLittleError(f"fewer than {FEWEST_ENDS} names end before the panel does")
    if zero.sum() >= FEWEST_ENDS and zero.sum() > SHARE_OF_ENDS * ends.sum() and usual < MOST_USUAL:
        mask = np.zeros(known.shape, np.bool_)
        mask[last[zero], np.flatnonzero(zero)] = True
        what = f"{int(zero.sum())} of {int(ends.sum())} names that end have a last label of exactly 0, not their loss"
        yield _found(panel, mask, what, "error")


def not_what_prices_give(evidence: Evidence) -> Iterator[Found]:
    """Relative changes that closes on the row's date and a horizon later do not give."""
    panel, label = _parts(evidence)
    if evidence.bars is None or label.relative is None:
        raise TooLittleError("needs bars and a relative change")
    closes = _closes(panel, evidence.bars)
    ahead = label.horizon
    if len(closes) <= ahead:
        raise TooLittleError("fewer dates than the horizon")
    with np.errstate(divide="ignore", invalid="ignore"):
        change = closes[ahead:] / closes[:-ahead] - 1
    stated = label.relative[:-ahead]
    both = np.isfinite(change) & np.isfinite(stated) & ~_acted(panel, evidence)[None, :]
    if not both.any():
        raise TooLittleError("no label's prices are at hand")
    off = both & ~np.isclose(change, stated, rtol=1e-4, atol=1e-6)
    if off.sum() > SHARE_OFF * both.sum():
        mask = np.zeros(label.relative.shape, np.bool_)
        mask[:-ahead] = off
        what = f"{int(off.sum()):,} of {int(both.sum()):,} labels are not what closes give, computed once more"
        yield _found(panel, mask, what, "error")


def quoted_after_delisting(evidence: Evidence) -> Iterator[Found]:
    """Quotes that go on after a delisting, from which a label of 0 would follow."""
    bars, actions = evidence.bars, evidence.actions
    if bars is None or actions is None:
        raise TooLittleError("needs bars, actions")
    ends = actions.filter(pl.col("kind") == "delisting").group_by("symbol").agg(pl.col("date").min().alias("ended"))
    after = bars.join(ends, on="symbol").with_columns(
        (pl.col("date") - pl.col("ended")).dt.total_days().alias("days")
    ).filter(pl.col("days").is_between(1, REUSED_DAYS - 1))  # fmt: skip
    if len(after):
        names = after["symbol"].unique().sort().to_list()
        first = after.sort("symbol", "date").row(0, named=True)
        what = (
            f"{len(after):,} quotes of {few(names)} lie after the name's delisting, such as {first['symbol']} at "
            f"{first['close']:.6g} on {first['date']}, delisted on {first['ended']}: a holder was paid something else."
        )
        yield Found(what, "warning", symbols=tuple(names[:5]), dates=(str(first["date"]),), rows=len(after))


def _closes(panel: PanelEvidence, bars: pl.DataFrame) -> Floats:
    """(D, S) closes on the panel's dates, NaN where there is none."""
    closes = np.full((len(panel.dates), len(panel.symbols)), np.nan)
    keys = pl.DataFrame({"date": panel.dates, "row": np.arange(len(panel.dates))}, schema_overrides={"date": pl.Date})
    names = pl.DataFrame({"symbol": list(panel.symbols), "column": np.arange(len(panel.symbols))})
    found = bars.select("symbol", "date", "close").join(keys, on="date").join(names, on="symbol").drop_nulls()
    closes[found["row"].to_numpy(), found["column"].to_numpy()] = found["close"].to_numpy()
    return closes


def _acted(panel: PanelEvidence, evidence: Evidence) -> Bools:
    """(S,) names that were delisted or renamed: their labels follow the holder."""
    if evidence.actions is None or evidence.actions.is_empty():
        return np.zeros(len(panel.symbols), np.bool_)
    acted = set(evidence.actions.filter(pl.col("kind").is_in(["delisting", "rename"]))["symbol"].to_list())
    return np.array([symbol in acted for symbol in panel.symbols], np.bool_)


def _found(panel: PanelEvidence, mask: Bools, what: str, severity: Severity) -> Found:
    dates, symbols = np.nonzero(mask)
    named = [
        f"{panel.symbols[symbol]} on {panel.dates[date]}" for date, symbol in zip(dates[:5], symbols[:5], strict=True)
    ]
    names = tuple(dict.fromkeys(panel.symbols[at] for at in symbols[:50]))[:5]
    days = tuple(dict.fromkeys(str(panel.dates[at]) for at in dates[:50]))[:5]
    return Found(f"{what}: {few(named, int(mask.sum()))}.", severity, (), names, days, int(mask.sum()))


def _parts(evidence: Evidence) -> tuple[PanelEvidence, LabelEvidence]:
    if evidence.panel is None or evidence.label is None:
        raise TooLittleError("needs panel, label")
    return evidence.panel, evidence.label


CHECKS = (
    AuditCheck(
        "label-beyond-data", 21, "a label that needs prices after the data's end, or after a delisting",
        "leave such labels missing, or take the delisting's return; never fill them in",
        (
            Probe(("panel", "label"), "labels beside the dates on which they were realised", "error", realised_beyond),
            Probe(("panel", "label"), "whether the last dates' labels differ at all", "error", all_alike_at_the_end),
            Probe(("panel", "label"), "last labels of names that end", "error", zero_where_names_end),
            Probe(("panel", "label", "bars"), "labels, computed once more from closes", "error", not_what_prices_give),
            Probe(("bars", "actions"), "quotes after a delisting", "warning", quoted_after_delisting),
        ),
    ),
)  # fmt: skip
