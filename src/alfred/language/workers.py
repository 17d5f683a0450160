"""Threads that digest articles, and how each of them ended."""

import datetime as dt
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import polars as pl

from alfred.core.errors import AlfredError, BudgetError, ConfigError, DataError, MissingExtraError
from alfred.lake.keys import scrub
from alfred.language.contracts import Article, Digested, Digester, FailedDigestError, Usage

REASON_CHARACTERS = 1000


@dataclass(frozen=True)
class Change:
    """What is done to an article before it is read, such as hiding the company.

    Attributes:
        name: becomes part of the prompt's version, so that digests with and without it stand side by side.
        apply: gives the article to be read, whose `symbol` is what the digester is told.
    """

    name: str
    apply: Callable[[Article], Article]


@dataclass(frozen=True)
class End:
    """How one article ended: `digested`, or `failed` with the reason, or `fatal` for the whole call."""

    row: dict[str, object]
    digested: Digested | None = None
    failed: str = ""
    usage: Usage = field(default_factory=Usage)
    over_budget: bool = False
    fatal: AlfredError | None = None


class Workers:
    """Threads that digest articles in their order and hand on how each ended."""

    def __init__(self, digester: Digester, todo: pl.DataFrame, change: Change | None) -> None:
        self._digester, self._change = digester, change
        self._rows = todo.iter_rows(named=True)
        self._next = threading.Lock()
        self._stopped = threading.Event()
        self._left = threading.Event()
        count = max(1, min(digester.concurrency, len(todo)))
        # Bounded, so that a fast digester does not run far ahead of the writer.
        self._ends: queue.Queue[End | None] = queue.Queue(max(1024, 4 * count))
        self._at_work = count
        # Daemons: after Ctrl-C a thread that waits for a server must not keep the program alive.
        self._threads = [threading.Thread(target=self._work, daemon=True, name=f"digest-{at}") for at in range(count)]

    def __enter__(self) -> "Workers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._left.set()

    def stop(self) -> None:
        """Begin no further article; those under way still end."""
        self._stopped.set()

    def ends(self, patience_s: float) -> Iterator[End | None]:
        """How articles ended, until all threads are done; None when none did for a while.

        Raises:
            ConfigError, MissingExtraError: no article can be digested.
        """
        while self._at_work:
            try:
                end = self._ends.get(timeout=patience_s)
            except queue.Empty:
                yield None
                continue
            if end is None:
                self._at_work -= 1
                continue
            if end.fatal is not None:
                raise end.fatal
            yield end

    def rest(self) -> Iterator[End]:
        """What has ended and was not taken, without waiting."""
        while True:
            try:
                end = self._ends.get_nowait()
            except queue.Empty:
                return
            if end is not None and end.fatal is None:
                yield end

    def _work(self) -> None:
        try:
            while not self._stopped.is_set():
                with self._next:
                    row = next(self._rows, None)
                if row is None:
                    break
                end = self._run(row)
                if end.over_budget or end.fatal is not None:
                    self.stop()
                self._put(end)
        except KeyboardInterrupt:
            pass  # polars raises the user's Ctrl-C in whichever thread calls it next; the main one has it too
        finally:
            self._put(None)

    def _put(self, end: End | None) -> None:
        """Hand on, unless nobody listens any more."""
        while not self._left.is_set():
            try:
                self._ends.put(end, timeout=0.1)
            except queue.Full:
                continue
            return

    def _run(self, row: dict[str, object]) -> End:
        begun = time.monotonic()
        try:
            article = _article(row)
            article = self._change.apply(article) if self._change else article
            digested = self._digester.digest(article, article.symbol)
        except BudgetError as error:
            return End(row, failed=str(error), over_budget=True)
        except (ConfigError, MissingExtraError) as error:
            return End(row, fatal=error)
        except FailedDigestError as error:
            return End(row, failed=_reason(str(error)), usage=error.usage)
        except AlfredError as error:
            return End(row, failed=_reason(str(error)), usage=Usage(seconds=time.monotonic() - begun))
        except Exception as error:  # noqa: BLE001 - one article's surprise must not lose the others
            reason = _reason(f"unexpected {type(error).__name__}: {error}")
            return End(row, failed=reason, usage=Usage(seconds=time.monotonic() - begun))
        seconds = digested.usage.seconds or time.monotonic() - begun
        return End(row, digested=replace(digested, usage=replace(digested.usage, seconds=seconds)))


def _article(row: dict[str, object]) -> Article:
    published = row["published_at"]
    if not isinstance(published, dt.datetime):
        raise DataError(f"article {row['article_id']!r} does not say when it was published.")
    said = {name: str(row[name] or "") for name in ("article_id", "symbol", "title", "text", "publisher")}
    return Article(published_at=published, **said)


def _reason(text: str) -> str:
    return scrub(text)[:REASON_CHARACTERS] or "no reason was given"
