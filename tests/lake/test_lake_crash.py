"""A writer killed at any instant leaves a readable lake of whole batches, and a repeat ends where it would have."""

import datetime as dt
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from alfred.lake.store import Lake

LATE = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
SYMBOLS, DAYS = 5, 400

# Ingests one edition: for each symbol a batch of bars and one of a series, all with the edition as value; the first
# edition creates the tables and inserts, later ones correct every row. Tidies in the middle and at the end.
INGESTION = f"""
import datetime as dt, sys
from pathlib import Path
import polars as pl
from alfred.lake.store import Lake

def ingest(root, edition):
    lake = Lake(root)
    days = [dt.date(2020, 1, 1) + dt.timedelta(days=at) for at in range({DAYS})]
    for at in range({SYMBOLS}):
        rows = pl.DataFrame({{"symbol": f"S{{at}}", "date": days, "close": edition, "source": "test"}})
        known = pl.col("date").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        rows = rows.with_columns(known.alias("known_at"))
        lake.write("bars", rows)
        lake.write("series", rows.rename({{"symbol": "series", "close": "value"}}))
        if at % 3 == 2:
            lake.tidy()

if __name__ == "__main__":
    print("ready", flush=True)
    ingest(Path(sys.stdin.readline().strip()), float(sys.stdin.readline()))
    print("done", flush=True)
    sys.stdin.readline()
"""


def started() -> subprocess.Popen[str]:
    """A process that has imported everything and waits for the word."""
    return subprocess.Popen([sys.executable, "-c", INGESTION], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def go(process: subprocess.Popen[str], root: Path, edition: float) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.write(f"{root}\n{edition}\n")
    process.stdin.flush()


def killed(process: subprocess.Popen[str]) -> bool:
    """Kill it; whether it was still at work."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.kill()
    process.wait()
    process.stdin.close()
    with process.stdout as output:
        return output.read() == ""


def undisturbed(root: Path, edition: float) -> float:
    """The same ingestion in this process; the seconds it took."""
    names: dict[str, Any] = {"__name__": "ingestion"}
    exec(INGESTION, names)
    begin = time.perf_counter()
    names["ingest"](root, edition)
    return time.perf_counter() - begin


def content(root: Path) -> dict[str, pl.DataFrame]:
    """Every table whole, as it stands."""
    lake = Lake(root)
    return {name: lake.asof(LATE)._rows(name) for name in lake.versions()}


def batches_are_whole(root: Path, editions: set[float]) -> int:
    """Check that each batch that is there is there with all its rows, of one edition; count the batches."""
    tables = content(root)
    count = 0
    for name, who, value in (("bars", "symbol", "close"), ("series", "series", "value")):
        if name in tables:
            batches = tables[name].group_by(who).agg(pl.len(), pl.col("date").n_unique(), pl.col(value).unique())
            assert set(batches["len"]) == set(batches["date"]) == {DAYS}
            assert all(len(values) == 1 and values[0] in editions for values in batches[value])
            count += len(batches)
    return count


def kill_often(folder: Path, kills: int, seed: int) -> None:
    """Kill ingestions at random instants of their length; a lake sees five editions, each taken up where it broke."""
    chance = random.Random(seed)
    seconds = [undisturbed(folder / "reference", edition) for edition in (1.0, 2.0)]
    reference, cut, waiting = content(folder / "reference"), 0, started()
    for at in range(kills):
        root, edition = folder / f"lake{at // 5}", float(at % 5 + 1)
        process = waiting
        go(process, root, edition)
        if at < kills - 1:
            waiting = started()
        time.sleep(chance.uniform(0, 1.1 * seconds[edition > 1]))
        cut += killed(process)
        batches_are_whole(root, {float(number) for number in range(1, at % 5 + 2)})
        if at % 5 == 4 or at == kills - 1:
            undisturbed(root, 2.0)
            assert batches_are_whole(root, {2.0}) == 2 * SYMBOLS
            repeated = content(root)
            assert all(repeated[name].equals(reference[name]) for name in ("bars", "series"))
    assert cut >= kills // 3  # the others were through already


def test_five_kills_leave_whole_batches(tmp_path: Path) -> None:
    kill_often(tmp_path, kills=5, seed=1)


@pytest.mark.slow
def test_fifty_kills_leave_whole_batches(tmp_path: Path) -> None:
    kill_often(tmp_path, kills=50, seed=2)
