import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from market import frame, scrambled, walks

from alfred.core.calendar import day, sessions_between
from alfred.core.errors import ConfigError, DataError, LeakError
from alfred.panel.build import build_panel
from alfred.panel.panel import Labels, Panel
from alfred.panel.settings import PanelSettings
from alfred.panel.tables import Tables

BARS, MARKET = walks()


def build(bars: pl.DataFrame = BARS, market: pl.DataFrame = MARKET, **settings: object) -> Panel:
    return build_panel(Tables(bars, market), PanelSettings.parse(settings, "test"), levels_usable=True)


PANEL = build()


def close_on(symbol: str, date: np.datetime64) -> float:
    return float(BARS.filter((pl.col("symbol") == symbol) & (pl.col("date") == date.item()))["close"][0])


def test_labels_by_hand() -> None:
    now, later = PANEL.dates[7], PANEL.dates[8]
    change = close_on("C", later) / close_on("C", now) - 1
    level = dict(MARKET.select("date", "value").iter_rows())
    market = level[later.item()] / level[now.item()] - 1
    assert PANEL.labels.of("PM")[7, 2] == pytest.approx(change)
    assert PANEL.labels.of("PQ")[7, 2] == float(change > 0)
    assert PANEL.labels.of("excess")[7, 2] == pytest.approx(change - market)
    assert PANEL.labels.realised_on[7] == later


def test_the_last_label_is_unknown_not_zero() -> None:
    for name in ("PQ", "PM", "excess"):
        assert np.isnan(PANEL.labels.of(name)[-1]).all()
        assert np.isfinite(PANEL.labels.of(name)[:-1]).all()
    assert np.isnat(PANEL.labels.realised_on[-1])


def test_a_longer_horizon_leaves_more_labels_unknown() -> None:
    panel = build(horizon_quarters=4)
    assert np.isnan(panel.labels.of("PM")[-4:]).all()
    assert panel.labels.realised_on[0] == panel.dates[4]


def test_a_name_that_disappears_has_no_label_across_its_end() -> None:
    dates = sessions_between(day("2015-01-02"), day("2017-12-29"))
    kept = dates < day("2016-05-02")
    bars = pl.concat(
        [frame("A", dates, np.linspace(10, 20, len(dates))), frame("B", dates[kept], np.linspace(5, 6, kept.sum()))]
    )
    panel = build_panel(Tables(bars, MARKET), PanelSettings(features=("price_change_term_7",)), levels_usable=True)
    last = int(np.searchsorted(panel.dates, day("2016-03-31")))
    assert panel.listed[last, 1]
    assert np.isnan(panel.labels.of("PQ")[last, 1])
    assert not panel.listed[last + 1, 1]
    assert np.isnan(panel.values[last + 1, 1]).all()


@pytest.mark.parametrize("at", [3, 8, 14])
def test_scrambling_the_future_moves_nothing_before_it(at: int) -> None:
    after = PANEL.dates[at].item()
    other = build(scrambled(BARS, after), scrambled(MARKET, after, seed=2))
    np.testing.assert_array_equal(other.values[: at + 1], PANEL.values[: at + 1])
    np.testing.assert_array_equal(other.listed[: at + 1], PANEL.listed[: at + 1])
    for name, value in PANEL.labels.values.items():
        np.testing.assert_array_equal(other.labels.of(name)[:at], value[:at])
    assert not np.array_equal(other.values[at + 1 :], PANEL.values[at + 1 :])


def test_other_symbols_do_not_touch_a_symbol() -> None:
    alone = build(BARS.filter(pl.col("symbol") == "B"))
    np.testing.assert_array_equal(alone.values[:, 0], PANEL.values[:, 1])


def test_it_loads_as_it_was_saved(tmp_path: Path) -> None:
    PANEL.save(tmp_path)
    again = Panel.load(tmp_path)
    np.testing.assert_array_equal(again.values, PANEL.values)
    np.testing.assert_array_equal(again.labels.realised_on, PANEL.labels.realised_on)
    assert (again.dates == PANEL.dates).all()
    assert (again.symbols, again.features, again.left_out) == (PANEL.symbols, PANEL.features, PANEL.left_out)
    assert again.digest() == PANEL.digest()


def test_an_altered_panel_is_refused(tmp_path: Path) -> None:
    PANEL.save(tmp_path)
    rows = pl.read_parquet(tmp_path / "features.parquet")
    rows.with_columns(pl.col(PANEL.features[0]) + 0.001).write_parquet(tmp_path / "features.parquet")
    with pytest.raises(DataError, match="was altered"):
        Panel.load(tmp_path)


def test_an_absent_panel_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no readable panel"):
        Panel.load(tmp_path)


def test_a_label_cannot_be_a_feature() -> None:
    with pytest.raises(LeakError, match="label 'PM' stands among the features"):
        Panel(PANEL.dates, PANEL.symbols, ("PM",), PANEL.values[:, :, :1], PANEL.listed, PANEL.labels, {})


def test_infinite_values_are_refused() -> None:
    values = PANEL.values.copy()
    values[3, 1, 2] = np.inf
    with pytest.raises(DataError, match=f"feature '{PANEL.features[2]}' holds infinite"):
        Panel(PANEL.dates, PANEL.symbols, PANEL.features, values, PANEL.listed, PANEL.labels, {})


def test_levels_of_adjusted_prices_are_left_out_unless_named() -> None:
    kept_out = build_panel(Tables(BARS, MARKET), PanelSettings(), levels_usable=False)
    assert "Close" not in kept_out.features
    assert "knows later splits" in kept_out.left_out["Close"]
    assert "delta_Close" in kept_out.features
    asked = build_panel(Tables(BARS, MARKET), PanelSettings(features=("Close", "beta")), levels_usable=False)
    assert asked.features == ("Close", "beta")


def test_patterns_choose_and_exclude() -> None:
    panel = build(features=["Close_diff_MA_*", "beta"], exclude=["*_180"])
    assert panel.features == ("Close_diff_MA_7", "Close_diff_MA_30", "Close_diff_MA_90", "beta")
    with pytest.raises(ConfigError, match=r"no column matches 'Clse_diff_MA_7', did you mean|no column matches 'Clse"):
        build(features=["Clse_diff_MA_7"])


def test_too_short_a_span_is_refused() -> None:
    short = BARS.filter(pl.col("date") < dt.date(2015, 5, 1))
    with pytest.raises(DataError, match="span 1 quarter end"):
        build(short)


def test_an_unknown_label_is_refused() -> None:
    with pytest.raises(ConfigError, match="no label 'PX'; known are PM, PQ, excess"):
        Labels(1, PANEL.labels.realised_on, PANEL.labels.values).of("PX")
