import datetime as dt

import polars as pl

from alfred.lake.known import known_at_close, known_next_session, known_next_sessions

UTC = dt.UTC


def test_a_price_is_known_at_the_close_of_its_session() -> None:
    days = [dt.date(2024, 1, 5), None, dt.date(2024, 1, 6), dt.date(2024, 7, 3)]
    assert known_at_close(pl.Series(days)).to_list() == [
        dt.datetime(2024, 1, 5, 21, tzinfo=UTC),
        None,
        dt.datetime(2024, 1, 8, 21, tzinfo=UTC),  # a Saturday belongs to Monday
        dt.datetime(2024, 7, 3, 17, tzinfo=UTC),  # a half day
    ]


def test_what_has_no_time_of_day_counts_from_the_next_open() -> None:
    assert known_next_session(dt.date(2024, 1, 5)) == dt.datetime(2024, 1, 8, 14, 30, tzinfo=UTC)
    assert known_next_session(dt.date(2024, 7, 3)) == dt.datetime(2024, 7, 5, 13, 30, tzinfo=UTC)
    assert known_next_sessions(pl.Series([], dtype=pl.Date)).to_list() == []


def test_beyond_the_calendar_nothing_is_known_early() -> None:
    first = dt.datetime(1962, 1, 2, 14, 30, tzinfo=UTC)
    assert known_next_session(dt.date(1953, 4, 1)) == first
    assert known_next_session(dt.date(2190, 1, 1)) == dt.datetime(2190, 1, 2, tzinfo=UTC)
