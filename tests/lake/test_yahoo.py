import dataclasses
import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from faults import IMPATIENT, passing
from service import HTML, Answer, Service, serving

from alfred.core.errors import ConfigError, DataError, FetchError
from alfred.lake.contracts import Batch, Request
from alfred.lake.providers import yahoo
from alfred.lake.tables import table
from alfred.lake.web import HttpWeb

yfinance = pytest.importorskip("yfinance")
from curl_cffi import requests as curl  # noqa: E402 - only where yfinance is

# yfinance calls pandas in ways that pandas 3.1 deprecates; nothing of ours does.
pytestmark = pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")

OPEN = {"2020-08-28": 1598621400, "2020-08-31": 1598880600, "2020-11-06": 1604673000}
META = {
    "currency": "USD", "symbol": "AAPL", "exchangeName": "NMS", "instrumentType": "EQUITY",
    "firstTradeDate": 345479400, "gmtoffset": -14400, "timezone": "EDT", "exchangeTimezoneName": "America/New_York",
    "priceHint": 2, "dataGranularity": "1d", "range": "", "validRanges": ["1d", "5d", "1mo", "max"],
    "regularMarketPrice": 118.69, "chartPreviousClose": 125.01, "regularMarketTime": 1604696400,
    "currentTradingPeriod": {
        period: {"timezone": "EDT", "start": 1604673000, "end": 1604696400, "gmtoffset": -14400}
        for period in ("pre", "regular", "post")
    },
}  # fmt: skip
CHART = {
    "chart": {
        "result": [
            {
                "meta": META,
                "timestamp": list(OPEN.values()),
                "events": {
                    "dividends": {"1604673000": {"amount": 0.205, "date": 1604673000}},
                    "splits": {
                        "1598880600": {"date": 1598880600, "numerator": 4.0, "denominator": 1.0, "splitRatio": "4:1"}
                    },
                },
                "indicators": {
                    "quote": [
                        {
                            "open": [126.01, 127.58, 118.32], "high": [126.44, 131.0, 119.2],
                            "low": [124.58, 126.0, 116.13], "close": [124.81, 129.04, 118.69],
                            "volume": [187630000, 225702700, None],
                        }
                    ],
                    "adjclose": [{"adjclose": [121.6, 125.7, 115.8]}],
                },
            }
        ],
        "error": None,
    }
}  # fmt: skip
NOT_FOUND = {
    "chart": {"result": None, "error": {"code": "Not Found", "description": "No data found, symbol may be delisted"}}
}
CALENDAR = """<!DOCTYPE html><html><body><div><table><thead><tr><th>Symbol</th><th>Company</th><th>Earnings Date</th>
<th>EPS Estimate</th><th>Reported EPS</th><th>Surprise (%)</th></tr></thead><tbody>
<tr><td>AAPL</td><td>Apple Inc.</td><td>January 29, 2099 at 4 PM EST</td><td>2.67</td><td>-</td><td>-</td></tr>
<tr><td>AAPL</td><td>Apple Inc.</td><td>July 30, 2020 at 4 PM EDT</td><td>0.51</td><td>0.65</td><td>+26.31</td></tr>
<tr><td>AAPL</td><td>Apple Inc.</td><td>April 30, 2020 at 12 AM EDT</td><td>0.57</td><td>0.64</td><td>+12.6</td></tr>
</tbody></table></div></body></html>"""
NEWS = {
    "data": {
        "tickerStream": {
            "stream": [
                {
                    "id": "ad0e2b7c",
                    "content": {
                        "id": "ad0e2b7c", "contentType": "STORY", "title": "Apple splits", "description": "",
                        "summary": "Four for one.", "pubDate": "2020-08-31T13:30:05Z",
                        "provider": {"displayName": "Example Wire", "url": "http://example.org/"},
                        "canonicalUrl": {"url": "https://example.org/apple", "site": "finance", "region": "US"},
                        "clickThroughUrl": None,
                    },
                },
                {"id": "5f", "content": {"id": "5f", "title": "No time"}},
                {"id": "ad", "ad": [{"beacon": "x"}], "content": {}},
            ]
        }
    },
    "status": "OK",
}  # fmt: skip


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Service]:
    yfinance.set_tz_cache_location(str(tmp_path / "yfinance"))
    real = curl.Session.request

    with serving() as running:

        def rerouted(self: Any, method: str, url: str, *parts: Any, **options: Any) -> Any:
            assert urlsplit(url).hostname.endswith("yahoo.com") or url.startswith(running.url)
            rest = urlsplit(url)
            there = f"{running.url}{rest.path}" + (f"?{rest.query}" if rest.query else "")
            return real(self, method, there, *parts, **options)

        monkeypatch.setattr(curl.Session, "request", rerouted)
        fast = dataclasses.replace(yahoo.DESCRIPTION, requests_per_second=1e6)
        monkeypatch.setattr(yahoo, "DESCRIPTION", fast)
        running.on("/", Answer("", status=404))
        running.on("/v1/test/getcrumb", Answer("Ab1/crumb"))
        running.on("/v8/finance/chart/*", Answer(json.dumps(CHART)))
        running.on("/calendar/earnings", Answer(CALENDAR))
        running.on("/xhr/ncp", Answer(json.dumps(NEWS)))
        yfinance.data.YfData.cache_get.cache_clear()
        yield running
        yahoo._session.cache_clear()
        yfinance.data.YfData._instances.clear()


def got(task: str, request: Request | None = None) -> list[Batch]:
    web = HttpWeb(yahoo.DESCRIPTION, IMPATIENT)
    try:
        batches = list(yahoo.fetch(task, request or Request(), web))
    finally:
        web.close()
    for batch in batches:
        table(batch.table).conform(batch.rows)
    return batches


def test_bars_and_actions_are_known_at_the_close(service: Service) -> None:
    bars, splits, dividends = (batch.rows for batch in got("AAPL bars"))
    assert bars["date"].to_list() == [dt.date.fromisoformat(day) for day in OPEN]
    assert bars["close"].to_list() == [124.81, 129.04, 118.69]
    assert bars["adj_close"].to_list() == [121.6, 125.7, 115.8]
    assert bars["volume"].to_list() == [187630000, 225702700, 0]
    assert bars["known_at"].to_list()[0] == dt.datetime(2020, 8, 28, 20, tzinfo=dt.UTC)
    assert splits.select("symbol", "date", "kind", "ratio").rows() == [("AAPL", dt.date(2020, 8, 31), "split", 4.0)]
    assert dividends.select("date", "kind", "amount").rows() == [(dt.date(2020, 11, 6), "dividend", 0.205)]
    assert dividends["known_at"].to_list() == [dt.datetime(2020, 11, 6, 21, tzinfo=dt.UTC)]


def test_the_dates_asked_for_reach_the_service(service: Service) -> None:
    got("BRK.B bars", Request(since=dt.date(2020, 8, 1), until=dt.date(2020, 11, 6)))
    asked = service.asked("/v8/finance/chart/")
    assert {seen.path for seen in asked} == {"/v8/finance/chart/BRK-B"}
    first, last = (dt.datetime.fromtimestamp(int(asked[-1].query[name]), dt.UTC) for name in ("period1", "period2"))
    assert (first.date(), last.date()) == (dt.date(2020, 8, 1), dt.date(2020, 11, 7))


def test_the_bar_of_a_running_session_is_left_out(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yahoo, "_now", lambda: dt.datetime(2020, 11, 6, 17, tzinfo=dt.UTC))
    bars, _, dividends = (batch.rows for batch in got("AAPL bars"))
    assert bars["date"].to_list() == [dt.date(2020, 8, 28), dt.date(2020, 8, 31)]
    assert dividends.is_empty()


def test_earnings_are_known_when_the_hour_named_is_over(service: Service) -> None:
    (batch,) = got("AAPL earnings")
    coming, july, april = batch.rows.rows(named=True)
    assert (july["announced"], july["period_end"]) == (dt.date(2020, 7, 30), dt.date(2020, 6, 30))
    assert (july["estimated_eps"], july["reported_eps"], july["surprise_pct"]) == (0.51, 0.65, 26.31)
    assert july["surprise"] == pytest.approx(0.14)
    # Apple reported at 16:30; Yahoo says 4 PM. After the session's close in any case.
    assert july["known_at"] == dt.datetime(2020, 7, 30, 21, tzinfo=dt.UTC)
    assert april["known_at"] == dt.datetime(2020, 5, 1, 13, 30, tzinfo=dt.UTC)
    assert (coming["reported_eps"], coming["surprise"], coming["estimated_eps"]) == (None, None, 2.67)
    assert abs(coming["known_at"] - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)


def test_news_are_known_at_their_publication(service: Service) -> None:
    (batch,) = got("AAPL news")
    (article,) = batch.rows.rows(named=True)
    assert article["article_id"] == "yahoo:AAPL:ad0e2b7c"
    assert article["known_at"] == article["published_at"] == dt.datetime(2020, 8, 31, 13, 30, 5, tzinfo=dt.UTC)
    assert (article["text"], article["url"], article["publisher"]) == (
        "Four for one.", "https://example.org/apple", "Example Wire",
    )  # fmt: skip
    assert [bad.reason for bad in batch.rejected] == ["an article needs an id and a time"]
    assert got("AAPL news", Request(since=dt.date(2021, 1, 1)))[0].rows.is_empty()


@pytest.mark.parametrize("fault", passing('{"chart": {"result": [{"meta"'))
@pytest.mark.parametrize(("task", "path"), [("AAPL bars", "/v8/finance/chart/*"), ("AAPL news", "/xhr/ncp")])
def test_answers_come_in_spite_of(service: Service, task: str, path: str, fault: str) -> None:
    bad = passing('{"chart": {"result": [{"meta"')[fault]
    good = json.dumps(CHART if "chart" in path else NEWS)
    service.on(path, bad, Answer(good))
    assert len(got(task)[0].rows) == (3 if "chart" in path else 1)


@pytest.mark.parametrize("fault", ["429", "500", "html", "closed"])
def test_what_does_not_pass_is_told(service: Service, fault: str) -> None:
    service.on("/v8/finance/chart/*", passing("{")[fault])
    with pytest.raises(FetchError, match=r"yahoo gave no usable answer at .*/v8/finance/chart/AAPL after 3 tries: "):
        got("AAPL bars")


def test_an_unknown_symbol_is_told(service: Service) -> None:
    service.on("/v8/finance/chart/*", Answer(json.dumps(NOT_FOUND), status=404))
    with pytest.raises(DataError, match="yahoo has no prices of NONE; it may be delisted or spelt otherwise"):
        got("NONE bars")


def test_a_page_without_a_table_is_no_earnings(service: Service) -> None:
    service.on("/calendar/earnings", Answer(HTML))
    with pytest.raises(DataError, match="yahoo shows no table of earnings for AAPL"):
        got("AAPL earnings")


def test_prices_do_not_depend_on_the_cookie(service: Service) -> None:
    service.on("/", Answer(closed=True))
    service.on("/v1/test/getcrumb", Answer("Too Many Requests", status=429))
    assert len(got("AAPL bars")[0].rows) == 3


def test_tasks_are_pieces_of_symbols() -> None:
    assert yahoo.tasks(Request(("A", "B", "A")))[:3] == ("A bars", "B bars", "A earnings")
    with pytest.raises(ConfigError, match="yahoo needs symbols"):
        yahoo.tasks(Request())
