"""What a decision may know of sectors, and what one who looks back may tell."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alfred.core.contracts import Bars
from alfred.core.errors import ConfigError
from alfred.experiments.sectors import first_decisions, for_decisions, looking_back, summary_of

QUARTERS = np.array(["2014-12-31", "2015-03-31", "2015-06-30", "2015-09-30"], "datetime64[D]")
NAMES = ("A", "B", "C")
NEVER = np.datetime64("NaT")


def rows(*told: tuple[str, str, str, str]) -> pl.DataFrame:
    """Symbol, sector, known at that day's noon in UTC, source."""
    return pl.DataFrame(
        [
            {
                "symbol": symbol, "sector": sector, "source": source,
                "known_at": dt.datetime.combine(dt.date.fromisoformat(day), dt.time(12), dt.UTC),
            }
            for symbol, sector, day, source in told
        ],
        schema={"symbol": pl.String, "sector": pl.String, "source": pl.String, "known_at": pl.Datetime("us", "UTC")},
    )  # fmt: skip


KNOWN = rows(
    ("A", "Energy", "2010-01-04", "csvfile"),
    ("A", "Banks", "2014-12-31", "csvfile"),
    ("A", "Shops", "2015-05-01", "csvfile"),
    ("B", "Energy", "2015-06-30", "csvfile"),
    ("C", "Energy", "2012-01-04", "csvfile"),
    ("A", "Money", "2009-01-04", "edgar"),
)


def test_a_decision_knows_what_was_told_by_its_close() -> None:
    # A from the first decision on, B from the third, for which it came at noon of the day; C is never decided about.
    first = np.array([QUARTERS[0], QUARTERS[2], NEVER])
    found = for_decisions(KNOWN, NAMES, first, "sample")
    assert found.source == "csvfile"
    assert [found.names[at] if at >= 0 else "" for at in found.number] == ["Banks", "Energy", ""]
    assert not found.later.any()


def test_a_sector_that_came_too_late_is_refused() -> None:
    first = np.array([QUARTERS[0], QUARTERS[1], QUARTERS[1]])
    with pytest.raises(ConfigError, match=r"sector of every name .* of 1 of 3 names none was known by then: B\. Bring"):
        for_decisions(KNOWN, NAMES, first, "sample")
    with pytest.raises(ConfigError, match="sector_max needs sectors, and the lake knows none of these names"):
        for_decisions(KNOWN.clear(), NAMES, first, "sample")
    many = tuple(f"N{at}" for at in range(12))
    with pytest.raises(ConfigError, match=r"of 12 of 12 names none .* N9 and 2 more\."):
        for_decisions(KNOWN, many, np.full(12, QUARTERS[0]), "sample")


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_nothing_that_was_told_later_moves_a_decision(data: st.DataObject) -> None:
    """Rows of the past, and any of a later time, of whichever source."""
    symbols, sources = st.sampled_from(NAMES), st.sampled_from(["csvfile", "edgar", "zzz"])
    sectors = st.sampled_from(["Energy", "Banks", "Aaa", "Shops"])
    day = st.integers(-500, -1).map(lambda days: str(QUARTERS[1] + days))
    base = data.draw(st.lists(st.tuples(symbols, sectors, day, sources), max_size=8, unique_by=lambda row: row[::3]))
    after = st.integers(1, 500).map(lambda days: str(QUARTERS[1] + days))
    later = data.draw(st.lists(st.tuples(symbols, sectors, after, sources), max_size=8))
    past = [*base, *((name, "Banks", "2010-01-04", "csvfile") for name in NAMES)]
    first = np.full(3, QUARTERS[1])
    before, then = (for_decisions(rows(*told), NAMES, first, "edgar") for told in (past, [*past, *later]))
    assert (before.source, before.names) == (then.source, then.names)
    np.testing.assert_array_equal(before.number, then.number)


def test_looking_back_each_period_has_the_sector_of_its_time() -> None:
    found = looking_back(KNOWN, NAMES, QUARTERS, "sample")
    assert found is not None
    assert found.names == ("Banks", "Energy", "Shops")
    told = [[found.names[at] for at in period] for period in found.number]
    assert told == [
        ["Banks", "Energy", "Energy"], ["Banks", "Energy", "Energy"], ["Shops", "Energy", "Energy"],
        ["Shops", "Energy", "Energy"],
    ]  # fmt: skip
    # B was told at noon of the third date; its sector of the two periods before is hindsight.
    np.testing.assert_array_equal(found.later[:, 1], [True, True, False, False])
    assert not found.later[:, [0, 2]].any()
    held = np.ones((4, 3), np.bool_)
    about = summary_of(found, held)
    assert (about.source, about.sectors, about.names, about.unknown, about.later) == (
        "csvfile", ("Banks", "Energy", "Shops"), 3, 0, 1,
    )  # fmt: skip
    held[:2, 1], held[:, 2] = False, False
    about = summary_of(found, held)
    assert (about.names, about.unknown, about.later) == (2, 0, 0)


def test_names_nobody_knows_are_counted() -> None:
    found = looking_back(KNOWN, (*NAMES, "D"), QUARTERS, "sample")
    assert found is not None
    assert (found.number[:, 3] == -1).all()
    assert summary_of(found, np.ones((4, 4), np.bool_)).unknown == 1
    assert looking_back(KNOWN, ("D",), QUARTERS, "sample") is None


def test_the_source_is_the_one_that_knows_most_and_on_a_tie_the_prices_own() -> None:
    two = rows(
        ("A", "x", "2010-01-04", "edgar"), ("B", "x", "2010-01-04", "edgar"), ("A", "y", "2010-01-04", "csvfile"),
        ("B", "y", "2010-01-04", "csvfile"), ("C", "y", "2010-01-04", "yours"), ("A", "y", "2010-01-04", "aaa"),
    )  # fmt: skip
    for own, expected in (("edgar", "edgar"), ("csvfile", "csvfile"), ("sample", "csvfile"), ("aaa", "csvfile")):
        found = looking_back(two, NAMES, QUARTERS, own)
        assert found is not None
        assert found.source == expected


def test_the_first_decision_about_a_name_is_the_first_after_it_had_a_price() -> None:
    dates = np.array(["2014-12-30", "2014-12-31", "2015-03-31", "2015-06-30", "2015-07-01"], "datetime64[D]")
    nan = np.nan
    close = np.array([[1, nan, nan, nan], [nan, 1, nan, nan], [1, 1, nan, nan], [1, 1, 1, nan], [1, 1, 1, nan]])
    bars = Bars(dates, ("A", "B", "C", "D"), close, close)
    found = first_decisions(bars, QUARTERS[:3])
    assert found[:3].tolist() == [QUARTERS[0].item(), QUARTERS[0].item(), QUARTERS[2].item()]
    assert np.isnat(found[3])
    late = np.full_like(close, nan)
    late[4, 0] = 1.0
    assert np.isnat(first_decisions(Bars(dates, bars.symbols, late, late), QUARTERS[:3])).all()
