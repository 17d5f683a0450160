import datetime as dt
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from service import Answer, Seen, Service, serving

from alfred.core.errors import ConfigError, DataError, FetchError
from alfred.lake import fetch as fetching
from alfred.lake.contracts import Batch, ProviderDescription, Rejected, Request, Web
from alfred.lake.fetch import FetchReport, FetchSettings, fetch
from alfred.lake.providers import csvfile
from alfred.lake.quality import QualitySettings
from alfred.lake.store import Lake

SYMBOLS = tuple(f"S{at:02d}" for at in range(12))
LATE = dt.datetime(2099, 1, 1, tzinfo=dt.UTC)


def rows(series: str, values: list[float]) -> pl.DataFrame:
    days = [dt.date(2020, 1, 1) + dt.timedelta(days=at) for at in range(len(values))]
    known = [dt.datetime(2020, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=at + 1) for at in range(len(values))]
    return pl.DataFrame({"series": series, "date": days, "known_at": known, "value": values, "source": "fake"})


def one_batch(task: str, request: Request, web: Web | None) -> Iterator[Batch]:
    yield Batch("series", rows(task, [1.0, 2.0, 3.0]))


class Fake:
    """A provider under a test's control; counts what it is asked."""

    def __init__(self, answer: Callable[..., Iterator[Batch]] = one_batch, kind: str = "network") -> None:
        self.DESCRIPTION = ProviderDescription("fake", ("series",), "", kind=kind, requests_per_second=1e6)  # type: ignore[arg-type]
        self.answer = answer
        self.asked: Counter[str] = Counter()

    def tasks(self, request: Request) -> tuple[str, ...]:
        return request.symbols

    def fetch(self, task: str, request: Request, web: Web | None) -> Iterator[Batch]:
        self.asked[task] += 1
        yield from self.answer(task, request, web)


Use = Callable[..., FetchReport]


@pytest.fixture
def use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Use:
    def run(fake: Fake, request: Request | None = None, **options: object) -> FetchReport:
        monkeypatch.setattr(fetching, "provider", lambda name: fake)
        wanted = request or Request(SYMBOLS, until=dt.date(2020, 12, 31))
        return fetch(Lake(tmp_path / "lake"), tmp_path / "fetches", "fake", wanted, **options)  # type: ignore[arg-type]

    return run


def held(folder: Path) -> list[str]:
    frame = Lake(folder / "lake").asof(LATE).coverage(by_symbol=True)
    return frame.filter(pl.col("table") == "series")["symbol"].to_list()


def journal(folder: Path) -> list[dict[str, object]]:
    (path,) = (folder / "fetches").glob("*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def failing(*bad: str) -> Callable[..., Iterator[Batch]]:
    def answer(task: str, request: Request, web: Web | None) -> Iterator[Batch]:
        if task in bad:
            raise FetchError(f"{task} did not answer.")
        yield from one_batch(task, request, web)

    return answer


def test_all_tasks_end_in_the_lake_and_in_the_journal(tmp_path: Path, use: Use) -> None:
    report = use(Fake())
    assert (report.done, report.failed, report.skipped, report.rows) == (12, (), 0, 36)
    assert held(tmp_path) == list(SYMBOLS)
    lines = journal(tmp_path)
    assert lines[0]["request"] == {"symbols": list(SYMBOLS), "since": None, "until": "2020-12-31", "path": None}
    assert {(line["task"], line["rows"]) for line in lines[1:]} == {(symbol, 3) for symbol in SYMBOLS}


def test_many_tasks_share_a_commit(tmp_path: Path, use: Use) -> None:
    use(Fake())
    assert Lake(tmp_path / "lake").versions()["series"] == 0


def test_rows_are_written_before_memory_fills(tmp_path: Path, use: Use) -> None:
    use(Fake(), settings=FetchSettings(group_rows=6))
    assert Lake(tmp_path / "lake").versions()["series"] >= 4


def test_a_finished_request_is_not_asked_again(use: Use) -> None:
    fake = Fake()
    use(fake)
    report = use(fake)
    assert (report.done, report.skipped, set(fake.asked.values())) == (0, 12, {1})
    assert use(fake, again=True).done == 12


def test_failures_stop_nobody_and_are_kept(tmp_path: Path, use: Use) -> None:
    fake = Fake(failing("S03", "S07"))
    report = use(fake)
    assert (report.done, report.skipped) == (10, 0)
    assert {(entry.task, entry.failed) for entry in report.failed} == {
        ("S03", "S03 did not answer."), ("S07", "S07 did not answer."),
    }  # fmt: skip
    again = use(fake)
    assert (again.done, again.skipped, [entry.task for entry in again.failed_before]) == (0, 10, ["S03", "S07"])
    fake.answer = failing("S07")
    retried = use(fake, retry_failed=True)
    assert (retried.done, [entry.task for entry in retried.failed], retried.skipped) == (1, ["S07"], 10)
    assert fake.asked == Counter(SYMBOLS) + Counter(["S03", "S07"])
    fake.answer = one_batch
    assert use(fake, retry_failed=True).done == 1
    assert use(fake, retry_failed=True).done == 0
    assert held(tmp_path) == list(SYMBOLS)


def test_a_surprise_in_a_provider_is_one_failure(use: Use) -> None:
    def answer(task: str, request: Request, web: Web | None) -> Iterator[Batch]:
        yield from one_batch(task, request, web)
        if task == "S05":
            raise KeyError("chart")

    report = use(Fake(answer))
    assert report.done == 11
    assert [(entry.task, entry.failed) for entry in report.failed] == [("S05", "unexpected KeyError: 'chart'")]


def test_rows_that_do_not_fit_fail_their_own_task(tmp_path: Path, use: Use) -> None:
    def answer(task: str, request: Request, web: Web | None) -> Iterator[Batch]:
        frame = rows(task, [1.0])
        yield Batch("series", frame.rename({"value": "valeu"}) if task == "S05" else frame)

    report = use(Fake(answer))
    assert [entry.task for entry in report.failed] == ["S05"]
    assert "no column 'valeu'" in report.failed[0].failed
    assert held(tmp_path) == [symbol for symbol in SYMBOLS if symbol != "S05"]


def test_what_no_task_can_mend_ends_the_fetch(tmp_path: Path, use: Use) -> None:
    def answer(task: str, request: Request, web: Web | None) -> Iterator[Batch]:
        if task == "S11":
            time.sleep(0.2)
            raise ConfigError("fake needs a key.")
        yield from one_batch(task, request, web)

    with pytest.raises(ConfigError, match="fake needs a key"):
        use(Fake(answer))
    assert "S00" in held(tmp_path)


def test_no_more_tasks_at_once_than_the_provider_allows(use: Use) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def answer(task: str, request: Request, web: Web | None) -> Iterator[Batch]:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1
        yield from one_batch(task, request, web)

    use(Fake(answer))
    assert 1 < most <= 4


def test_a_torn_last_line_is_ignored(tmp_path: Path, use: Use) -> None:
    fake = Fake()
    use(fake)
    (path,) = (tmp_path / "fetches").glob("*.jsonl")
    path.write_bytes(path.read_bytes()[:-9])
    report = use(fake)
    assert (report.done, report.skipped) == (1, 11)
    assert use(fake).skipped == 12


def day_of(folder: Path, day: str) -> None:
    (path,) = (folder / "fetches").glob("*.jsonl")
    head, _, rest = path.read_text().partition("\n")
    path.write_text(json.dumps({**json.loads(head), "day": day}) + "\n" + rest)


@pytest.mark.parametrize(
    ("until", "kind", "begun", "news"),
    [
        (None, "network", None, False),
        (None, "network", "2020-01-02", True),
        (dt.date(2019, 12, 31), "network", "2020-01-02", False),
        (dt.date(2020, 6, 30), "network", "2020-01-02", True),
        (dt.date(2019, 12, 31), "file", None, True),
    ],
)
def test_a_finished_request_begins_anew_where_there_may_be_news(  # noqa: PLR0917
    tmp_path: Path, use: Use, until: dt.date | None, kind: str, begun: str | None, news: bool
) -> None:
    fake = Fake(kind=kind)
    request = Request(SYMBOLS, until=until)
    use(fake, request)
    if begun:
        day_of(tmp_path, begun)
    assert use(fake, request).done == (12 if news else 0)


@pytest.mark.parametrize(("kind", "done"), [("network", 2), ("file", 12)])
def test_an_unfinished_request_goes_on_even_days_later_but_files_are_read_again(
    tmp_path: Path, use: Use, kind: str, done: int
) -> None:
    fake = Fake(kind=kind)
    use(fake, Request(SYMBOLS))
    (path,) = (tmp_path / "fetches").glob("*.jsonl")
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:-2]))
    day_of(tmp_path, "2020-01-02")
    assert use(fake, Request(SYMBOLS)).done == done


def test_a_file_that_changed_while_a_fetch_was_stopped_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csvfile, "TASK_FILES", 1)
    folder = tmp_path / "prices"
    folder.mkdir()
    for name in ("ABC", "XYZ"):
        (folder / f"{name}.csv").write_text("Date,Close\n2024-01-02,10\n")

    def again() -> FetchReport:
        return fetch(Lake(tmp_path / "lake"), tmp_path / "fetches", "csvfile", Request(path=folder))

    again()
    (path,) = (tmp_path / "fetches").glob("*.jsonl")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    (folder / "ABC.csv").write_text("Date,Close\n2024-01-02,10\n2024-01-03,11\n")
    assert (again().done, len(Lake(tmp_path / "lake").asof(LATE).bars(["ABC"]))) == (2, 2)


def test_tasks_that_bring_only_unreadable_pieces_are_counted(use: Use) -> None:
    def answer(task: str, request: Request, web: Web | None) -> Iterator[Batch]:
        bad = (Rejected(task, "rows were expected", "<html>"),) if task in {"S01", "S02"} else ()
        yield Batch("series", rows(task, [] if task in {"S02", "S03"} else [1.0]), bad)

    report = use(Fake(answer))
    assert (report.done, report.unreadable, report.rows) == (12, 1, 10)


def test_quality_settings_reach_the_checks(tmp_path: Path) -> None:
    file = tmp_path / "ABC.csv"
    file.write_text("Date,Open,High,Low,Close,Volume\n2024-01-02,10,8,9,9,100\n2024-01-03,10,11,9,10,100\n")

    def refused(home: str, quality: QualitySettings | None) -> int:
        where = tmp_path / home
        return fetch(Lake(where / "lake"), where / "f", "csvfile", Request(path=file), quality=quality).quarantined

    assert refused("strict", None) == 1
    assert refused("lenient", QualitySettings(actions={"high-below-low": "off"})) == 0


def test_progress_tells_done_failed_and_skipped(use: Use) -> None:
    notes: list[str] = []
    listener = SimpleNamespace(
        start=lambda task, total=None: notes.append(f"{task} {total}"),
        advance=lambda task, steps=1, note="": notes.append(note),
        finish=lambda task, note="": notes.append(note),
        say=notes.append,
    )
    use(Fake(failing("S03")), progress=listener)
    assert notes[0] == "fake 12"
    assert notes[-1] == "11 done, 1 failed, 0 skipped"


FETCHER = """
import sys
from pathlib import Path
import alfred.lake.providers.fred as fred
from alfred.lake.contracts import Request
from alfred.lake.fetch import FetchSettings, fetch
from alfred.lake.store import Lake
import dataclasses

fred.GRAPH = sys.argv[1] + "/graph"
fred.DESCRIPTION = dataclasses.replace(fred.DESCRIPTION, requests_per_second=1000.0)
home = Path(sys.argv[2])
names = tuple(f"S{at:02d}" for at in range(int(sys.argv[3])))
fred.MARKET = frozenset(names)
settings = FetchSettings(group_tasks=int(sys.argv[4]))
report = fetch(Lake(home / "lake"), home / "fetches", "fred", Request(names), settings=settings)
print(report.done, report.skipped)
"""


def slow_graph(seen: Seen) -> Answer:
    at = int(seen.query["id"][1:])
    return Answer(f"observation_date,{seen.query['id']}\n2020-01-02,{at}\n2020-01-03,{at + 1}\n", delay_s=0.25)


@dataclass
class Fetching:
    """Processes that fetch from a slow service, stopped by a signal after a number of requests."""

    folder: Path
    service: Service
    count: int

    def start(self, group_tasks: int) -> subprocess.Popen[str]:
        script = self.folder / "fetcher.py"
        script.write_text(FETCHER)
        words = [sys.executable, str(script), self.service.url, str(self.folder), str(self.count), str(group_tasks)]
        environment = {name: value for name, value in os.environ.items() if name != "FRED_API_KEY"}
        return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def stopped(self, by: signal.Signals, when: Callable[[], bool], group_tasks: int) -> set[str]:
        """Tasks in the journal after a signal was sent as soon as `when` came true."""
        process = self.start(group_tasks)
        limit = time.monotonic() + 60
        while not when() and process.poll() is None and time.monotonic() < limit:
            time.sleep(0.005)
        process.send_signal(by)
        process.communicate(timeout=60)
        assert process.returncode != 0
        return self.journalled()

    def journalled(self) -> set[str]:
        found = list((self.folder / "fetches").glob("*.jsonl"))
        return {str(line["task"]) for line in journal(self.folder)[1:]} if found else set()

    def finish(self) -> tuple[int, int, set[str]]:
        """Tasks done and skipped by an undisturbed call, and the series that it asked for."""
        asked = len(self.service.seen)
        process = self.start(group_tasks=2)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        done, skipped = (int(word) for word in out.split())
        return done, skipped, {seen.query["id"] for seen in self.service.seen[asked:]}


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Fetching]:
    with serving() as service:
        service.on("/graph", slow_graph)
        yield Fetching(tmp_path, service, 12)


def complete(folder: Path, count: int) -> None:
    names = [f"S{at:02d}" for at in range(count)]
    assert sorted(str(line["task"]) for line in journal(folder)[1:]) == names
    view = Lake(folder / "lake").asof(LATE)
    for at, name in enumerate(names):
        assert view.series(name)["value"].to_list() == [at, at + 1]


def test_killed_at_any_moment_it_goes_on_where_it_stopped(tmp_path: Path, processes: Fetching) -> None:
    first = processes.stopped(signal.SIGKILL, lambda: len(processes.journalled()) >= 2, group_tasks=2)
    second = processes.stopped(signal.SIGKILL, lambda: len(processes.journalled()) > len(first), group_tasks=2)
    done, skipped, asked = processes.finish()
    assert first < second
    assert 2 < len(second) < 12
    assert (done, skipped) == (12 - len(second), len(second))
    assert not asked & second
    complete(tmp_path, 12)


def test_ctrl_c_keeps_what_has_come(tmp_path: Path, processes: Fetching) -> None:
    kept = processes.stopped(signal.SIGINT, lambda: len(processes.service.seen) >= 9, group_tasks=1000)
    assert 4 <= len(kept) < 12
    done, skipped, asked = processes.finish()
    assert (done, skipped) == (12 - len(kept), len(kept))
    assert not asked & kept
    complete(tmp_path, 12)


def test_an_error_without_words_still_names_its_kind(use: Use) -> None:
    def answer(task: str, request: Request, web: Web | None) -> Iterator[Batch]:
        raise DataError
        yield

    assert use(Fake(answer), Request(("S00",))).failed[0].failed == "DataError"
