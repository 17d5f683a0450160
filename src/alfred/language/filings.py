"""Digests the lake's filings: sections in pieces, against the company's filing before, nothing paid twice.

A piece is digested and kept as an article of its own (`digests`, with its cost), so that a kill or an empty budget
loses none that was paid. When all pieces of a filing are there, each section gets its digest (digester `research-` and
the name of who read) and its row in `filing_sections`, all sections of a filing in one write.
"""

import datetime as dt
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from alfred.core.digest import digest_of
from alfred.core.errors import DataError
from alfred.core.progress import Progress, Silent
from alfred.lake.store import Lake
from alfred.lake.tables import table
from alfred.language.comparison import compare
from alfred.language.contracts import Digest, Digester
from alfred.language.records import DigestReport, RunSettings, Writer, scores_of
from alfred.language.research import (
    PUBLISHER,
    READ,
    VERSION,
    Filing,
    ResearchSettings,
    bound_of,
    form_of,
    pieces,
    section_digest,
    words,
)
from alfred.language.run import ALWAYS, digest_rows, flush_in_any_case
from alfred.language.sections import sections_of
from alfred.language.workers import Change, End

TASK = "filings"
PREFIX = "research-"
AT_ONCE = 500


@dataclass
class FilingsReport:
    """How a call ended.

    Attributes:
        digester, prompt_version: of the sections.
        pieces: what the digester read; its usage is all that was paid.
        filings: that were asked for; `skipped` of them had been digested before.
        done: digested now; `without` of them have no section that is read.
        sections, compared: digested now, and of those how many have an earlier one.
    """

    digester: str
    prompt_version: str
    pieces: DigestReport
    filings: int = 0
    skipped: int = 0
    done: int = 0
    without: int = 0
    sections: int = 0
    compared: int = 0

    @property
    def left(self) -> int:
        """Filings that another call takes up."""
        return self.filings - self.skipped - self.done


@dataclass(frozen=True)
class _Todo:
    """A filing to be digested, what names all that its digests depend on, and sections with the earlier ones."""

    filing: Filing
    text_digest: str
    sections: dict[str, tuple[str, Filing | None, str]]


def digest_filings(
    lake: Lake,
    digester: Digester,
    *,
    symbols: Sequence[str] | None = None,
    source: str | None = None,
    since: dt.date | None = None,
    until: dt.date | None = None,
    most: int | None = None,
    change: Change | None = None,
    research: ResearchSettings | None = None,
    settings: RunSettings | None = None,
    progress: Progress | None = None,
) -> FilingsReport:
    """Digest the sections of 10-K, 10-Q and 8-K that the table `articles` holds.

    Args:
        lake: holds the filings, and gets the digests.
        digester: reads the pieces.
        symbols: companies; None for all.
        source: only filings of this provider.
        since, until: first and last day of publication, in UTC; earlier filings are compared with all the same.
        most: filings to digest in this call; None for all.
        change: what is done to each piece before it is read.
        research, settings: how filings are read, and how digests are written.
        progress: hears of every company and piece.

    Returns:
        What was done; `pieces.stopped` says why the rest was left.

    Raises:
        DataError: the lake holds no such filings.
        ConfigError, MissingExtraError: the digester cannot work as things are; what has come is written.
    """
    research, settings, progress = research or ResearchSettings(), settings or RunSettings(), progress or Silent()
    version = digester.prompt_version + (f"+{change.name}" if change else "")
    read = DigestReport(digester.name, digester.model, version)
    report = FilingsReport(f"{PREFIX}{digester.name}", f"{VERSION}-{research.digest()[:8]}.{version}", read)
    keys = lake.asof(ALWAYS).digest_keys().filter(pl.col("model") == digester.model)
    done = {(one.rpartition("#")[0], said) for one, said in _there(keys, report.digester, report.prompt_version)}
    paid = dict(_there(keys, digester.name, version))
    writer = Writer(lake, read, digester.knowledge_cutoff, settings)
    sections = _Sections(lake, report, digester, settings)
    companies = sorted(symbols) if symbols else _companies(lake)
    taken = 0
    progress.start(TASK, len(companies))
    try:
        for symbol in companies:
            every = _filings(lake, symbol, source, until)
            wanted = [one for one in every if since is None or one.published_at.date() >= since]
            report.filings += len(wanted)
            news = list(_news(every, wanted, done, research.longest_gap_days))
            report.skipped += len(wanted) - len(news)
            room = 0 if read.stopped else len(news) if most is None else max(most - taken, 0)
            todo = list(_todo(every, news[:room], research.longest_gap_days))
            taken += len(todo)
            reader = _Pieces(lake, paid, bound_of(digester, research), report)
            rows = reader.rows(todo)
            if len(rows):
                digest_rows(digester, rows, writer, change=change, progress=_Within(progress), heard=reader.hear)
            for one in todo:
                sections.take(one, reader)
            progress.advance(TASK, note=f"{report.sections:,} sections {read.note()}".strip())
    finally:
        try:
            flush_in_any_case(writer)
        finally:
            sections.flush()
    if not report.filings:
        raise DataError(
            "the lake holds no 10-K, 10-Q or 8-K as asked for; `alfred data fetch edgar` brings them in, and `alfred "
            "data status` shows what there is."
        )
    progress.finish(TASK, read.note())
    return report


def _there(keys: pl.DataFrame, digester: str, version: str) -> Iterator[tuple[str, str]]:
    """article_id and text_digest of the digests of parts of filings by this digester."""
    mine = (pl.col("digester") == digester) & (pl.col("prompt_version") == version)
    ours = keys.filter(mine & pl.col("article_id").str.contains("#", literal=True))
    yield from ours.select("article_id", "text_digest").iter_rows()


def _companies(lake: Lake) -> list[str]:
    rows = lake.asof(ALWAYS).coverage(by_symbol=True)
    names = rows.filter((pl.col("table") == "articles") & pl.col("symbol").is_not_null())["symbol"]
    return names.unique().sort().to_list()


def _filings(lake: Lake, symbol: str, source: str | None, until: dt.date | None) -> list[Filing]:
    """A company's filings, in the order in which they became known."""
    rows = lake.asof(ALWAYS).articles([symbol], source=source).filter(pl.col("publisher") == PUBLISHER)
    found = []
    for row in rows.iter_rows(named=True):
        form = form_of(row["title"] or "", row["publisher"])
        # Without a time of acceptance it is known when a session begins for which it must have been out.
        published = row["published_at"] or row["known_at"]
        if form is not None and (until is None or published.date() <= until):
            identity = (row["article_id"], symbol, row["title"], row["text"] or "")
            known = max(row["known_at"], published)
            found.append(Filing(*identity, form, published, known, row["source"]))
    return sorted(found, key=lambda one: (one.known_at, one.article_id))


def _news(
    every: Sequence[Filing], wanted: Sequence[Filing], done: set[tuple[str, str]], days: int
) -> Iterator[tuple[Filing, str]]:
    """Filings without digests of what they and those before them say now, and what names that."""
    said = {one.article_id: digest_of(one.symbol, one.title, one.text) for one in every}
    for filing in wanted:
        earlier = _earlier(filing, every, days)
        name = digest_of(said[filing.article_id], *([one.article_id, said[one.article_id]] for one in earlier))
        if (filing.article_id, name) not in done:
            yield filing, name


def _todo(every: Sequence[Filing], news: Sequence[tuple[Filing, str]], days: int) -> Iterator[_Todo]:
    """These filings with their sections."""
    texts: dict[str, dict[str, str]] = {}

    def items(filing: Filing) -> dict[str, str]:
        if filing.article_id not in texts:
            found = sections_of(filing.form, filing.text).items()
            texts[filing.article_id] = {item: section.text for item, section in found if item in READ}
        return texts[filing.article_id]

    for filing, name in news:
        earlier = _earlier(filing, every, days)
        sections = {}
        for item, text in items(filing).items():
            before = next((one for one in earlier if item in items(one)), None)
            sections[item] = (text, before, items(before)[item] if before else "")
        yield _Todo(filing, name, sections)


def _earlier(filing: Filing, every: Sequence[Filing], days: int) -> list[Filing]:
    """Filings of the form that were known before this one was, the last first."""
    oldest = filing.known_at - dt.timedelta(days=days)
    return [one for one in reversed(every) if one.form == filing.form and oldest <= one.known_at < filing.known_at]


class _Pieces:
    """Pieces of a company's sections: those to be read, and the digests of those that were."""

    def __init__(self, lake: Lake, paid: dict[str, str], most_characters: int, report: FilingsReport) -> None:
        self._lake, self._paid, self._most, self._report = lake, paid, most_characters, report
        self._digests: dict[str, Digest] = {}

    def rows(self, todo: Sequence[_Todo]) -> pl.DataFrame:
        """Pieces that were not digested before, as rows of `articles` with `text_digest`."""
        rows = [row for one in todo for row in self._of(one)]
        self._report.pieces.articles += len(rows)
        names = [str(row["article_id"]) for row in rows]
        there = [name for name, row in zip(names, rows, strict=True) if self._paid.get(name) == row["text_digest"]]
        if there:
            read = self._report.pieces
            stored = self._lake.asof(ALWAYS).digests_of(there).filter(
                (pl.col("digester") == read.digester) & (pl.col("prompt_version") == read.prompt_version)
                & (pl.col("model") == read.model)
            )  # fmt: skip
            self._digests |= {row["article_id"]: _digest(row) for row in stored.iter_rows(named=True)}
            read.skipped += len(self._digests)
        schema = table("articles").schema | {"text_digest": pl.String()}
        frame = pl.DataFrame([row for row in rows if row["article_id"] not in self._digests], schema=schema)
        return frame.drop("url")

    def hear(self, end: End) -> None:
        """Keep what was digested."""
        if end.digested is not None:
            self._digests[str(end.row["article_id"])] = end.digested.digest

    def read(self, filing: Filing, item: str, text: str) -> list[tuple[str, Digest]] | None:
        """The section's pieces with their digests; None while one is missing."""
        named = [(_name(filing, item, at), piece) for at, piece in enumerate(pieces(text, self._most), 1)]
        if any(name not in self._digests for name, _ in named):
            return None
        return [(piece, self._digests[name]) for name, piece in named]

    def _of(self, todo: _Todo) -> Iterator[dict[str, object]]:
        filing = todo.filing
        for item, (text, _, _) in todo.sections.items():
            parts = pieces(text, self._most)
            for at, piece in enumerate(parts, 1):
                title = f"{filing.title}, Item {item}" + (f", part {at} of {len(parts)}" if len(parts) > 1 else "")
                yield {
                    "article_id": _name(filing, item, at), "symbol": filing.symbol, "title": title, "text": piece,
                    "published_at": filing.published_at, "publisher": PUBLISHER, "known_at": filing.known_at,
                    "source": filing.source, "text_digest": digest_of(filing.symbol, title, piece),
                }  # fmt: skip


class _Sections:
    """Collects digests of sections and writes them in groups, all those of a filing at once."""

    def __init__(self, lake: Lake, report: FilingsReport, digester: Digester, settings: RunSettings) -> None:
        self._lake, self._report, self._digester, self._settings = lake, report, digester, settings
        self._digests: list[dict[str, object]] = []
        self._rows: list[dict[str, object]] = []
        self._written_at = time.monotonic()

    def take(self, todo: _Todo, reader: _Pieces) -> None:
        """Digest the filing's sections, if all their pieces were read."""
        read = {item: reader.read(todo.filing, item, text) for item, (text, _, _) in todo.sections.items()}
        if any(one is None for one in read.values()):
            return
        self._report.done += 1
        self._report.without += not read
        for item, parts in read.items():
            self._keep(todo, item, parts or [])
        if len(self._rows) >= AT_ONCE or time.monotonic() - self._written_at > self._settings.group_s:
            self.flush()

    def flush(self) -> None:
        """Write what is waiting; the digests last, as they say that a filing is done."""
        for name, rows in (("filing_sections", self._rows), ("digests", self._digests)):
            if rows:
                schema = table(name).schema
                self._lake.write(name, pl.DataFrame(rows, schema={column: schema[column] for column in rows[0]}))
                rows.clear()
        self._written_at = time.monotonic()

    def _keep(self, todo: _Todo, item: str, read: list[tuple[str, Digest]]) -> None:
        filing, report = todo.filing, self._report
        text, before, old = todo.sections[item]
        comparison = compare(old, text) if before else None
        called = f"{before.form} of {before.published_at.date()}" if before else ""
        digest = section_digest(item, text, read, comparison, called)
        key = {
            "article_id": f"{filing.article_id}#{item}", "digester": report.digester,
            "prompt_version": report.prompt_version, "model": self._digester.model, "source": filing.source,
            "known_at": filing.known_at,
        }  # fmt: skip
        self._digests.append(
            key | scores_of(digest)
            | {
                "knowledge_cutoff": self._digester.knowledge_cutoff, "digested_at": dt.datetime.now(dt.UTC),
                "text_digest": todo.text_digest,
                # What was paid stands with the pieces.
                "prompt_tokens": 0, "completion_tokens": 0, "tries": 0, "cost": 0.0, "seconds": 0.0,
            }
        )  # fmt: skip
        self._rows.append(
            key
            | {
                "symbol": filing.symbol, "published_at": filing.published_at, "filing": filing.article_id,
                "form": filing.form, "item": item, "before": before.article_id if before else None,
                "words": words(text),
                "cosine": comparison.cosine if comparison else None,
                "jaccard": comparison.jaccard if comparison else None,
                "tone_change": comparison.tone_change if comparison else None,
                "kept": comparison.kept if comparison else None,
                "added": len(comparison.added) if comparison else None,
                "dropped": len(comparison.dropped) if comparison else None,
                "edited": len(comparison.edited) if comparison else None,
            }
        )  # fmt: skip
        report.sections += 1
        report.compared += before is not None


class _Within:
    """Shows the pieces of one company in the bar of all."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def start(self, task: str, total: int | None = None) -> None:
        """The bar is there."""

    def advance(self, task: str, steps: int = 1, note: str = "") -> None:  # noqa: ARG002
        """Only the remark is news."""
        self._progress.advance(TASK, 0, note)

    def finish(self, task: str, note: str = "") -> None:
        """The bar stays."""

    def say(self, message: str) -> None:
        """Hand it on."""
        self._progress.say(message)


def _name(filing: Filing, item: str, at: int) -> str:
    return f"{filing.article_id}#{item}/{at}"


def _digest(row: dict[str, object]) -> Digest:
    names = ("relevance", "sentiment", "outlook", "event", "rationale")
    form = {name: row[name] for name in names} | {"quotations": json.loads(str(row["quotations"]))}
    return Digest.model_validate(form)
