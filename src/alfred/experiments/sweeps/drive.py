"""From a sweep's file to one judgement: plan, workers, choice on validation rows, and a single look at the test."""

import csv
import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alfred.core.errors import ConfigError, DataError
from alfred.core.home import Home
from alfred.core.progress import Progress
from alfred.core.storage import write_whole
from alfred.evaluation.overfitting import overfitting
from alfred.experiments.counting import counted, recount
from alfred.experiments.deflated import deflated_ratios, recorded_tracks
from alfred.experiments.record import RunRecord, load_record
from alfred.experiments.run import run_study
from alfred.experiments.study import Study
from alfred.experiments.sweeps import space
from alfred.experiments.sweeps.patience import patiently
from alfred.experiments.sweeps.pools import Pool
from alfred.experiments.sweeps.queue import ENDED, FAILED, FINISHED, PRUNED, RUNNING, Queue, Row
from alfred.experiments.sweeps.settings import Sweep
from alfred.experiments.sweeps.space import Point
from alfred.experiments.sweeps.trial import Bench
from alfred.experiments.sweeps.worker import Worker

LOOK_S = 0.5
JUDGEMENT = -1
"""Number of the row by which one driver alone judges the chosen configuration."""
SAMPLED = 64
"""Draws by which a space that is searched as it goes is checked beforehand."""
TRIALS = "trials"


@dataclass(frozen=True)
class Judgement:
    """What a sweep found.

    Attributes:
        sweep: its name.
        tried, finished, pruned, failed: configurations.
        number: of the chosen one.
        analyst, point: what it is.
        objective, value: on validation rows; the best of many, and so flattered by chance.
        median: of all finished configurations.
        overfitting: probability that the best on one half of the validation quarters is below the median on the other;
            None where it cannot be told, and `why` says so.
        run: the chosen configuration's run.
        verdict: of the run, on test rows.
        rank_ic: on test rows, with the ends of its interval over quarters where there is one.
        deflated: deflated Sharpe ratio by account, against all tries of the family.
        counted: trials of the family.
    """

    sweep: str
    tried: int
    finished: int
    pruned: int
    failed: int
    number: int
    analyst: str
    point: Mapping[str, Any]
    objective: str
    value: float
    median: float
    overfitting: float | None
    why: str
    run: str
    verdict: str
    rank_ic: tuple[float | None, ...]
    deflated: Mapping[str, float]
    counted: int


def points(sweep: Sweep) -> tuple[Point, ...]:
    """All configurations of a grid or of random draws; of TPE, which proposes as it goes, none.

    Raises:
        ConfigError: one is not usable, or they cannot be compared.
    """
    planned = (
        tuple(space.grid(sweep) if sweep.method == "grid" else space.draws(sweep)) if sweep.method != "tpe" else ()
    )
    sampled = [space.draw(sweep, number, set()) for number in range(SAMPLED)] if sweep.method == "tpe" else []
    _require_comparable(sweep, [sweep.configured(point) for point in (*planned, *sampled) if point is not None])
    return planned


def _require_comparable(sweep: Sweep, studies: Sequence[Study]) -> None:
    if sweep.objective == "rank_ic":
        return
    kinds = {sweep.judged_in(study) if sweep.objective == "loss" else sweep.judged_in(study)[0] for study in studies}
    if len(kinds) > 1:
        told = "; ".join(sorted(str(kind) if isinstance(kind, str) else " by ".join(kind) for kind in kinds))
        raise ConfigError(
            f'objective = "{sweep.objective}" is not the same figure for all configurations, which forecast {told}; '
            'take objective = "rank_ic", or one label and one loss.'
        )


def begin(sweep: Sweep, home: Home, queue: Queue, progress: Progress) -> Mapping[str, int]:
    """Write the sweep and its configurations down, where they are not yet.

    Returns:
        Versions of the lake's tables that the sweep reads, from its first start to its end.
    """
    planned, patience_s = points(sweep), sweep.workers.patience_minutes * 60
    form = queue.form(sweep.identity)
    if form is None:
        progress.say("reading the data of the base study")
        first = sweep.configured(planned[0]) if planned else sweep.base
        versions = dict(Bench(home, None, patience_s).inputs(first).market.view.versions)
        form = queue.enter(sweep.identity, {"sweep": sweep.model_dump(mode="json"), "versions": versions})
    versions = dict(form["versions"])
    bench, there = Bench(home, versions, patience_s), {row.number for row in queue.rows(sweep.identity)}
    for number, point in enumerate(planned):
        if number not in there:
            queue.add(sweep.identity, number, bench.key(sweep, sweep.configured(point)), point)
    queue.add(sweep.identity, JUDGEMENT, f"judgement-{sweep.identity}", {})
    return versions


def run_sweep(
    sweep: Sweep, home: Home, queue: Queue, pool_of: Callable[[int], Pool], progress: Progress
) -> tuple[Judgement, Path]:
    """Run a sweep, or take it up where it stopped.

    Args:
        sweep: what to try.
        home: where data, stages and results are.
        queue: shared with all who work on it.
        pool_of: makes workers for so many open trials.
        progress: hears how far it is.

    Returns:
        What was found, and the folder with the table of trials (trials.csv), this judgement (sweep.json) and the chosen
        configuration as a study (chosen.toml).

    Raises:
        AlfredError, OSError: it cannot go on; the same call goes on from there.
    """
    begin(sweep, home, queue, progress)
    rows = trials_of(queue, sweep)
    progress.start(TRIALS, sweep.trials if sweep.method == "tpe" else len(rows))
    told = _tell(progress, sweep, rows, 0)
    open_trials = (sweep.trials or 0) if sweep.method == "tpe" else len(rows)
    if told < open_trials:
        with pool_of(open_trials - told) as pool:
            working = True
            while working:
                working = pool.tend()
                rows = trials_of(queue, sweep)
                told = _tell(progress, sweep, rows, told)
                if all(row.state in ENDED for row in rows) and len(rows) >= open_trials:
                    break
                time.sleep(LOOK_S)
    progress.finish(TRIALS)
    return judge(sweep, home, queue, progress)


def trials_of(queue: Queue, sweep: Sweep) -> tuple[Row, ...]:
    """The configurations of a sweep, by number."""
    return tuple(row for row in queue.rows(sweep.identity) if row.number >= 0)


def retry(queue: Queue, sweep: Sweep) -> int:
    """Put failed configurations back into the queue; how many that were.

    Raises:
        ConfigError: the test was looked at already, and a choice among more would be a second look.
    """
    if any(row.number == JUDGEMENT and row.state == FINISHED for row in queue.rows(sweep.identity)):
        raise ConfigError(
            f"the sweep {sweep.name} was judged already; to try its failed configurations, begin another one."
        )
    return queue.retry(sweep.identity)


def ranked(sweep: Sweep, rows: Sequence[Row]) -> list[Row]:
    """Finished configurations, the best first; of equal ones the earliest."""
    known = [row for row in rows if row.state == FINISHED and row.result.get("value") is not None]
    sign = -1 if sweep.rises else 1
    return sorted(known, key=lambda row: (sign * row.result["value"], row.number))


def judge(sweep: Sweep, home: Home, queue: Queue, progress: Progress) -> tuple[Judgement, Path]:
    """Choose by validation rows, and look at the test once: whichever driver comes first does, the others read it.

    Raises:
        DataError: no configuration was finished.
    """
    rows = trials_of(queue, sweep)
    best = ranked(sweep, rows)
    if not best:
        failure = next((row.error for row in rows if row.error), "no objective is defined")
        raise DataError(f"none of the {len(rows)} configurations of {sweep.name} could be judged: {failure}")
    study = sweep.configured(best[0].point)
    worker = Worker.of(sweep.identity, home)
    asked = sweep.workers
    while True:
        held = queue.claim(
            sweep.identity, worker.owner, lease_s=asked.lease_seconds, attempts=10**6, numbers=[JUDGEMENT]
        )
        if held is not None:
            break
        row = next(row for row in queue.rows(sweep.identity) if row.number == JUDGEMENT)
        if row.state == FINISHED:
            return _written(sweep, home, rows, study, Judgement(**_tupled(row.result)))
        time.sleep(LOOK_S)
    try:
        with worker.kept(held):
            progress.say(f"chosen on validation rows: {best[0].result['analyst']}; now the test, once")
            folder = patiently(lambda: run_study(study, home, progress, worker.versions), asked.patience_minutes * 60)
            found = _judgement(sweep, home, rows, best, folder)
            queue.finish(held, FINISHED, asdict(found))
    except BaseException:
        queue.release(worker.owner)
        raise
    return _written(sweep, home, rows, study, found)


def _judgement(sweep: Sweep, home: Home, rows: Sequence[Row], best: Sequence[Row], folder: Path) -> Judgement:
    record = load_record(folder)
    patiently(lambda: recount(home, folder, record), sweep.workers.patience_minutes * 60)
    found = counted(folder, record)
    probability, why = _overfitting(sweep, best)
    return Judgement(
        sweep=sweep.name,
        tried=len(rows),
        finished=sum(row.state == FINISHED for row in rows),
        pruned=sum(row.state == PRUNED for row in rows),
        failed=sum(row.state == FAILED for row in rows),
        number=best[0].number,
        analyst=best[0].result["analyst"],
        point=best[0].point,
        objective=sweep.objective,
        value=best[0].result["value"],
        median=float(np.median([row.result["value"] for row in best])),
        overfitting=probability,
        why=why,
        run=folder.name,
        verdict=record.verdict,
        rank_ic=_rank_ic(record, best[0].result["analyst"]),
        deflated=deflated_ratios(record.portfolios, recorded_tracks(folder, record), found),
        counted=0 if found is None else found.count,
    )


def _rank_ic(record: RunRecord, analyst: str) -> tuple[float | None, ...]:
    figure = next(card for card in record.scorecards if card.analyst == analyst).figure("rank_ic")
    over = figure.over_quarters
    return (figure.value,) if over is None else (figure.value, over.lower, over.upper)


def _overfitting(sweep: Sweep, finished: Sequence[Row]) -> tuple[float | None, str]:
    """Whether choosing the best chooses anything: over quarters that all finished configurations were judged in."""
    dates = sorted(set.intersection(*(set(row.result["quarters"]) for row in finished)))
    table = np.array([[row.result["quarters"][date] for row in finished] for date in dates], dtype=np.float64)
    table = table[np.isfinite(table).all(axis=1)] if table.size else np.zeros((0, len(finished)))
    try:
        return overfitting(table if sweep.rises else -table).probability, ""
    except DataError as error:
        return None, str(error)


def _written(sweep: Sweep, home: Home, rows: Sequence[Row], study: Study, found: Judgement) -> tuple[Judgement, Path]:
    folder = home.sweeps / f"{sweep.name}-{sweep.identity[:10]}"
    write_whole(folder / "trials.csv", table_of(rows))
    write_whole(folder / "chosen.toml", study.toml())
    write_whole(folder / "sweep.json", json.dumps(asdict(found), indent=1) + "\n")
    return found, folder


def table_of(rows: Sequence[Row]) -> str:
    """The trials as CSV: number, state, value, figures, settings, seconds, deaths, owner and error."""
    names = list(dict.fromkeys(name for row in rows for name in row.point))
    figures = list(dict.fromkeys(name for row in rows for name in row.result.get("figures", {})))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["number", "state", "value", *figures, *names, "seconds", "deaths", "owner", "error"])
    for row in rows:
        seconds = f"{row.ended - row.began:.1f}" if row.ended else ""
        own = [row.result.get("figures", {}).get(name, "") for name in figures]
        settings = [json.dumps(row.point[name]) if name in row.point else "" for name in names]
        value = row.result.get("value")
        writer.writerow(
            [
                row.number,
                row.state,
                "" if value is None else value,
                *own,
                *settings,
                seconds,
                row.deaths,
                row.owner,
                row.error,
            ]
        )
    return text.getvalue()


def _tupled(form: Mapping[str, Any]) -> dict[str, Any]:
    return {**form, "rank_ic": tuple(form["rank_ic"])}


def _tell(progress: Progress, sweep: Sweep, rows: Sequence[Row], told: int) -> int:
    ended = sum(row.state in ENDED for row in rows)
    best = ranked(sweep, rows)
    running = sum(row.state == RUNNING for row in rows)
    note = f"{running} at work" + (f", best {sweep.objective} {best[0].result['value']:.4g}" if best else "")
    progress.advance(TRIALS, ended - told, note)
    return ended
