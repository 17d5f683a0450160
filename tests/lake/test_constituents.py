"""Membership: the real package's figures, and a small frame of its shape for the rules."""

import datetime as dt
import sys
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from alfred.core.errors import ConfigError, DataError, MissingExtraError
from alfred.lake.contracts import Request
from alfred.lake.ingest import provider
from alfred.lake.providers import constituents
from alfred.lake.store import Lake


def history(*rows: tuple[str, str, str, str | None]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["symbol", "name", "opt-in", "opt-out"])
    return frame.assign(**{name: pd.to_datetime(frame[name]) for name in ("opt-in", "opt-out")})


def test_a_membership_is_known_from_the_open_of_its_first_session() -> None:
    batch = constituents.members(
        history(("A", "Stays", "2015-03-23", None), ("B", "Came on a Saturday", "2014-09-20", "2024-09-23")), "sp500"
    )
    assert batch.rows.rows() == [
        ("sp500", "A", dt.date(2015, 3, 23), None, dt.datetime(2015, 3, 23, 13, 30, tzinfo=dt.UTC), "constituents"),
        (
            "sp500", "B", dt.date(2014, 9, 20), dt.date(2024, 9, 23),
            dt.datetime(2014, 9, 22, 13, 30, tzinfo=dt.UTC), "constituents",
        ),
    ]  # fmt: skip


def test_rows_that_cannot_be_are_refused_with_the_reason() -> None:
    batch = constituents.members(
        history(
            ("AN", "Left first", "1976-07-01", "1998-12-11"),
            ("AN", "Left later", "1976-07-01", "2017-08-08"),
            ("T", "Left", "1976-07-01", "2005-11-18"),
            ("T", "Still in", "1976-07-01", None),
            ("GAS", "Not a day", "2011-12-12", "2011-12-12"),
            ("GAS", "Came in earlier", "1976-07-01", "2016-07-01"),
        ),
        "sp500",
    )
    assert batch.rows.select("symbol", "to").rows() == [
        ("AN", dt.date(2017, 8, 8)), ("GAS", dt.date(2016, 7, 1)), ("T", None)
    ]  # fmt: skip
    assert [(refused.text, refused.reason.split(" with")[0]) for refused in batch.rejected] == [
        ("Not a day: 2011-12-12 to 2011-12-12", "a membership that ended on the day it began"),
        ("Left first: 1976-07-01 to 1998-12-11", "another company"),
        ("Left: 1976-07-01 to 2005-11-18", "another company"),
    ]


def test_a_leaver_cannot_be_seen_leaving_beforehand(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.write("members", constituents.members(history(("TWTR", "Twitter", "2018-06-07", "2022-11-01")), "sp500").rows)

    def ends(*day: int) -> list[dt.date | None]:
        return lake.asof(dt.datetime(*day, 21, tzinfo=dt.UTC)).members("sp500")["to"].to_list()

    assert ends(2018, 6, 6) == []
    assert ends(2018, 6, 7) == ends(2022, 10, 31) == [None]
    assert ends(2022, 11, 1) == [dt.date(2022, 11, 1)]


def test_another_shape_of_the_package_is_an_error() -> None:
    with pytest.raises(DataError, match="the table of dow in index-constitution has no column 'opt-out'"):
        constituents.members(history(("A", "A", "2020-01-02", None)).drop(columns="opt-out"), "dow")


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "index_constitution", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'alfred\[constituents\]'"):
        next(constituents.fetch("dow", Request(), None))


def test_tasks_are_indexes() -> None:
    assert constituents.tasks(Request()) == ("sp500", "nasdaq100", "dow")
    assert constituents.tasks(Request(symbols=("dow",))) == ("dow",)
    with pytest.raises(ConfigError, match="there is no membership of 'sp50'; did you mean 'sp500'"):
        constituents.tasks(Request(symbols=("sp50",)))


@pytest.fixture(scope="module")
def members() -> pl.DataFrame:
    pytest.importorskip("index_constitution", reason="the extra 'constituents' is not installed")
    batches = [batch for task in constituents.tasks(Request()) for batch in constituents.fetch(task, Request(), None)]
    return pl.concat([batch.rows for batch in batches])


def count(members: pl.DataFrame, index: str, day: dt.date) -> int:
    inside = (pl.col("from") <= day) & (pl.col("to").is_null() | (pl.col("to") > day))
    return members.filter(pl.col("index") == index, inside)["symbol"].n_unique()


@pytest.mark.parametrize(
    ("index", "year", "fewest", "most"),
    [
        ("sp500", 1996, 370, 385),
        ("sp500", 2005, 445, 455),
        ("sp500", 2015, 494, 500),
        ("sp500", 2024, 500, 505),
        ("nasdaq100", 2005, 0, 0),
        ("nasdaq100", 2010, 100, 110),
        ("dow", 1985, 20, 20),
        ("dow", 1992, 30, 30),
        ("dow", 2024, 30, 30),
    ],
)
def test_completeness_is_as_the_description_says(
    members: pl.DataFrame, index: str, year: int, fewest: int, most: int
) -> None:
    assert fewest <= count(members, index, dt.date(year, 1, 2)) <= most


def test_a_change_read_by_hand(members: pl.DataFrame) -> None:
    spells = members.filter(pl.col("index") == "dow", pl.col("symbol").is_in(["AAPL", "T"])).sort("symbol", "from")
    # Apple took AT&T's place in the Dow on 2015-03-19.
    assert spells.select("symbol", "from", "to").rows()[0] == ("AAPL", dt.date(2015, 3, 19), None)
    assert dt.date(2015, 3, 19) in spells.filter(pl.col("symbol") == "T")["to"].to_list()


def test_keys_are_unique_and_nothing_is_known_before_it_began(members: pl.DataFrame, tmp_path: Path) -> None:
    report = Lake(tmp_path).write("members", members)
    assert report.inserted == len(members) > 1200
    assert (members["known_at"].dt.date() >= members["from"]).all()
    assert (members["to"] > members["from"]).all()


def test_the_description_never_claims_complete_early_years(members: pl.DataFrame) -> None:
    description = provider("constituents").DESCRIPTION
    assert description.survivors_only
    assert description.kind == "bundled"
    early, middle, late = (count(members, "sp500", dt.date(year, 1, 2)) for year in (1996, 2005, 2015))
    said = f"it has {early} tickers at the start of 1996, {middle} of 2005, {late} of 2015"
    assert "INCOMPLETE" in description.note
    assert said in description.note
