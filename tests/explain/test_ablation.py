"""What ablations change: rows, and figures by hand."""

import numpy as np
import pytest
from explained_rows import COLUMNS, planted

from alfred.core.errors import ConfigError
from alfred.evaluation.bootstrap import BootstrapSettings
from alfred.explain.ablation import (
    NOTHING,
    Ablated,
    Effect,
    at_mean,
    effects,
    families,
    family_of,
    permuted,
    training_means,
    without,
)


def test_a_column_at_its_training_mean():
    windows = planted(40)
    means = training_means(windows)
    assert means["value"] == pytest.approx(windows.x[:, -1, 1].mean(), abs=1e-6)
    changed = at_mean(windows, ("value",), means)
    assert np.allclose(changed.x[:, :, 1], means["value"])
    assert np.array_equal(np.delete(changed.x, 1, 2), np.delete(windows.x, 1, 2))
    assert not changed.cells[0].any()


def test_names_exchange_their_numbers_within_a_date():
    windows = planted(40)
    changed = permuted(windows, ("value", "size"), np.random.default_rng(0))
    assert np.array_equal(np.delete(changed.x, (1, 2), 2), np.delete(windows.x, (1, 2), 2))
    for date in np.unique(windows.dates):
        rows = windows.dates == date
        before = {tuple(part.ravel()) for part in windows.x[rows][:, :, 1:3]}
        assert {tuple(part.ravel()) for part in changed.x[rows][:, :, 1:3]} == before
    assert not np.array_equal(changed.x, windows.x)


def test_rows_without_a_column():
    narrow = without(planted(40), ("value", "missing:value"))
    assert narrow.columns == ("momentum_12_1", "size", "drawdown", "beta")
    assert np.array_equal(narrow.x, np.delete(planted(40).x, (1, 3), 2))
    with pytest.raises(ConfigError, match="cannot be fitted without any column"):
        without(planted(40), COLUMNS)


def test_families_are_those_of_the_catalogue():
    assert family_of("momentum_12_1") == family_of("missing:momentum_12_1") == "price"
    assert families(("momentum_12_1", "^VIX", "missing:^VIX", "own")) == {
        "price": ("momentum_12_1",), "macro": ("^VIX", "missing:^VIX"), "other": ("own",),
    }  # fmt: skip


def sums(loss, right):
    """Sums of 2 seeds and 4 quarters of 10 rows: the loss, and forecasts of a rise that came true."""
    shape = (2, 4)
    names = ("label", "label_squared", "mean", "mean_squared", "product", "absolute_error", "squared_error",
             "log_loss", "brier", "covered", "width", "sign_right", "right")  # fmt: skip
    zero = {name: np.zeros(shape) for name in names}
    return zero | {
        "rows": np.full(shape, 10.0), "loss": np.array(loss), "true_up": np.array(right),
        "forecast_up": np.full(shape, 6.0), "rose": np.full(shape, 6.0), "rank_ic": np.zeros(shape),
        "quarters_with_ic": np.zeros(shape),
    }  # fmt: skip


def test_effects_by_hand():
    """Loss per row 0.2 with, 0.3 and 0.5 without; F1 4/6 with and 3/6 without; no quarter has a rank IC."""
    own = sums([[2.0] * 4, [2.0] * 4], [[4.0] * 4] * 2)
    other = sums([[3.0] * 4, [5.0] * 4], [[3.0] * 4] * 2)
    found = effects(own, other, "PM", BootstrapSettings(draws=100))
    assert found["loss"].change == pytest.approx(0.2)
    # Student's t of (0.1, 0.3): mean 0.2, half width 12.706 x 0.1414 / sqrt(2).
    assert found["loss"].over_seeds.upper == pytest.approx(0.2 + 12.7062 * 0.1, abs=1e-4)
    assert found["loss"].over_quarters.lower == pytest.approx(0.2)
    assert found["f1"].change == pytest.approx(3 / 6 - 4 / 6)
    assert found["rank_ic"] == NOTHING


@pytest.mark.parametrize(("loss", "f1", "mark"), [(1, -1, "needed"), (-1, 1, "harmful"), (1, 1, ""), (0, -1, "")])
def test_the_notes_rule(loss, f1, mark):
    one = Ablated("x", ("x",), "mean", Effect(loss, None, None), Effect(f1, None, None), NOTHING)
    assert one.mark == mark
