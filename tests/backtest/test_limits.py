import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alfred.backtest.limits import TOLERANCE, l1_ball, project, violation
from alfred.backtest.settings import LimitSettings
from alfred.core.errors import ConfigError, DataError


@pytest.mark.parametrize(
    ("limits", "target", "nearest"),
    [
        ({"long_only": True}, [0.5, -0.2, 0.9], [0.5, 0.0, 0.9]),
        ({"name_max": 0.4}, [0.5, -0.6, 0.1], [0.4, -0.4, 0.1]),
        ({"gross_max": 1.0}, [0.9, -0.5, 0.1], [0.7, -0.3, 0.0]),
        ({"net_max": 0.0}, [0.5, 0.3, -0.2], [0.3, 0.1, -0.4]),
        ({"net_min": -0.1}, [-0.5, 0.1], [-0.35, 0.25]),
        ({"sector_max": 0.5}, [0.5, 0.3, 0.9], [0.35, 0.15, 0.5]),
        ({"turnover_max": 0.4}, [1.0, 0.0, 0.0], [0.4, 0.0, 0.0]),
        # Long-only with a sum of at most 1 is the simplex and what lies below it.
        ({"long_only": True, "net_max": 1.0}, [0.9, 0.5, -1.0], [0.7, 0.3, 0.0]),
        ({"long_only": True, "net_max": 1.0, "name_max": 0.6}, [2.0, 0.5, 0.3], [0.6, 0.3, 0.1]),
        ({"gross_max": 2.0, "net_max": 1.0}, [0.4, -0.2, 0.1], [0.4, -0.2, 0.1]),
    ],
)
def test_by_hand(limits, target, nearest):
    found = project(np.array(target), LimitSettings(**limits), sectors=np.array([0, 0, 1])[: len(target)])
    np.testing.assert_allclose(found, nearest, atol=1e-10)


def test_turnover_counts_from_what_is_held():
    held, target = np.array([0.5, 0.5]), np.array([1.0, 0.0])
    np.testing.assert_allclose(project(target, LimitSettings(turnover_max=0.6), held=held), [0.8, 0.2], atol=1e-12)
    assert project(target, LimitSettings(turnover_max=1.0), held=held) is target


def test_other_limits_go_before_turnover():
    held, target = np.array([0.9, 0.1]), np.array([0.0, 1.0])
    # To come back below the cap takes 0.4, more than the turnover allowed.
    found = project(target, LimitSettings(turnover_max=0.2, name_max=0.5), held=held)
    np.testing.assert_allclose(found, [0.5, 0.1], atol=1e-12)


def test_names_without_a_sector_have_no_sector_limit():
    found = project(np.array([0.9, 0.9]), LimitSettings(sector_max=0.5), sectors=np.array([-1, 3]))
    np.testing.assert_allclose(found, [0.9, 0.5])


@st.composite
def problems(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    names = draw(st.integers(1, 12))
    maybe = lambda *values: draw(st.sampled_from([None, *values]))  # noqa: E731
    limits = LimitSettings(
        long_only=draw(st.booleans()),
        gross_max=maybe(0.5, 1.0, 2.0),
        net_min=maybe(0.0, -0.2),
        net_max=maybe(0.0, 0.3, 1.0),
        name_max=maybe(0.05, 0.3),
        sector_max=maybe(0.2, 0.5),
        turnover_max=maybe(0.05, 0.5, 1.5),
    )
    target = rng.normal(0, draw(st.sampled_from([0.01, 0.3, 3.0])), names)
    held = rng.normal(0, 0.3, names) * draw(st.sampled_from([0.0, 1.0]))
    return target, limits, rng.integers(-1, 3, names), held


@settings(max_examples=150, deadline=None)
@given(problems())
def test_limits_hold_and_a_second_projection_moves_nothing(problem):
    target, limits, sectors, held = problem
    found = project(target, limits, sectors=sectors, held=held)
    assert violation(found, limits, sectors) <= TOLERANCE
    if limits.turnover_max is not None:
        without = limits.model_copy(update={"turnover_max": None})
        needed = np.abs(project(held, without, sectors=sectors) - held).sum()
        assert np.abs(found - held).sum() <= max(limits.turnover_max, needed) + 1e-9
    np.testing.assert_allclose(project(found, limits, sectors=sectors, held=held), found, atol=1e-9)
    if violation(target, limits, sectors) == 0.0 and limits.turnover_max is None:
        assert found is target


@settings(max_examples=25, deadline=None)
@given(problems())
def test_equals_a_quadratic_programme(problem):
    import cvxpy

    target, limits, sectors, held = problem
    w = cvxpy.Variable(len(target))
    rules = [w >= 0] if limits.long_only else []
    if limits.gross_max is not None:
        rules.append(cvxpy.norm1(w) <= limits.gross_max)
    if limits.net_min is not None:
        rules.append(cvxpy.sum(w) >= limits.net_min)
    if limits.net_max is not None:
        rules.append(cvxpy.sum(w) <= limits.net_max)
    if limits.name_max is not None:
        rules.append(cvxpy.abs(w) <= limits.name_max)
    if limits.sector_max is not None:
        rules += [
            cvxpy.norm1(w[np.flatnonzero(sectors == s)]) <= limits.sector_max for s in set(sectors.tolist()) - {-1}
        ]
    found = project(target, limits, sectors=sectors, held=held)
    if limits.turnover_max is not None:
        if np.abs(found - held).sum() > limits.turnover_max - 1e-6:
            needed = project(held, limits.model_copy(update={"turnover_max": None}), sectors=sectors)
            if np.abs(needed - held).sum() >= limits.turnover_max - 1e-3:
                return  # The limits leave nothing, or a point, of what turnover allows.
        rules.append(cvxpy.norm1(w - held) <= limits.turnover_max)
    exact = {"tol_gap_abs": 1e-11, "tol_gap_rel": 1e-11, "tol_feas": 1e-11}
    cvxpy.Problem(cvxpy.Minimize(cvxpy.sum_squares(w - target)), rules).solve(solver="CLARABEL", **exact)
    # The solver's weights are as exact as the square root of its objective.
    np.testing.assert_allclose(found, w.value, atol=1e-4)
    assert np.linalg.norm(found - target) <= np.linalg.norm(w.value - target) + 1e-7


def test_l1_ball_keeps_what_lies_within():
    weights = np.array([0.3, -0.2])
    assert l1_ball(weights, 0.5) is weights
    np.testing.assert_allclose(l1_ball(np.array([3.0, -1.0]), 1.0), [1.0, 0.0])


def test_clear_errors():
    with pytest.raises(DataError, match="target weights must be one row of finite numbers"):
        project(np.array([np.nan]), LimitSettings())
    with pytest.raises(DataError, match=r"2 target weights need held of the same shape, got \(3,\)"):
        project(np.zeros(2), LimitSettings(), held=np.zeros(3))
    with pytest.raises(DataError, match="weights held before the trade must be finite"):
        project(np.zeros(2), LimitSettings(), held=np.array([0.0, np.inf]))
    with pytest.raises(DataError, match="a sector limit needs each name's sector"):
        project(np.zeros(2), LimitSettings(sector_max=0.2))
    with pytest.raises(ConfigError, match="net_min"):
        LimitSettings.parse({"net_min": 0.5}, "limits")
