"""The audit of Alfred's own runs: stored, repeated, stopping what cannot be believed, silent on honest markets."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from audited_market import audited_market
from small_study import small_study

from alfred.core.errors import AuditError
from alfred.core.home import Home
from alfred.evaluation.audit import Audit, Evidence, Finding, Outcome, examine
from alfred.experiments.audit import audit_run, panel_evidence, require_clean, with_folds
from alfred.experiments.foreign import ForeignTable, foreign_evidence
from alfred.experiments.prepared import prepare
from alfred.experiments.record import RunRecord, dump_record, load_frame, load_record
from alfred.experiments.run import run_study, walk_of
from alfred.experiments.study import Study
from alfred.lake.synthetic.settings import Leak
from alfred.panel.panel import Panel
from alfred.panel.windows import WindowMaker

UNEXAMINED = {"start-ignored", "loss-without-gradient", "language-knows-the-future"}
"""No scan, no network and no digests in these studies."""

LEAKS: dict[Leak, tuple[str, ...]] = {
    "facts_at_period_end": ("used-before-filed",),
    "macro_filled_backwards": ("filled-backwards",),
    "prices_after_delisting": ("label-beyond-data",),
    "reused_ticker": ("stale-prices",),
    "stale_prices": ("stale-prices",),
    "survivors_only": ("survivors-only",),
    "twin_ticker": ("ticker-overlap",),
    "unadjusted_split": ("stale-prices",),
    "volume_knows_the_future": ("label-in-features",),
    "zeros_for_missing": ("zeros-for-missing",),
}


def audit_of(record: RunRecord) -> Audit:
    assert record.audit is not None
    return record.audit


def untrue(record: RunRecord) -> list[Finding]:
    """Findings that the run's own, separate account of its trades does not bear out."""
    dominated = {
        result.name
        for result in record.portfolios
        if result.trades is not None and (result.trades.best_trade_share > 0.5 or result.trades.best_trade_pct > 1000)
    }
    return [
        finding
        for finding in audit_of(record).findings
        if not ("trade_pct" in finding.figures and finding.what.partition(":")[0] in dominated)
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Path]:
    home, study, _ = audited_market(tmp_path_factory.mktemp("run"), 3)
    return home, run_study(study, home)


def test_a_run_on_a_clean_market_is_examined_and_nothing_is_found(run: tuple[Home, Path]) -> None:
    record = load_record(run[1])
    audit = audit_of(record)
    assert untrue(record) == []
    assert len(audit.outcomes) == 22
    assert {outcome.check for outcome in audit.outcomes if outcome.status == "not examined"} == UNEXAMINED
    assert "audit" in {timing.stage for timing in record.timings}


def test_it_is_audited_again_from_its_folder_with_the_same_outcome(run: tuple[Home, Path]) -> None:
    assert audit_run(*run) == audit_of(load_record(run[1]))


def test_an_altered_folder_is_found_out(run: tuple[Home, Path], tmp_path: Path) -> None:
    """Forecasts that know what came, and a return that the account never made."""
    home, folder = run
    altered = tmp_path / "altered"
    altered.mkdir()
    for name in ("curves", "accounts", "ledger"):
        load_frame(folder, name).write_parquet(altered / f"{name}.parquet")
    forecasts = load_frame(folder, "forecasts")
    forecasts.with_columns(mean=pl.coalesce("PM", "mean")).write_parquet(altered / "forecasts.parquet")
    record = load_record(folder)
    first, *others = record.portfolios
    better = replace(first, statistics=replace(first.statistics, total_return=54.98))
    (altered / "run.json").write_text(dump_record(replace(record, portfolios=(better, *others))), encoding="utf-8")
    errors = {finding.check: finding.what for finding in audit_run(home, altered).errors}
    assert set(errors) == {"train-test-overlap", "summed-percentages"}
    assert "the stated return is +5498.00%, but the account's path gives" in errors["summed-percentages"]


def scalers_of(run: tuple[Home, Path]) -> Outcome:
    """What the scalers' check says of the run where three training names have no label in two years."""
    home, folder = run
    study = Study.parse(load_record(folder).settings, "audited")
    prepared = prepare(study, home)
    panel = prepared.panel
    without = np.zeros(panel.listed.shape, np.bool_)
    without[4:12, [panel.symbols.index(name) for name in prepared.inputs.baskets.training[:3]]] = True
    values = {name: np.where(without, np.nan, known) for name, known in panel.labels.values.items()}
    some = replace(prepared, panel=replace(panel, labels=replace(panel.labels, values=values)))
    evidence = with_folds(
        Evidence(panel=panel_evidence(some.panel, some.inputs.market)), study, walk_of(study, some, home)
    )
    assert evidence.folds is not None
    assert evidence.scalers is not None
    assert all(
        scaler.rows is not None and len(scaler.rows) > len(own.train)
        for scaler, own in zip(evidence.scalers, evidence.folds, strict=True)
    )
    return examine(evidence, only={"scaler-saw-everything"}).outcomes[0]


def test_training_rows_without_a_label_are_no_false_alarm(run: tuple[Home, Path]) -> None:
    assert scalers_of(run).status == "clean"


def test_a_scaler_that_saw_all_dates_is_found_beside_rows_without_a_label(
    run: tuple[Home, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = WindowMaker.fit

    def of_all_dates(panel: Panel, dates: np.ndarray, *rest: Any) -> WindowMaker:
        return honest(panel, np.arange(len(panel.dates)), *rest)

    monkeypatch.setattr(WindowMaker, "fit", of_all_dates)
    found = scalers_of(run)
    assert found.status == "error"
    assert "columns are not those of the training rows" in found.findings[0].what


def test_errors_stop_a_run_and_name_the_first(tmp_path: Path) -> None:
    home, study, _ = audited_market(tmp_path, 1, "facts_at_period_end")
    with pytest.raises(
        AuditError, match=r"the audit stopped this run: used-before-filed \(finding 6\): .* What to do: "
    ):
        run_study(study, home)
    assert not list(home.runs.glob("*/run.json"))


def test_warnings_stop_nothing() -> None:
    require_clean(Audit())


@pytest.mark.slow
@pytest.mark.parametrize("leak", LEAKS)
def test_a_planted_leak_of_the_synthetic_market_is_caught_by_its_check(leak: Leak, tmp_path: Path) -> None:
    home, study, market = audited_market(tmp_path, 1, leak)
    try:
        audit = audit_of(load_record(run_study(study, home)))
        found = {finding.check for finding in audit.findings if "trade_pct" not in finding.figures}
        assert {planted.finding for planted in market.truth.leaks} <= {finding.row for finding in audit.findings}
    except AuditError as error:
        # One that reveals the label also makes forecasts too good, which is told first.
        found = {check for checks in LEAKS.values() for check in checks if check in str(error)}
    assert set(LEAKS[leak]) <= found


@pytest.mark.slow
def test_twenty_clean_markets_raise_no_false_alarm(tmp_path: Path) -> None:
    for seed in range(20):
        home, study, _ = audited_market(tmp_path, seed)
        record = load_record(run_study(study, home))
        assert untrue(record) == [], f"seed {seed}"
        found = {outcome.check for outcome in audit_of(record).outcomes if outcome.status == "not examined"}
        assert found == UNEXAMINED, f"seed {seed}"


@pytest.mark.slow
def test_of_the_sample_only_what_is_true_is_told(tmp_path: Path) -> None:
    record = load_record(run_study(small_study(), Home(tmp_path)))
    assert [finding.check for finding in untrue(record)] == ["survivors-only"]
    assert audit_of(record).errors == ()
    found = {outcome.check for outcome in audit_of(record).outcomes if outcome.status == "not examined"}
    assert found == {"used-before-filed", "language-knows-the-future"}


@pytest.mark.slow
@pytest.mark.parametrize("label", ["PM", "PQ", "excess", "rank"])
def test_of_an_honest_panel_taken_elsewhere_only_its_price_levels_are_told(label: str, tmp_path: Path) -> None:
    """All columns of the catalogue, without what Alfred knows of them."""
    home, study, _ = audited_market(tmp_path, 2)
    panel = prepare(study, home).panel
    row, column = np.nonzero(panel.listed)
    cells = {name: panel.values[row, column, at] for at, name in enumerate(panel.features)}
    keys = {"date": panel.dates[row], "symbol": np.array(panel.symbols)[column].tolist()}
    frame = pl.DataFrame({**keys, label: panel.labels.of(label)[row, column], **cells})
    frame.fill_nan(None).write_parquet(tmp_path / "panel.parquet")
    audit = examine(foreign_evidence(ForeignTable(panel=tmp_path / "panel.parquet", label=label)).evidence)
    told = {finding.check: finding.columns for finding in audit.findings}
    assert told == ({"level-correlation": ("Close", "market_cap")} if label == "PM" else {})
