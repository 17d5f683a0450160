"""What the audit found, and what it could not look at."""

from dataclasses import dataclass
from typing import Protocol

from alfred.evaluation.audit import Audit, Finding, Outcome
from alfred.experiments.record import RunRecord
from alfred.report.format import DASH
from alfred.report.table import Cell, Column, Table

SAID_BY_THE_RUN = {
    "survivors-only": "Survivorship:",
    "level-correlation": "Look-ahead:",
    "stale-prices": "One trade:",
    "label-beyond-data": "Ends unknown:",
}
"""How the run's own warning begins that says the same as a finding of a check."""


class Audited(Protocol):
    """The record of whatever was audited."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Its own."""

    @property
    def audit(self) -> Audit | None:
        """What the audit found; None where there was none."""


@dataclass(frozen=True)
class AuditSection:
    """Its summary, and a row for each check; None where the run was not audited."""

    summary: str
    checks: Table | None


def audit_section(record: RunRecord) -> AuditSection:
    """Every check with what it found."""
    audit = record.audit
    if audit is None:
        return AuditSection("This run was made without an audit.", None)
    columns = (
        Column("No.", numeric=True, title="of the check, as docs/audit.md counts them"),
        Column("Check"),
        Column("Outcome"),
        Column("What was found"),
    )
    caption = "The checks, one for each known way to fool oneself"
    return AuditSection(audit.summary, Table(caption, columns, tuple(map(_row, audit.outcomes))))


def warnings(record: Audited) -> tuple[str, ...]:
    """What a reader must know before any figure: the run's own warnings, then the audit's that it did not give."""
    audit = record.audit or Audit()
    found = [f"Audit, {one.check}: {one.what}" for one in audit.findings if not _is_said(one, record.warnings)]
    return (*record.warnings, *found)


def _is_said(finding: Finding, said: tuple[str, ...]) -> bool:
    begins = SAID_BY_THE_RUN.get(finding.check)
    if begins is None or (finding.check == "stale-prices" and "trade_pct" not in finding.figures):
        return False
    return any(warning.startswith(begins) for warning in said)


def _row(outcome: Outcome) -> tuple[Cell, ...]:
    small = tuple(f"Looked at: {text}" for text in outcome.examined)
    small += tuple(f"Not examined: {text}" for text in outcome.not_examined)
    advice = dict.fromkeys(one.advice for one in outcome.findings)
    what = " ".join([*(one.what for one in outcome.findings), *(f"What to do: {text}." for text in advice)])
    return (
        Cell(str(outcome.row), sort=outcome.row),
        Cell(outcome.check, (outcome.defect,)),
        Cell(outcome.status),
        Cell(what or DASH, small),
    )
