import datetime as dt
import json
from pathlib import Path

import polars as pl
import pytest
from bar_rows import bars, sessions, walk

from alfred.core.errors import ConfigError, DataError
from alfred.lake.contracts import Batch, Rejected
from alfred.lake.ingest import admit, check_lake, ensure, release
from alfred.lake.quality import QualitySettings
from alfred.lake.store import Lake

LATE = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)


def stored(lake: Lake, name: str) -> pl.DataFrame:
    """The newest version of a table, whatever it holds."""
    return pl.read_delta(str(Path(lake.root) / name))


def batch(*frames: pl.DataFrame) -> list[Batch]:
    return [Batch("bars", pl.concat(frames, how="diagonal"))]


def delisted(symbol: str, date: dt.date) -> Batch:
    row = {"symbol": symbol, "date": date, "kind": "delisting", "known_at": LATE, "source": "test"}
    return Batch("actions", pl.DataFrame([row]))


DIRTY = bars("A", [10.0, None, 10.2, -1.0, 10.4])


def test_good_rows_are_written_and_bad_ones_kept_aside_with_the_original(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    admission = admit(lake, batch(DIRTY))
    assert admission.quarantined == {"null-row": 1, "price-not-positive": 1}
    assert [report.inserted for report in admission] == [3]
    assert lake.asof(LATE).bars()["close"].to_list() == [10.0, 10.2, 10.4]
    record = stored(lake, "quarantine").filter(pl.col("check") == "price-not-positive").row(0, named=True)
    assert json.loads(record["row"])["close"] == -1.0
    assert json.loads(record["row"])["source"] == "test"
    assert (record["symbol"], record["date"], record["released"]) == ("A", sessions(4)[3], False)
    assert record["reason"] == "close is -1.0: prices are above zero"
    assert str(admission) == ("bars: 3 rows new, 0 changed, 0 as before; quarantined: 1 null-row, 1 price-not-positive")


def test_the_same_batch_again_changes_nothing_and_says_so(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    rows = batch(DIRTY, DIRTY[:1].with_columns(pl.lit(9.9).alias("close")), DIRTY[4:], bars("B", [5.0] * 30))
    first = admit(lake, rows)
    versions = lake.versions()
    again = admit(lake, rows)
    assert first.changed
    assert not again.changed
    assert str(again) == "nothing new, 4 rows were there already"
    assert lake.versions() == versions
    assert again.quarantined == first.quarantined
    assert again.warned == first.warned == {"repeated-row": 1}


def test_good_data_leave_no_quarantine_behind(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    admit(lake, batch(bars("A", walk(50))))
    assert lake.versions() == {"bars": 0}


def test_rows_turn_out_wrong_when_later_ones_come_and_leave_the_table(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    rows = bars("A", [9.0, *[10.0] * 12, 11.0], volume=[5.0, 6.0, *[0.0] * 11, 7.0])
    for day in range(len(rows)):
        admission = admit(lake, batch(rows[day : day + 1]))
        if day == 8:
            assert admission.quarantined == {"flat-quotes": 7}
            assert admission.removed == 6
    at_once = Lake(tmp_path / "at-once")
    admit(at_once, batch(rows))
    assert lake.asof(LATE).bars()["close"].to_list() == [9.0, 10.0, 11.0]
    assert lake.asof(LATE).bars().equals(at_once.asof(LATE).bars())
    key = ["row_key", "check", "row"]
    assert stored(lake, "quarantine").select(key).sort(key).equals(stored(at_once, "quarantine").select(key).sort(key))


def test_a_spike_leaves_the_table_when_the_price_has_come_back(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    closes = walk(40)
    closes[20] /= 10
    rows = bars("A", closes)
    warned = admit(lake, batch(rows[:21]))
    assert warned.warned == {"unexplained-jump": 1}
    admission = admit(lake, batch(rows[21:]))
    assert admission.quarantined == {"spike": 1}
    assert admission.removed == 1
    assert len(lake.asof(LATE).bars()) == 39


def test_a_gap_longer_than_the_context_is_seen(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    admit(lake, batch(bars("A", walk(10))))
    admission = admit(lake, batch(bars("A", [5.0], first=dt.date(2023, 1, 3))))
    assert admission.warned["ticker-reuse"] == 1


def test_a_delisting_that_comes_later_takes_out_the_rows_after_it(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    admit(lake, batch(bars("A", walk(10)), bars("B", walk(10))))
    admission = admit(lake, [delisted("A", sessions(10)[5])])
    assert admission.quarantined == {"after-delisting": 4}
    assert admission.removed == 4
    assert lake.asof(LATE).bars(["A"])["date"].max() == sessions(10)[5]
    assert len(lake.asof(LATE).bars(["B"])) == 10


def test_actions_of_the_same_call_are_known_to_the_checks_wherever_they_stand(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    admission = admit(lake, [*batch(bars("A", walk(10))), delisted("A", sessions(10)[5])])
    assert admission.quarantined == {"after-delisting": 4}
    assert admission.removed == 0


def test_a_corrected_row_is_taken_and_the_wrong_original_stays_on_record(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    admit(lake, batch(DIRTY))
    good = bars("A", [10.0, 10.1, 10.2, 10.3, 10.4])
    assert admit(lake, batch(good)).quarantined == {}
    assert lake.asof(LATE).bars()["close"].to_list() == [10.0, 10.1, 10.2, 10.3, 10.4]
    assert len(stored(lake, "quarantine")) == 2


def test_rows_without_a_key_and_keys_that_come_twice_are_kept_aside(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    nameless = bars("A", walk(3)).with_columns(
        pl.when(pl.col("date") == sessions(1)[0]).then(None).otherwise("symbol").alias("symbol")
    )
    assert admit(lake, batch(nameless)).quarantined == {"null-key": 1}
    instant = dt.datetime(2020, 1, 2, 21, tzinfo=dt.UTC)
    level = {"series": "^X", "date": dt.date(2020, 1, 2), "known_at": instant, "source": "test"}
    rows = pl.DataFrame([{**level, "value": 1.0}, {**level, "value": 2.0}, {**level, "value": 2.0}])
    admission = admit(lake, [Batch("series", rows)])
    assert admission.quarantined == {"duplicate-key": 1}
    assert lake.asof(LATE).series("^X")["value"].to_list() == [2.0]
    assert not admit(lake, [Batch("series", rows)]).changed


def test_what_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    page = Rejected("X.csv:1-3", "rows of prices were expected.", "<html>\n  sorry\n</html>")
    admission = admit(lake, [Batch("bars", pl.DataFrame(), (page,))])
    assert admission.rejected == 1
    finding = stored(lake, "findings").row(0, named=True)
    assert finding["check"] == "unreadable"
    assert finding["reason"] == "rows of prices were expected. Got: <html> sorry </html>"
    assert "bars" not in lake.versions()
    assert not admit(lake, [Batch("bars", pl.DataFrame(), (page,))]).changed


def test_a_batch_that_does_not_fit_its_table_writes_nothing(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    with pytest.raises(DataError, match="no column 'vloume'; did you mean 'volume'"):
        admit(lake, batch(bars("A", [1.0]).rename({"volume": "vloume"})))
    with pytest.raises(DataError, match="do not fit its types"):
        admit(lake, batch(bars("A", [1.0]).with_columns(pl.lit("x").alias("close"))))
    assert lake.versions() == {}


def test_released_rows_go_back_and_no_check_takes_them_out_again(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    rows = batch(bars("A", [5.0] * 30), bars("B", [5.0] * 30))
    admit(lake, rows)
    assert len(lake.asof(LATE).bars()) == 2
    assert release(lake, symbol="A", check="flat-quotes") == 29
    assert release(lake, symbol="A", check="flat-quotes") == 0
    assert len(lake.asof(LATE).bars(["A"])) == 30
    assert not admit(lake, rows).changed
    assert len(lake.asof(LATE).bars(["A"])) == 30
    assert len(lake.asof(LATE).bars(["B"])) == 1
    assert check_lake(lake).is_empty()
    assert release(lake, date=sessions(2)[1]) == 1
    with pytest.raises(ConfigError, match="release needs a symbol, a date or a check"):
        release(lake)


def test_a_released_copy_replaces_the_one_that_was_kept(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    rows = batch(bars("A", [10.0], volume=[9.0]), bars("A", [10.2], volume=[8.0]), bars("A", [10.1], volume=[7.0]))
    assert admit(lake, rows).quarantined == {"duplicate-date": 2}
    assert len(stored(lake, "quarantine")) == 2
    assert lake.asof(LATE).bars()["close"].to_list() == [10.0]
    assert release(lake, symbol="A") == 0  # the kept row is in the table
    assert release(lake, symbol="A", date=sessions(1)[0], check="duplicate-date") == 1
    replaced = lake.asof(LATE).bars()["close"].to_list()
    assert replaced != [10.0]
    assert not [report for report in admit(lake, rows) if report.updated]
    assert lake.asof(LATE).bars()["close"].to_list() == replaced


def test_a_refused_row_does_not_displace_the_stored_one(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    good = bars("A", walk(30))
    admit(lake, batch(good))
    bad = good[12:13].with_columns(pl.lit(None, pl.Float64).alias("close"))
    spiked = good[20:21].with_columns(pl.col("close") / 10)
    admission = admit(lake, batch(bad, spiked))
    assert admission.removed == 0
    assert admission.quarantined == {"null-row": 1, "spike": 1}
    assert lake.asof(LATE).bars()["close"].to_list() == good["close"].to_list()
    assert not admit(lake, batch(bad, spiked)).changed


def test_neighbours_are_judged_beside_the_stored_row_when_its_new_version_is_refused(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    rows = bars("A", [9.0, *[10.0] * 12, 11.0], volume=[5.0, 6.0, *[0.0] * 11, 7.0])
    admit(lake, batch(rows[:7]))
    broken = rows[4:5].with_columns(pl.lit(0.0).alias("close"))
    admission = admit(lake, batch(broken, rows[7:]))
    assert admission.quarantined == {"flat-quotes": 11, "price-not-positive": 1}
    assert lake.asof(LATE).bars()["close"].to_list() == [9.0, 10.0, 11.0]


def test_a_release_does_not_put_an_error_in_place_of_its_correction(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    admit(lake, batch(DIRTY))
    admit(lake, batch(bars("A", [10.0, 10.1, 10.2, 10.3, 10.4])))
    assert release(lake, symbol="A") == 0
    assert release(lake, check="price-not-positive") == 0
    assert lake.asof(LATE).bars()["close"].to_list() == [10.0, 10.1, 10.2, 10.3, 10.4]
    assert release(lake, date=sessions(4)[3], check="price-not-positive") == 1
    assert lake.asof(LATE).bars()["close"].to_list() == [10.0, 10.1, 10.2, -1.0, 10.4]


def test_a_release_holds_for_the_row_and_not_for_its_key(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    rows = bars("A", [*[10.0] * 25, 11.0])
    admit(lake, batch(rows))
    assert release(lake, symbol="A") == 24
    other = rows[5:6].with_columns(pl.lit(0.0).alias("close"))
    assert admit(lake, batch(other)).quarantined == {"price-not-positive": 1}
    assert len(lake.asof(LATE).bars().filter(pl.col("close") == 10.0)) == 25
    lake.write("bars", other)
    assert check_lake(lake)["check"].to_list().count("price-not-positive") == 1


def test_a_ticker_that_another_company_takes_over_keeps_its_bars_whole_and_day_by_day(tmp_path: Path) -> None:
    old, filled = bars("A", walk(5)), bars("A", [50.5] * 90, first=sessions(6)[5])
    later = bars("A", walk(5, seed=1), first=dt.date(2022, 3, 1))
    whole, daily = Lake(tmp_path / "whole"), Lake(tmp_path / "daily")
    expected = [*walk(5), *walk(5, seed=1)]
    for lake in (whole, daily):
        admit(lake, [delisted("A", sessions(5)[4])])
        admit(lake, batch(old))
    admission = admit(whole, batch(filled, later))
    assert admission.quarantined == {"after-delisting": 90}
    assert admission.warned == {"ticker-reuse": 1}
    for rows in (filled[:60], filled[60:89], filled[89:], *[later[at : at + 1] for at in range(5)]):
        admit(daily, batch(rows))
    for lake in (whole, daily):
        assert lake.asof(LATE).bars()["close"].to_list() == expected
        found = stored(lake, "findings")
        assert found.select("check", "date").rows() == [("ticker-reuse", dt.date(2022, 3, 1))]


def test_a_daily_fill_for_years_after_a_delisting_is_refused_to_the_end(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    rows = bars("A", walk(400))
    admit(lake, [delisted("A", sessions(5)[4])])
    admit(lake, batch(rows[:390]))
    for at in range(390, 393):
        assert admit(lake, batch(rows[at : at + 1])).quarantined == {"after-delisting": 1}
    assert len(lake.asof(LATE).bars()) == 5


def test_a_later_delisting_date_brings_back_what_the_old_one_refused(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    closes = [*walk(9), 0.0]
    admit(lake, [*batch(bars("A", closes)), delisted("A", sessions(4)[3])])
    assert len(lake.asof(LATE).bars()) == 4
    admit(lake, [delisted("A", sessions(8)[7])])
    assert lake.asof(LATE).bars()["close"].to_list() == closes[:8]
    assert not admit(lake, [delisted("A", sessions(8)[7])]).changed


def test_a_long_run_without_volume_is_found_day_by_day(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    rows = bars("A", [9.0, *[10.0] * 104, 11.0], volume=[None] * 106)
    for part in (rows[:50], rows[50:98], *[rows[at : at + 1] for at in range(98, 106)]):
        admit(lake, batch(part))
    assert lake.asof(LATE).bars()["close"].to_list() == [9.0, 10.0, 11.0]


def test_nan_is_stored_as_missing_and_infinity_kept_aside(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    odd = bars("A", [10.0, 10.1, 10.2], open=[float("nan"), float("inf"), 10.2])
    admission = admit(lake, batch(odd))
    assert (admission.quarantined, admission.warned) == ({"infinite-value": 1}, {"not-a-number": 1})
    assert lake.asof(LATE).bars()["open"].to_list() == [None, 10.2]
    assert not admit(lake, batch(odd)).changed


def test_a_kill_between_quarantine_and_table_is_healed_by_a_repeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, whole = Lake(tmp_path / "killed"), Lake(tmp_path / "whole")
    rows = batch(bars("A", [9.0, *[10.0] * 12, 11.0], volume=[5.0, 6.0, *[0.0] * 11, 7.0]))
    lake.write("bars", rows[0].rows)
    whole.write("bars", rows[0].rows)

    def killed(self: Lake, name: str, keys: pl.DataFrame) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Lake, "remove", killed)
        with pytest.raises(KeyboardInterrupt):
            admit(lake, rows)
    admit(lake, rows)
    admit(whole, rows)
    assert lake.asof(LATE).bars().equals(whole.asof(LATE).bars())
    assert len(lake.asof(LATE).bars()) == 3
    assert stored(lake, "quarantine").sort("row_key").equals(stored(whole, "quarantine").sort("row_key"))


def test_checking_the_lake_changes_nothing(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    assert check_lake(lake).is_empty()
    lake.write("bars", bars("A", [5.0] * 30))
    findings = check_lake(lake)
    assert findings["check"].to_list() == ["flat-quotes"] * 29
    assert findings["action"].unique().to_list() == ["quarantine"]
    assert lake.versions() == {"bars": 0}
    assert check_lake(lake, QualitySettings(actions={"flat-quotes": "off"})).is_empty()


def test_data_that_are_not_bundled_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no bars of 'csvfile' yet; bring them in with `alfred data fetch csvfile`"):
        ensure(Lake(tmp_path), "csvfile")
