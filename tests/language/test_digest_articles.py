"""Digesting the lake's articles: nothing lost, nothing paid twice, whatever happens."""

import datetime as dt
import json
import math
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from model_server import GOOD, IMPATIENT, PATH, asked, endpoint, said

sys.path.insert(0, str(Path(__file__).parents[1] / "lake"))
from service import Answer, Seen, serving

from alfred.core.calendar import close_instants
from alfred.core.errors import BudgetError, ConfigError, DataError, DigestError
from alfred.lake.place import opened
from alfred.lake.store import Lake
from alfred.language.contracts import Article, Digest, Digested, FailedDigestError, Usage
from alfred.language.records import DigestReport, RunSettings, cost_text
from alfred.language.run import digest_articles
from alfred.language.workers import Change

LATE = dt.datetime(2040, 1, 1, tzinfo=dt.UTC)
FIRST = dt.datetime(2015, 3, 30, 12, tzinfo=dt.UTC)


def write_articles(lake: Lake, count: int, text: str = "Sales fell.", source: str = "wire", begin: int = 0) -> None:
    """Articles a day apart, known an hour after they are published, in turn about A and B."""
    at = [FIRST + dt.timedelta(days=number) for number in range(begin, begin + count)]
    lake.write(
        "articles",
        pl.DataFrame(
            {
                "article_id": [f"{source}{number:04}" for number in range(begin, begin + count)],
                "symbol": ["AB"[number % 2] for number in range(begin, begin + count)],
                "published_at": at,
                "title": [f"News {number}" for number in range(begin, begin + count)],
                "text": text,
                "known_at": [one + dt.timedelta(hours=1) for one in at],
                "source": source,
            }
        ),
    )


@dataclass
class Reader:
    """Reads as it is told, and remembers what it was asked."""

    fails: frozenset[str] = frozenset()
    error: Exception = field(default_factory=lambda: DigestError("no."))
    left: int = 10**9
    usage: Usage = field(default_factory=Usage)
    name: str = "reader"
    model: str = "m"
    prompt_version: str = "1"
    knowledge_cutoff: dt.date | None = None
    concurrency: int = 1
    asked: list[tuple[str, str]] = field(default_factory=list)

    def digest(self, article: Article, symbol: str) -> Digested:
        if self.left <= 0:
            raise BudgetError("the next request could exceed the budget.")
        self.left -= 1
        self.asked.append((article.article_id, symbol))
        if article.article_id in self.fails:
            raise self.error
        score = len(self.asked) / 1000
        digest = Digest(relevance=1, sentiment=score, outlook=-score, event="legal", rationale="It says.",
                        quotations=("Sales fell.", 'so "bad"'))  # fmt: skip
        return Digested(digest, self.usage)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(tmp_path / "lake")
    write_articles(made, 6)
    return made


def stored(lake: Lake) -> pl.DataFrame:
    return lake.asof(LATE).digests()


def counts(report: DigestReport) -> tuple[int, int, int, int]:
    return report.done, len(report.failed), report.skipped, report.left


def test_digests_are_rows_with_all_that_is_known_of_them(lake: Lake) -> None:
    usage = Usage(100, 20, 0.5, 1.5, 2)
    reader = Reader(knowledge_cutoff=dt.date(2023, 12, 31), usage=usage)
    report = digest_articles(lake, reader)
    assert counts(report) == (6, 0, 0, 0)
    assert reader.asked[:2] == [("wire0000", "A"), ("wire0002", "A")]
    row = stored(lake).row(0, named=True)
    digested_at, text_digest = row.pop("digested_at"), row.pop("text_digest")
    assert abs(dt.datetime.now(dt.UTC) - digested_at) < dt.timedelta(minutes=5)
    assert len(text_digest) == 32
    assert json.loads(row.pop("quotations")) == ["Sales fell.", 'so "bad"']
    assert row == {
        "article_id": "wire0000", "digester": "reader", "prompt_version": "1", "model": "m", "relevance": 1.0,
        "sentiment": 0.001, "outlook": -0.001, "event": "legal", "rationale": "It says.",
        "knowledge_cutoff": dt.date(2023, 12, 31), "prompt_tokens": 100, "completion_tokens": 20, "tries": 2,
        "cost": 0.5, "seconds": 1.5, "known_at": FIRST + dt.timedelta(hours=1), "source": "wire", "symbol": "A",
        "published_at": FIRST,
    }  # fmt: skip
    assert report.usage == Usage(600, 120, 3.0, 9.0, 12)


def test_a_digest_made_today_counts_from_when_its_article_did(lake: Lake) -> None:
    digest_articles(lake, Reader())
    close = close_instants(np.array(["2015-03-31"], "datetime64[D]")).astype("datetime64[us]").item()
    known = lake.asof(close.replace(tzinfo=dt.UTC)).digests()
    assert known["article_id"].to_list() == ["wire0000", "wire0001"]


def test_a_second_call_asks_for_nothing_and_an_interrupted_one_for_the_rest(lake: Lake) -> None:
    assert counts(digest_articles(lake, Reader(), most=4)) == (4, 0, 0, 2)
    second = Reader()
    assert counts(digest_articles(lake, second)) == (2, 0, 4, 0)
    assert len(second.asked) == 2
    before, third = stored(lake), Reader()
    assert counts(digest_articles(lake, third)) == (0, 0, 6, 0)
    assert third.asked == []
    assert stored(lake).equals(before)


@pytest.mark.parametrize("other", [{"name": "x"}, {"model": "x"}, {"prompt_version": "2"}])
def test_another_digester_model_or_prompt_reads_anew_beside_the_first(lake: Lake, other: dict[str, str]) -> None:
    digest_articles(lake, Reader())
    assert counts(digest_articles(lake, Reader(**other))) == (6, 0, 0, 0)  # type: ignore[arg-type]
    assert len(stored(lake)) == 12
    assert counts(digest_articles(lake, Reader())) == (0, 0, 6, 0)


def test_a_corrected_article_is_read_again(lake: Lake) -> None:
    digest_articles(lake, Reader())
    write_articles(lake, 1, "Sales rose.", begin=3)
    again = Reader(prompt_version="1")
    assert counts(digest_articles(lake, again)) == (1, 0, 5, 0)
    assert again.asked == [("wire0003", "B")]
    assert len(stored(lake)) == 6


def test_what_is_asked_for_is_chosen_by_symbol_source_and_day(lake: Lake) -> None:
    write_articles(lake, 3, source="other")
    reader = Reader()
    since, until = (FIRST + dt.timedelta(days=1)).date(), (FIRST + dt.timedelta(days=4)).date()
    digest_articles(lake, reader, symbols=("B",), source="wire", since=since, until=until)
    assert reader.asked == [("wire0001", "B"), ("wire0003", "B")]
    with pytest.raises(DataError, match=r"no articles of paper about C, D since 2020-01-01; `alfred data status`"):
        digest_articles(lake, reader, symbols=("C", "D"), source="paper", since=dt.date(2020, 1, 1))


def test_failures_are_recorded_with_what_they_took_and_tried_again(lake: Lake) -> None:
    took = Usage(50, 5, 0.25, 2.0, 3)
    fails = frozenset({"wire0001", "wire0004"})
    report = digest_articles(lake, Reader(fails=fails, error=FailedDigestError("the model refused.", took)))
    assert counts(report) == (4, 2, 0, 0)
    assert report.usage.cost_usd == 0.5
    assert {failure.article_id: failure.reason for failure in report.failed} == dict.fromkeys(
        fails, "the model refused."
    )
    rows = lake.asof(LATE).failed_digests()
    kept = rows.select("article_id", "reason", "prompt_tokens", "cost", "tries", "digester", "model", "source")
    assert kept.row(0) == ("wire0001", "the model refused.", 50, 0.25, 3, "reader", "m", "wire")
    again = Reader()
    assert counts(digest_articles(lake, again)) == (2, 0, 4, 0)
    assert {one for one, _ in again.asked} == fails
    assert len(lake.asof(LATE).failed_digests()) == 2  # what was paid stays on record


def test_a_surprise_in_a_digester_loses_one_article_only(lake: Lake) -> None:
    report = digest_articles(lake, Reader(fails=frozenset({"wire0002"}), error=ZeroDivisionError("x")))
    assert counts(report) == (5, 1, 0, 0)
    assert report.failed[0].reason == "unexpected ZeroDivisionError: x"


def test_a_used_up_budget_stops_and_keeps_what_came(lake: Lake) -> None:
    report = digest_articles(lake, Reader(left=2, concurrency=3))
    assert counts(report) == (2, 0, 0, 4)
    assert report.stopped == "the next request could exceed the budget."
    assert len(stored(lake)) == 2
    assert lake.asof(LATE).failed_digests().is_empty()


def test_an_unknown_cost_is_null_and_not_zero(lake: Lake) -> None:
    report = digest_articles(lake, Reader(usage=Usage(10, 10, math.nan, 1.0)))
    assert stored(lake)["cost"].null_count() == 6
    assert (cost_text(report.usage.cost_usd), cost_text(0.25)) == ("cost unknown", "0.2500 USD")


def test_what_hopeless_settings_break_off_keeps_what_came(lake: Lake) -> None:
    reader = Reader(fails=frozenset({"wire0001"}), error=ConfigError("refuses the key."))
    with pytest.raises(ConfigError, match=r"refuses the key"):
        digest_articles(lake, reader)
    assert stored(lake)["article_id"].to_list() == ["wire0000", "wire0002", "wire0004"]


def test_many_failures_in_a_row_leave_the_rest(lake: Lake) -> None:
    reader = Reader(fails=frozenset(f"wire{at:04}" for at in range(6)))
    report = digest_articles(lake, reader, settings=RunSettings(most_failures=3))
    assert report.stopped == "3 articles failed one after another, the last because: no."
    assert 3 <= len(report.failed) <= 6
    assert len(lake.asof(LATE).failed_digests()) == len(report.failed)


def test_a_change_is_part_of_the_version_and_reaches_the_digester(lake: Lake) -> None:
    digest_articles(lake, Reader())
    reader = Reader()
    hidden = Change("anonymised", lambda article: replace(article, symbol="COMPANY"))
    assert counts(digest_articles(lake, reader, change=hidden)) == (6, 0, 0, 0)
    assert {symbol for _, symbol in reader.asked} == {"COMPANY"}
    assert stored(lake)["prompt_version"].value_counts(sort=True)["prompt_version"].sort().to_list() == [
        "1", "1+anonymised",
    ]  # fmt: skip
    assert set(stored(lake)["symbol"]) == {"A", "B"}


def test_paid_digests_are_written_in_small_groups(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    write = Lake.write

    def counted(self: Lake, name: str, frame: pl.DataFrame) -> object:
        if name == "digests":
            sizes.append(len(frame))
        return write(self, name, frame)

    monkeypatch.setattr(Lake, "write", counted)
    digest_articles(lake, Reader(usage=Usage(prompt_tokens=1)), settings=RunSettings(group_paid=2))
    assert sizes == [2, 2, 2]


def test_many_small_writes_are_put_together(lake: Lake) -> None:
    write_articles(lake, 40)
    settings = RunSettings(group_paid=1, compact_after=10)
    digest_articles(lake, Reader(usage=Usage(prompt_tokens=1)), settings=settings)
    assert len(list((Path(lake.root) / "digests").glob("*.parquet"))) >= 40  # nothing is deleted
    table = opened(lake.root, "digests")
    assert table is not None
    assert len(table.file_uris()) <= 10
    assert len(stored(lake)) == 40
    assert counts(digest_articles(lake, Reader())) == (0, 0, 40, 0)


def test_as_many_articles_are_under_way_as_the_digester_likes(lake: Lake) -> None:
    meeting = threading.Barrier(3, timeout=20)

    class Together(Reader):
        def digest(self, article: Article, symbol: str) -> Digested:
            meeting.wait()
            return super().digest(article, symbol)

    assert counts(digest_articles(lake, Together(concurrency=3))) == (6, 0, 0, 0)


def test_progress_hears_of_every_article_and_of_the_cost(lake: Lake) -> None:
    heard: list[tuple[object, ...]] = []

    class Listener:
        def start(self, task: str, total: int | None = None) -> None:
            heard.append((task, total))

        def advance(self, task: str, steps: int = 1, note: str = "") -> None:
            heard.append((steps, note))

        def finish(self, task: str, note: str = "") -> None:
            heard.append((note,))

        def say(self, message: str) -> None:
            heard.append((message,))

    failing = Reader(usage=Usage(1000, 500, 0.01), fails=frozenset({"wire0004"}))
    digest_articles(lake, failing, progress=Listener())
    assert heard[0] == ("digest", 6)
    assert heard[1] == (1, "1,500 tokens, 0.0100 USD")
    assert heard[-1] == ("1 failed, 7,500 tokens, 0.0500 USD",)


TROUBLES = (
    said("no JSON at all"), said({**GOOD, "sentiment": 3}), said("", refusal="No."), Answer("", status=429),
    Answer("broken", status=500), Answer("x", delay_s=0.7), Answer(closed=True), Answer('{"error": "overloaded"}'),
)  # fmt: skip


def test_every_trouble_of_a_server_ends_in_a_digest_or_a_recorded_failure(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "troubled")
    write_articles(lake, 16, "The company raised its outlook for the full year.")

    def answer(seen: Seen) -> Answer:
        number = int(asked(seen)["messages"][1]["content"].split("News ")[1].split("\n")[0])
        return TROUBLES[number] if number < len(TROUBLES) else said(GOOD)

    with serving() as service:
        service.on(PATH, answer)
        with closing(endpoint(service.url, patience=IMPATIENT, concurrency=4)) as reader:
            report = digest_articles(lake, reader)
        assert counts(report) == (8, 8, 0, 0)
        failed = lake.asof(LATE).failed_digests()
        digested = set(stored(lake)["article_id"])
        assert digested | set(failed["article_id"]) == {f"wire{at:04}" for at in range(16)}
        assert failed["reason"].str.len_chars().min() > 20
        service.on(PATH, said(GOOD))
        with closing(endpoint(service.url)) as reader:
            asked_before = len(service.seen)
            assert counts(digest_articles(lake, reader)) == (8, 0, 8, 0)
            assert len(service.seen) == asked_before + 8
            assert counts(digest_articles(lake, reader)) == (0, 0, 16, 0)
            assert len(service.seen) == asked_before + 8


PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from model_server import endpoint
from alfred.language.run import digest_articles
from alfred.language.records import RunSettings
from alfred.lake.place import opened
from alfred.lake.store import Lake
reader = endpoint(sys.argv[2], concurrency=2)
try:
    digest_articles(Lake(Path(sys.argv[3])), reader, settings=RunSettings(group_paid=4))
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_call_is_taken_up_where_it_stopped(tmp_path: Path, how: signal.Signals) -> None:
    root, count = tmp_path / "lake", 40
    lake = Lake(root)
    write_articles(lake, count, "The company raised its outlook for the full year.")
    with serving() as service:
        service.on(PATH, lambda seen: Answer(said(GOOD).body, delay_s=0.02))
        words = [sys.executable, "-c", PROGRAM, str(Path(__file__).parent), service.url, str(root)]
        child = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while len(service.seen) < 14 and time.monotonic() < end:
            time.sleep(0.005)
        child.send_signal(how)
        assert child.wait(60) == (-signal.SIGKILL if how == signal.SIGKILL else 130)
        time.sleep(0.1)  # what the server still had in hand
        paid, kept = len(service.seen), len(stored(lake))
        assert 14 <= paid < count
        assert kept < count
        # At most a group that was not written, one that was being written, and what was under way.
        assert paid - kept <= (4 + 8 + 2 if how == signal.SIGKILL else 2 + 2)
        with closing(endpoint(service.url)) as reader:
            report = digest_articles(lake, reader)
        assert counts(report) == (count - kept, 0, kept, 0)
        assert len(service.seen) == paid + count - kept
    assert stored(lake)["article_id"].to_list() == [f"wire{at:04}" for at in range(count)]
