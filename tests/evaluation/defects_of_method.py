"""Defects of how a result was come by, planted into clean evidence: rows shared, scalers, losses, figures, accounts."""

from collections.abc import Callable
from dataclasses import replace

import audit_evidence as made
import numpy as np
import polars as pl
from audit_evidence import DATES, NAMES, with_column, with_values

from alfred.evaluation.audit import AccountEvidence, Evidence, FoldRows, LossEvidence, Rows, ScaledRows

Plant = Callable[[Evidence], Evidence]


def joined(first: Rows, second: Rows) -> Rows:
    assert first.realised_on is not None
    assert second.realised_on is not None
    parts = ((first.dates, second.dates), (first.symbols, second.symbols), (first.realised_on, second.realised_on))
    return Rows(*(np.concatenate(pair) for pair in parts))


def fold(evidence: Evidence) -> FoldRows:
    assert evidence.folds is not None
    return evidence.folds[0]


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


def scaler_of_all(evidence: Evidence) -> Evidence:
    assert evidence.panel is not None
    return replace(evidence, scalers=(made.scaler(evidence.panel, range(DATES), made.SYMBOLS),))


def scaler_of_all_said_to_be_of_training(evidence: Evidence) -> Evidence:
    (own,) = evidence.scalers or ()
    (of_all,) = scaler_of_all(evidence).scalers or ()
    return replace(evidence, scalers=(replace(of_all, rows=own.rows),))


def scaler_of_validation_rows_too(evidence: Evidence) -> Evidence:
    assert evidence.panel is not None
    dates = range(made.TRAIN.start, made.VALID.stop)
    return replace(evidence, scalers=(made.scaler(evidence.panel, dates, made.TRAINING),))


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


def untrained(evidence: Evidence) -> Evidence:
    empty = np.zeros(0)
    return replace(evidence, fits=(replace(made.fit(0), train_loss=empty, valid_loss=empty, kept=0),))


def constant_forecasts(evidence: Evidence) -> Evidence:
    assert evidence.predictions is not None
    return replace(evidence, predictions=evidence.predictions.with_columns(mean=pl.lit(0.5)))


PLANTED: list[tuple[int, str, Plant, str]] = [
    (1, "train-test-overlap", learnt_test_rows, "error"),
    (1, "train-test-overlap", late_labels, "error"),
    (1, "train-test-overlap", training_forecasts, "error"),
    (1, "train-test-overlap", fitted_forecasts, "error"),
    (2, "ticker-overlap", shared_tickers, "error"),
    (2, "ticker-overlap", twin_bars, "error"),
    (3, "quarter-overlap", shared_quarters, "error"),
    (7, "scaler-saw-everything", scaler_of_all, "error"),
    (7, "scaler-saw-everything", scaler_of_all_said_to_be_of_training, "error"),
    (7, "scaler-saw-everything", scaler_of_validation_rows_too, "error"),
    (7, "scaler-saw-everything", scaled_over_all, "error"),
    (8, "column-not-scaled", exploding, "error"),
    (8, "column-not-scaled", one_unscaled, "warning"),
    (12, "loss-without-gradient", sign_count, "error"),
    (13, "kept-by-training-loss", by_training_loss, "error"),
    (13, "kept-by-training-loss", valid_in_test, "error"),
    (14, "no-doubt", one_seed, "warning"),
    (14, "no-doubt", no_interval, "warning"),
    (15, "tries-not-counted", many_tries, "warning"),
    (16, "summed-percentages", summed, "error"),
    (16, "summed-percentages", without_costs, "warning"),
    (17, "unfit-benchmark", average_benchmark, "error"),
    (19, "never-trained", untrained, "error"),
    (19, "never-trained", constant_forecasts, "warning"),
]
