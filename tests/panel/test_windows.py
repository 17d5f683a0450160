import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from market import scrambled, walks

from alfred.core.errors import ConfigError, DataError
from alfred.panel.build import build_panel
from alfred.panel.scaling import fit_scaler, scaling_rules
from alfred.panel.settings import PanelSettings
from alfred.panel.tables import Tables
from alfred.panel.windows import WindowMaker

BARS, MARKET = walks()
SETTINGS = PanelSettings()
PANEL = build_panel(Tables(BARS, MARKET), SETTINGS, levels_usable=True)
TRAIN, TEST = np.arange(10), np.arange(10, 16)


def test_the_scaler_sees_training_rows_only() -> None:
    maker = WindowMaker.fit(PANEL, TRAIN, ("A", "B"), SETTINGS)
    at = PANEL.features.index("price_change_term_30")
    rows = PANEL.values[:10, :2, at].ravel()
    rows = rows[np.isfinite(rows)]
    assert maker.scaler.center[at] == pytest.approx(rows.mean())
    assert maker.scaler.spread[at] == pytest.approx(rows.std())


def test_training_windows_are_centred_and_of_unit_spread() -> None:
    maker = WindowMaker.fit(PANEL, TRAIN, ("A", "B"), SETTINGS)
    windows = maker.windows(TRAIN, ("A", "B"), "PM", labelled=True)
    column = windows.x[:, 0, windows.columns.index("Close_diff_MA_7")]
    assert column.mean() == pytest.approx(0, abs=1e-5)
    assert column.std() == pytest.approx(1, abs=1e-5)


def test_missing_values_are_zero_with_an_indicator() -> None:
    maker = WindowMaker.fit(PANEL, TRAIN, ("A", "B"), SETTINGS)
    windows = maker.windows(TRAIN, ("A", "B"), "PM", labelled=True)
    at, flag = windows.columns.index("price_change_term_240"), windows.columns.index("missing:price_change_term_240")
    missing = windows.x[:, 0, flag] == 1
    assert 0 < missing.sum() < len(windows)
    assert (windows.x[missing, 0, at] == 0).all()
    assert set(np.unique(windows.x[:, 0, flag])) == {0.0, 1.0}


def test_columns_missing_in_the_same_rows_share_an_indicator() -> None:
    maker = WindowMaker.fit(PANEL, TRAIN, ("A", "B"), SETTINGS)
    flags = maker.windows(TRAIN, ("A", "B"), "PM", labelled=True).x[
        :, 0, [c.startswith("missing:") for c in maker.columns]
    ]
    assert len(np.unique(flags, axis=1).T) == flags.shape[1] > 0


def test_rows_to_forecast_carry_no_labels_and_include_the_last_quarter() -> None:
    maker = WindowMaker.fit(PANEL, TRAIN, ("A",), SETTINGS)
    last = np.array([len(PANEL.dates) - 1])
    assert maker.windows(last, ("B", "C"), "PM", labelled=False).y is None
    with pytest.raises(DataError, match=r"no labelled rows for 2 symbol\(s\) on 1 date\(s\)"):
        maker.windows(last, ("B", "C"), "PM", labelled=True)


def test_sequences_end_at_the_decision_date_and_mask_what_was_not_there() -> None:
    maker = WindowMaker.fit(PANEL, TRAIN, ("A", "B"), SETTINGS, quarters=4)
    windows = maker.windows(np.arange(10), ("A", "B"), "PM", labelled=True)
    assert windows.x.shape[1] == 4
    one = WindowMaker.fit(PANEL, TRAIN, ("A", "B"), SETTINGS).windows(np.arange(10), ("A", "B"), "PM", labelled=True)
    np.testing.assert_array_equal(windows.x[:, 3], one.x[:, 0])
    np.testing.assert_array_equal(windows.x[2:, 2], one.x[:-2, 0])
    np.testing.assert_array_equal(windows.seen[0], [False, False, False, True])
    assert (windows.x[0, :3] == 0).all()


def test_scrambling_the_future_moves_no_scaler_and_no_window() -> None:
    after = PANEL.dates[9].item()
    other = build_panel(Tables(scrambled(BARS, after), scrambled(MARKET, after)), SETTINGS, levels_usable=True)
    mine, theirs = (WindowMaker.fit(panel, np.arange(9), ("A", "B"), SETTINGS) for panel in (PANEL, other))
    np.testing.assert_array_equal(mine.scaler.center, theirs.scaler.center)
    np.testing.assert_array_equal(mine.scaler.spread, theirs.scaler.spread)
    dates = np.arange(10)
    np.testing.assert_array_equal(
        mine.windows(dates, ("C",), "PM", labelled=False).x, theirs.windows(dates, ("C",), "PM", labelled=False).x
    )


def test_an_unknown_symbol_is_named() -> None:
    with pytest.raises(DataError, match="the panel holds no Z; it holds A, B, C"):
        WindowMaker.fit(PANEL, TRAIN, ("A", "Z"), SETTINGS)


def test_a_column_without_a_rule_is_named() -> None:
    with pytest.raises(ConfigError, match="column 'mystery' has no scaling rule"):
        scaling_rules(("beta", "mystery"), {})
    assert scaling_rules(("beta", "mystery"), {"myst*": "robust"}) == ("standard", "robust")


def test_a_rule_that_matches_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="no column matches 'btea'; did you mean 'beta'"):
        scaling_rules(("beta",), {"btea": "robust"})


def test_a_value_beyond_the_bound_names_its_column() -> None:
    rows = np.random.default_rng(0).normal(size=(20_000, 2))
    rows[17, 1] = 1e6
    with pytest.raises(DataError, match="column 'b' reaches 141 deviations after 'standard' scaling"):
        fit_scaler(("a", "b"), ("standard", "standard"), rows, bound=100, clip=5)


def test_no_training_rows_are_refused() -> None:
    with pytest.raises(DataError, match="needs training rows"):
        fit_scaler(("a",), ("standard",), np.empty((0, 1)), bound=100, clip=5)


@given(st.integers(0, 1000), st.sampled_from(["standard", "robust", "signed-log"]))
def test_scaling_keeps_order_and_missing_values(seed: int, rule: str) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.standard_t(3, (50, 1)) * 10 ** rng.uniform(-3, 6)
    rows[rng.random(50) < 0.2] = np.nan
    scaler = fit_scaler(("a",), (rule,), rows, bound=1e9, clip=5)  # type: ignore[arg-type]
    scaled = scaler.transform(rows)
    np.testing.assert_array_equal(np.isnan(scaled), np.isnan(rows))
    known = np.isfinite(rows[:, 0])
    order = np.argsort(rows[known, 0])
    assert (np.diff(scaled[known, 0][order]) >= 0).all()
    assert np.abs(scaled[known]).max() <= 5


def test_a_constant_training_column_becomes_zero() -> None:
    scaler = fit_scaler(("a",), ("standard",), np.full((10, 1), 7.0), bound=100, clip=5)
    np.testing.assert_array_equal(scaler.transform(np.full((3, 1), 7.0)), np.zeros((3, 1)))
