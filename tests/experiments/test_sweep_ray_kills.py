"""Two Ray nodes, of which one dies in the middle of a trial; then a worker of the other does."""

import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from small_study import SMALL
from sweep_places import children, environment_of, ray_nodes, sweep_program

from alfred.core.home import Home
from alfred.core.progress import Silent
from alfred.experiments.sweeps.drive import begin, trials_of
from alfred.experiments.sweeps.queue import FINISHED, RUNNING, Queue, Row
from alfred.experiments.sweeps.settings import Sweep, load_sweep
from alfred.experiments.sweeps.worker import Worker, queue_of
from alfred.experiments.trials import TrialLedger

FORM: dict[str, Any] = {
    "name": "killed",
    "folds": 2,
    # Fit after fit, so that some of a trial's are finished when its worker dies; nothing is given up so early.
    "pruning": {"method": "median", "after": 50},
    "workers": {"threads": 1, "lease_seconds": 4, "attempts": 6},
    "space": {"analyst.size": [12, 16, 20, 24], "analyst.loss": ["huber", "mse"], "analyst.quarters": [1, 2]},
    "study": {
        **SMALL,
        "name": "killed",
        "analysts": [{"name": "vanilla.small.tanh"}],
        "panel": {"features": ["momentum_12_1", "price_change_term_*", "drawdown"]},
        "train": {"epochs": 3, "patience": 3, "batch_size": 16, "threads": 1, "device": "cpu"},
        "evaluation": {"draws": 100},
    },
}
CONFIGURATIONS, PATIENCE_S = 16, 120.0


def alone(sweep: Sweep, home: Home) -> tuple[Row, ...]:
    queue = queue_of(home, 5.0)
    begin(sweep, home, queue, Silent())
    Worker.of(sweep.identity, home).work()
    return trials_of(queue, sweep)


def pid_of(row: Row) -> int:
    return int(row.owner.split(":")[1])


def in_the_middle(queue: Queue, sweep: Sweep, among: Callable[[], list[int]]) -> Row:
    """A trial that one of these processes is at, with some of its fits finished and others to come."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        for row in trials_of(queue, sweep):
            if row.state == RUNNING and 1 <= len(row.reports) < 4 and pid_of(row) in among():
                return row
        time.sleep(0.02)
    raise AssertionError([(row.number, row.state, row.owner, row.reports) for row in trials_of(queue, sweep)])


def kill(pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def raylet_of(node: Any) -> int:
    return int(node.all_processes["raylet"][0].process.pid)


def fits(home: Home) -> dict[str, int]:
    """Finished fits, and when each was written."""
    return {path.parent.name: path.stat().st_mtime_ns for path in home.stages.glob("fit-*/stage.json")}


@pytest.mark.slow
def test_a_node_and_then_a_worker_are_killed_and_nothing_is_lost_or_done_twice(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    file = tmp_path / "killed.toml"
    file.write_text(tomli_w.dumps(FORM))
    sweep, home = load_sweep(file), Home(tmp_path / "home")
    one = alone(sweep, Home(tmp_path / "one"))
    assert [row.state for row in one] == [FINISHED] * CONFIGURATIONS
    for part in ("lake", "stages"):
        shutil.copytree(tmp_path / "one" / part, home.root / part, ignore=shutil.ignore_patterns("fit-*", "training"))
    place, queue = environment_of(home.root), queue_of(home, 5.0)
    with ray_nodes([place, place]) as cluster:
        stays, dies = raylet_of(cluster.head_node), raylet_of(next(iter(cluster.worker_nodes)))
        driver = sweep_program(file, "--ray", cluster.address, environment=place)
        try:
            first = in_the_middle(queue, sweep, lambda: children(dies))
            known = fits(home)
            kill([dies, *children(dies)])
            second = in_the_middle(queue, sweep, lambda: children(stays))
            kill([pid_of(second)])
            said, _ = driver.communicate(timeout=PATIENCE_S)
        finally:
            driver.kill()
            driver.wait()
    assert driver.returncode == 0, said

    rows = trials_of(queue, sweep)
    queue.close()
    assert [(row.state, row.point, row.result) for row in rows] == [(FINISHED, row.point, row.result) for row in one]
    assert {row.number: row.deaths for row in rows if row.deaths} == Counter([first.number, second.number])
    # What was finished before the node died was taken up, and not made again.
    now = fits(home)
    assert known
    assert known.items() <= now.items()
    assert fits(Home(tmp_path / "one")).keys() <= now.keys()
    counted = TrialLedger.open(home).trials("killed")
    assert (len(counted), {trial.status for trial in counted}) == (CONFIGURATIONS, {"finished"})
    assert len(list(home.runs.glob("*/run.json"))) == 1
