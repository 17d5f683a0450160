"""Every finding of the notes: a planted defect that its own check catches, and silence on clean evidence."""

from collections.abc import Callable
from dataclasses import fields, replace

import audit_evidence as made
import numpy as np
import polars as pl
import pytest
from audit_evidence import DATES, NAMES, clean, with_column, with_values

from alfred.core.errors import ConfigError
from alfred.evaluation.audit import (
    AccountEvidence,
    Audit,
    Evidence,
    FoldRows,
    LabelEvidence,
    LossEvidence,
    Rows,
    ScaledRows,
    audit_checks,
    examine,
)

Plant = Callable[[Evidence], Evidence]


def joined(first: Rows, second: Rows) -> Rows:
    assert first.realised_on is not None
    assert second.realised_on is not None
    parts = ((first.dates, second.dates), (first.symbols, second.symbols), (first.realised_on, second.realised_on))
    return Rows(*(np.concatenate(pair) for pair in parts))


def fold(evidence: Evidence) -> FoldRows:
    assert evidence.folds is not None
    return evidence.folds[0]


def label(evidence: Evidence) -> LabelEvidence:
    assert evidence.label is not None
    return evidence.label


def values(evidence: Evidence, column: str) -> np.ndarray:
    assert evidence.panel is not None
    return evidence.panel.column(evidence.panel.columns.index(column))


def learnt_test_rows(evidence: Evidence) -> Evidence:
    own = fold(evidence)
    return replace(evidence, folds=(replace(own, train=joined(own.train, own.test)),))


def late_labels(evidence: Evidence) -> Evidence:
    own = fold(evidence)
    assert own.train.realised_on is not None
    return replace(evidence, folds=(replace(own, train=replace(own.train, realised_on=own.train.realised_on + 400)),))


def training_forecasts(evidence: Evidence) -> Evidence:
    own = fold(evidence).train.frame().with_columns(mean=pl.lit(0.1), analyst=pl.lit("network"), seed=pl.lit(0))
    own = own.with_columns(fold=pl.lit(0, pl.Int64), label=pl.lit(None, pl.Float64)).select(
        "symbol", "date", "mean", "analyst", pl.col("seed").cast(pl.Int64), "fold", "label"
    )
    return replace(evidence, predictions=pl.concat([evidence.predictions, own]))


def fitted_forecasts(evidence: Evidence) -> Evidence:
    assert evidence.predictions is not None
    noise = pl.Series(0.01 * np.random.default_rng(5).standard_normal(len(evidence.predictions)))
    return replace(evidence, predictions=evidence.predictions.with_columns(mean=pl.col("label").fill_nan(0.0) + noise))


def shared_tickers(evidence: Evidence) -> Evidence:
    return replace(evidence, baskets=((*made.TRAINING, "T20", "T21"), made.EVALUATION))


def twin_bars(evidence: Evidence) -> Evidence:
    assert evidence.bars is not None
    twin = evidence.bars.filter(pl.col("symbol") == "T02").with_columns(symbol=pl.lit("T20"))
    return replace(evidence, bars=pl.concat([evidence.bars.filter(pl.col("symbol") != "T20"), twin]))


def shared_quarters(evidence: Evidence) -> Evidence:
    own = fold(evidence)
    other = replace(own.test, symbols=np.char.add("other", own.test.symbols))
    return replace(evidence, folds=(replace(own, train=joined(own.train, other)),))


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


def scaler_of_all(evidence: Evidence) -> Evidence:
    assert evidence.panel is not None
    return replace(evidence, scalers=(made.scaler(evidence.panel, range(DATES), made.SYMBOLS),))


def scaled_over_all(evidence: Evidence) -> Evidence:
    assert evidence.panel is not None
    rows = evidence.panel.values[evidence.panel.present]
    scaled = (evidence.panel.values - np.nanmean(rows, axis=0)) / np.nanstd(rows, axis=0)
    return with_values(evidence, scaled)


def exploding(evidence: Evidence) -> Evidence:
    largest = np.full(len(made.COLUMNS), 4.2)
    largest[5] = 8.1e6
    return replace(evidence, scaled=(ScaledRows(0, made.COLUMNS, largest, 100.0),))


def one_unscaled(evidence: Evidence) -> Evidence:
    assert evidence.panel is not None
    rows = made.training_values(evidence.panel, made.TRAIN, made.TRAINING)
    scaled = (evidence.panel.values - np.nanmean(rows, axis=0)) / np.nanstd(rows, axis=0)
    raw = 1e6 * np.exp(np.random.default_rng(5).standard_normal((DATES, NAMES)))
    return with_column(with_values(evidence, scaled), "volume", raw)


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


def sign_count(evidence: Evidence) -> Evidence:
    return replace(evidence, losses=(LossEvidence("network", "mse-sign", made.jumping_loss),))


def by_training_loss(evidence: Evidence) -> Evidence:
    return replace(evidence, fits=tuple(replace(made.fit(seed), kept=12) for seed in range(2)))


def valid_in_test(evidence: Evidence) -> Evidence:
    own = fold(evidence)
    return replace(evidence, folds=(replace(own, valid=replace(own.test, symbols=np.char.add("v", own.test.symbols))),))


def one_seed(evidence: Evidence) -> Evidence:
    assert evidence.figures is not None
    return replace(evidence, figures=tuple(replace(one, seeds=1) for one in evidence.figures))


def no_interval(evidence: Evidence) -> Evidence:
    assert evidence.figures is not None
    return replace(evidence, figures=tuple(replace(one, over_quarters=False) for one in evidence.figures))


def many_tries(evidence: Evidence) -> Evidence:
    return replace(evidence, trials=16)


def summed(evidence: Evidence) -> Evidence:
    assert evidence.accounts is not None
    first, *others = evidence.accounts
    total = float(np.asarray(first.trades_pct).sum()) / 100
    return replace(evidence, accounts=(replace(first, stated_total_return=total), *others))


def without_costs(evidence: Evidence) -> Evidence:
    assert evidence.accounts is not None
    first, *others = evidence.accounts
    return replace(evidence, accounts=(replace(first, costs=0.0), *others))


def average_benchmark(evidence: Evidence) -> Evidence:
    assert evidence.accounts is not None
    held = np.array([12.0, -5.0, 30.0, 2875.0])
    mean = AccountEvidence("basket", True, float(held.mean()) / 100, holdings_pct=held)
    return replace(evidence, accounts=(evidence.accounts[0], mean))


def survivors(evidence: Evidence) -> Evidence:
    assert evidence.listing is not None
    last = evidence.listing["last"].max()
    return replace(evidence, listing=evidence.listing.with_columns(last=pl.lit(last)), actions=None)


def panel_of_survivors(evidence: Evidence) -> Evidence:
    assert evidence.panel is not None
    everyone = replace(evidence.panel, present=np.ones((DATES, NAMES), np.bool_))
    return replace(evidence, panel=everyone, listing=None, actions=None, scalers=None)


def untrained(evidence: Evidence) -> Evidence:
    empty = np.zeros(0)
    return replace(evidence, fits=(replace(made.fit(0), train_loss=empty, valid_loss=empty, kept=0),))


def constant_forecasts(evidence: Evidence) -> Evidence:
    assert evidence.predictions is not None
    return replace(evidence, predictions=evidence.predictions.with_columns(mean=pl.lit(0.5)))


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
    (1, "train-test-overlap", learnt_test_rows, "error"),
    (1, "train-test-overlap", late_labels, "error"),
    (1, "train-test-overlap", training_forecasts, "error"),
    (1, "train-test-overlap", fitted_forecasts, "error"),
    (2, "ticker-overlap", shared_tickers, "error"),
    (2, "ticker-overlap", twin_bars, "error"),
    (3, "quarter-overlap", shared_quarters, "error"),
    (4, "filled-backwards", filled_backwards, "error"),
    (4, "filled-backwards", filled_backwards_by_name, "error"),
    (5, "zeros-for-missing", zeros_at_first, "warning"),
    (5, "zeros-for-missing", zeros_for_banks, "warning"),
    (5, "zeros-for-missing", zeros_in_between, "warning"),
    (5, "zeros-for-missing", zero_estimates, "warning"),
    (6, "used-before-filed", known_later, "error"),
    (6, "used-before-filed", at_period_end, "error"),
    (6, "used-before-filed", facts_at_period_end, "error"),
    (7, "scaler-saw-everything", scaler_of_all, "error"),
    (7, "scaler-saw-everything", scaled_over_all, "error"),
    (8, "column-not-scaled", exploding, "error"),
    (8, "column-not-scaled", one_unscaled, "warning"),
    (9, "stale-prices", stale, "warning"),
    (9, "stale-prices", unadjusted_split, "warning"),
    (9, "stale-prices", reused_ticker, "warning"),
    (9, "stale-prices", stale_labels, "warning"),
    (9, "stale-prices", one_trade, "warning"),
    (10, "level-correlation", by_levels, "error"),
    (10, "level-correlation", price_column, "warning"),
    (11, "start-ignored", other_start, "error"),
    (12, "loss-without-gradient", sign_count, "error"),
    (13, "kept-by-training-loss", by_training_loss, "error"),
    (13, "kept-by-training-loss", valid_in_test, "error"),
    (14, "no-doubt", one_seed, "warning"),
    (14, "no-doubt", no_interval, "warning"),
    (15, "tries-not-counted", many_tries, "warning"),
    (16, "summed-percentages", summed, "error"),
    (16, "summed-percentages", without_costs, "warning"),
    (17, "unfit-benchmark", average_benchmark, "error"),
    (18, "survivors-only", survivors, "warning"),
    (18, "survivors-only", panel_of_survivors, "warning"),
    (19, "never-trained", untrained, "error"),
    (19, "never-trained", constant_forecasts, "warning"),
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


def statuses(audit: Audit) -> dict[str, str]:
    return {outcome.check: outcome.status for outcome in audit.outcomes}


def test_there_is_one_check_for_each_finding_and_each_is_put_to_the_test() -> None:
    assert [check.row for check in audit_checks()] == list(range(1, 23))
    assert {(row, name) for row, name, _, _ in PLANTED} == {(check.row, check.name) for check in audit_checks()}


def test_clean_evidence_is_examined_whole_and_nothing_is_found() -> None:
    audit = examine(clean())
    assert [finding.what for finding in audit.findings] == []
    assert set(statuses(audit).values()) == {"clean"}
    assert audit.summary == "22 checks: 0 with errors, 0 with warnings, 22 clean, 0 not examined."


@pytest.mark.parametrize(
    ("row", "name", "plant", "severity"), PLANTED, ids=lambda value: getattr(value, "__name__", None)
)
def test_a_planted_defect_is_caught_by_its_own_check(row: int, name: str, plant: Plant, severity: str) -> None:
    audit = examine(plant(clean()), only={name})
    (outcome,) = audit.outcomes
    assert outcome.row == row
    assert outcome.status == severity, [finding.what for finding in audit.findings]
    for finding in outcome.findings:
        assert finding.advice
        assert finding.what[-1] in ".;"


def test_without_evidence_nothing_passes() -> None:
    audit = examine(Evidence())
    assert set(statuses(audit).values()) == {"not examined"}
    assert all("needs" in reason for outcome in audit.outcomes for reason in outcome.not_examined)


@pytest.mark.parametrize("part", [field.name for field in fields(Evidence)])
def test_a_lacking_part_is_named_and_never_passed(part: str) -> None:
    audit = examine(replace(clean(), **{part: None}))
    assert not audit.errors
    for check, outcome in zip(audit_checks(), audit.outcomes, strict=True):
        lacking = [probe for probe in check.probes if part in probe.needs]
        for probe in lacking:
            assert probe.looks_at not in outcome.examined
            assert any(text.startswith(f"{probe.looks_at}: needs {part}") for text in outcome.not_examined)
        if len(lacking) == len(check.probes):
            assert outcome.status == "not examined"


def test_a_question_that_allows_an_overlap_is_told_not_stopped() -> None:
    audit = examine(replace(learnt_test_rows(clean()), protocol="in-sample"))
    found = statuses(audit)
    assert found["train-test-overlap"] == "warning"
    assert found["quarter-overlap"] == "warning"
    same = examine(replace(shared_tickers(clean()), protocol="same-tickers-other-years"))
    assert statuses(same)["ticker-overlap"] == "clean"


def test_a_check_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"there is no audit check 'stale-price'; did you mean 'stale-prices'\?"):
        examine(clean(), only={"stale-price"})


def test_the_finding_names_rows() -> None:
    audit = examine(learnt_test_rows(clean()))
    finding = audit.errors[0]
    assert finding.what.startswith("fold 1 tests 181 of its training rows: T15 on 2010-09-30, ")
    assert finding.rows == 181
    assert finding.symbols[0] == "T15"
    assert finding.dates[0] == "2010-09-30"


def test_a_bound_that_a_column_often_takes_may_last_from_the_start() -> None:
    """A share of new articles is 1 wherever all are new, and so for many dates in a row by chance."""
    shares = np.round(np.random.default_rng(6).beta(4, 1, values(clean(), "margin").shape), 1)
    shares[:9, 4:9] = 1.0
    assert statuses(examine(with_column(clean(), "novelty", shares)))["filled-backwards"] == "clean"
    # The same length of a value that the column never takes again is the future filled backwards.
    shares[:9, 4:9] = 0.123456
    assert statuses(examine(with_column(clean(), "novelty", shares)))["filled-backwards"] == "error"
