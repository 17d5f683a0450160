"""What training and evaluation must not share: rows, tickers, quarters."""

import itertools
from collections.abc import Iterator

import numpy as np
import polars as pl

from alfred.core.calendar import quarter_name
from alfred.evaluation.audit._contracts import AuditCheck, Found, Probe, Severity, TooLittleError, few, many
from alfred.evaluation.audit._evidence import Evidence, FoldRows
from alfred.evaluation.audit._measures import correlations, mean_and_error
from alfred.evaluation.protocols import IN_SAMPLE, SAME_TICKERS, SAME_YEARS

ALLOW_SHARED_TICKERS = (SAME_TICKERS, IN_SAMPLE)
"""Protocols that allow it, because their question says so."""
SKILL_IC, IMPOSSIBLE_IC, IMPOSSIBLE_ACCURACY = 0.2, 0.5, 0.85
FEWEST_FORECASTS = 100
FEWEST_SHARED = 12
"""Dates on which two tickers must agree to be one company."""


def rows_shared(evidence: Evidence) -> Iterator[Found]:
    """Rows of a fold's test part that are among its training or validation rows."""
    for at, fold in enumerate(evidence.folds or ()):
        for name, part in (("training", fold.train), ("validation", fold.valid)):
            shared = part.frame().join(fold.test.frame(), on=["date", "symbol"], how="semi") if part else None
            if shared is not None and len(shared):
                yield _rows(shared, f"fold {at + 1} tests {len(shared):,} of its {name} rows", evidence)


def labels_reach_over(evidence: Evidence) -> Iterator[Found]:
    """Training labels that were realised only after the next part had begun."""
    timed = 0
    for at, fold in enumerate(evidence.folds or ()):
        if evidence.protocol in SAME_YEARS or not _in_order(fold):
            continue
        parts = [("training", fold.train), ("validation", fold.valid), ("test", fold.test)]
        there = [(name, part) for name, part in parts if part is not None and len(part)]
        for (name, part), (next_name, following) in itertools.pairwise(there):
            if part.realised_on is None:
                continue
            timed += 1
            late = part.realised_on > following.dates.min()
            if late.any():
                worst = int(np.argmax(part.realised_on))
                what = (
                    f"fold {at + 1}: the labels of {int(late.sum()):,} {name} rows are realised after the first "
                    f"{next_name} date {following.dates.min()}, such as {part.symbols[worst]} on {part.dates[worst]}."
                )
                yield Found(what, symbols=(str(part.symbols[worst]),), dates=(str(part.dates[worst]),),
                            rows=int(late.sum()))  # fmt: skip
    if not timed:
        raise TooLittleError("no rows say when their label was realised, or parts do not follow one another in time")


def forecasts_of_training_rows(evidence: Evidence) -> Iterator[Found]:
    """Forecasts that are judged although their fold had learnt from the row."""
    predictions = evidence.predictions
    if predictions is None or evidence.folds is None:
        raise TooLittleError("needs predictions, folds")
    numbered = predictions if "fold" in predictions.columns else predictions.with_columns(pl.lit(0).alias("fold"))
    for at, fold in enumerate(evidence.folds):
        own = numbered.filter(pl.col("fold") == at).unique(["date", "symbol"])
        shared = own.join(fold.train.frame(), on=["date", "symbol"], how="semi").select("date", "symbol")
        if len(shared):
            yield _rows(
                shared, f"{len(shared):,} of {len(own):,} forecasts of fold {at + 1} are of training rows", evidence
            )


def forecasts_too_good(evidence: Evidence) -> Iterator[Found]:
    """Forecasts that are right more often than any honest forecast."""
    predictions = evidence.predictions
    if predictions is None or "label" not in predictions.columns:
        raise TooLittleError("predictions do not say what came")
    if evidence.label is not None and evidence.label.foreseeable:
        raise TooLittleError(f"what was known before tells much of {evidence.label.name}; no forecast is too good")
    known = predictions.filter(pl.col("mean").is_finite(), pl.col("label").is_finite())
    names = known["analyst"].unique(maintain_order=True).to_list() if "analyst" in known.columns else [None]
    judged = 0
    for name in names:
        own = known if name is None else known.filter(pl.col("analyst") == name)
        own = own.group_by("date", "symbol").agg(pl.col("mean", "label").mean()).sort("date", "symbol")
        if len(own) < FEWEST_FORECASTS:
            continue
        judged += 1
        yield from _too_good(own, name or "the predictions")
    if not judged:
        raise TooLittleError(f"fewer than {FEWEST_FORECASTS} predictions have a label")


def _too_good(own: pl.DataFrame, name: str) -> Iterator[Found]:
    mean, label = (_matrix(own, column) for column in ("mean", "label"))
    binary = own["label"].is_in([0.0, 1.0]).all()
    edge = 0.5 if binary else 0.0
    said, came = own["mean"].to_numpy() > edge, own["label"].to_numpy() > edge
    right, up = float((said == came).mean()), float(came.mean())
    ic, error, dates = mean_and_error(correlations(mean, label))
    figures = {"sign_accuracy": right, "always_up": up, "rank_ic": ic, "dates": float(dates)}
    sure = ic >= 6 * error
    good = right >= IMPOSSIBLE_ACCURACY and right > up + 0.1
    if good or (sure and ic >= SKILL_IC):
        severe: Severity = "error" if good or ic >= IMPOSSIBLE_IC else "warning"
        what = (
            f"{name}: {right:.0%} of {len(own):,} signs are right where always up has {up:.0%}, with a rank IC of "
            f"{ic:.2f}; forecasts like these were made with knowledge of what came."
        )
        yield Found(what, severe, rows=len(own), figures=figures)


def baskets_shared(evidence: Evidence) -> Iterator[Found]:
    """Tickers that stand in both baskets."""
    training, evaluation = evidence.baskets or ((), ())
    known = {name.upper() for name in training}
    shared = [name for name in evaluation if name.upper() in known]
    if shared and evidence.protocol not in ALLOW_SHARED_TICKERS:
        what = f"{len(shared)} of {len(evaluation)} tickers of the evaluation basket are trained on: {few(shared)}."
        yield Found(what, symbols=tuple(shared[:5]), rows=len(shared))


def tickers_shared(evidence: Evidence) -> Iterator[Found]:
    """Tickers whose rows are in both the training and the test part of a fold."""
    if evidence.protocol in ALLOW_SHARED_TICKERS:
        return
    shared: set[str] = set()
    tested: set[str] = set()
    for fold in evidence.folds or ():
        own = set(fold.test.symbols.tolist())
        tested |= own
        shared |= own & set(fold.train.symbols.tolist())
    if shared:
        named = sorted(shared)
        severe: Severity = "warning" if evidence.protocol is None else "error"
        what = (
            f"{len(shared)} of {len(tested)} tested tickers are trained on too: {few(named)}. This asks about the same "
            "companies later on, not about others."
        )
        yield Found(what, severe, symbols=tuple(named[:5]), rows=len(shared))


def twins_by_bars(evidence: Evidence) -> Iterator[Found]:
    """Two tickers with one company's prices."""
    bars = evidence.bars
    if bars is None:
        raise TooLittleError("needs bars")
    marks = bars.group_by("symbol").agg(
        pl.struct("date", "close").hash().sum().alias("mark"), pl.len(), pl.col("close").n_unique().alias("levels")
    )
    same = marks.filter(pl.col("len") >= FEWEST_SHARED, pl.col("levels") > 3).group_by("mark", "len").agg("symbol")
    for names in same.filter(pl.col("symbol").list.len() > 1)["symbol"].to_list():
        yield _twins(sorted(names), "every close", evidence)


def twins_by_label(evidence: Evidence) -> Iterator[Found]:
    """Two tickers with one company's changes."""
    panel, label = evidence.panel, evidence.label
    if panel is None or label is None:
        raise TooLittleError("needs panel, label")
    values = label.values if label.relative is None else label.relative
    groups: dict[bytes, list[str]] = {}
    for at, symbol in enumerate(panel.symbols):
        own = values[:, at]
        known = own[np.isfinite(own)]
        if len(known) >= FEWEST_SHARED and len(np.unique(known)) > 3:
            groups.setdefault(np.nan_to_num(own, nan=np.inf).tobytes(), []).append(symbol)
    for names in groups.values():
        if len(names) > 1:
            yield _twins(names, "every label", evidence)


def _twins(names: list[str], what: str, evidence: Evidence) -> Found:
    training, evaluation = (set(part) for part in evidence.baskets or ((), ()))
    if evidence.baskets is None and evidence.folds:
        training = {name for fold in evidence.folds for name in fold.train.symbols.tolist()}
        evaluation = {name for fold in evidence.folds for name in fold.test.symbols.tolist()}
    apart = bool(training & set(names)) and bool((evaluation - training) & set(names))
    where = "one is trained on and the other tested" if apart else "one company counts twice"
    sentence = f"{' and '.join(names[:5])} share {what}: {where}."
    return Found(sentence, "error" if apart else "warning", symbols=tuple(names[:5]), rows=len(names))


def quarters_shared(evidence: Evidence) -> Iterator[Found]:
    """Dates that a fold both trains on and tests."""
    for at, fold in enumerate(evidence.folds or ()):
        shared = np.intersect1d(fold.train.dates, fold.test.dates)
        if len(shared):
            allowed = evidence.protocol in SAME_YEARS
            what = (
                f"fold {at + 1} tests {many(len(shared), 'date')} that it trains on, from {quarter_name(shared[0])} to "
                f"{quarter_name(shared[-1])}: columns of the whole market tell which quarter it is."
            )
            dates = tuple(str(date) for date in shared[:5])
            yield Found(what, "warning" if allowed else "error", dates=dates, rows=len(shared))


def learns_from_later(evidence: Evidence) -> Iterator[Found]:
    """Training rows that lie after test rows."""
    if evidence.protocol in SAME_YEARS:
        return
    for at, fold in enumerate(evidence.folds or ()):
        later = fold.train.dates > fold.test.dates.min()
        if later.any() and not np.intersect1d(fold.train.dates, fold.test.dates).size:
            what = (
                f"fold {at + 1} trains on {int(later.sum()):,} rows after its first test date {fold.test.dates.min()}; "
                "the past is forecast with what came later."
            )
            yield Found(what, rows=int(later.sum()), dates=(str(fold.test.dates.min()),))


def _in_order(fold: FoldRows) -> bool:
    return bool(fold.train.dates.max() < fold.test.dates.max())


def _rows(shared: pl.DataFrame, what: str, evidence: Evidence) -> Found:
    named = [f"{symbol} on {date}" for date, symbol in shared.sort("date", "symbol").head(5).rows()]
    severe: Severity = "warning" if evidence.protocol == IN_SAMPLE else "error"
    symbols = tuple(shared["symbol"].unique().sort().head(5).to_list())
    dates = tuple(str(date) for date in shared["date"].unique().sort().head(5).to_list())
    return Found(f"{what}: {few(named, len(shared))}.", severe, (), symbols, dates, len(shared))


def _matrix(rows: pl.DataFrame, column: str) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    dates, symbols = rows["date"].unique().sort(), rows["symbol"].unique().sort()
    found = np.full((len(dates), len(symbols)), np.nan)
    found[dates.search_sorted(rows["date"]).to_numpy(), symbols.search_sorted(rows["symbol"]).to_numpy()] = rows[column]
    return found


CHECKS = (
    AuditCheck(
        "train-test-overlap", 1, "evaluation on the training rows",
        "evaluate on rows that nothing was learnt from, realised after all that was learnt",
        (
            Probe(("folds",), "keys of training, validation and test rows", "error", rows_shared),
            Probe(("folds",), "when training labels were realised, beside the next part's first date", "error",
                  labels_reach_over),
            Probe(("predictions", "folds"), "keys of forecasts beside those of training rows", "error",
                  forecasts_of_training_rows),
            Probe(("predictions",), "how often forecasts are right", "error", forecasts_too_good),
        ),
    ),
    AuditCheck(
        "ticker-overlap", 2, "the same tickers in both baskets",
        "take the tickers out of one basket, or ask about the same tickers in other years by name of that protocol",
        (
            Probe(("baskets",), "tickers of the baskets", "error", baskets_shared),
            Probe(("folds",), "tickers of training and test rows", "error", tickers_shared),
            Probe(("bars",), "tickers whose every close is another's", "error", twins_by_bars),
            Probe(("panel", "label"), "tickers whose every label is another's", "error", twins_by_label),
        ),
    ),
    AuditCheck(
        "quarter-overlap", 3, "the same quarters in both sets",
        "test later quarters than those that are trained on; a split by ticker alone answers another question",
        (
            Probe(("folds",), "dates of training and test rows", "error", quarters_shared),
            Probe(("folds",), "order of training and test rows in time", "error", learns_from_later),
        ),
    ),
)  # fmt: skip
