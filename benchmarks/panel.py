"""How fast the panel's columns are computed, and how much memory that takes.

    python benchmarks/panel.py bars              # price and volume columns of 5,300 symbols x 5,040 sessions
    python benchmarks/panel.py bars --quick      # a thousandth of the rows, in one process: only that it runs
    python benchmarks/panel.py bars --data DIR   # where the generated bars are kept for the next time
    python benchmarks/panel.py complete          # every column, all tables: 5,300 synthetic companies x 80 quarters

Each case runs in a process of its own, so that its peak memory is its own. Exits with an error where pandas or polars
give other values.
"""

import argparse
import multiprocessing
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from alfred.core.calendar import Dates, close_instants, decision_dates, sessions_between
from alfred.lake.store import Lake
from alfred.lake.synthetic.market import SOURCE, make_world
from alfred.lake.synthetic.others import MARKET
from alfred.lake.synthetic.settings import SyntheticSettings
from alfred.language.stories import update_stories
from alfred.panel.build import build_panel
from alfred.panel.catalogue import Feature, catalogue, column
from alfred.panel.history import BarHistory
from alfred.panel.settings import PanelSettings
from alfred.panel.sources import Sources
from alfred.panel.tables import OTHERS, Tables

FIRST = np.datetime64("2000-01-03")
SYMBOLS_A_WRITE = 265
BYTES_A_UNIT = 1 if sys.platform == "darwin" else 1024
NEEDED = ("close", "volume", "known_at", "date", "symbol")
ROWS_A_PART = 4_000_000
AVERAGES = (7, 30, 90, 180)
TEN = (
    *(f"{what}_diff_MA_{n}" for what in ("Close", "Volume") for n in AVERAGES),
    "momentum_12_1",
    "realised_volatility",
)
WIDEST_DIFFERENCE = 1e-6
REPEATS = 3


@dataclass(frozen=True)
class Size:
    """Bars to generate, and the numbers of symbols in the table of costs."""

    symbols: int
    sessions: int
    steps: tuple[int, ...]


FULL = Size(5300, 5040, (100, 300, 1000, 3000, 5300))
QUICK = Size(40, 600, (10, 20, 40))


def generate(folder: Path, size: Size) -> None:
    """Write random-walk bars of all symbols and an index, as the lake holds them, unless they are there."""
    if (folder / "market.parquet").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    days = sessions_between(FIRST, FIRST + np.timedelta64(2 * size.sessions + 20, "D"))[: size.sessions]
    with pq.ParquetWriter(
        folder / "bars.parquet", bars_of(0, 1, days).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
    ) as writer:
        for first in range(0, size.symbols, SYMBOLS_A_WRITE):
            rows = bars_of(first, min(SYMBOLS_A_WRITE, size.symbols - first), days)
            writer.write_table(rows.to_arrow(compat_level=pl.CompatLevel.oldest()), row_group_size=len(rows))
    index = bars_of(-1, 1, days).select("date", pl.col("close").alias("value"), "known_at")
    index.write_parquet(folder / "market.parquet")


def bars_of(first: int, symbols: int, days: Dates) -> pl.DataFrame:
    """Bars of symbols with these numbers; every bar is known at its session's close."""
    rng = np.random.default_rng(first + 1)
    close = 50 * np.exp(rng.normal(0, 0.015, (symbols, len(days))).cumsum(axis=1)).ravel()
    known = pl.DataFrame({"date": days, "known_at": pl.Series(close_instants(days)).dt.replace_time_zone("UTC")})
    return pl.DataFrame(
        {
            "symbol": np.repeat([f"S{at:05d}" for at in range(first, first + symbols)], len(days)),
            "date": np.tile(days, symbols),
            "close": close,
            "volume": rng.integers(1, 10_000_000, close.size).astype(np.float64),
            "known_at": np.tile(known["known_at"].dt.replace_time_zone(None).to_numpy(), symbols),
        }
    ).with_columns(pl.col("known_at").dt.replace_time_zone("UTC"))


def read(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The columns of bars that are needed, in one piece each, and the index.

    Symbols become categories, which saves half of the memory that strings take.
    """
    scan = pl.scan_parquet(folder / "bars.parquet").with_columns(pl.col("symbol").cast(pl.Categorical))
    rows, kinds = int(scan.select(pl.len()).collect().item()), scan.collect_schema()
    columns = [in_place(scan.select(name), rows, kinds[name]) for name in ("close", "volume", "known_at")]
    columns += [scan.select(name).collect().to_series().rechunk() for name in ("date", "symbol")]
    return pl.DataFrame(columns).select(NEEDED), pl.read_parquet(folder / "market.parquet")


def in_place(scan: pl.LazyFrame, rows: int, kind: pl.DataType) -> pl.Series:
    """A wide column, its parts read into their places; to join them at the end would take its memory twice."""
    whole = np.empty(rows, np.float64 if kind == pl.Float64 else np.int64)
    for first in range(0, rows, ROWS_A_PART):
        part = scan.slice(first, ROWS_A_PART).collect().to_series()
        whole[first : first + len(part)] = part.to_physical().to_numpy()
    name = scan.collect_schema().names()[0]
    return pl.Series(name, pl.from_arrow(pa.array(whole))).cast(kind)


def quarter_ends(folder: Path) -> Dates:
    """Decision dates that the bars span."""
    days = pl.read_parquet(folder / "market.parquet")["date"].to_numpy().astype("datetime64[D]")
    return decision_dates(days[0], days[-1])


def chosen(names: tuple[str, ...]) -> list[Feature]:
    """Columns of the catalogue by name; all of prices and volumes where none is named."""
    known = catalogue()
    return [known[name] for name in names] or [one for one in known.values() if one.family in {"price", "volume"}]


def values(bars: pl.DataFrame, market: pl.DataFrame, dates: Dates, names: tuple[str, ...] = ()) -> list[np.ndarray]:
    """(D, S) values of each of some columns, from the bars on: nothing is kept from an earlier call."""
    history = BarHistory.of(bars, market, dates, stale_sessions=5)
    sources = Sources(dates, history.symbols, history, Tables(bars, market))
    return [column(sources, feature) for feature in chosen(names)]


def seconds(act: Callable[[], object], repeats: int = 1) -> float:
    """Median wall time."""
    taken = []
    for _ in range(repeats):
        begin = time.perf_counter()
        act()
        taken.append(time.perf_counter() - begin)
    return float(np.median(taken))


def peak() -> float:
    """Most memory this process ever had, in gigabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES_A_UNIT / 1e9


def first_call(folder: Path) -> float:
    """Seconds of the first use on a few bars: loops are compiled or, if they ever were, loaded."""
    bars, market = bars_of(0, 1, sessions_between(FIRST, FIRST + np.timedelta64(800, "D"))), quarter_ends(folder)
    index = pl.read_parquet(folder / "market.parquet")
    return seconds(lambda: values(bars, index, market[:8]))


def reading(folder: Path) -> tuple[float, float]:
    """Seconds of reading, and the peak of a process that does nothing else."""
    return seconds(lambda: read(folder)), peak()


def all_columns(folder: Path) -> tuple[float, float, float, float, int]:
    """Seconds of the first use, of reading and of all columns; peak; how many columns."""
    loaded = first_call(folder)
    begin = time.perf_counter()
    bars, market = read(folder)
    reading = time.perf_counter() - begin
    dates = quarter_ends(folder)
    taken = seconds(lambda: values(bars, market, dates), REPEATS)
    return loaded, reading, taken, peak(), len(chosen(()))


def ten_by_alfred(folder: Path) -> tuple[float, float]:
    """Seconds and peak of the ten columns; their values are left in the folder."""
    first_call(folder)
    bars, market = read(folder)
    dates = quarter_ends(folder)
    taken, most = seconds(lambda: values(bars, market, dates, TEN), REPEATS), peak()
    np.save(folder / "alfred.npy", np.stack(values(bars, market, dates, TEN)))
    return taken, most


def ten_by_polars(folder: Path) -> tuple[float, float]:
    """The same by windows over groups, all in one query."""
    bars, dates = read(folder)[0], quarter_ends(folder)
    close = pl.col("close")
    change = close / close.shift(1) - 1
    columns = [
        (pl.col(name) / pl.col(name).rolling_mean(n) - 1).over("symbol").alias(f"{name}_{n}")
        for name in ("close", "volume")
        for n in AVERAGES
    ]
    columns.append((close.shift(21) / close.shift(252) - 1).over("symbol").alias("momentum"))
    columns.append((change.rolling_std(63) * 252**0.5).over("symbol").alias("volatility"))
    begin = time.perf_counter()
    query = bars.lazy().select("date", *columns).filter(pl.col("date").is_in(dates.tolist()))
    found = query.drop("date").collect().to_numpy()
    return keep(folder, "polars", found, len(dates), time.perf_counter() - begin)


def ten_by_pandas(folder: Path) -> tuple[float, float]:
    """The same by groupby and rolling, keeping the quarters' ends of each column before the next is computed."""
    bars = read(folder)[0].to_pandas()
    dates = quarter_ends(folder)
    begin = time.perf_counter()
    at = np.flatnonzero(bars["date"].isin(dates).to_numpy())
    groups = bars.groupby("symbol", sort=False, observed=True)
    found = []
    for name in ("close", "volume"):
        last = bars[name].to_numpy()[at]
        found += [last / groups[name].rolling(n).mean().to_numpy()[at] - 1 for n in AVERAGES]
    found.append((groups["close"].shift(21) / groups["close"].shift(252) - 1).to_numpy()[at])
    change = bars["close"] / groups["close"].shift(1) - 1
    deviation = change.groupby(bars["symbol"], sort=False, observed=True).rolling(63).std()
    found.append(deviation.to_numpy()[at] * 252**0.5)
    return keep(folder, "pandas", np.stack(found, axis=1), len(dates), time.perf_counter() - begin)


def keep(folder: Path, name: str, rows: np.ndarray, dates: int, taken: float) -> tuple[float, float]:
    """Leave rows, by symbol and date, in the folder in the shape of Alfred's; seconds and peak."""
    before = peak()
    np.save(folder / f"{name}.npy", rows.reshape(-1, dates, len(TEN)).transpose(2, 1, 0))
    return taken, before


def cost_of(folder: Path, symbols: int) -> float:
    """Seconds of all columns for the first so many symbols."""
    first_call(folder)
    bars, market = read(folder)
    sessions = len(market)
    some = bars[: symbols * sessions]
    return seconds(lambda: values(some, market, quarter_ends(folder)), REPEATS)


def difference(folder: Path, other: str) -> float:
    """Largest absolute difference of the ten columns.

    Raises:
        SystemExit: it is too large, or one has a value where the other has none.
    """
    ours, theirs = np.load(folder / "alfred.npy"), np.load(folder / f"{other}.npy")
    if (np.isnan(ours) != np.isnan(theirs)).any():
        raise SystemExit(f"Alfred and {other} miss different values.")
    widest = float(np.nanmax(np.abs(ours - theirs)))
    if widest > WIDEST_DIFFERENCE:
        raise SystemExit(f"Alfred and {other} differ by {widest:.1e}.")
    return widest


Runner = Callable[[Callable[[], Any]], Any]


def in_own_process(act: Callable[[], Any]) -> Any:
    """What an act gives, run in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(act).result()


def compiling(folder: Path, run: Runner) -> float:
    """Seconds of the first use where nothing was compiled before. Numba looks for its cache when it is imported."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["NUMBA_CACHE_DIR"] = cache
        taken = float(run(partial(first_call, folder)))
    os.environ.clear()
    os.environ.update(before)
    return taken


def bars_report(folder: Path, size: Size, run: Runner) -> Iterator[str]:
    """Lines of the report on price and volume columns."""
    run(partial(generate, folder, size))
    alone, alone_peak = run(partial(reading, folder))
    loaded, read_seconds, taken, most, count = run(partial(all_columns, folder))
    yield f"{size.symbols:,} symbols x {size.sessions:,} sessions = {size.symbols * size.sessions:,} bars in Parquet.\n"
    yield "| what | seconds | peak GB |"
    yield "| --- | --- | --- |"
    yield f"| reading {', '.join(NEEDED)} | {alone:.2f} | {alone_peak:.2f} |"
    both = f"{read_seconds:.2f} + {taken:.2f}"
    yield f"| the same, then all {count} price and volume columns at each quarter's end | {both} | {most:.2f} |"
    yield f"| once a process: loading the compiled loops | {loaded:.2f} | |"
    yield f"| once an installation: compiling them | {compiling(folder, run):.2f} | |\n"
    yield "| ten columns, computing alone | seconds | times Alfred's | peak GB | largest difference |"
    yield "| --- | --- | --- | --- | --- |"
    ours, most = run(partial(ten_by_alfred, folder))
    yield f"| Alfred | {ours:.3f} | 1 | {most:.2f} | |"
    for name, act in (("pandas", ten_by_pandas), ("polars", ten_by_polars)):
        theirs, most = run(partial(act, folder))
        yield f"| {name} | {theirs:.2f} | {theirs / ours:.1f} | {most:.2f} | {difference(folder, name):.0e} |"
    yield "\n| symbols | all columns, seconds | microseconds a symbol |"
    yield "| --- | --- | --- |"
    for step in size.steps:
        taken = run(partial(cost_of, folder, step))
        yield f"| {step:,} | {taken:.3f} | {taken / step * 1e6:.0f} |"


def generate_lake(folder: Path, size: Size) -> None:
    """Write a synthetic market of that many companies into a lake, with digests of its articles drawn at random.

    Each article is a filing of one section too, with a comparison drawn at random.
    """
    lake = Lake(folder / "lake")
    if "filing_sections" in lake.versions():
        return
    years = max(size.sessions // 252, 4)
    for batch in make_world(SyntheticSettings(symbols=size.symbols, first_year=2000, years=years)).batches(500):
        lake.write(batch.table, batch.rows)
    articles = lake.asof(datetime.now(UTC)).articles()
    scores = np.random.default_rng(0).random((3, len(articles)))
    drawn = dict(zip(("relevance", "sentiment", "outlook"), scores * [[1], [2], [2]] - [[0], [1], [1]], strict=True))
    keys = {"digester": pl.lit("random"), "prompt_version": pl.lit("1"), "model": pl.lit("random")}
    numbers = {name: pl.Series(values) for name, values in drawn.items()}
    lake.write("digests", articles.select("article_id", "known_at", "source", **keys, **numbers))
    update_stories(lake)
    section = {"article_id": pl.concat_str("article_id", pl.lit("#7")), **keys}
    lake.write("digests", articles.select("known_at", "source", **section, **numbers))
    compared = dict(zip(("cosine", "jaccard", "tone_change"), numbers.values(), strict=True))
    form = pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("10-Q")).otherwise(pl.lit("8-K"))
    about = articles.select(
        "symbol", "published_at", "known_at", "source", **section, **compared, filing="article_id", form=form,
        item=pl.lit("7"), words=pl.lit(100),
    )  # fmt: skip
    lake.write("filing_sections", about)


def complete(folder: Path) -> tuple[list[float], list[float], dict[str, int], tuple[int, ...], int]:
    """Seconds and peak memory after bars, after all tables, after the panel; rows read, shape, columns missing."""
    times, peaks, began = [], [], time.perf_counter()

    def mark() -> None:
        times.append(time.perf_counter() - began)
        peaks.append(peak())

    view = Lake(folder / "lake").asof(datetime.now(UTC))
    bars = view.bars(source=SOURCE)
    index = view.series(MARKET, source=SOURCE)
    mark()
    tables = Tables.of(view, bars, index)
    mark()
    panel = build_panel(tables, PanelSettings(), levels_usable=True)
    mark()
    rows = {"bars": len(bars)} | {name: len(getattr(tables, name)) for name in OTHERS}
    return times, peaks, rows, panel.values.shape, len(panel.left_out)


def complete_report(folder: Path, size: Size, run: Runner) -> Iterator[str]:
    """The complete catalogue, from the lake to the panel."""
    run(partial(generate_lake, folder, size))
    run(partial(complete, folder))  # compiles
    times, peaks, rows, shape, missing = run(partial(complete, folder))
    yield ", ".join(f"{count:,} {name}" for name, count in rows.items() if count)
    yield f"panel of {shape[0]} quarters x {shape[1]:,} tickers x {shape[2]} columns; {missing} missing"
    yield ""
    yield "| until | s | peak GB |"
    yield "| --- | --- | --- |"
    for what, seconds_, gigabytes in zip(("bars and index", "all tables", "panel"), times, peaks, strict=True):
        yield f"| {what} | {seconds_:.1f} | {gigabytes:.2f} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(required=True, metavar="PART")
    bars = parts.add_parser("bars", help="price and volume columns, beside pandas and polars")
    bars.add_argument("--quick", action="store_true", help="few rows, all in this process")
    bars.add_argument("--data", type=Path, help="folder for the generated bars; default one that is deleted")
    bars.set_defaults(report=bars_report)
    whole = parts.add_parser("complete", help="every column of the catalogue, from a lake with all tables")
    whole.add_argument("--quick", action="store_true", help="few companies, all in this process")
    whole.add_argument("--data", type=Path, help="folder for the generated lake; default one that is deleted")
    whole.set_defaults(report=complete_report)
    wish = parser.parse_args()
    print(f"Python {platform.python_version()}, numba {numba.__version__}, polars {pl.__version__}, ", end="")
    print(f"{os.cpu_count()} {platform.machine()} cores; medians of {REPEATS}.\n")
    with tempfile.TemporaryDirectory() as folder:
        size, run = (QUICK, lambda act: act()) if wish.quick else (FULL, in_own_process)
        for line in wish.report(wish.data or Path(folder), size, run):
            print(line, flush=True)


if __name__ == "__main__":
    main()
