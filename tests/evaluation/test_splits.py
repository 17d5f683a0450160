import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from alfred.core.errors import ConfigError, DataError, LeakError
from alfred.evaluation.splits import Fold, SplitSettings, check_fold, check_realised, walk_forward


def quarter_ends(count):
    return (np.datetime64("1990-04", "M") + 3 * np.arange(count)).astype("datetime64[D]") - 1


def positions(*values):
    return np.array(values, dtype=np.int64)


def test_parts_by_hand():
    settings = SplitSettings(min_train_quarters=4, valid_quarters=2, test_quarters=3)
    first, second = walk_forward(quarter_ends(11), 1, settings)
    assert (first.train.tolist(), first.valid.tolist(), first.test.tolist()) == ([0, 1, 2, 3], [4, 5], [6, 7, 8])
    assert (second.train.tolist(), second.valid.tolist(), second.test.tolist()) == (list(range(7)), [7, 8], [9, 10])


def test_longer_horizon_and_embargo_purge_rows():
    settings = SplitSettings(min_train_quarters=3, valid_quarters=2, test_quarters=2, embargo_quarters=1)
    (fold,) = walk_forward(quarter_ends(11), 2, settings)
    # Labels of position 2 are known at 4, an embargo of one more quarter makes 5 the first to validate on.
    assert (fold.train.tolist(), fold.valid.tolist(), fold.test.tolist()) == ([0, 1, 2], [5, 6], [9, 10])


def test_rolling_window_keeps_its_length():
    settings = SplitSettings(min_train_quarters=4, valid_quarters=2, test_quarters=1, window="rolling")
    folds = walk_forward(quarter_ends(10), 1, settings)
    assert [fold.train.tolist() for fold in folds] == [[0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5], [3, 4, 5, 6]]


@given(
    count=st.integers(1, 120),
    horizon=st.integers(1, 5),
    test=st.integers(1, 12),
    valid=st.integers(1, 12),
    embargo=st.integers(0, 3),
    train=st.integers(1, 30),
    window=st.sampled_from(["expanding", "rolling"]),
)
def test_no_label_reaches_into_the_next_part(  # noqa: PLR0917
    count, horizon, test, valid, embargo, train, window
):
    settings = SplitSettings(
        test_quarters=test, valid_quarters=valid, embargo_quarters=embargo, min_train_quarters=train, window=window
    )
    dates = quarter_ends(count)
    needed = train + valid + 2 * (horizon + embargo - 1) + 1
    assume(count >= needed)
    folds = walk_forward(dates, horizon, settings)
    for fold in folds:
        assert fold.train.max() + horizon + embargo <= fold.valid.min()
        assert fold.valid.max() + horizon + embargo <= fold.test.min()
        assert len(fold.train) >= train
        assert len(fold.valid) == valid
        check_fold(fold, dates, horizon, embargo)
    # Every quarter from the earliest on is tested exactly once, in order, and nothing more could have been tested.
    assert np.concatenate([fold.test for fold in folds]).tolist() == list(range(needed - 1, count))
    assert all(len(fold.test) == test for fold in folds[:-1])


@given(shift=st.integers(1, 6), horizon=st.integers(1, 4))
def test_check_fold_finds_any_row_too_late(shift, horizon):
    dates = quarter_ends(60)
    (fold, *_) = walk_forward(dates, horizon, SplitSettings())
    late = Fold(np.append(fold.train, fold.train.max() + shift), fold.valid, fold.test)
    with pytest.raises(LeakError, match=f"training row of {dates[late.train.max()]}"):
        check_fold(late, dates, horizon)


def test_check_fold_names_the_dates():
    fold = Fold(positions(0, 1), positions(2, 3), positions(4))
    check_fold(fold, quarter_ends(5), 1)
    with pytest.raises(LeakError) as error:
        check_fold(Fold(positions(0, 1), positions(2, 3), positions(3)), quarter_ends(5), 1)
    assert str(error.value) == (
        "the label of the validation row of 1990-12-31 is realised at the end of 1991Q1, after the first test date "
        "1990-12-31; purge the validation rows before it."
    )
    with pytest.raises(LeakError, match=r"end of 1990Q4, after the first validation date 1990-09-30"):
        check_fold(fold, quarter_ends(5), 2)
    with pytest.raises(LeakError, match="plus an embargo of 1 quarters"):
        check_fold(fold, quarter_ends(5), 1, embargo_quarters=1)


def test_range_of_test_dates():
    settings = SplitSettings(
        min_train_quarters=4, valid_quarters=2, test_quarters=2, test_first="1992-01-01", test_last="1993-02-01"
    )
    dates = quarter_ends(20)
    tested = np.concatenate([fold.test for fold in walk_forward(dates, 1, settings)])
    assert [str(date) for date in dates[tested]] == ["1992-03-31", "1992-06-30", "1992-09-30", "1992-12-31"]


def test_too_few_quarters():
    with pytest.raises(DataError, match=r"needs at least 29 quarters \(20 to train, 8 to validate, 0 purged") as error:
        walk_forward(quarter_ends(28), 1, SplitSettings())
    assert "but there are 28 (1990-03-31 to 1996-12-31)" in str(error.value)
    assert len(walk_forward(quarter_ends(29), 1, SplitSettings())) == 1


def test_test_first_too_early():
    with pytest.raises(DataError, match=r"needs 30 quarters before it .* but there are 4; .* is 1997-09-30"):
        walk_forward(quarter_ends(60), 2, SplitSettings(test_first="1991-01-01"))


@pytest.mark.parametrize(
    "ends",
    [
        {"test_first": "2003-01-01", "test_last": "2002-01-01"},
        {"test_first": "2030-01-01"},
        {"test_last": "1990-01-01"},
    ],
)
def test_empty_range(ends):
    with pytest.raises(ConfigError, match=r"no decision date to test .* run from 1997-03-31 to 2004-12-31"):
        walk_forward(quarter_ends(60), 1, SplitSettings(**ends))


def test_wrong_dates_and_settings():
    dates = quarter_ends(60)
    with pytest.raises(DataError, match="consecutive quarters, but 1990-12-31 follows 1990-06-30"):
        walk_forward(np.delete(dates, 2), 1, SplitSettings())
    with pytest.raises(DataError, match="no decision dates"):
        walk_forward(dates[:0], 1, SplitSettings())
    with pytest.raises(ConfigError, match="horizon_quarters must be at least 1, got 0"):
        walk_forward(dates, 0, SplitSettings())
    with pytest.raises(ConfigError, match="split: test_first: 'soon' is not a date"):
        SplitSettings.parse({"test_first": "soon"}, "split")
    with pytest.raises(ConfigError, match="did you mean 'embargo_quarters'"):
        SplitSettings.parse({"embargo": 1}, "split")
    with pytest.raises(DataError, match="valid part must hold ascending positions, at least one"):
        Fold(positions(0), positions(), positions(1))


def test_all_trains_once_for_every_test_quarter():
    settings = SplitSettings(min_train_quarters=4, valid_quarters=2, test_quarters="all", test_last="1992-06-30")
    (fold,) = walk_forward(quarter_ends(11), 1, settings)
    assert (fold.train.tolist(), fold.valid.tolist(), fold.test.tolist()) == ([0, 1, 2, 3], [4, 5], [6, 7, 8, 9])


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "every"])
def test_other_counts_of_test_quarters_are_refused(value):
    with pytest.raises(ConfigError, match=r"^split: test_quarters: a number of quarters, at least 1, or 'all', got"):
        SplitSettings.parse({"test_quarters": value}, "split")


def test_every_row_must_be_realised_when_the_next_part_begins():
    dates = quarter_ends(8)
    rows, realised = dates[[0, 1, 2]], dates[[1, 2, 4]]
    about = {"part": "training", "next_part": "validation", "dates": rows}
    check_realised(**about, realised_on=realised, first=dates[4])
    with pytest.raises(LeakError) as error:
        check_realised(**about, realised_on=realised, first=dates[3])
    assert str(error.value) == (
        "the labels of 1 training rows are not known on the first validation date 1990-12-31: that of 1990-09-30 is "
        "realised on 1991-03-31; purge these rows."
    )
    with pytest.raises(LeakError, match=r"labels of 1 training rows .* plus an embargo of 1 quarters"):
        check_realised(**about, realised_on=realised, first=dates[4], embargo_quarters=1)
    never = np.array([dates[1], np.datetime64("NaT", "D"), dates[2]])
    with pytest.raises(LeakError, match="that of 1990-06-30 is never realised"):
        check_realised(**about, realised_on=never, first=dates[4])


def test_the_same_years_by_hand():
    settings = SplitSettings(min_train_quarters=4, valid_quarters=2, test_quarters=3)
    (fold,) = walk_forward(quarter_ends(11), 2, settings, "in-sample")
    # Labels of 9 and 10 are not known by the end, so 7 and 8 validate; 6 is purged.
    assert (fold.train.tolist(), fold.valid.tolist(), fold.test.tolist()) == (list(range(6)), [7, 8], list(range(6)))
    dates = quarter_ends(11)
    check_fold(fold, dates, 2, protocol="in-sample")
    later = SplitSettings(min_train_quarters=4, valid_quarters=2, test_first=str(dates[3]), test_last=str(dates[8]))
    (fold,) = walk_forward(dates, 1, later, "other-tickers-same-years")
    assert (fold.train.tolist(), fold.valid.tolist(), fold.test.tolist()) == (list(range(7)), [7, 8], [3, 4, 5, 6])


def test_only_the_protocol_may_let_test_quarters_be_trained_on():
    dates = quarter_ends(11)
    settings = SplitSettings(min_train_quarters=4, valid_quarters=2)
    (memory,) = walk_forward(dates, 1, settings, "in-sample")
    for protocol in ("other-tickers-other-years", "same-tickers-other-years", "sealed"):
        with pytest.raises(LeakError, match=r"validation row of .* is realised at the end"):
            check_fold(memory, dates, 1, protocol=protocol)
    honest = walk_forward(dates, 1, settings)[0]
    check_fold(honest, dates, 1)
    with pytest.raises(LeakError, match="in-sample tests the quarters that were trained on, but 1991-09-30 was not"):
        check_fold(honest, dates, 1, protocol="in-sample")
    # Training and validation stay apart whatever is tested.
    mixed = Fold(positions(0, 1, 2, 3), positions(3, 4), positions(0, 1))
    with pytest.raises(LeakError, match="label of the training row"):
        check_fold(mixed, dates, 1, protocol="in-sample")


def test_too_few_quarters_for_the_same_years():
    settings = SplitSettings(min_train_quarters=8, valid_quarters=2)
    with pytest.raises(DataError, match=r"needs 8 to train, 0 purged or embargoed and 2 to validate, .* there are 9"):
        walk_forward(quarter_ends(10), 1, settings, "in-sample")
    late = SplitSettings(min_train_quarters=4, valid_quarters=2, test_first="1992-06-30")
    with pytest.raises(ConfigError, match="no training quarter to test from 1992-06-30 on; training ends with"):
        walk_forward(quarter_ends(11), 1, late, "in-sample")
