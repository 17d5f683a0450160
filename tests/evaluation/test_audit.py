"""Every finding of the notes: a planted defect that its own check catches, and silence on clean evidence."""

from dataclasses import fields, replace

import defects_of_data as data
import defects_of_method as method
import numpy as np
import pytest
from audit_evidence import clean, with_column
from defects_of_data import Plant, values
from defects_of_method import learnt_test_rows, shared_tickers

from alfred.core.errors import ConfigError
from alfred.evaluation.audit import Audit, Evidence, audit_checks, examine

PLANTED = sorted((*data.PLANTED, *method.PLANTED), key=lambda planted: planted[:2])


def statuses(audit: Audit) -> dict[str, str]:
    return {outcome.check: outcome.status for outcome in audit.outcomes}


def test_there_is_one_check_for_each_finding_and_each_is_put_to_the_test() -> None:
    assert [check.row for check in audit_checks()] == list(range(1, 23))
    assert {(row, name) for row, name, _, _ in PLANTED} == {(check.row, check.name) for check in audit_checks()}


def test_clean_evidence_is_examined_whole_and_nothing_is_found() -> None:
    audit = examine(clean())
    assert [finding.what for finding in audit.findings] == []
    assert set(statuses(audit).values()) == {"clean"}
    assert audit.summary == "22 checks: 0 with errors, 0 with warnings, 22 clean, 0 not examined."


@pytest.mark.parametrize(
    ("row", "name", "plant", "severity"), PLANTED, ids=lambda value: getattr(value, "__name__", None)
)
def test_a_planted_defect_is_caught_by_its_own_check(row: int, name: str, plant: Plant, severity: str) -> None:
    audit = examine(plant(clean()), only={name})
    (outcome,) = audit.outcomes
    assert outcome.row == row
    assert outcome.status == severity, [finding.what for finding in audit.findings]
    for finding in outcome.findings:
        assert finding.advice
        assert finding.what[-1] in ".;"


def test_without_evidence_nothing_passes() -> None:
    audit = examine(Evidence())
    assert set(statuses(audit).values()) == {"not examined"}
    assert all("needs" in reason for outcome in audit.outcomes for reason in outcome.not_examined)


@pytest.mark.parametrize("part", [field.name for field in fields(Evidence)])
def test_a_lacking_part_is_named_and_never_passed(part: str) -> None:
    audit = examine(replace(clean(), **{part: None}))
    assert not audit.errors
    for check, outcome in zip(audit_checks(), audit.outcomes, strict=True):
        lacking = [probe for probe in check.probes if part in probe.needs]
        for probe in lacking:
            assert probe.looks_at not in outcome.examined
            assert any(text.startswith(f"{probe.looks_at}: needs {part}") for text in outcome.not_examined)
        if len(lacking) == len(check.probes):
            assert outcome.status == "not examined"


def test_a_question_that_allows_an_overlap_is_told_not_stopped() -> None:
    audit = examine(replace(learnt_test_rows(clean()), protocol="in-sample"))
    found = statuses(audit)
    assert found["train-test-overlap"] == "warning"
    assert found["quarter-overlap"] == "warning"
    same = examine(replace(shared_tickers(clean()), protocol="same-tickers-other-years"))
    assert statuses(same)["ticker-overlap"] == "clean"


def test_a_check_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"there is no audit check 'stale-price'; did you mean 'stale-prices'\?"):
        examine(clean(), only={"stale-price"})


def test_the_finding_names_rows() -> None:
    audit = examine(learnt_test_rows(clean()))
    finding = audit.errors[0]
    assert finding.what.startswith("fold 1 tests 181 of its training rows: T15 on 2010-09-30, ")
    assert finding.rows == 181
    assert finding.symbols[0] == "T15"
    assert finding.dates[0] == "2010-09-30"


def test_a_bound_that_a_column_often_takes_may_last_from_the_start() -> None:
    """A share of new articles is 1 wherever all are new, and so for many dates in a row by chance."""
    shares = np.round(np.random.default_rng(6).beta(4, 1, values(clean(), "margin").shape), 1)
    shares[:9, 4:9] = 1.0
    assert statuses(examine(with_column(clean(), "novelty", shares)))["filled-backwards"] == "clean"
    # The same length of a value that the column never takes again is the future filled backwards.
    shares[:9, 4:9] = 0.123456
    assert statuses(examine(with_column(clean(), "novelty", shares)))["filled-backwards"] == "error"
