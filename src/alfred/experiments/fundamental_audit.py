"""The audit of the analysts of accounts: the checks of `alfred run`, on every label and horizon that was forecast.

A label of accounts is no change of a price. What a company showed last tells much of what it shows next, so how well a
column or a forecast goes with what comes is no sign of a leak here: those probes are told as not examined.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from alfred.analysts import AnalystSpec, describe
from alfred.evaluation.audit import (
    Audit,
    Evidence,
    FigureEvidence,
    Finding,
    FoldRows,
    LabelEvidence,
    Outcome,
    Rows,
    examine,
)
from alfred.evaluation.relative import RelativeError
from alfred.experiments.audit import choices_of, listing_of, losses_of, panel_evidence, scaling_evidence
from alfred.experiments.fundamental_walk import BASELINES, RANDOM_WALK, FundamentalWalk, Part
from alfred.experiments.prepared import Prepared
from alfred.experiments.study import Study, entry_name
from alfred.panel.fundamental_labels import FundamentalLabel

OF_A_LABEL = frozenset(
    {"train-test-overlap", "ticker-overlap", "quarter-overlap", "kept-by-training-loss", "never-trained",
     "label-in-features", "label-beyond-data"}
)  # fmt: skip
"""Checks whose outcome depends on the label, its rows or its forecasts."""
OF_A_PANEL = frozenset({"filled-backwards", "zeros-for-missing", "scaler-saw-everything", "column-not-scaled"})
"""Checks that look at columns; a panel of another horizon holds other anchors."""


def audit_of_accounts(
    study: Study,
    prepared: Prepared,
    walks: Sequence[FundamentalWalk],
    judged: pl.DataFrame,
    *,
    errors: Sequence[RelativeError],
    trials: int,
) -> Audit:
    """Examine a run of the analysts of accounts.

    Args:
        study: what was asked.
        prepared: data and panel.
        walks: one for each horizon, as they were run.
        judged: forecasts of the evaluation basket, as `FundamentalWalk.forecast` gives them. Those of the training
            basket are judged by nobody.
        errors: as reported.
        trials: evaluations of this family so far, this one among them.

    Returns:
        One outcome for each check. A finding of some labels only says of which.
    """
    shared = _shared(study, prepared, errors, trials)
    audits: dict[str, Audit] = {}
    for walk in walks:
        of_panel = _with_panel(shared, study, prepared, walk)
        for at, target in enumerate(walk.labels):
            only = None if not audits else OF_A_LABEL if at else OF_A_LABEL | OF_A_PANEL
            label = walk.labels[target]
            evidence = _with_label(of_panel, walk, label, judged)
            audits[f"{target}, {label.horizon_quarters}q"] = examine(evidence, only)
    return merged(audits)


def merged(audits: Mapping[str, Audit]) -> Audit:
    """One audit of several, each of the same or of fewer checks than the first; keys say what each was of.

    What one could look at was examined. A finding that not all of those who looked for it share names those that do.
    """
    first, *_ = audits.values()
    outcomes = []
    for whole in first.outcomes:
        own = {of: one for of, audit in audits.items() for one in audit.outcomes if one.check == whole.check}
        examined = tuple(dict.fromkeys(text for one in own.values() for text in one.examined))
        lacking = dict.fromkeys(text for one in own.values() for text in one.not_examined)
        not_examined = tuple(text for text in lacking if not text.startswith(tuple(f"{name}: " for name in examined)))
        outcomes.append(
            Outcome(whole.check, whole.row, whole.defect, examined, not_examined, tuple(_findings(own)))
        )  # fmt: skip
    return Audit(tuple(outcomes))


def _findings(outcomes: Mapping[str, Outcome]) -> list[Finding]:
    by_text: dict[str, tuple[Finding, list[str]]] = {}
    for of, outcome in outcomes.items():
        for finding in outcome.findings:
            by_text.setdefault(finding.what, (finding, []))[1].append(of)
    return [
        finding if len(of) == len(outcomes) else replace(finding, what=f"{'; '.join(of)}: {finding.what}")
        for finding, of in by_text.values()
    ]


def _shared(study: Study, prepared: Prepared, errors: Sequence[RelativeError], trials: int) -> Evidence:
    """What all labels and horizons have in common."""
    inputs = prepared.inputs
    return Evidence(
        protocol=study.universe.protocol,
        baskets=(inputs.baskets.training, inputs.baskets.evaluation),
        bars=inputs.tables.bars.select("symbol", "date", "open", "close", "volume"),
        listing=listing_of(inputs.market),
        actions=inputs.tables.actions,
        facts=inputs.tables.facts,
        earnings=inputs.tables.earnings,
        choices=choices_of(study, inputs.market, inputs.baskets),
        losses=losses_of(study.fundamentals.analysts, study.train.loss),
        figures=_figures(study.fundamentals.analysts, errors),
        trials=trials,
        deflated={},
        members_by_date=bool(study.panel.members),
    )


def _figures(specs: Sequence[AnalystSpec], errors: Sequence[RelativeError]) -> tuple[FigureEvidence, ...]:
    """Ratios to the random walk, of everyone but the baselines."""
    random = {entry_name(spec): describe(spec.name).uses_seed for spec in specs}
    found = []
    for error in errors:
        ratio = error.against(RANDOM_WALK)
        if error.analyst in BASELINES or ratio.mae is None:
            continue
        found.append(
            FigureEvidence(
                error.analyst,
                f"{error.target}, {error.horizon_quarters}q",
                random=random.get(error.analyst, False),
                seeds=error.seeds,
                over_seeds=False,
                over_quarters=ratio.mae_over_quarters is not None,
            )
        )
    return tuple(found)


def _with_panel(evidence: Evidence, study: Study, prepared: Prepared, walk: FundamentalWalk) -> Evidence:
    """The panel of a horizon, and what scaling learnt of it in each fold."""
    scaling = [
        scaling_evidence(at, walk.maker(fold, 1), fold.train, walk.training, study.panel.scaled_bound)
        for at, fold in enumerate(walk.folds)
    ]
    return replace(
        evidence,
        panel=panel_evidence(walk.panel, prepared.inputs.market),
        scalers=tuple(scaler for scaler, _ in scaling),
        scaled=tuple(scaled for _, scaled in scaling),
    )


def _with_label(evidence: Evidence, walk: FundamentalWalk, label: FundamentalLabel, judged: pl.DataFrame) -> Evidence:
    """One label, the rows that its analysts learnt from and were judged on, and their forecasts of these."""
    target, horizon = label.target, label.horizon_quarters
    own = judged.filter(
        pl.col("target") == target, pl.col("horizon_quarters") == horizon, ~pl.col("analyst").is_in(BASELINES)
    )
    names = (evidence.baskets or ((), ()))[1]
    folds = (_fold_rows(walk, label, walk.parts(fold, target), names) for fold in walk.folds)
    return replace(
        evidence,
        label=LabelEvidence(
            target,
            label.change.of(target),
            horizon,
            realised_on=label.realised_on,
            others={f"{name} as it was told": one.value for name, one in walk.labels.items()},
            foreseeable=True,
        ),
        folds=tuple(folds),
        predictions=own.select(
            "symbol", pl.col("as_of").alias("date"), "mean", "analyst", "seed", "fold", "target",
            pl.col("realised").alias("label"),
        ),
    )  # fmt: skip


def _fold_rows(
    walk: FundamentalWalk, label: FundamentalLabel, parts: tuple[Part, Part, Part, np.datetime64], judged: Sequence[str]
) -> FoldRows:
    train, valid, test = (
        Rows(part.windows.dates, part.windows.symbols, label.realised_on[walk.places(part.windows)])
        for part in parts[:3]
    )
    asked = np.isin(test.symbols, judged)
    realised = None if test.realised_on is None else test.realised_on[asked]
    return FoldRows(train, Rows(test.dates[asked], test.symbols[asked], realised), valid)
