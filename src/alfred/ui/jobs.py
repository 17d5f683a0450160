"""Runs that were started from the dashboard: one process each, whose progress is a file that anyone may read.

A job is a folder of its own with the study, the lines of progress, and at the end what came of it. Its process goes on
when the dashboard is closed; stopped, it leaves finished stages whole, as Ctrl-C does on the command line.
"""

import datetime as dt
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alfred.core.errors import ConfigError
from alfred.core.home import LAKE_VARIABLE, TRACKING_VARIABLE, VARIABLE, Home
from alfred.core.storage import write_whole

STUDY, PROGRESS, OUTPUT = "study.toml", "progress.jsonl", "output.txt"
RUNNING, DONE, FAILED, STOPPED, LOST = "running", "done", "failed", "stopped", "lost"
STAMP = "%Y%m%d-%H%M%S"
"""Of a job's name: the instant it began, UTC."""
_NAME = re.compile(r"^[0-9]{8}-[0-9]{6}(?:-[0-9]+)?$")


@dataclass(frozen=True)
class Task:
    """A task of the run: how many of its steps are done, of how many (None: not known), and its last remark."""

    name: str
    total: int | None
    done: int
    note: str
    finished: bool


@dataclass(frozen=True)
class Job:
    """What is known of a job.

    Attributes:
        name: of its folder, the instant it began.
        outcome: "running", "done", "failed", "stopped", or "lost" where its process ended without a word.
        tasks, lines: its progress.
        run: folder name of the finished run, otherwise empty.
        error: why it failed, in a sentence.
        study: its name.
    """

    name: str
    outcome: str
    tasks: tuple[Task, ...] = ()
    lines: tuple[str, ...] = ()
    run: str = ""
    error: str = ""
    study: str = ""

    @property
    def began(self) -> str:
        """When, to the minute."""
        return f"{dt.datetime.strptime(self.name[:15], STAMP):%Y-%m-%d %H:%M} UTC"  # noqa: DTZ007 - of a name


@dataclass
class Jobs:
    """All jobs of a home."""

    home: Home
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """One folder a job."""
        return self.home.root / "jobs"

    def names(self) -> tuple[str, ...]:
        """The latest first."""
        return tuple(sorted((path.parent.name for path in self.root.glob(f"*/{STUDY}")), reverse=True))

    def running(self) -> tuple[Job, ...]:
        """Those that this dashboard started and that have not ended."""
        found = (self.find(name) for name, process in self.processes.items() if process.poll() is None)
        return tuple(job for job in found if job.outcome == RUNNING)

    def start(self, study: str) -> Job:
        """Start a run of a study's text.

        Raises:
            ConfigError: another run is in progress.
        """
        if self.running():
            raise ConfigError("a run is in progress; wait for it or stop it, as two would share the machine.")
        folder = self._new_folder()
        write_whole(folder / STUDY, study)
        variables = {VARIABLE: str(self.home.root)}
        if self.home.shared_lake:
            variables[LAKE_VARIABLE] = self.home.shared_lake
        if self.home.shared_tracking:
            variables[TRACKING_VARIABLE] = self.home.shared_tracking
        with (folder / OUTPUT).open("wb") as output:
            self.processes[folder.name] = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", "alfred.ui.worker", str(folder)],
                env=os.environ | variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return self.find(folder.name)

    def stop(self, name: str) -> None:
        """Stop a job as Ctrl-C would.

        Raises:
            ConfigError: this dashboard did not start it, or there is none.
        """
        self.find(name)
        process = self.processes.get(name)
        if process is None:
            raise ConfigError(f"job {name} was started elsewhere; stop it there.")
        if process.poll() is None:
            process.send_signal(signal.SIGINT)

    def find(self, name: str) -> Job:
        """A job by name.

        Raises:
            ConfigError: there is none.
        """
        folder = self.root / name
        if not _NAME.match(name) or not (folder / STUDY).is_file():
            raise ConfigError(f"there is no job {name!r}.")
        process = self.processes.get(name)
        alive = process is not None and process.poll() is None
        return read_job(name, folder, alive=alive, known=process is not None)

    def _new_folder(self) -> Path:
        stamp = time.strftime(STAMP, time.gmtime())
        for number in range(1000):
            folder = self.root / (stamp if not number else f"{stamp}-{number}")
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                continue
            return folder
        raise ConfigError("too many runs were started within one second.")


def read_job(name: str, folder: Path, *, alive: bool, known: bool) -> Job:
    """What a job's files tell; `alive` says whether its process is, where `known` is true."""
    tasks: dict[str, Task] = {}
    lines: list[str] = []
    end: dict[str, Any] = {}
    for event in _events(folder / PROGRESS):
        kind, task = event["kind"], str(event.get("task", ""))
        if kind == "start":
            tasks[task] = Task(task, event["total"], 0, "", finished=False)
        elif kind == "advance" and task in tasks:
            tasks[task] = Task(task, tasks[task].total, int(event["done"]), str(event["note"]), finished=False)
        elif kind == "finish" and task in tasks:
            before = tasks[task]
            tasks[task] = Task(task, before.total, before.done, str(event["note"]) or before.note, finished=True)
        elif kind == "say":
            lines.append(str(event["message"]))
        elif kind in {DONE, FAILED, STOPPED}:
            end = event
    outcome = str(end.get("kind", RUNNING if alive or not known else LOST))
    error = str(end.get("error", ""))
    if outcome == LOST:
        error = f"The process ended without a word; the end of {folder / OUTPUT} may say why."
    return Job(name, outcome, tuple(tasks.values()), tuple(lines), str(end.get("run", "")), error, _study_of(folder))


def _study_of(folder: Path) -> str:
    """The study's name, empty where its file cannot be read."""
    try:
        return str(tomllib.loads((folder / STUDY).read_text(encoding="utf-8")).get("name", ""))
    except (OSError, tomllib.TOMLDecodeError):
        return ""


def _events(path: Path) -> list[dict[str, Any]]:
    """Whole lines of the progress file; one that is being written, or that a full disk cut, is not there."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    events = []
    for line in text[: text.rfind("\n") + 1].split("\n"):
        with suppress(ValueError):
            events.append(json.loads(line))
    return [event for event in events if isinstance(event, dict) and "kind" in event]
