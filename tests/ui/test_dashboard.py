"""The dashboard: its pages, what it refuses, and a run that is started from it, in a real browser."""

import contextlib
import json
import socket
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import uvicorn
from starlette.testclient import TestClient

import chromium
from alfred.core.errors import ConfigError
from alfred.core.home import Home
from alfred.experiments.recommendations import Entry, record
from alfred.experiments.run import run_study
from alfred.experiments.study import Study
from alfred.manager.recommendation import Expectation, Recommendation
from alfred.ui.app import make_app
from alfred.ui.jobs import DONE, LOST, STOPPED, Jobs, read_job
from alfred.ui.pages import run_table
from page_faults import faults

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
import report_run as made

REFUSED = "Failed to load resource: the server responded with a status of 404 (Not Found)"
STUDY = """
name = "small"
seeds = [0]
[data]
provider = "sample"
since = "2005-01-03"
until = "2012-12-31"
[universe]
training = ["AAPL", "AMD", "BAC", "BBY"]
evaluation = ["GE", "JNJ", "KO", "WMT"]
[panel]
features = ["momentum_12_1", "Close_diff_MA_30"]
[splits]
test_first = "2010-03-31"
test_quarters = 4
valid_quarters = 4
min_train_quarters = 8
[[analysts]]
name = "ridge"
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "alfred-home")


@pytest.fixture
def client(home: Home) -> TestClient:
    return TestClient(make_app(Jobs(home)), base_url="http://127.0.0.1:8765", follow_redirects=False)


def test_an_empty_home_says_what_to_do(client: TestClient) -> None:
    assert "No run has finished yet" in client.get("/").text
    assert "holds nothing yet" in client.get("/lake").text
    assert "Nothing has been tried yet" in client.get("/trials").text
    assert "There are no recommendations yet" in client.get("/recommendations").text


def test_the_ledger_of_recommendations_is_listed_with_its_state(client: TestClient, home: Home) -> None:
    told = Recommendation(
        as_of="2020-03-31", policy="<b>by hand</b>", worth_usd=1e3, cash_before_usd=1e3, cash_usd=1e3, lines=(),
        expected=Expectation(0.01, -0.05, 0.07, -0.05, 0.07, level=0.8), commission_usd=0.0, spread_usd=0.0,
        impact_usd=0.0, equal_weight_cost_usd=0.0, candidates=(), binding=(), notes=(), fractional=False,
    )  # fmt: skip
    made = record(
        home,
        Entry(
            number=0, ledger="", previous="", made_at="2020-03-31T21:00:00+00:00", hindsight=False, as_of="2020-03-31",
            ends_on="2020-06-30", fill_lag_sessions=1, run="demo-1", study="demo", family="demo", provider="sample",
            market_series="", recommendation=told,
        ),
    )  # fmt: skip
    page = client.get("/recommendations").text
    assert "The one entry of the ledger is as written" in page
    assert made.hash[:8] in page
    assert "&lt;b&gt;by hand&lt;/b&gt;" in page
    assert ">1,000</td>" in page  # all of it was in cash
    assert 'href="/recommendations" aria-current="page"' in page
    path = home.root / "recommendations" / "ledger.jsonl"
    path.write_text(path.read_text().replace("2020-06-30", "2020-09-30"))
    assert "Entry 1: it was altered: its content does not give its hash." in client.get("/recommendations").text


def test_runs_and_trials_are_listed_the_latest_first(home: Home) -> None:
    for name, made_at in (("older", "2026-01-02"), ("newest", "2026-01-03"), ("oldest", "2026-01-01")):
        told = replace(made.make_record(), study=name, created_at=f"{made_at}T08:00:00+00:00")
        made.write_run(home.runs / name, told)
    table, unreadable = run_table(home)
    assert [row[0].text for row in table.rows] == ["newest", "older", "oldest"]
    assert [row[1].text for row in table.rows] == [f"2026-01-0{day} 08:00" for day in (3, 2, 1)]
    assert unreadable == ()


def test_a_page_that_is_not_there_is_a_page(client: TestClient) -> None:
    answer = client.get("/nowhere")
    assert answer.status_code == 404
    assert "There is no page /nowhere here." in answer.text
    assert client.get("/jobs").status_code == 405


def test_a_report_leads_back_to_the_dashboard(client: TestClient, home: Home) -> None:
    made.write_run(home.runs / "one")
    assert 'class="brand" href="/"' in client.get("/runs/one/report.html").text
    assert 'class="brand" href="#verdict"' in (home.runs / "one" / "report.html").read_text(encoding="utf-8")


def test_other_hosts_are_not_answered(client: TestClient) -> None:
    """A name of the web that points here would let its pages read ours."""
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400


def test_orders_of_other_pages_are_not_taken(client: TestClient, home: Home) -> None:
    answer = client.post("/jobs", data={"study": STUDY}, headers={"Origin": "http://evil.example"})
    assert answer.status_code == 400
    assert "are not taken" in answer.text
    assert Jobs(home).names() == ()


def test_a_report_of_someone_else_is_shown_as_a_page_of_nowhere(client: TestClient, home: Home) -> None:
    """Its script can then neither read the dashboard nor start runs, which takes the dashboard's own origin."""
    folder = home.runs / "sent-to-me"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    (folder / "report.html").write_text("<script>fetch('/jobs', {method: 'POST'})</script>")
    answer = client.get("/runs/sent-to-me/report.html")
    policy = answer.headers["Content-Security-Policy"]
    assert "sandbox" in policy
    assert "allow-same-origin" not in policy
    assert client.post("/jobs", data={"study": STUDY}, headers={"Origin": "null"}).status_code == 400


def test_a_report_that_links_out_of_its_run_is_not_shown(client: TestClient, home: Home, tmp_path: Path) -> None:
    folder, secret = home.runs / "sent-to-me", tmp_path / "secret"
    folder.mkdir(parents=True)
    secret.write_text("my password")
    (folder / "run.json").write_text("{}")
    (folder / "report.html").symlink_to(secret)
    answer = client.get("/runs/sent-to-me/report.html")
    assert answer.status_code == 404
    assert "report.html of sent-to-me is a link out of the run&#39;s folder" in answer.text
    assert "my password" not in answer.text


@pytest.mark.parametrize("address", ["/", "/new", "/jobs/none", "/nowhere"])
def test_no_other_page_may_frame_the_dashboard(client: TestClient, address: str) -> None:
    answer = client.get(address)
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("study", "words"),
    [
        ("name = ", "cannot be read as TOML"),
        ("a = " + "[" * 9_999, "cannot be read as TOML"),
        ("nonsense = 1", "unknown setting"),
        ("", "is required but absent"),
    ],
)
def test_a_wrong_study_is_refused_at_once(client: TestClient, home: Home, study: str, words: str) -> None:
    answer = client.post("/jobs", data={"study": study})
    assert answer.status_code == 400
    assert words in answer.text
    assert Jobs(home).names() == ()


def test_a_study_without_end_is_not_read_to_its_end(client: TestClient) -> None:
    answer = client.post("/jobs", data={"study": "#" * 2_000_000})
    assert "not taken" in answer.text


@pytest.mark.parametrize(
    "address",
    ["/runs/nothing", "/runs/..%2f..%2fetc", "/runs/nothing/report.html", "/jobs/nothing", "/compare?run=a&run=b"],
)
def test_what_is_not_there_is_said(client: TestClient, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 404


def test_names_of_jobs_cannot_leave_their_folder(home: Home) -> None:
    (home.root / "jobs").mkdir(parents=True)
    (home.root / "study.toml").write_text(STUDY)
    with pytest.raises(ConfigError, match="there is no job"):
        Jobs(home).find("..")


def test_progress_is_read_line_by_line(tmp_path: Path) -> None:
    events = [
        {"kind": "say", "message": "data"},
        {"kind": "start", "task": "ridge", "total": 3},
        {"kind": "advance", "task": "ridge", "done": 2, "note": "loss 1"},
    ]
    text = "".join(json.dumps(event) + "\n" for event in events)
    (tmp_path / "progress.jsonl").write_text(text + '{"kind": "fini', encoding="utf-8")
    job = read_job("one", tmp_path, alive=True, known=True)
    assert (job.tasks[0].done, job.tasks[0].total, job.tasks[0].finished) == (2, 3, False)
    assert job.lines == ("data",)
    assert read_job("one", tmp_path, alive=False, known=True).outcome == LOST
    # A full disk cut a line, and another followed when there was room again.
    (tmp_path / "progress.jsonl").write_text(f"{text}{{'kin\n[]\n{json.dumps(events[0])}\n", encoding="utf-8")
    assert read_job("one", tmp_path, alive=True, known=True).lines == ("data", "data")


def _until_over(jobs: Jobs, name: str) -> str:
    end = time.monotonic() + 120
    while (job := jobs.find(name)).outcome == "running":
        assert time.monotonic() < end, job
        time.sleep(0.1)
    jobs.processes[name].wait(timeout=30)
    return job.outcome


@pytest.mark.slow
def test_a_stopped_run_leaves_all_whole(home: Home) -> None:
    jobs = Jobs(home)
    job = jobs.start(STUDY.replace('name = "ridge"', 'name = "vanilla.medium"'))
    with pytest.raises(ConfigError, match="in progress"):
        jobs.start(STUDY)
    end = time.monotonic() + 120
    while not jobs.find(job.name).tasks and time.monotonic() < end:
        time.sleep(0.1)
    jobs.stop(job.name)
    assert _until_over(jobs, job.name) == STOPPED
    assert list(home.runs.glob("*/run.json")) == []


@contextlib.contextmanager
def served(home: Home) -> Iterator[int]:
    jobs = Jobs(home)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(make_app(jobs), log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(timeout=20)
            for process in jobs.processes.values():
                process.wait(timeout=60)


def _faults(tab: chromium.Tab, site: str, pages: list[str]) -> dict[str, list[str]]:
    """What is wrong with which page, on a laptop and on a phone, in light and dark."""
    found = {}
    for width in (1440, 390):
        tab.size(width)
        for scheme in ("light", "dark"):
            tab.scheme(scheme)
            for page in pages:
                tab.problems.clear()
                tab.go(site + page)
                wrong = [one for one in faults(tab) if not (page == "/nowhere" and "status of 404" in one)]
                if wrong:
                    found[f"{page} at {width} in {scheme}"] = wrong
    return found


@pytest.mark.slow
def test_an_empty_home_looks_well(home: Home, tmp_path: Path) -> None:
    program = chromium.required()
    with served(home) as port, chromium.browser(program, tmp_path / "profile") as tab:
        site = f"http://127.0.0.1:{port}"
        assert _faults(tab, site, ["/", "/lake", "/recommendations", "/trials", "/compare"]) == {
            f"/compare at {width} in {scheme}": ["console: " + REFUSED]
            for width in (1440, 390)
            for scheme in ("light", "dark")
        }


@pytest.mark.slow
def test_a_refused_study_keeps_its_text(home: Home, tmp_path: Path) -> None:
    program = chromium.required()
    with served(home) as port, chromium.browser(program, tmp_path / "profile") as tab:
        tab.size(390)
        tab.go(f"http://127.0.0.1:{port}/new")
        tab.value("document.getElementById('text').value = 'name = 1 # mine'")
        tab.value("document.querySelector('form[action=\"/jobs\"]').submit()")
        tab.until("location.pathname === '/jobs' && document.documentElement?.dataset.plots !== undefined")
        assert tab.value("document.getElementById('text').value") == "name = 1 # mine"
        assert tab.value("document.querySelector('[role=alert]').innerText").startswith("This was not started")
        assert [one for one in faults(tab) if "status of 400" not in one] == []


@pytest.mark.slow
def test_a_run_started_in_the_browser_ends_in_its_report(home: Home, tmp_path: Path) -> None:
    program = chromium.required()
    study = Study.parse(tomllib.loads(STUDY) | {"name": "earlier"}, "the study")
    run_study(study, home)
    with served(home) as port, chromium.browser(program, tmp_path / "profile") as tab:
        site = f"http://127.0.0.1:{port}"
        tab.go(f"{site}/new?study=synthetic")
        tab.value(f"document.getElementById('text').value = {json.dumps(STUDY)}")
        tab.value("document.querySelector('form[action=\"/jobs\"]').submit()")
        tab.until("location.pathname.startsWith('/jobs/') && document.querySelectorAll('#tasks progress').length > 0")
        tab.until("document.getElementById('headline')?.textContent === 'Done'")
        tab.until("!document.getElementById('report').hidden")
        tab.value("document.getElementById('report').click()")
        tab.until("location.pathname.startsWith('/runs/') && document.documentElement?.dataset.plots > 0")
        tab.go(f"{site}/")
        assert tab.value("document.querySelectorAll('input[name=run]').length") == 2
        tab.value("document.querySelectorAll('input[name=run]').forEach(one => { one.checked = true; })")
        tab.value("document.querySelector('form[action=\"/compare\"]').submit()")
        tab.until("location.pathname === '/compare' && document.documentElement?.dataset.plots === '2'")
        pages = ["/", "/lake", "/recommendations", "/trials", "/trials/small", "/new", f"/jobs/{Jobs(home).names()[0]}"]
        assert tab.problems == []
        assert _faults(tab, site, [*pages, "/nowhere"]) == {}
        assert [request for request in tab.requests if not request.startswith((site, "data:", "blob:"))] == []
    (name,) = Jobs(home).names()
    assert Jobs(home).find(name).outcome == DONE
