"""Bars for the panel's tests: real sessions, seeded walks."""

import datetime as dt

import numpy as np
import polars as pl

from alfred.core.calendar import close_instants, day, sessions_between


def frame(symbol: str, dates: np.ndarray, close: np.ndarray, volume: np.ndarray | None = None) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "symbol": symbol,
            "date": dates,
            "close": close,
            "volume": [None] * len(dates) if volume is None else volume,
            "known_at": pl.Series(close_instants(dates)).dt.replace_time_zone("UTC"),
        },
        schema_overrides={"volume": pl.Float64},
    )


def walks(
    names: str = "ABC", first: str = "2015-01-02", last: str = "2019-12-31", seed: int = 0
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Bars with volume of several names, and a market index."""
    dates = sessions_between(day(first), day(last))
    rng = np.random.default_rng(seed)
    frames = [
        frame(
            name,
            dates,
            50 * np.exp(np.cumsum(rng.normal(0.0003, 0.015, len(dates)))),
            np.exp(rng.normal(13, 0.5, len(dates))),
        )
        for name in names
    ]
    market = pl.DataFrame(
        {
            "date": dates,
            "value": 1000 * np.exp(np.cumsum(rng.normal(0.0002, 0.01, len(dates)))),
            "known_at": pl.Series(close_instants(dates)).dt.replace_time_zone("UTC"),
        }
    )
    return pl.concat(frames), market


def scrambled(rows: pl.DataFrame, after: dt.date, seed: int = 1) -> pl.DataFrame:
    """Every number after a date replaced by another."""
    rng = np.random.default_rng(seed)
    numbers = [name for name, kind in rows.schema.items() if kind == pl.Float64]
    later = pl.col("date") > after
    return rows.with_columns(
        pl.when(later & pl.col(name).is_not_null())
        .then(pl.Series(name, np.exp(rng.normal(3, 2, len(rows)))))
        .otherwise(pl.col(name))
        .alias(name)
        for name in numbers
    )
