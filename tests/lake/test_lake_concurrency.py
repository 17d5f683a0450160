"""Several writers at once lose nothing and write no key twice."""

import datetime as dt
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from alfred.lake import store
from alfred.lake.store import Lake, WriteReport

UTC = dt.UTC
LATE = dt.datetime(2030, 1, 1, tzinfo=UTC)

# One writer: waits for a line, then writes batches of 40 keys, of which the other writer has 20 too.
WRITER = """
import datetime as dt, sys
import polars as pl
from alfred.lake.store import Lake

root, me, batches = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
lake = Lake(root if "://" in root else __import__("pathlib").Path(root))
days = [dt.date(2020, 1, 1) + dt.timedelta(days=at) for at in range(60)]
print("ready", flush=True)
sys.stdin.readline()
inserted = 0
for at in range(batches):
    mine = days[:40] if me == 0 else days[20:]
    rows = pl.DataFrame({"symbol": f"S{at}", "date": mine, "close": float(me + 1), "source": "w"})
    known = pl.col("date").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    inserted += lake.write("bars", rows.with_columns(known_at=known)).inserted
print(inserted, flush=True)
"""


def bar(day: int, close: float) -> pl.DataFrame:
    known = dt.datetime(2020, 1, day, 21, tzinfo=UTC)
    return pl.DataFrame(
        {"symbol": "A", "date": [known.date()], "close": [close], "known_at": [known], "source": "test"}
    )


def race(root: str, batches: int) -> list[int]:
    """Rows that each of two processes says it inserted; both start on one word."""
    command = [sys.executable, "-c", WRITER, root]
    writers = [
        subprocess.Popen([*command, str(me), str(batches)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for me in range(2)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    answers = [writer.communicate(timeout=120)[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    return [int(answer) for answer in answers]


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_two_processes_lose_nothing_and_double_nothing(tmp_path: Path, scheme: str) -> None:
    # Both create the table. Without a scheme they take turns; with one, commits collide and are tried again.
    root, batches = f"{scheme}{tmp_path / 'lake'}", 8
    inserted = race(root, batches)
    rows = Lake(root).asof(LATE).bars()
    assert len(rows) == rows.select("symbol", "date").n_unique() == 60 * batches
    assert sum(inserted) == 60 * batches  # each key was new to exactly one of them
    alone = rows.with_columns(day=pl.col("date").dt.ordinal_day())
    assert alone.filter(pl.col("day") <= 20)["close"].unique().to_list() == [1.0]
    assert alone.filter(pl.col("day") > 40)["close"].unique().to_list() == [2.0]


def test_eight_threads_do_neither(tmp_path: Path) -> None:
    lake = Lake(f"file://{tmp_path / 'lake'}")
    with ThreadPoolExecutor(8) as pool:
        reports = list(pool.map(lambda at: lake.write("bars", bar(1 + at // 2, 1.0)), range(16)))
    assert sum(report.inserted for report in reports) == 8
    assert sum(report.unchanged for report in reports) == 8
    assert len(lake.asof(LATE).bars()) == 8


def overtaken(monkeypatch: pytest.MonkeyPatch, times: int, other: Callable[[], object]) -> list[int]:
    """Let `other` happen between the look at the table and the commit, that many times; count the looks."""
    looks: list[int] = []
    honest = store._news

    def look(target: Any, rows: pl.DataFrame, delta: Any) -> tuple[pl.DataFrame, pl.DataFrame]:
        news = honest(target, rows, delta)
        looks.append(delta.version())
        if len(looks) <= times:
            with monkeypatch.context() as undone:
                undone.setattr(store, "_news", honest)
                other()
        return news

    monkeypatch.setattr(store, "_news", look)
    return looks


@pytest.mark.parametrize(
    ("meanwhile", "mine", "outcome"),
    [
        # the same key, inserted by another with the same or another value
        (bar(2, 2.0), bar(2, 2.0), (WriteReport("bars", 0, 0, 1, 1), [1.0, 2.0])),
        (bar(2, 9.0), bar(2, 2.0), (WriteReport("bars", 0, 1, 0, 2), [1.0, 2.0])),
        # another key
        (bar(3, 3.0), bar(2, 2.0), (WriteReport("bars", 1, 0, 0, 2), [1.0, 2.0, 3.0])),
        # a correction that meets another correction of the same row
        (bar(1, 9.0), bar(1, 2.0), (WriteReport("bars", 0, 1, 0, 2), [2.0])),
    ],
)
def test_a_writer_that_is_overtaken_looks_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: pl.DataFrame,
    mine: pl.DataFrame,
    outcome: tuple[WriteReport, list[float]],
) -> None:
    lake = Lake(f"file://{tmp_path / 'lake'}")
    lake.write("bars", bar(1, 1.0))
    looks = overtaken(monkeypatch, 1, lambda: lake.write("bars", meanwhile))
    report = lake.write("bars", mine)
    assert (report, lake.asof(LATE).bars()["close"].to_list()) == outcome
    assert looks == [0, 1]


def test_a_row_removed_meanwhile_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake(f"file://{tmp_path / 'lake'}")
    lake.write("bars", pl.concat([bar(1, 1.0), bar(2, 1.0)]))
    overtaken(monkeypatch, 1, lambda: lake.remove("bars", bar(1, 0.0)))
    assert lake.write("bars", bar(1, 2.0)).inserted == 1
    assert lake.asof(LATE).bars()["close"].to_list() == [2.0, 1.0]


def test_removing_looks_again_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake(f"file://{tmp_path / 'lake'}")
    lake.write("bars", pl.concat([bar(1, 1.0), bar(2, 1.0)]))
    honest, others = store._merge, [bar(1, 9.0), bar(3, 1.0)]

    def late(delta: Any, target: Any, rows: pl.DataFrame, stored: pl.DataFrame) -> Any:
        if others:
            with monkeypatch.context() as undone:
                undone.setattr(store, "_merge", honest)
                lake.write("bars", others.pop())
        return honest(delta, target, rows, stored)

    monkeypatch.setattr(store, "_merge", late)
    assert lake.remove("bars", pl.concat([bar(1, 0.0), bar(3, 0.0)])) == 2
    assert lake.asof(LATE).bars()["date"].dt.day().to_list() == [2]


def test_tidying_meanwhile_disturbs_no_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake(f"file://{tmp_path / 'lake'}")
    lake.write("bars", bar(1, 1.0))
    looks = overtaken(monkeypatch, 1, lake.tidy)
    assert lake.write("bars", bar(2, 2.0)).inserted == 1
    assert len(looks) == 2
    assert lake.asof(LATE).bars()["close"].to_list() == [1.0, 2.0]


def test_a_writer_that_is_always_overtaken_gives_up_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "TRIES", 3)
    lake = Lake(f"file://{tmp_path / 'lake'}")
    lake.write("bars", bar(1, 1.0))
    days = iter(range(3, 10))
    overtaken(monkeypatch, 3, lambda: lake.write("bars", bar(next(days), 1.0)))
    with pytest.raises(store.DataError, match="was written by others during each of 3 tries"):
        lake.write("bars", bar(2, 2.0))
    assert lake.asof(LATE).bars()["date"].dt.day().to_list() == [1, 3, 4, 5]


def test_a_table_created_meanwhile_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake(f"file://{tmp_path / 'lake'}")
    honest, calls = store.write_deltalake, []

    def late(*args: Any, **settings: Any) -> None:
        calls.append(args)
        if len(calls) == 1:
            lake.write("bars", bar(1, 9.0))
        honest(*args, **settings)

    monkeypatch.setattr(store, "write_deltalake", late)
    assert lake.write("bars", pl.concat([bar(1, 1.0), bar(2, 2.0)])) == WriteReport("bars", 1, 1, 0, 1)
    assert lake.asof(LATE).bars()["close"].to_list() == [1.0, 2.0]
