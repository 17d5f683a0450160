import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from alfred.core.errors import ConfigError, DataError
from alfred.evaluation.bootstrap import (
    BootstrapSettings,
    block_counts,
    optimal_mean_length,
    percentile_interval,
    seed_interval,
    stationary_blocks,
    stationary_counts,
)


@given(quarters=st.integers(2, 90), block=st.integers(1, 12))
def test_every_draw_has_as_many_quarters_as_the_sample(quarters, block):
    counts = block_counts(quarters, BootstrapSettings(draws=100, block_quarters=block))
    assert counts.shape == (100, quarters)
    assert (counts.sum(axis=1) == quarters).all()
    assert (counts == block_counts(quarters, BootstrapSettings(draws=100, block_quarters=block))).all()


def test_blocks_hold_together_and_wrap_around():
    counts = block_counts(16, BootstrapSettings(draws=500, block_quarters=4))
    # With blocks of 4, quarters enter in runs: every draw leaves at most 4 gaps around the circle.
    present = counts > 0
    gaps = (present & ~np.roll(present, 1, axis=1)).sum(axis=1)
    assert gaps.max() <= 4
    assert counts.mean(axis=0) == pytest.approx(np.ones(16), abs=0.15)
    other = block_counts(16, BootstrapSettings(draws=500, block_quarters=4, seed=1))
    assert (counts != other).any()


@pytest.mark.parametrize(("quarters", "length"), [(2, 1), (7, 1), (8, 2), (15, 3), (16, 4), (80, 4)])
def test_short_samples_have_shorter_blocks(quarters, length):
    assert BootstrapSettings().block_length(quarters) == length


@pytest.mark.parametrize("quarters", [8, 20, 40])
def test_interval_of_a_mean_covers_as_promised(quarters):
    settings = BootstrapSettings(draws=1000)
    samples = np.random.default_rng(3).standard_normal((600, quarters))
    means = samples @ block_counts(quarters, settings).T / quarters
    blocks = quarters / settings.block_length(quarters)
    intervals = [percentile_interval(draws, 0.95, blocks) for draws in means]
    covered = np.mean([interval.lower <= 0 <= interval.upper for interval in intervals])
    assert 0.92 <= covered <= 0.98


def test_blocks_widen_the_interval_of_a_persistent_series():
    random = np.random.default_rng(4)
    series = np.convolve(random.standard_normal(200), np.ones(4) / 4, mode="valid")
    widths = []
    for block in (1, 8):
        counts = block_counts(len(series), BootstrapSettings(block_quarters=block))
        interval = percentile_interval(counts @ series / len(series), 0.95, len(series) / block)
        widths.append(interval.upper - interval.lower)
    assert widths[1] > 1.4 * widths[0]


def test_percentiles_by_hand_and_undefined_draws():
    draws = np.append(np.arange(10_001) / 10_000, np.nan)
    wide = percentile_interval(draws, 0.95, 10.0)
    # sqrt(10 / 9) * t(0.975, 9) = 2.3845, whose normal tail is 0.00855.
    assert (wide.lower, wide.upper, wide.level) == (
        pytest.approx(0.00855, abs=2e-5),
        pytest.approx(0.99145, abs=2e-5),
        0.95,
    )
    plain = percentile_interval(draws, 0.95, 1e6)
    assert plain.lower == pytest.approx(0.025, abs=1e-5)


def test_interval_over_seeds_is_students():
    values = np.array([0.1, 0.3, 0.2, 0.4])
    expected = stats.t.interval(0.95, 3, loc=values.mean(), scale=stats.sem(values))
    interval = seed_interval(values, 0.95)
    assert (interval.lower, interval.upper) == pytest.approx(expected)
    for equal in (np.full(5, 0.1), np.array([0.1])):
        same = seed_interval(equal, 0.95)
        assert (same.lower, same.upper) == (0.1, 0.1)


def test_stationary_counts_are_the_blocks_counted():
    starts, lengths = stationary_blocks(30, 4, 50, np.random.default_rng(5))
    counts = stationary_counts(30, 4, 50, seed=5)
    for begins, sizes, counted in zip(starts, lengths, counts, strict=True):
        rows = np.concatenate([(at + np.arange(size)) % 30 for at, size in zip(begins, sizes, strict=True)])
        assert (np.bincount(rows, minlength=30) == counted).all()
    assert (stationary_counts(7, 1, 200, seed=0).sum(axis=1) == 7).all()


def test_the_mean_block_grows_with_persistence_as_theory_says():
    """Of a first-order autoregression the best length is (2 rho / (1 - rho^2))^(2/3) n^(1/3): 24.1 for 0.5 and 8000."""
    noise = np.random.default_rng(6).standard_normal(8000)
    series = noise.copy()
    for at in range(1, len(series)):
        series[at] += 0.5 * series[at - 1]
    assert optimal_mean_length(series) == pytest.approx(24.2, rel=0.15)
    assert optimal_mean_length(noise) < 4
    assert optimal_mean_length(np.ones(40)) == optimal_mean_length(noise[:3]) == 1.0
    assert optimal_mean_length(np.cumsum(noise)[:60]) <= 20


def test_one_quarter_and_wrong_settings():
    with pytest.raises(DataError, match="at least 2 test quarters with realised labels, got 1"):
        block_counts(1, BootstrapSettings())
    with pytest.raises(ConfigError, match="draws: input should be greater than or equal to 100, got 5"):
        BootstrapSettings.parse({"draws": 5}, "bootstrap")
