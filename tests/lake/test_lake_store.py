import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from alfred.core.errors import ConfigError, DataError
from alfred.lake.store import Lake

UTC = dt.UTC


def bars(symbol: str, closes: list[float], first: str = "2020-01-02") -> pl.DataFrame:
    start = dt.date.fromisoformat(first)
    dates = [start + dt.timedelta(days=at) for at in range(len(closes))]
    return pl.DataFrame(
        {
            "symbol": symbol,
            "date": dates,
            "close": closes,
            "known_at": [dt.datetime(d.year, d.month, d.day, 21, tzinfo=UTC) for d in dates],
            "source": "test",
        }
    )


def level(value: float, known: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "series": "^X",
            "date": [dt.date(2020, 1, 2)],
            "known_at": [dt.datetime(2020, 1, known, tzinfo=UTC)],
            "value": [value],
            "source": "test",
        }
    )


LATE = dt.datetime(2030, 1, 1, tzinfo=UTC)


def test_a_second_write_changes_nothing_and_says_so(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    first = lake.write("bars", bars("A", [1.0, 2.0]))
    again = lake.write("bars", bars("A", [1.0, 2.0]))
    assert (first.inserted, first.version) == (2, 0)
    assert (again.inserted, again.updated, again.unchanged, again.version) == (0, 0, 2, 0)
    assert str(again) == "bars: nothing new, 2 rows were there already"


def test_an_upsert_inserts_updates_and_leaves(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.write("bars", bars("A", [1.0, 2.0]))
    report = lake.write("bars", bars("A", [1.0, 2.5, 3.0]))
    assert (report.inserted, report.updated, report.unchanged, report.version) == (1, 1, 1, 1)
    assert lake.asof(LATE).bars()["close"].to_list() == [1.0, 2.5, 3.0]


def test_old_versions_stay_readable(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.write("bars", bars("A", [1.0]))
    before = lake.versions()
    lake.write("bars", bars("A", [9.0]))
    assert lake.asof(LATE, before).bars()["close"].to_list() == [1.0]
    assert lake.asof(LATE).bars()["close"].to_list() == [9.0]


def test_rows_do_not_exist_before_they_are_known(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.write("bars", bars("A", [1.0, 2.0, 3.0]))
    just_before = dt.datetime(2020, 1, 3, 20, 59, tzinfo=UTC)
    assert lake.asof(just_before).bars()["close"].to_list() == [1.0]
    assert lake.asof(just_before + dt.timedelta(minutes=1)).bars()["close"].to_list() == [1.0, 2.0]


def test_a_series_shows_the_vintage_known_at_the_instant(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.write("series", pl.concat([level(1.0, known=3), level(1.5, known=9)]))
    assert lake.asof(dt.datetime(2020, 1, 5, tzinfo=UTC)).series("^X")["value"].to_list() == [1.0]
    assert lake.asof(LATE).series("^X")["value"].to_list() == [1.5]
    with pytest.raises(DataError, match=r"'\^X' has no value known by 2020-01-02"):
        lake.asof(dt.datetime(2020, 1, 2, tzinfo=UTC)).series("^X")


def test_an_unknown_symbol_is_named_beside_what_there_is(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.write("bars", bars("A", [1.0]))
    with pytest.raises(DataError, match="no bars for B known by 2030-01-01; the lake has A"):
        lake.asof(LATE).bars(["A", "B"])


def test_an_empty_lake_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no table 'bars' yet"):
        Lake(tmp_path).asof(LATE).bars()


def test_a_naive_instant_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="time zone"):
        Lake(tmp_path).asof(dt.datetime(2020, 1, 1))  # noqa: DTZ001 - that is what is tested


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (bars("A", [1.0]).drop("known_at"), "lack the column"),
        (bars("A", [1.0]).with_columns(pl.lit(1).alias("vloume")), "no column 'vloume'; did you mean 'volume'"),
        (pl.concat([bars("A", [1.0]), bars("A", [2.0])]), "2 rows for table 'bars' share keys"),
        (bars("A", [1.0]).with_columns(pl.lit(None, pl.Date).alias("date")), "no value in date"),
        (bars("A", [1.0]).with_columns(pl.lit("x").alias("close")), "do not fit its types"),
    ],
)
def test_rows_that_do_not_fit_are_refused(tmp_path: Path, rows: pl.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Lake(tmp_path).write("bars", rows)
    assert Lake(tmp_path).versions() == {}


def test_an_unknown_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no table 'bar'; did you mean 'bars'"):
        Lake(tmp_path).write("bar", bars("A", [1.0]))


def test_values_a_source_lacks_are_null_not_zero(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.write("bars", bars("A", [1.0]))
    row = lake.asof(LATE).bars()
    assert row["volume"].to_list() == [None]
    assert row["open"].to_list() == [None]
