"""The scaler's check looks at the rows that the scaler was fitted on, of which some have no label."""

from dataclasses import replace

import numpy as np
from audit_evidence import clean
from defects_of_method import fold, scaler_of_all, scaler_of_all_said_to_be_of_training

from alfred.evaluation.audit import Evidence, Outcome, Rows, examine

CHECK = "scaler-saw-everything"
UNLABELLED = {"T02", "T07"}


def outcome_of(evidence: Evidence) -> Outcome:
    return examine(evidence, only={CHECK}).outcomes[0]


def without_labels(evidence: Evidence) -> Evidence:
    """Two names' last five training dates have no label: analysts do not learn from them, the scaler did."""
    own = fold(evidence)
    assert own.train.realised_on is not None
    late = own.train.dates >= np.unique(own.train.dates)[-5]
    kept = ~(late & np.isin(own.train.symbols, list(UNLABELLED)))
    assert (~kept).sum() == 10
    train = Rows(own.train.dates[kept], own.train.symbols[kept], own.train.realised_on[kept])
    return replace(evidence, folds=(replace(own, train=train),))


def test_training_rows_without_a_label_are_no_defect() -> None:
    evidence = without_labels(clean())
    assert outcome_of(evidence).status == "clean"
    # A scaler that says nothing of its rows is held against those that analysts learnt from, as before.
    (scaler,) = evidence.scalers or ()
    assert outcome_of(replace(evidence, scalers=(replace(scaler, rows=None),))).status == "error"


def test_a_scaler_of_all_rows_is_found_beside_rows_without_a_label() -> None:
    (by_size,) = outcome_of(scaler_of_all_said_to_be_of_training(without_labels(clean()))).findings
    assert by_size.what.startswith("fold 1: centre and spread of 8 of 8 columns are not those of the training rows (")
    assert by_size.what.endswith("; 8 of them are those of all rows, the test among them.")


def test_a_scaler_that_names_later_rows_is_found_by_their_dates() -> None:
    """Its centre and spread follow from the rows that it names; these are not its own to learn from."""
    (by_date,) = outcome_of(scaler_of_all(without_labels(clean()))).findings
    assert by_date.what == (
        "fold 1: 564 of the 1,164 rows that its scaler was fitted on lie on or after 2009-03-31, where the next part "
        "begins: T00 on 2009-03-31, T01 on 2009-03-31, T02 on 2009-03-31, T03 on 2009-03-31, T04 on 2009-03-31 and "
        "559 more."
    )
    assert by_date.rows == 564


def test_a_question_that_tests_the_quarters_it_trains_on_allows_its_scaler_to_see_them() -> None:
    evidence = replace(scaler_of_all(clean()), protocol="in-sample")
    assert outcome_of(evidence).status == "clean"
