"""Joins as of a date, against references that look at every row for every cell."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alfred.core.errors import ConfigError
from alfred.lake.tables import INSTANT, TABLES
from alfred.panel.asof import Known, announcements, of_digester, split_ratios

NAMES = ("A", "B", "C")
HOUR = 3_600_000_000
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

# Few distinct instants and periods, so that rows often meet one another and the deadlines.
row = st.tuples(
    st.sampled_from(["A", "B", "C", "elsewhere"]),
    st.integers(0, 30),
    st.one_of(st.none(), st.integers(0, 30)),
    st.integers(0, 4),
    st.one_of(st.just(float("nan")), st.floats(-1e6, 1e6)),
)
tables = st.lists(row, max_size=40)
bounds = st.lists(st.integers(0, 30), min_size=1, max_size=6, unique=True).map(sorted)


def frame(rows: list[tuple]) -> pl.DataFrame:
    schema = {"symbol": pl.String, "known_at": pl.Int64, "day": pl.Int64, "period": pl.Int64, "value": pl.Float64}
    hours = pl.DataFrame(rows, schema=schema, orient="row")
    return hours.with_columns((pl.col("known_at", "day") * HOUR).cast(INSTANT))


def known(rows: list[tuple], deadlines: list[int]) -> Known:
    ends = np.array(deadlines) * HOUR
    return Known.of(frame(rows), NAMES, np.append(-1, ends[:-1]), ends, after="day")


def counted_from(row: tuple) -> int:
    return max(row[1], row[1] if row[2] is None else row[2])


@given(tables, bounds)
def test_the_latest_row_is_that_of_a_search_through_all(rows: list[tuple], deadlines: list[int]) -> None:
    ours = [row for row in rows if row[0] in NAMES]
    expected = np.full((len(deadlines), len(NAMES)), -1)
    for d, deadline in enumerate(deadlines):
        for s, name in enumerate(NAMES):
            candidates = [
                (row[3], counted_from(row), at)
                for at, row in enumerate(ours)
                if row[0] == name and counted_from(row) <= deadline
            ]
            if candidates:
                expected[d, s] = max(candidates)[2]
    found = known(rows, deadlines)
    np.testing.assert_array_equal(found.latest(found.rows["period"].to_numpy()), expected)
    values = [row[4] for row in ours]
    number = found.latest_row("period").number("value")
    np.testing.assert_array_equal(number, [[values[at] if at >= 0 else np.nan for at in line] for line in expected])


@given(tables, bounds)
def test_sums_are_those_of_the_rows_between_two_deadlines(rows: list[tuple], deadlines: list[int]) -> None:
    found = known(rows, deadlines)
    total = found.sums(found.number("value"))
    count = found.sums(np.ones(len(found.rows)))
    for d, deadline in enumerate(deadlines):
        since = deadlines[d - 1] if d else -1
        for s, name in enumerate(NAMES):
            inside = [row[4] for row in rows if row[0] == name and since < counted_from(row) <= deadline]
            assert count[d, s] == len(inside)
            assert total[d, s] == sum(value for value in inside if not np.isnan(value))


@given(tables, bounds)
def test_every_row_finds_the_cell_of_its_quarter(rows: list[tuple], deadlines: list[int]) -> None:
    found = known(rows, deadlines)
    cells = np.arange(len(deadlines) * len(NAMES), dtype=np.float64).reshape(len(deadlines), len(NAMES))
    for row, value in zip((row for row in rows if row[0] in NAMES), found.of_quarter(cells), strict=True):
        inside = [d for d, end in enumerate(deadlines) if counted_from(row) <= end]
        expected = cells[inside[0], NAMES.index(row[0])] if inside else np.nan
        np.testing.assert_array_equal(value, expected)


@given(tables, bounds, st.integers(0, 2))
def test_coverage_lasts_so_many_days_from_the_last_row(rows: list[tuple], deadlines: list[int], days: int) -> None:
    covered = known(rows, deadlines).covered(days)
    for d, deadline in enumerate(deadlines):
        for s, name in enumerate(NAMES):
            ages = [deadline - counted_from(row) for row in rows if row[0] == name]
            assert covered[d, s] == any(0 <= age <= 24 * days for age in ages)


@given(tables, tables, bounds, st.data())
def test_rows_known_later_change_nothing_to_the_last_bit(
    rows: list[tuple], others: list[tuple], deadlines: list[int], data: st.DataObject
) -> None:
    until = data.draw(st.integers(1, len(deadlines)))
    deadline = deadlines[until - 1]
    early = [row for row in rows if counted_from(row) <= deadline]
    late = [row for row in others if counted_from(row) > deadline]
    # Rows of another future stand anywhere among those of the past.
    mixed = [*early]
    for row in late:
        mixed.insert(data.draw(st.integers(0, len(mixed))), row)
    a, b = known(rows, deadlines), known(mixed, deadlines)
    for x, y in (
        (a.latest_row("period").number("value"), b.latest_row("period").number("value")),
        (a.sums(a.number("value")), b.sums(b.number("value"))),
        (a.covered(1), b.covered(1)),
    ):
        assert x[:until].tobytes() == y[:until].tobytes()


def test_a_quarter_begins_after_the_deadline_before_it() -> None:
    ends = np.array([10, 20]) * HOUR
    found = Known.of(
        frame([("A", hour, None, 0, 1.0) for hour in (5, 6, 10, 11, 20, 21)]), NAMES, ends - 5 * HOUR, ends
    )
    assert found.sums(np.ones(6))[:, 0].tolist() == [2.0, 1.0]


def test_without_rows_nothing_is_known() -> None:
    found = known([], [5, 10])
    assert (found.latest_row("period").at == -1).all()
    assert np.isnan(found.latest_row("period").number("value")).all()
    assert np.isnat(
        Known.of(earnings([]), NAMES, found.since, found.deadlines).latest_row("period_end").day("announced")
    ).all()
    assert not found.covered(1).any()


def earnings(rows: list[tuple]) -> pl.DataFrame:
    """Rows of (symbol, period_end, known day, source, reported, announced)."""
    made = [
        {
            "symbol": symbol, "period_end": end, "known_at": dt.datetime.combine(day, dt.time(13, 30), dt.UTC),
            "source": source, "reported_eps": reported, "announced": announced,
        }
        for symbol, end, day, source, reported, announced in rows
    ]  # fmt: skip
    return pl.DataFrame(made, schema=TABLES["earnings"].schema)


MARCH = dt.date(2010, 3, 31)


def day(month: int, number: int) -> dt.date:
    return dt.date(2010, month, number)


def test_an_estimate_of_a_quarter_to_come_is_no_announcement() -> None:
    rows = [
        ("A", MARCH, day(4, 1), "x", None, day(4, 20)),
        ("A", MARCH, day(4, 21), "x", 1.5, day(4, 20)),
        ("A", MARCH, day(5, 2), "x", None, day(4, 20)),
        ("B", MARCH, day(4, 1), "x", None, day(4, 20)),
        ("C", MARCH, day(4, 1), "x", float("nan"), day(4, 20)),
    ]
    told = announcements(earnings(rows))
    assert told.select("symbol", "reported_eps").rows() == [("A", 1.5), ("A", None)]


def test_a_quarter_without_a_day_was_announced_when_it_was_first_known() -> None:
    rows = [("A", MARCH, day(9, 1), "x", 1.6, None), ("A", MARCH, day(4, 21), "x", 1.5, None)]
    assert announcements(earnings(rows))["announced"].to_list() == [day(4, 21), day(4, 21)]


def digests(*who: tuple[str, str] | tuple[str, str, str]) -> pl.DataFrame:
    rows = [(*one, "m")[:3] for one in who]
    return pl.DataFrame(rows, schema=["digester", "prompt_version", "model"], orient="row")


def test_a_digester_is_chosen_by_name_and_version() -> None:
    rows = digests(("lexicon", "2"), ("lexicon", "10"), ("finbert", "1"), ("lexicon", "2"))
    assert of_digester(rows, "lexicon").rows() == [("lexicon", "10", "m")]
    assert of_digester(rows, "lexicon/2").rows() == [("lexicon", "2", "m"), ("lexicon", "2", "m")]
    assert of_digester(rows, "finbert").rows() == [("finbert", "1", "m")]
    assert len(of_digester(digests(("lexicon", "2"), ("lexicon", "2")), "")) == 2
    assert of_digester(digests(), "lexicon").is_empty()


def test_a_digester_with_several_models_is_chosen_by_model_too() -> None:
    rows = digests(("endpoint", "1", "org/small"), ("endpoint", "2", "org/small"), ("endpoint", "2", "large"))
    assert of_digester(rows, "endpoint/1").rows() == [("endpoint", "1", "org/small")]
    assert of_digester(rows, "endpoint/2/org/small").rows() == [("endpoint", "2", "org/small")]
    for unclear in ("endpoint", "endpoint/2"):
        with pytest.raises(ConfigError, match=r"by endpoint/2/large, endpoint/2/org/small, and one of them"):
            of_digester(rows, unclear)
    with pytest.raises(ConfigError, match=r"by endpoint/1, endpoint/2/large, endpoint/2/org/small, and one"):
        of_digester(rows, "")


def test_several_digesters_ask_for_a_choice() -> None:
    with pytest.raises(ConfigError, match=r"by finbert/1, lexicon/2, lexicon/10.*set panel.digester"):
        of_digester(digests(("lexicon", "10"), ("lexicon", "2"), ("finbert", "1")), "")
    with pytest.raises(ConfigError, match=r"finbert/1, finbert/2"):
        of_digester(digests(("finbert", "1"), ("finbert", "2")), "")
    with pytest.raises(ConfigError, match=r"'lexikon'; did you mean 'lexicon'\?"):
        of_digester(digests(("lexicon", "2")), "lexikon")


def splits(*rows: tuple[str, str, float, str]) -> pl.DataFrame:
    schema = {"symbol": pl.String, "date": pl.String, "ratio": pl.Float64, "kind": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(pl.col("date").str.to_date())


def test_a_share_becomes_as_many_as_the_splits_between_two_days_make_of_it() -> None:
    actions = splits(
        ("B", "2010-05-03", 2.0, "split"),
        ("B", "2010-05-03", 2.0, "split"),
        ("B", "2010-06-30", 3.0, "split"),
        ("B", "2010-08-02", 0.1, "split"),
        ("B", "2010-05-10", 7.0, "dividend"),
        ("A", "2010-05-03", 5.0, "split"),
        ("elsewhere", "2010-05-03", 9.0, "split"),
        ("C", "2010-05-03", 0.0, "split"),
    )
    dates = np.array(["2010-03-31", "2010-06-30", "2010-09-30"], "datetime64[D]")

    def ratios(since: str) -> np.ndarray:
        return split_ratios(actions, NAMES, np.full((3, 3), np.datetime64(since, "D")), dates)

    # On the day of a split shares are on its new basis already.
    np.testing.assert_allclose(ratios("2010-03-30")[:, 1], [1, 6, 0.6])
    np.testing.assert_allclose(ratios("2010-05-02")[1:, 1], [6, 0.6])
    np.testing.assert_allclose(ratios("2010-05-03")[1:, 1], [3, 0.3])
    np.testing.assert_allclose(ratios("2010-03-30")[:, 0], [1, 5, 5])
    np.testing.assert_array_equal(ratios("2010-03-30")[:, 2], 1)
    assert np.isnan(ratios("NaT")).all()


@given(
    st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 40), st.sampled_from([0.5, 2.0, 4.0])), max_size=12),
    st.lists(st.integers(0, 40), min_size=3, max_size=3),
)
def test_split_ratios_are_products_over_the_splits_between(splits_: list[tuple], since: list[int]) -> None:
    day0 = np.datetime64("1999-12-01", "D")
    rows = {(name, at): ratio for name, at, ratio in reversed(splits_)}
    actions = splits(*((name, str(day0 + at), ratio, "split") for name, at, ratio in splits_))
    dates = day0 + np.array([10, 20, 41])
    found = split_ratios(actions, NAMES, np.tile(day0 + np.array(since), (3, 1)), dates)
    for d, end in enumerate((10, 20, 41)):
        for s, name in enumerate(NAMES):
            if since[s] <= end:
                between = [ratio for (who, at), ratio in rows.items() if who == name and since[s] < at <= end]
                assert found[d, s] == np.prod(between)
