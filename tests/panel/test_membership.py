"""Membership of an index by date."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alfred.core.calendar import close_instants, day, decision_dates
from alfred.core.errors import ConfigError, DataError
from alfred.lake.tables import INSTANT, TABLES
from alfred.panel.membership import members_on

DATES = decision_dates(day("2010-01-04"), day("2011-12-30"))
SYMBOLS = ("A", "B", "C", "D")


def members(*spells: tuple, index: str = "sp500") -> pl.DataFrame:
    """Spells of (symbol, from, to or None, known from or None for the first day)."""
    rows = [
        {
            "index": index, "symbol": symbol, "from": dt.date.fromisoformat(first),
            "to": last and dt.date.fromisoformat(last), "source": "test",
            "known_at": dt.datetime.fromisoformat(f"{known or first}T14:30").replace(tzinfo=dt.UTC),
        }
        for symbol, first, last, known in spells
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=TABLES["members"].schema)


def test_a_member_is_in_from_its_first_day_until_before_its_last() -> None:
    table = members(
        ("A", "2009-01-05", None, None),
        # In on the very day of a decision, and out on one.
        ("B", "2010-06-30", "2010-12-31", None),
        # Twice in, by two spells.
        ("C", "2009-01-05", "2010-04-01", None),
        ("C", "2011-04-01", None, None),
        ("elsewhere", "2009-01-05", None, None),
    )
    found = members_on(table, "sp500", DATES, SYMBOLS)
    assert found.T.astype(int).tolist() == [
        [1, 1, 1, 1, 1, 1, 1, 1],
        [0, 1, 1, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 1, 1, 1],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ]


def test_a_spell_counts_from_when_it_was_known() -> None:
    table = members(("A", "2009-01-05", None, None), ("B", "2009-01-05", "2011-01-03", "2010-07-01"))
    assert members_on(table, "sp500", DATES, SYMBOLS)[:, 1].tolist() == [False] * 2 + [True] * 2 + [False] * 4


def test_indexes_are_kept_apart() -> None:
    table = pl.concat([members(("A", "2009-01-05", None, None)), members(("B", "2009-01-05", None, None), index="dow")])
    assert members_on(table, "dow", DATES, SYMBOLS).sum(axis=0).tolist() == [0, 8, 0, 0]


def test_an_unknown_index_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"no membership of 'sp50' is known; did you mean 'sp500'\?"):
        members_on(members(("A", "2009-01-05", None, None)), "sp50", DATES, SYMBOLS)
    with pytest.raises(ConfigError, match="alfred data fetch constituents"):
        members_on(members(), "sp500", DATES, SYMBOLS)


def test_dates_before_any_membership_is_known_are_an_error_where_names_were_listed() -> None:
    table = members(("A", "2010-05-03", None, None), ("B", "2010-05-03", None, "2010-05-07"))
    with pytest.raises(DataError, match=r"'sp500' is known from 2010-05-03 only.* 1 earlier date\(s\), 2010-03-31"):
        members_on(table, "sp500", DATES, SYMBOLS)
    listed = np.ones((len(DATES), len(SYMBOLS)), np.bool_)
    with pytest.raises(DataError, match="begin the study later"):
        members_on(table, "sp500", DATES, SYMBOLS, listed)
    listed[0] = False
    assert members_on(table, "sp500", DATES, SYMBOLS, listed)[:, 0].tolist() == [False] + [True] * 7


def test_a_table_brought_in_late_knows_nothing_of_earlier_dates() -> None:
    table = members(("A", "2001-01-02", None, "2011-02-01"))
    with pytest.raises(DataError, match="known from 2011-02-01 only"):
        members_on(table, "sp500", DATES, SYMBOLS)


dates = st.dates(dt.date(2009, 6, 1), dt.date(2012, 6, 1))


@given(
    st.lists(
        st.tuples(st.sampled_from(SYMBOLS), dates, st.one_of(st.none(), dates), dates),
        max_size=8,
        unique_by=lambda spell: spell[:2],
    )
)
def test_members_are_those_of_a_search_through_all_spells(drawn: list[tuple]) -> None:
    first = ("A", dt.date(2005, 1, 3), dt.date(2009, 1, 5), dt.date(2005, 1, 3))
    spells = [first, *drawn]
    table = members(*((s, str(a), b and str(b), str(k)) for s, a, b, k in spells))
    found = members_on(table, "sp500", DATES, SYMBOLS)
    closes = pl.Series(close_instants(DATES)).dt.replace_time_zone("UTC").cast(INSTANT).to_list()
    for d, (date, close) in enumerate(zip(DATES.tolist(), closes, strict=True)):
        for s, symbol in enumerate(SYMBOLS):
            assert found[d, s] == any(
                who == symbol
                and a <= date
                and (b is None or date < b)
                and dt.datetime.combine(k, dt.time(14, 30), dt.UTC) <= close
                for who, a, b, k in spells
            )
