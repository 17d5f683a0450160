import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import PowerTransformer, StandardScaler

from alfred.core.errors import ConfigError, DataError
from alfred.panel._transforms import POWERS, fit_power, fit_ranks, ranked, yeo_johnson
from alfred.panel.scaling import fit_scaler, scaling_rules
from alfred.panel.settings import PanelSettings

RULES = ("standard", "robust", "yeo-johnson", "rank", "signed-log")
LEARNT = ("center", "spread", "power")
NAN = np.nan


def rows_of(seed: int, count: int = 60) -> np.ndarray:
    """A skewed column with ties, both signs, any size, and missing values."""
    random = np.random.default_rng(seed)
    values = np.round(random.standard_t(3, (count, 1)) + random.exponential(1, (count, 1)), 1)
    values *= 10 ** random.uniform(-3, 9)
    values[random.random(count) < 0.2] = NAN
    values[0] = 1.0
    return values


def scaled_by(rule, rows: np.ndarray, values: np.ndarray, clip: float = 1e9) -> np.ndarray:
    return fit_scaler(("a",), (rule,), rows, bound=1e9, clip=clip).transform(values)


def test_a_column_without_a_rule_is_named() -> None:
    with pytest.raises(ConfigError, match="column 'mystery' has no scaling rule"):
        scaling_rules(("beta", "mystery"), {})
    assert scaling_rules(("beta", "mystery"), {"myst*": "robust"}) == ("standard", "robust")


def test_a_rule_that_matches_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="no column matches 'btea'; did you mean 'beta'"):
        scaling_rules(("beta",), {"btea": "rank"})


def test_the_last_matching_pattern_rules() -> None:
    overrides = {"b*": "rank", "beta": "yeo-johnson", "drawdown": "signed-log"}
    assert scaling_rules(("beta", "drawdown"), overrides) == ("yeo-johnson", "signed-log")  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", ["standard", "robust", "signed-log"])
def test_a_value_beyond_the_bound_names_its_column(rule) -> None:
    rows = np.random.default_rng(0).normal(size=(20_000, 2))
    rows[17, 1] = -1e60 if rule == "signed-log" else -1e6
    with pytest.raises(DataError, match=rf"column 'b' reaches \d+ deviations after '{rule}' scaling of the training"):
        fit_scaler(("a", "b"), (rule, rule), rows, bound=100, clip=5)


@pytest.mark.parametrize("column", ["delta_Volume", "Volume_diff_MA_180", "delta_dollar_volume", "delta_illiquidity"])
def test_a_day_of_heavy_trade_is_no_defect_of_a_volume_column(column: str) -> None:
    """PENN traded 189 times as much on 2001-06-29, when an index was made up anew, as on the quarter's end before."""
    rows = np.exp(np.random.default_rng(0).normal(0, 0.7, (1_500, 1))) - 1
    rows[100] = 188.0
    settings = PanelSettings()
    with pytest.raises(DataError, match="after 'robust' scaling"):
        fit_scaler((column,), ("robust",), rows, settings.scaled_bound, settings.clip)
    rules = scaling_rules((column,), settings.scaling)
    scaled = fit_scaler((column,), rules, rows, settings.scaled_bound, settings.clip).transform(rows)
    assert scaled[100] == scaled.max() == settings.clip
    assert 0.5 < np.ptp(np.percentile(scaled, [25, 75])) < 2  # the usual days are still told apart


def test_a_power_cannot_hide_a_value_that_stands_alone() -> None:
    rows = np.full((20_000, 2), 1.0)
    rows[:, 0] = np.random.default_rng(0).normal(size=20_000)
    rows[20, 1] = 3.0
    with pytest.raises(DataError, match="column 'b' reaches 141 deviations after 'yeo-johnson' scaling"):
        fit_scaler(("a", "b"), ("yeo-johnson", "yeo-johnson"), rows, bound=100, clip=5)
    assert np.abs(scaled_by("rank", rows[:, 1:], rows[:, 1:])).max() < 1


def test_no_training_rows_are_refused() -> None:
    with pytest.raises(DataError, match="needs training rows"):
        fit_scaler(("a",), ("standard",), np.empty((0, 1)), bound=100, clip=5)


@given(st.integers(0, 10_000), st.sampled_from(RULES))
def test_scaling_keeps_order_and_missing_values(seed: int, rule) -> None:
    rows, later = rows_of(seed), rows_of(seed + 1, 200) * 3
    values = np.concatenate([rows, later])
    scaled = scaled_by(rule, rows, values, clip=5)
    np.testing.assert_array_equal(np.isnan(scaled), np.isnan(values))
    known = np.isfinite(values[:, 0])
    order = np.argsort(values[known, 0])
    steps = np.diff(scaled[known, 0][order])
    assert (steps >= 0).all()
    assert np.abs(scaled[known]).max() <= 5
    inside = np.diff(values[known, 0][order]) == 0
    assert (steps[inside] == 0).all()


@given(st.integers(0, 10_000), st.sampled_from(RULES))
def test_training_rows_alone_decide(seed: int, rule) -> None:
    rows = rows_of(seed)
    both = np.concatenate([rows, rows[::-1] * 2], axis=1)
    mine = fit_scaler(("a", "b"), (rule, "standard"), both, bound=1e9, clip=5)
    both[:, 1] = np.arange(len(rows)) ** 2.0
    theirs = fit_scaler(("a", "b"), (rule, "standard"), both, bound=1e9, clip=5)
    for name in LEARNT:
        assert np.array_equal(getattr(mine, name)[0], getattr(theirs, name)[0], equal_nan=True)
    later = rows_of(seed + 1)
    wide = np.concatenate([later, later], axis=1)
    alone = np.concatenate([mine.transform(wide[at : at + 1]) for at in range(len(wide))])
    np.testing.assert_allclose(alone, mine.transform(wide), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("rule", RULES)
def test_a_constant_training_column_becomes_zero(rule) -> None:
    for constant in (7.0, 0.1, 0.0, -3e9, 1e-9, 1e19):
        column = np.full((30, 1), constant)
        np.testing.assert_array_equal(scaled_by(rule, column, column), np.zeros((30, 1)))
        assert np.isnan(scaled_by(rule, column, np.array([[NAN]]))).all()


@pytest.mark.parametrize("rule", RULES)
def test_a_column_that_training_never_held_stays_missing(rule) -> None:
    rows = np.full((30, 1), NAN)
    assert np.isnan(scaled_by(rule, rows, np.array([[1.0], [NAN]]))).all()


@pytest.mark.parametrize("rule", RULES)
def test_one_value_is_enough_to_fit(rule) -> None:
    rows = np.array([[NAN], [2.5], [NAN]])
    assert scaled_by(rule, rows, rows)[1, 0] == 0


@pytest.mark.parametrize("shape", ["both signs", "above", "below"])
def test_standard_and_yeo_johnson_equal_scikit_learn(shape: str) -> None:
    random = np.random.default_rng(3)
    skewed = random.lognormal(0.5, 0.8, (5_000, 1)) - (1.5 if shape == "both signs" else 0)
    rows = -skewed if shape == "below" else skewed
    rows[random.random(5_000) < 0.1] = NAN
    later = random.normal(0, 3, (500, 1))
    np.testing.assert_allclose(
        scaled_by("standard", rows, later), StandardScaler().fit(rows).transform(later), rtol=1e-9
    )
    reference = PowerTransformer(method="yeo-johnson").fit(rows)
    assert fit_power(rows[np.isfinite(rows)]) == pytest.approx(reference.lambdas_[0], abs=2e-5)
    np.testing.assert_allclose(scaled_by("yeo-johnson", rows, later), reference.transform(later), rtol=1e-3, atol=1e-3)


def test_yeo_johnson_by_hand() -> None:
    values = np.array([3.0, -3.0, 0.0])
    np.testing.assert_allclose(yeo_johnson(values, 0.5), [2.0, -(4**1.5 - 1) / 1.5, 0.0])
    np.testing.assert_allclose(yeo_johnson(values, 0.0), [np.log(4), -7.5, 0.0])
    np.testing.assert_allclose(yeo_johnson(values, 2.0), [7.5, -np.log(4), 0.0])
    np.testing.assert_allclose(yeo_johnson(values, 1.0), values)


def test_powers_stay_within_their_bounds() -> None:
    random = np.random.default_rng(0)
    assert fit_power(random.lognormal(-6, 1, 2_000)) == pytest.approx(POWERS[0], abs=1e-4)
    assert fit_power(-random.lognormal(-6, 1, 2_000)) == pytest.approx(POWERS[1], abs=1e-4)
    assert fit_power(random.lognormal(0, 1, 19)) == 1


def test_values_far_from_zero_keep_their_differences() -> None:
    """A negative power would press 2,000 prices around 10^10 into one and the same number."""
    random = np.random.default_rng(0)
    rows = 1e10 + 1e6 * random.exponential(1, (2_000, 1))
    scaled = scaled_by("yeo-johnson", rows, rows)
    assert len(np.unique(scaled)) == 2_000
    assert scaled.std() == pytest.approx(1)


def test_a_later_value_out_of_proportion_is_cut_off() -> None:
    rows = np.random.default_rng(0).lognormal(0, 1, (500, 1)) * -1
    assert fit_power(rows[:, 0]) > 2.5
    np.testing.assert_array_equal(scaled_by("yeo-johnson", rows, np.array([[1e200], [-1e200]]), clip=5)[0], [5])


def test_many_rows_are_sampled_evenly() -> None:
    values = np.random.default_rng(0).gamma(2, 3, 200_000)
    assert fit_power(values) == fit_power(values[::10])
    assert fit_power(values) == pytest.approx(PowerTransformer().fit(values[:, None]).lambdas_[0], abs=0.03)


def test_ranks_by_hand() -> None:
    rows = np.array([[10.0], [20.0], [20.0], [40.0], [NAN]])
    # P(less) - P(more): 0 - 3/4, 1/4 - 1/4, 3/4 - 0; then between two values, and beyond all.
    values = np.array([[10.0], [20.0], [40.0], [30.0], [5.0], [50.0], [NAN]])
    expected = np.array([[-0.75], [0], [0.75], [0.375], [-0.75], [0.75], [NAN]])
    np.testing.assert_allclose(scaled_by("rank", rows, values), expected)


@given(st.integers(0, 10_000))
def test_ranks_follow_any_rising_function(seed: int) -> None:
    rows = rows_of(seed)
    rows /= np.nanmax(np.abs(rows))
    np.testing.assert_array_equal(scaled_by("rank", np.exp(3 * rows), np.exp(3 * rows)), scaled_by("rank", rows, rows))


def test_few_kept_values_say_the_rank_of_many() -> None:
    random = np.random.default_rng(0)
    values = np.concatenate([random.lognormal(0, 2, 40_000), np.zeros(50_000), -random.exponential(1, 10_000)])
    kept = fit_ranks(values)
    assert kept.shape[1] <= 1001
    ordered = np.sort(values)
    exact = (np.searchsorted(ordered, values) + np.searchsorted(ordered, values, "right")) / len(values) - 1
    assert np.abs(ranked(values, kept) - exact).max() < 0.004
    # Half of the values are alike: they keep their very rank, and their neighbours' is another.
    assert ranked(np.zeros(1), kept)[0] == pytest.approx(2 * (10_000 + 25_000) / 100_000 - 1)
    assert ranked(np.array([1e-9]), kept)[0] < 0.2
    np.testing.assert_allclose(ranked(np.array([-1e9, 1e9]), kept), exact[[values.argmin(), values.argmax()]])
