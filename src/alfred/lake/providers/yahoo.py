"""Yahoo Finance through yfinance: daily bars, splits, dividends, earnings with estimates, news.

Yahoo adjusts every price, and every dividend, backwards for splits, so an early level knows later splits; the splits
are at hand as actions. Its own "adjusted close" is also adjusted for dividends. A volume that Yahoo lacks comes out of
yfinance as zero; the check of zero volume warns of it.

When values are known: a bar and an action at the session's close (the bar of a session that still runs is left out);
an article at its publication; earnings at the end of the hour that Yahoo names for the announcement, as it gives full
hours only (16:30 is shown as 4 PM), or from the next session where it names none. What is estimated for announcements
to come is known from the moment it was fetched.
"""

import datetime as dt
import functools
import logging
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import polars as pl

from alfred.core.errors import AlfredError, ConfigError, DataError, FetchError, MissingExtraError
from alfred.lake.contracts import Batch, ProviderDescription, Rejected, Request, Web
from alfred.lake.known import known_at_close, known_next_session
from alfred.lake.tables import table
from alfred.lake.web import Again, HttpWeb, Patience, address, check_status, excerpt_of, parsed

PIECES = ("bars", "earnings", "news")
FIRST_DAY = dt.date(1962, 1, 2)
MOST_EARNINGS = 100
NEWS = 100
NOT_FOUND = 404
CLASS_OF_SHARES = re.compile(r"^[A-Z]+\.[AB]$")
JSON_PATHS = ("/v8/finance/chart/", "/xhr/ncp")
DATA_PATHS = (*JSON_PATHS, "/calendar/earnings")
PRICES = {"Open": "open", "High": "high", "Low": "low", "Close": "close", "Adj Close": "adj_close", "Volume": "volume"}

DESCRIPTION = ProviderDescription(
    name="yahoo",
    tables=("bars", "actions", "earnings", "articles"),
    note=(
        "Free daily prices of listed names (delisted ones are mostly gone), splits, dividends, earnings dates and the "
        "latest news, through yfinance. Prices are adjusted backwards for splits. For personal use, says Yahoo."
    ),
    kind="network",
    survivors_only=True,
    levels_know_the_future=True,
    requests_per_second=2.0,
    concurrency=4,
    adjusts_earnings=True,
)


def tasks(request: Request) -> tuple[str, ...]:
    """`AAPL bars`, `AAPL earnings`, `AAPL news` for each symbol: prices do not fail with a calendar page.

    Raises:
        ConfigError: no symbols are named.
    """
    if not request.symbols:
        raise ConfigError("yahoo needs symbols; name them with --symbols AAPL,MSFT or @sp500 or @file.txt.")
    return tuple(f"{symbol} {piece}" for piece in PIECES for symbol in dict.fromkeys(request.symbols))


def fetch(task: str, request: Request, web: Web | None) -> Iterator[Batch]:
    """Batches of one task. yfinance uses its own client, with the rate limit and patience of `web`.

    Raises:
        MissingExtraError: yfinance is not installed.
        FetchError: Yahoo gave no usable answer.
        DataError: it has nothing of the symbol.
    """
    symbol, _, piece = task.rpartition(" ")
    patience = web.patience if isinstance(web, HttpWeb) else Patience(DESCRIPTION)
    ticker = _ticker(symbol, patience)
    try:
        if piece == "bars":
            yield from _bars(symbol, ticker, request)
        elif piece == "earnings":
            yield _earnings(symbol, ticker, request)
        else:
            yield _news(symbol, ticker, request)
    except AlfredError:
        raise
    except Exception as error:
        told = _told(symbol, error)
        if told is None:
            raise
        raise told from None


def _told(symbol: str, error: Exception) -> AlfredError | None:
    """Ours for an error of yfinance or its HTTP client; None for any other, which is a defect."""
    kind = type(error).__name__
    status = getattr(getattr(error, "response", None), "status_code", None)
    if kind in {"YFPricesMissingError", "YFTzMissingError", "YFTickerMissingError"} or status == NOT_FOUND:
        return DataError(f"yahoo has no prices of {symbol}; it may be delisted or spelt otherwise ({error}).")
    if kind.startswith("YF") or type(error).__module__.startswith("curl_cffi"):
        return FetchError(f"yahoo gave no usable answer for {symbol}: {error}")
    return None


def _ticker(symbol: str, patience: Patience) -> Any:
    try:
        import yfinance
    except ImportError as error:
        raise MissingExtraError("yahoo needs yfinance; run pip install 'alfred[yahoo]'.") from error
    # By default yfinance logs what went wrong and gives an empty answer, which would pass for "no data".
    yfinance.config.debug.hide_exceptions = False
    logging.getLogger("yfinance").addHandler(logging.NullHandler())
    theirs = symbol.replace(".", "-") if CLASS_OF_SHARES.match(symbol) else symbol
    return yfinance.Ticker(theirs, session=_session(patience))


@functools.lru_cache(maxsize=1)
def _session(patience: Patience) -> Any:
    """yfinance's own kind of session, whose requests for data take turns, are retried, and must be what was asked."""
    from curl_cffi import requests

    session: Any = requests.Session(impersonate="chrome")
    session.get = functools.partial(_request, patience, session, "GET")
    session.post = functools.partial(_request, patience, session, "POST")
    return session


def _request(patience: Patience, session: Any, method: str, url: str, **options: Any) -> Any:
    from curl_cffi.requests.exceptions import RequestException

    path = urlsplit(url).path
    options["timeout"] = patience.settings.silence_s
    if not path.startswith(DATA_PATHS):
        return session.request(method, url, **options)  # cookies: yfinance goes on without them

    def send(end: float) -> Any:
        options["timeout"] = max(0.01, min(patience.settings.silence_s, end - time.monotonic()))
        try:
            response = session.request(method, url, **options)
        except RequestException as error:
            raise Again(f"the connection failed ({type(error).__name__})") from None
        status = int(response.status_code)
        if status == 429 or status >= 500:
            check_status(status, response.headers.get("Retry-After"), excerpt_of(response.text))
        if path.startswith(JSON_PATHS) and status < 400:
            parsed(response.text)
        return response

    return patience.ask(address(url), send)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _wanted(day: dt.date, request: Request) -> bool:
    return (request.since is None or day >= request.since) and (request.until is None or day <= request.until)


def _bars(symbol: str, ticker: Any, request: Request) -> Iterator[Batch]:
    until = None if request.until is None else request.until + dt.timedelta(days=1)
    history = ticker.history(start=request.since or FIRST_DAY, end=until, auto_adjust=False, actions=True)
    dates = pl.Series("date", [stamp.date() for stamp in history.index], dtype=pl.Date)
    named = {"symbol": pl.lit(symbol), "source": pl.lit(DESCRIPTION.name)}
    days = pl.DataFrame({"date": dates, "known_at": known_at_close(dates)}).with_columns(**named)
    finished = pl.col("known_at") <= _now()
    values = [_column(history[theirs], ours) for theirs, ours in PRICES.items() if theirs in history]
    yield Batch("bars", days.with_columns(values).filter(finished))
    for kind, theirs, ours in (("split", "Stock Splits", "ratio"), ("dividend", "Dividends", "amount")):
        actions = days.with_columns(pl.lit(kind).alias("kind"), _column(history[theirs], ours))
        yield Batch("actions", actions.filter(finished & (pl.col(ours) != 0)))


def _column(values: Any, name: str) -> pl.Series:
    return pl.Series(name, values.to_numpy(np.float64), nan_to_null=True)


def _earnings(symbol: str, ticker: Any, request: Request) -> Batch:
    found = ticker.get_earnings_dates(limit=MOST_EARNINGS)
    if found is None:
        raise DataError(f"yahoo shows no table of earnings for {symbol}; it has none, or it sent another page.")
    rows = []
    now = _now()
    for stamp, line in zip(found.index, found.to_dict("records"), strict=True):
        instant = stamp.to_pydatetime()
        announced = instant.date()
        if not _wanted(announced, request):
            continue
        known_at = known_next_session(announced) if instant.hour == 0 else instant + dt.timedelta(hours=1)
        reported, estimated = _number(line.get("Reported EPS")), _number(line.get("EPS Estimate"))
        rows.append(
            {
                "symbol": symbol, "period_end": _quarter_before(announced), "announced": announced,
                "known_at": now if known_at > now or reported is None else known_at.astimezone(dt.UTC),
                "reported_eps": reported, "estimated_eps": estimated,
                "surprise": None if reported is None or estimated is None else reported - estimated,
                "surprise_pct": _number(line.get("Surprise(%)")),
            }
        )  # fmt: skip
    return Batch("earnings", _frame(rows, "earnings").unique(maintain_order=True))


def _quarter_before(day: dt.date) -> dt.date:
    """The last calendar quarter's end before the announcement: Yahoo does not name the fiscal period."""
    return dt.date(day.year, (day.month - 1) // 3 * 3 + 1, 1) - dt.timedelta(days=1)


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return None if np.isnan(number) else number


def _news(symbol: str, ticker: Any, request: Request) -> Batch:
    rows: dict[str, dict[str, Any]] = {}
    rejected = []
    for item in ticker.get_news(count=NEWS):
        content = item.get("content") or {}
        link = content.get("canonicalUrl") or content.get("clickThroughUrl") or {}
        try:
            published = dt.datetime.fromisoformat(content["pubDate"]).astimezone(dt.UTC)
            name = f"yahoo:{symbol}:{item.get('id') or content['id']}"
        except (KeyError, ValueError, TypeError):
            rejected.append(Rejected(f"{symbol} news", "an article needs an id and a time", str(item)[:500]))
            continue
        if _wanted(published.date(), request):
            rows[name] = {
                "article_id": name, "symbol": symbol, "published_at": published, "known_at": published,
                "title": content.get("title"), "url": link.get("url"),
                "text": content.get("summary") or content.get("description") or None,
                "publisher": (content.get("provider") or {}).get("displayName"),
            }  # fmt: skip
    return Batch("articles", _frame(list(rows.values()), "articles"), tuple(rejected))


def _frame(rows: list[dict[str, Any]], name: str) -> pl.DataFrame:
    schema = {column: kind for column, kind in table(name).schema.items() if column != "source"}
    return pl.DataFrame(rows, schema=schema).with_columns(pl.lit(DESCRIPTION.name).alias("source"))
