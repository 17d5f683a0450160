"""Explanations: do planted drivers come out on top, do noise columns stay below the line, what does it cost.

    python benchmarks/explain.py                      # all parts
    python benchmarks/explain.py --parts cost         # 200 forecasts of vanilla.medium
    python benchmarks/explain.py --parts planted --seeds 2
    python benchmarks/explain.py --parts gaps         # 100 rows of every analyst, at its own size

Markets and protocol are those of `benchmarks/planted.py`, with a linear signal in one column: momentum_12_1, or
surprisePercentage, of which no other column but its delta knows anything. Explained are 200 test rows.
"""

import argparse
import runpy
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from alfred.analysts import AnalystSpec, Job, analyst_names, describe, fit_many
from alfred.core.contracts import DIRECTION, FittedAnalyst, Windows
from alfred.core.home import Home
from alfred.experiments.prepared import prepare
from alfred.experiments.run import walk_of
from alfred.experiments.study import quarters_of, target_of
from alfred.explain.control import ControlFold, control_line
from alfred.explain.shapley import ExplainSettings, attribute, background_rows
from alfred.lake.store import Lake
from alfred.lake.synthetic.market import make_world
from alfred.lake.synthetic.settings import SyntheticSettings
from alfred.training.settings import TrainSettings

WHERE = "benchmarks/explain.py"
PLANTED = runpy.run_path(str(Path(__file__).with_name("planted.py")))
DRIVERS = {"price": "momentum_12_1", "fundamental": "surprisePercentage"}
COEFFICIENTS = (0.5, 0.1)
ANALYSTS: tuple[dict[str, Any], ...] = ({"name": "ridge"}, {"name": "lightgbm"})
ROWS, SHUFFLES = 200, 9
GAP_ROWS = 100
DRAWS = ((10**6, ExplainSettings()), (2 * 10**6, ExplainSettings(background=32, samples=32)))
FEWEST = ExplainSettings(background=16, samples=16)
"""Background and draws of networks with less than so many numbers, and of larger ones: seconds grow with both."""


def market(predictor: str, coefficient: float, seed: int, home: Home) -> list[str]:
    """A market in a lake of its own; the names listed on the first test date."""
    planted = {"seed": seed, "predictor": predictor, "information_coefficient": coefficient}
    lake, names = Lake(home.lake), set()
    for batch in make_world(SyntheticSettings.parse(PLANTED["MARKET"] | planted, WHERE)).batches():
        lake.write(batch.table, batch.rows)
        if batch.table == "bars":
            first = pl.lit(PLANTED["TEST_FIRST"]).str.to_date()
            names |= set(batch.rows.filter(pl.col("date") == first)["symbol"])
    return sorted(names)


def planted(seeds: int) -> Iterator[str]:
    """Lines of Markdown: place of the driver, its share, what else rises above the line."""
    yield "| driver | coefficient | analyst | seed | place | share | rises above | others above, of | label line |"
    yield "| --- | ---: | --- | ---: | ---: | ---: | --- | --- | ---: |"
    for predictor, driver in DRIVERS.items():
        for coefficient in COEFFICIENTS:
            for seed in range(seeds):
                with tempfile.TemporaryDirectory() as folder:
                    home = Home(Path(folder))
                    names = market(predictor, coefficient, seed, home)
                    specs = [AnalystSpec.parse({"label": "rank"} | form, WHERE) for form in ANALYSTS]
                    study = PLANTED["study"](names, seed, specs)
                    walk = walk_of(study, prepare(study, home), home)
                    for spec in specs:
                        figures = one(walk, spec, study.train, seed, driver)
                        yield f"| {driver} | {coefficient} | {spec.name} | {seed} | {figures} |"


def one(walk: Any, spec: AnalystSpec, train_settings: TrainSettings, seed: int, driver: str) -> str:
    """Cells of a row."""
    train, valid, test = walk.parts(walk.folds[0], target_of(spec), quarters_of(spec))
    test = test.rows(np.sort(np.random.default_rng(0).permutation(len(test))[:ROWS]))

    def fit(learn: Windows, judge: Windows) -> FittedAnalyst:
        return fit_many(spec, train_settings, [Job(learn, judge, seed)])[0]

    settings = ExplainSettings()
    found = attribute(fit(train, valid), test, background_rows(train, settings.background, 0), spec.name, settings)
    size = np.abs(found.by_column).mean(axis=0)
    order = [found.columns[at] for at in np.argsort(-size)]
    fold = ControlFold(fit, train, valid, test)
    line = control_line([fold], SHUFFLES, settings)
    labels = control_line([fold], SHUFFLES, settings, kind="labels")
    above = [name for name, risen in zip(line.columns, line.above.tolist(), strict=True) if risen]
    others = [name for name in above if driver not in name]
    at = line.columns.index(driver)
    share = size[found.columns.index(driver)] / size.sum()
    ratio = labels.line[at] / line.line[at] if line.line[at] > 0 else float("nan")
    risen = "yes" if driver in above else "no"
    return (
        f"{order.index(driver) + 1} | {share:.0%} | {risen}, {line.importance[at] / max(line.line[at], 1e-12):.1f} "
        f"times | {len(others)} of {len(line.columns) - 1}{': ' + ', '.join(others) if others else ''} | {ratio:.2f}"
    )


def rows_of(target: str, count: int, *, seed: int, first: str, columns: int, quarters: int = 1) -> Windows:
    """Rows of normal numbers whose label is a line in two columns, plus noise."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, quarters, columns)).astype(np.float32)
    change = 0.03 * x[:, -1, 0] - 0.02 * x[:, -1, 1] + 0.05 * random.normal(size=count)
    month = np.arange(count) // 20 * 3 + 1
    return Windows.of(
        x=x,
        seen=np.ones((count, quarters), bool),
        columns=("momentum_12_1", *(f"c{at}" for at in range(1, columns))),
        dates=(np.datetime64(first, "M") + month).astype("datetime64[D]") - 1,
        symbols=np.array([f"S{at % 20}" for at in range(count)]),
        target=target,
        y=(change > 0).astype(float) if target == DIRECTION else change,
    )


def cost() -> Iterator[str]:
    """Seconds for 200 forecasts of vanilla.medium on 80 columns, by threads."""
    parts = [
        rows_of("PM", count, seed=at, first=first, columns=80)
        for at, (count, first) in enumerate(((800, "1990-03"), (200, "2001-03"), (ROWS, "2005-03")))
    ]
    spec = AnalystSpec(name="vanilla.medium.tanh")
    settings = TrainSettings(epochs=2, batch_size=64, device="cpu", threads=2)
    (fitted,) = fit_many(spec, settings, [Job(parts[0], parts[1], 0)])
    background = background_rows(parts[0], ExplainSettings().background, 0)
    yield "| threads | seconds | seconds of processor | largest gap | standard error over mean size | its truth |"
    yield "| ---: | ---: | ---: | ---: | ---: | ---: |"
    for threads in (2, 1):
        torch.set_num_threads(threads)
        begun, worked = time.perf_counter(), time.process_time()
        found = attribute(fitted, parts[2], background, spec.name)
        seconds, worked = time.perf_counter() - begun, time.process_time() - worked
        other = attribute(fitted, parts[2].rows(slice(0, 20)), background, spec.name, ExplainSettings(seed=1))
        size, error = np.abs(found.by_column).mean(), np.sqrt((found.errors**2).mean())
        real = np.sqrt(((found.by_column[:20] - other.by_column) ** 2).mean() / 2)
        figures = f"{found.gaps.max():.0e} | {error / size:.0%} | {real / size:.0%}"
        yield f"| {threads} | {seconds:.1f} | {worked:.1f} | {figures} |"


def gaps(names: Sequence[str]) -> Iterator[str]:
    """The largest gap between a forecast and base plus values over 100 rows, analyst by analyst, at its own size.

    What adds up does not depend on how well it was learnt: networks have trained for one epoch of two steps.
    Seconds are those of the processor.
    """
    yield (
        "| analyst | learnt numbers | method | background, draws | rows | largest gap | missed before | seconds to fit "
        "| to explain |"
    )
    yield "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for name in names:
        about = describe(name)
        train, valid, test = (
            rows_of(about.target, count, seed=at, first=first, columns=20, quarters=about.quarters)
            for at, (count, first) in enumerate(
                ((128 if about.is_network else 400, "1990-03"), (100, "1996-03"), (GAP_ROWS, "1998-03"))
            )
        )
        settings = TrainSettings(epochs=1, batch_size=64, device="cpu", threads=1)
        begun = time.process_time()
        (fitted,) = fit_many(AnalystSpec(name=name), settings, [Job(train, valid, 0)])
        learnt, parameters = time.process_time() - begun, fitted.record.parameters
        own = next((draws for most, draws in DRAWS if not about.is_network or parameters < most), FEWEST)
        begun = time.process_time()
        found = attribute(fitted, test, background_rows(train, own.background, 0), name, own)
        spent = time.process_time() - begun
        drawn = f"{own.background}, {own.samples if about.is_network else 'all'}"
        missed = f"{found.beside:.2f}" if about.is_network else ""
        yield (
            f"| {name} | {parameters:,} | {found.method} | {drawn} | {len(found)} | {found.gaps.max():.0e} | {missed} "
            f"| {learnt:.1f} | {spent:.1f} |"
        )


def main() -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=["planted", "cost", "gaps"], choices=["planted", "cost", "gaps"])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=[], help="analysts of the part gaps, by the beginning of names")
    told = parser.parse_args()
    names = [name for name in analyst_names() if not told.only or name.startswith(tuple(told.only))]
    parts = {"planted": lambda: planted(told.seeds), "cost": cost, "gaps": lambda: gaps(names)}
    for part in told.parts:
        for line in parts[part]():
            print(line, flush=True)
        print()


if __name__ == "__main__":
    main()
