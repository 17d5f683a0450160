import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from market import scrambled, walks

from alfred.core.calendar import day, decision_dates
from alfred.core.errors import DataError
from alfred.panel.build import build_panel
from alfred.panel.panel import Labels, Panel
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


def plain_panel(seed: int = 0, dates: int = 12, symbols: int = 5) -> Panel:
    """Values of four columns; the third and fourth are missing together on the first three dates."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(dates, symbols, 4))
    values[:3, :, 2:] = np.nan
    days = decision_dates(day("2001-01-01"), day("2009-12-31"))[:dates]
    listed = random.random((dates, symbols)) < 0.8
    listed[:, 0] = True
    labels = Labels(1, days, {"PM": random.normal(size=(dates, symbols))})
    names = tuple(f"S{at}" for at in range(symbols))
    return Panel(days, names, ("beta", "drawdown", "momentum_12_1", "delta_beta"), values, listed, labels, {})


@pytest.mark.parametrize("quarters", [1, 3, 8])
def test_every_cell_stands_once_whatever_the_length(quarters: int) -> None:
    panel = plain_panel()
    maker = WindowMaker.fit(panel, np.arange(12), panel.symbols, SETTINGS, quarters)
    windows = maker.windows(np.arange(12), panel.symbols, "PM", labelled=True)
    assert windows.cells.shape == (panel.listed.sum() + 1, 5)
    assert windows.index.shape == (panel.listed.sum(), quarters)
    assert np.array_equal(np.unique(windows.index[:, -1]), np.arange(1, len(windows.cells)))


@given(st.integers(0, 1000), st.integers(1, 6))
def test_windows_hold_each_quarter_that_was_listed(seed: int, quarters: int) -> None:
    panel = plain_panel(seed)
    maker = WindowMaker.fit(panel, np.arange(4, 9), panel.symbols, SETTINGS, quarters)
    windows = maker.windows(np.arange(4, 9), panel.symbols[::-1], "PM", labelled=True)
    scaled = maker.scaler.transform(panel.values)
    place = {symbol: at for at, symbol in enumerate(panel.symbols)}
    dates = panel.dates.tolist()
    for row in range(len(windows)):
        at, symbol = dates.index(windows.dates[row]), place[windows.symbols[row]]
        for ago in range(quarters):
            there = at - ago >= 0 and panel.listed[at - ago, symbol]
            assert windows.seen[row, quarters - 1 - ago] == there
            expected = np.nan_to_num(scaled[at - ago, symbol]) if there else np.zeros(4)
            np.testing.assert_array_equal(windows.x[row, quarters - 1 - ago, :4], expected.astype(np.float32))


def test_history_before_the_training_dates_is_an_input_and_nothing_later_comes_along() -> None:
    panel = plain_panel()
    maker = WindowMaker.fit(panel, np.arange(4, 8), ("S0",), SETTINGS, quarters=3)
    windows = maker.windows(np.arange(4, 8), ("S0",), "PM", labelled=True)
    # Quarters 2 to 7 of one name: the two before the first training date, and none after the last.
    assert len(windows.cells) == 6 + 1
    assert windows.index.tolist() == [[1, 2, 3], [2, 3, 4], [3, 4, 5], [4, 5, 6]]
    own = maker.scaler.transform(panel.values[2:8, 0])[:, 0]
    np.testing.assert_array_equal(windows.cells[1:, 0], own.astype(np.float32))


def test_a_shared_indicator_speaks_for_each_of_its_columns() -> None:
    panel = plain_panel()
    panel.values[10, 0, 3] = np.nan
    maker = WindowMaker.fit(panel, np.arange(8), panel.symbols, SETTINGS)
    assert maker.columns == (*panel.features, "missing:momentum_12_1")
    later = maker.windows(np.arange(9, 12), ("S0",), "PM", labelled=False)
    assert later.x[:, 0, 4].tolist() == [0, 1, 0]
    assert later.x[1, 0, 3] == 0 != later.x[1, 0, 2]


def test_a_value_missing_later_only_is_told_of() -> None:
    panel = plain_panel()
    panel.values[10, 0, 1] = np.nan
    panel.values[11, 0, 2] = np.nan
    maker = WindowMaker.fit(panel, np.arange(8), panel.symbols, SETTINGS)
    assert maker.unmarked(np.arange(8), panel.symbols) == {}
    assert maker.unmarked(np.arange(8, 12), ("S0",)) == {"drawdown": 0.25}


@pytest.mark.parametrize("rule", ["standard", "robust", "yeo-johnson", "rank", "signed-log"])
def test_the_future_moves_no_rule(rule) -> None:
    settings = PanelSettings(scaling={"*": rule})
    mine, theirs = plain_panel(), plain_panel()
    theirs.values[8:] = np.random.default_rng(7).normal(size=theirs.values[8:].shape) * 100
    first, second = (
        WindowMaker.fit(panel, np.arange(8), panel.symbols, settings, quarters=4).windows(
            np.arange(8), panel.symbols, "PM", labelled=True
        )
        for panel in (mine, theirs)
    )
    np.testing.assert_array_equal(first.cells, second.cells)
    np.testing.assert_array_equal(first.index, second.index)
