import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from alfred.panel.cross_section import cross_section, tells_apart

NAN = np.nan
EVERYONE = np.ones((1, 5), bool)
KINDS = ("rank", "z-score")


def panel(seed: int, dates: int = 6, symbols: int = 9) -> tuple[np.ndarray, np.ndarray]:
    """Values with ties, missing ones and names that are not listed."""
    random = np.random.default_rng(seed)
    values = np.round(random.standard_t(2, (dates, symbols)), 1)
    values[random.random(values.shape) < 0.2] = NAN
    return values, random.random(values.shape) < 0.8


def test_ranks_by_hand() -> None:
    values = np.array([[30.0, 10.0, NAN, 20.0, 99.0]])
    # Four with a value: ranks 3, 1, 2, 4, and 2 (rank - 1/2) / 4 - 1.
    np.testing.assert_array_equal(cross_section(values, EVERYONE, "rank"), [[0.25, -0.75, NAN, -0.25, 0.75]])
    # Two at ranks 2 and 3 of five have 2.5 both: 2 x 2 / 5 - 1.
    tied = np.array([[1.0, 2.0, 2.0, 3.0, 4.0]])
    np.testing.assert_allclose(cross_section(tied, EVERYONE, "rank"), [[-0.8, -0.2, -0.2, 0.4, 0.8]], atol=1e-15)


def test_z_scores_by_hand() -> None:
    values = np.array([[1.0, 3.0, NAN, 5.0, 7.0]])
    # Mean 4, squares 9, 1, 1, 9: variance 5.
    expected = np.array([[-3, -1, NAN, 1, 3]]) / np.sqrt(5)
    np.testing.assert_allclose(cross_section(values, EVERYONE, "z-score"), expected, rtol=1e-15)


@pytest.mark.parametrize("kind", KINDS)
def test_names_that_were_not_listed_are_not_compared_with(kind) -> None:
    values = np.array([[1.0, 2.0, 4.0, 1e9, 3.0]])
    listed = np.array([[True, True, True, False, True]])
    got = cross_section(values, listed, kind)
    assert np.isnan(got[0, 3])
    np.testing.assert_array_equal(got[listed], cross_section(values[listed][None], np.ones((1, 4), bool), kind)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_dates_without_spread_become_zero_where_there_is_a_value(kind) -> None:
    values = np.array([[0.1, 0.1, 0.1, NAN, 0.1], [NAN, NAN, 7.0, NAN, NAN], [NAN] * 5])
    expected = [[0, 0, 0, NAN, 0], [NAN, NAN, 0, NAN, NAN], [NAN] * 5]
    np.testing.assert_array_equal(cross_section(values, np.ones((3, 5), bool), kind), expected)


@given(st.integers(0, 10_000), st.sampled_from(KINDS))
def test_each_date_stands_alone_and_its_mean_is_zero(seed: int, kind) -> None:
    values, listed = panel(seed)
    got = cross_section(values, listed, kind)
    np.testing.assert_array_equal(np.isfinite(got), listed & np.isfinite(values))
    known = np.isfinite(got)
    sums = np.where(known, got, 0.0).sum(axis=1)
    np.testing.assert_allclose(sums, 0, atol=1e-12)
    for date in range(len(values)):
        alone = cross_section(values[[date]], listed[[date]], kind)
        np.testing.assert_array_equal(alone[0], got[date])
    later = values.copy()
    later[4:] = np.random.default_rng(seed).normal(size=later[4:].shape) * 1e6
    np.testing.assert_array_equal(cross_section(later, listed, kind)[:4], got[:4])


@given(st.integers(0, 10_000))
def test_ranks_equal_scipys_and_follow_any_rising_function(seed: int) -> None:
    values, listed = panel(seed)
    got = cross_section(values, listed, "rank")
    for row, there, ranked in zip(values, listed & np.isfinite(values), got, strict=True):
        if there.any():
            expected = 2 * (stats.rankdata(row[there]) - 0.5) / there.sum() - 1
            np.testing.assert_allclose(ranked[there], expected, atol=1e-14)
    np.testing.assert_array_equal(cross_section(np.arctan(values) ** 3, listed, "rank"), got)


@given(st.integers(0, 10_000), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_z_scores_do_not_care_about_units(seed: int, scale: float, shift: float) -> None:
    values, listed = panel(seed)
    got = cross_section(values, listed, "z-score")
    np.testing.assert_allclose(cross_section(values * scale + shift, listed, "z-score"), got, atol=1e-6)


def test_a_column_that_is_the_same_for_all_names_is_told() -> None:
    macro = np.array([[4.5, 4.5, NAN], [5.25, 5.25, 5.25], [NAN, NAN, NAN]])
    everyone = np.ones(macro.shape, bool)
    assert not tells_apart(macro, everyone)
    own = macro.copy()
    own[1, 2] = 5.0
    assert tells_apart(own, everyone)
    listed = everyone.copy()
    listed[1, 2] = False
    assert not tells_apart(own, listed)
    assert not tells_apart(np.empty((0, 3)), np.empty((0, 3), bool))
