"""Digests articles of the lake: many at once towards the digester, one writer into the lake, nothing paid twice.

A digest is kept by article, digester, version of its prompt and model; what is there is not asked for again. Digests
are written in small groups, so that a kill loses few; the next call goes on where the last one stopped. An article that
fails is recorded with the reason and what it took, and tried again by the next call.
"""

import datetime as dt
import json
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import polars as pl
from pydantic import PositiveFloat, PositiveInt

from alfred.core.digest import digest_of
from alfred.core.errors import AlfredError, BudgetError, ConfigError, DataError, MissingExtraError
from alfred.core.progress import Progress, Silent
from alfred.core.settings import Settings
from alfred.lake.keys import scrub
from alfred.lake.store import Lake
from alfred.lake.tables import table
from alfred.language.contracts import Article, Digest, Digested, Digester, FailedDigestError, Usage

TASK = "digest"
ALWAYS = dt.datetime.max.replace(tzinfo=dt.UTC)
KEY = ("article_id", "digester", "prompt_version", "model")
REASON_CHARACTERS = 1000


class RunSettings(Settings):
    """How articles are digested.

    Attributes:
        group_s, group_paid, group_free: what has come is written after so many seconds, digests that took tokens, or
            digests that took none.
        most_failures: after so many failures one after another the rest is left for another call.
    """

    group_s: PositiveFloat = 5.0
    group_paid: PositiveInt = 16
    group_free: PositiveInt = 5_000
    most_failures: PositiveInt = 25


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
class Failure:
    """An article that could not be digested, and why."""

    article_id: str
    reason: str


@dataclass
class DigestReport:
    """How a call ended, or stands so far.

    Attributes:
        digester, model, prompt_version: whose digests.
        articles: that were asked for; `skipped` of them had been digested before.
        done, failed: of the others.
        usage: what this call took, failures included; NaN cost where the price is not known.
        stopped: why the rest was left for another call; empty where nothing was.
    """

    digester: str
    model: str
    prompt_version: str
    articles: int = 0
    skipped: int = 0
    done: int = 0
    failed: list[Failure] = field(default_factory=list)
    usage: Usage = field(default_factory=lambda: Usage(tries=0))
    stopped: str = ""

    @property
    def left(self) -> int:
        """Articles that were neither digested nor failed."""
        return self.articles - self.skipped - self.done - len(self.failed)

    def count(self, usage: Usage) -> None:
        """Add what one article took."""
        mine = self.usage
        self.usage = Usage(
            mine.prompt_tokens + usage.prompt_tokens,
            mine.completion_tokens + usage.completion_tokens,
            mine.cost_usd + usage.cost_usd,
            mine.seconds + usage.seconds,
            mine.tries + usage.tries,
        )

    def note(self) -> str:
        """A short remark for a progress bar."""
        parts = [f"{len(self.failed):,} failed"] if self.failed else []
        tokens = self.usage.prompt_tokens + self.usage.completion_tokens
        return ", ".join([*parts, *([f"{tokens:,} tokens, {cost_text(self.usage.cost_usd)}"] if tokens else [])])


def cost_text(usd: float) -> str:
    """A cost as people read it."""
    return "cost unknown" if math.isnan(usd) else f"{usd:,.4f} USD"


def digest_articles(
    lake: Lake,
    digester: Digester,
    *,
    symbols: Sequence[str] | None = None,
    source: str | None = None,
    since: dt.date | None = None,
    until: dt.date | None = None,
    most: int | None = None,
    change: Change | None = None,
    settings: RunSettings | None = None,
    progress: Progress | None = None,
) -> DigestReport:
    """Bring digests of the lake's articles into the table `digests`.

    Args:
        lake: holds the articles, and gets the digests.
        digester: reads; it is called from as many threads as it likes.
        symbols: companies; None for all.
        source: only articles of this provider.
        since, until: first and last day of publication, in UTC; None for no bound.
        most: articles to digest in this call; None for all.
        change: what is done to each article before it is read.
        settings: groups.
        progress: hears of every article that ends.

    Returns:
        What was done. A budget that is used up, or too many failures in a row, are told in `stopped`.

    Raises:
        ConfigError, MissingExtraError: the digester cannot work as things are; what has come is written.
        DataError: the lake holds no such articles.
        KeyboardInterrupt: the user stopped it; what has come is written.
    """
    settings, progress = settings or RunSettings(), progress or Silent()
    version = digester.prompt_version + (f"+{change.name}" if change else "")
    report = DigestReport(digester.name, digester.model, version)
    todo = _todo(lake, report, _articles(lake, symbols, source, since, until)).head(most)
    writer = _Writer(lake, report, digester.knowledge_cutoff, settings)
    workers = _Workers(digester, todo, change)
    progress.start(TASK, len(todo))
    in_row = 0
    try:
        with workers:
            for end in workers.ends(settings.group_s):
                writer.take(end)
                if end is None:
                    continue
                if end.over_budget:
                    report.stopped = report.stopped or end.failed
                    continue
                progress.advance(TASK, note=report.note())
                in_row = in_row + 1 if end.failed else 0
                if in_row >= settings.most_failures:
                    report.stopped = f"{in_row} articles failed one after another, the last because: {end.failed}"
                    workers.stop()
    except KeyboardInterrupt:
        for end in workers.rest():
            writer.keep(end)
        raise
    finally:
        _flush_in_any_case(writer)
    progress.finish(TASK, report.note())
    return report


def _articles(
    lake: Lake, symbols: Sequence[str] | None, source: str | None, since: dt.date | None, until: dt.date | None
) -> pl.DataFrame:
    """Articles to be digested, by symbol and the time that they became known.

    Raises:
        DataError: there are none; the message says what to do.
    """
    rows = lake.asof(ALWAYS).articles(symbols, source=source)
    day = pl.col("published_at").dt.date()
    if since is not None:
        rows = rows.filter(day >= since)
    if until is not None:
        rows = rows.filter(day <= until)
    if rows.is_empty():
        whose = f" about {', '.join(list(symbols)[:10])}" if symbols else ""
        of = f" of {source}" if source else ""
        when = "".join(f" {word} {bound}" for word, bound in (("since", since), ("until", until)) if bound)
        raise DataError(
            f"the lake holds no articles{of}{whose}{when}; `alfred data status` shows what there is, and "
            "`alfred data fetch` brings more in."
        )
    return rows


def _todo(lake: Lake, report: DigestReport, articles: pl.DataFrame) -> pl.DataFrame:
    """Articles without a digest of what they say now; the column `text_digest` names that."""
    said = [digest_of(*row) for row in articles.select("symbol", "title", "text").iter_rows()]
    articles = articles.with_columns(pl.Series("text_digest", said, dtype=pl.String))
    there = (
        lake.asof(ALWAYS)
        .digest_keys()
        .filter(
            (pl.col("digester") == report.digester)
            & (pl.col("prompt_version") == report.prompt_version)
            & (pl.col("model") == report.model)
        )
    )
    todo = articles.join(there, on=["article_id", "text_digest"], how="anti", maintain_order="left")
    report.articles, report.skipped = len(articles), len(articles) - len(todo)
    return todo


@dataclass(frozen=True)
class _End:
    """How one article ended: `digested`, or `failed` with the reason, or `fatal` for the whole call."""

    row: dict[str, object]
    digested: Digested | None = None
    failed: str = ""
    usage: Usage = field(default_factory=Usage)
    over_budget: bool = False
    fatal: AlfredError | None = None


class _Workers:
    """Threads that digest articles in their order and hand on how each ended."""

    def __init__(self, digester: Digester, todo: pl.DataFrame, change: Change | None) -> None:
        self._digester, self._change = digester, change
        self._rows = todo.iter_rows(named=True)
        self._next = threading.Lock()
        self._stopped = threading.Event()
        count = max(1, min(digester.concurrency, len(todo)))
        # Bounded, so that a fast digester does not run far ahead of the writer.
        self._ends: queue.Queue[_End | None] = queue.Queue(max(1024, 4 * count))
        self._at_work = count
        # Daemons: after Ctrl-C a thread that waits for a server must not keep the program alive.
        self._threads = [threading.Thread(target=self._work, daemon=True, name=f"digest-{at}") for at in range(count)]

    def __enter__(self) -> "_Workers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Begin no further article; those under way still end."""
        self._stopped.set()

    def ends(self, patience_s: float) -> Iterator[_End | None]:
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

    def rest(self) -> Iterator[_End]:
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
                self._ends.put(end)
        except KeyboardInterrupt:
            pass  # polars raises the user's Ctrl-C in whichever thread calls it next; the main one has it too
        finally:
            self._ends.put(None)

    def _run(self, row: dict[str, object]) -> _End:
        begun = time.monotonic()
        try:
            article = _article(row)
            article = self._change.apply(article) if self._change else article
            digested = self._digester.digest(article, article.symbol)
        except BudgetError as error:
            return _End(row, failed=str(error), over_budget=True)
        except (ConfigError, MissingExtraError) as error:
            return _End(row, fatal=error)
        except FailedDigestError as error:
            return _End(row, failed=_reason(str(error)), usage=error.usage)
        except AlfredError as error:
            return _End(row, failed=_reason(str(error)), usage=Usage(seconds=time.monotonic() - begun))
        except Exception as error:  # noqa: BLE001 - one article's surprise must not lose the others
            reason = _reason(f"unexpected {type(error).__name__}: {error}")
            return _End(row, failed=reason, usage=Usage(seconds=time.monotonic() - begun))
        seconds = digested.usage.seconds or time.monotonic() - begun
        return _End(row, digested=replace(digested, usage=replace(digested.usage, seconds=seconds)))


def _article(row: dict[str, object]) -> Article:
    published = row["published_at"]
    if not isinstance(published, dt.datetime):
        raise DataError(f"article {row['article_id']!r} does not say when it was published.")
    said = {name: str(row[name] or "") for name in ("article_id", "symbol", "title", "text", "publisher")}
    return Article(published_at=published, **said)


def _reason(text: str) -> str:
    return scrub(text)[:REASON_CHARACTERS] or "no reason was given"


def _flush_in_any_case(writer: "_Writer") -> None:
    try:
        writer.flush()
    except KeyboardInterrupt:
        # polars notes Ctrl-C by itself and raises once more at its next call; what has come is still to be written.
        writer.flush()
        raise


class _Writer:
    """Collects how articles ended and writes them in groups."""

    def __init__(self, lake: Lake, report: DigestReport, cutoff: dt.date | None, settings: RunSettings) -> None:
        self._lake, self._report, self._cutoff, self._settings = lake, report, cutoff, settings
        self._digests: list[dict[str, object]] = []
        self._failures: list[dict[str, object]] = []
        self._paid = 0
        self._written_at = time.monotonic()

    def take(self, end: _End | None) -> None:
        """Keep it; write when enough has come or enough time has passed."""
        if end is not None:
            self.keep(end)
        waiting = len(self._digests) + len(self._failures)
        late = time.monotonic() - self._written_at > self._settings.group_s
        if self._paid >= self._settings.group_paid or waiting >= self._settings.group_free or late:
            self.flush()

    def keep(self, end: _End) -> None:
        """Keep it and count it, without writing."""
        if end.over_budget:
            return
        now, usage = dt.datetime.now(dt.UTC), end.digested.usage if end.digested else end.usage
        row = {
            "article_id": end.row["article_id"], "digester": self._report.digester,
            "prompt_version": self._report.prompt_version, "model": self._report.model, "source": end.row["source"],
            **_spent(usage),
        }  # fmt: skip
        if end.digested:
            known = max(at for at in (end.row["known_at"], end.row["published_at"]) if isinstance(at, dt.datetime))
            row |= {"known_at": known, "digested_at": now, "text_digest": end.row["text_digest"]}
            self._digests.append(row | {"knowledge_cutoff": self._cutoff} | _scores(end.digested.digest))
            self._report.done += 1
        else:
            self._failures.append(row | {"known_at": now, "failed_at": now, "reason": end.failed})
            self._report.failed.append(Failure(str(end.row["article_id"]), end.failed))
        self._report.count(usage)
        self._paid += bool(usage.prompt_tokens or usage.completion_tokens)

    def flush(self) -> None:
        """Write what is waiting."""
        for name, rows in (("digests", self._digests), ("failed_digests", self._failures)):
            if rows:
                schema = table(name).schema
                self._lake.write(name, pl.DataFrame(rows, schema={column: schema[column] for column in rows[0]}))
                rows.clear()
        self._paid = 0
        self._written_at = time.monotonic()


def _spent(usage: Usage) -> dict[str, object]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cost": None if math.isnan(usage.cost_usd) else usage.cost_usd,
        "seconds": usage.seconds,
        "tries": usage.tries,
    }


def _scores(digest: Digest) -> dict[str, object]:
    quotations = json.dumps([scrub(quotation) for quotation in digest.quotations], ensure_ascii=False)
    scores: dict[str, object] = digest.model_dump(include={"relevance", "sentiment", "outlook", "event"})
    return scores | {"rationale": scrub(digest.rationale), "quotations": quotations}
