"""What the audit's checks measure with, against hand-checked values."""

import numpy as np
import pytest
from scipy import stats

from alfred.evaluation.audit._measures import (
    belief_bound,
    correlations,
    dependence,
    is_market_wide,
    leading_runs,
    of_the_market,
    pooled_ranks,
    ranks,
    untied,
)
from alfred.evaluation.audit.doubt import expected_best

NAN = np.nan


def test_dependence_of_an_exact_function_is_1_less_3_in_n_plus_1() -> None:
    """Chatterjee's xi without ties: 1 - 3 sum|r' - r| / (n^2 - 1), and neighbours differ by one rank."""
    rng = np.random.default_rng(0)
    x = rng.permutation(99).astype(float)
    assert dependence(x, np.exp(-x)) == pytest.approx(1 - 3 / 100)
    assert dependence(x, np.cos(x / 8)) > 0.8
    assert abs(dependence(x, rng.standard_normal(99))) < 0.25


def test_dependence_with_ties_is_what_scipy_gives() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal(200), rng.integers(0, 4, 200).astype(float)
    assert dependence(x, y) == pytest.approx(stats.chatterjeexi(x, y).statistic)


def test_correlations_across_names_are_those_of_scipy() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((3, 9)), rng.standard_normal((3, 9))
    a[1, 4] = NAN
    b[2, :5] = NAN
    found = correlations(a, b)
    assert found[0] == pytest.approx(np.corrcoef(a[0], b[0])[0, 1])
    both = np.isfinite(a[1])
    assert found[1] == pytest.approx(np.corrcoef(a[1][both], b[1][both])[0, 1])
    assert np.isnan(found[2])


def test_leading_runs_pass_over_missing_cells() -> None:
    values = np.array([[NAN, 1, 1], [5, 1, 2], [5, NAN, 2], [5, 1, 2], [7, 3, 4], [7, 3, 4]], float)
    first, later, count = leading_runs(values)
    assert first.tolist() == [3, 3, 1]
    assert later.tolist() == [2, 2, 3]
    assert count.tolist() == [5, 5, 6]


def test_a_market_wide_column_is_known_to_the_last_bit() -> None:
    level = np.array([43.38307589, NAN, 7.1])
    values = np.repeat(level[:, None], 7, axis=1)
    values[0, 3] = NAN
    assert is_market_wide(values)
    np.testing.assert_array_equal(of_the_market(values), level)
    values[2, 0] += 1e-9
    assert not is_market_wide(values)


def test_ties_are_broken_by_lot_and_nothing_else_moves() -> None:
    ranked = ranks(np.array([[0.0, 0.0, 0.0, 1.0, 2.0, NAN]]))
    broken = untied(ranked, seed=0)
    assert sorted(broken[0, :3].tolist()) == pytest.approx([-0.8, -0.4, 0.0])
    np.testing.assert_allclose(broken[0, 3:], [0.4, 0.8, NAN])


def test_places_among_all_rows() -> None:
    np.testing.assert_array_equal(pooled_ranks(np.array([3.0, NAN, -1.0, 8.0])), [1, NAN, 0, 2])


def test_the_bound_of_belief_falls_with_the_number_of_dates() -> None:
    assert belief_bound(20, 0.5) == pytest.approx(np.tanh(5.5 / np.sqrt(17)))
    assert belief_bound(1000, 0.5) == 0.5


def test_the_best_of_ten_without_skill_is_that_of_the_paper() -> None:
    """1.57: Bailey, Borwein, Lopez de Prado and Zhu (2014), Pseudo-mathematics and financial charlatanism."""
    assert expected_best(10) == pytest.approx(1.57, abs=0.005)
    assert expected_best(1) == 0.0
