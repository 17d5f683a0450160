"""What became of articles, as rows of the lake and as a report."""

import datetime as dt
import json
import math
import time
from dataclasses import dataclass, field

import polars as pl
from pydantic import PositiveFloat, PositiveInt

from alfred.core.settings import Settings
from alfred.lake.keys import scrub
from alfred.lake.store import Lake
from alfred.lake.tables import table
from alfred.language.contracts import Digest, Usage
from alfred.language.workers import End


class RunSettings(Settings):
    """How articles are digested.

    Attributes:
        group_s, group_paid, group_free: what has come is written after so many seconds, digests that took tokens, or
            digests that took none.
        compact_after: writes after which the table is put together again; many small files make each write slower.
        most_failures: after so many failures one after another the rest is left for another call.
    """

    group_s: PositiveFloat = 5.0
    group_paid: PositiveInt = 16
    group_free: PositiveInt = 5_000
    most_failures: PositiveInt = 25
    compact_after: PositiveInt = 128


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
        failed_in_row: of the last ones.
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
    failed_in_row: int = 0

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


class Writer:
    """Collects how articles ended and writes them in groups."""

    def __init__(self, lake: Lake, report: DigestReport, cutoff: dt.date | None, settings: RunSettings) -> None:
        self._lake, self.report, self._cutoff, self.settings = lake, report, cutoff, settings
        self._digests: list[dict[str, object]] = []
        self._failures: list[dict[str, object]] = []
        self._paid = 0
        self._writes = 0
        self._written_at = time.monotonic()

    def take(self, end: End | None) -> None:
        """Keep it; write when enough has come or enough time has passed."""
        if end is not None:
            self.keep(end)
        waiting = len(self._digests) + len(self._failures)
        late = time.monotonic() - self._written_at > self.settings.group_s
        if self._paid >= self.settings.group_paid or waiting >= self.settings.group_free or late:
            self.flush()

    def keep(self, end: End) -> None:
        """Keep it and count it, without writing."""
        if end.over_budget:
            return
        now, usage = dt.datetime.now(dt.UTC), end.digested.usage if end.digested else end.usage
        row = {
            "article_id": end.row["article_id"], "digester": self.report.digester,
            "prompt_version": self.report.prompt_version, "model": self.report.model, "source": end.row["source"],
            **_spent(usage),
        }  # fmt: skip
        if end.digested:
            known = max(at for at in (end.row["known_at"], end.row["published_at"]) if isinstance(at, dt.datetime))
            row |= {"known_at": known, "digested_at": now, "text_digest": end.row["text_digest"]}
            self._digests.append(row | {"knowledge_cutoff": self._cutoff} | scores_of(end.digested.digest))
            self.report.done += 1
        else:
            self._failures.append(row | {"known_at": now, "failed_at": now, "reason": end.failed})
            self.report.failed.append(Failure(str(end.row["article_id"]), end.failed))
        self.report.count(usage)
        self._paid += bool(usage.prompt_tokens or usage.completion_tokens)

    def flush(self) -> None:
        """Write what is waiting."""
        for name, rows in (("digests", self._digests), ("failed_digests", self._failures)):
            if rows:
                schema = table(name).schema
                self._lake.write(name, pl.DataFrame(rows, schema={column: schema[column] for column in rows[0]}))
                rows.clear()
                self._writes += 1
        if self._writes >= self.settings.compact_after:
            for name in ("digests", "failed_digests"):
                self._lake.compact(name)
            self._writes = 0
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


def scores_of(digest: Digest) -> dict[str, object]:
    """What a digest says, as columns of the table `digests`."""
    quotations = json.dumps([scrub(quotation) for quotation in digest.quotations], ensure_ascii=False)
    scores: dict[str, object] = digest.model_dump(include={"relevance", "sentiment", "outlook", "event"})
    return scores | {"rationale": scrub(digest.rationale), "quotations": quotations}
