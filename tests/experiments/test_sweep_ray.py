"""Two Ray nodes on one machine, a real PostgreSQL, and a tracking server on it: each configuration once."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from postgres import Postgres
from served import Server
from small_study import SMALL
from sweep_places import environment_of, ray_cluster, sweep_program

from alfred.core.errors import FetchError
from alfred.core.home import Home
from alfred.core.progress import Silent
from alfred.experiments.sweeps.drive import begin, trials_of
from alfred.experiments.sweeps.queue import FINISHED, Queue, Row
from alfred.experiments.sweeps.ray_pool import RayPool
from alfred.experiments.sweeps.settings import Sweep, WorkerSettings, load_sweep
from alfred.experiments.sweeps.worker import Worker, queue_of
from alfred.experiments.trials import TrialLedger

FORM: dict[str, Any] = {
    "name": "wide",
    "folds": 1,
    "workers": {"threads": 1, "lease_seconds": 10},
    "space": [
        {"analyst.name": ["ridge"], "analyst.quarters": list(range(1, 11)), "analyst.label": ["PM", "excess"]},
        {"analyst.name": ["vanilla.small.tanh"], "analyst.size": [8, 16], "analyst.loss": ["huber", "mse"]},
    ],
    "study": {
        **SMALL,
        "name": "wide",
        "analysts": [{"name": "ridge"}],
        "panel": {"features": ["momentum_12_1", "price_change_term_*", "drawdown"]},
        "splits": {**SMALL["splits"], "test_quarters": 28},
        "train": {"epochs": 3, "patience": 3, "batch_size": 64, "threads": 1, "device": "cpu"},
        "evaluation": {"draws": 100},
    },
}


def alone(sweep: Sweep, home: Home) -> tuple[Row, ...]:
    queue = queue_of(home, 5.0)
    begin(sweep, home, queue, Silent())
    Worker.of(sweep.identity, home).work()
    return trials_of(queue, sweep)


@pytest.mark.slow
def test_two_nodes_try_each_configuration_once_with_the_results_of_one(
    postgres_server: Postgres, tracking_server: Server, tmp_path: Path
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    file = tmp_path / "wide.toml"
    file.write_text(tomli_w.dumps(FORM))
    sweep = load_sweep(file)
    one = alone(sweep, Home(tmp_path / "one"))
    assert [row.state for row in one] == [FINISHED] * 24

    homes = [tmp_path / name for name in ("driver", "left", "right")]
    for home in homes:
        for part in ("lake", "stages"):
            shutil.copytree(tmp_path / "one" / part, home / part, ignore=shutil.ignore_patterns("fit-*", "training"))
    database = postgres_server.database()
    places = [
        environment_of(home, ALFRED_SWEEP_STORAGE=database, ALFRED_TRACKING_URI=tracking_server.uri) for home in homes
    ]
    with ray_cluster(places[1:]) as address:
        driver = sweep_program(file, "--ray", address, environment=places[0])
        said, _ = driver.communicate(timeout=240)
    assert driver.returncode == 0, said
    queue = Queue(database, 5.0)
    two = trials_of(queue, sweep)
    queue.close()
    assert [(row.state, row.deaths, row.point, row.result) for row in two] == [
        (FINISHED, 0, row.point, row.result) for row in one
    ]
    # Each machine has the fits of its own share, and no fit was made twice.
    shares = [{path.name for path in (home / "stages").glob("fit-*")} for home in homes[1:]]
    assert all(shares)
    assert not shares[0] & shares[1]
    assert len(shares[0] | shares[1]) == len({row.key for row in one}) + 4  # networks have two seeds
    counted = TrialLedger.open(Home(tmp_path / "look", shared_tracking=tracking_server.uri)).trials("wide")
    assert len(counted) == 24
    assert {trial.status for trial in counted} == {"finished"}
    assert not [secret for secret in ("s3cret", tracking_server.uri.partition("@")[0]) if secret in said]


@pytest.mark.slow
def test_a_cluster_that_is_not_there() -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    pool = RayPool("auto", "s", WorkerSettings(), 3)
    with pytest.raises(FetchError, match=r"no Ray cluster answers at auto .*; start one with `ray start --head`"), pool:
        pass
