"""What the run cost, where it ran, and how to run it again."""

import json
from dataclasses import dataclass
from pathlib import Path

from alfred.experiments.record import RunRecord
from alfred.report.format import COUNT, NumberStyle, seconds
from alfred.report.table import Cell, Column, Table, measured

_MEMORY, _ENERGY = NumberStyle(0, unit=" MB"), NumberStyle(0, unit=" J")


@dataclass(frozen=True)
class RunSection:
    """Tables, and the study with every default written out."""

    efficiency: Table | None
    timings: Table | None
    environment: tuple[tuple[str, str], ...]
    study_text: str


def run_section(record: RunRecord, folder: Path) -> RunSection:
    """Efficiency, timings, environment and settings; the study's own file where the folder has it."""
    study = folder / "study.toml"
    text = (
        study.read_text(encoding="utf-8", errors="replace")
        if study.is_file()
        else json.dumps(record.settings, indent=2)
    )
    environment = {"Alfred": record.alfred_version, **record.environment}
    if record.peak_memory_mb > 0:
        environment["peak memory"] = f"{COUNT.text(record.peak_memory_mb)} MB"
    return RunSection(_efficiency(record), _timings(record), tuple(environment.items()), text)


def _efficiency(record: RunRecord) -> Table | None:
    if not record.efficiency:
        return None
    columns = (
        Column("Analyst"),
        Column("Parameters", numeric=True, title="learnt numbers"),
        Column("Fits", numeric=True, title="folds times seeds"),
        Column("Time", numeric=True, title="all fits together"),
        Column("Time an epoch", numeric=True),
        Column("Samples a second", numeric=True),
        Column("Median best epoch", numeric=True),
        Column("Time to best", numeric=True, title="until the best epoch, median over fits"),
        Column("Peak memory", numeric=True, title="of the hungriest fit: the device's, or the process' without one"),
        Column("Energy", numeric=True, title="all fits together, the whole device's"),
    )
    none = "learns without epochs"
    rows = tuple(
        (
            Cell(cost.analyst),
            measured(cost.parameters, COUNT),
            measured(cost.fits, COUNT),
            Cell(seconds(cost.seconds), sort=cost.seconds),
            Cell(
                seconds(cost.seconds_per_epoch),
                sort=cost.seconds_per_epoch,
                title=_unless(cost.seconds_per_epoch, none),
            ),
            measured(cost.samples_per_second, COUNT, title=_unless(cost.samples_per_second, none)),
            measured(cost.median_best_epoch, NumberStyle(1), title=_unless(cost.median_best_epoch, none)),
            Cell(
                seconds(cost.median_seconds_to_best),
                sort=cost.median_seconds_to_best,
                title=_unless(cost.median_seconds_to_best, none),
            ),
            measured(cost.peak_memory_mb, _MEMORY, title=_unless(cost.peak_memory_mb, "not measured")),
            measured(cost.energy_joules, _ENERGY, title=_unless(cost.energy_joules, "the device does not tell")),
        )
        for cost in record.efficiency
    )
    return Table("What the fits cost", columns, rows)


def _unless(value: float | None, remark: str) -> str:
    return remark if value is None else ""


def _timings(record: RunRecord) -> Table | None:
    if not record.timings:
        return None
    rows = [
        (
            Cell(timing.stage),
            Cell(seconds(timing.seconds), sort=timing.seconds),
            Cell("taken up from an earlier run" if timing.resumed else "computed"),
        )
        for timing in record.timings
    ]
    total = sum(timing.seconds for timing in record.timings)
    caption = f"Wall time by stage, {seconds(total)} together"
    return Table(caption, (Column("Stage"), Column("Time", numeric=True), Column("Result")), tuple(rows))
