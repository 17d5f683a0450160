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
    assert value("beta") == pytest.approx(pair[0, 1] / pair[1, 1], rel=1e-11)


def test_levels_and_dollars_traded() -> None:
    close, volume = past("close"), past("volume")
    assert value("Close") == close[-1]
    assert value("Volume") == volume[-1]
    assert value("dollar_volume") == pytest.approx((close * volume)[-63:].mean(), rel=1e-12)
    impact = np.abs(close[1:] / close[:-1] - 1) / (close * volume)[1:]
    assert value("illiquidity") == pytest.approx(impact[-63:].mean() * 1e9, rel=1e-12)


# 253 sessions worked by hand: the close is 100, but 80 on the first day, 125 on one in the middle of the year, and 90,
# 99, 108.9 on the last three. Volume is 1,000 a day, 400 on the last. The market rises by half of what the stock does.
HAND_CLOSE = [80.0, *[100.0] * 100, 125.0, *[100.0] * 148, 90.0, 99.0, 108.9]
HAND_VOLUME = [1000.0] * 252 + [400.0]
BY_HAND = {
    "Close": 108.9,
    "Close_diff_MA_7": 108.9 / ((4 * 100 + 90 + 99 + 108.9) / 7) - 1,
    "Close_diff_MA_30": 108.9 / ((27 * 100 + 90 + 99 + 108.9) / 30) - 1,
    "Close_diff_MA_90": 108.9 / ((87 * 100 + 90 + 99 + 108.9) / 90) - 1,
    "Close_diff_MA_180": 108.9 / ((176 * 100 + 125 + 90 + 99 + 108.9) / 180) - 1,
    "price_change_term_7": 0.089,
    "price_change_term_30": 0.089,
    "price_change_term_120": 0.089,
    "price_change_term_240": 0.089,
    "momentum_12_1": 0.25,
    # Of 63 returns 60 are 0 and the others -0.1, 0.1, 0.1: their mean is 0.1 / 63.
    "realised_volatility": ((0.03 - 0.01 / 63) / 62 * 252) ** 0.5,
    "drawdown": 108.9 / 125 - 1,
    "beta": 2.0,
    "Volume": 400.0,
    "Volume_diff_MA_7": 400 / (6400 / 7) - 1,
    "Volume_diff_MA_30": 400 / (29_400 / 30) - 1,
    "Volume_diff_MA_90": 400 / (89_400 / 90) - 1,
    "Volume_diff_MA_180": 400 / (179_400 / 180) - 1,
    "dollar_volume": (60 * 100_000 + 90_000 + 99_000 + 43_560) / 63,
    "illiquidity": (0.1 / 90_000 + 0.1 / 99_000 + 0.1 / 43_560) / 63 * 1e9,
}


@pytest.mark.parametrize("name", BY_HAND)
def test_every_price_and_volume_column_worked_by_hand(name: str) -> None:
    dates = sessions_between(day("2015-01-02"), day("2016-12-30"))
    end = int(np.searchsorted(dates, day("2016-06-30"))) + 1
    sessions = dates[end - 253 : end]
    close = np.array(HAND_CLOSE)
    level = 1000 * np.cumprod(np.append(1.0, 1 + (close[1:] / close[:-1] - 1) / 2))
    index = frame("I", sessions, level).select("date", pl.col("close").alias("value"), "known_at")
    bars = frame("A", sessions, close, np.array(HAND_VOLUME))
    at = np.array([day("2016-06-30")])
    history = BarHistory.of(bars, index, at, stale_sessions=5)
    got = feature(name).compute(Sources(at, history.symbols, history, Tables(bars, index)))
    assert got[0, 0] == pytest.approx(BY_HAND[name], rel=1e-12)


def test_no_price_or_volume_column_is_left_out_of_what_is_worked_by_hand() -> None:
    declared = {name for name, column in catalogue().items() if column.family in {"price", "volume"}}
    assert {name for name in declared if not name.startswith("delta_")} == set(BY_HAND)


def test_a_later_split_changes_no_ratio_to_the_last_bit() -> None:
    halved = BARS.with_columns(pl.col("close") / 2, pl.col("volume") * 2)
    history = BarHistory.of(halved, MARKET, DATES, 5)
    sources = Sources(DATES, history.symbols, history, Tables(halved, MARKET))
    for name, column in catalogue().items():
        if column.family in {"price", "volume"} and name not in {"Close", "Volume"}:
            np.testing.assert_array_equal(column.compute(sources), column.compute(SOURCES), err_msg=name)


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
    assert {"delta_Close", "delta_Volume", "delta_dollar_volume"} <= set(names)


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
    assert not [name for name in panel.features if "olume" in name or "illiquid" in name]
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
