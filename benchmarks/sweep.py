"""A sweep of 24 configurations: how much faster two Ray nodes are than one process, and whether kills lose anything.

    python benchmarks/sweep.py speed            one process, then two Ray nodes; on PostgreSQL and a tracking server
    python benchmarks/sweep.py kills --times 20 kill -9 of workers, driver and tracking server at random instants

Everything runs on this machine's loopback, in a folder of its own. Panels are built beforehand.
"""

import argparse
import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "experiments"))

import postgres
from sweep_places import children, environment_of, ray_cluster, sweep_program, tracking_server

from alfred.core.home import Home
from alfred.experiments.store import fetch, stored_models
from alfred.experiments.sweeps.drive import points, ranked, trials_of
from alfred.experiments.sweeps.queue import Queue, Row
from alfred.experiments.sweeps.settings import Sweep, load_sweep
from alfred.experiments.sweeps.trial import Bench
from alfred.experiments.trials import FINISHED, TrialLedger

WHOM = ["worker", "driver", "server"]
SWEEP = """
name = "bench"
objective = "rank_ic"
folds = {folds}
[workers]
threads = 1
attempts = 50
lease_seconds = 10
[space]
"analyst.size" = [48, 64, 80, 96]
"analyst.loss" = ["huber", "huber-sign"]
"train.learning_rate" = [3e-4, 1e-3, 3e-3]
[study]
name = "bench"
seeds = [0, 1]
[study.data]
provider = "sample"
[study.universe.scan]
training_start = "AAPL"
evaluation_start = "GE"
n = 10
as_of = "2003-12-31"
[study.splits]
test_first = "2004-03-31"
test_quarters = 40
valid_quarters = 8
min_train_quarters = 20
[study.train]
epochs = {epochs}
batch_size = 32
patience = {epochs}
device = "cpu"
[[study.analysts]]
name = "vanilla.small.tanh"
[study.evaluation]
draws = 500
"""


def main() -> None:
    """Read the command line and do it."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("what", choices=["speed", "kills"])
    asked.add_argument("--times", type=int, default=20)
    asked.add_argument("--epochs", type=int, default=40)
    asked.add_argument("--folds", type=int, default=2)
    asked.add_argument("--pause", type=float, default=12.0, help="seconds between kills, at most")
    asked.add_argument("--seed", type=int, default=0)
    told = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="alfred-sweep-") as name:
        folder = Path(name)
        file = folder / "sweep.toml"
        file.write_text(SWEEP.format(epochs=told.epochs, folds=told.folds))
        sweep = load_sweep(file)
        prepare(sweep, folder / "warm")
        with postgres.running() as server:
            if told.what == "speed":
                speed(file, sweep, folder, server)
            else:
                kills(file, sweep, folder, server, told)


def prepare(sweep: Sweep, home: Path) -> None:
    """Lake and panel of the base study."""
    Bench(Home(home)).prepared(sweep.configured(points(sweep)[0]))


def fresh(folder: Path, name: str) -> Path:
    """A home with lake and panel, and nothing else."""
    return Path(shutil.copytree(folder / "warm", folder / name))


def speed(file: Path, sweep: Sweep, folder: Path, server: postgres.Postgres) -> None:
    """One process alone, then two nodes of one core each."""
    found: dict[str, tuple[float, tuple[Row, ...]]] = {}
    for name in ("alone", "ray"):
        database = server.database()
        with tracking_server(server.database(), folder / f"mlflow-{name}") as tracking:
            homes = [fresh(folder, f"{name}-{at}") for at in range(3)]
            places = [
                environment_of(home, ALFRED_SWEEP_STORAGE=database, ALFRED_TRACKING_URI=tracking.url) for home in homes
            ]
            queue = Queue(database, 60.0)
            if name == "alone":
                lasted = timed(file, ["--workers", "1"], places[0])
            else:
                with ray_cluster(places[1:]) as address:
                    lasted = timed(file, ["--ray", address], places[0])
            rows = trials_of(queue, sweep)
            found[name] = (lasted, rows)
            check(sweep, queue, Home(homes[0], shared_tracking=tracking.url))
            queue.close()
            span = max(row.ended for row in rows) - min(row.began for row in rows)
            owners = sorted({row.owner.split(":")[1] for row in rows})
            print(f"{name}: {lasted:.1f} s in all, {span:.1f} s from first to last trial, {len(owners)} workers")
    (alone, one), (ray, two) = found["alone"], found["ray"]
    same = [a.result == b.result for a, b in zip(one, two, strict=True)]
    print(f"same results: {sum(same)} of {len(same)}; {alone / ray:.2f} times as fast in all")
    spans = [max(row.ended for row in rows) - min(row.began for row in rows) for rows in (one, two)]
    print(f"{spans[0] / spans[1]:.2f} times as fast from first to last trial")


def timed(file: Path, options: list[str], environment: dict[str, str]) -> float:
    """Seconds that the program takes."""
    begun = time.monotonic()
    process = sweep_program(file, *options, environment=environment)
    said, _ = process.communicate(timeout=3000)
    if process.returncode:
        sys.exit(said)
    return time.monotonic() - begun


def kills(file: Path, sweep: Sweep, folder: Path, server: postgres.Postgres, told: argparse.Namespace) -> None:
    """Kill one of a worker, the driver and the tracking server, again and again, over as many sweeps as it takes."""
    done, chance = Counter[str](), random.Random(told.seed)
    for turn in itertools.count():
        most = argparse.Namespace(times=told.times - done.total(), pause=told.pause)
        done += one_sweep_of_kills(file, sweep, (folder, turn, server), chance, most)
        if done.total() >= told.times:
            break
    print(f"{done.total()} kills in {turn + 1} sweeps: {dict(done)}")


def one_sweep_of_kills(
    file: Path,
    sweep: Sweep,
    place: tuple[Path, int, postgres.Postgres],
    chance: random.Random,
    told: argparse.Namespace,
) -> Counter[str]:
    """Kill until the sweep is done, at most so often; whom how often."""
    folder, turn, server = place
    home, database, done = fresh(folder, f"home-{turn}"), server.database(), Counter[str]()
    queue = Queue(database, 60.0)
    with tracking_server(server.database(), folder / f"mlflow-{turn}") as tracking:
        environment = environment_of(home, ALFRED_SWEEP_STORAGE=database, ALFRED_TRACKING_URI=tracking.url)
        driver = sweep_program(file, "--workers", "2", environment=environment)
        while done.total() < told.times and not ended_within(driver, chance.uniform(0.5, told.pause)):
            whom = chance.choice(WHOM)
            if whom == "server":
                tracking.kill()
                time.sleep(chance.uniform(0.0, 5.0))
                tracking.start()
            elif whom == "driver":
                driver.kill()
                driver.communicate()
                driver = sweep_program(file, "--workers", "2", environment=environment)
            elif below := children(driver.pid):
                os.kill(chance.choice(below), signal.SIGKILL)
            else:
                continue
            done[whom] += 1
            states = Counter(row.state for row in trials_of(queue, sweep))
            print(f"killed the {whom}; configurations: {dict(states)}", flush=True)
        said, _ = driver.communicate(timeout=3000)
        if driver.returncode:
            sys.exit(said)
        tracking.wait()
        check(sweep, queue, Home(home, shared_tracking=tracking.url))
        deaths = sum(row.deaths for row in trials_of(queue, sweep))
        print(f"complete after {done.total()} kills: every configuration once, none lost; {deaths} deaths were counted")
        print(said.partition("Chosen")[2])
    queue.close()
    return done


def ended_within(driver: "subprocess.Popen[str]", seconds: float) -> bool:
    """Whether it ended by itself meanwhile."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and driver.poll() is None:
        time.sleep(0.05)
    return driver.poll() is not None


def check(sweep: Sweep, queue: Queue, home: Home) -> None:
    """Every configuration finished once, counted once, and judged once; every stored file is whole."""
    planned, rows = points(sweep), trials_of(queue, sweep)
    wrong: list[Any] = []
    if [row.point for row in rows] != [dict(point) for point in planned]:
        wrong.append("the configurations are not the planned ones")
    if {row.state for row in rows} != {FINISHED} or len({row.key for row in rows}) != len(rows):
        wrong.append({row.number: (row.state, row.error) for row in rows})
    counted = TrialLedger.open(home).trials(sweep.base.counted_as)
    if len(counted) != len(rows) or {one.status for one in counted} != {FINISHED}:
        wrong.append(f"the ledger counts {[(one.analyst, one.status) for one in counted]}")
    if len({one.key for one in counted}) != len(counted):
        wrong.append("a trial is counted twice")
    stages = [path.parent for path in home.stages.glob("*/stage.json")]
    wrong += [f"{folder.name} is broken" for folder in stages if not is_whole(folder)]
    judged = json.loads(next(home.sweeps.glob("*/sweep.json")).read_text())
    if judged["number"] != ranked(sweep, rows)[0].number or len(list(home.runs.glob("*/run.json"))) != 1:
        wrong.append("the judgement is not that of the best")
    stored = stored_models(home)
    if len(stored) != 1 + len(sweep.base.seeds):  # the naive forecast, and the chosen network with each seed
        wrong.append(f"{len(stored)} models are stored")
    for model in stored:
        fetch(home, model)  # raises where a file is not as its manifest says
    print(f"{len(rows)} configurations, {len(counted)} trials, {len(stages)} stages, {len(stored)} stored models load")
    if wrong:
        sys.exit(f"WRONG: {wrong}")


def is_whole(folder: Path) -> bool:
    """Whether a stage has every file as it was written."""
    files = json.loads((folder / "stage.json").read_text())["files"]
    return all(hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest for name, digest in files.items())


if __name__ == "__main__":
    main()
