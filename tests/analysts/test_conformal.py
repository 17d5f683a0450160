import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from alfred.analysts._conformal import calibrate
from alfred.core.errors import DataError


def test_half_width_by_hand():
    # 9 residuals: the ceil(10 x 0.8) = 8th smallest absolute one.
    label = np.array([-9.0, 1, -2, 3, -4, 5, -6, 7, -8])
    assert calibrate("PM", np.zeros(9), label).half_width == 8.0
    # 4 residuals: ceil(5 x 0.8) is the 4th, not the 5th that binary rounding of 0.8 might make it.
    assert calibrate("PM", np.zeros(4), label[:4]).half_width == 9.0
    assert calibrate("PM", np.zeros(9), label, level=0.5).half_width == 5.0


def test_too_few_rows():
    with pytest.raises(DataError, match=r"at level 0.8 need at least 4 validation rows, got 3"):
        calibrate("PM", np.zeros(3), np.ones(3))
    with pytest.raises(DataError, match=r"at level 0.95 need at least 19 validation rows, got 18"):
        calibrate("PM", np.zeros(18), np.ones(18), level=0.95)
    assert calibrate("PM", np.zeros(19), np.ones(19), level=0.95).half_width == 1.0


def test_probability_of_a_rise_by_hand():
    calibration = calibrate("PM", np.zeros(4), np.array([-0.2, -0.1, 0.1, 0.3]))
    # mean + residual above 0: strictly, so a residual of exactly -mean is no rise.
    got = calibration.forecast(np.array([0.0, 0.1, 0.15, 9.0, -9.0])).prob_up
    np.testing.assert_allclose(got, [3 / 6, 3 / 6, 4 / 6, 5 / 6, 1 / 6])


def test_signed_residuals_count():
    """A forecast of 0 that was always too low says "up" all the same."""
    calibration = calibrate("PM", np.zeros(8), np.full(8, 0.05))
    assert calibration.forecast(np.zeros(1)).prob_up[0] == 0.9


def test_directions_stay_probabilities():
    calibration = calibrate("PQ", np.full(10, 0.6), np.array([1.0] * 6 + [0.0] * 4))
    forecast = calibration.forecast(np.array([-0.3, 0.0, 0.5, 0.9, 1.4]))
    np.testing.assert_allclose(forecast.mean, [0, 0, 0.5, 0.9, 1])
    np.testing.assert_allclose(forecast.lower, [0, 0, 0, 0.3, 0.4])
    np.testing.assert_allclose(forecast.upper, [0.6, 0.6, 1, 1, 1])


numbers = st.floats(-10, 10, allow_nan=False)


@given(residuals=arrays(float, st.integers(4, 40), elements=numbers), mean=arrays(float, 5, elements=numbers))
def test_equals_the_definitions(residuals, mean):
    calibration = calibrate("PM", np.zeros(len(residuals)), residuals)
    n = len(residuals)
    held = sum(abs(e) <= calibration.half_width for e in residuals)
    assert held >= (n + 1) * 0.8 - 1e-9
    assert sum(abs(e) < calibration.half_width for e in residuals) < (n + 1) * 0.8
    forecast = calibration.forecast(mean)
    slow = [(sum(e > -m for e in residuals) + 1) / (n + 2) for m in mean]
    np.testing.assert_allclose(forecast.prob_up, slow)
    order = np.argsort(mean)
    assert (np.diff(forecast.prob_up[order]) >= 0).all()


def test_coverage_on_exchangeable_rows():
    """Averaged over many draws, intervals hold at least their level, and by at most 1/(n+1) more."""
    random = np.random.default_rng(0)
    covered = [
        abs(random.standard_t(3)) <= calibrate("PM", np.zeros(39), random.standard_t(3, size=39)).half_width
        for _ in range(4000)
    ]
    assert 0.78 < np.mean(covered) < 0.83


DATES = np.datetime64("2000-03-31") + 91 * np.arange(400)


def test_every_quarter_weighs_the_same():
    """A quarter of 20 rows that miss by 1 counts no more than each of four of one row that miss by 2."""
    dates = np.concatenate([np.repeat(DATES[:1], 20), DATES[1:5]])
    label = np.concatenate([np.tile([1.0, -1.0], 10), [2.0, -2.0, 2.0, -2.0]])
    assert calibrate("PM", np.zeros(24), label).half_width == 1.0
    assert calibrate("PM", np.zeros(24), label, level=0.5, dates=dates).half_width == 2.0
    assert calibrate("PM", np.zeros(24), label, level=0.19, dates=dates).half_width == 1.0


def test_residuals_count_in_units_of_their_scale():
    calibration = calibrate("PM", np.zeros(4), np.array([1.0, -2.0, 3.0, -4.0]), scale=np.array([1.0, 2.0, 3.0, 4.0]))
    forecast = calibration.forecast(np.array([0.5, 1.0]), np.array([1.0, 3.0]))
    np.testing.assert_allclose(forecast.upper, [1.5, 4.0])
    # All residuals are 1 or -1 scales: a forecast of less than one scale is lifted above zero by half of them.
    np.testing.assert_allclose(forecast.prob_up, [(2 + 1) / 6, (2 + 1) / 6])
