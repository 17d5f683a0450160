"""The process of one job: runs the study in its folder and writes down how far it is. Started by `alfred.ui.jobs`."""

import json
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from alfred.core.errors import AlfredError
from alfred.core.home import home
from alfred.experiments.run import run_study
from alfred.experiments.study import load_study
from alfred.report import write_report
from alfred.ui.jobs import DONE, FAILED, PROGRESS, STOPPED, STUDY

PAUSE = 0.2
"""Least seconds between two lines about one task, so that a long run's file stays small."""


class Written:
    """A `Progress` of the stages that writes lines of JSON."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._done: dict[str, int] = {}
        self._said: dict[str, float] = {}

    def start(self, task: str, total: int | None = None) -> None:
        """A task begins."""
        self._done[task] = 0
        self.write("start", {"task": task, "total": total})

    def advance(self, task: str, steps: int = 1, note: str = "") -> None:
        """Steps of it are done."""
        self._done[task] = self._done.get(task, 0) + steps
        now = time.monotonic()
        if now - self._said.get(task, -PAUSE) >= PAUSE:
            self._said[task] = now
            self.write("advance", {"task": task, "done": self._done[task], "note": note})

    def finish(self, task: str, note: str = "") -> None:
        """It is over."""
        self.write("advance", {"task": task, "done": self._done.get(task, 0), "note": note})
        self.write("finish", {"task": task, "note": note})

    def say(self, message: str) -> None:
        """A line worth keeping."""
        self.write("say", {"message": message})

    def write(self, kind: str, event: dict[str, Any]) -> None:
        """One line, at once."""
        self._file.write(json.dumps({"kind": kind, **event}) + "\n")
        self._file.flush()


def work(folder: Path) -> int:
    """Run the folder's study; returns the exit code."""
    with (folder / PROGRESS).open("a", encoding="utf-8") as file:
        progress = Written(file)
        try:
            run = run_study(load_study(folder / STUDY), home(), progress)
            progress.say("report")
            write_report(run)
        except KeyboardInterrupt:
            progress.write(STOPPED, {"error": "Stopped. Finished stages are kept; the same study goes on from there."})
            return 130
        except AlfredError as error:
            progress.write(FAILED, {"error": str(error)})
            return 2
        except Exception as error:
            progress.write(
                FAILED, {"error": f"Unexpected {type(error).__name__}: {error}. This is a defect of Alfred."}
            )
            raise
        progress.write(DONE, {"run": run.name})
        return 0


if __name__ == "__main__":
    sys.exit(work(Path(sys.argv[1])))
