"""The audit on the page: warnings head it, and every check has its row."""

from dataclasses import replace
from pathlib import Path

import report_run as made

from alfred.evaluation.audit import Audit, Finding, Outcome
from alfred.report import render
from alfred.report.audit import audit_section, warnings

STILL = Finding("stale-prices", 9, "warning", "ROST stands at 2.95 <for> 12 years.", "quarantine the quotes")
TRADE = Finding("stale-prices", 9, "warning", "ridge: one trade.", "look", figures={"trade_pct": 4875.0})
GONE = Finding("survivors-only", 18, "warning", "none of 20 names ends.", "bring the names that were delisted")
AUDIT = Audit(
    (
        Outcome("stale-prices", 9, "stale prices", ("runs of closes",), ("jumps: needs actions",), (STILL, TRADE)),
        Outcome("survivors-only", 18, "survivors only", ("how many end",), (), (GONE,)),
        Outcome("tries-not-counted", 15, "many tries, best one told", (), ("the count: needs trials",), ()),
    )
)


def test_warnings_are_told_once() -> None:
    record = replace(made.make_record(), audit=AUDIT)
    found = warnings(record)
    assert found[: len(record.warnings)] == record.warnings
    assert found[len(record.warnings) :] == (
        "Audit, stale-prices: ROST stands at 2.95 <for> 12 years.",
        "Audit, stale-prices: ridge: one trade.",
    )
    told = replace(record, warnings=(*record.warnings, "One trade: ROST made 90% of all gains."))
    assert warnings(told)[-1] == "Audit, stale-prices: ROST stands at 2.95 <for> 12 years."


def test_the_page_shows_every_check_and_what_was_not_examined(tmp_path: Path) -> None:
    text = render(made.write_run(tmp_path / "run", replace(made.make_record(), audit=AUDIT)))
    section = text[text.index('<section id="audit">') : text.index('<section id="run">')]
    assert AUDIT.summary in section
    assert "3 checks: 0 with errors, 2 with warnings, 0 clean, 1 not examined." in section
    for said in (
        "stale-prices",
        "Not examined: the count: needs trials",
        "Looked at: how many end",
        "quarantine the quotes",
    ):
        assert said in section.replace("<wbr>", "")
    assert "2.95 &lt;for&gt; 12" in section
    before = text[: text.index('<section id="data">')]
    assert "Audit, stale-prices: ROST stands" in before


def test_a_run_without_an_audit_says_so() -> None:
    section = audit_section(made.make_record())
    assert section.checks is None
    assert section.summary == "This run was made without an audit."
