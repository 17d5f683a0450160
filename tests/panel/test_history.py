"""Windows of bars against plain loops, and what they may not know."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from market import frame

from alfred.core.calendar import day, decision_dates, sessions_between
from alfred.core.errors import DataError
from alfred.panel import _windows_of_bars as windows
from alfred.panel.history import BarHistory, relative

SESSIONS = sessions_between(day("2018-01-02"), day("2018-12-31"))
DATES = decision_dates(SESSIONS[0], SESSIONS[-1])
LENGTH = 20


def market(seed: int, lag_days: int = 0) -> pl.DataFrame:
    level = 1000 * np.exp(np.random.default_rng(seed).normal(0, 0.01, len(SESSIONS)).cumsum())
    rows = frame("I", SESSIONS, level).select("date", pl.col("close").alias("value"), "known_at")
    return rows.with_columns(pl.col("known_at").dt.offset_by(f"{lag_days}d"))


def random_bars(seed: int, missing: float, names: str = "ABC") -> pl.DataFrame:
    """Bars with missing values, sessions without a bar, and, but for A's, listings and ends within the year."""
    rng = np.random.default_rng(seed)
    frames = []
    for name in names:
        first, last = (
            np.sort(rng.integers(0, len(SESSIONS), 2)) if name != "A" and rng.random() < 0.5 else (0, len(SESSIONS))
        )
        traded = SESSIONS[first:last][rng.random(last - first) > 0.1]
        close = 50 * np.exp(rng.normal(0, 0.03, len(traded)).cumsum())
        volume = rng.integers(0, 4, len(traded)) * 1000.0
        close[rng.random(len(traded)) < missing] = np.nan
        volume[rng.random(len(traded)) < missing] = np.nan
        frames.append(frame(name, traded, close, volume))
    return pl.concat([rows for rows in frames if len(rows)])


def history_of(bars: pl.DataFrame, index: pl.DataFrame) -> BarHistory:
    return BarHistory.of(bars, index, DATES, stale_sessions=5)


def everything(history: BarHistory) -> dict[str, np.ndarray]:
    return {
        "lag": history.lag(history.close, LENGTH),
        "mean": history.mean(history.volume, LENGTH),
        "highest": history.highest(history.close, LENGTH),
        "dollar_volume": history.dollar_volume(LENGTH),
        "volatility": history.volatility(LENGTH),
        "illiquidity": history.illiquidity(LENGTH),
        "beta": history.beta(LENGTH),
    }


def plainly(bars: pl.DataFrame, index: pl.DataFrame, symbol: str, date: np.datetime64) -> dict[str, float]:
    """The same values from the rows alone, by Python's own arithmetic."""
    rows = [row for row in bars.filter(pl.col("symbol") == symbol).iter_rows(named=True) if row["date"] <= date.item()]
    level = dict(index.select("date", "value").iter_rows())
    recent = sessions_between(SESSIONS[0], date)[-6:]
    nothing = dict.fromkeys(everything_names(), float("nan"))
    if not rows or rows[-1]["date"] < recent[0].item() or len(rows) < LENGTH:
        return nothing
    close, volume = [row["close"] for row in rows], [row["volume"] for row in rows]
    last = range(len(rows) - LENGTH, len(rows))
    dollars = [close[at] * volume[at] for at in last]
    result = nothing | {
        "mean": sum(volume[at] for at in last) / LENGTH,
        "highest": sum(close[at] for at in last) * 0 + max(close[at] for at in last),
        "dollar_volume": sum(dollars) / LENGTH,
    }
    if len(rows) == LENGTH:
        return result
    change = [close[at] / close[at - 1] - 1 for at in last]
    whole = [level[rows[at]["date"]] / level[rows[at - 1]["date"]] - 1 for at in last]
    own, common = sum(change) / LENGTH, sum(whole) / LENGTH
    together = sum((a - own) * (b - common) for a, b in zip(change, whole, strict=True))
    impact = [abs(a) / b for a, b in zip(change, dollars, strict=True) if b != 0]
    return result | {
        "lag": close[-1 - LENGTH],
        "volatility": (sum((a - own) ** 2 for a in change) / (LENGTH - 1)) ** 0.5,
        "illiquidity": sum(impact) / len(impact) if impact else float("nan"),
        "beta": together / sum((b - common) ** 2 for b in whole),
    }


def everything_names() -> tuple[str, ...]:
    return ("lag", "mean", "highest", "dollar_volume", "volatility", "illiquidity", "beta")


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.01, 0.1]))
def test_every_window_is_what_a_plain_loop_gives(seed: int, missing: float) -> None:
    bars, index = random_bars(seed, missing), market(seed)
    history = history_of(bars, index)
    got = everything(history)
    for place, symbol in enumerate(history.symbols):
        for at, date in enumerate(DATES):
            expected = plainly(bars, index, symbol, date)
            for name, values in got.items():
                np.testing.assert_allclose(
                    values[at, place], expected[name], rtol=1e-9, atol=1e-15, err_msg=f"{name} of {symbol} on {date}"
                )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_a_value_depends_on_its_own_window_to_the_last_bit(seed: int) -> None:
    """Before the window, after the date, and in other symbols anything may stand, missing values included."""
    bars, index = random_bars(seed, 0.0), market(seed)
    mine = history_of(bars, index)
    at, first = len(DATES) // 2, mine.ends[len(DATES) // 2] - LENGTH
    rng = np.random.default_rng(seed)
    for place in np.flatnonzero(mine.listed[at] & (first >= mine.starts)):
        outside = np.ones(len(bars), np.bool_)
        outside[first[place] : mine.ends[at, place] + 1] = False
        noise = np.where(rng.random(len(bars)) < 0.2, np.nan, np.exp(rng.normal(0, 5, len(bars))))
        changed = bars.with_columns(
            pl.Series(name, np.where(outside, noise, bars[name].to_numpy())) for name in ("close", "volume")
        )
        start = bars["date"][int(first[place])]
        elsewhere = (pl.col("date") < start) | (pl.col("date") > DATES[at].item())
        other_index = index.with_columns(pl.when(elsewhere).then(pl.col("value") * 3).otherwise(pl.col("value")))
        theirs = everything(history_of(changed, other_index))
        for name, values in everything(mine).items():
            np.testing.assert_array_equal(values[at, place], theirs[name][at, place], err_msg=name)


def test_threads_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    bars, index = random_bars(3, 0.01, "ABCDEFG"), market(3)
    alone = history_of(bars, index)
    expected = everything(alone)
    monkeypatch.setattr(windows, "THREADS", 3)
    monkeypatch.setattr(windows, "SYMBOLS_A_THREAD", 2)
    together = history_of(bars, index)
    np.testing.assert_array_equal(together.ends, alone.ends)
    for name, values in everything(together).items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)


@pytest.mark.parametrize("kind", [pl.Categorical, pl.Enum(["C", "B", "A"])])
def test_symbols_may_be_categories(kind: pl.DataType) -> None:
    bars, index = random_bars(1, 0.0), market(1)
    plain, categories = history_of(bars, index), history_of(bars.with_columns(pl.col("symbol").cast(kind)), index)
    assert categories.symbols == plain.symbols == ("A", "B", "C")
    np.testing.assert_array_equal(categories.ends, plain.ends)


def test_an_index_known_a_day_late_ends_its_windows_a_session_earlier() -> None:
    bars = frame("A", SESSIONS, market(5)["value"].to_numpy() ** 2)
    late = history_of(bars, market(0, lag_days=1))
    hidden = market(0).with_columns(pl.when(~pl.col("date").is_in(DATES.tolist())).then(pl.col("value")).alias("value"))
    beta = late.beta(LENGTH)
    assert np.isfinite(beta).all()
    close, level = bars["close"].to_numpy(), market(0)["value"].to_numpy()
    for at, date in enumerate(DATES):
        stop = int(np.searchsorted(SESSIONS, date))
        own, whole = (x[stop - LENGTH : stop] / x[stop - LENGTH - 1 : stop - 1] - 1 for x in (close, level))
        pair = np.cov(own, whole)
        assert beta[at, 0] == pytest.approx(pair[0, 1] / pair[1, 1], rel=1e-9)
    np.testing.assert_array_equal(history_of(bars, hidden).beta(LENGTH), beta)
    assert np.isnan(history_of(bars, market(0, lag_days=30)).beta(LENGTH)).all()
    assert np.isnan(history_of(bars, market(0).clear()).beta(LENGTH)).all()


def test_days_before_1970_are_days() -> None:
    sessions = sessions_between(day("1965-01-04"), day("1965-12-31"))
    level = np.exp(np.random.default_rng(0).normal(0, 0.01, len(sessions)).cumsum())
    index = frame("I", sessions, level).select("date", pl.col("close").alias("value"), "known_at")
    dates = decision_dates(sessions[0], sessions[-1])
    history = BarHistory.of(frame("A", sessions, level), index, dates, stale_sessions=5)
    assert history.listed.all()
    np.testing.assert_allclose(history.beta(LENGTH), 1.0, rtol=1e-12)


def test_bars_in_chunks_are_one_history() -> None:
    bars, index = random_bars(2, 0.05), market(2)
    parts = pl.concat([bars[at : at + 50] for at in range(0, len(bars), 50)], rechunk=False)
    assert parts.n_chunks() > 1
    for name, values in everything(history_of(parts, index)).items():
        np.testing.assert_array_equal(values, everything(history_of(bars, index))[name])


def test_a_history_cannot_be_written_to() -> None:
    history = history_of(random_bars(0, 0.0), market(0))
    for array in (history.close, history.ends, history.day, history.last_close):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_what_is_not_sorted_is_refused() -> None:
    bars, index = random_bars(0, 0.0), market(0)
    with pytest.raises(DataError, match="bars must be sorted by symbol and date; sort them"):
        history_of(bars.reverse(), index)
    with pytest.raises(DataError, match="with one bar a session; name the source"):
        history_of(pl.concat([bars, bars]).sort("symbol", "date"), index)
    with pytest.raises(DataError, match="there are no bars"):
        history_of(bars.clear(), index)


def test_a_relative_change_is_never_infinite() -> None:
    changes = relative(np.array([3.0, 1.0, 0.0, np.nan]), np.array([2.0, 0.0, 0.0, 1.0]))
    np.testing.assert_array_equal(changes, [0.5, np.nan, np.nan, np.nan])


def test_the_benchmark_runs_and_finds_pandas_and_polars_equal() -> None:
    script = Path(__file__).parents[2] / "benchmarks" / "panel.py"
    done = subprocess.run([sys.executable, str(script), "bars", "--quick"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for row in ("| Alfred |", "| pandas |", "| polars |", "| 40 |"):
        assert row in done.stdout


def test_the_benchmark_of_the_complete_catalogue_runs_on_all_tables() -> None:
    script = Path(__file__).parents[2] / "benchmarks" / "panel.py"
    command = [sys.executable, str(script), "complete", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "columns; 0 missing" in done.stdout
