"""What a fetch has finished: one JSON line a task, appended only after its rows are in the lake.

Lines are flushed to the disk before a task counts as finished. A process killed while writing leaves at most one torn
last line, which is ignored: its task is fetched again, and the lake's upserts make that harmless.
"""

import datetime as dt
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from alfred.core.digest import digest_of
from alfred.core.storage import write_whole
from alfred.lake.contracts import Request
from alfred.lake.keys import scrub


@dataclass(frozen=True)
class Entry:
    """How one task ended.

    Attributes:
        task: its name.
        rows: rows that came.
        failed: why it failed; empty where it did not.
    """

    task: str
    rows: int = 0
    failed: str = ""


@dataclass(frozen=True)
class Journal:
    """The journal of one provider and request: a file in `folder` named by both."""

    folder: Path
    provider: str
    request: Request

    @property
    def path(self) -> Path:
        """`<provider>-<digest of the request>.jsonl`."""
        return self.folder / f"{self.provider}-{digest_of(_plain(self.request))[:16]}.jsonl"

    def begin(self, day: dt.date) -> None:
        """Start a new round: forget what was finished before."""
        head = {"provider": self.provider, "day": day.isoformat(), "request": _plain(self.request)}
        write_whole(self.path, json.dumps(head) + "\n")

    def day(self) -> dt.date | None:
        """When the round that the file holds was begun; None where there is none."""
        for line in self._lines():
            if "day" in line:
                return dt.date.fromisoformat(str(line["day"]))
        return None

    def entries(self) -> dict[str, Entry]:
        """The last word on every task."""
        return {
            str(line["task"]): Entry(str(line["task"]), int(str(line.get("rows", 0))), str(line.get("failed", "")))
            for line in self._lines()
            if "task" in line
        }

    def record(self, entries: Iterable[Entry]) -> None:
        """Append entries and wait until they are on the disk."""
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        lines = []
        for entry in entries:
            ended = {"failed": scrub(entry.failed)} if entry.failed else {"rows": entry.rows}
            lines.append(json.dumps({"task": entry.task, **ended, "at": now}) + "\n")
        if not lines:
            return
        with self.path.open("a+b") as file:
            file.seek(0, os.SEEK_END)
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    lines.insert(0, "\n")  # ends a torn line, so that it spoils no other
            file.write("".join(lines).encode())
            file.flush()
            os.fsync(file.fileno())

    def _lines(self) -> list[Mapping[str, object]]:
        if not self.path.exists():
            return []
        lines: list[Mapping[str, object]] = []
        for text in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if isinstance(line, dict):
                lines.append(line)
        return lines


def _plain(request: Request) -> dict[str, object]:
    return {
        "symbols": sorted(set(request.symbols)),
        "since": request.since.isoformat() if request.since else None,
        "until": request.until.isoformat() if request.until else None,
        "path": str(request.path.absolute()) if request.path else None,
    }
