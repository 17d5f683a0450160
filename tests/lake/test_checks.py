import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from bar_rows import bars, sessions, walk
from hypothesis import given, settings
from hypothesis import strategies as st

from alfred.core.errors import ConfigError, DataError
from alfred.lake.quality import QualitySettings, all_checks, load_quality, run_checks

SHARED = Path(__file__).parents[3] / "shared" / "data"
BOUNDS = QualitySettings()


def found(rows: pl.DataFrame, check: str, actions: pl.DataFrame | None = None) -> list[int]:
    """Positions in `rows` that a check finds, alone or beside others."""
    hits = run_checks(rows, actions, BOUNDS).filter(pl.col("check") == check)
    return sorted(hits["row"])


def action(symbol: str, date: dt.date, kind: str, **values: float) -> pl.DataFrame:
    row = {"symbol": symbol, "date": date, "kind": kind, "source": "test", **values}
    return pl.DataFrame([row]).with_columns(pl.lit(dt.datetime(2020, 1, 1, tzinfo=dt.UTC)).alias("known_at"))


def replaced(closes: list[float], **at: float) -> list[float]:
    return [at.get(f"d{day}", close) for day, close in enumerate(closes)]


def test_ordinary_prices_are_silent() -> None:
    closes = walk(300)
    rows = bars(
        "A", closes, open=closes, high=[c * 1.01 for c in closes], low=[c * 0.99 for c in closes], adj_close=closes
    )
    assert run_checks(rows, None, BOUNDS).is_empty()


def test_every_check_has_a_name_of_its_own_a_rule_and_a_docstring() -> None:
    checks = all_checks()
    assert len({check.name for check in checks}) == len(checks)
    for check in checks:
        assert check.rule.endswith(".")
        assert check.find.__doc__


def test_every_check_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "data-quality.md").read_text()
    for check in all_checks():
        assert f"`{check.name}`" in text
        assert check.action in text
    for name in QualitySettings.model_fields:
        assert f"`{name}`" in text


# --- single rows


def test_a_row_without_a_close_is_found() -> None:
    assert found(bars("A", [1.0, None, float("nan"), 1.1]), "null-row") == [1, 2]


def test_prices_not_above_zero_are_found_and_an_open_of_zero_only_noted() -> None:
    rows = bars("A", [1.0, 0.0, 1.0, 1.0, 1.0], low=[1.0, 0.0, -1.0, 1.0, 1.0], open=[1.0, 1.0, 1.0, 0.0, -2.0])
    assert found(rows, "price-not-positive") == [1, 2, 4]
    assert found(rows, "no-open") == [3]
    reasons = run_checks(rows, None, BOUNDS).filter(pl.col("check") == "price-not-positive")["reason"]
    assert reasons[0] == "low is 0.0, close is 0.0: prices are above zero"


@pytest.mark.parametrize("column", ["open", "high", "low", "close", "adj_close", "volume"])
def test_infinite_values_are_refused_and_nan_is_noted(column: str) -> None:
    values: dict[str, list[float]] = {
        "open": [1.0] * 4, "high": [1.0] * 4, "low": [1.0] * 4, "adj_close": [1.0] * 4, "volume": [5.0, 6.0, 7.0, 8.0]
    }  # fmt: skip
    closes = [1.0] * 4
    odd = closes if column == "close" else values[column]
    odd[1:] = [float("inf"), float("-inf"), float("nan")]
    rows = bars("A", closes, **values)
    assert found(rows, "infinite-value") == [1, 2]
    assert found(rows, "not-a-number") == [3]
    assert found(rows, "null-row") == ([3] if column == "close" else [])


def test_a_negative_volume_and_an_adjusted_close_of_zero_or_less_are_refused() -> None:
    rows = bars("A", [1.0, 1.1, 1.2, 1.3], volume=[1.0, -1.0, 2.0, 3.0], adj_close=[1.0, 1.0, 0.0, -0.1])
    assert found(rows, "negative-volume") == [1]
    assert found(rows, "price-not-positive") == [2, 3]


def test_a_high_below_the_low_and_a_close_outside_them_are_found_beyond_rounding() -> None:
    rows = bars("A", [10.0, 10.0, 10.5, 10.004], high=[10.1, 9.0, 10.1, 10.0], low=[9.9, 9.5, 9.9, 9.9])
    assert found(rows, "high-below-low") == [1, 2]


def test_dates_without_a_session_are_found() -> None:
    rows = bars("A", [1.0] * 3).with_columns(
        pl.Series("date", [dt.date(2020, 1, 4), dt.date(2020, 1, 20), dt.date(2020, 1, 21)])
    )
    assert found(rows, "off-calendar") == [0, 1]  # a Saturday and Martin Luther King's day
    early = rows.with_columns(pl.Series("date", [dt.date(1950, 1, 7), dt.date(1950, 1, 9), dt.date(1950, 1, 10)]))
    assert found(early, "off-calendar") == []


def test_rows_after_the_delisting_are_found_and_its_own_day_is_not() -> None:
    rows = bars("A", [1.0, 1.1, 1.2, 1.3])
    assert found(rows, "after-delisting", action("A", sessions(4)[1], "delisting")) == [2, 3]
    assert found(rows, "after-delisting", action("B", sessions(4)[1], "delisting")) == []
    assert found(rows, "after-delisting", action("A", sessions(4)[1], "dividend")) == []


def test_trading_that_resumes_long_after_a_delisting_is_another_companys() -> None:
    old, other = bars("A", walk(6)), bars("A", walk(6), first=dt.date(2021, 3, 1))
    gone = action("A", sessions(4)[3], "delisting")
    rows = pl.concat([old, other])
    assert found(rows, "after-delisting", gone) == [4, 5]
    assert found(rows, "ticker-reuse", gone) == [6]
    assert found(other, "ticker-reuse", gone) == [0]
    soon = pl.concat([old, bars("A", walk(6), first=dt.date(2020, 2, 10))])
    assert found(soon, "after-delisting", gone) == list(range(4, 12))


def test_a_volume_of_zero_is_noted_and_absent_volume_is_not() -> None:
    rows = bars("A", [1.0, 1.1, 1.2], volume=[5.0, 0.0, None])
    assert found(rows, "no-volume") == [1]


# --- several rows of one date


def test_of_two_rows_of_one_date_the_one_with_more_volume_stays() -> None:
    day = sessions(1)[0]
    rows = pl.concat(
        [bars("A", [10.0], volume=[900.0]), bars("A", [10.2], volume=[1000.0]), bars("A", [10.1], volume=[950.0])]
    )
    assert rows["date"].to_list() == [day] * 3
    assert found(rows, "duplicate-date") == [0, 2]
    assert found(rows.reverse(), "duplicate-date") == [0, 2]
    assert found(rows, "repeated-row") == []


def test_a_row_without_a_close_never_wins_against_one_with() -> None:
    rows = pl.concat([bars("A", [None], volume=[9000.0]), bars("A", [10.2], volume=[1.0])])
    assert found(rows, "duplicate-date") == [0]
    assert found(rows, "null-row") == []


def test_the_same_row_again_is_only_noted() -> None:
    rows = pl.concat([bars("A", [10.0, 10.1]), bars("A", [10.0])])
    assert len(found(rows, "repeated-row")) == 1
    assert found(rows, "duplicate-date") == []


# --- stale quotes and spikes


def test_one_close_without_trading_is_stale_from_eight_sessions_on() -> None:
    closes = [9.0, *[10.0] * 8, 11.0]
    assert found(bars("A", closes, volume=[500.0, 600.0, *[0.0] * 7, 600.0]), "flat-quotes") == list(range(2, 9))
    assert found(bars("A", closes[1:], volume=[600.0, *[0.0] * 6, 700.0, 600.0]), "flat-quotes") == []
    assert found(bars("A", closes, volume=[500.0, 600.0, *[600.0] * 7, 700.0]), "flat-quotes") == list(range(2, 9))


def test_one_close_with_trading_is_stale_from_twenty_sessions_on() -> None:
    assert found(bars("A", [10.0] * 19), "flat-quotes") == []
    assert found(bars("A", [10.0] * 20), "flat-quotes") == list(range(1, 20))


def test_without_volume_a_run_must_be_far_longer() -> None:
    assert found(bars("A", [10.0] * 99, volume=[None] * 99), "flat-quotes") == []
    assert found(bars("A", [10.0] * 100, volume=[None] * 100), "flat-quotes") == list(range(1, 100))


def test_stale_quotes_that_come_by_a_jump_go_with_their_first_row_and_the_collapse_stays() -> None:
    """SIVB in small: 106.04, halted, 0.40, and a year later the old quote as if nothing had happened."""
    closes = [250.0, 106.04, *[106.04] * 10, 0.40, 0.895, 0.905, *[106.04] * 12]
    volume = [5e5, 3.6e7, *[0.0] * 10, 8.4e7, 5.5e7, 3e7, 0.0, *[11485729.0] * 11]
    rows = bars("SIVB", closes, volume=volume)
    assert found(rows, "flat-quotes") == [*range(2, 12), *range(15, 27)]
    assert found(rows, "unexplained-jump") == [12]
    assert found(rows, "spike") == []


def test_two_symbols_with_one_close_are_two_runs() -> None:
    rows = pl.concat([bars("A", [10.0] * 5, volume=[0.0] * 5), bars("B", [10.0] * 5, volume=[0.0] * 5)])
    assert found(rows, "flat-quotes") == []


def test_a_spike_is_told_apart_from_a_collapse_that_stays() -> None:
    closes = walk(40)
    spiked = bars("A", replaced(closes, d20=closes[20] / 10, d21=closes[21] / 10))
    assert found(spiked, "spike") == [20, 21]
    assert found(spiked, "unexplained-jump") == []
    collapsed = bars("A", [close / 10 if day >= 20 else close for day, close in enumerate(closes)])
    assert found(collapsed, "spike") == []
    assert found(collapsed, "unexplained-jump") == [20]
    assert found(bars("A", replaced(closes, d20=closes[20] / 2)), "spike") == []


def test_where_the_price_comes_back_to_a_quote_that_nobody_traded_the_quote_is_the_spike() -> None:
    """YIN in small: a real fall, one stale quote at the old level, and the fall again."""
    closes = [44.0, 44.5, 44.3, 13.5, 43.64, 13.9, 13.7, 13.8]
    assert found(bars("YIN", closes, volume=[10.0, 20.0, 15.0, 2e6, 0.0, 1e5, 2e5, 3e4]), "spike") == [4]


# --- breaks


def test_a_jump_that_an_action_explains_is_silent() -> None:
    closes = [close / 5 if day >= 20 else close for day, close in enumerate(walk(40))]
    day = sessions(40)[20]
    assert found(bars("A", closes), "unexplained-jump") == [20]
    assert found(bars("A", closes), "unexplained-jump", action("A", day, "dividend", amount=0.3)) == [20]
    paid = closes[19] - closes[20]
    assert found(bars("A", closes), "unexplained-jump", action("A", day, "dividend", amount=paid)) == []
    assert found(bars("A", closes), "unexplained-jump", action("A", day, "split", ratio=5.0)) == []
    assert found(bars("A", closes), "basis-change", action("A", day, "split", ratio=5.0)) == [20]


def test_a_split_that_closes_carry_is_silent() -> None:
    rows = bars("A", walk(40))
    assert run_checks(rows, action("A", sessions(40)[20], "split", ratio=4.0), BOUNDS).is_empty()


def test_close_and_adjusted_close_that_part_are_a_change_of_basis() -> None:
    closes = walk(40)
    raw = [close * 4 if day < 20 else close for day, close in enumerate(closes)]
    assert found(bars("A", raw, adj_close=closes), "basis-change") == [20]
    dividend = [close * 0.97 if day < 20 else close for day, close in enumerate(closes)]
    assert found(bars("A", closes, adj_close=dividend), "basis-change") == []


def spun_off(volume_on_the_day: float) -> pl.DataFrame:
    closes = [close * 0.81 if day >= 20 else close for day, close in enumerate(walk(40))]
    volume = [1000.0 + 7 * (day % 5) for day in range(40)]
    volume[20] = volume_on_the_day
    return bars("T", closes, open=closes, adj_close=closes, volume=volume)


def test_an_unadjusted_spin_off_is_a_change_of_basis_and_news_is_not() -> None:
    assert found(spun_off(2900.0), "basis-change") == [20]
    assert found(spun_off(9000.0), "basis-change") == []


def test_over_many_days_a_change_of_level_is_no_gap_overnight() -> None:
    rows = spun_off(2900.0)
    parted = pl.concat([rows[:20], rows[20:].with_columns(pl.Series("date", sessions(20, dt.date(2020, 2, 20))))])
    assert found(parted, "basis-change") == []


def test_a_long_gap_and_another_level_may_be_another_company() -> None:
    before, after = bars("A", walk(10)), bars("A", walk(10, start=8.0), first=dt.date(2021, 3, 1))
    assert found(pl.concat([before, after]), "ticker-reuse") == [10]
    again = bars("A", walk(10), first=dt.date(2021, 3, 1))
    assert found(pl.concat([before, again]), "ticker-reuse") == []


# --- all together


def test_settings_switch_and_move_checks() -> None:
    rows = bars("A", [1.0, None, 1.1])
    assert run_checks(rows, None, QualitySettings(actions={"null-row": "off"})).is_empty()
    assert run_checks(rows, None, QualitySettings(actions={"null-row": "warn"}))["action"].to_list() == ["warn"]
    flat = bars("A", [10.0] * 10)
    assert len(run_checks(flat, None, QualitySettings(flat_sessions=10))) == 9
    with pytest.raises(ConfigError, match="there is no check 'flat-quote'; did you mean 'flat-quotes'"):
        QualitySettings.parse({"actions": {"flat-quote": "off"}}, "quality.toml")


def test_settings_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "quality.toml"
    assert load_quality(None) == load_quality(path) == QualitySettings()
    path.write_text('flat_sessions = 30\n[actions]\nspike = "warn"\n')
    assert load_quality(path) == QualitySettings(flat_sessions=30, actions={"spike": "warn"})
    path.write_text("flat_session = 30\n")
    with pytest.raises(
        ConfigError, match=r"quality\.toml: unknown setting 'flat_session', did you mean 'flat_sessions'"
    ):
        load_quality(path)
    path.write_text("flat_sessions = \n")
    with pytest.raises(ConfigError, match=r"quality\.toml is no readable TOML file"):
        load_quality(path)


def test_the_context_holds_the_longest_run() -> None:
    assert BOUNDS.context_days == 170
    assert QualitySettings(flat_sessions=200).context_days == 320
    assert QualitySettings(reuse_days=500).context_days == 500


def test_bars_without_the_columns_are_refused() -> None:
    with pytest.raises(DataError, match=r"lack the column\(s\) close"):
        run_checks(bars("A", [1.0]).drop("close"), None, BOUNDS)
    with pytest.raises(DataError, match="rows without a symbol or a date"):
        run_checks(bars("A", [1.0]).with_columns(pl.lit(None, pl.Date).alias("date")), None, BOUNDS)


def test_no_rows_have_no_findings() -> None:
    assert run_checks(bars("A", [1.0]).clear(), None, BOUNDS).is_empty()


PRICE = st.one_of(st.none(), st.sampled_from([0.0, 0.1, 5.0, 10.0, 10.0, 10.0, 50.0, -1.0]))


@settings(max_examples=20, deadline=None)
@given(
    closes=st.lists(PRICE, min_size=1, max_size=40),
    volumes=st.lists(st.sampled_from([0.0, 100.0, 200.0, None]), min_size=40, max_size=40),
    repeats=st.lists(st.integers(0, 39), max_size=6),
    seed=st.integers(0, 99),
)
def test_findings_do_not_depend_on_the_order_of_rows(
    closes: list[float | None], volumes: list[float | None], repeats: list[int], seed: int
) -> None:
    rows = bars("A", closes, volume=volumes[: len(closes)], open=closes, adj_close=closes)
    other = pl.concat([rows, bars("B", list(reversed(closes)))], how="diagonal")
    extra = other[[at % len(other) for at in repeats]].with_columns(pl.col("volume") + 1)
    whole = pl.concat([other, extra])
    first = run_checks(whole, None, BOUNDS).drop("row")
    assert first.equals(run_checks(whole.sample(fraction=1, shuffle=True, seed=seed), None, BOUNDS).drop("row"))


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder shared/data is not beside the repository")
def test_real_prices() -> None:
    """398 large caps are almost silent through 2000 and 2008; 2,305 small ones of 2015 to 2017 are not."""
    large = run_checks(pl.read_parquet(SHARED / "prices_us_large_2000_2018.parquet"), None, BOUNDS)
    taken = large.filter(pl.col("action") == "quarantine")
    assert set(taken["symbol"]) == {"AMCR", "NTES"}  # not traded in the USA then; halted for four months of 2001
    assert len(large.filter(pl.col("check") == "basis-change")) < 30
    assert large.filter(pl.col("check").is_in(["spike", "unexplained-jump", "ticker-reuse"])).is_empty()
    broad = run_checks(pl.read_parquet(SHARED / "prices_us_broad_2015_2017.parquet"), None, BOUNDS)
    flat = broad.filter((pl.col("symbol") == "DSKX") & (pl.col("check") == "flat-quotes"))
    assert len(flat) == 183  # of 184 sessions at 0.67 the first stays
    assert set(broad["check"]) >= {"flat-quotes", "spike", "unexplained-jump", "basis-change", "ticker-reuse"}
