"""When a dated value became usable. The one place that says so, for every provider.

A price is known at its session's close. A filing, article or figure that is dated but has no time of day may have
come out after the close of its date, so it counts from the OPEN of the next session: it can't move a decision on its
own date, and every later decision may use it.

A date that is no session (a weekend, a holiday) belongs to the session that follows. The calendar begins in 1962;
what is dated earlier counts from its first session, never before its time. It ends about a year from today; a date
beyond it (an error in the source, which the quality checks refuse) counts from the end of that day in UTC.
"""

import datetime as dt
import functools

import numpy as np
import polars as pl

from alfred.core.calendar import Dates, close_instants, sessions_between
from alfred.lake.tables import INSTANT

NEW_YORK = "America/New_York"
OPENS_AFTER_MIDNIGHT = dt.timedelta(hours=9, minutes=30)


def known_at_close(dates: pl.Series) -> pl.Series:
    """UTC instants at which the sessions `dates` closed; null where the date is null."""
    sessions, _, closes = _schedule()
    return _instants(dates, sessions, closes, side="left")


def known_next_sessions(dates: pl.Series) -> pl.Series:
    """UTC instants at which the sessions after `dates` opened; null where the date is null."""
    sessions, opens, _ = _schedule()
    return _instants(dates, sessions, opens, side="right")


def known_next_session(date: dt.date) -> dt.datetime:
    """`known_next_sessions` for one date."""
    instant: dt.datetime = known_next_sessions(pl.Series([date], dtype=pl.Date))[0]
    return instant


@functools.cache
def _schedule() -> tuple[Dates, Dates, Dates]:
    sessions = sessions_between(np.datetime64("1900-01-01"), np.datetime64("2200-01-01"))
    opens = pl.Series(sessions).cast(pl.Datetime("us")) + OPENS_AFTER_MIDNIGHT
    in_utc = opens.dt.replace_time_zone(NEW_YORK).dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return sessions, in_utc.to_numpy(), close_instants(sessions)


def _instants(dates: pl.Series, sessions: Dates, instants: Dates, side: str) -> pl.Series:
    """Instants of the first sessions from (`side` left) or after (right) each date."""
    asked = dates.cast(pl.Date).to_numpy().astype("datetime64[D]")
    place = np.searchsorted(sessions, asked, side="left" if side == "left" else "right")
    beyond = asked.astype("datetime64[us]") + np.timedelta64(1, "D")
    found = np.where(place < len(sessions), instants[np.minimum(place, len(sessions) - 1)], beyond)
    known = pl.Series("known_at", found.astype("datetime64[us]")).dt.replace_time_zone("UTC").cast(INSTANT)
    return pl.select(pl.when(dates.is_not_null()).then(known).alias("known_at")).to_series()
