import datetime as dt
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from alfred.core.errors import ConfigError, DataError
from alfred.lake import store
from alfred.lake.store import Lake, WriteReport
from alfred.lake.tables import INSTANT, TABLES, Table

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


def test_the_root_may_be_a_url(tmp_path: Path) -> None:
    lake = Lake(f"file://{tmp_path}/lake")
    assert lake.versions() == {}
    assert lake.write("bars", bars("A", [1.0, 2.0])).version == 0
    assert lake.write("bars", bars("A", [1.0, 3.0])) == WriteReport("bars", 0, 1, 1, 1)
    assert lake.holds("bars", "test")
    assert not lake.holds("bars", "other")
    assert not lake.holds("series", "test")
    assert lake.asof(LATE).bars()["close"].to_list() == [1.0, 3.0]
    assert lake.remove("bars", bars("A", [0.0])) == 1
    assert Lake(tmp_path / "lake").asof(LATE).bars().equals(lake.asof(LATE).bars())
    assert Lake(str(tmp_path / "lake")).versions() == {"bars": 2}


def test_a_place_that_cannot_be_used_is_named_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="table 'bars' of the lake at hush://x cannot be written: "):
        Lake("hush://x").write("bars", bars("A", [1.0]))
    # Neither key nor any other setting is told, not even where the cause holds it, such as a path does.
    (tmp_path / "hush-hush" / "bars" / "_delta_log").mkdir(parents=True)
    (tmp_path / "hush-hush" / "bars" / "_delta_log" / "00000000000000000000.json").write_text("{")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    with pytest.raises(DataError, match="cannot be opened: ") as caught:
        Lake(tmp_path / "hush-hush").versions()
    assert "hush-hush" not in str(caught.value).partition("cannot be opened: ")[2]


def test_writing_nothing_creates_nothing(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    assert lake.write("bars", bars("A", [1.0]).clear()) == WriteReport("bars", 0, 0, 0, -1)
    assert lake.versions() == {}
    lake.write("bars", bars("A", [1.0]))
    assert lake.write("bars", bars("A", [1.0]).clear()).version == 0


def test_rows_are_removed_by_key(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    assert lake.remove("bars", bars("A", [1.0])) == 0
    lake.write("bars", pl.concat([bars("A", [1.0, 2.0, 3.0]), bars("B", [4.0])]))
    before = lake.versions()
    keys = pl.concat([bars("A", [0.0], "2020-01-03"), bars("B", [0.0]), bars("C", [0.0])]).select(
        "symbol", "date", "source"
    )
    assert lake.remove("bars", pl.concat([keys, keys])) == 2
    assert lake.remove("bars", keys) == 0
    assert lake.versions() == {"bars": 1}
    assert lake.asof(LATE).bars()["close"].to_list() == [1.0, 3.0]
    assert len(lake.asof(LATE, before).bars()) == 4


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (pl.DataFrame({"symbol": ["A"]}), "keys for table 'bars' lack the column.* date"),
        (
            pl.DataFrame({"symbol": ["A"], "date": ["x"], "source": ["test"]}),
            "keys for table 'bars' do not fit its types",
        ),
    ],
)
def test_keys_that_do_not_fit_are_refused(tmp_path: Path, keys: pl.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Lake(tmp_path).remove("bars", keys)


def files(root: Path) -> set[str]:
    """Data files of the newest version of the bars."""
    return set(DeltaTable(str(root / "bars")).file_uris())


def test_fresh_rows_move_no_stored_ones_and_corrections_only_their_file(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for symbol in "ABC":
        lake.write("bars", bars(symbol, [1.0, 2.0]))
    before = files(tmp_path)
    lake.write("bars", bars("B", [3.0], "2020-01-04"))
    after = files(tmp_path)
    assert before < after
    lake.write("bars", bars("B", [9.0, 2.0]))
    assert len(after - files(tmp_path)) == 1


def test_only_files_whose_statistics_fit_are_opened(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.write("bars", bars("A", [1.0, 2.0], "2020-01-02"))
    lake.write("bars", bars("A", [3.0], "2020-03-02"))
    (old,) = (path for path in files(tmp_path) if pl.read_parquet(path)["close"].to_list() == [1.0, 2.0])
    Path(old).write_bytes(b"not a file to be opened")
    assert lake.write("bars", bars("A", [3.0, 4.0], "2020-03-02")) == WriteReport("bars", 1, 0, 1, 2)
    assert lake.write("bars", bars("A", [3.5], "2020-03-02")) == WriteReport("bars", 0, 1, 0, 3)


def test_tidying_sorts_and_keeps_what_runs_may_need(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for symbol in "CAB":
        lake.write("bars", bars(symbol, [1.0, 2.0]))
    lake.write("bars", bars("A", [9.0]))
    rows, versions = lake.asof(LATE).bars(), lake.versions()
    for name in ("killed", "writing"):
        (tmp_path / "bars" / f"{name}.parquet").write_bytes(b"")
    os.utime(tmp_path / "bars" / "killed.parquet", (0, 0))
    assert lake.tidy() == {"bars": 1}
    assert not (tmp_path / "bars" / "killed.parquet").exists()
    assert (tmp_path / "bars" / "writing.parquet").exists()
    assert len(files(tmp_path)) == 1
    assert pl.read_parquet(files(tmp_path).pop()).rows() == rows.rows()
    assert lake.asof(LATE).bars().equals(rows)
    assert lake.asof(LATE, versions).bars().equals(rows)
    settled = lake.versions()
    assert lake.tidy() == {"bars": 0}
    assert lake.versions() == settled


def test_tidying_passes_any_number_of_rows_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "CHUNK_ROWS", 3)
    monkeypatch.setattr(store, "BATCH_ROWS", 2)
    lake = Lake(tmp_path)
    for symbol in "DCBA":
        lake.write("bars", bars(symbol, [1.0, 2.0]))
    rows = lake.asof(LATE).bars()
    parts = list(store._parts(DeltaTable(str(tmp_path / "bars")), TABLES["bars"]))
    assert [len(part) for part in parts] == [2, 2, 4]
    assert pl.concat(parts).equals(rows)
    lake.tidy()
    assert lake.asof(LATE).bars().equals(rows)


def test_tidying_deletes_old_versions_but_those_that_are_named(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for close in (1.0, 2.0, 3.0):
        lake.write("bars", bars("A", [close]))
    lake.tidy(keep_days=0, keep={"bars": [1]})
    assert lake.asof(LATE, {"bars": 1}).bars()["close"].to_list() == [2.0]
    assert lake.asof(LATE).bars()["close"].to_list() == [3.0]
    with pytest.raises(DataError, match="version 0 of table 'bars' has lost its files"):
        lake.asof(LATE, {"bars": 0}).bars()
    with pytest.raises(DataError, match="cannot be opened at version 77"):
        lake.asof(LATE, {"bars": 77}).bars()
    with pytest.raises(DataError, match="tidy keeps at least 0 days, not -1"):
        lake.tidy(keep_days=-1)


VALUES: dict[type[pl.DataType], st.SearchStrategy[Any]] = {
    # Few, so that keys meet; with what breaks naive SQL, and longer than the statistics of a file go.
    pl.String: st.sampled_from(["", "A", "b'c", 'x"y', "é漢", "long " * 20, "long " * 20 + "!", "NULL"]),
    pl.Date: st.sampled_from([dt.date(1969, 7, 20), dt.date(2020, 1, 2), dt.date(2020, 1, 3)]),
    pl.Datetime: st.sampled_from(
        [dt.datetime(2020, 1, 2, 21, tzinfo=UTC), dt.datetime(2020, 1, 2, 21, 0, 0, 1, tzinfo=UTC)]
    ),
    pl.Int64: st.sampled_from([-3, 0, 7]),
    pl.Float64: st.sampled_from([None, float("nan"), 0.0, -1.5, float("inf")]),
    pl.Boolean: st.booleans(),
}


Story = tuple[Table, list[tuple[str, list[dict[str, Any]]]]]


def row(target: Table) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({name: VALUES[kind.base_type()] for name, kind in target.schema.items()})


@st.composite
def changes(draw: st.DrawFn) -> Story:
    """A table and what happens to it: writes and removals of rows with distinct keys, and tidying."""
    target = draw(st.sampled_from(list(TABLES.values())))

    def key(values: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(values[name] for name in target.key)

    rows = st.lists(row(target), max_size=6, unique_by=key)
    step = st.tuples(st.sampled_from(["write", "write", "write", "remove", "tidy"]), rows)
    return target, draw(st.lists(step, min_size=1, max_size=5))


@settings(max_examples=30, deadline=None)
@given(changes())
def test_any_sequence_of_changes_equals_a_dictionary(
    story: tuple[Table, list[tuple[str, list[dict[str, Any]]]]],
) -> None:
    target, steps = story
    expected: dict[tuple[Any, ...], dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder))
        for step, rows in steps:
            frame = pl.DataFrame(rows, schema=target.schema)
            keyed = {tuple(values[name] for name in target.key): values for values in rows}
            if step == "write":
                report = lake.write(target.name, frame)
                assert report.inserted == len(keyed.keys() - expected.keys())
                changed = [key for key, values in keyed.items() if repr(expected.get(key, values)) != repr(values)]
                assert report.updated == len(changed)
                assert report.inserted + report.updated + report.unchanged == len(rows)
                expected |= keyed
            elif step == "remove":
                assert lake.remove(target.name, frame) == len(keyed.keys() & expected.keys())
                expected = {key: values for key, values in expected.items() if key not in keyed}
            else:
                lake.tidy(keep_days=0)
            stored = lake.asof(LATE)._rows(target.name)
            wanted = pl.DataFrame(list(expected.values()), schema=target.schema).sort(*target.key)
            assert stored.equals(wanted)


@pytest.mark.parametrize("folder", ["a space", "ümläut", "hash#mark", "plus+sign", "question?mark"])
def test_a_folder_may_be_called_what_people_call_folders(tmp_path: Path, folder: str) -> None:
    lake = Lake(tmp_path / folder / "lake")
    lake.write("bars", bars("A", [1.0, 2.0]))
    assert lake.write("bars", bars("A", [1.0, 3.0])).updated == 1
    assert lake.asof(LATE).bars()["close"].to_list() == [1.0, 3.0]
    assert lake.holds("bars", "test")


@pytest.mark.parametrize("folder", ["plain", "a space", "ümläut"])
def test_records_are_found_again_in_any_folder(tmp_path: Path, folder: str) -> None:
    lake = Lake(tmp_path / folder)

    def refused(symbol: str, *checks: str) -> pl.DataFrame:
        rows = pl.DataFrame({"row_key": [f'{{"symbol":"{symbol}","date":"2020-01-0{at}"}}' for at in range(1, 6)]})
        return rows.join(pl.DataFrame({"check": checks}), how="cross").with_columns(
            table=pl.lit("bars"), symbol=pl.lit(symbol), source=pl.lit("test"), known_at=pl.lit(LATE, INSTANT)
        )

    # The second write looks for texts that begin where those of the first end or begin.
    assert lake.write("quarantine", refused("A", "off-calendar", "price-not-positive")).inserted == 10
    assert lake.write("quarantine", refused("B", "off-calendar")).inserted == 5
    assert lake.write("quarantine", refused("B", "off-calendar")).unchanged == 5
    assert lake.remove("quarantine", refused("B", "off-calendar")) == 5
    assert len(lake.asof(LATE).quarantine()) == 10


def test_a_table_reads_no_files_of_others(tmp_path: Path) -> None:
    lake, other = Lake(tmp_path / "a space"), tmp_path / "mine.parquet"
    lake.write("bars", bars("A", [1.0]))
    bars("SECRET", [1.0]).write_parquet(other)
    added = {
        "path": "../../mine.parquet", "partitionValues": {}, "size": other.stat().st_size, "modificationTime": 1,
        "dataChange": True,
    }  # fmt: skip
    (tmp_path / "a space" / "bars" / "_delta_log" / f"{1:020d}.json").write_text(json.dumps({"add": added}))
    with pytest.raises(DataError, match=r"mine\.parquet, which lies outside it; nothing was read"):
        lake.asof(LATE).bars()


@pytest.mark.parametrize("folder", ["a[1]", "a%20b", "a|b"])
def test_a_folder_that_tables_cannot_open_is_refused(tmp_path: Path, folder: str) -> None:
    with pytest.raises(DataError, match="in its path, which its tables cannot; move it"):
        Lake(tmp_path / folder).write("bars", bars("A", [1.0]))
