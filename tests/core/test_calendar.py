import numpy as np
import pytest

from alfred.core.calendar import close_instants, day, decision_dates, quarter_index, quarter_name, sessions_between
from alfred.core.errors import ConfigError


def test_decision_dates_are_the_last_sessions_of_finished_quarters() -> None:
    dates = decision_dates(day("2003-12-01"), day("2004-12-30"))
    # 2004-12-31 was a session, so a span that ends on the 30th has no decision date for that quarter.
    assert [str(date) for date in dates] == ["2003-12-31", "2004-03-31", "2004-06-30", "2004-09-30"]


def test_a_quarter_that_ends_on_a_holiday_ends_on_the_session_before() -> None:
    # Good Friday fell on 2018-03-30.
    assert str(decision_dates(day("2018-03-01"), day("2018-04-30"))[0]) == "2018-03-29"


def test_closes_are_utc_and_know_half_days() -> None:
    closes = close_instants(np.array(["2022-07-01", "2022-11-25", "2022-12-01"], "datetime64[D]"))
    assert [str(close)[:16] for close in closes] == ["2022-07-01T20:00", "2022-11-25T18:00", "2022-12-01T21:00"]


def test_a_day_that_is_no_session_is_named() -> None:
    with pytest.raises(ConfigError, match="2022-12-25 is no trading session of XNYS"):
        close_instants(np.array(["2022-12-23", "2022-12-25"], "datetime64[D]"))


def test_sessions_between_includes_both_ends() -> None:
    span = sessions_between(day("2022-12-22"), day("2022-12-27"))
    assert [str(session) for session in span] == ["2022-12-22", "2022-12-23", "2022-12-27"]


def test_quarters_count_on() -> None:
    dates = np.array(["1970-01-02", "2004-03-31", "2004-04-01"], "datetime64[D]")
    assert quarter_index(dates).tolist() == [0, 136, 137]
    assert quarter_name(dates[1]) == "2004Q1"


@pytest.mark.parametrize("text", ["31.03.2004", "2004-02-30", "", "NaT"])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a date; write it like 2004-03-31"):
        day(text)
