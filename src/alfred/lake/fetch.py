"""Runs a provider's tasks: many at once towards the network, one writer into the lake, every end in a journal.

A task counts as finished only when its rows are in the lake and the journal says so on the disk. So a fetch may be
killed at any moment; the next call of the same request goes on where it stopped. What is done twice is harmless:
writes are upserts by key.
"""

import dataclasses
import datetime as dt
import queue
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import PositiveFloat, PositiveInt

from alfred.core.errors import AlfredError, ConfigError, DataError, MissingExtraError
from alfred.core.progress import Progress, Silent
from alfred.core.settings import Settings
from alfred.lake.contracts import Batch, Provider, Request, Web
from alfred.lake.ingest import admit, provider
from alfred.lake.journal import Entry, Journal
from alfred.lake.keys import scrub, scrub_batch
from alfred.lake.quality import QualitySettings
from alfred.lake.store import Lake
from alfred.lake.web import HttpWeb, WebSettings

# Symbols that an error names before it counts the others.
NAMED = 10


class FetchSettings(Settings):
    """How a fetch works.

    Attributes:
        group_tasks, group_rows, group_s: finished tasks, rows, or seconds after which what has come is written: few
            and large writes are cheaper, but more is fetched again after a kill.
        waiting_batches: batches that may wait for the writer; more make the network wait, which bounds memory.
        web: patience with the service.
    """

    group_tasks: PositiveInt = 500
    group_rows: PositiveInt = 200_000
    group_s: PositiveFloat = 10.0
    waiting_batches: PositiveInt = 16
    web: WebSettings = WebSettings()


@dataclass(frozen=True)
class FetchReport:
    """How a fetch ended.

    Attributes:
        provider: its name.
        done: tasks whose rows are in the lake.
        failed: tasks that failed, with the reason.
        skipped: tasks that an earlier call had finished.
        failed_before: those that had failed in an earlier call and were not taken up again, with the reason.
        rows: rows that came.
        inserted, updated: of those, rows that were new to the lake, and rows whose values differed.
        removed: stored rows that the checks took out in the light of what came.
        unreadable: of the tasks done, those that brought no row, only pieces that could not be read as rows.
        quarantined, warned: rows that the quality checks refused, or only warned of; `alfred data check` shows them.
    """

    provider: str
    done: int = 0
    failed: tuple[Entry, ...] = ()
    skipped: int = 0
    failed_before: tuple[Entry, ...] = ()
    rows: int = 0
    quarantined: int = 0
    warned: int = 0
    inserted: int = 0
    updated: int = 0
    removed: int = 0
    unreadable: int = 0

    @property
    def nothing_new(self) -> bool:
        """Whether rows came, and all of them were in the lake already."""
        return bool(self.rows) and not (self.inserted or self.updated or self.removed)


def fetch(
    lake: Lake,
    folder: Path,
    name: str,
    request: Request,
    *,
    settings: FetchSettings | None = None,
    quality: QualitySettings | None = None,
    progress: Progress | None = None,
    retry_failed: bool = False,
    again: bool = False,
) -> FetchReport:
    """Bring a provider's answer to `request` into the lake.

    A request to a service that was finished before is begun anew where there may be news: it has no end in the past
    and a day has passed. One that was not finished goes on. A provider that asks no service always begins anew: its
    files may have changed, and reading them again is harmless.

    Args:
        lake: where rows go.
        folder: where journals are kept.
        name: the provider's.
        request: what is wanted.
        settings: groups, memory, patience.
        quality: what the quality checks do with the rows; None for their defaults.
        progress: hears of every task that ends.
        retry_failed: take up only the tasks that failed, nothing else.
        again: begin anew in any case.

    Raises:
        ConfigError, MissingExtraError: the provider cannot work as things are; what has come is written.
        DataError: a provider of files has rows, but none of the request's symbols; the message says which it has.
        KeyboardInterrupt: the user stopped it; what has come is written.
    """
    settings, progress = settings or FetchSettings(), progress or Silent()
    source = provider(name)
    tasks = tuple(dict.fromkeys(source.tasks(request)))
    journal = Journal(folder, name, request)
    before = _taken_up(journal, source, tasks, again=again, retry_failed=retry_failed)
    failed_before = [before[task] for task in tasks if task in before and before[task].failed]
    if retry_failed:
        todo = [entry.task for entry in failed_before]
        failed_before = []
    else:
        todo = [task for task in tasks if task not in before]
    writer = _Writer(lake, journal, settings, quality)
    web = HttpWeb(source.DESCRIPTION, settings.web) if source.DESCRIPTION.kind == "network" and todo else None
    skipped = len(tasks) - len(todo) - len(failed_before)
    progress.start(name, len(todo))
    ended = _Ended()
    workers = _Workers(source, request, web, todo, settings.waiting_batches)
    try:
        with workers:
            for event in workers.events(settings.group_s):
                writer.take(event)
                if event is not None and event.ended:
                    note = ended.count(event, skipped)
                    progress.advance(name, note=note)
    except KeyboardInterrupt:
        for event in workers.rest():
            writer.keep(event)
        raise
    finally:
        if web is not None:
            web.close()
        _flush_in_any_case(writer)
    progress.finish(name, ended.note(skipped))
    failures = tuple(writer.failures)
    if source.DESCRIPTION.kind == "file" and request.symbols and todo and not (writer.rows or failures):
        _others_are_there(source, request)
    done = len(todo) - len(failures)
    counts = (writer.rows, writer.quarantined, writer.warned, writer.inserted, writer.updated, writer.removed)
    return FetchReport(name, done, failures, skipped, tuple(failed_before), *counts, writer.unreadable)


def _others_are_there(source: Provider, request: Request) -> None:
    """Raise a DataError if the files hold rows, but no symbol that was asked for."""
    everything = dataclasses.replace(request, symbols=(), since=None, until=None)
    there: set[str] = set()
    for task in source.tasks(everything):
        for batch in source.fetch(task, everything, None):
            if "symbol" in batch.rows.columns:
                there.update(batch.rows["symbol"].drop_nulls().unique())
    if there and there.isdisjoint(request.symbols):
        raise DataError(
            f"{source.DESCRIPTION.name} found no rows of {_some(request.symbols)} at {request.path}; "
            f"the symbols there are {_some(sorted(there))}."
        )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _flush_in_any_case(writer: "_Writer") -> None:
    try:
        writer.flush()
    except KeyboardInterrupt:
        # polars notes Ctrl-C by itself and raises once more at its next call; what has come is still to be written.
        writer.flush()
        raise


def _taken_up(
    journal: Journal, source: Provider, tasks: Iterable[str], *, again: bool, retry_failed: bool
) -> dict[str, Entry]:
    """Entries to go on from; empty where a new round begins."""
    today = dt.datetime.now(dt.UTC).date()
    begun, entries = journal.day(), journal.entries()
    finished = all(task in entries for task in tasks)
    until = journal.request.until
    again = again or source.DESCRIPTION.kind != "network"
    news = begun != today and (until is None or begun is None or until > begun)
    if begun is None or (not retry_failed and (again or (finished and news))):
        journal.begin(today)
        return {}
    return entries


@dataclass(frozen=True)
class _Event:
    """A batch of a task, or its end: `failed` is the reason, `fatal` an error that ends the whole fetch."""

    task: str
    batch: Batch | None = None
    failed: str = ""
    fatal: AlfredError | None = None

    @property
    def ended(self) -> bool:
        return self.batch is None


@dataclass
class _Ended:
    done: int = 0
    failed: int = 0

    def count(self, event: _Event, skipped: int) -> str:
        if event.failed:
            self.failed += 1
        else:
            self.done += 1
        return self.note(skipped)

    def note(self, skipped: int) -> str:
        return f"{self.done:,} done, {self.failed:,} failed, {skipped:,} skipped"


class _Workers:
    """Threads that ask for tasks and hand on what comes, in a bounded queue."""

    def __init__(self, source: Provider, request: Request, web: Web | None, tasks: Iterable[str], waiting: int) -> None:
        self._source, self._request, self._web = source, request, web
        self._tasks: queue.SimpleQueue[str] = queue.SimpleQueue()
        for task in tasks:
            self._tasks.put(task)
        self._open = self._tasks.qsize()
        self._events: queue.Queue[_Event] = queue.Queue(waiting)
        self._stopped = threading.Event()
        count = min(self._open, max(1, source.DESCRIPTION.concurrency))
        # Daemons: after Ctrl-C a thread that hangs in the network must not keep the program alive.
        self._threads = [threading.Thread(target=self._work, daemon=True, name=f"fetch-{at}") for at in range(count)]

    def __enter__(self) -> "_Workers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()

    def events(self, patience_s: float) -> Iterator[_Event | None]:
        """What comes until every task has ended; None when nothing came for a while.

        Raises:
            ConfigError, MissingExtraError: no task can succeed.
        """
        while self._open:
            try:
                event = self._events.get(timeout=patience_s)
            except queue.Empty:
                yield None
                continue
            if event.fatal is not None:
                raise event.fatal
            self._open -= event.ended
            yield event

    def rest(self) -> Iterator[_Event]:
        """What has come and was not taken, without waiting."""
        while True:
            try:
                yield self._events.get_nowait()
            except queue.Empty:
                return

    def _work(self) -> None:
        while not self._stopped.is_set():
            try:
                task = self._tasks.get_nowait()
                self._put(self._run(task))
            except queue.Empty:
                return
            except KeyboardInterrupt:
                return  # polars raises the user's Ctrl-C in whichever thread calls it next; the main one has it too

    def _run(self, task: str) -> _Event:
        try:
            for batch in self._source.fetch(task, self._request, self._web):
                if not self._put(_Event(task, batch)):
                    break
        except (ConfigError, MissingExtraError) as error:
            return _Event(task, fatal=error)
        except AlfredError as error:
            return _Event(task, failed=str(error) or type(error).__name__)
        except Exception as error:  # noqa: BLE001 - one provider's surprise must not stop the other tasks
            return _Event(task, failed=f"unexpected {type(error).__name__}: {error}")
        return _Event(task)

    def _put(self, event: _Event) -> bool:
        """Whether anybody still listens."""
        while not self._stopped.is_set():
            try:
                self._events.put(event, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False


@dataclass
class _Piece:
    """What has come of one task since the last write, and over all."""

    batches: list[Batch] = field(default_factory=list)
    rows: int = 0
    rejected: int = 0
    ended: bool = False
    failed: str = ""


class _Writer:
    """Collects batches, writes them in groups, then journals the tasks that ended."""

    def __init__(self, lake: Lake, journal: Journal, settings: FetchSettings, quality: QualitySettings | None) -> None:
        self._lake, self._journal, self._settings, self._quality = lake, journal, settings, quality
        self._pieces: dict[str, _Piece] = {}
        self._written_at = time.monotonic()
        self.rows = 0
        self.quarantined = 0
        self.warned = 0
        self.inserted = 0
        self.updated = 0
        self.removed = 0
        self.unreadable = 0
        self.failures: list[Entry] = []

    def take(self, event: _Event | None) -> None:
        """Keep what came; write when enough has come or enough time has passed."""
        if event is not None:
            self.keep(event)
        ended = sum(piece.ended for piece in self._pieces.values())
        waiting = sum(len(batch.rows) for piece in self._pieces.values() for batch in piece.batches)
        late = time.monotonic() - self._written_at > self._settings.group_s
        if ended >= self._settings.group_tasks or waiting >= self._settings.group_rows or late:
            self.flush()

    def keep(self, event: _Event) -> None:
        """Keep what came, without writing."""
        piece = self._pieces.setdefault(event.task, _Piece())
        if event.batch is not None:
            piece.batches.append(scrub_batch(event.batch))
            piece.rows += len(event.batch.rows)
            piece.rejected += len(event.batch.rejected)
        elif event.fatal is None:
            piece.ended, piece.failed = True, piece.failed or scrub(event.failed)

    def flush(self) -> None:
        """Write what is waiting; a task whose rows the lake refuses fails by itself."""
        waiting = [piece for piece in self._pieces.values() if piece.batches]
        try:
            self._write([batch for piece in waiting for batch in piece.batches])
        except AlfredError:
            for piece in waiting:
                try:
                    self._write(piece.batches)
                except AlfredError as error:
                    piece.failed = piece.failed or scrub(str(error))
        ended = {task: piece for task, piece in self._pieces.items() if piece.ended}
        entries = [Entry(task, piece.rows, piece.failed) for task, piece in ended.items()]
        self._journal.record(entries)
        for piece in waiting:
            piece.batches = []
        self.unreadable += sum(bool(piece.rejected) and not (piece.rows or piece.failed) for piece in ended.values())
        for task in ended:
            del self._pieces[task]
        self.failures += [entry for entry in entries if entry.failed]
        self._written_at = time.monotonic()

    def _write(self, batches: list[Batch]) -> None:
        if not batches:
            return
        admission = admit(self._lake, batches, self._quality)
        self.quarantined += sum(admission.quarantined.values())
        self.warned += sum(admission.warned.values()) + admission.rejected
        self.rows += sum(len(batch.rows) for batch in batches)
        self.inserted += sum(write.inserted for write in admission.writes)
        self.updated += sum(write.updated for write in admission.writes)
        self.removed += admission.removed
