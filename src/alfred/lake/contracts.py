"""What providers are asked, what they answer, and what they say about their data."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import polars as pl


@dataclass(frozen=True)
class ProviderDescription:
    """What a user of the data must be told.

    Attributes:
        name: the provider's file name.
        tables: tables of the lake that it fills.
        note: one or two sentences on what it is and what it lacks.
        kind: "bundled" comes with a package or is computed, "file" reads the user's files, "network" asks a service.
        invented: its companies and series exist nowhere; they never mix with those of other providers.
        survivors_only: its names were chosen with knowledge of who survived.
        levels_know_the_future: its prices were adjusted backwards and the adjustments are not at hand, so that an
            early price level reveals later splits and dividends. Ratios are unaffected.
        adjusts_earnings: its earnings per share are divided by the splits since, as its prices are.
        market_series: name in the table `series` of the index that excess returns and beta refer to; empty where the
            provider brings none.
        key_variable: environment variable that holds the service's key; empty where none is needed.
        requests_per_second: what the service allows.
        concurrency: requests that may be under way at once.
    """

    name: str
    tables: tuple[str, ...]
    note: str
    kind: Literal["bundled", "file", "network"] = "bundled"
    invented: bool = False
    survivors_only: bool = False
    levels_know_the_future: bool = False
    adjusts_earnings: bool = False
    market_series: str = ""
    key_variable: str = ""
    requests_per_second: float = 2.0
    concurrency: int = 4


@dataclass(frozen=True)
class Request:
    """What the user wants.

    Attributes:
        symbols: tickers, or series names for providers of series; empty means all there are, where that makes sense.
        since, until: first and last date wanted; None for no bound.
        path: file or folder, for providers of the kind "file".
    """

    symbols: tuple[str, ...] = ()
    since: dt.date | None = None
    until: dt.date | None = None
    path: Path | None = None


@dataclass(frozen=True)
class Rejected:
    """A piece that could not be read as rows at all, such as an error page in place of prices.

    Attributes:
        where: file and line, or address without secrets.
        reason: what was expected instead.
        text: the original, at most its first 500 characters.
        symbol: whose rows were expected; empty where that is unknown.
    """

    where: str
    reason: str
    text: str
    symbol: str = ""


@dataclass(frozen=True)
class Batch:
    """Rows for one table, as the source gave them: quality checks come later and keep what they refuse.

    Attributes:
        table: name of a table of the lake.
        rows: its columns; value columns that the source lacks may be absent. Every row says `known_at` and `source`.
        rejected: what could not be read as rows.
    """

    table: str
    rows: pl.DataFrame
    rejected: tuple[Rejected, ...] = ()


class Web(Protocol):
    """Asks services: with the provider's rate limit, retries on time-outs, 429 and 5xx, and no secrets in errors."""

    def text(self, url: str, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None) -> str:
        """The body of a successful answer.

        Raises:
            FetchError: the last try failed; the message names the address without its query, and the cause.
        """

    def json(self, url: str, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None) -> Any:
        """The parsed body; an HTML page or cut-off JSON under status 200 is retried, then a FetchError."""


class Provider(Protocol):
    """What a file in `alfred.lake.providers` defines."""

    DESCRIPTION: ProviderDescription

    def tasks(self, request: Request) -> tuple[str, ...]:
        """Independent pieces of the request, usually its symbols; one fails, is retried or resumed by itself.

        Raises:
            ConfigError: the request lacks what the provider needs; the message says what.
        """

    def fetch(self, task: str, request: Request, web: Web | None) -> Iterator[Batch]:
        """Batches of one task; `web` is None for providers that ask no service.

        Raises:
            FetchError: the service did not answer usefully.
            DataError: what came cannot be used at all.
        """
