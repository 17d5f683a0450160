"""Who belonged to an index on each date."""

import datetime as dt
from collections.abc import Sequence

import numpy as np
import polars as pl

from alfred.core.calendar import Dates, close_instants
from alfred.core.contracts import Bools
from alfred.core.errors import ConfigError, DataError
from alfred.core.settings import suggestion
from alfred.panel.asof import places


def members_on(
    members: pl.DataFrame, index: str, dates: Dates, symbols: Sequence[str], listed: Bools | None = None
) -> Bools:
    """Whether each symbol was a member of the index on each date, as was known at that date's close.

    A member is in from the first day of a spell up to, but without, its last: from <= date < to. A spell that became
    known late counts from then.

    Before the first spell that was known, membership is unknown rather than empty. To take nobody for a member there
    would leave those dates out of a study in silence, and to take everybody would bring the survivors back that a
    dated membership is asked for to remove. So such a date is an error, unless no name was listed on it: then there
    is nothing to know.

    Args:
        members: rows of the table `members`, of one or more indexes.
        index: its name there, such as "sp500".
        dates: (D,) decision dates, ascending.
        symbols: S tickers.
        listed: (D, S) names that matter on each date; default all of them on all dates.

    Returns:
        (D, S); False also for symbols that never were members.

    Raises:
        ConfigError: the table knows no such index; the message suggests the nearest.
        DataError: names were listed on dates before any membership was known; it says from when it is.
    """
    spells = members.filter(pl.col("index") == index)
    if spells.is_empty():
        raise ConfigError(f"no membership of {index!r} is known; {_instead(members, index)}")
    start = np.searchsorted(dates, spells["from"].to_numpy().astype("datetime64[D]"))
    known = np.searchsorted(close_instants(dates), spells["known_at"].dt.replace_time_zone(None).to_numpy())
    start = np.maximum(start, known)
    unknown = np.arange(len(dates)) < start.min()
    matters = unknown if listed is None else unknown & listed.any(axis=1)
    if matters.any():
        first = spells.select(pl.max_horizontal("from", pl.col("known_at").cast(pl.Date)).min()).item()
        raise DataError(
            f"who was a member of {index!r} is known from {first} only, and names are listed on {matters.sum()} "
            f"earlier date(s), {dates[matters][0]} the first; begin the study later with data.since, or leave the "
            "index out."
        )
    end = np.searchsorted(dates, spells["to"].fill_null(dt.date.max).to_numpy().astype("datetime64[D]"))
    place = places(spells["symbol"], symbols)
    ours = (place.is_not_null().to_numpy()) & (start < end)
    who = place.fill_null(0).cast(pl.Int64).to_numpy()[ours]
    # How many spells begin, less those that end, on each date: summed up, how many a name is in.
    changes = np.zeros((len(dates) + 1, len(symbols)), np.int64)
    np.add.at(changes, (start[ours], who), 1)
    np.add.at(changes, (end[ours], who), -1)
    return np.cumsum(changes[:-1], axis=0) > 0


def _instead(members: pl.DataFrame, index: str) -> str:
    known = members["index"].unique().to_list()
    return suggestion(index, known) if known else "bring it in with `alfred data fetch constituents`."
