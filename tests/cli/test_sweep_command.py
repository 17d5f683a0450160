"""`alfred sweep`: what it prints, and processes that are stopped and killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from alfred.cli.main import app
from alfred.core.home import Home
from alfred.experiments.sweeps.drive import trials_of
from alfred.experiments.sweeps.pools import LocalPool, Shares
from alfred.experiments.sweeps.queue import FINISHED, QUEUED, RUNNING, Queue, Row
from alfred.experiments.sweeps.settings import Sweep, WorkerSettings, load_sweep
from alfred.experiments.trials import TrialLedger

PROGRAM = [sys.executable, "-c", "from alfred.cli.main import main; main()"]
SWEEP = """
name = "small"
folds = 1
[workers]
threads = 1
lease_seconds = 5
[space]
"analyst.size" = [16, 24]
"train.learning_rate" = [0.001, 0.003, 0.01]
[study]
seeds = [0, 1]
[study.data]
since = "2000-01-03"
until = "2014-12-31"
[study.universe.scan]
training_start = "AAPL"
evaluation_start = "GE"
n = 6
as_of = "2007-12-31"
[study.panel]
features = ["momentum_12_1", "price_change_term_*", "drawdown"]
[study.splits]
test_first = "2008-03-31"
test_quarters = 28
valid_quarters = 4
min_train_quarters = 12
[study.train]
epochs = 16
patience = 30
batch_size = 16
device = "cpu"
[[study.analysts]]
name = "vanilla.small.tanh"
layers = 2
[study.evaluation]
draws = 100
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SWEEP)
    return path


def alfred(*words: str) -> str:
    result = CliRunner().invoke(app, ["sweep", *words])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_dry_run_prints_the_configurations_and_makes_nothing(file: Path, tmp_path: Path) -> None:
    said = alfred(str(file), "--dry-run")
    assert "6 configurations of small:" in said
    assert "    5  analyst.size = 24, train.learning_rate = 0.01" in said
    assert not (tmp_path / "alfred-home").exists()
    tpe = alfred(str(file), "--dry-run", "--set", "method=tpe", "--set", "trials=9")
    assert "9 configurations, each proposed by what the ones before it found" in tpe
    assert "analyst.size: (16, 24)" in tpe


def test_the_status_of_what_has_not_begun(file: Path) -> None:
    assert "small has not begun" in alfred(str(file), "--status")


def test_joining_what_nobody_began_is_an_error(file: Path) -> None:
    result = CliRunner().invoke(app, ["sweep", str(file), "--join"])
    assert result.exit_code == 2
    assert "knows no sweep small as" in " ".join(result.output.split())


def test_the_status_is_a_table_of_trials(file: Path, tmp_path: Path) -> None:
    (tmp_path / "alfred-home").mkdir()
    queue = Queue(f"sqlite:///{tmp_path / 'alfred-home' / 'sweeps.db'}", 1.0)
    sweep = load_sweep(file)
    for number in range(3):
        queue.add(sweep.identity, number, f"k{number}", {"analyst.size": 16, "train.learning_rate": 0.1**number})
    held = queue.claim(sweep.identity, "w", lease_s=60, attempts=3)
    assert held is not None
    queue.finish(held, FINISHED, {"value": 0.125, "fits": [4, 4]})
    assert queue.claim(sweep.identity, "w", lease_s=60, attempts=3) is not None
    said = alfred(str(file), "--status")
    assert "1 finished, 1 running, 1 queued" in said
    assert " 0  finished    0.125  4/4" in said
    queue.close()


def test_shares_of_a_machine() -> None:
    asked = WorkerSettings()
    assert Shares.of(asked, 24, cores=8, accelerators=0) == Shares(8, 1, ())
    assert Shares.of(asked, 3, cores=8, accelerators=0) == Shares(3, 2, ())
    assert Shares.of(WorkerSettings(number=2), 24, cores=8, accelerators=0) == Shares(2, 4, ())
    assert Shares.of(WorkerSettings(threads=3), 24, cores=8, accelerators=0).threads == 3
    assert Shares.of(asked, 24, cores=8, accelerators=2) == Shares(2, 4, ("0", "1"))
    assert Shares.of(WorkerSettings(gpus=0.5), 24, cores=8, accelerators=2) == Shares(4, 2, ("0", "0", "1", "1"))
    assert Shares.of(WorkerSettings(gpus=2), 24, cores=8, accelerators=4) == Shares(2, 4, ("0,1", "2,3"))
    assert Shares.of(WorkerSettings(gpus=0), 24, cores=4, accelerators=2) == Shares(4, 1, ("",) * 4)
    told = Shares(2, 3, ("0", "1")).environment(1)
    assert (told["OMP_NUM_THREADS"], told["CUDA_VISIBLE_DEVICES"]) == ("3", "1")


def test_a_worker_that_says_what_is_wrong_ends_the_sweep(tmp_path: Path) -> None:
    queue = Queue(f"sqlite:///{tmp_path / 'q.db'}", 1.0)
    wrong = [sys.executable, "-c", "import sys; sys.stderr.write('Error: the disk is full.'); sys.exit(2)"]
    with (
        LocalPool(wrong, "s", Shares(1, 1, ()), queue) as pool,
        pytest.raises(Exception, match=r"a worker cannot go on: the disk is full\."),
    ):
        tended(pool)
    dying = [sys.executable, "-c", "import sys; sys.exit('no such library')"]
    with (
        LocalPool(dying, "s", Shares(1, 1, ()), queue) as pool,
        pytest.raises(Exception, match=r"5 workers died before they did anything \(exit code 1; no such library\)"),
    ):
        tended(pool)
    queue.close()


def tended(pool: LocalPool) -> None:
    end = time.monotonic() + 60
    while pool.tend() and time.monotonic() < end:
        time.sleep(0.02)


def started(file: Path, home: Path, workers: int = 2) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*PROGRAM, "sweep", str(file), "--workers", str(workers)], env={**os.environ, "ALFRED_HOME": str(home)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def rows_of(sweep: Sweep, home: Path) -> tuple[Row, ...]:
    if not (home / "sweeps.db").exists():
        return ()
    queue = Queue(f"sqlite:///{home / 'sweeps.db'}", 60.0)
    try:
        return trials_of(queue, sweep)
    finally:
        queue.close()


def when(sweep: Sweep, home: Path, state: str, count: int, process: "subprocess.Popen[str]") -> tuple[Row, ...]:
    end = time.monotonic() + 200
    while time.monotonic() < end and process.poll() is None:
        rows = rows_of(sweep, home)
        if sum(row.state == state for row in rows) >= count:
            return rows
        time.sleep(0.05)
    said = process.stdout.read() if process.stdout and process.poll() is not None else ""
    pytest.fail(f"it never came to {count} {state}; {said}")


@pytest.mark.slow
def test_killed_workers_and_drivers_and_ctrl_c_lose_nothing(file: Path, tmp_path: Path) -> None:
    sweep, home = load_sweep(file), tmp_path / "home"
    driver = started(file, home)
    rows = when(sweep, home, RUNNING, 2, driver)
    victim = next(row for row in rows if row.state == RUNNING)
    os.kill(int(victim.owner.split(":")[1]), signal.SIGKILL)
    when(sweep, home, FINISHED, 1, driver)
    driver.kill()
    driver.communicate()

    driver = started(file, home)
    when(sweep, home, FINISHED, 3, driver)
    driver.send_signal(signal.SIGINT)
    said, _ = driver.communicate(timeout=60)
    assert driver.returncode == 130, said
    assert "Stopped. Finished stages are kept" in said
    assert RUNNING not in {row.state for row in rows_of(sweep, home)}
    assert not list(home.rglob("*.partial"))

    driver = started(file, home)
    said, _ = driver.communicate(timeout=200)
    assert driver.returncode == 0, said
    rows = rows_of(sweep, home)
    assert [row.state for row in rows] == [FINISHED] * 6
    assert len({row.key for row in rows}) == 6
    assert "6 finished" in said
    assert "Chosen of 6 by rank_ic on validation rows" in said
    counted = TrialLedger.open(Home(home)).trials("small")
    assert [one.status for one in counted] == ["finished"] * 6
    assert len(list((home / "runs").glob("*/run.json"))) == 1
    assert QUEUED not in {row.state for row in rows}
