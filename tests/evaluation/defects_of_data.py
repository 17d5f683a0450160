"""Defects of what was learnt from, planted into clean evidence: values, prices, baskets, labels, texts."""

from collections.abc import Callable
from dataclasses import replace

import audit_evidence as made
import numpy as np
import polars as pl
from audit_evidence import DATES, NAMES, with_column

from alfred.evaluation.audit import Evidence, LabelEvidence

Plant = Callable[[Evidence], Evidence]


def label(evidence: Evidence) -> LabelEvidence:
    assert evidence.label is not None
    return evidence.label


def values(evidence: Evidence, column: str) -> np.ndarray:
    assert evidence.panel is not None
    return evidence.panel.column(evidence.panel.columns.index(column))


def filled_backwards(evidence: Evidence) -> Evidence:
    column = values(evidence, "VIX").copy()
    column[:15] = column[15]
    return with_column(evidence, "bitcoin", column)


def filled_backwards_by_name(evidence: Evidence) -> Evidence:
    column = values(evidence, "margin").copy()
    column[:12, 5:9] = column[12, 5:9]
    return with_column(evidence, "backfilled", column)


def zeros_at_first(evidence: Evidence) -> Evidence:
    column = values(evidence, "margin").copy()
    column[:18] = 0.0
    return with_column(evidence, "gross", column)


def zeros_for_banks(evidence: Evidence) -> Evidence:
    column = values(evidence, "margin").copy()
    column[:, 3:8] = 0.0
    return with_column(evidence, "gross", column)


def zeros_in_between(evidence: Evidence) -> Evidence:
    column = values(evidence, "sentiment").copy()
    column[np.isnan(column) | (np.random.default_rng(5).random(column.shape) < 0.2)] = 0.0
    return with_column(evidence, "outlook", column)


def zero_estimates(evidence: Evidence) -> Evidence:
    assert evidence.earnings is not None
    some = (pl.int_range(pl.len()) % 7) == 0
    rows = evidence.earnings.with_columns(
        pl.when(some).then(0.0).otherwise(name).alias(name) for name in ("estimated_eps", "surprise")
    )
    return replace(evidence, earnings=rows)


def known_later(evidence: Evidence) -> Evidence:
    assert evidence.known_at is not None
    return replace(evidence, known_at=evidence.known_at + 35)


def at_period_end(evidence: Evidence) -> Evidence:
    assert evidence.panel is not None
    return replace(evidence, period_end=np.repeat(evidence.panel.dates[:, None], NAMES, axis=1))


def facts_at_period_end(evidence: Evidence) -> Evidence:
    assert evidence.facts is not None
    return replace(evidence, facts=evidence.facts.with_columns(known_at=pl.col("period_end").cast(pl.Datetime("us"))))


def stale(evidence: Evidence) -> Evidence:
    assert evidence.bars is not None
    own = (pl.col("symbol") == "T07") & (pl.int_range(pl.len()).over("symbol") >= 900)
    flat = own & (pl.int_range(pl.len()).over("symbol") < 1900)
    return replace(evidence, bars=evidence.bars.with_columns(close=pl.when(flat).then(2.95).otherwise("close")))


def unadjusted_split(evidence: Evidence) -> Evidence:
    assert evidence.bars is not None
    before = (pl.col("symbol") == "T08") & (pl.int_range(pl.len()).over("symbol") < 1000)
    step = evidence.bars.filter(pl.col("symbol") == "T08")["close"]
    factor = 3 * step[1000] / step[999]
    return replace(
        evidence,
        bars=evidence.bars.with_columns(close=pl.when(before).then(pl.col("close") * factor).otherwise("close")),
    )


def reused_ticker(evidence: Evidence) -> Evidence:
    assert evidence.bars is not None
    other = evidence.bars.filter(pl.col("symbol") == "T05").tail(200).with_columns(symbol=pl.lit("T03"))
    return replace(evidence, bars=pl.concat([evidence.bars, other]))


def stale_labels(evidence: Evidence) -> Evidence:
    still = label(evidence).values.copy()
    still[8:16, 4] = 0.0
    return replace(evidence, bars=None, label=replace(label(evidence), values=still, relative=still))


def one_trade(evidence: Evidence) -> Evidence:
    assert evidence.accounts is not None
    first, *others = evidence.accounts
    trades = np.append(np.asarray(first.trades_pct), 4875.0)
    return replace(evidence, accounts=(replace(first, trades_pct=trades, trades=(*first.trades, "ROST")), *others))


def by_levels(evidence: Evidence) -> Evidence:
    from alfred.universe.baskets import scan

    assert evidence.choices is not None
    first = evidence.choices[0]
    assert first.bars is not None
    chosen = scan(first.bars, first.start, 5, on="levels").symbols
    assert set(chosen) != set(first.chosen)
    return replace(evidence, choices=(replace(first, chosen=chosen),))


def price_column(evidence: Evidence) -> Evidence:
    known = np.nan_to_num(label(evidence).values[:-1])
    level = 30 * np.cumprod(np.vstack([np.ones(NAMES), 1 + known]), axis=0)
    wider = with_column(evidence, "Close", level)
    assert wider.panel is not None
    return replace(wider, panel=replace(wider.panel, quoted_levels=None))


def other_start(evidence: Evidence) -> Evidence:
    assert evidence.choices is not None
    first = evidence.choices[0]
    return replace(evidence, choices=(replace(first, start="T29", bars=None),))


def survivors(evidence: Evidence) -> Evidence:
    assert evidence.listing is not None
    last = evidence.listing["last"].max()
    return replace(evidence, listing=evidence.listing.with_columns(last=pl.lit(last)), actions=None)


def panel_of_survivors(evidence: Evidence) -> Evidence:
    assert evidence.panel is not None
    everyone = replace(evidence.panel, present=np.ones((DATES, NAMES), np.bool_))
    return replace(evidence, panel=everyone, listing=None, actions=None, scalers=None)


def named_like_the_label(evidence: Evidence) -> Evidence:
    return with_column(evidence, "PQ", np.random.default_rng(5).standard_normal((DATES, NAMES)))


def the_label_itself(evidence: Evidence) -> Evidence:
    return with_column(evidence, "innocent", label(evidence).values)


def a_monotone_disguise(evidence: Evidence) -> Evidence:
    return with_column(evidence, "innocent", np.exp(-7 * label(evidence).values) + 3)


def a_disguise_of_another_shape(evidence: Evidence) -> Evidence:
    return with_column(evidence, "innocent", np.cos(12 * label(evidence).values))


def shifted(evidence: Evidence) -> Evidence:
    """A column that knows a little of what comes, of which it should know only what was: 0.15 to 0.2 across names."""
    known = label(evidence).values
    return with_column(
        evidence, "early", 0.22 * known / np.nanstd(known) + np.random.default_rng(5).standard_normal(known.shape)
    )


def the_market_ahead(evidence: Evidence) -> Evidence:
    market = np.nanmean(label(evidence).values[:-1], axis=1)
    level = 100 * np.cumprod(np.concatenate([1 + market, [1.0]]))
    return with_column(evidence, "SPY", np.repeat(level[:, None], NAMES, axis=1))


def beyond_the_end(evidence: Evidence) -> Evidence:
    filled = label(evidence).values.copy()
    filled[-1] = np.where(np.isfinite(filled[-2]), 0.01 * np.random.default_rng(5).standard_normal(NAMES), np.nan)
    return replace(evidence, label=replace(label(evidence), values=filled))


def zero_at_the_end(evidence: Evidence) -> Evidence:
    filled = label(evidence).values.copy()
    filled[-1] = np.where(np.isfinite(filled[-2]), 0.0, np.nan)
    return replace(evidence, label=replace(label(evidence), values=filled, realised_on=None))


def zero_after_delisting(evidence: Evidence) -> Evidence:
    assert evidence.panel is not None
    filled = label(evidence).values.copy()
    for at in made.ENDED:
        filled[np.flatnonzero(evidence.panel.present[:, at])[-1], at] = 0.0
    return replace(evidence, label=replace(label(evidence), values=filled, relative=filled))


def not_from_prices(evidence: Evidence) -> Evidence:
    wrong = label(evidence).values.copy()
    wrong[5:9] += 0.03
    return replace(evidence, label=replace(label(evidence), values=wrong, relative=wrong))


def quoted_after_delisting(evidence: Evidence) -> Evidence:
    assert evidence.bars is not None
    last = evidence.bars.filter(pl.col("symbol") == "T03").tail(1)
    dead = pl.concat([last.with_columns(date=pl.col("date") + pl.duration(days=step)) for step in range(1, 15)])
    return replace(evidence, bars=pl.concat([evidence.bars, dead]))


def old_texts(evidence: Evidence) -> Evidence:
    assert evidence.digests is not None
    return replace(evidence, digests=evidence.digests.with_columns(knowledge_cutoff=pl.date(2012, 6, 30)))


def old_scores(evidence: Evidence) -> Evidence:
    return replace(evidence, knowledge_cutoff=np.datetime64("2012-06-30"))


PLANTED: list[tuple[int, str, Plant, str]] = [
    (4, "filled-backwards", filled_backwards, "error"),
    (4, "filled-backwards", filled_backwards_by_name, "error"),
    (5, "zeros-for-missing", zeros_at_first, "warning"),
    (5, "zeros-for-missing", zeros_for_banks, "warning"),
    (5, "zeros-for-missing", zeros_in_between, "warning"),
    (5, "zeros-for-missing", zero_estimates, "warning"),
    (6, "used-before-filed", known_later, "error"),
    (6, "used-before-filed", at_period_end, "error"),
    (6, "used-before-filed", facts_at_period_end, "error"),
    (9, "stale-prices", stale, "warning"),
    (9, "stale-prices", unadjusted_split, "warning"),
    (9, "stale-prices", reused_ticker, "warning"),
    (9, "stale-prices", stale_labels, "warning"),
    (9, "stale-prices", one_trade, "warning"),
    (10, "level-correlation", by_levels, "error"),
    (10, "level-correlation", price_column, "warning"),
    (11, "start-ignored", other_start, "error"),
    (18, "survivors-only", survivors, "warning"),
    (18, "survivors-only", panel_of_survivors, "warning"),
    (20, "label-in-features", named_like_the_label, "error"),
    (20, "label-in-features", the_label_itself, "error"),
    (20, "label-in-features", a_monotone_disguise, "error"),
    (20, "label-in-features", a_disguise_of_another_shape, "error"),
    (20, "label-in-features", shifted, "warning"),
    (20, "label-in-features", the_market_ahead, "error"),
    (21, "label-beyond-data", beyond_the_end, "error"),
    (21, "label-beyond-data", zero_at_the_end, "error"),
    (21, "label-beyond-data", zero_after_delisting, "error"),
    (21, "label-beyond-data", not_from_prices, "error"),
    (21, "label-beyond-data", quoted_after_delisting, "warning"),
    (22, "language-knows-the-future", old_texts, "warning"),
    (22, "language-knows-the-future", old_scores, "warning"),
]
