"""Trading sessions, quarters and decision dates, on the New York calendar.

A decision date is the last session of a calendar quarter. What is known at that session's close may be used.
"""

import datetime as dt
import functools
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BeforeValidator

from alfred.core.errors import ConfigError

Dates = NDArray[np.datetime64]

EXCHANGE = "XNYS"
FIRST_SESSION = "1962-01-02"


@functools.cache
def _schedule() -> tuple[Dates, Dates]:
    import exchange_calendars

    calendar = exchange_calendars.get_calendar(EXCHANGE, start=FIRST_SESSION)
    sessions = calendar.sessions.to_numpy().astype("datetime64[D]")
    closes = calendar.closes_nanos.astype("datetime64[ns]").astype("datetime64[us]")
    return sessions, closes


def day(text: str) -> np.datetime64:
    """Parse an ISO date.

    Raises:
        ConfigError: `text` is no date of the form 2004-03-31.
    """
    try:
        return np.datetime64(dt.datetime.strptime(text, "%Y-%m-%d").date(), "D")  # noqa: DTZ007 - a date has no zone
    except ValueError as error:
        raise ConfigError(f"{text!r} is not a date; write it like 2004-03-31.") from error


def _as_text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.date) else value


def _checked(text: str) -> str:
    day(text)
    return text


IsoDate = Annotated[str, BeforeValidator(_as_text), AfterValidator(_checked)]
"""A date in a settings model; TOML may write it bare or quoted."""


def sessions_between(first: np.datetime64, last: np.datetime64) -> Dates:
    """Sessions from `first` to `last`, both included: shape (T,), datetime64[D], ascending."""
    sessions, _ = _schedule()
    return sessions[np.searchsorted(sessions, first) : np.searchsorted(sessions, last, side="right")]


def close_instants(dates: Dates) -> Dates:
    """UTC instants (datetime64[us]) at which the sessions `dates` closed; half-days close early.

    Raises:
        ConfigError: a date is no session.
    """
    sessions, closes = _schedule()
    place = np.searchsorted(sessions, dates)
    found = place < len(sessions)
    found &= sessions[np.minimum(place, len(sessions) - 1)] == dates
    if not np.all(found):
        wrong = np.asarray(dates)[~found]
        raise ConfigError(f"{wrong[0]} is no trading session of {EXCHANGE} ({len(wrong)} such dates).")
    return closes[place]


def decision_dates(first: np.datetime64, last: np.datetime64) -> Dates:
    """Last sessions of all quarters that ended between `first` and `last`: shape (D,), ascending.

    A quarter still running on `last` has no decision date yet, however near its end is.
    """
    sessions, _ = _schedule()
    quarter = quarter_index(sessions)
    ends = sessions[np.flatnonzero(np.diff(quarter))]
    return ends[np.searchsorted(ends, first) : np.searchsorted(ends, last, side="right")]


def quarter_index(dates: Dates) -> NDArray[np.int64]:
    """Quarters since 1970 Q1: consecutive quarters differ by one."""
    quarters: NDArray[np.int64] = dates.astype("datetime64[M]").astype(np.int64) // 3
    return quarters


def quarter_name(date: np.datetime64) -> str:
    """`2004Q1` for any date in that quarter."""
    index = int(quarter_index(np.array([date]))[0])
    return f"{1970 + index // 4}Q{index % 4 + 1}"
