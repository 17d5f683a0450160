"""Figures without their doubt: no seeds, no intervals, no count of tries."""

from collections.abc import Iterator

from alfred.evaluation.audit._contracts import AuditCheck, Found, Probe, TooLittleError, few, many
from alfred.evaluation.audit._evidence import Evidence
from alfred.evaluation.deflation import Trials, expected_maximum_sharpe


def without_interval(evidence: Evidence) -> Iterator[Found]:
    """Reported figures of random analysts from one seed, or without an interval."""
    figures = evidence.figures or ()
    if not figures:
        raise TooLittleError("no figures are reported")
    single = list(dict.fromkeys(one.analyst for one in figures if one.random and one.seeds < 2))
    if single:
        what = f"one seed each: {few(single)}; another seed may give another result, and nobody can tell how different."
        yield Found(what, "warning", rows=len(single))
    bare = [f"{one.analyst} {one.name}" for one in figures if not one.over_quarters]
    if bare:
        what = f"{len(bare)} of {len(figures)} figures carry no interval over quarters: {few(bare)}."
        yield Found(what, "warning", rows=len(bare))
    unseeded = [f"{one.analyst} {one.name}" for one in figures if one.random and one.seeds > 1 and not one.over_seeds]
    if unseeded:
        what = f"{len(unseeded)} figures of several seeds carry no interval over seeds: {few(unseeded)}."
        yield Found(what, "warning", rows=len(unseeded))


def one_seed(evidence: Evidence) -> Iterator[Found]:
    """Predictions that name their seed, and only one."""
    predictions = evidence.predictions
    if predictions is None or "seed" not in predictions.columns:
        raise TooLittleError("predictions do not name their seed")
    if evidence.figures is None and predictions["seed"].n_unique() < 2:
        yield Found("all predictions are of one seed; where the model is random, another may give another result.",
                    "warning", rows=len(predictions))  # fmt: skip


def not_deflated(evidence: Evidence) -> Iterator[Found]:
    """Several evaluations, and figures that do not say so."""
    trials = evidence.trials
    if trials is None:
        raise TooLittleError("needs trials")
    if trials < 1:
        what = f"the ledger counts {trials} trials, though this evaluation is one; its count cannot be right."
        yield Found(what, figures={"trials": float(trials)})
        return
    shown = [one.name for one in evidence.accounts or () if one.sharpe is not None and not one.is_benchmark]
    bare = [name for name in shown if name not in (evidence.deflated or {})]
    if trials > 1 and (bare or evidence.deflated is None):
        best = expected_best(trials)
        what = (
            f"{trials} evaluations of this family were made, and {len(bare) or 'the'} results are not deflated by that "
            f"count{f' ({few(bare)})' if bare else ''}: the best of so many without skill is {best:.1f} standard "
            "errors above zero."
        )
        yield Found(what, "warning", rows=len(bare), figures={"trials": float(trials), "expected_best": best})


def counts_too_few(evidence: Evidence) -> Iterator[Found]:
    """Fewer trials than analysts that this very result compares."""
    compared = {one.analyst for one in evidence.figures or () if one.analyst.partition(":")[0] != "naive"}
    if evidence.trials is not None and 0 < evidence.trials < len(compared):
        what = (
            f"the count says {many(evidence.trials, 'trial')}, but {len(compared)} analysts are compared here "
            "alone; the best of them was one of at least as many tries."
        )
        yield Found(what, "warning", rows=len(compared), figures={"trials": float(evidence.trials)})


def expected_best(trials: int) -> float:
    """Expected largest of so many independent standard normal values."""
    return expected_maximum_sharpe(Trials(trials, 1.0))


CHECKS = (
    AuditCheck(
        "no-doubt", 14, "no seed, no interval",
        "train with several seeds and report intervals over seeds and over blocks of quarters",
        (
            Probe(("figures",), "seeds and intervals of every figure", "warning", without_interval),
            Probe(("predictions",), "seeds of the predictions", "warning", one_seed),
        ),
    ),
    AuditCheck(
        "tries-not-counted", 15, "many tries, best one told",
        "report how many evaluations were made, and Sharpe ratios deflated by that count",
        (
            Probe(("trials",), "the count of trials, beside which Sharpe ratios are deflated by it", "error",
                  not_deflated),
            Probe(("trials", "figures"), "the count of trials, beside how many analysts are compared", "warning",
                  counts_too_few),
        ),
    ),
)  # fmt: skip
