"""Runs beside one another: what differs in their settings, and whether the difference in skill is more than chance.

A rank IC of one run and a rank IC of another say little side by side, for quarters differ more than analysts do. So
the difference is taken quarter by quarter over the quarters that both runs tested, and its interval is of that series.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from alfred.core.contracts import Interval
from alfred.core.errors import ConfigError
from alfred.evaluation.bootstrap import BootstrapSettings, block_counts, percentile_interval
from alfred.experiments.record import RunRecord, load_frame, load_record
from alfred.experiments.study import NAIVE, family

MEASURES = ("rank_ic", "accuracy")
"""Columns of quarters.parquet whose differences are taken."""


@dataclass(frozen=True)
class ComparedRun:
    """A run with the name it goes by in a comparison.

    Attributes:
        name: study, and the folder's digest where studies of one name are compared.
        folder: of the run.
        record: its record.
        quarters: analysts' test quarters, as in the run's folder.
        accounts: likewise.
    """

    name: str
    folder: Path
    record: RunRecord
    quarters: pl.DataFrame
    accounts: pl.DataFrame


@dataclass(frozen=True)
class Difference:
    """One analyst's measure in one run less that in the first run, over the quarters that both tested.

    Attributes:
        run: the later run's name.
        analyst: entry that both runs have.
        measure: "rank_ic" or "accuracy".
        quarters: common to both.
        first, other: means over them.
        difference: of the means, other less first.
        interval: circular block bootstrap over the quarters; None where fewer than 2 are common.
    """

    run: str
    analyst: str
    measure: str
    quarters: int
    first: float | None
    other: float | None
    difference: float | None
    interval: Interval | None


@dataclass(frozen=True)
class Comparison:
    """Several runs.

    Attributes:
        runs: in the order given; the first is what the others are held against.
        settings: key such as "panel.horizon_quarters" to its values in the runs, where they differ; None is absent.
        differences: of analysts that a run shares with the first.
        cautions: why figures of these runs cannot simply be compared.
    """

    runs: tuple[ComparedRun, ...]
    settings: dict[str, tuple[Any, ...]]
    differences: tuple[Difference, ...]
    cautions: tuple[str, ...]


def compare_runs(folders: Sequence[Path], settings: BootstrapSettings | None = None) -> Comparison:
    """Compare the runs of some folders.

    Args:
        folders: of at least two runs.
        settings: of the intervals; default those of every study.

    Raises:
        ConfigError: fewer than two different runs are given.
        DataError: a folder is no run's, or lacks a table.
    """
    distinct = list(dict.fromkeys(folder.resolve() for folder in folders))
    if len(distinct) < 2:
        raise ConfigError("a comparison needs at least two different runs; `alfred experiments` lists them.")
    records = [load_record(folder) for folder in distinct]
    studies = [record.study for record in records]
    runs = tuple(
        ComparedRun(
            record.study if studies.count(record.study) == 1 else f"{record.study} {record.digest[:6]}",
            folder,
            record,
            load_frame(folder, "quarters"),
            load_frame(folder, "accounts"),
        )
        for folder, record in zip(distinct, records, strict=True)
    )
    return Comparison(
        runs,
        _settings(records),
        tuple(_differences(runs, settings or BootstrapSettings())),
        tuple(_cautions(runs)),
    )


def _settings(records: Sequence[RunRecord]) -> dict[str, tuple[Any, ...]]:
    flat = [dict(_flat(record.settings)) for record in records]
    keys = dict.fromkeys(key for one in flat for key in one)
    found = {key: tuple(one.get(key) for one in flat) for key in keys}
    return {key: values for key, values in found.items() if any(value != values[0] for value in values)}


def _flat(form: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    """Nested settings as dotted keys; lists stay whole."""
    found: list[tuple[str, Any]] = []
    for key, value in form.items():
        found += _flat(value, f"{before}{key}.") if isinstance(value, dict) else [(f"{before}{key}", value)]
    return found


def _differences(runs: Sequence[ComparedRun], settings: BootstrapSettings) -> list[Difference]:
    first, *others = runs
    found = []
    for run, analyst in itertools.product(others, first.quarters["analyst"].unique(maintain_order=True)):
        own = first.quarters.filter(pl.col("analyst") == analyst)
        other = run.quarters.filter(pl.col("analyst") == analyst)
        if family(analyst) == NAIVE or other.is_empty():
            continue
        both = own.join(other, on="as_of", suffix="_other").sort("as_of")
        found += [_difference(run.name, analyst, measure, both, settings) for measure in MEASURES]
    return [difference for difference in found if difference.quarters]


def _difference(run: str, analyst: str, measure: str, both: pl.DataFrame, settings: BootstrapSettings) -> Difference:
    pairs = both.select(measure, f"{measure}_other").cast(pl.Float64).fill_nan(None).drop_nulls()
    if pairs.is_empty():
        return Difference(run, analyst, measure, 0, None, None, None, None)
    first, other = (pairs[:, at].to_numpy() for at in (0, 1))
    gaps = other - first
    interval = None
    if len(gaps) > 1:
        counts = block_counts(len(gaps), settings)
        blocks = len(gaps) / settings.block_length(len(gaps))
        interval = percentile_interval(counts @ gaps / len(gaps), settings.level, blocks)
    return Difference(
        run, analyst, measure, len(gaps), float(first.mean()), float(other.mean()), float(gaps.mean()), interval
    )


def _cautions(runs: Sequence[ComparedRun]) -> list[str]:
    """What makes figures of different runs differ beside the analysts."""
    first, found = runs[0], []
    for run in runs[1:]:
        record, against = run.record, first.record
        if record.protocol != against.protocol:
            found.append(
                f"{run.name} asks another question ({record.protocol}) than {first.name} ({against.protocol})."
            )
        if set(record.evaluation_basket) != set(against.evaluation_basket):
            found.append(f"{run.name} is tested on other names than {first.name}; a difference is of both.")
        dates, before = (set(one.quarters["as_of"]) for one in (run, first))
        if not dates & before:
            found.append(f"{run.name} and {first.name} have no test quarter in common; nothing of them is paired.")
        elif dates != before:
            found.append(
                f"{run.name} and {first.name} share {len(dates & before)} of {len(dates | before)} test quarters; "
                "differences are over those."
            )
        if record.cost_bps != against.cost_bps or record.execution != against.execution:
            found.append(f"{run.name} trades at other costs or fills than {first.name}.")
    if len(runs) > 2:
        found.append(f"{len(runs)} runs are compared: the best of several is better than it will be again.")
    return found


def growth(runs: Sequence[ComparedRun]) -> dict[tuple[str, str], pl.DataFrame]:
    """Every account over the sessions that all runs share, from 1 on: (run, portfolio) to date, drawdown and value."""
    first = max(run.accounts["date"].min() for run in runs)  # type: ignore[type-var]
    last = min(run.accounts["date"].max() for run in runs)  # type: ignore[type-var]
    found = {}
    for run in runs:
        shared = run.accounts.filter(pl.col("date").is_between(first, last))
        for (name,), account in shared.group_by("portfolio", maintain_order=True):
            values = account["value"].to_numpy()
            start = values[0] if len(values) and values[0] > 0 else np.nan
            found[run.name, str(name)] = account.select("date", "drawdown", value=pl.col("value") / start)
    return found
