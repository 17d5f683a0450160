"""A whole sweep in this process: chosen on validation rows, tested once, counted with all tries, taken up again."""

import csv
import errno
import hashlib
import io
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from small_study import SMALL

from alfred.core.errors import ConfigError, DataError, FetchError
from alfred.core.home import Home
from alfred.core.progress import Silent
from alfred.experiments import trials as ledgers
from alfred.experiments.counting import count
from alfred.experiments.record import load_record
from alfred.experiments.sweeps import patience
from alfred.experiments.sweeps import worker as workers
from alfred.experiments.sweeps.drive import begin, judge, retry, run_sweep, table_of, trials_of
from alfred.experiments.sweeps.queue import FAILED, FINISHED, PRUNED, QUEUED, Queue
from alfred.experiments.sweeps.settings import Sweep
from alfred.experiments.sweeps.trial import Bench
from alfred.experiments.sweeps.worker import Worker
from alfred.experiments.trials import TrialLedger
from room import no_room

STUDY: dict[str, Any] = {
    **SMALL,
    "name": "base",
    "analysts": [{"name": "ridge"}],
    "panel": {"features": ["momentum_12_1", "price_change_term_*", "drawdown"]},
    "splits": {**SMALL["splits"], "valid_quarters": 8, "test_quarters": 28},
    "train": {"epochs": 2, "patience": 3, "batch_size": 64, "threads": 1},
    "evaluation": {"draws": 100},
}
SPACE = [
    {"analyst.name": ["ridge"], "analyst.quarters": [1, 2, 4]},
    {"analyst.name": ["vanilla.small.tanh"], "analyst.size": [8], "analyst.layers": [1, 2]},
]


class Here:
    """A pool of threads of this process."""

    def __init__(self, sweep: Sweep, home: Home, number: int) -> None:
        self._sweep, self._home, self._number = sweep, home, number
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        for _ in range(self._number):
            worker = Worker.of(self._sweep.identity, self._home)
            self._threads.append(threading.Thread(target=worker.work))
            self._threads[-1].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in self._threads:
            one.join()

    def tend(self) -> bool:
        return any(one.is_alive() for one in self._threads)


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with lake and panel, for all of them."""
    home = Home(tmp_path_factory.mktemp("home"))
    Bench(home).prepared(sweep_of().base)
    TrialLedger.open(home)
    return home


@pytest.fixture
def home(warm: Home, tmp_path: Path) -> Home:
    """One with results of its own."""
    own = Home(tmp_path / "home", shared_lake=str(warm.lake))
    return _made(own, warm)


def sweep_of(**more: Any) -> Sweep:
    return Sweep.parse({"name": "s", "study": STUDY, "space": SPACE, **more}, "s.toml")


def queue_in(home: Home) -> Queue:
    return workers.queue_of(home, 5.0)


def run(sweep: Sweep, home: Home, number: int = 1) -> tuple[Any, Path]:
    return run_sweep(sweep, home, queue_in(home), lambda _: Here(sweep, home, number), Silent())


def test_the_best_on_validation_rows_is_tested_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = sweep_of()
    found, folder = run(sweep, home, number=2)
    rows = trials_of(queue_in(home), sweep)
    assert [row.state for row in rows] == [FINISHED] * 5
    best = max(rows, key=lambda row: row.result["value"])
    assert (found.number, found.value, found.tried, found.finished) == (best.number, best.result["value"], 5, 5)
    assert found.overfitting is not None
    assert 0 <= found.overfitting <= 1

    # One run, of the chosen configuration; every try is counted in its family.
    (run_folder,) = home.runs.glob("*/")
    record = load_record(run_folder)
    assert run_folder.name == found.run
    assert [card.analyst for card in record.scorecards] == ["naive", best.result["analyst"]]
    counted = TrialLedger.open(home).trials("base")
    assert len(counted) == found.counted == 5
    assert {one.status for one in counted} == {"finished"}
    assert sum("rank_ic" in (one.figures or {}) for one in counted) == 1
    tally = count(home, "base")
    assert (tally.count, tally.finished, tally.untraded) == (5, 5, 4)

    # What lies in the folder is the same; the chosen study is one that can be run.
    assert json.loads((folder / "sweep.json").read_text())["run"] == found.run
    table = list(csv.DictReader(io.StringIO((folder / "trials.csv").read_text())))
    assert [float(one["value"]) for one in table] == [row.result["value"] for row in rows]
    assert 'name = "base"' in (folder / "chosen.toml").read_text()

    # Again: nothing is tried or tested anew.
    monkeypatch.setattr(workers, "try_out", lambda *_: pytest.fail("tried again"))
    monkeypatch.setattr("alfred.experiments.sweeps.drive.run_study", lambda *_: pytest.fail("tested again"))
    again, _ = run(sweep, home)
    assert again == found
    with pytest.raises(ConfigError, match=r"the sweep s was judged already; to try its failed configurations, begin"):
        retry(queue_in(home), sweep)


@pytest.mark.slow
def test_all_tries_deflate_what_the_chosen_one_earned(home: Home) -> None:
    found, _ = run(sweep_of(space=SPACE[0]), home)
    (alone,) = (run(sweep_of(name="one", space={"analyst.quarters": [ranked_first(found)]}), other(home))[0],)
    assert found.deflated.keys() == alone.deflated.keys()
    assert found.deflated
    assert all(found.deflated[name] < alone.deflated[name] for name in found.deflated)


def ranked_first(found: Any) -> Any:
    return found.point["analyst.quarters"]


def other(home: Home) -> Home:
    return _made(replace(home, root=home.root.parent / "other"), Home((home.root / "stages").resolve().parent))


def _made(own: Home, warm: Home) -> Home:
    own.root.mkdir()
    (own.root / "stages").symlink_to(warm.stages)
    own.tracking.mkdir()
    shutil.copy(warm.tracking / "mlflow.db", own.tracking)  # making one takes seconds
    return own


def test_the_number_of_workers_changes_nothing(home: Home) -> None:
    sweep = sweep_of(method="random", trials=4, space=[*SPACE, {"analyst.name": ["lightgbm"]}])
    begin(sweep, home, queue_in(home), Silent())
    elsewhere = other(home)
    for place, number in ((home, 1), (elsewhere, 3)):
        begin(sweep, place, queue_in(place), Silent())
        with Here(sweep, place, number):
            pass
    one, three = (trials_of(queue_in(place), sweep) for place in (home, elsewhere))
    assert [(row.point, row.result) for row in one] == [(row.point, row.result) for row in three]


@pytest.mark.slow
def test_tpe_makes_as_many_trials_as_asked_whoever_proposes(home: Home) -> None:
    sweep = sweep_of(method="tpe", trials=4, space={"analyst.quarters": [1, 2, 3, 4, 5, 6]})
    found, _ = run(sweep, home, number=3)
    rows = trials_of(queue_in(home), sweep)
    assert [row.number for row in rows] == [0, 1, 2, 3]
    assert len({row.key for row in rows}) == 4
    assert found.tried == 4


@pytest.mark.slow
def test_a_configuration_of_another_sweep_is_not_run_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    run(sweep_of(space={"analyst.quarters": [1, 2]}), home)
    tried: list[Any] = []
    real = workers.try_out
    monkeypatch.setattr(workers, "try_out", lambda *given: tried.append(given[1]) or real(*given))
    run(sweep_of(name="more", space={"analyst.quarters": [1, 2, 4]}), home)
    assert [study.analysts[0].quarters for study in tried] == [4]


@pytest.mark.slow
def test_what_cannot_be_done_fails_alone_and_can_be_tried_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = sweep_of(space={"analyst.quarters": [1, 2], "splits.min_train_quarters": [12, 79]})
    queue = queue_in(home)
    begin(sweep, home, queue, Silent())
    with Here(sweep, home, 1):
        pass
    rows = trials_of(queue, sweep)
    assert [row.state for row in rows] == [FINISHED, FAILED, FINISHED, FAILED]
    assert "needs at least 88 quarters" in rows[1].error
    failed = [one for one in TrialLedger.open(home).trials("base") if one.status == "failed"]
    assert len(failed) == 2
    assert retry(queue, sweep) == 2
    assert [row.state for row in trials_of(queue, sweep)] == [FINISHED, QUEUED, FINISHED, QUEUED]
    with Here(sweep, home, 1):
        pass
    found, _ = judge(sweep, home, queue, Silent())
    assert (found.finished, found.failed) == (2, 2)

    hopeless = sweep_of(name="hopeless", space={"splits.min_train_quarters": [79]})
    with pytest.raises(
        DataError, match=r"none of the 1 configurations of hopeless could be judged: .*needs at least 88 quarters"
    ):
        run(hopeless, home)


@pytest.mark.slow
def test_pruned_configurations_are_counted_and_never_chosen(home: Home) -> None:
    sweep = sweep_of(pruning={"method": "asha"}, folds=2, space={"analyst.quarters": [1, 2, 3, 4, 6, 8]})
    found, folder = run(sweep, home)
    rows = trials_of(queue_in(home), sweep)
    pruned = [row for row in rows if row.state == PRUNED]
    assert pruned
    assert found.pruned == len(pruned)
    assert found.number not in {row.number for row in pruned}
    assert all(row.result["fits"] == [1, 2] for row in pruned)
    assert found.counted == 6
    assert "pruned" in (folder / "trials.csv").read_text()


def test_a_worker_that_cannot_go_on_puts_back_what_it_held(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its fits find no more room, the system's error ends it, and every file there is whole."""
    sweep = sweep_of(space={"analyst.quarters": [11, 13]})
    queue = queue_in(home)
    begin(sweep, home, queue, Silent())
    real = workers.try_out

    def without_room(*given: Any) -> Any:
        with no_room(4096):
            return real(*given)

    with monkeypatch.context() as patched:
        patched.setattr(workers, "try_out", without_room)
        with pytest.raises(OSError, match=r"File too large"):
            Worker.of(sweep.identity, home).work()
    assert [(row.state, row.deaths) for row in trials_of(queue, sweep)] == [(QUEUED, 0)] * 2
    there = {path.name: path for path in home.stages.iterdir() if "quarters11" in path.name}
    assert there
    assert not [name for name in there if name.startswith("fit-")]
    for folder in there.values():
        files = json.loads((folder / "stage.json").read_text())["files"]
        assert files == {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files}
    Worker.of(sweep.identity, home).work()
    assert [row.state for row in trials_of(queue, sweep)] == [FINISHED] * 2


@pytest.mark.slow
def test_a_disk_that_is_really_full(home: Home, tmp_path: Path) -> None:
    """A small file system is filled to the brim; once there is room, the sweep goes on."""
    sweep = sweep_of(space={"analyst.quarters": [14, 15]}, workers={"lease_seconds": 2})
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", disk], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        small = replace(home, root=disk / "home")
        small.root.mkdir()
        queue = queue_in(small)
        begin(sweep, small, queue, Silent())
        ballast = disk / "ballast"
        free = os.statvfs(disk)
        ballast.write_bytes(bytes(free.f_bavail * free.f_frsize - (1 << 15)))
        with pytest.raises(OSError, match=r"No space left on device|database or disk is full"):
            Worker.of(sweep.identity, small).work()
        assert not list(disk.rglob("*.partial"))
        ballast.unlink()
        Worker.of(sweep.identity, small).work()
        # Where the queue lies on the full disk too, nothing could be put back, and the lease had to run out.
        assert [(row.state, row.deaths <= 1) for row in trials_of(queue, sweep)] == [(FINISHED, True)] * 2
        queue.close()
    finally:
        subprocess.run(["umount", "-l", disk], check=False)


def test_tracking_that_is_away_delays_and_loses_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = sweep_of(space={"analyst.quarters": [1]}, workers={"patience_minutes": 0.02})
    begin(sweep, home, queue_in(home), Silent())
    monkeypatch.setattr(patience, "PAUSE_S", 0.01)
    real, tries = ledgers.TrialLedger.finish, iter(range(3))

    def finish(self: TrialLedger, *given: Any, **named: Any) -> None:
        if next(tries, None) is not None:
            raise FetchError("the tracking data at http://h cannot be read or written: away.")
        real(self, *given, **named)

    monkeypatch.setattr(ledgers.TrialLedger, "finish", finish)
    Worker.of(sweep.identity, home).work()
    assert trials_of(queue_in(home), sweep)[0].state == FINISHED
    assert [one.status for one in TrialLedger.open(home).trials("base")] == ["finished"]

    with pytest.raises(FetchError, match=r"away; waited for 0 minutes. Nothing is lost: put ALFRED_TRACKING_URI right"):
        patience.patiently(raising(FetchError("away.")), 0.05)
    with pytest.raises(OSError, match=r"database or disk is full") as full:
        patience.patiently(raising(FetchError("the tracking data at x: database or disk is full.")), 60.0)
    assert full.value.errno == errno.ENOSPC


def raising(error: Exception) -> Callable[[], None]:
    def ask() -> None:
        raise error

    return ask


def test_a_worker_whose_lease_went_to_another_says_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = sweep_of(space={"analyst.quarters": [1]}, pruning={"method": "median"}, folds=2)
    queue = queue_in(home)
    begin(sweep, home, queue, Silent())
    slow = Worker.of(sweep.identity, home, "slow")
    real = workers.try_out

    def stolen(*given: Any) -> Any:
        queue.release(slow.owner)
        assert queue.claim(sweep.identity, "quick", lease_s=60, attempts=5) is not None
        monkeypatch.setattr(workers, "try_out", real)
        return real(*given)

    monkeypatch.setattr(workers, "try_out", stolen)
    waits = iter(range(1))

    def sleep(_: float) -> None:
        if next(waits, None) is not None:
            queue.release("quick")

    monkeypatch.setattr(workers.time, "sleep", sleep)
    slow.work()
    row = trials_of(queue, sweep)[0]
    assert (row.state, row.deaths, row.owner) == (FINISHED, 0, slow.owner)


def test_a_machine_with_other_data_or_code_does_not_take_part(home: Home, tmp_path: Path) -> None:
    sweep = sweep_of(space={"analyst.quarters": [1]})
    queue = queue_in(home)
    begin(sweep, home, queue, Silent())
    with pytest.raises(
        ConfigError, match=r"knows no sweep 0123; start it on one machine, and let ALFRED_SWEEP_STORAGE"
    ):
        Worker.of("0123", home)
    worker = Worker.of(sweep.identity, home)
    with (
        _other_key(),
        pytest.raises(ConfigError, match=r"this machine reads other data than the sweep s was begun with"),
    ):
        worker.work()
    assert trials_of(queue, sweep)[0].state == QUEUED
    queue.enter("beef", {"sweep": sweep.model_dump(mode="json"), "versions": {}})
    with pytest.raises(ConfigError, match=r"the sweep s was begun by other code of Alfred than this machine has"):
        Worker.of("beef", home)


@contextmanager
def _other_key() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Bench, "key", lambda *_: "other")
        yield


def test_the_table_tells_all(home: Home) -> None:
    sweep = sweep_of(space={"analyst.quarters": [1], "panel.features": [["drawdown"]]})
    begin(sweep, home, queue_in(home), Silent())
    text = table_of(trials_of(queue_in(home), sweep))
    assert text.splitlines()[0] == "number,state,value,analyst.quarters,panel.features,seconds,deaths,owner,error"
    assert text.splitlines()[1] == '0,queued,,1,"[""drawdown""]",,0,,'
