import numpy as np
import pytest
from panels import panel_of
from scipy import stats

from alfred.core.errors import ConfigError, DataError
from alfred.evaluation.bootstrap import BootstrapSettings
from alfred.explain.correlation import Correlations, correlate, strength
from alfred.explain.rows import chosen_rows

QUICK = BootstrapSettings(draws=300)


def shocked(rng: np.random.Generator, quarters: int, names: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise with what misleads naive tests: shocks common to all names of a quarter, in columns and in the label."""
    label = rng.normal(size=(quarters, names)) + rng.normal(size=(quarters, 1))
    common = rng.normal(size=(quarters, 1, columns))
    for quarter in range(1, quarters):
        common[quarter] = 0.8 * common[quarter - 1] + 0.6 * common[quarter]
    return rng.normal(size=(quarters, names, columns)) * rng.integers(0, 2, columns) + common, label


def some(seed: int = 0, missing: float = 0.2) -> tuple[np.ndarray, np.ndarray, Correlations]:
    rng = np.random.default_rng(seed)
    values, label = shocked(rng, 24, 9, 5)
    values[..., 0] = np.round(values[..., 0])
    values[rng.random(values.shape) < missing] = np.nan
    label[rng.random(label.shape) < missing] = np.nan
    panel = panel_of(values, label)
    return values, label, correlate(panel, "PM", panel.listed, QUICK)


def test_four_rows_by_hand() -> None:
    values = np.array([[1.0, 2.0], [3.0, 4.0]])[..., None]
    panel = panel_of(values, np.array([[0.1, 0.2], [0.2, 0.5]]))
    one = correlate(panel, "PM", panel.listed, QUICK).features[0]
    # Deviations -1.5 -.5 .5 1.5 and -.15 -.05 -.05 .25: .6 / sqrt(5 * .09).
    assert one.pearson is not None
    assert one.pearson.value == pytest.approx(0.6 / np.sqrt(5 * 0.09))
    assert one.rank is not None
    assert one.rank.value == pytest.approx(4.5 / np.sqrt(5 * 4.5))
    assert (one.rows, one.quarters) == (4, 2)


def test_values_agree_with_scipy_over_rows_in_which_both_are_known() -> None:
    values, label, found = some()
    for one in found.features:
        column = values[..., int(one.feature[1:])]
        both = np.isfinite(column) & np.isfinite(label)
        assert one.rows == both.sum()
        assert one.pearson is not None
        assert one.rank is not None
        assert one.pearson.value == pytest.approx(stats.pearsonr(column[both], label[both]).statistic)
        assert one.rank.value == pytest.approx(stats.spearmanr(column[both], label[both]).statistic)
        by_quarter = [
            stats.spearmanr(column[at][both[at]], label[at][both[at]]).statistic
            for at in range(len(column))
            if both[at].sum() >= 3 and np.ptp(column[at][both[at]]) > 0
        ]
        assert one.rank_ic == (pytest.approx(np.mean(by_quarter)) if by_quarter else None)
    # Columns that are the same for all names of a quarter have none.
    assert {one.rank_ic is None for one in found.features} == {True, False}


def test_q_values_are_those_of_benjamini_and_hochberg_over_both_correlations() -> None:
    _, _, found = some()
    estimates = [estimate for one in found.features for estimate in (one.pearson, one.rank) if estimate is not None]
    p_values = np.array([estimate.p_value for estimate in estimates])
    expected = stats.false_discovery_control(p_values)
    assert [estimate.q_value for estimate in estimates] == pytest.approx(expected.tolist())
    for estimate in estimates:
        assert estimate.interval.lower < estimate.value < estimate.interval.upper


def test_columns_come_from_the_highest_down_and_undefined_ones_last() -> None:
    values, label, _ = some()
    values[..., 2] = 7.0
    values[1:, :, 3] = np.nan
    panel = panel_of(values, label)
    found = correlate(panel, "PM", panel.listed, QUICK)
    heights = [one.pearson.value for one in found.features if one.pearson is not None]
    assert heights == sorted(heights, reverse=True)
    assert {one.feature for one in found.features[-2:]} == {"f2", "f3"}
    assert all(one.pearson is None and one.rank is None and one.rank_ic is None for one in found.features[-2:])
    assert {one.quarters for one in found.features[-2:]} == {1, 24}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (-0.19504551648570898, "Weak"),
        (-0.17011037553899938, "Very Weak"),
        (0.12892171826831145, "Very Weak"),
        (0.9999999999999999, "Very Strong"),
        (0.0, "Very Weak"),
        (0.194, "Very Weak"),
        (0.4, "Moderate"),
        (-0.6, "Strong"),
        (0.794, "Strong"),
        (0.8, "Very Strong"),
    ],
)
def test_strength_in_the_words_of_the_notes(value: float, words: str) -> None:
    assert strength(value) == words


def test_pure_noise_is_found_no_more_often_than_said() -> None:
    """Rows in which names move together look like thousands of observations, and are a few dozen."""
    rng = np.random.default_rng(7)
    any_found, naive_found, low = [], [], []
    for _ in range(80):
        values, label = shocked(rng, 60, 12, 12)
        panel = panel_of(values, label)
        found = correlate(panel, "PM", panel.listed, QUICK)
        any_found.append(bool(found.found(0.1)))
        low += [one.pearson.p_value < 0.05 for one in found.features if one.pearson is not None]
        naive = [stats.pearsonr(values[..., at].ravel(), label.ravel()).pvalue for at in range(12)]
        naive_found.append(bool((stats.false_discovery_control(naive) < 0.1).any()))
    # 80 panels: three standard errors of a rate of 0.1 are 0.1. Neighbouring columns share a label.
    assert np.mean(any_found) <= 0.2
    assert np.mean(low) <= 0.08
    assert np.mean(naive_found) > 0.9


def test_a_planted_correlation_is_found_among_noise() -> None:
    rng = np.random.default_rng(3)
    values, label = shocked(rng, 60, 30, 40)
    values[..., 17] = 0.3 * label + rng.normal(size=label.shape)
    panel = panel_of(values, label)
    found = correlate(panel, "PM", panel.listed)
    assert [one.feature for one in found.found(0.05)] == ["f17"]
    assert found.features[0].feature == "f17"
    assert not found.features[0].beyond_belief


def test_a_column_that_knows_the_label_is_beyond_belief() -> None:
    rng = np.random.default_rng(4)
    values, label = shocked(rng, 30, 10, 3)
    values[..., 1] = -np.exp(3 * label)  # far from linear: its ranks tell
    panel = panel_of(values, label)
    found = correlate(panel, "PM", panel.listed, QUICK)
    assert [one.feature for one in found.features if one.beyond_belief] == ["f1"]


def test_a_column_and_its_double_have_the_same_figures() -> None:
    values, label, _ = some()
    values[..., 4] = 1e6 + 1e3 * values[..., 3]
    panel = panel_of(values, label)
    by_name = {one.feature: one for one in correlate(panel, "PM", panel.listed, QUICK).features}
    three, four = by_name["f3"].pearson, by_name["f4"].pearson
    assert three is not None
    assert four is not None
    assert four.value == pytest.approx(three.value)
    assert four.p_value == pytest.approx(three.p_value)
    assert by_name["f3"].rank_ic == by_name["f4"].rank_ic


def test_blocks_are_longer_where_labels_overlap() -> None:
    values, label, _ = some(missing=0.0)
    short, long = (
        correlate(panel_of(values, label, horizon), "PM", np.ones(label.shape, np.bool_), BootstrapSettings(draws=300))
        for horizon in (1, 3)
    )
    assert short.features[0].pearson != long.features[0].pearson


def test_only_the_chosen_rows_count() -> None:
    values, label, _ = some()
    panel = panel_of(values, label)
    rows = chosen_rows(panel, ("S01", "S04", "S05"), panel.dates[3], panel.dates[12])
    assert rows.sum() == 30
    found = correlate(panel, "PM", rows, QUICK)
    assert (found.first, found.last, found.quarters) == (panel.dates[3], panel.dates[12], 10)
    assert found.rows == np.isfinite(label[3:13][:, [1, 4, 5]]).sum()


def test_refusals_say_what_to_do() -> None:
    values, label, _ = some()
    panel = panel_of(values, label)
    with pytest.raises(ConfigError, match="the panel has no label 'PN'"):
        correlate(panel, "PN", panel.listed, QUICK)
    with pytest.raises(DataError, match=r"1 quarter\(s\) of the rows have a label PM; .* Widen the period"):
        correlate(panel, "PM", chosen_rows(panel, None, None, panel.dates[0]), QUICK)
    with pytest.raises(DataError, match="the panel holds no S99"):
        chosen_rows(panel, ("S99",))
    with pytest.raises(DataError, match="no name of the basket was listed on a decision date from 2030-01-01"):
        chosen_rows(panel, None, np.datetime64("2030-01-01"))
