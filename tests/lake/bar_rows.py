"""Hand-made bars for tests of checks and admission."""

import datetime as dt
from collections.abc import Sequence

import numpy as np
import polars as pl

from alfred.core.calendar import sessions_between
from alfred.lake.known import known_at_close

FIRST = dt.date(2020, 1, 2)


def sessions(count: int, first: dt.date = FIRST) -> list[dt.date]:
    """The first sessions from a date on."""
    found = sessions_between(np.datetime64(first), np.datetime64(first) + np.timedelta64(2 * count + 20, "D"))
    return list(found[:count].tolist())


def bars(
    symbol: str, closes: Sequence[float | None], first: dt.date = FIRST, **columns: Sequence[float | None]
) -> pl.DataFrame:
    """Bars on consecutive sessions; volumes differ from day to day unless given."""
    dates = sessions(len(closes), first)
    rows = pl.DataFrame(
        {
            "symbol": [symbol] * len(dates),
            "date": dates,
            "close": closes,
            "volume": [1000.0 + 7 * (at * at % 101) for at in range(len(dates))],
            **columns,
        },
        schema_overrides=dict.fromkeys(("close", "volume", *columns), pl.Float64),
        strict=False,
    )
    return rows.with_columns(known_at_close(rows["date"]), pl.lit("test").alias("source"))


def walk(count: int, seed: int = 0, start: float = 50.0) -> list[float]:
    """Closes of an ordinary stock: daily moves of about one per cent."""
    moves = np.random.default_rng(seed).normal(0, 0.01, count)
    return [round(float(level), 4) for level in start * np.exp(np.cumsum(moves))]
