import numpy as np
import polars as pl
import pytest

from alfred.core.calendar import decision_dates
from alfred.evaluation.rolling import RATE, rolling_intervals

DATES = decision_dates(np.datetime64("1990-01-01"), np.datetime64("2029-12-31"))


def table(first, labels, folds, half=1.0, horizon=1):
    """Rows of labels (Q, N) about forecasts of 0 with intervals of +-half, realised `horizon` quarters on."""
    quarters, names = labels.shape
    at = np.arange(first, first + quarters).repeat(names)
    return pl.DataFrame(
        {
            "fold": np.asarray(folds, np.int64).repeat(names),
            "as_of": DATES[at],
            "realised_on": DATES[at + horizon],
            "mean": np.zeros(len(at)),
            "lower": np.full(len(at), -half),
            "upper": np.full(len(at), half),
            "label": labels.ravel(),
        }
    ).with_columns(pl.col("as_of", "realised_on").cast(pl.Date), pl.col("label").fill_nan(None))


def test_by_hand():
    """One fold, one row a quarter: stretches 1 to 9 before, and every test label outside."""
    before = table(0, np.arange(1.0, 10)[:, None], [0] * 9)
    test = table(9, np.array([[20.0], [30.0], [0.0]]), [0] * 3)
    lower, upper = rolling_intervals(test, before, 0.8)
    # 9 rows: the ceil(10 x 0.8) = 8th smallest stretch.
    assert upper[0] == 8.0
    # Then 10 rows at 0.8 + RATE x 0.8 = 0.84: the ceil(11 x 0.84) = 10th; then 11 at 0.88: the ceil(12 x 0.88) = 11th.
    assert RATE == 0.05
    assert (upper[1], upper[2]) == (20.0, 30.0)
    np.testing.assert_array_equal(lower, -upper)


def test_sides_are_stretched_alike():
    before = table(0, np.array([[1.0], [2], [-6], [4], [8]]), [0] * 5).with_columns(pl.col("lower") * 3)
    lower, upper = rolling_intervals(
        table(5, np.zeros((1, 2)), [0]).with_columns(pl.lit(-3.0).alias("lower")), before, 0.5
    )
    # Stretches 1, 2, 6/3, 4, 8: the 3rd is 2.
    assert (lower[0], upper[0]) == (-6.0, 2.0)


def test_quarters_weigh_the_same():
    """A quarter of a hundred calm rows counts no more than each of three of two wild ones."""
    calm, wild = table(0, np.full((1, 100), 0.1), [0]), table(1, np.full((3, 2), 5.0), [0] * 3)
    _, upper = rolling_intervals(table(4, np.zeros((1, 1)), [0]), pl.concat([calm, wild]), 0.5)
    assert upper[0] == 5.0


@pytest.mark.parametrize("horizon", [1, 3])
def test_nothing_later_is_read(horizon):
    random = np.random.default_rng(0)
    labels, folds = random.normal(size=(16, 5)), np.repeat([0, 1], 8)
    before = pl.concat(
        table(first, random.normal(size=(6, 5)), [fold] * 6, horizon=horizon) for fold, first in ((0, 0), (1, 8))
    )
    test = table(9, labels, folds, horizon=horizon)
    first = rolling_intervals(test, before, 0.8)
    for cut in range(1, 16):
        changed = labels.copy()
        changed[cut:] = 50 * random.normal(size=changed[cut:].shape)
        changed[cut + 2 :] = np.nan
        again = rolling_intervals(table(9, changed, folds, horizon=horizon), before, 0.8)
        same = slice(0, 5 * (cut + horizon))  # quarter q is decided on when quarter q - horizon has been realised
        for one, other in zip(first, again, strict=True):
            np.testing.assert_array_equal(one[same], other[same])
        if cut + horizon < 8:
            assert not np.array_equal(first[1], again[1])


def test_an_interval_without_width_stays():
    before = table(0, np.ones((6, 3)), [0] * 6, half=0.0)
    lower, upper = rolling_intervals(table(6, np.ones((3, 3)), [0] * 3, half=0.0), before, 0.8)
    assert not lower.any()
    assert not upper.any()


def market(random, quarters, names, shock, regimes):
    """Labels (Q, N): a shock that all names of a quarter share, and their own; in regimes 2.5 times as wild."""
    wild = np.where((np.arange(quarters) // 10) % 2 == 1, 2.5, 1.0) if regimes else np.ones(quarters)
    common = np.sqrt(shock) * random.standard_normal((quarters, 1))
    own = np.sqrt(1 - shock) * random.standard_t(5, size=(quarters, names)) * np.sqrt(3 / 5)
    return wild[:, None] * (common + own)


def coverage(shock, regimes, rolling, trials=60):
    """Mean coverage of 56 test quarters in folds of 8, each calibrated on the 8 quarters before it."""
    held = []
    for seed in range(trials):
        labels = market(np.random.default_rng(seed), 64, 20, shock, regimes)
        test = table(8, labels[8:], np.arange(56) // 8)
        before = pl.concat(table(8 * fold, labels[8 * fold : 8 * fold + 8], [fold] * 8) for fold in range(7))
        if rolling:
            lower, upper = rolling_intervals(test, before, 0.8)
        else:  # once for each fold, on all rows alike
            ends = [np.sort(np.abs(labels[8 * f : 8 * f + 8]).ravel())[int(np.ceil(161 * 0.8)) - 1] for f in range(7)]
            upper = np.repeat(ends, 8 * 20)
            lower = -upper
        held.append(((lower <= labels[8:].ravel()) & (labels[8:].ravel() <= upper)).mean())
    return float(np.mean(held))


@pytest.mark.parametrize("regimes", [False, True])
@pytest.mark.parametrize("shock", [0.0, 0.3, 0.7])
def test_coverage_with_common_shocks_and_regimes(shock, regimes):
    # 60 trials of 56 quarters: where rows of a quarter share 70% of their variance the standard error is 0.007.
    assert 0.77 < coverage(shock, regimes, rolling=True) < 0.83


def test_rolling_is_nearer_than_calibrating_once():
    once, rolling = (abs(coverage(0.7, True, rolling=way) - 0.8) for way in (False, True))
    assert rolling < once - 0.005
