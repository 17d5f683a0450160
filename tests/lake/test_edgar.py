"""The provider against a service on loopback that answers in the shape of the SEC's."""

import dataclasses
import datetime as dt
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from service import HTML, Answer, Service, serving
from test_form4 import form, owner, transaction

from alfred.core.errors import ConfigError, DataError, FetchError
from alfred.lake.contracts import Batch, Request
from alfred.lake.fetch import FetchSettings, fetch
from alfred.lake.ingest import provider
from alfred.lake.providers import edgar
from alfred.lake.providers._filings import plain_text, read_filings, times_are_utc
from alfred.lake.store import Lake
from alfred.lake.web import HttpWeb, WebSettings

REAL = Path(__file__).parents[3] / "shared" / "data" / "edgar"
FAST = WebSettings(tries=3, silence_s=0.5, try_s=1, total_s=3, first_wait_s=0.01, longest_wait_s=0.02)
QUICK = dataclasses.replace(edgar.DESCRIPTION, requests_per_second=2000.0)

FACTS = "/api/xbrl/companyfacts/CIK0000000042.json"
INDEX = "/submissions/CIK0000000042.json"
FILES = "/Archives/edgar/data/42"
REPORT = """<?xml version='1.0'?><html xmlns:ix="x"><head><title>ex-20221231</title><style>p {}</style></head><body>
<div style="display:none"><ix:header><ix:hidden>0000000042 hidden</ix:hidden></ix:header></div>
<p>Item&nbsp;7. Sales rose<br/>by 5&#37;.</p><script>var x = "<p>no</p>";</script>
<table><tr><td>Revenue</td><td>$</td><td>120</td></tr><tr><td>Cost</td><td></td><td>80</td></tr></table>
<DIV STYLE="Display: NONE"><div>nested</div>gone</DIV><p>Research &amp; development</p></body></html>"""


def filing(  # noqa: PLR0917 - a row of a table
    number: int, form: str, filed: str, accepted: str, document: str, reported: str = ""
) -> dict[str, str]:
    return {
        "accessionNumber": f"0000000042-23-{number:06}", "form": form, "filingDate": filed, "reportDate": reported,
        "acceptanceDateTime": accepted, "primaryDocument": document,
    }  # fmt: skip


FILINGS = [
    filing(4, "8-K", "2023-05-08", "2023-05-08T06:31:00.000Z", "item.txt", "2023-05-05"),
    filing(3, "4/A", "2023-05-08", "2023-05-08T19:00:00.000Z", "xslF345X04/amended.xml"),
    filing(2, "4", "2023-05-05", "2023-05-05T18:12:09.000Z", "xslF345X04/trade.xml"),
    filing(1, "10-K", "2023-02-03", "2023-02-02T18:01:30.000Z", "ex-20221231.htm", "2022-12-31"),
    filing(9, "S-8", "2023-02-03", "2023-02-03T12:00:00.000Z", "plan.htm"),
]


def columns(rows: list[dict[str, str]]) -> dict[str, list[Any]]:
    names = filing(0, "", "", "", "").keys()
    return {name: [row[name] for row in rows] for name in names} | {"size": [1] * len(rows)}


def submissions(rows: list[dict[str, str]], older: list[dict[str, Any]] | None = None, sic: Any = "3571") -> str:
    filings = {"recent": columns(rows), "files": older or []}
    return json.dumps({"cik": "42", "name": "Example", "sic": sic, "filings": filings})


def facts(cik: Any = 42) -> str:
    value = {"end": "2022-12-31", "val": 7, "accn": "0000000042-23-000001", "form": "10-K", "filed": "2023-02-03"}
    return json.dumps(
        {"cik": cik, "entityName": "Example", "facts": {"us-gaap": {"Assets": {"units": {"USD": [value]}}}}}
    )


TICKERS = {
    "0": {"cik_str": 42, "ticker": "EX-A", "title": "Example"},
    "1": {"cik_str": 43, "ticker": "OTHER", "title": "Other"},
    "2": {"cik_str": 42, "ticker": "EX-B", "title": "Example"},
}


@pytest.fixture
def sec(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with serving() as running:
        monkeypatch.setattr(edgar, "DATA", running.url)
        monkeypatch.setattr(edgar, "SITE", running.url)
        running.on("/files/company_tickers.json", Answer(json.dumps(TICKERS)))
        running.on(FACTS, Answer(facts()))
        running.on(INDEX, Answer(submissions(FILINGS)))
        running.on(f"{FILES}/000000004223000001/ex-20221231.htm", Answer(REPORT))
        running.on(f"{FILES}/000000004223000004/item.txt", Answer("Item 5.02\n\n\n\nThe   chairman left.\n"))
        running.on(f"{FILES}/000000004223000002/trade.xml", Answer(form(transaction(), transaction(side="D"))))
        amended = form(transaction(), transaction("<value>90</value>", side="D"))
        running.on(f"{FILES}/000000004223000003/amended.xml", Answer(amended))
        yield running


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpWeb]:
    monkeypatch.setenv("ALFRED_CONTACT", "Ada Example ada@example.org")
    made = HttpWeb(QUICK, FAST)
    yield made
    made.close()


def fetched(web: HttpWeb, task: str = "EX-A", **bounds: dt.date) -> dict[str, pl.DataFrame]:
    batches = list(edgar.fetch(task, Request(symbols=(task,), **bounds), web))
    assert [refused for batch in batches for refused in batch.rejected] == []
    return tables(batches)


def tables(batches: list[Batch]) -> dict[str, pl.DataFrame]:
    names = {batch.table for batch in batches}
    return {name: pl.concat([batch.rows for batch in batches if batch.table == name]) for name in names}


def test_a_company_fills_four_tables(sec: Service, web: HttpWeb, tmp_path: Path) -> None:
    rows = fetched(web)
    lake = Lake(tmp_path)
    assert {name: lake.write(name, frame).inserted for name, frame in rows.items()} == {
        "facts": 1,
        "sectors": 1,
        "insider": 3,
        "articles": 2,
    }
    assert rows["facts"].select("symbol", "concept", "value").rows() == [("EX-A", "Assets", 7.0)]
    assert {seen.headers["User-Agent"].partition(" ")[2] for seen in sec.seen} == {"Ada Example ada@example.org"}


def test_the_industry_is_known_from_when_it_was_asked_for(sec: Service, web: HttpWeb) -> None:
    before = dt.datetime.now(dt.UTC)
    (row,) = fetched(web)["sectors"].iter_rows(named=True)
    assert (row["symbol"], row["sector"], row["sic"], row["source"]) == ("EX-A", "Business equipment", "3571", "edgar")
    assert before <= row["known_at"] <= dt.datetime.now(dt.UTC)
    for code, sector in ((100, "Consumer nondurables"), ("0800", "Consumer nondurables"), ("9995", "Other")):
        sec.on(INDEX, Answer(submissions([], sic=code)))
        (row,) = fetched(web)["sectors"].iter_rows(named=True)
        assert (row["sector"], row["sic"]) == (sector, str(code).zfill(4))
    for nothing in ("", None):
        sec.on(INDEX, Answer(submissions([], sic=nothing)))
        assert fetched(web)["sectors"].is_empty()
    sec.on(INDEX, Answer(submissions([], sic="n/a")))
    (batch,) = [one for one in edgar.fetch("EX-A", Request(), web) if one.table == "sectors"]
    assert batch.rows.is_empty()
    assert batch.rejected[0].reason == "an industry code of up to four digits was expected."


def test_the_contact_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALFRED_CONTACT", raising=False)
    with pytest.raises(ConfigError, match="set ALFRED_CONTACT to your name and e-mail address"):
        HttpWeb(edgar.DESCRIPTION)


def test_trades_have_lines_sides_and_acceptance_and_an_amendment_adds_only_what_is_new(
    sec: Service, web: HttpWeb
) -> None:
    rows = fetched(web)["insider"].sort("known_at", "line")
    accepted = dt.datetime(2023, 5, 5, 22, 12, 9, tzinfo=dt.UTC)  # 18:12:09 in New York
    assert rows.rows() == [
        ("0000000042-23-000002", 1, "EX-A", dt.date(2023, 5, 4), "director", "P", 100, 250, None, None, accepted,
         "edgar"),
        ("0000000042-23-000002", 2, "EX-A", dt.date(2023, 5, 4), "director", "S", None, None, 100, 250, accepted,
         "edgar"),
        (
            "0000000042-23-000003", 2, "EX-A", dt.date(2023, 5, 4), "director", "S", None, None, 90, 225,
            dt.datetime(2023, 5, 8, 23, tzinfo=dt.UTC), "edgar",
        ),
    ]  # fmt: skip


def test_reports_become_articles_with_plain_text(sec: Service, web: HttpWeb) -> None:
    annual, current = fetched(web)["articles"].sort("known_at").rows(named=True)
    assert annual == {
        "article_id": "0000000042-23-000001/ex-20221231.htm",
        "symbol": "EX-A",
        "published_at": dt.datetime(2023, 2, 2, 23, 1, 30, tzinfo=dt.UTC),
        "title": "EX-A 10-K 2022-12-31",
        "url": f"{sec.url}{FILES}/000000004223000001/ex-20221231.htm",
        "text": "Item 7. Sales rose\nby 5%.\nRevenue $ 120\nCost 80\nResearch & development",
        "publisher": "SEC",
        # Accepted in the evening with the next day's filing date: released at 6:00 in New York.
        "known_at": dt.datetime(2023, 2, 3, 11, tzinfo=dt.UTC),
        "source": "edgar",
    }
    assert (current["title"], current["text"]) == ("EX-A 8-K 2023-05-05", "Item 5.02\n\nThe chairman left.")


def test_a_second_ticker_of_a_company_has_keys_of_its_own(sec: Service, web: HttpWeb, tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for task in edgar.tasks(Request(symbols=("EX.A", "ex-b", "EX-A"))):
        for name, rows in fetched(web, task).items():
            lake.write(name, rows)
    view = lake.asof(dt.datetime(2024, 1, 1, tzinfo=dt.UTC))
    assert view.insider()["symbol"].value_counts().sort("symbol").rows() == [("EX-B", 3), ("EX.A", 3)]
    assert view.articles(["EX-B"])["article_id"][0] == "0000000042-23-000001/ex-20221231.htm/EX-B"
    assert len(sec.asked("/files/company_tickers.json")) == 1


def test_tasks_are_symbols_each_once() -> None:
    assert edgar.tasks(Request(symbols=("brk.b", "AAPL", "BRK-B"))) == ("BRK.B", "AAPL")
    with pytest.raises(ConfigError, match="edgar needs symbols, such as --symbols AAPL,MSFT"):
        edgar.tasks(Request())


def test_an_unknown_ticker_fails_alone(sec: Service, web: HttpWeb) -> None:
    with pytest.raises(FetchError, match="list of listed companies has no ticker 'XYZQ'; check the spelling"):
        next(edgar.fetch("XYZQ", Request(symbols=("XYZQ",)), web))


def test_a_fetch_keeps_what_came_and_says_what_did_not(
    sec: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ALFRED_CONTACT", "Ada Example ada@example.org")
    monkeypatch.setattr(edgar, "DESCRIPTION", QUICK)
    lake = Lake(tmp_path / "lake")
    request = Request(symbols=("XYZQ", "EX-A", "EX-B"))
    report = fetch(lake, tmp_path / "journals", "edgar", request, settings=FetchSettings(web=FAST))
    assert (report.done, [entry.task for entry in report.failed], report.quarantined) == (2, ["XYZQ"], 0)
    view = lake.asof(dt.datetime(2024, 1, 1, tzinfo=dt.UTC))
    assert (len(view.facts()), len(view.insider()), len(view.articles())) == (2, 6, 4)


def test_bounds_choose_pages_and_documents(sec: Service, web: HttpWeb) -> None:
    pages = [
        {"name": "CIK0000000042-submissions-001.json", "filingTo": "2021-12-31"},
        {"name": "CIK0000000042-submissions-002.json", "filingTo": "2019-12-31"},
    ]
    old = filing(7, "10-Q", "2021-11-04", "2021-11-04T16:31:00.000Z", "q3.htm", "2021-09-30")
    sec.on(INDEX, Answer(submissions(FILINGS, pages)))
    sec.on("/submissions/CIK0000000042-submissions-001.json", Answer(json.dumps(columns([old]))))
    sec.on(f"{FILES}/000000004223000007/q3.htm", Answer("<html><body>Third quarter</body></html>"))
    rows = fetched(web, since=dt.date(2021, 1, 1), until=dt.date(2023, 2, 3))
    assert rows["articles"]["title"].to_list() == ["EX-A 10-Q 2021-09-30", "EX-A 10-K 2022-12-31"]
    assert "insider" not in rows
    assert len(sec.asked("/submissions/")) == 2


@pytest.mark.parametrize(
    "bad",
    [
        Answer("slow down", status=429, headers={"Retry-After": "0"}),
        Answer("oops", status=500),
        Answer(facts()[:60]),
        Answer(HTML),
        Answer(closed=True),
    ],
    ids=["429", "500", "truncated", "html", "closed"],
)
def test_what_passes_by_itself_is_tried_again_and_what_stays_is_an_error(
    sec: Service, web: HttpWeb, bad: Answer
) -> None:
    sec.on(FACTS, bad, Answer(facts()))
    assert len(fetched(web)["facts"]) == 1
    sec.on(FACTS, bad)
    with pytest.raises(FetchError, match=f"edgar gave no usable answer at .*{FACTS} after 3 tries"):
        next(edgar.fetch("EX-A", Request(), web))


def test_a_company_without_figures_is_an_error(sec: Service, web: HttpWeb) -> None:
    with pytest.raises(FetchError, match=r"CIK0000000043\.json: status 404"):
        next(edgar.fetch("OTHER", Request(), web))


@pytest.mark.parametrize(
    ("path", "answer", "message"),
    [
        (FACTS, facts(7), r"the SEC answered for company 7 where 42 \(EX-A\) was asked for"),
        (FACTS, "[]", "the companyfacts of EX-A have no member 'facts'"),
        (INDEX, "{}", "the SEC's index of EX-A's filings lacks 'filings'"),
        (INDEX, json.dumps({"filings": {"recent": {}, "files": []}}), "lacks the column 'accessionNumber'"),
        ("/files/company_tickers.json", "[1]", "the SEC's list of tickers has another shape than expected"),
    ],
)
def test_other_documents_than_asked_for_are_errors(
    sec: Service, web: HttpWeb, path: str, answer: str, message: str
) -> None:
    sec.on(path, Answer(answer))
    with pytest.raises(DataError, match=message):
        list(edgar.fetch("EX-A", Request(), web))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer("gone", status=404), "status 404"),
        (Answer(form(transaction())[:-20]), "is cut off; try again later"),
        (Answer(HTML), "a web page came in place of application/xml"),
    ],
)
def test_a_form_that_does_not_come_is_named_after_everything_else_came(
    sec: Service, web: HttpWeb, answer: Answer, reason: str
) -> None:
    sec.on(f"{FILES}/000000004223000002/trade.xml", answer)
    batches: list[Batch] = []
    with pytest.raises(FetchError, match=f"1 document of EX-A did not come: .*{reason}"):
        batches.extend(edgar.fetch("EX-A", Request(), web))
    assert {name: len(rows) for name, rows in tables(batches).items()} == {
        "facts": 1,
        "sectors": 1,
        "insider": 2,
        "articles": 2,
    }


def test_a_page_that_turns_callers_away_is_no_report(sec: Service, web: HttpWeb) -> None:
    page = "<html><head><title>SEC.gov | Request Rate Threshold Exceeded</title></head><body>Slow</body></html>"
    sec.on(f"{FILES}/000000004223000001/ex-20221231.htm", Answer(page))
    with pytest.raises(FetchError, match="with a page that turns callers away"):
        list(edgar.fetch("EX-A", Request(), web))


def test_a_service_that_is_down_is_left_alone_after_some_documents(sec: Service, web: HttpWeb) -> None:
    many = [filing(n, "8-K", "2023-05-08", "", f"{n}.htm") for n in range(10, 30)]
    sec.on(INDEX, Answer(submissions(many)))
    with pytest.raises(FetchError, match="3 documents of EX-A in a row did not come"):
        list(edgar.fetch("EX-A", Request(), web))
    assert len(sec.asked(FILES)) == 3


def test_single_documents_that_do_not_come_are_passed_over_and_counted(sec: Service, web: HttpWeb) -> None:
    many = [filing(n, "8-K", "2023-05-08", "", f"{n}.htm") for n in range(10, 20)]
    sec.on(INDEX, Answer(submissions(many)))
    for n in range(10, 20, 2):
        sec.on(f"{FILES}/0000000042230000{n}/{n}.htm", Answer(f"report {n}"))
    batches: list[Batch] = []
    with pytest.raises(FetchError, match=r"5 documents of EX-A did not come: .*11\.htm: status 404"):
        batches.extend(edgar.fetch("EX-A", Request(), web))
    assert tables(batches)["articles"]["text"].to_list() == [f"report {n}" for n in range(10, 20, 2)]


def test_documents_that_cannot_be_read_are_kept_as_rejected(sec: Service, web: HttpWeb) -> None:
    odd = [
        filing(11, "4", "2003-01-06", "", "paper.txt"),
        filing(12, "8-K", "2003-01-06", "", "scan.pdf"),
        filing(13, "8-K", "2003-01-06", "", "empty.htm"),
        filing(14, "4", "2005-01-06", "", "broken.xml"),
    ]
    sec.on(INDEX, Answer(submissions(odd)))
    sec.on(f"{FILES}/000000004223000013/empty.htm", Answer("<html><body><script>1</script></body></html>"))
    sec.on(f"{FILES}/000000004223000014/broken.xml", Answer("<ownershipDocument><a></ownershipDocument>"))
    batches = list(edgar.fetch("EX-A", Request(), web))
    assert sum(len(batch.rows) for batch in batches[2:]) == 0
    reasons = [refused.reason for batch in batches for refused in batch.rejected]
    assert reasons[0] == "a Form 4 that is not XML, as before 2003"
    assert "is not readable as XML" in reasons[1]
    assert reasons[2:] == ["a 8-K whose main document is no text", "a 8-K without any text"]


def test_forms_about_the_companys_holdings_in_others_are_no_trades_of_its_insiders(sec: Service, web: HttpWeb) -> None:
    sec.on(f"{FILES}/000000004223000002/trade.xml", Answer(form(transaction(), issuer="0000000077")))
    assert fetched(web)["insider"]["accession"].unique().to_list() == ["0000000042-23-000003"]


def test_without_a_time_of_acceptance_a_filing_counts_from_the_next_session(sec: Service, web: HttpWeb) -> None:
    sec.on(INDEX, Answer(submissions([{**FILINGS[2], "acceptanceDateTime": ""}])))
    known_at = fetched(web)["insider"]["known_at"].unique().to_list()
    assert known_at == [dt.datetime(2023, 5, 8, 13, 30, tzinfo=dt.UTC)]  # filed on a Friday


@pytest.mark.parametrize(
    ("times", "utc"),
    [
        (["2023-05-05T14:12:09", "2023-05-05T20:30:00"], False),  # either; New York is the later reading
        (["2023-05-05T14:12:09", "2023-05-06T00:12:00"], True),  # midnight in New York: only UTC
        (["2023-05-05T23:12:09"], True),
        (["2023-05-05T07:30:32", "2023-05-05T14:00:00"], False),  # 03:30 in New York if UTC
        (["2023-05-05T07:30:32", "2023-05-06T00:12:00"], False),  # both kinds: the later reading
        ([], False),
    ],
)
def test_the_clock_of_a_company_is_told_by_the_nights(times: list[str], utc: bool) -> None:
    assert times_are_utc(dt.datetime.fromisoformat(time) for time in times) is utc


@pytest.mark.parametrize("shift", ["summer", "winter"])
@pytest.mark.parametrize("written_in", ["UTC", "America/New_York"])
def test_no_filing_is_ever_dated_too_early(shift: str, written_in: str) -> None:
    opening = dt.datetime(2023, 7 if shift == "summer" else 1, 11, 6, 0, tzinfo=ZoneInfo("America/New_York"))
    truth = [opening + dt.timedelta(minutes=minute) for minute in range(0, 16 * 60, 7)]
    for first in range(0, len(truth), 5):
        some = truth[first : first + 5]
        rows = [
            filing(at, "8-K", str(when.date()), f"{when.astimezone(ZoneInfo(written_in)):%Y-%m-%dT%H:%M:%S}.000Z", "")
            for at, when in enumerate(some)
        ]
        read = {one.accession: one for one in read_filings([columns(rows)], "EX")}
        for at, when in enumerate(some):
            accepted = read[f"0000000042-23-{at:06}"].accepted
            assert accepted is not None
            assert dt.timedelta(0) <= accepted - when <= dt.timedelta(hours=5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"form": ["10-K", "8-K"]}, "the columns of the SEC's index of EX's filings differ in length"),
        ({"filingDate": [""]}, "filing 0000000042-23-000001 of EX has no usable date"),
    ],
)
def test_a_damaged_index_is_an_error(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_filings([columns([FILINGS[3]]) | change], "EX")


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ("plain  text\nof 1999\n\n\n\nend", "plain text\nof 1999\n\nend"),
        ("<html><body>a<br>b<hr/>c</body></html>", "a\nb\nc"),
        ("<html><body><p>one\ntwo</p>three</body></html>", "one two\nthree"),
        ("<html><body><span style='display: none'>x<span>y</span>z</span>kept</body></html>", "kept"),
        ("<html><body><ix:header>figures</ix:header>kept</body></html>", "kept"),
        ("<html><body><img style='display:none'>kept</body></html>", "kept"),
        ("<HTML><BODY>5 &lt; 6 &#8212; caf&eacute;</BODY></HTML>", "5 < 6 \u2014 caf\u00e9"),
        ("<html><head><title>t</title></head><body><script>if (a < b) {}</script>kept</body></html>", "kept"),
    ],
)
def test_text_of_documents(document: str, text: str) -> None:
    assert plain_text(document) == text


def test_the_description_says_what_it_lacks() -> None:
    description = provider("edgar").DESCRIPTION
    assert (description.kind, description.survivors_only) == ("network", True)
    assert "delisted companies are not found" in description.note


@pytest.mark.skipif(
    not REAL.is_dir(), reason="the SEC's real documents (../shared/data/edgar) are not beside the repository"
)
def test_real_documents_through_the_whole_provider(sec: Service, web: HttpWeb, tmp_path: Path) -> None:
    with gzip.open(REAL / "companyfacts_SNOW.json.gz", "rt") as file:
        sec.on("/api/xbrl/companyfacts/CIK0001640147.json", Answer(file.read()))
    entry = {"cik_str": 1640147, "ticker": "SNOW", "title": "Snowflake Inc."}
    sec.on("/files/company_tickers.json", Answer(json.dumps({"0": entry})))
    one = filing(1, "4", "2022-12-14", "2022-12-14T21:06:00.000Z", "xslF345X03/form4.xml")
    sec.on("/submissions/CIK0001640147.json", Answer(submissions([one])))
    sec.on("/Archives/edgar/data/1640147/000000004223000001/form4.xml", Answer((REAL / "form4_SNOW.xml").read_text()))
    lake = Lake(tmp_path)
    for name, rows in fetched(web, "SNOW").items():
        lake.write(name, rows)
    trades = lake.asof(dt.datetime(2022, 12, 31, tzinfo=dt.UTC)).insider(["SNOW"])
    assert (trades["acquired_shares"].sum(), trades["disposed_shares"].sum()) == (200_000, 200_000)
    assert lake.asof(dt.datetime(2022, 12, 14, 21, tzinfo=dt.UTC)).insider(["SNOW"]).is_empty()
    first = lake.asof(dt.datetime(2020, 12, 4, 15, tzinfo=dt.UTC)).facts(["SNOW"], ["Revenue"])
    assert first.filter(pl.col("period_kind") == "quarter")["value"].to_list() == [73_012_000.0, 159_624_000.0]


def test_owners_are_told_apart_when_an_amendment_repeats_a_line(sec: Service, web: HttpWeb) -> None:
    other = form(transaction(), owners=owner("0000000099", isDirector="1"))
    sec.on(f"{FILES}/000000004223000003/amended.xml", Answer(other))
    assert fetched(web)["insider"]["accession"].to_list().count("0000000042-23-000003") == 1
