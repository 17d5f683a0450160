"""How trainings ended: which epoch was kept and by what, and whether anything was learnt."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from alfred.evaluation.audit._contracts import AuditCheck, Found, Probe, Severity, TooLittleError, few
from alfred.evaluation.audit._evidence import Evidence, FitEvidence
from alfred.evaluation.protocols import SAME_YEARS

NAIVE = "naive"
FEWEST_FORECASTS = 20


def kept_by_training_loss(evidence: Evidence) -> Iterator[Found]:
    """Epochs that were kept though another had the lower validation loss."""
    wrong, blind, looked = [], [], 0
    for fit in evidence.fits or ():
        if not fit.learns_by_epochs or not len(fit.train_loss) or fit.kept == 0:
            continue
        looked += 1
        if not np.isfinite(fit.valid_loss).any():
            blind.append(fit)
        elif not fit.valid_loss[fit.kept - 1] <= np.nanmin(fit.valid_loss):
            wrong.append(fit)
    if not looked:
        raise TooLittleError("nothing learnt by epochs")
    if wrong:
        by_training = sum(fit.kept - 1 == int(np.argmin(fit.train_loss)) for fit in wrong)
        best = int(np.nanargmin(wrong[0].valid_loss)) + 1
        what = (
            f"{len(wrong)} of {looked} fits kept another epoch than the one with the lowest validation loss, "
            f"{by_training} of them the one with the lowest training loss: {few(map(_name, wrong), len(wrong))}; "
            f"the first kept {wrong[0].kept} instead of {best}."
        )
        yield Found(what, rows=len(wrong))
    if blind:
        what = (
            f"{len(blind)} of {looked} fits had no validation loss to choose by: {few(map(_name, blind), len(blind))}."
        )
        yield Found(what, rows=len(blind))


def validation_not_between(evidence: Evidence) -> Iterator[Found]:
    """Folds whose validation rows do not lie between training and test; in protocols of the same years none do."""
    looked = 0
    severity: Severity = "warning" if evidence.protocol in SAME_YEARS else "error"
    for at, fold in enumerate(evidence.folds or ()):
        if fold.valid is None:
            continue
        looked += 1
        if fold.valid.dates.max() >= fold.test.dates.min():
            what = (
                f"fold {at + 1}: validation rows reach to {fold.valid.dates.max()}, the test begins on "
                f"{fold.test.dates.min()}; the epoch is chosen on what is to be forecast."
            )
            yield Found(what, severity, dates=(str(fold.valid.dates.max()), str(fold.test.dates.min())))
        elif fold.valid.dates.min() <= fold.train.dates.max():
            what = (
                f"fold {at + 1}: validation begins on {fold.valid.dates.min()}, training ends on "
                f"{fold.train.dates.max()}; the epoch is chosen on what was learnt."
            )
            yield Found(what, dates=(str(fold.valid.dates.min()), str(fold.train.dates.max())))
    if not looked:
        raise TooLittleError("no fold has validation rows")


def never_trained(evidence: Evidence) -> Iterator[Found]:
    """Analysts that learn by epochs and went through none, or whose training loss never moved."""
    idle, still = [], []
    for fit in evidence.fits or ():
        if not fit.learns_by_epochs or fit.untrained_on_purpose:
            continue
        if not len(fit.train_loss) or fit.kept == 0:
            idle.append(fit)
        elif len(fit.train_loss) > 1 and np.ptp(fit.train_loss) == 0:
            still.append(fit)
    for found, how in ((idle, "went through no epoch"), (still, "have a training loss that never moved")):
        if found:
            what = (
                f"{len(found)} fits {how}: {few(map(_name, found), len(found))}; what is evaluated was never trained."
            )
            yield Found(what, rows=len(found))


def says_the_same(evidence: Evidence) -> Iterator[Found]:
    """Analysts whose forecasts are one number for all names and dates."""
    predictions = evidence.predictions
    if predictions is None:
        raise TooLittleError("needs predictions")
    named = predictions if "analyst" in predictions.columns else predictions.with_columns(pl.lit("").alias("analyst"))
    every = named.filter(pl.col("mean").is_finite()).group_by("analyst", maintain_order=True).agg(
        pl.len(), pl.col("mean").n_unique().alias("values")
    )  # fmt: skip
    for name, rows, values in every.iter_rows():
        if values == 1 and rows >= FEWEST_FORECASTS and name.partition(":")[0] != NAIVE and ":untrained" not in name:
            what = f"{name or 'the predictions'}: all {rows:,} forecasts are one number; nothing was learnt."
            yield Found(what, "warning", rows=rows)


def _name(fit: FitEvidence) -> str:
    return f"{fit.analyst} (seed {fit.seed}, fold {fit.fold + 1})"


CHECKS = (
    AuditCheck(
        "kept-by-training-loss", 13, '"best" chosen on training loss',
        "choose the epoch by loss on a validation period that lies between training and test",
        (
            Probe(("fits",), "the kept epoch, beside training and validation losses of all", "error",
                  kept_by_training_loss),
            Probe(("folds",), "where validation rows lie", "error", validation_not_between),
        ),
    ),
    AuditCheck(
        "never-trained", 19, "a model that was never trained is evaluated",
        "train it, or ask for an untrained control by that name",
        (
            Probe(("fits",), "epochs of every fit", "error", never_trained),
            Probe(("predictions",), "whether forecasts differ at all", "warning", says_the_same),
        ),
    ),
)  # fmt: skip
