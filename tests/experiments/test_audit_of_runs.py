"""The audit of Alfred's own runs: stored, repeated, stopping what cannot be believed, silent on honest markets."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from audited_market import audited_market
from small_study import small_study

from alfred.core.errors import AuditError
from alfred.core.home import Home
from alfred.evaluation.audit import Audit, Finding, examine
from alfred.experiments.audit import audit_run, require_clean
from alfred.experiments.foreign import ForeignTable, foreign_evidence
from alfred.experiments.prepared import prepare
from alfred.experiments.record import RunRecord, dump_record, load_frame, load_record
from alfred.experiments.run import run_study
from alfred.lake.synthetic.settings import Leak

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
