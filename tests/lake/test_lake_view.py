"""What each reader of a view gives: only what was known, in its documented order."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from alfred.core.errors import DataError
from alfred.lake.store import Lake, View
from alfred.lake.tables import TABLES

UTC = dt.UTC
LATE = dt.datetime(2030, 1, 1, tzinfo=UTC)


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=UTC)


def rows(*records: dict[str, Any]) -> pl.DataFrame:
    """Rows of one table; `known` is the day they became known."""
    plain = [{"source": "test", **record, "known_at": at(record["known"])} for record in records]
    frame = pl.DataFrame(plain, infer_schema_length=None).drop("known")
    days = [name for name in ("date", "period_end", "trade_date", "from", "to") if name in frame.columns]
    return frame.with_columns(pl.col(day).cast(pl.String).str.to_date() for day in days)


def fact(symbol: str, concept: str, value: float, known: str, end: str = "2019-12-31") -> dict[str, Any]:
    return {
        "symbol": symbol, "concept": concept, "period_end": end, "period_kind": "year", "value": value, "known": known,
    }  # fmt: skip


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path)
    lake.write(
        "facts",
        rows(
            fact("B", "Revenue", 7.0, "2020-02-01"),
            fact("A", "Revenue", 10.0, "2020-02-01"),
            fact("A", "Revenue", 11.0, "2020-08-01"),
            fact("A", "Assets", 99.0, "2020-02-01"),
            fact("A", "Revenue", 5.0, "2019-02-01", end="2018-12-31"),
        ),
    )
    return lake


def test_a_fact_is_what_was_filed_last_by_the_instant(lake: Lake) -> None:
    def revenue(instant: str) -> list[tuple[str, float]]:
        facts = lake.asof(at(instant)).facts(["A"], ["Revenue"])
        return [(str(end), value) for end, value in facts.select("period_end", "value").iter_rows()]

    assert revenue("2019-01-31") == []
    assert revenue("2020-01-31") == [("2018-12-31", 5.0)]
    assert revenue("2020-07-31") == [("2018-12-31", 5.0), ("2019-12-31", 10.0)]
    assert revenue("2020-08-01") == [("2018-12-31", 5.0), ("2019-12-31", 11.0)]


def test_all_vintages_are_all_that_were_known(lake: Lake) -> None:
    def vintages(instant: str) -> list[float]:
        return lake.asof(at(instant)).facts(["A"], ["Revenue"], vintages=True)["value"].to_list()

    assert vintages("2020-07-31") == [5.0, 10.0]
    assert vintages("2020-08-01") == [5.0, 10.0, 11.0]


def test_facts_have_the_tables_columns_and_order(lake: Lake) -> None:
    facts = lake.asof(LATE).facts()
    assert dict(facts.schema) == TABLES["facts"].schema
    assert facts.select("symbol", "concept", "value").rows() == [
        ("A", "Assets", 99.0), ("A", "Revenue", 5.0), ("A", "Revenue", 11.0), ("B", "Revenue", 7.0),
    ]  # fmt: skip
    assert lake.asof(LATE).facts(source="other").is_empty()
    assert lake.asof(LATE).facts([]).is_empty()


def test_earnings_have_vintages_too(lake: Lake) -> None:
    first = {"symbol": "A", "period_end": "2020-03-31", "estimated_eps": 1.0, "known": "2020-04-01"}
    lake.write("earnings", rows({**first, "reported_eps": None}, {**first, "reported_eps": 1.2, "known": "2020-05-01"}))
    before, after = lake.asof(at("2020-04-30")), lake.asof(at("2020-05-01"))
    assert before.earnings(["A"])["reported_eps"].to_list() == [None]
    assert after.earnings(["A"])["reported_eps"].to_list() == [1.2]
    assert after.earnings(vintages=True)["reported_eps"].to_list() == [None, 1.2]
    assert after.earnings(["B"]).is_empty()


def test_actions_are_sorted_and_known(lake: Lake) -> None:
    action = {"symbol": "B", "date": "2020-03-02", "kind": "split", "ratio": 2.0, "known": "2020-03-02"}
    lake.write(
        "actions", rows(action, {**action, "kind": "dividend"}, {**action, "symbol": "A", "known": "2020-03-05"})
    )
    assert lake.asof(at("2020-03-04")).actions()["kind"].to_list() == ["dividend", "split"]
    assert lake.asof(LATE).actions()["symbol"].to_list() == ["A", "B", "B"]
    assert lake.asof(LATE).actions(["A"])["kind"].to_list() == ["split"]


def test_insider_lines_are_in_the_order_they_became_known(lake: Lake) -> None:
    line = {"accession": "2", "line": 1, "symbol": "A", "trade_date": "2020-01-02", "known": "2020-01-04"}
    lake.write("insider", rows({**line, "line": 2}, line, {**line, "accession": "9", "known": "2020-01-03"}))
    assert lake.asof(LATE).insider(["A"]).select("accession", "line").rows() == [("9", 1), ("2", 1), ("2", 2)]
    assert lake.asof(at("2020-01-03")).insider()["accession"].to_list() == ["9"]


def test_articles_since_an_instant(lake: Lake) -> None:
    article = {"article_id": "x", "symbol": "A", "published_at": at("2020-01-02"), "known": "2020-01-03"}
    lake.write("articles", rows(article, {**article, "article_id": "w", "known": "2020-01-05"}))
    view = lake.asof(LATE)
    assert view.articles(["A"])["article_id"].to_list() == ["x", "w"]
    assert view.articles(since=at("2020-01-04"))["article_id"].to_list() == ["w"]
    assert view.articles(["B"]).is_empty()
    with pytest.raises(DataError, match="articles are read since an instant with a time zone"):
        view.articles(since=dt.datetime(2020, 1, 1))  # noqa: DTZ001 - that is what is tested


def test_the_end_of_a_membership_shows_only_when_it_has_come(lake: Lake) -> None:
    spell = {"index": "sp500", "symbol": "A", "from": "2010-01-04", "to": "2020-06-22", "known": "2010-01-04"}
    lake.write("members", rows(spell, {**spell, "symbol": "B", "to": None}, {**spell, "index": "dow"}))
    before, after = lake.asof(at("2020-06-21")).members("sp500"), lake.asof(at("2020-06-22")).members("sp500")
    assert before["to"].to_list() == [None, None]
    assert after["to"].to_list() == [dt.date(2020, 6, 22), None]
    assert dict(after.schema) == TABLES["members"].schema
    assert lake.asof(at("2010-01-03")).members("sp500").is_empty()


def test_quarantine_and_findings(lake: Lake) -> None:
    finding = {"table": "bars", "row_key": '{"symbol":"B"}', "check": "jump", "reason": "x", "known": "2020-01-02"}
    lake.write("findings", rows(finding, {**finding, "row_key": '{"symbol":"A"}'}))
    lake.write("quarantine", rows({**finding, "row": "{}", "released": False}))
    view = lake.asof(LATE)
    assert view.findings()["row_key"].to_list() == ['{"symbol":"A"}', '{"symbol":"B"}']
    assert view.quarantine().select("row", "released").rows() == [("{}", False)]


READERS: list[tuple[str, Callable[[View], pl.DataFrame]]] = [
    ("actions", lambda view: view.actions(["A"])),
    ("facts", lambda view: view.facts(["A"], vintages=True)),
    ("earnings", lambda view: view.earnings()),
    ("insider", lambda view: view.insider()),
    ("articles", lambda view: view.articles(since=LATE)),
    ("failed_digests", lambda view: view.failed_digests()),
    ("members", lambda view: view.members("sp500")),
    ("quarantine", lambda view: view.quarantine()),
    ("findings", lambda view: view.findings()),
]


@pytest.mark.parametrize(("name", "read"), READERS)
def test_a_table_that_is_not_there_reads_as_empty(
    tmp_path: Path, name: str, read: Callable[[View], pl.DataFrame]
) -> None:
    nothing = read(Lake(tmp_path).asof(LATE))
    assert nothing.is_empty()
    assert dict(nothing.schema) == TABLES[name].schema


def test_a_table_created_after_a_run_does_not_exist_for_it(lake: Lake) -> None:
    pinned = lake.versions()
    lake.write("findings", rows({"table": "bars", "row_key": "{}", "check": "jump", "known": "2020-01-02"}))
    assert lake.asof(LATE, pinned).findings().is_empty()


def test_coverage_counts_by_table_and_source(lake: Lake) -> None:
    bar = {"symbol": "A", "date": "2020-01-02", "close": 1.0, "known": "2020-01-02"}
    lake.write("bars", rows(bar, {**bar, "date": "2020-01-06"}, {**bar, "symbol": "B", "source": "other"}))
    lake.write("members", rows({"index": "dow", "symbol": "A", "from": "2010-01-04", "known": "2010-01-04"}))
    lake.write("series", rows({"series": "^X", "date": "2020-01-02", "value": 1.0, "known": "2020-01-02"}))
    digest = {"article_id": "x", "digester": "d", "prompt_version": "1", "model": "m", "known": "2020-01-02"}
    lake.write("digests", rows(digest))
    assert lake.asof(LATE).coverage().rows() == [
        ("bars", "other", 1, 1, dt.date(2020, 1, 2), dt.date(2020, 1, 2)),
        ("bars", "test", 2, 1, dt.date(2020, 1, 2), dt.date(2020, 1, 6)),
        ("digests", "test", 1, None, None, None),
        ("facts", "test", 5, 2, dt.date(2018, 12, 31), dt.date(2019, 12, 31)),
        ("members", "test", 1, 1, dt.date(2010, 1, 4), dt.date(2010, 1, 4)),
        ("series", "test", 1, 1, dt.date(2020, 1, 2), dt.date(2020, 1, 2)),
    ]
    by_symbol = lake.asof(LATE).coverage(by_symbol=True).filter(pl.col("table") == "facts")
    assert by_symbol.select("symbol", "rows", "symbols").rows() == [("A", 4, 1), ("B", 1, 1)]
    assert lake.asof(at("2000-01-01")).coverage().is_empty()
    assert lake.asof(LATE, {}).coverage().columns == ["table", "source", "rows", "symbols", "first", "last"]


def test_two_sources_lie_side_by_side_and_must_be_named(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    day, known = dt.date(2020, 1, 2), dt.datetime(2020, 1, 2, 21, tzinfo=dt.UTC)
    for source, close in (("one", 1.0), ("two", 2.0)):
        row = {"symbol": "A", "date": day, "close": close, "known_at": known, "source": source}
        lake.write("bars", pl.DataFrame([row]))
        level = {"series": "^X", "date": day, "value": close, "known_at": known, "source": source}
        lake.write("series", pl.DataFrame([level]))
    view = lake.asof(dt.datetime(2030, 1, 1, tzinfo=dt.UTC))
    assert view.bars(source="one")["close"].to_list() == [1.0]
    assert view.bars(source="two")["close"].to_list() == [2.0]
    assert view.series("^X", source="one")["value"].to_list() == [1.0]
    assert len(view.series("^X")) == 1
    with pytest.raises(DataError, match="bars of one, two lie in the lake side by side; name the source"):
        view.bars()


def test_figures_of_two_sources_lie_side_by_side_and_the_last_known_counts(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for source, value, day in (("edgar", 1.0, 3), ("alphavantage", 2.0, 3), ("alphavantage", 3.0, 5)):
        known = dt.datetime(2020, 2, day, 14, tzinfo=dt.UTC)
        fact = {"symbol": "A", "concept": "Revenue", "period_end": dt.date(2019, 12, 31), "period_kind": "quarter"}
        lake.write("facts", pl.DataFrame([fact | {"value": value, "known_at": known, "source": source}]))
    view = lake.asof(dt.datetime(2030, 1, 1, tzinfo=dt.UTC))
    assert view.facts(source="edgar")["value"].to_list() == [1.0]
    assert view.facts()["value"].to_list() == [3.0]
    assert sorted(view.facts(vintages=True)["value"]) == [1.0, 2.0, 3.0]
