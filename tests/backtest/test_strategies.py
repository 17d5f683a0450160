import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from alfred.backtest.contracts import Readings
from alfred.core.errors import ConfigError, DataError
from alfred.core.plugins import plugin, plugin_names

PACKAGE = "alfred.backtest.strategies"
NAMES = ("simple", "nuanced", "magnitude-choice")
NONE = float("nan")


def readings_of(rows, mean=None):
    rise = np.array(rows, dtype=np.float64)
    dates = np.datetime64("2004-03-31") + 91 * np.arange(len(rise))
    mean = rise - 0.5 if mean is None else np.array(mean, dtype=np.float64)
    return Readings(dates, tuple(f"N{at}" for at in range(rise.shape[1])), mean, rise)


def path(strategy, values):
    """Positions of one name over time."""
    return plugin(PACKAGE, strategy).targets(readings_of([[value] for value in values])).positions[:, 0].tolist()


def test_the_folder_is_the_registry():
    assert plugin_names(PACKAGE) == ("magnitude_choice", "nuanced", "simple")
    with pytest.raises(ConfigError, match=r"there is no 'nuanced2' among the strategies; did you mean 'nuanced'\?"):
        plugin(PACKAGE, "nuanced2")


def test_simple_is_long_above_one_half_and_short_otherwise():
    assert path("simple", [0.51, 0.5, 0.49, NONE, 0.9]) == [1, -1, -1, 0, 1]


@pytest.mark.parametrize(
    ("values", "positions"),
    [
        ([0.7, 0.7000001], [0, 1]),
        ([0.3, 0.2999999], [0, -1]),
        ([0.8, 0.5, 0.4999999], [1, 1, 0]),
        ([0.2, 0.4999999, 0.5], [-1, -1, 0]),
        ([0.8, 0.2, 0.8], [1, -1, 1]),
        ([0.8, 0.3], [1, 0]),
        ([0.2, 0.7], [-1, 0]),
        ([0.8, NONE, 0.6], [1, 0, 0]),
        ([0.2, NONE, 0.4], [-1, 0, 0]),
        ([0.5, 0.6, 0.4], [0, 0, 0]),
    ],
)
def test_nuanced_at_its_thresholds(values, positions):
    assert path("nuanced", values) == positions


def test_magnitude_choice_takes_the_single_largest():
    mean = [[0.1, -0.2, 0.15], [NONE, NONE, 0.01], [NONE, NONE, NONE], [0.3, -0.3, 0.0], [0.0, 0.0, 0.0]]
    targets = plugin(PACKAGE, "magnitude-choice").targets(readings_of(np.full((5, 3), 0.5), mean))
    assert targets.positions.tolist() == [[0, -1, 0], [0, 0, 1], [0, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert targets.weights.tolist() == targets.positions.tolist()
    assert targets.acted_on is not None
    np.testing.assert_array_equal(targets.acted_on, mean)


@pytest.mark.parametrize("strategy", ["simple", "nuanced"])
def test_every_name_has_an_equal_slot(strategy):
    targets = plugin(PACKAGE, strategy).targets(readings_of([[0.9, 0.1, 0.9, NONE]]))
    assert targets.weights.tolist() == [[0.25, -0.25, 0.25, 0.0]]


@st.composite
def forecasts(draw):
    dates, names = draw(st.integers(1, 12)), draw(st.integers(1, 5))
    share = st.one_of(st.floats(0, 1), st.sampled_from([0.3, 0.5, 0.7, NONE]))
    rise = draw(arrays(np.float64, (dates, names), elements=share))
    mean = draw(arrays(np.float64, (dates, names), elements=st.one_of(st.floats(-1, 1), st.just(NONE))))
    return readings_of(rise, mean)


@pytest.mark.parametrize("strategy", NAMES)
@settings(max_examples=60, deadline=None)
@given(readings=forecasts(), seed=st.integers(0, 2**32), share=st.floats(0, 1))
def test_contract(strategy, readings, seed, share):
    targets = plugin(PACKAGE, strategy).targets(readings)
    assert targets.positions.dtype == np.int8
    assert targets.positions.shape == targets.weights.shape == targets.acted_on.shape == readings.mean.shape
    assert np.isin(targets.positions, [-1, 0, 1]).all()
    assert (np.sign(targets.weights) == targets.positions).all()
    assert (np.abs(targets.weights).sum(axis=1) <= 1 + 1e-12).all()
    assert not targets.positions[np.isnan(targets.acted_on)].any()

    cut, rng = int(share * len(readings.dates)), np.random.default_rng(seed)
    mean, rise = readings.mean.copy(), readings.prob_up.copy()
    mean[cut:], rise[cut:] = rng.normal(size=mean[cut:].shape), rng.random(rise[cut:].shape)
    scrambled = plugin(PACKAGE, strategy).targets(readings_of(rise, mean))
    assert targets.positions[:cut].tolist() == scrambled.positions[:cut].tolist()
    assert targets.weights[:cut].tolist() == scrambled.weights[:cut].tolist()


def test_readings_refuse_what_no_forecast_can_be():
    dates = np.array(["2004-03-31", "2004-06-30"], dtype="datetime64[D]")
    good = np.full((2, 1), 0.5)
    with pytest.raises(DataError, match=r"readings of shape \(2, 1\) got mean \(2, 2\)"):
        Readings(dates, ("F",), np.zeros((2, 2)), good)
    with pytest.raises(DataError, match="prob_up must lie between 0 and 1"):
        Readings(dates, ("F",), good, good + 1)
    with pytest.raises(DataError, match="mean must be finite"):
        Readings(dates, ("F",), good + np.inf, good)
    with pytest.raises(DataError, match="decision dates must ascend"):
        Readings(dates[::-1], ("F",), good, good)
