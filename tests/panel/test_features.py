"""Every price and volume column against its formula, worked plainly on a small series."""

import numpy as np
import polars as pl
import pytest
from market import frame, walks

from alfred.core.calendar import day, decision_dates, sessions_between
from alfred.panel.build import build_panel
from alfred.panel.catalogue import catalogue, feature
from alfred.panel.history import BarHistory
from alfred.panel.settings import PanelSettings
from alfred.panel.sources import Sources
from alfred.panel.tables import Tables

BARS, MARKET = walks()
DATES = decision_dates(day("2015-01-02"), day("2019-12-31"))
HISTORY = BarHistory.of(BARS, MARKET, DATES, stale_sessions=5)
SOURCES = Sources(DATES, HISTORY.symbols, HISTORY, Tables(BARS, MARKET))
DATE, SYMBOL = 12, 1


def past(column: str) -> np.ndarray:
    """What was known of symbol B at decision date 12, oldest first."""
    rows = BARS.filter((pl.col("symbol") == "B") & (pl.col("date") <= DATES[DATE].item()))
    return rows[column].to_numpy()


def value(name: str) -> float:
    return float(feature(name).compute(SOURCES)[DATE, SYMBOL])


@pytest.mark.parametrize("n", [7, 30, 90, 180])
def test_distances_from_moving_averages(n: int) -> None:
    close, volume = past("close"), past("volume")
    assert value(f"Close_diff_MA_{n}") == pytest.approx(close[-1] / close[-n:].mean() - 1, rel=1e-9)
    assert value(f"Volume_diff_MA_{n}") == pytest.approx(volume[-1] / volume[-n:].mean() - 1, rel=1e-9)


@pytest.mark.parametrize("n", [7, 30, 120, 240])
def test_price_changes(n: int) -> None:
    close = past("close")
    assert value(f"price_change_term_{n}") == pytest.approx(close[-1] / close[-1 - n] - 1, rel=1e-12)


def test_momentum_skips_the_last_month() -> None:
    close = past("close")
    assert value("momentum_12_1") == pytest.approx(close[-22] / close[-253] - 1, rel=1e-12)


def test_risk() -> None:
    close = past("close")
    returns = close[1:] / close[:-1] - 1
    assert value("realised_volatility") == pytest.approx(returns[-63:].std(ddof=1) * np.sqrt(252), rel=1e-9)
    assert value("drawdown") == pytest.approx(close[-1] / close[-252:].max() - 1, rel=1e-12)
    level = MARKET.filter(pl.col("date") <= DATES[DATE].item())["value"].to_numpy()
    market = level[1:] / level[:-1] - 1
    pair = np.cov(returns[-252:], market[-252:])
    assert value("beta") == pytest.approx(pair[0, 1] / pair[1, 1], rel=1e-8)


def test_levels_and_turnover() -> None:
    close, volume = past("close"), past("volume")
    assert value("Close") == close[-1]
    assert value("Volume") == volume[-1]
    assert value("turnover") == pytest.approx((close * volume)[-63:].mean(), rel=1e-9)


def test_a_delta_is_the_change_since_the_previous_quarter() -> None:
    close = feature("Close").compute(SOURCES)
    assert value("delta_Close") == pytest.approx(close[DATE, SYMBOL] / close[DATE - 1, SYMBOL] - 1)
    beta = feature("beta").compute(SOURCES)
    assert value("delta_beta") == pytest.approx(beta[DATE, SYMBOL] - beta[DATE - 1, SYMBOL])
    assert np.isnan(feature("delta_Close").compute(SOURCES)[0]).all()


def test_differences_have_no_delta() -> None:
    names = catalogue()
    assert "delta_Close_diff_MA_7" not in names
    assert "delta_price_change_term_30" not in names
    assert {"delta_Close", "delta_Volume", "delta_turnover"} <= set(names)


def test_every_column_declares_what_it_is() -> None:
    for column in catalogue().values():
        for said in (column.formula, column.unit, column.known, column.missing, column.family):
            assert said, column.name
        assert column.tables, column.name


def test_a_column_is_missing_until_its_window_is_full() -> None:
    change = feature("price_change_term_240").compute(SOURCES)
    sessions = np.array([len(sessions_between(day("2015-01-02"), date)) for date in DATES])
    np.testing.assert_array_equal(np.isnan(change[:, 0]), sessions < 241)


def test_without_volume_its_columns_are_missing_not_zero() -> None:
    bars = BARS.with_columns(pl.lit(None, pl.Float64).alias("volume"))
    panel = build_panel(Tables(bars, MARKET), PanelSettings(), levels_usable=True)
    assert not [name for name in panel.features if "olume" in name or "turnover" in name]
    assert "missing everywhere" in panel.left_out["Volume_diff_MA_7"]


def test_one_missing_volume_makes_only_windows_over_it_missing() -> None:
    at = DATES[DATE] - np.timedelta64(0, "D")
    hole = (pl.col("symbol") == "B") & (pl.col("date") == at.item())
    bars = BARS.with_columns(pl.when(hole).then(None).otherwise(pl.col("volume")).alias("volume"))
    history = BarHistory.of(bars, MARKET, DATES, 5)
    average = feature("Volume_diff_MA_30").compute(Sources(DATES, history.symbols, history, Tables(bars, MARKET)))
    assert np.isnan(average[DATE, SYMBOL])
    assert np.isfinite(average[DATE, 0])
    assert np.isfinite(average[DATE + 1, SYMBOL])


def test_a_stale_price_is_no_price() -> None:
    dates = sessions_between(day("2015-01-02"), day("2017-12-29"))
    stops = dates < day("2016-06-01")
    bars = pl.concat(
        [frame("A", dates, np.linspace(10, 20, len(dates))), frame("B", dates[stops], np.full(stops.sum(), 5.0))]
    )
    decisions = decision_dates(dates[0], dates[-1])
    history = BarHistory.of(bars, MARKET, decisions, stale_sessions=5)
    assert history.listed[:, 0].all()
    np.testing.assert_array_equal(history.listed[:, 1], decisions < day("2016-06-01"))


def test_a_bar_known_late_hides_itself_and_those_after_until_then() -> None:
    dates = sessions_between(day("2015-01-02"), day("2016-12-30"))
    rows = frame("A", dates, np.arange(1.0, len(dates) + 1))
    late = pl.col("date") == np.datetime64("2015-03-27").item()
    published = pl.lit(np.datetime64("2015-04-15T12:00", "us").item()).dt.replace_time_zone("UTC")
    rows = rows.with_columns(pl.when(late).then(published).otherwise(pl.col("known_at")).alias("known_at"))
    decisions = decision_dates(dates[0], dates[-1])
    history = BarHistory.of(rows, MARKET, decisions, stale_sessions=5)
    close = history.lag(history.close)
    assert close[0, 0] == np.searchsorted(dates, day("2015-03-27"))
    assert close[1, 0] == np.searchsorted(dates, decisions[1]) + 1
