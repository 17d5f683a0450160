"""Who was in the S&P 500, the Nasdaq-100 and the Dow when, from the package index-constitution.

The package's tables were taken from Wikipedia. They know the day a change took effect, not the day it was announced,
which is earlier: a membership counts as known from the open of the first session on which it was in effect.

Its tables are frames that pandas reads from files of its own wheel; the package does that, Alfred reads no such file.
"""

from collections.abc import Iterator
from typing import Any

import polars as pl

from alfred.core.errors import ConfigError, DataError, MissingExtraError
from alfred.core.settings import suggestion
from alfred.lake.contracts import Batch, ProviderDescription, Rejected, Request, Web
from alfred.lake.known import known_next_sessions
from alfred.lake.tables import table

# Our name and the package's.
INDEXES = {"sp500": "sp500", "nasdaq100": "nasdaq100", "dow": "dow30"}

DESCRIPTION = ProviderDescription(
    name="constituents",
    tables=("members",),
    note=(
        "Dated membership of the S&P 500, Nasdaq-100 and Dow from the package index-constitution, which took it from "
        "Wikipedia. Early years are INCOMPLETE and so not free of survivorship: of the S&P's 500 it has 376 tickers at "
        "the start of 1996, 450 of 2005, 496 of 2015; the Nasdaq-100 begins in 2006, the Dow is whole from 1991. "
        "Symbols are today's (META also when it traded as FB)."
    ),
    survivors_only=True,
)


def tasks(request: Request) -> tuple[str, ...]:
    """One task an index; `request.symbols` may name some of sp500, nasdaq100, dow.

    Raises:
        ConfigError: there is no index of that name.
    """
    for name in request.symbols:
        if name not in INDEXES:
            raise ConfigError(f"there is no membership of {name!r}; {suggestion(name, INDEXES)}")
    return tuple(dict.fromkeys(request.symbols)) or tuple(INDEXES)


def fetch(task: str, request: Request, web: Web | None) -> Iterator[Batch]:  # noqa: ARG001 - bundled and small
    """All memberships of one index: `from` the first day in, `to` the first day no longer in, null while a member.

    Raises:
        MissingExtraError: index-constitution is not installed.
        DataError: its table has other columns than expected.
    """
    try:
        import index_constitution
    except ImportError as error:
        raise MissingExtraError(
            "memberships ship inside index-constitution, which is not installed; run pip install "
            "'alfred[constituents]'."
        ) from error
    yield members(index_constitution.history(INDEXES[task]), task)


def members(history: Any, index: str) -> Batch:
    """Rows of `members` from the package's frame with the columns symbol, name, opt-in, opt-out.

    Refused are memberships that ended on the day they began, and, where two companies that used one ticker came in on
    the same day, the one that left first.

    Raises:
        DataError: a column is absent.
    """
    absent = [name for name in ("symbol", "name", "opt-in", "opt-out") if name not in history.columns]
    if absent:
        raise DataError(f"the table of {index} in index-constitution has no column {absent[0]!r}.")
    spells = pl.DataFrame(
        {
            "symbol": history["symbol"].astype(object).tolist(),
            "name": history["name"].astype(object).tolist(),
            "from": pl.Series(history["opt-in"].to_numpy().astype("datetime64[D]")),
            "to": pl.Series(history["opt-out"].to_numpy().astype("datetime64[D]")),
        }
    ).sort("symbol", "from", "to", nulls_last=True)
    empty = pl.col("to").is_not_null() & (pl.col("to") <= pl.col("from"))
    real = spells.filter(~empty)
    shared = pl.struct("symbol", "from").is_last_distinct()
    rejected = (
        *_rejected(spells.filter(empty), index, "a membership that ended on the day it began"),
        *_rejected(
            real.filter(~shared), index, "another company with this ticker came in on that day and stayed longer"
        ),
    )
    kept = real.filter(shared)
    day_before = kept["from"].dt.offset_by("-1d")
    rows = kept.select(
        pl.lit(index).alias("index"),
        "symbol",
        "from",
        "to",
        known_next_sessions(day_before).alias("known_at"),
        pl.lit(DESCRIPTION.name).alias("source"),
    )
    return Batch("members", rows.select(list(table("members").schema)), rejected)


def _rejected(spells: pl.DataFrame, index: str, reason: str) -> Iterator[Rejected]:
    for row in spells.iter_rows(named=True):
        yield Rejected(
            f"index-constitution {index} {row['symbol']}", reason, f"{row['name']}: {row['from']} to {row['to']}"
        )
