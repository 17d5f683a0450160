"""Ingestion with its quality checks, killed at random instants: whole batches only, and a repeat heals everything."""

import datetime as dt
import random
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from alfred.lake.contracts import Request
from alfred.lake.ingest import admit
from alfred.lake.providers import csvfile
from alfred.lake.store import Lake

LATE = dt.datetime(2040, 1, 1, tzinfo=dt.UTC)
PROGRAM = """
import sys
from pathlib import Path
from alfred.lake.contracts import Request
from alfred.lake.ingest import admit
from alfred.lake.providers import csvfile
from alfred.lake.store import Lake
print("ready", flush=True)
root, folder = (Path(sys.stdin.readline().strip()) for _ in range(2))
for path in sorted(folder.iterdir()):
    request = Request(path=path)
    for task in csvfile.tasks(request):
        admit(Lake(root), csvfile.fetch(task, request, None))
print("done", flush=True)
"""


def price_files(folder: Path) -> None:
    """Three names of 400 sessions: a clean one, one with a flat tail, one behind an error page with a doubled date."""
    days = [str(day) for day in pl.date_range(dt.date(2018, 1, 2), dt.date(2019, 8, 1), "1d", eager=True)]
    days = [day for day in days if dt.date.fromisoformat(day).weekday() < 5]
    rng = random.Random(0)
    folder.mkdir()
    for name in ("CLEAN", "FLAT", "DIRTY"):
        price, lines = 50.0, ["Date,Open,High,Low,Close,Adj Close,Volume"]
        for at, day in enumerate(days):
            still = name == "FLAT" and at > 350
            price *= 1.0 if still else 1 + rng.gauss(0, 0.01)
            volume = 0 if still else 1000 + at
            lines.append(f"{day},{price},{price * 1.01},{price * 0.99},{price},{price},{volume}")
        if name == "DIRTY":
            lines = ['{"error": "Unauthorized"}', *lines, lines[-1].replace(",1", ",2", 1)]
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")


def content(root: Path) -> dict[str, pl.DataFrame]:
    lake = Lake(root)
    view = lake.asof(LATE)
    readers = {"bars": view.bars, "quarantine": view.quarantine, "findings": view.findings}
    return {name: readers[name]() for name in lake.versions() if name in readers}


def ingested(root: Path, folder: Path) -> float:
    begin = time.perf_counter()
    for path in sorted(folder.iterdir()):
        request = Request(path=path)
        for task in csvfile.tasks(request):
            admit(Lake(root), csvfile.fetch(task, request, None))
    return time.perf_counter() - begin


def kill_often(tmp_path: Path, kills: int) -> None:
    folder, chance = tmp_path / "prices", random.Random(1)
    price_files(folder)
    ingested(tmp_path / "warm", folder)
    seconds = ingested(tmp_path / "reference", folder)
    reference = content(tmp_path / "reference")
    assert set(reference) == {"bars", "quarantine", "findings"}
    whole = dict(reference["bars"].group_by("symbol").len().iter_rows())
    cut = 0
    for at in range(kills):
        root = tmp_path / f"lake{at // 3}"
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.stdin.write(f"{root}\n{folder}\n")
        process.stdin.flush()
        time.sleep(chance.uniform(0, 1.2 * seconds))
        process.kill()
        cut += "done" not in process.communicate()[0]
        for symbol, rows in content(root).get("bars", pl.DataFrame({"symbol": []})).group_by("symbol"):
            assert len(rows) == whole[str(symbol[0])]
        if at % 3 == 2 or at == kills - 1:
            ingested(root, folder)
            healed = content(root)
            assert all(healed[name].equals(reference[name]) for name in reference)
    assert cut >= kills // 3


@pytest.mark.slow
def test_fifty_kills_lose_nothing(tmp_path: Path) -> None:
    kill_often(tmp_path, 50)


def test_three_kills_lose_nothing(tmp_path: Path) -> None:
    kill_often(tmp_path, 3)
