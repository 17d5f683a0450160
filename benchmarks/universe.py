"""A study over the full universe: 5,300 synthetic companies, 80 quarters, every column, vanilla.small and LightGBM.

    python benchmarks/universe.py                    # generates the lake, runs the study, says where the time went
    python benchmarks/universe.py --symbols 300      # the same, smaller
    python benchmarks/universe.py --data FOLDER      # keeps the lake and the run there

The bound is 20 minutes and 12 GB on 2 cores for the study itself, report included; generating is not part of it. The
study runs in a process of its own, so that its peak memory is its own.
"""

import argparse
import os
import platform
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from alfred.core.home import Home
from alfred.experiments.record import load_record
from alfred.experiments.run import run_study
from alfred.experiments.study import Study
from alfred.report import write_report
from panel import Size, generate_lake

YEARS, SESSIONS = 20, 5040


def study_of(epochs: int) -> Study:
    """All names in two halves; two trainings of every analyst over the last 24 quarters."""
    form = {
        "name": "universe",
        "seeds": [0],
        "data": {"provider": "synthetic"},
        "universe": {"names": {"list": "*"}},
        "panel": {"features": ["*"], "digester": "random", "filings_digester": "random"},
        "splits": {"test_first": "2014-03-31", "test_quarters": 12, "valid_quarters": 8, "min_train_quarters": 40},
        "train": {"epochs": epochs, "batch_size": 1024, "patience": 4, "plateau_patience": 2},
        "analysts": [{"name": "lightgbm"}, {"name": "vanilla.small"}],
        "evaluation": {"draws": 1000},
    }
    return Study.parse(form, "the benchmark's study")


def run(folder: Path, epochs: int) -> tuple[float, float, Path]:
    """Seconds, peak GB and the run's folder."""
    began = time.perf_counter()
    found = run_study(study_of(epochs), Home(folder))
    write_report(found)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return time.perf_counter() - began, peak, found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=5300, help="companies")
    parser.add_argument("--epochs", type=int, default=12, help="most epochs of the network")
    parser.add_argument("--data", type=Path, help="folder that is kept; default one that is deleted")
    wish = parser.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} {platform.machine()} cores; {wish.symbols} companies")
    with tempfile.TemporaryDirectory() as scratch:
        folder = wish.data or Path(scratch)
        began = time.perf_counter()
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
            alone.submit(generate_lake, folder, Size(wish.symbols, SESSIONS, ())).result()
        print(f"lake generated in {time.perf_counter() - began:.0f} s", flush=True)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
            seconds, peak, found = alone.submit(run, folder, wish.epochs).result()
        record = load_record(found)
        print(f"\n| stage | s |\n| --- | --- |\n| all, report included | {seconds:.0f} |")
        for timing in record.timings:
            print(f"| {timing.stage} | {timing.seconds:.1f} |")
        print(f"\npeak memory {peak:.1f} GB; report {(found / 'report.html').stat().st_size / 1e6:.1f} MB")
        print(
            f"panel: {record.panel.dates} quarters, {len(record.panel.columns)} columns, {record.data.symbols:,} names"
        )
        print(f"rows of a fold: {', '.join(f'{fold.train_rows:,}' for fold in record.folds)} to learn from")
        for line in (*record.warnings, record.verdict):
            print(f"- {line}")


if __name__ == "__main__":
    main()
