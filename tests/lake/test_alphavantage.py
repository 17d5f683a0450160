import dataclasses
import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest
from faults import IMPATIENT, passing
from service import Answer, Seen, Service, serving

from alfred.core.errors import ConfigError, DataError, FetchError
from alfred.lake.contracts import Batch, Request
from alfred.lake.providers import alphavantage
from alfred.lake.tables import table
from alfred.lake.web import HttpWeb

KEY = "AB12CD34EF56GH78"

EARNINGS = {
    "symbol": "IBM",
    "annualEarnings": [{"fiscalDateEnding": "2023-12-31", "reportedEPS": "9.61"}],
    "quarterlyEarnings": [
        {
            "fiscalDateEnding": "2024-03-31", "reportedDate": "2024-04-24", "reportedEPS": "1.68",
            "estimatedEPS": "1.6", "surprise": "0.08", "surprisePercentage": "5", "reportTime": "post-market",
        },
        {
            "fiscalDateEnding": "2023-12-31", "reportedDate": "2024-01-24", "reportedEPS": "3.87",
            "estimatedEPS": "None", "surprise": "None", "surprisePercentage": "None", "reportTime": "pre-market",
        },
    ],
}  # fmt: skip

STATEMENT = {"fiscalDateEnding": "2024-03-31", "reportedCurrency": "USD", "grossProfit": "7742000000"}
STATEMENTS = {
    "symbol": "IBM",
    "annualReports": [
        {
            "fiscalDateEnding": "2023-12-31",
            "reportedCurrency": "USD",
            "grossProfit": "34300000000",
            "netIncome": "7502000000",
        }
    ],
    "quarterlyReports": [
        {**STATEMENT, "totalRevenue": "14462000000", "operatingIncome": "None", "ebitda": "2900000000"},
        {"fiscalDateEnding": "2004-03-31", "reportedCurrency": "USD", "totalRevenue": "22250000000"},
    ],
}

INSIDER = {
    "data": [
        {
            "transaction_date": "2024-05-03", "ticker": "IBM", "executive": "DOE, JANE", "executive_title": "Director",
            "security_type": "Common Stock", "acquisition_or_disposal": "A", "shares": "100.0", "share_price": "165.5",
        },
        {
            "transaction_date": "2024-05-03", "ticker": "IBM", "executive": "DOE, JANE", "executive_title": "Director",
            "security_type": "Common Stock", "acquisition_or_disposal": "A", "shares": "100.0", "share_price": "165.5",
        },
        {
            "transaction_date": "2024-05-03", "ticker": "IBM", "executive": "ROE, RICHARD", "executive_title": "",
            "security_type": "Common Stock", "acquisition_or_disposal": "D", "shares": "40", "share_price": "0.0",
        },
        {"transaction_date": "None", "acquisition_or_disposal": "D", "shares": "40", "share_price": "1"},
    ]
}  # fmt: skip

NEWS = {
    "items": "2",
    "sentiment_score_definition": "x <= -0.35: Bearish; ...",
    "feed": [
        {
            "title": "IBM reports", "url": "https://example.org/ibm", "time_published": "20240424T200500",
            "authors": ["A. Writer"], "summary": "IBM said ...", "source": "Example Wire",
            "overall_sentiment_score": 0.2, "ticker_sentiment": [{"ticker": "IBM", "relevance_score": "0.9"}],
        },
        {"title": "No time", "url": "https://example.org/x"},
    ],
}  # fmt: skip

LISTING = (
    "symbol,name,exchange,assetType,ipoDate,delistingDate,status\n"
    "TWTR,Twitter Inc,NYSE,Stock,2013-11-07,2022-11-08,Delisted\n"
    "SIVB,SVB Financial Group,NASDAQ,Stock,1987-10-19,2023-03-28,Delisted\n"
)
YIELD = {"name": "10-Year Treasury", "interval": "daily", "unit": "percent", "data": [
    {"date": "2024-01-05", "value": "4.05"}, {"date": "2024-01-01", "value": "."},
]}  # fmt: skip
LIMIT = {
    "Information": f"We have detected your API key as {KEY} and our standard API rate limit is 25 requests per day. "
    "Please subscribe to any of the premium plans to instantly remove all daily rate limits."
}


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setenv("ALPHAVANTAGE_API_KEY", KEY)
    with serving() as running:
        monkeypatch.setattr(alphavantage, "QUERY", f"{running.url}/query")
        fast = dataclasses.replace(alphavantage.DESCRIPTION, requests_per_second=1e6)
        monkeypatch.setattr(alphavantage, "DESCRIPTION", fast)
        yield running


def on(service: Service, **bodies: Any) -> None:
    def answer(seen: Seen) -> Answer:
        body = bodies[seen.query["function"]]
        return Answer(body if isinstance(body, str) else json.dumps(body))

    service.on("/query", answer)


def got(task: str, request: Request | None = None) -> list[Batch]:
    web = HttpWeb(alphavantage.DESCRIPTION, IMPATIENT)
    try:
        batches = list(alphavantage.fetch(task, request or Request(), web))
    finally:
        web.close()
    for batch in batches:
        table(batch.table).conform(batch.rows)
    return batches


def test_earnings_are_known_when_they_were_reported(service: Service) -> None:
    on(service, EARNINGS=EARNINGS, INCOME_STATEMENT=STATEMENTS)
    earnings = got("IBM earnings")[0].rows
    first, second = earnings.rows(named=True)
    assert (first["period_end"], first["announced"]) == (dt.date(2024, 3, 31), dt.date(2024, 4, 24))
    assert (first["reported_eps"], first["estimated_eps"], first["surprise"], first["surprise_pct"]) == (
        1.68,
        1.6,
        0.08,
        5,
    )
    assert first["known_at"] == dt.datetime(2024, 4, 25, 13, 30, tzinfo=dt.UTC)
    assert second["known_at"] == dt.datetime(2024, 1, 24, 14, 30, tzinfo=dt.UTC)
    assert (second["estimated_eps"], second["surprise"]) == (None, None)
    assert service.seen[0].query == {"function": "EARNINGS", "symbol": "IBM", "apikey": KEY}


def test_a_statement_is_never_known_at_its_periods_end(service: Service) -> None:
    on(service, EARNINGS=EARNINGS, INCOME_STATEMENT=STATEMENTS)
    facts = got("IBM earnings")[1]
    values = {(row["concept"], row["period_kind"]): row for row in facts.rows.iter_rows(named=True)}
    assert set(values) == {
        ("Revenue", "quarter"), ("GrossProfit", "quarter"), ("ebitda", "quarter"),
        ("GrossProfit", "year"), ("NetIncome", "year"),
    }  # fmt: skip
    assert values["Revenue", "quarter"]["value"] == 14_462_000_000
    assert values["Revenue", "quarter"]["known_at"] == dt.datetime(2024, 4, 25, 13, 30, tzinfo=dt.UTC)
    assert (facts.rows["known_at"].dt.date() > facts.rows["period_end"]).all()
    (old,) = facts.rejected
    assert old.where == "IBM INCOME_STATEMENT quarter 2004-03-31"
    assert old.reason == "no report of earnings for this fiscal date says when the statement became known"
    assert "22250000000" in old.text


def test_insiders_trades_wait_for_the_time_the_law_gives(service: Service) -> None:
    on(service, INSIDER_TRANSACTIONS=INSIDER)
    (batch,) = got("IBM insider")
    assert batch.rows["line"].to_list() == [0, 1, 0]
    assert batch.rows["acquired_value"].to_list() == [16550, 16550, None]
    assert batch.rows["disposed_shares"].to_list() == [None, None, 40]
    assert batch.rows["disposed_value"].to_list() == [None, None, None]
    # Traded on a Friday: due on Tuesday, used from Wednesday's open.
    assert set(batch.rows["known_at"]) == {dt.datetime(2024, 5, 8, 13, 30, tzinfo=dt.UTC)}
    assert len(batch.rejected) == 1


def test_news_are_known_at_their_publication(service: Service) -> None:
    on(service, NEWS_SENTIMENT=NEWS)
    (batch,) = got("IBM news", Request(since=dt.date(2024, 4, 1), until=dt.date(2024, 4, 30)))
    (article,) = batch.rows.rows(named=True)
    assert article["known_at"] == article["published_at"] == dt.datetime(2024, 4, 24, 20, 5, tzinfo=dt.UTC)
    assert (article["title"], article["publisher"], article["symbol"]) == ("IBM reports", "Example Wire", "IBM")
    assert len(batch.rejected) == 1
    query = service.seen[0].query
    assert (query["time_from"], query["time_to"]) == ("20240401T0000", "20240430T2359")
    on(service, NEWS_SENTIMENT={"Information": "No articles found. Please adjust the time range."})
    assert got("IBM news")[0].rows.is_empty()


def test_news_are_read_page_by_page(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alphavantage, "NEWS_A_REQUEST", 2)
    feed = [
        {"title": f"n{at}", "url": f"https://example.org/{at}", "time_published": f"202404{at:02d}T120000"}
        for at in range(1, 6)
    ]

    def answer(seen: Seen) -> Answer:
        later = [item for item in feed if item["time_published"][:13] >= seen.query["time_from"]]
        return Answer(json.dumps({"items": "2", "feed": later[:2]}))

    service.on("/query", answer)
    assert got("IBM news")[0].rows["title"].to_list() == ["n1", "n2", "n3", "n4", "n5"]


def test_yields_and_delistings(service: Service) -> None:
    on(service, TREASURY_YIELD=YIELD, LISTING_STATUS=LISTING)
    (yields,) = got("10year")
    assert yields.rows.select("series", "date", "value").rows() == [("10year", dt.date(2024, 1, 5), 4.05)]
    (batch,) = got("listing", Request(("SIVB", "AAPL")))
    (row,) = batch.rows.rows(named=True)
    assert (row["symbol"], row["date"], row["kind"]) == ("SIVB", dt.date(2023, 3, 28), "delisting")
    assert row["reason"] == "SVB Financial Group left NASDAQ"
    assert row["known_at"].date() == dt.date(2023, 3, 29)


@pytest.mark.parametrize("kind", ["Note", "Information", "Error Message"])
@pytest.mark.parametrize("task", ["IBM earnings", "IBM insider", "IBM news", "10year", "listing"])
def test_a_refusal_under_status_200_is_told_without_the_key(service: Service, kind: str, task: str) -> None:
    service.on("/query", Answer(json.dumps({kind: LIMIT["Information"]}, indent=4)))
    with pytest.raises(FetchError, match=r"alphavantage refused [A-Z_]+: .*API key as \[key\] and our") as caught:
        got(task)
    assert KEY not in str(caught.value)


def test_a_refusal_of_the_listing_hides_an_escaped_key(service: Service) -> None:
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in KEY)
    service.on("/query", Answer(f'{{"Information": "your key is {escaped}, and\\n{KEY}"}}'))
    with pytest.raises(FetchError, match=r"refused LISTING_STATUS: .*your key is \[key\]") as caught:
        got("listing")
    assert KEY not in str(caught.value)
    assert escaped not in str(caught.value)


@pytest.mark.parametrize("task", ["NONE earnings", "NONE insider", "NONE news"])
def test_an_unknown_symbol_is_told(service: Service, task: str) -> None:
    service.on("/query", Answer("{}"))
    with pytest.raises(DataError, match="alphavantage knows nothing of NONE"):
        got(task)


@pytest.mark.parametrize("fault", passing('{"quarterlyEarnings": [{"fisc'))
def test_answers_come_in_spite_of(service: Service, fault: str) -> None:
    bad = passing('{"quarterlyEarnings": [{"fisc')[fault]
    service.on("/query", bad, Answer(json.dumps(INSIDER)))
    assert len(got("IBM insider")[0].rows) == 3
    service.on("/query", bad)
    with pytest.raises(FetchError, match=r"alphavantage gave no usable answer at .*/query after 3 tries") as caught:
        got("IBM insider")
    assert KEY not in str(caught.value)


def test_tasks_need_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALPHAVANTAGE_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="set the environment variable ALPHAVANTAGE_API_KEY"):
        alphavantage.tasks(Request(("IBM",)))
    monkeypatch.setenv("ALPHAVANTAGE_API_KEY", KEY)
    assert alphavantage.tasks(Request(("IBM",))) == ("IBM earnings", "IBM insider", "IBM news", "listing")
    assert alphavantage.tasks(Request()) == ("2year", "5year", "10year", "listing")
    assert alphavantage.tasks(Request(("10year",))) == ("10year",)


def test_rows_fit_their_tables_even_when_nothing_came(service: Service) -> None:
    on(service, INSIDER_TRANSACTIONS={"data": []})
    (batch,) = got("IBM insider")
    assert batch.rows.is_empty()
    assert batch.rows.schema["known_at"] == pl.Datetime("us", "UTC")
