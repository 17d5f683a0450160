import dataclasses
import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from faults import IMPATIENT, passing
from service import Answer, Seen, Service, serving

from alfred.core.errors import ConfigError, DataError, FetchError
from alfred.lake.contracts import Batch, Request
from alfred.lake.providers import fred
from alfred.lake.web import HttpWeb

GRAPH = "observation_date,DGS10\n2024-01-01,.\n2024-01-02,3.95\n2024-01-03,3.91\n2024-01-04,\n2024-01-05,4.05\n"
KEY = "abcdef0123456789abcdef0123456789"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.delenv("FRED_API_KEY", raising=False)
    with serving() as running:
        monkeypatch.setattr(fred, "GRAPH", f"{running.url}/graph/fredgraph.csv")
        monkeypatch.setattr(fred, "API", f"{running.url}/fred")
        fast = dataclasses.replace(fred.DESCRIPTION, requests_per_second=1e6)
        monkeypatch.setattr(fred, "DESCRIPTION", fast)
        yield running


def got(task: str, request: Request | None = None) -> list[Batch]:
    web = HttpWeb(fred.DESCRIPTION, IMPATIENT)
    try:
        return list(fred.fetch(task, request or Request(), web))
    finally:
        web.close()


def test_a_graph_is_read_with_its_gaps(service: Service) -> None:
    service.on("/graph/fredgraph.csv", Answer(GRAPH))
    (batch,) = got("10year", Request(since=dt.date(2024, 1, 1), until=dt.date(2024, 1, 5)))
    assert service.seen[0].query == {"id": "DGS10", "cosd": "2024-01-01", "coed": "2024-01-05"}
    assert batch.rows["series"].unique().to_list() == ["10year"]
    assert dict(batch.rows.select("date", "value").iter_rows()) == {
        dt.date(2024, 1, 2): 3.95, dt.date(2024, 1, 3): 3.91, dt.date(2024, 1, 5): 4.05,
    }  # fmt: skip
    # Friday's yield may be used from Monday's open, 9:30 in New York.
    assert batch.rows["known_at"].to_list()[-1] == dt.datetime(2024, 1, 8, 14, 30, tzinfo=dt.UTC)


def test_the_older_header_is_read_too_and_a_bad_line_is_kept(service: Service) -> None:
    service.on("/graph/fredgraph.csv", Answer("DATE,DGS30\n2024-01-02,3.7\n2024-01-03,n/a\n"))
    (batch,) = got("DGS30")
    assert batch.rows["value"].to_list() == [3.7]
    assert [(bad.where, bad.text) for bad in batch.rejected] == [("DGS30, line 3", "2024-01-03,n/a")]


def test_without_a_key_figures_that_are_revised_are_refused(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.on("/graph/fredgraph.csv", Answer("observation_date,GDP\n2023-10-01,27957.0\n"))
    told = r"fred has GDP, UNRATE without a key only as revised since.*fredaccount\.stlouisfed\.org.*set FRED_API_KEY"
    with pytest.raises(ConfigError, match=told):
        fred.tasks(Request(("10year", "gdp", "UNRATE", "DGS30")))
    with pytest.raises(ConfigError, match="fred has GDP without a key only as revised since"):
        got("GDP")
    assert not service.seen
    assert fred.tasks(Request(("10year", "DGS30"))) == ("10year", "DGS30")
    monkeypatch.setenv("FRED_API_KEY", KEY)
    assert fred.tasks(Request(("gdp", "UNRATE"))) == ("GDP", "UNRATE")


def test_another_text_is_no_series(service: Service) -> None:
    service.on("/graph/fredgraph.csv", Answer("sorry, nothing here"))
    with pytest.raises(DataError, match="fred sent no CSV of DGS10; it begins with 'sorry, nothing here'"):
        got("10year")


@pytest.mark.parametrize("fault", passing(""))
def test_a_graph_comes_in_spite_of(service: Service, fault: str) -> None:
    bad = passing("")[fault]
    service.on("/graph/fredgraph.csv", bad, Answer(GRAPH))
    assert len(got("10year")[0].rows) == 3
    assert len(service.seen) == 2
    service.on("/graph/fredgraph.csv", bad)
    with pytest.raises(FetchError, match=r"fred gave no usable answer at .*fredgraph\.csv after 3 tries"):
        got("10year")


def observation(date: str, realtime_start: str, value: str) -> dict[str, str]:
    return {"realtime_start": realtime_start, "realtime_end": "9999-12-31", "date": date, "value": value}


def page(field: str, items: list[object]) -> Answer:
    head = {"realtime_start": "1776-07-04", "realtime_end": "9999-12-31", "count": len(items), "offset": 0}
    return Answer(json.dumps({**head, "limit": 100000, field: items}))


def archive(service: Service, days: list[str], observations: list[dict[str, str]]) -> None:
    """Answers as ALFRED does: an observation's vintage is clipped to the span that was asked for."""

    def answer(seen: Seen) -> Answer:
        first, last = seen.query["realtime_start"], seen.query["realtime_end"]
        shown: dict[tuple[str, str], dict[str, str]] = {}
        for one in sorted(observations, key=lambda one: one["realtime_start"]):
            if one["realtime_start"] <= last:
                start = max(first, one["realtime_start"])
                shown[one["date"], start] = {**one, "realtime_start": start}
        return page("observations", list(shown.values()))

    service.on("/fred/series/vintagedates", page("vintage_dates", list(days)))
    service.on("/fred/series/observations", answer)


def test_with_a_key_every_vintage_is_kept(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRED_API_KEY", KEY)
    monkeypatch.setattr(fred, "VINTAGES_A_REQUEST", 2)
    # GDP of 2023 Q4: 27,938.8 as first published, then 27,944.6 and 27,957.0.
    days = ["2024-01-25", "2024-02-28", "2024-03-28", "2024-04-25"]
    archive(
        service,
        days,
        [
            observation("2023-07-01", "2024-01-25", "27610.1"),
            observation("2023-10-01", "2024-01-25", "27938.8"),
            observation("2023-10-01", "2024-02-28", "27944.6"),
            observation("2023-10-01", "2024-03-28", "27957.0"),
            observation("2024-01-01", "2024-04-25", "28284.5"),
        ],
    )
    (batch,) = got("GDP")
    quarter = batch.rows.filter(pl.col("date") == dt.date(2023, 10, 1))
    assert quarter.select("value", pl.col("known_at").dt.date()).rows() == [
        (27938.8, dt.date(2024, 1, 26)), (27944.6, dt.date(2024, 2, 29)), (27957.0, dt.date(2024, 4, 1)),
    ]  # fmt: skip
    assert len(batch.rows) == 5
    asked = [seen.query for seen in service.asked("/fred/series/observations")]
    assert [(query["realtime_start"], query["realtime_end"]) for query in asked] == [
        ("2024-01-25", "2024-02-28"), ("2024-03-28", "2024-04-25"),
    ]  # fmt: skip
    assert all(query["api_key"] == KEY for query in asked)


def test_quotes_older_than_the_archive_keep_the_graphs_rule(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRED_API_KEY", KEY)
    archive(
        service,
        ["2005-06-28", "2005-06-29"],
        [observation("2004-01-02", "2005-06-28", "4.38"), observation("2005-06-28", "2005-06-29", "3.97")],
    )
    (batch,) = got("10year")
    known = dict(batch.rows.select("date", pl.col("known_at").dt.date()).iter_rows())
    assert known == {dt.date(2004, 1, 2): dt.date(2004, 1, 5), dt.date(2005, 6, 28): dt.date(2005, 6, 30)}
    (batch,) = got("UNRATE")
    assert batch.rows["known_at"].dt.date().to_list()[0] == dt.date(2005, 6, 29)


@pytest.mark.parametrize("fault", passing('{"observations": [{"date": "20'))
def test_vintages_come_in_spite_of(service: Service, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    monkeypatch.setenv("FRED_API_KEY", KEY)
    good = page("observations", [observation("2024-01-02", "2024-01-03", "3.95")])
    service.on("/fred/series/vintagedates", page("vintage_dates", ["2024-01-03"]))
    service.on("/fred/series/observations", passing('{"observations": [{"date": "20')[fault], good)
    assert got("10year")[0].rows["value"].to_list() == [3.95]


def test_a_wrong_key_is_told_without_it(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRED_API_KEY", KEY)
    message = f"Bad Request. The value for variable api_key ({KEY}) is not registered."
    service.on(
        "/fred/series/vintagedates", Answer(json.dumps({"error_code": 400, "error_message": message}), status=400)
    )
    with pytest.raises(FetchError, match=r"status 400 .*api_key \(\[key\]\) is not registered") as caught:
        got("10year")
    assert KEY not in str(caught.value)


def test_names_are_columns_or_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRED_API_KEY", raising=False)
    assert fred.tasks(Request()) == ("2year", "3year", "5year", "10year", "^VIX", "CL=F", "BZ=F", "BTC=F", "SP500")
    assert fred.tasks(Request(("WTI", "CL=F", "dgs30"))) == ("CL=F", "DGS30")
    with pytest.raises(ConfigError, match="'GC=F' is no FRED series"):
        fred.tasks(Request(("GC=F",)))


def test_the_page_on_data_lists_every_series_that_needs_no_key() -> None:
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    missing = [series for series in fred.MARKET - set(fred.QUOTES.values()) if f"`{series}`" not in page]
    assert not missing
