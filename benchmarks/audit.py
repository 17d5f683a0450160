"""How long the audit of a table from elsewhere takes, and what it needs: 5,300 symbols, 80 quarters, 56 columns.

    python benchmarks/audit.py
    python benchmarks/audit.py --quick

Columns are drawn at random, with autocorrelation, missing cells and names that end; nothing is planted, and a finding
beside that of a panel without names would be a false alarm. Reading, checks and peak memory are of one process.
"""

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

SYMBOLS, DATES, COLUMNS = 5_300, 80, 56
QUICK = (300, 40, 12)


def write_panel(path: Path, symbols: int, dates: int, columns: int) -> None:
    """A panel with one row a date and symbol, as a user may bring it."""
    rng = np.random.default_rng(0)
    days = ((np.datetime64("2000-04", "M") + 3 * np.arange(dates)).astype("datetime64[D]") - 1).astype("datetime64[D]")
    there = np.ones((dates, symbols), np.bool_)
    for symbol in range(0, symbols, 4):
        there[int(rng.integers(dates // 2, dates)) :, symbol] = False
    row, column = np.nonzero(there)
    market = 0.02 + 0.07 * rng.standard_normal(dates)
    label = market[:, None] + 0.15 * rng.standard_t(5, (dates, symbols))
    label[-1] = np.nan
    frame = {
        "date": days[row],
        "symbol": np.array([f"S{at:05d}" for at in range(symbols)])[column].tolist(),
        "known_at": days[row],
        "PM": label[row, column],
    }
    for at in range(columns):
        values = rng.standard_normal((dates, symbols))
        for date in range(1, dates):
            values[date] = 0.8 * values[date - 1] + 0.6 * values[date]
        if at % 7 == 6:
            values = np.repeat(np.cumsum(rng.standard_normal(dates))[:, None], symbols, axis=1)
        values[rng.random((dates, symbols)) < 0.05] = np.nan
        frame[f"column_{at}"] = (values * 10.0 ** (at % 5 - 2))[row, column]
    pl.DataFrame(frame).with_columns(pl.col("date", "known_at").cast(pl.Date)).fill_nan(None).write_parquet(path)


def audit(path: Path) -> None:
    """Read and examine it; print seconds, peak memory and what was found."""
    from alfred.evaluation.audit import examine
    from alfred.experiments.foreign import ForeignTable, foreign_evidence

    marks: list[tuple[str, float]] = []
    began, worked = time.perf_counter(), time.process_time()
    evidence = foreign_evidence(ForeignTable(panel=path, label="PM", known_at="known_at")).evidence
    marks.append(("reading", time.perf_counter()))
    found = examine(evidence, heard=lambda name: marks.append((name, time.perf_counter())))
    ended = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    spans = [(name, after - at) for (name, at), (_, after) in zip(marks, [*marks[1:], ("", ended)], strict=True)][1:]
    print(f"| reading | {marks[0][1] - began:.1f} |")
    for name, seconds in sorted(spans, key=lambda span: -span[1])[:5]:
        print(f"| {name} | {seconds:.1f} |")
    print(f"| all | {ended - began:.1f} |\n")
    print(f"Of the processor {time.process_time() - worked:.1f} s. Peak memory {peak:.2f} GB. {found.summary}")
    for finding in found.findings:
        print(f"{finding.severity}: {finding.check}: {finding.what}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small panel")
    parser.add_argument("--panel", type=Path, help=argparse.SUPPRESS)
    wish = parser.parse_args()
    if wish.panel is not None:
        audit(wish.panel)
        return
    size = QUICK if wish.quick else (SYMBOLS, DATES, COLUMNS)
    print(f"Python {platform.python_version()}, {os.cpu_count()} {platform.machine()} cores. ", end="")
    print(f"{size[0]:,} symbols x {size[1]} dates x {size[2]} columns.\n")
    print("| what | seconds |\n| --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "panel.parquet"
        write_panel(path, *size)
        subprocess.run([sys.executable, __file__, "--panel", str(path)], check=True)


if __name__ == "__main__":
    main()
