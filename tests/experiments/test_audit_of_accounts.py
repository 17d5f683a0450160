"""The audit of the analysts of accounts: silent on an honest market, and what leaks is found by label and horizon."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
from audited_market import audited_market

from alfred.core.errors import AuditError
from alfred.core.home import Home
from alfred.evaluation.audit import Audit, Finding, Outcome
from alfred.evaluation.splits import walk_forward
from alfred.experiments import fundamental_walk
from alfred.experiments.fundamental_audit import audit_of_accounts, merged
from alfred.experiments.fundamental_walk import FundamentalWalk
from alfred.experiments.fundamentals import FundamentalRecord, load_fundamentals, run_fundamentals
from alfred.experiments.prepared import Prepared, prepare
from alfred.experiments.stages import Stages
from alfred.experiments.study import Study
from alfred.lake.synthetic.settings import Leak
from alfred.panel.anchors import with_anchors
from alfred.panel.build import sources_of
from alfred.panel.fundamental_labels import fundamental_label
from alfred.panel.panel import Labels

MARGIN, GROWTH = "next_Margin_Operating", "next_revenue_growth"
UNEXAMINED = {
    "level-correlation", "start-ignored", "loss-without-gradient", "summed-percentages", "unfit-benchmark",
    "language-knows-the-future",
}  # fmt: skip
"""No label that is a change of price, no scan, network, portfolio or digests in these studies."""


class World(NamedTuple):
    home: Home
    study: Study
    folder: Path


def accounts(root: Path, *leaks: Leak) -> tuple[Home, Study]:
    home, study, _ = audited_market(root, 3, *leaks)
    form = study.model_dump(mode="json")
    form["fundamentals"] = {"targets": [MARGIN, GROWTH], "horizons": [1, 4], "analysts": [{"name": "ridge"}]}
    form["panel"]["features"] = ["Margin_*", "revenue_growth*", "momentum_12_1"]
    return home, Study.parse(form, "accounts")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    home, study = accounts(tmp_path_factory.mktemp("audited"))
    return World(home, study, run_fundamentals(study, home))


def record_of(world: World) -> FundamentalRecord:
    return load_fundamentals(world.folder)[0]


def audit_of(world: World) -> Audit:
    audit = record_of(world).audit
    assert audit is not None
    return audit


def walk_of(world: World, prepared: Prepared, horizon: int) -> FundamentalWalk:
    study, panel, baskets = world.study, prepared.panel, prepared.inputs.baskets
    sources = sources_of(prepared.inputs.tables, study.panel, panel.dates)
    labels = {target: fundamental_label(sources, target, horizon) for target in (MARGIN, GROWTH)}
    return FundamentalWalk(
        with_anchors(panel, labels, ()), labels, walk_forward(panel.dates, horizon, study.splits), baskets.training,
        (*baskets.evaluation, *baskets.training), study.panel, study.splits, study.train, Stages(world.home.stages),
    )  # fmt: skip


def audited(world: World, prepared: Prepared, *walks: FundamentalWalk) -> dict[str, Outcome]:
    record, forecasts = load_fundamentals(world.folder)
    judged = forecasts.filter(pl.col("basket") == "evaluation")
    audit = audit_of_accounts(world.study, prepared, walks, judged, errors=record.errors, trials=1)
    return {outcome.check: outcome for outcome in audit.outcomes}


def test_a_run_on_a_clean_market_is_examined_and_nothing_is_found(world: World) -> None:
    audit = audit_of(world)
    assert [finding.what for finding in audit.findings] == []
    assert len(audit.outcomes) == 22
    assert {outcome.check for outcome in audit.outcomes if outcome.status == "not examined"} == UNEXAMINED


def test_rows_without_a_label_are_what_its_scalers_learnt_from_too(world: World) -> None:
    """What would be a false alarm of the scalers' check: rows that are scaled have no label yet, or none at all."""
    walk = walk_of(world, prepare(world.study, world.home), 4)
    names = [walk.panel.symbols.index(name) for name in walk.training]
    for fold in walk.folds:
        train = walk.parts(fold, MARGIN)[0].windows
        assert len(train) < walk.panel.listed[np.ix_(fold.train, names)].sum()


def test_what_cannot_tell_a_leak_is_told_as_not_examined(world: World) -> None:
    outcomes = {outcome.check: outcome for outcome in audit_of(world).outcomes}
    (reason,) = [text for text in outcomes["train-test-overlap"].not_examined if MARGIN in text]
    assert reason == (
        f"how often forecasts are right: what was known before tells much of {MARGIN}; no forecast is too good"
    )
    assert outcomes["train-test-overlap"].status == "clean"
    assert any("names and values of columns" in text for text in outcomes["label-in-features"].examined)


def test_a_column_that_is_the_coming_figure_is_found_with_its_label_and_horizon(world: World) -> None:
    prepared = prepare(world.study, world.home)
    clean, walk = walk_of(world, prepared, 1), walk_of(world, prepared, 4)
    cells = walk.panel.values.copy()
    cells[:, :, 0] = walk.labels[MARGIN].value
    leaking = replace(walk, panel=replace(walk.panel, values=cells))
    found = audited(world, prepared, clean, leaking)["label-in-features"]
    assert found.status == "error"
    (finding,) = found.findings
    column = walk.panel.features[0]
    assert finding.what.startswith(
        f"{MARGIN}, 4q; {GROWTH}, 4q: column {column} equals the label {MARGIN} as it was told in all "
    )


def test_rows_learnt_from_before_they_were_told_are_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the purge, and without the guard that would notice, the audit does."""
    prepared = prepare(world.study, world.home)
    monkeypatch.setattr(Labels, "known_by", lambda labels, date, embargo_quarters=0: labels)
    monkeypatch.setattr(fundamental_walk, "check_realised", lambda *args, **kwargs: None)
    walk = walk_of(world, prepared, 1)
    fold, label = walk.folds[0], walk.labels[MARGIN]
    realised = label.realised_on.copy()
    realised[fold.train[-1]] = walk.panel.dates[fold.valid[0] + 1]  # a quarter late
    late = replace(walk, labels={**walk.labels, MARGIN: replace(label, realised_on=realised)})
    found = audited(world, prepared, late)["train-test-overlap"]
    (finding,) = found.findings
    assert finding.severity == "error"
    assert finding.what.startswith(f"{MARGIN}, 1q: fold 1: the labels of ")
    assert (
        f"training rows are realised after the first validation date {walk.panel.dates[fold.valid[0]]}" in finding.what
    )


@pytest.mark.slow
def test_errors_stop_a_run_and_name_the_first(tmp_path: Path) -> None:
    home, study = accounts(tmp_path, "facts_at_period_end")
    with pytest.raises(AuditError, match=r"the audit stopped this run: used-before-filed \(finding 6\): "):
        run_fundamentals(study, home)
    assert not list(home.fundamentals.glob("*/fundamentals.json"))


def test_several_audits_make_one() -> None:
    def outcome(examined: tuple[str, ...], lacking: tuple[str, ...], *said: str) -> Outcome:
        findings = tuple(Finding("c", 1, "warning", what, "do something") for what in said)
        return Outcome("c", 1, "a defect", examined, lacking, findings)

    other = Outcome("d", 2, "another", (), ("e: needs f",), ())
    one = Audit((outcome(("a",), ("b: needs x",), "both.", "first."), other))
    two = Audit((outcome(("a", "b"), (), "both.", "second."),))
    whole = merged({"m, 1q": one, "m, 4q": two})
    assert [finding.what for finding in whole.outcomes[0].findings] == ["both.", "m, 1q: first.", "m, 4q: second."]
    assert whole.outcomes[0].examined == ("a", "b")
    assert whole.outcomes[0].not_examined == ()
    assert whole.outcomes[1] == other
