"""Runs all checks."""

import functools
from collections.abc import Callable, Collection

from alfred.core.errors import ConfigError
from alfred.core.plugins import plugin, plugin_names
from alfred.core.settings import suggestion
from alfred.evaluation.audit._contracts import Audit, AuditCheck, Finding, Outcome, TooLittleError
from alfred.evaluation.audit._evidence import Evidence

PACKAGE = "alfred.evaluation.audit"


@functools.cache
def audit_checks() -> tuple[AuditCheck, ...]:
    """All checks of this folder and of third parties, by row of the findings, then by name.

    Raises:
        ConfigError: two checks share a name.
    """
    checks = [check for file in plugin_names(PACKAGE) for check in plugin(PACKAGE, file).CHECKS]
    names = [check.name for check in checks]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"two audit checks are called {twice!r}; rename one of them.")
    return tuple(sorted(checks, key=lambda check: (check.row, check.name)))


def examine(
    evidence: Evidence, only: Collection[str] | None = None, heard: Callable[[str], None] | None = None
) -> Audit:
    """Run every check on what is at hand.

    Args:
        evidence: what to look at.
        only: names of the checks to run; default all.
        heard: told the name of each check as it begins.

    Raises:
        ConfigError: there is no check of a name in `only`; the message suggests the nearest.
    """
    names = [check.name for check in audit_checks()]
    unknown = next((name for name in only or () if name not in names), None)
    if unknown is not None:
        raise ConfigError(f"there is no audit check {unknown!r}; {suggestion(unknown, names)}")
    outcomes = []
    for check in audit_checks():
        if only is not None and check.name not in only:
            continue
        if heard is not None:
            heard(check.name)
        outcomes.append(_outcome(check, evidence))
    return Audit(tuple(outcomes))


def _is_lacking(part: object) -> bool:
    """Whether a part is not at hand, or holds nothing."""
    return part is None or (isinstance(part, tuple) and not part)


def _outcome(check: AuditCheck, evidence: Evidence) -> Outcome:
    examined, not_examined, findings = [], [], []
    for probe in check.probes:
        lacking = [part for part in probe.needs if _is_lacking(getattr(evidence, part))]
        if lacking:
            not_examined.append(f"{probe.looks_at}: needs {', '.join(lacking)}")
            continue
        try:
            found = tuple(probe.find(evidence))
        except TooLittleError as reason:
            not_examined.append(f"{probe.looks_at}: {reason}")
            continue
        examined.append(probe.looks_at)
        findings += [
            Finding(
                check.name, check.row, one.severity, one.what, check.advice, one.columns, one.symbols, one.dates,
                one.rows, one.figures,
            )
            for one in found
        ]  # fmt: skip
    return Outcome(check.name, check.row, check.defect, tuple(examined), tuple(not_examined), tuple(findings))
