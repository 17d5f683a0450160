"""A worker: takes configurations out of the queue and tries them, one after another, until none is left.

It may be killed at any instant. What it held goes back into the queue when its lease runs out, or sooner where the one
who started it notices; finished fits lie in the home's stages, and the training it was in goes on from its checkpoint.
"""

import functools
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

from alfred.core.errors import AlfredError, ConfigError, FetchError
from alfred.core.home import Home
from alfred.experiments.counting import trials_of
from alfred.experiments.prepared import run_digest
from alfred.experiments.study import Study
from alfred.experiments.sweeps.patience import patiently
from alfred.experiments.sweeps.queue import ENDED, FAILED, FINISHED, PRUNED, Held, Queue
from alfred.experiments.sweeps.search import hopeless, propose
from alfred.experiments.sweeps.settings import Sweep
from alfred.experiments.sweeps.trial import Bench, Outcome, result_of, try_out
from alfred.experiments.trials import VALID, Trial, TrialLedger

POLL_S = 1.0
T = TypeVar("T")


class LostError(Exception):
    """The configuration is no longer this worker's."""


def queue_of(home: Home, patience_s: float) -> Queue:
    """The queue that the environment names: its own variable, or the tracking database, or a file in the home."""
    if home.shared_sweeps:
        return Queue(home.shared_sweeps, patience_s)
    if home.shared_tracking.startswith("postgresql"):
        return Queue(home.shared_tracking, patience_s)
    home.root.mkdir(parents=True, exist_ok=True)
    return Queue(f"sqlite:///{home.root / 'sweeps.db'}", patience_s)


@dataclass(frozen=True)
class Worker:
    """One worker on one sweep.

    Attributes:
        sweep: what to try.
        home: where data and stages are.
        queue: where the configurations are.
        versions: of the lake's tables to read.
        owner: its name, which no other has.
    """

    sweep: Sweep
    home: Home
    queue: Queue
    versions: Mapping[str, int]
    owner: str

    @classmethod
    def of(cls, identity: str, home: Home, name: str = "") -> "Worker":
        """A worker of this process for a sweep that was written down; `name` is one that no other has.

        Raises:
            ConfigError: the database knows no such sweep, or other code wrote it down.
        """
        queue = queue_of(home, patience_s=900.0)
        form = queue.form(identity)
        if form is None:
            raise ConfigError(
                f"{queue.place} knows no sweep {identity}; start it on one machine, and let ALFRED_SWEEP_STORAGE name "
                "the same database on all."
            )
        sweep = Sweep.parse(form["sweep"], f"sweep {identity}")
        if sweep.identity != identity:
            raise ConfigError(
                f"the sweep {sweep.name} was begun by other code of Alfred than this machine has; bring all machines "
                "to the same version."
            )
        queue = queue_of(home, sweep.workers.patience_minutes * 60)
        return cls(sweep, home, queue, form["versions"], owner_of(name or new_name(), os.getpid()))

    def work(self) -> int:
        """Try configurations until all have ended; those that others hold are waited for, as they may come back.

        Returns:
            How many this worker has tried.

        Raises:
            AlfredError, OSError: this machine cannot go on; what it held is back in the queue.
        """
        bench, done = Bench(self.home, self.versions, self.sweep.workers.patience_minutes * 60), 0
        try:
            while True:
                held = self._claim()
                if held is not None:
                    self._try(held, bench)
                    done += 1
                    continue
                rows = [row for row in self.queue.rows(self.sweep.identity) if row.number >= 0]
                if self.sweep.method == "tpe" and len(rows) < (self.sweep.trials or 0):
                    point = propose(self.sweep, rows, len(rows))
                    if point is not None:
                        key = bench.key(self.sweep, self.sweep.configured(point))
                        self.queue.add(self.sweep.identity, len(rows), key, point)
                        continue
                if all(row.state in ENDED for row in rows):
                    return done
                time.sleep(POLL_S)
        except BaseException:
            with suppress(AlfredError, OSError):
                self.queue.release(self.owner)
            raise

    def _claim(self) -> Held | None:
        asked = self.sweep.workers
        return self.queue.claim(self.sweep.identity, self.owner, lease_s=asked.lease_seconds, attempts=asked.attempts)

    def _try(self, held: Held, bench: Bench) -> None:
        """Try one; what fails by its own doing is written down as failed, and does not stop the others."""
        with self.kept(held):
            try:
                study = self.sweep.configured(held.point)
                self._same(bench, study, held)
                trial = self._begin(study, bench)
                try:
                    outcome = try_out(self.sweep, study, bench, lambda reports: self._heard(held, reports))
                except FetchError:
                    raise
                except AlfredError as error:
                    if trial.run:
                        self._ledger(functools.partial(_fail, trial=trial, error=error))
                    raise
                self._end(trial, outcome)
                state = PRUNED if outcome.pruned else FINISHED
                self.queue.beat(held, outcome.reports)
                self.queue.finish(held, state, result_of(outcome, study))
            except LostError:
                return
            except (FetchError, _OtherMachineError):
                raise
            except AlfredError as error:
                self.queue.finish(held, FAILED, {}, str(error))

    def _same(self, bench: Bench, study: Study, held: Held) -> None:
        if bench.key(self.sweep, study) != held.key:
            raise _OtherMachineError(
                f"this machine reads other data than the sweep {self.sweep.name} was begun with; let ALFRED_LAKE name "
                "one lake for all machines."
            )

    def _heard(self, held: Held, reports: tuple[float, ...]) -> bool:
        """Tell what was found so far; whether to give it up."""
        if not self.queue.beat(held, reports):
            raise LostError
        return hopeless(self.sweep, [r for r in self.queue.rows(self.sweep.identity) if r.number >= 0], held.number)

    def _begin(self, study: Study, bench: Bench) -> Trial:
        """Write the try down in the trial ledger before it begins, where every try of the family is counted."""
        inputs = bench.inputs(study)
        trial = trials_of(study, inputs, run_digest(study, inputs), study.universe.protocol)[0]
        known = self._ledger(lambda ledger: ledger.has_finished(trial))
        return trial if known else self._ledger(lambda ledger: ledger.begin(trial))

    def _end(self, trial: Trial, outcome: Outcome) -> None:
        figures = {VALID + name: value for name, value in outcome.figures.items()}
        if trial.run:
            self._ledger(lambda ledger: ledger.finish(trial, figures))

    def _ledger(self, ask: Callable[[TrialLedger], T]) -> T:
        return patiently(lambda: ask(TrialLedger.open(self.home)), self.sweep.workers.patience_minutes * 60)

    @contextmanager
    def kept(self, held: Held) -> Iterator[None]:
        """Renew the lease in the background while the block runs."""
        over = threading.Event()

        def renew() -> None:
            while not over.wait(self.sweep.workers.lease_seconds / 4):
                # The work itself will meet what is wrong, and say so.
                with suppress(AlfredError, OSError):
                    if not self.queue.beat(held):
                        return

        thread = threading.Thread(target=renew, daemon=True, name=f"lease of {held.number}")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(timeout=5)


class _OtherMachineError(ConfigError):
    """What this machine would try is not what the queue holds."""


def _fail(ledger: TrialLedger, trial: Trial, error: AlfredError) -> None:
    ledger.fail(trial, error)


def new_name() -> str:
    """A name that no other worker has."""
    return uuid4().hex[:12]


def owner_of(name: str, pid: int) -> str:
    """How the queue calls a worker: machine, process and name."""
    return f"{socket.gethostname()[:80]}:{pid}:{name}"


def when_alone(parent: int, alone: Callable[[], Any]) -> None:
    """Call `alone` once the process that started this one is gone; watched by a thread of its own."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        alone()

    threading.Thread(target=watch, daemon=True, name="parent's watch").start()
