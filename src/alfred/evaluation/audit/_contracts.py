"""What a check is, and what an audit says."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from alfred.evaluation.audit._evidence import Evidence

Severity = Literal["error", "warning"]
NAMED = 5
"""Examples that a finding names; the rest is counted."""


class TooLittleError(Exception):
    """Raised by a probe whose parts are there, but hold too little to tell; the text says what would be needed."""


@dataclass(frozen=True)
class Found:
    """What a probe saw.

    Attributes:
        what: one sentence: what is wrong, where, and by how much.
        severity: "error" where results cannot be believed, "warning" where a reader must know it.
        columns, symbols, dates: what it concerns, at most a few of each; `dates` as ISO text.
        rows: how many rows, cells or entries it concerns.
        figures: numbers behind the sentence, by name.
    """

    what: str
    severity: Severity = "error"
    columns: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    rows: int = 0
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Probe:
    """One way of looking for a defect.

    Attributes:
        needs: parts of the `Evidence` that it looks at; without one of them it cannot look.
        looks_at: what it compares, for the documentation.
        severity: the worst that it can find.
        find: gives what it saw; raises `TooLittleError` where the parts hold too little.
    """

    needs: tuple[str, ...]
    looks_at: str
    severity: Severity
    find: Callable[[Evidence], Iterable[Found]]


@dataclass(frozen=True)
class AuditCheck:
    """A named check.

    Attributes:
        name: such as "train-test-overlap".
        row: of the table of findings, 1 to 22.
        defect: in few words.
        advice: what to do about it.
        probes: ways of looking for it, each with the parts that it needs.
    """

    name: str
    row: int
    defect: str
    advice: str
    probes: tuple[Probe, ...]


@dataclass(frozen=True)
class Finding:
    """A defect, with its evidence. Attributes as of `AuditCheck` and `Found`."""

    check: str
    row: int
    severity: Severity
    what: str
    advice: str
    columns: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    rows: int = 0
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What became of one check.

    Attributes:
        check, row, defect: as of the `AuditCheck`.
        examined: what was looked at.
        not_examined: what was not, each with the reason: the parts that are lacking, or that they hold too little.
        findings: what was found.
    """

    check: str
    row: int
    defect: str
    examined: tuple[str, ...]
    not_examined: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def status(self) -> Literal["error", "warning", "clean", "not examined"]:
        """The worst that was found; "clean" only where something was looked at."""
        if any(finding.severity == "error" for finding in self.findings):
            return "error"
        if self.findings:
            return "warning"
        return "clean" if self.examined else "not examined"


@dataclass(frozen=True)
class Audit:
    """Outcomes of all checks, in the order of the findings' rows."""

    outcomes: tuple[Outcome, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything that was found, errors first."""
        found = [finding for outcome in self.outcomes for finding in outcome.findings]
        return tuple(sorted(found, key=lambda finding: finding.severity != "error"))

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that make results unbelievable."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Findings that a reader must know before any figure."""
        return tuple(finding for finding in self.findings if finding.severity == "warning")

    @property
    def summary(self) -> str:
        """How many checks found what, in one sentence."""
        of = [outcome.status for outcome in self.outcomes]
        return (
            f"{len(of)} checks: {of.count('error')} with errors, {of.count('warning')} with warnings, "
            f"{of.count('clean')} clean, {of.count('not examined')} not examined."
        )


def few(names: Iterable[str], count: int | None = None) -> str:
    """The first names, and how many more there are."""
    listed = list(names)
    more = (count if count is not None else len(listed)) - min(len(listed), NAMED)
    return ", ".join(listed[:NAMED]) + (f" and {more} more" if more > 0 else "")


def many(count: int, noun: str) -> str:
    """`1 date`, `1,200 dates`."""
    return f"{count:,} {noun}{'s' * (count != 1)}"
