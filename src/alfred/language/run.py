"""Digests articles of the lake: many at once towards the digester, one writer into the lake, nothing paid twice.

A digest is kept by article, digester, version of its prompt and model; what is there is not asked for again. Digests
are written in small groups, so that a kill loses few; the next call goes on where the last one stopped. An article that
fails is recorded with the reason and what it took, and tried again by the next call.
"""

import datetime as dt
from collections.abc import Callable, Sequence

import polars as pl

from alfred.core.digest import digest_of
from alfred.core.errors import DataError
from alfred.core.progress import Progress, Silent
from alfred.lake.store import Lake
from alfred.language.contracts import Digester
from alfred.language.records import DigestReport, RunSettings, Writer
from alfred.language.research import PUBLISHER
from alfred.language.stories import update_stories
from alfred.language.workers import Change, End, Workers

TASK = "digest"
WHOLE = 2**62
ALWAYS = dt.datetime.max.replace(tzinfo=dt.UTC)


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
        source: only articles of this provider. Filings among them are not read here, but by `digest_filings`.
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
    todo = _todo(lake, report, _articles(lake, symbols, source, since, until)).head(WHOLE if most is None else most)
    writer = Writer(lake, report, digester.knowledge_cutoff, settings)
    progress.start(TASK, len(todo))
    try:
        digest_rows(digester, todo, writer, change=change, progress=progress)
    finally:
        flush_in_any_case(writer)
    update_stories(lake, symbols)
    progress.finish(TASK, report.note())
    return report


def digest_rows(
    digester: Digester,
    todo: pl.DataFrame,
    writer: Writer,
    *,
    change: Change | None = None,
    progress: Progress,
    heard: Callable[[End], None] | None = None,
) -> None:
    """Digest these articles.

    It ends early where the budget does, or after too many failures in a row; the writer's report says so in `stopped`.

    Args:
        digester: reads; it is called from as many threads as it likes.
        todo: rows of `articles` with the column `text_digest`.
        writer: writes what comes, in groups; it is not flushed at the end.
        change: what is done to each article before it is read.
        progress: hears of every article that ends.
        heard: is told how each article ended.
    """
    report, settings = writer.report, writer.settings
    workers = Workers(digester, todo, change)
    try:
        with workers:
            for end in workers.ends(settings.group_s):
                writer.take(end)
                if end is None:
                    continue
                if heard is not None:
                    heard(end)
                if end.over_budget:
                    report.stopped = report.stopped or end.failed
                    continue
                progress.advance(TASK, note=report.note())
                report.failed_in_row = report.failed_in_row + 1 if end.failed else 0
                if report.failed_in_row >= settings.most_failures and not report.stopped:
                    report.stopped = (
                        f"{report.failed_in_row} articles failed one after another, the last because: {end.failed}"
                    )
                    workers.stop()
    except KeyboardInterrupt:
        for end in workers.rest():
            writer.keep(end)
        raise


def _articles(
    lake: Lake, symbols: Sequence[str] | None, source: str | None, since: dt.date | None, until: dt.date | None
) -> pl.DataFrame:
    """Articles to be digested, by symbol and the time that they became known; filings are read by `digest_filings`.

    Raises:
        DataError: there are none; the message says what to do.
    """
    rows = lake.asof(ALWAYS).articles(symbols, source=source).filter(pl.col("publisher").ne_missing(PUBLISHER))
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


def flush_in_any_case(writer: Writer) -> None:
    """Write what is waiting, also after Ctrl-C."""
    try:
        writer.flush()
    except KeyboardInterrupt:
        # polars notes Ctrl-C by itself and raises once more at its next call; what has come is still to be written.
        writer.flush()
        raise
