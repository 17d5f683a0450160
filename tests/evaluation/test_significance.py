import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from alfred.core.errors import DataError
from alfred.evaluation.significance import benjamini_hochberg, holm, newey_west

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def test_newey_west_by_hand():
    series = np.array([1.0, 1.0, 1.0, 1.0, 3.0, 3.0, 3.0, 3.0])
    found = newey_west(series, 1)
    # Deviations -1 or 1: variance 1, first autocovariance (6 - 1) / 8, weight 1/2. The share is (1 + 7/8) / 8.
    assert found.error == pytest.approx(np.sqrt((1 + 5 / 8) / (1 - 15 / 64) / 8))
    assert (found.mean, found.quarters, found.lag_quarters) == (2.0, 8, 1)
    assert found.degrees == pytest.approx(8 / (1 + 2 / 4))
    assert found.p_value == pytest.approx(stats.t.sf(2 / found.error, 16 / 3))


def test_without_a_lag_it_is_students():
    series = np.random.default_rng(0).standard_normal(25)
    found = newey_west(series, 0)
    assert found.error == pytest.approx(stats.sem(series))
    # One degree more than Student's, for the mean's own doubt is in the error already.
    assert found.degrees == 25
    assert found.p_value == pytest.approx(stats.ttest_1samp(series, 0, alternative="greater").pvalue, abs=0.002)


def test_short_series_have_shorter_lags():
    series = np.random.default_rng(1).standard_normal(40)
    assert [newey_west(series[:count], 3).lag_quarters for count in (2, 7, 8, 12, 40)] == [0, 1, 2, 3, 3]


def test_a_constant_has_the_error_it_is_given():
    assert newey_west(np.zeros(20), 3, least_error=0.1).p_value == 0.5
    assert newey_west(np.full(20, 0.2), 3, least_error=0.1).p_value == pytest.approx(stats.t.sf(2, 20 / 2.75))
    assert [newey_west(np.full(20, at), 3).p_value for at in (-0.1, 0.0, 0.1)] == [1.0, 0.5, 0.0]
    with pytest.raises(DataError, match="at least 2 quarters, got 1"):
        newey_west(np.ones(1), 3)


@pytest.mark.parametrize("quarters", [16, 40, 80])
@pytest.mark.parametrize("persistence", [0.0, 0.3])
def test_a_test_at_5_percent_errs_in_about_5_percent(quarters, persistence):
    """2500 samples: a standard error of 0.44 points, and bounds at three of them below 5% and, persistent, at 9%."""
    noise = np.random.default_rng(quarters).standard_normal((2500, quarters))
    series = noise.copy()
    for at in range(1, quarters):
        series[:, at] = persistence * series[:, at - 1] + np.sqrt(1 - persistence**2) * noise[:, at]
    wrong = np.mean([newey_west(one, 3).p_value <= 0.05 for one in series])
    assert 0.035 <= wrong <= (0.063 if persistence == 0 else 0.09)


def test_the_detectable_mean_is_found_in_four_of_five_samples():
    random = np.random.default_rng(3)
    error = newey_west(random.standard_normal(60), 3)
    assert error.detectable(0.05) == pytest.approx(
        (stats.t.ppf(0.95, error.degrees) + stats.t.ppf(0.8, error.degrees)) * error.error
    )
    true = (1.717 + 0.858) / np.sqrt(60)
    found = np.mean([newey_west(true + random.standard_normal(60), 3).p_value <= 0.05 for _ in range(1500)])
    assert found == pytest.approx(0.8, abs=0.05)


def test_holm_by_hand():
    # Sorted 0.005, 0.011, 0.02, 0.04 become 0.02, 0.033, 0.04, 0.04.
    assert holm([0.02, 0.04, 0.005, 0.011]) == pytest.approx([0.04, 0.04, 0.02, 0.033])
    assert holm([0.4, 0.9, 0.5]) == pytest.approx([1.0, 1.0, 1.0])
    assert holm([]) == []
    assert holm([0.03]) == [0.03]


def test_benjamini_hochberg_by_hand():
    # Sorted 0.005, 0.011, 0.02, 0.04 times 4/1, 4/2, 4/3, 4/4.
    assert benjamini_hochberg([0.02, 0.04, 0.005, 0.011]) == pytest.approx([4 * 0.02 / 3, 0.04, 0.02, 0.022])
    assert benjamini_hochberg([]) == []


@given(P_VALUES)
def test_corrections_keep_the_order_and_lower_nothing(p_values):
    for corrected in (holm(p_values), benjamini_hochberg(p_values)):
        order = np.argsort(p_values, kind="stable")
        assert (np.diff(np.array(corrected)[order]) >= -1e-12).all()
        assert all(after >= before - 1e-12 for before, after in zip(p_values, corrected, strict=True))
        assert max(corrected) <= 1
    assert all(h >= b - 1e-12 for h, b in zip(holm(p_values), benjamini_hochberg(p_values), strict=True))


def test_holm_holds_the_chance_of_any_false_finding():
    """Five tests, all of them of nothing and correlated by 0.5: some finding in at most 5% of 6000 draws."""
    random = np.random.default_rng(4)
    shared, own = random.standard_normal((6000, 1)), random.standard_normal((6000, 5))
    p_values = stats.norm.sf(np.sqrt(0.5) * shared + np.sqrt(0.5) * own)
    wrong = np.mean([min(holm(row)) <= 0.05 for row in p_values])
    assert 0.025 <= wrong <= 0.052
    assert np.mean((p_values <= 0.05).any(axis=1)) > 0.12
