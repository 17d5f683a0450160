import numpy as np
import pytest
from panels import panel_of

from alfred.core.errors import ConfigError, DataError
from alfred.explain.label_stats import LabelStats, label_stats
from alfred.panel.panel import Labels, Panel


def stats_of(label: np.ndarray, r2: float = 0.8) -> LabelStats:
    panel = panel_of(np.zeros((*label.shape, 1)), label)
    return label_stats(panel, "PM", panel.listed, r2)


def test_by_hand() -> None:
    found = stats_of(np.array([[0.1, -0.1], [0.3, np.nan]]))
    assert (found.rows, found.quarters) == (3, 2)
    assert found.mean == pytest.approx(0.1)
    assert found.variance == pytest.approx(0.08 / 3)
    assert found.span == pytest.approx(0.4)
    assert found.target_mse == pytest.approx(0.2 * 0.08 / 3)
    assert found.range_mse == pytest.approx(0.04**2)
    assert found.rises == pytest.approx(2 / 3)
    assert found.quantiles[0.5] == pytest.approx(0.1)


def of_the_notes() -> LabelStats:
    """Variance, range and mean of the notes' training basket."""
    return LabelStats(
        label="PM", r2=0.8, rows=2, quarters=1, first=np.datetime64("2004-03-31"), last=np.datetime64("2004-03-31"),
        mean=0.0630, variance=1.4121, lowest=-0.9, highest=-0.9 + 49.4893, quantiles={0.5: 0.01}, rises=0.55,
        came_about={"traded": 2},
    )  # fmt: skip


def test_the_block_of_the_notes_line_by_line() -> None:
    lines = of_the_notes().lines()
    assert lines[:6] == (
        "Analysis for 'PM' (Desired R² = 0.8):",
        "  Variance (Baseline MSE): 1.4121",
        "  Range: 49.4893",
        "  Mean: 0.0630, Std: 1.1883",
        "  Target MSE (R² = 0.8): 0.2824",
        "  Target MSE (10% Range): 24.4919",
    )
    assert lines[6] == "  Suggested Target MSE: 0.2824"
    assert lines[7] == "  Suggested Target RMSE: 0.5314 (avg error)"
    assert lines[8] == "  Target RMSE as % of range: 1.1%"


def test_the_notes_suggestion_is_worse_than_forecasting_the_mean() -> None:
    line = of_the_notes().lines()[9]
    assert line == (
        "  The notes' suggestion, the larger of both: 24.4919, 17.3 times the variance: worse than forecasting the mean"
    )


def test_a_suggestion_below_the_variance_is_not_blamed() -> None:
    label = np.random.default_rng(0).uniform(-1, 1, (20, 50))
    found = stats_of(label)
    assert found.notes_mse < found.variance
    assert "worse" not in "\n".join(found.lines())


def test_it_counts_how_labels_came_about() -> None:
    label = np.array([[0.1, -0.3], [np.nan, np.nan]])
    plain = panel_of(np.zeros((2, 2, 1)), label)
    origins = ("not listed", "traded", "default -30% for the reason '*'", "window passes the end of the data")
    labels = Labels(1, plain.dates, {"PM": label}, np.array([[1, 2], [3, 3]], np.int8), origins)
    panel = Panel(plain.dates, plain.symbols, plain.features, plain.values, plain.listed, labels, {})
    found = label_stats(panel, "PM", panel.listed)
    assert found.came_about == {
        "traded": 1, "default -30% for the reason '*'": 1, "window passes the end of the data": 2
    }  # fmt: skip
    assert found.lines()[-3:] == (
        "    1 traded", "    1 default -30% for the reason '*'", "    2 window passes the end of the data"
    )  # fmt: skip


def test_a_constant_label_has_no_share_of_its_range() -> None:
    found = stats_of(np.full((3, 2), 0.25))
    assert found.variance == 0
    assert found.lines()[8] == "  Target RMSE as % of range: -"


@pytest.mark.parametrize("r2", [1.0, -0.1, 80])
def test_r2_is_a_share_of_the_variance(r2: float) -> None:
    with pytest.raises(ConfigError, match=f"the wanted R² is {r2:g}; give a share of the variance from 0 to below 1"):
        stats_of(np.ones((3, 2)), r2)


def test_rows_without_a_label_are_refused() -> None:
    with pytest.raises(DataError, match="none of the 6 rows has a label PM; widen the period"):
        stats_of(np.full((3, 2), np.nan))
