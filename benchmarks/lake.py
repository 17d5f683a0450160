"""How fast the lake takes rows in, recognises them, adds a day to a large table, corrects and reads.

    python benchmarks/lake.py                  # 1.65 million rows, then 26.7 million
    python benchmarks/lake.py --small          # a hundredth of both
    python benchmarks/lake.py --prices FILE    # a Parquet file of prices in place of the 1.65 million generated rows

Each case runs in a process of its own, so that its peak memory is its own; the rows to write are in it.
"""

import argparse
import datetime as dt
import multiprocessing
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import deltalake
import numpy as np
import polars as pl

from alfred.core.calendar import sessions_between
from alfred.lake.contracts import Batch
from alfred.lake.ingest import admit
from alfred.lake.store import Lake
from alfred.lake.tables import table

LATE = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
FIRST = np.datetime64("2000-01-03")
SYMBOLS_A_WRITE = 265
BYTES_A_UNIT = 1 if sys.platform == "darwin" else 1024


def days(count: int) -> np.ndarray:
    """That many sessions."""
    return sessions_between(FIRST, FIRST + np.timedelta64(2 * count + 20, "D"))[:count]


def generated(first: int, symbols: int, dates: np.ndarray) -> pl.DataFrame:
    """Random-walk bars of symbols with these numbers on these days."""
    rng = np.random.default_rng(first)
    size = symbols * len(dates)
    close = np.exp(rng.normal(0, 0.015, (symbols, len(dates))).cumsum(axis=1)).ravel() * 50
    low, high = close * (1 - rng.random(size) / 50), close * (1 + rng.random(size) / 50)
    prices = {
        "open": (low + high) / 2, "high": high, "low": low, "close": close, "adj_close": close * 0.9,
    }  # fmt: skip
    return provenance(
        pl.DataFrame(
            {
                "symbol": np.repeat([f"S{at:05d}" for at in range(first, first + symbols)], len(dates)),
                "date": np.tile(dates, symbols),
                **{name: values.astype(np.float32) for name, values in prices.items()},
                "volume": rng.integers(0, 10_000_000, size),
            }
        )
    )


def provenance(frame: pl.DataFrame) -> pl.DataFrame:
    """Bars known at 21:00 UTC of their day."""
    known = pl.col("date").cast(pl.Datetime("us")).dt.offset_by("21h").dt.replace_time_zone("UTC")
    return frame.with_columns(known.alias("known_at"), pl.lit("benchmark").alias("source"))


def prices(file: Path | None, shape: tuple[int, int]) -> pl.DataFrame:
    """The rows of the first two cases."""
    if file is None:
        return generated(0, shape[0], days(shape[1]))
    frame = pl.read_parquet(file)
    return provenance(frame.select([name for name in table("bars").schema if name in frame.columns]))


def build(root: Path, shape: tuple[int, int]) -> str:
    """The large table, written as a fetch would: some symbols at a time."""
    for first in range(0, shape[0], SYMBOLS_A_WRITE):
        count = min(SYMBOLS_A_WRITE, shape[0] - first)
        Lake(root).write("bars", generated(first, count, days(shape[1])))
    return f"{shape[0] * shape[1]:,} rows made and written, {SYMBOLS_A_WRITE} symbols a write"


def next_day(shape: tuple[int, int]) -> pl.DataFrame:
    """One day more of every symbol."""
    return generated(0, shape[0], days(shape[1] + 1)[-1:])


def one_symbol(shape: tuple[int, int]) -> pl.DataFrame:
    """All bars of one symbol, adjusted anew."""
    return generated(shape[0] // 2, 1, days(shape[1])).with_columns(adj_close=pl.col("close") * 0.8)


def old_day(shape: tuple[int, int]) -> pl.DataFrame:
    """Another value for every symbol on a day long ago."""
    return generated(0, shape[0], days(shape[1])[shape[1] // 2 :][:1])


def day_after(root: Path, shape: tuple[int, int]) -> pl.DataFrame:
    """Another day of every symbol, near its last prices as a real one would be."""
    first, second = days(shape[1] + 2)[-2:]
    last = pl.scan_delta(str(root / "bars")).filter(pl.col("date") == first.item()).drop("known_at", "source").collect()
    moved = last.with_columns(
        pl.col("open", "high", "low", "close", "adj_close") * 1.01, pl.lit(second.item()).alias("date")
    )
    return provenance(moved)


def admitting(root: Path, rows: Callable[[], pl.DataFrame]) -> tuple[str, float, float, float]:
    """Make the rows, then take them in with all quality checks, timed."""
    frame = rows()
    return timed(lambda: admit(Lake(root), [Batch("bars", frame)]))


def timed(act: Callable[[], object]) -> tuple[str, float, float, float]:
    """What was done, seconds, and gigabytes of the process before and at its peak."""
    before = peak()
    begin = time.perf_counter()
    said = act()
    return str(said), time.perf_counter() - begin, before, peak()


def peak() -> float:
    """Most memory this process ever had, in gigabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES_A_UNIT / 1e9


def writing(root: Path, rows: Callable[[], pl.DataFrame]) -> tuple[str, float, float, float]:
    """Make the rows, then write them, timed."""
    frame = rows()
    return timed(lambda: Lake(root).write("bars", frame))


def reading(root: Path, symbols: list[str] | None) -> tuple[str, float, float, float]:
    """Read bars through a view."""
    return timed(lambda: f"{len(Lake(root).asof(LATE).bars(symbols)):,} rows read")


def tidying(root: Path) -> tuple[str, float, float, float]:
    """Sort the whole table."""
    return timed(lambda: f"tidied, {Lake(root).tidy()['bars']} files deleted")


def parquet_only(root: Path) -> tuple[str, float, float, float]:
    """Read every column of every row."""
    return timed(lambda: f"{len(pl.scan_delta(str(root / 'bars')).collect()):,} rows read")


def cases(
    folder: Path, file: Path | None, small: tuple[int, int], large: tuple[int, int]
) -> Iterator[tuple[str, Callable[[], tuple[str, float, float, float]]]]:
    """Name and act of each case, in order; an act runs in another process."""
    one, many = folder / "one", folder / "many"
    rows = partial(prices, file, small)
    yield "first ingestion", partial(writing, one, rows)
    yield "the same rows again", partial(writing, one, rows)
    yield "only reading them", partial(parquet_only, one)
    yield "building the large table", partial(timed, partial(build, many, large))
    yield "adding one day to it", partial(writing, many, partial(next_day, large))
    yield "that day again", partial(writing, many, partial(next_day, large))
    yield "adding the day after, with all quality checks", partial(admitting, many, partial(day_after, many, large))
    yield "correcting one symbol", partial(writing, many, partial(one_symbol, large))
    yield "correcting an old day of all", partial(writing, many, partial(old_day, large))
    yield "reading one symbol", partial(reading, many, [f"S{large[0] // 2:05d}"])
    yield "tidying", partial(tidying, many)
    yield "reading one symbol", partial(reading, many, [f"S{large[0] // 2:05d}"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a hundredth of the rows")
    parser.add_argument("--prices", type=Path, help="Parquet file with symbol, date and prices")
    chosen = parser.parse_args()
    small, large = ((40, 413), (530, 504)) if chosen.small else ((398, 4148), (5300, 5040))
    print(f"Python {platform.python_version()}, polars {pl.__version__}, deltalake {deltalake.__version__}.\n")
    print("| case | what it did | seconds | peak GB before | peak GB |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name, act in cases(Path(folder), chosen.prices, small, large):
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
                said, seconds, before, after = process.submit(act).result()
            print(f"| {name} | {said} | {seconds:.2f} | {before:.2f} | {after:.2f} |", flush=True)


if __name__ == "__main__":
    main()
