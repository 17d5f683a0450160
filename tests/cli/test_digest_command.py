import datetime as dt
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "language"))
from filing_texts import QUARTER
from model_server import GOOD, KEY, PATH, said

sys.path.insert(0, str(Path(__file__).parents[1] / "lake"))
from service import Answer, Service, serving

from alfred.cli.main import app
from alfred.core.home import home
from alfred.lake.store import Lake

LATE = dt.datetime(2040, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def lake() -> Lake:
    made = Lake(home().lake)
    at = [dt.datetime(2020, 1, day, 12, tzinfo=dt.UTC) for day in range(1, 6)]
    made.write(
        "articles",
        pl.DataFrame(
            {
                "article_id": [f"n{day}" for day in range(1, 6)],
                "symbol": ["A", "A", "B", "A", "B"],
                "published_at": at,
                "known_at": at,
                "title": "Outlook raised",
                "text": "The company raised its outlook for the full year.",
                "source": "wire",
            }
        ),
    )
    return made


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with serving() as running:
        running.on(PATH, said(GOOD))
        monkeypatch.setenv("ALFRED_LLM_URL", f"{running.url}/v1")
        monkeypatch.setenv("ALFRED_LLM_MODEL", "tiny")
        monkeypatch.setenv("ALFRED_LLM_KEY", KEY)
        yield running


def call(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["digest", *words])
    assert KEY not in result.output
    return result.exit_code, flat(result.stdout), flat(result.stderr)


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"\x1b\[[0-9;]*m", "", text))


@pytest.mark.usefixtures("lake")
def test_the_lexicon_digests_without_being_set_up() -> None:
    code, out, err = call()
    assert code == 0, err
    assert re.fullmatch(r"lexicon/\S+ \(\S+\): 5 digested, 0 failed, 0 were there, 0 left. ", out)
    assert ": 0 digested, 0 failed, 5 were there, 0 left." in call()[1]
    assert ": 0 digested, 0 failed, 1 were there, 0 left." in call("--symbols", "B", "--until", "2020-01-04")[1]


def test_a_model_digests_with_cost_and_goes_on_where_it_stopped(lake: Lake, service: Service) -> None:
    home().root.joinpath("language.toml").write_text(
        'knowledge_cutoff = "unused"\n[endpoint]\nusd_per_million_prompt_tokens = 10.0\nconcurrency = 1\n'
    )
    words = ("--digester", "endpoint", "--since", "2020-01-02", "--set", "usd_per_million_completion_tokens=50")
    code, out, err = call(*words, "--most", "1")
    assert code == 0, err
    assert ": 1 digested, 0 failed, 0 were there, 3 left. This call took 360 tokens: 0.0060 USD." in out
    assert "tiny declares no knowledge cutoff" in err
    assert "360 tokens, 0.0060 USD" in err
    code, out, err = call(*words, "--set", "knowledge_cutoff=2024-06-30")
    assert (code, ": 3 digested, 0 failed, 1 were there, 0 left." in out) == (0, True)
    assert "cutoff" not in err
    assert len(service.seen) == 4
    cutoffs = lake.asof(LATE).digests()["knowledge_cutoff"].to_list()
    assert sorted(cutoffs) == [dt.date(2024, 6, 30)] * 3 + [dt.date(9999, 12, 31)]


@pytest.mark.usefixtures("lake")
def test_a_budget_stops_the_call_and_says_so(service: Service) -> None:
    code, out, _ = call("--digester", "endpoint", "--budget-tokens", "3700", "--set", "concurrency=1")
    assert code == 2
    done = int(re.search(r": (\d+) digested", out).group(1))  # type: ignore[union-attr]
    assert 1 <= done < 5
    assert "Stopped: the next request could exceed the budget:" in out
    assert len(service.seen) == done
    code, out, _ = call("--digester", "endpoint", "--budget-tokens", "10")
    assert f": 0 digested, 0 failed, {done} were there, {5 - done} left." in out


@pytest.mark.usefixtures("lake")
def test_failures_are_shown_and_tried_again(service: Service) -> None:
    service.on(PATH, Answer("broken", status=400))
    code, out, _ = call("--digester", "endpoint", "--symbols", "B")
    assert (code, "0 digested, 2 failed" in out) == (2, True)
    assert "Failed, to be tried again by the same command: n3: 127.0.0.1" in out
    service.on(PATH, said(GOOD))
    assert "2 digested, 0 failed" in call("--digester", "endpoint", "--symbols", "B")[1]


@pytest.mark.usefixtures("lake")
def test_what_cannot_work_is_one_sentence(service: Service) -> None:
    assert "there is no 'lexikon' among the digesters; did you mean 'lexicon'?" in call("--digester", "lexikon")[2]
    assert "did you mean 'model'?" in call("--digester", "endpoint", "--set", "modell=x")[2]
    assert "'yesterday' is not a date" in call("--since", "yesterday")[2]
    assert "the lake holds no articles about ZZZ" in call("--symbols", "ZZZ")[2]
    service.on(PATH, Answer(json.dumps({"error": f"bad {KEY}"}), status=401))
    code, _, err = call("--digester", "endpoint")
    assert (code, "refuses the key: status 401" in err) == (2, True)
    home().root.joinpath("language.toml").write_text("endpoint = 3\n")
    assert "endpoint is no section; write [endpoint] above" in call("--digester", "endpoint")[2]
    home().root.joinpath("language.toml").write_text("= 3\n")
    assert "language.toml is no readable TOML file" in call()[2]


def test_names_are_hidden_under_a_version_of_their_own_and_compared(lake: Lake) -> None:
    home().root.joinpath("language.toml").write_text('[names]\nA = ["The company"]\n')
    code, _, err = call("--compare")
    assert (code, "digested the articles only with names" in err) == (2, True)
    assert call("--anonymise")[1].count("+anonymous-1") == 1
    assert ": 0 digested, 0 failed, 5 were there, 0 left." in call("--anonymise")[1]
    code, out, err = call("--compare")
    assert code == 0, err
    assert re.search(r"lexicon/\S+\+anonymous-1 over lexicon/\S+ ", out)
    assert "sentiment" in out
    digests = lake.asof(LATE).digests()
    assert digests["prompt_version"].n_unique() == 2
    hidden = digests.filter(pl.col("prompt_version").str.contains("+", literal=True), pl.col("symbol") == "A")
    assert all("COMPANYX" in said for said in hidden["quotations"])
    home().root.joinpath("language.toml").write_text('[names]\nA = "The company"\n')
    assert "names are lists by symbol" in call("--anonymise")[2]


def write_filings(lake: Lake, everywhere: str = "") -> None:
    """Two reports of one company; a sentence is put at the end of each of their sections."""
    text = re.sub(r"\n(?=Item \d[A]?\. )", f"\n{everywhere}\n", QUARTER)
    at = [dt.datetime(2020, month, 4, 21, tzinfo=dt.UTC) for month in (5, 8)]
    lake.write(
        "articles",
        pl.DataFrame(
            {
                "article_id": ["0001/q.htm", "0002/q.htm"],
                "symbol": "HRLW",
                "published_at": at,
                "known_at": at,
                "title": [f"HRLW 10-Q {one.date()}" for one in at],
                "text": [text, text.replace("improved because freight costs fell", "fell as freight costs rose")],
                "publisher": "SEC",
                "source": "edgar",
            }
        ),
    )


def test_filings_are_digested_against_the_one_before(lake: Lake) -> None:
    assert "the lake holds no 10-K, 10-Q or 8-K as asked for" in call("--filings")[2]
    write_filings(lake)
    code, out, err = call("--filings", "--most", "1")
    assert code == 0, err
    assert re.match(r"research-lexicon/\S+: 3 sections of 1 filings digested, 0 of them compared", out)
    assert "0 were there, 1 left." in out
    code, out, _ = call("--filings", "--symbols", "HRLW")
    assert ": 3 sections of 1 filings digested, 3 of them compared with an earlier one;" in out
    rows = lake.asof(LATE).filings()
    assert rows.filter(pl.col("item") == "I-2", pl.col("before").is_not_null())["tone_change"].item() < 0
    assert ": 0 sections of 0 filings digested" in call("--filings")[1]


def test_filings_are_no_news(lake: Lake) -> None:
    write_filings(lake)
    assert call()[0] == 0
    assert "no articles about HRLW" in call("--symbols", "HRLW")[2]
    assert "HRLW" not in lake.asof(LATE).digests()["symbol"].to_list()


def test_an_endpoint_reads_filings_within_its_budget_and_pays_no_piece_twice(lake: Lake, service: Service) -> None:
    write_filings(lake, GOOD["quotations"][0])
    service.on(PATH, said(GOOD))
    words = ("--filings", "--digester", "endpoint", "--set", "concurrency=1", "--set", "log_probabilities=false")
    code, out, _ = call(*words, "--budget-tokens", "4000")
    assert (code, "Stopped: the next request could exceed the budget" in out) == (2, True)
    paid = len(service.seen)
    call(*words)
    sections = [f"000{number}/q.htm#{item}" for number in (1, 2) for item in ("I-2", "I-3", "II-1A")]
    pieces = lake.asof(LATE).digests_of([f"{section}/1" for section in sections])
    assert 1 <= paid < 6
    assert (len(service.seen), len(pieces), pieces["tries"].sum()) == (6, 6, 6)
    found = lake.asof(LATE).filings()
    assert found["article_id"].to_list() == sections
    assert set(found["outlook"]) == set(pieces["outlook"])
    assert ": 0 sections of 0 filings digested" in call(*words)[1]
    assert len(service.seen) == 6
