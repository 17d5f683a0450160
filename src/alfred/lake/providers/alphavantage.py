"""Alpha Vantage, the source of the notes: earnings, income statements, yields, insiders, news, delistings.

The service says most refusals under status 200: a body with "Note" or "Information" is a limit or a key that isn't
served, "Error Message" a wrong name, "{}" a symbol it does not know. "None" and "." stand for missing values.

When values are known: a report of earnings from the open of its day if it came before the market, otherwise from the
next session. An income statement has no filing date; it counts from the report of the same fiscal date, and without
one it is rejected, because at the period's end nobody knew it. An insider's trade has no filing date either; it counts
from the third session after the trade, as the law gives two business days for the report. Some report later: prefer
`edgar`, which has the dates.
"""

import csv
import datetime as dt
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from alfred.core.digest import digest_of
from alfred.core.errors import ConfigError, DataError, FetchError
from alfred.lake.contracts import Batch, ProviderDescription, Rejected, Request, Web
from alfred.lake.keys import needed_key, scrub, scrub_body
from alfred.lake.known import known_next_session
from alfred.lake.tables import table

QUERY = "https://www.alphavantage.co/query"
YIELDS = ("2year", "5year", "10year")
PIECES = ("earnings", "insider", "news")
LISTING = "listing"
NEWS_A_REQUEST = 1000
MISSING = {None, "", "None", "none", ".", "-", "null"}
REFUSALS = ("Note", "Information", "Error Message")
FILING_SESSIONS = 2
NOT_VALUES = {"fiscalDateEnding", "reportedCurrency"}

CONCEPTS = {
    "totalRevenue": "Revenue",
    "costOfRevenue": "CostOfRevenue",
    "grossProfit": "GrossProfit",
    "operatingIncome": "OperatingIncome",
    "netIncome": "NetIncome",
    "researchAndDevelopment": "ResearchAndDevelopment",
    "sellingGeneralAndAdministrative": "SellingGeneralAdministrative",
    "interestExpense": "InterestExpense",
    "incomeTaxExpense": "IncomeTax",
    "incomeBeforeTax": "PretaxIncome",
}
"""Fields of the income statement under the lake's names of figures; others keep their own."""

DESCRIPTION = ProviderDescription(
    name="alphavantage",
    tables=("earnings", "facts", "series", "insider", "articles", "actions"),
    note=(
        "The notes' source of earnings, income statements, yields, insider trades, news and delistings. A free key "
        "answers 25 requests a day. Statements and insider trades come without the day they were filed."
    ),
    kind="network",
    key_variable="ALPHAVANTAGE_API_KEY",
    requests_per_second=1.0,
    concurrency=2,
    adjusts_earnings=True,
)


def tasks(request: Request) -> tuple[str, ...]:
    """`AAPL earnings`, `AAPL insider`, `AAPL news` for each symbol; then the yields and the list of delistings.

    Raises:
        ConfigError: there is no key.
    """
    needed_key(DESCRIPTION)
    names = tuple(dict.fromkeys(request.symbols))
    of_symbols = tuple(f"{name} {piece}" for name in names if name not in YIELDS for piece in PIECES)
    yields = tuple(name for name in YIELDS if not names or name in names)
    return (*of_symbols, *yields, *((LISTING,) if not names or of_symbols else ()))


def fetch(task: str, request: Request, web: Web | None) -> Iterator[Batch]:
    """Batches of one task.

    Raises:
        ConfigError: there is no key, or no web.
        FetchError: the service refused or gave no usable answer; a limit reached is among these.
        DataError: it does not know the symbol, or answers in another shape.
    """
    if web is None:
        raise ConfigError("alphavantage asks a service and needs a web.")
    symbol, _, piece = task.partition(" ")
    if task == LISTING:
        yield _listing(request, web)
    elif task in YIELDS:
        yield _yields(task, request, web)
    elif piece == "earnings":
        yield from _statements(symbol, request, web)
    elif piece == "insider":
        yield _insider(symbol, request, web)
    elif piece == "news":
        yield _news(symbol, request, web)
    else:
        raise DataError(f"alphavantage has no task {task!r}.")


def _ask(web: Web, function: str, **params: str) -> dict[str, Any]:
    body = web.json(QUERY, {"function": function, **params, "apikey": needed_key(DESCRIPTION)})
    if not isinstance(body, dict):
        raise DataError(f"alphavantage's answer to {function} is no object.")
    _refused(function, body)
    return body


def _refused(function: str, body: Mapping[str, Any]) -> None:
    for kind in REFUSALS:
        if kind in body:
            raise FetchError(scrub(f"alphavantage refused {function}: {str(body[kind])[:300]}"))


def _value(text: Any) -> float | None:
    if text in MISSING:
        return None
    try:
        return float(str(text).replace(",", ""))
    except ValueError:
        return None


def _date(text: Any) -> dt.date | None:
    try:
        return dt.date.fromisoformat(str(text)[:10])
    except ValueError:
        return None


def _listed(body: Mapping[str, Any], field: str, what: str) -> list[dict[str, Any]]:
    found = body.get(field)
    if not isinstance(found, list):
        raise DataError(f"alphavantage knows nothing of {what}: its answer has no {field!r}.")
    return found


def _wanted(date: dt.date | None, request: Request) -> bool:
    if date is None:
        return False
    return (request.since is None or date >= request.since) and (request.until is None or date <= request.until)


def _statements(symbol: str, request: Request, web: Web) -> Iterator[Batch]:
    """Earnings, and the income statements that take their dates from them."""
    reports = _listed(_ask(web, "EARNINGS", symbol=symbol), "quarterlyEarnings", symbol)
    yield _earnings(symbol, reports, request)
    body = _ask(web, "INCOME_STATEMENT", symbol=symbol)
    known = {_date(report.get("fiscalDateEnding")): _known(report) for report in reports}
    rows: list[dict[str, Any]] = []
    rejected = []
    for field, kind in (("quarterlyReports", "quarter"), ("annualReports", "year")):
        for statement in _listed(body, field, symbol):
            end = _date(statement.get("fiscalDateEnding"))
            at = known.get(end)
            if end is None or at is None:
                where = f"{symbol} INCOME_STATEMENT {kind} {statement.get('fiscalDateEnding')}"
                reason = "no report of earnings for this fiscal date says when the statement became known"
                rejected.append(Rejected(where, reason, str(statement)[:500]))
            elif _wanted(at.date(), request):
                rows += _facts(symbol, statement, end, kind, at)
    yield Batch("facts", _frame(rows, "facts"), tuple(rejected))


def _known(report: Mapping[str, Any]) -> dt.datetime | None:
    reported = _date(report.get("reportedDate"))
    if reported is None:
        return None
    before_the_market = str(report.get("reportTime", "")).lower() == "pre-market"
    return known_next_session(reported - dt.timedelta(days=1) if before_the_market else reported)


def _earnings(symbol: str, reports: list[dict[str, Any]], request: Request) -> Batch:
    rows, rejected = [], []
    for report in reports:
        end, reported, known_at = (
            _date(report.get("fiscalDateEnding")),
            _date(report.get("reportedDate")),
            _known(report),
        )
        if end is None or reported is None or known_at is None:
            where = f"{symbol} EARNINGS {report.get('fiscalDateEnding')}"
            rejected.append(Rejected(where, "a report needs a fiscal date and a reported date", str(report)[:500]))
        elif _wanted(reported, request):
            rows.append(
                {
                    "symbol": symbol, "period_end": end, "known_at": known_at, "announced": reported,
                    "reported_eps": _value(report.get("reportedEPS")),
                    "estimated_eps": _value(report.get("estimatedEPS")),
                    "surprise": _value(report.get("surprise")),
                    "surprise_pct": _value(report.get("surprisePercentage")),
                }
            )  # fmt: skip
    return Batch("earnings", _frame(rows, "earnings"), tuple(rejected))


def _facts(
    symbol: str, statement: Mapping[str, Any], end: dt.date, kind: str, known_at: dt.datetime
) -> Iterator[dict[str, Any]]:
    for field, text in statement.items():
        value = _value(text)
        if field not in NOT_VALUES and value is not None:
            yield {
                "symbol": symbol, "concept": CONCEPTS.get(field, field), "period_end": end, "period_kind": kind,
                "known_at": known_at, "value": value, "unit": str(statement.get("reportedCurrency") or "USD"),
            }  # fmt: skip


def _yields(maturity: str, request: Request, web: Web) -> Batch:
    body = _ask(web, "TREASURY_YIELD", interval="daily", maturity=maturity)
    rows = []
    for point in _listed(body, "data", maturity):
        date, value = _date(point.get("date")), _value(point.get("value"))
        if date is not None and value is not None and _wanted(date, request):
            rows.append({"series": maturity, "date": date, "value": value, "known_at": known_next_session(date)})
    return Batch("series", _frame(rows, "series"))


def _insider(symbol: str, request: Request, web: Web) -> Batch:
    rows, rejected = [], []
    seen: Counter[str] = Counter()
    for trade in _listed(_ask(web, "INSIDER_TRANSACTIONS", symbol=symbol), "data", symbol):
        date, shares = _date(trade.get("transaction_date")), _value(trade.get("shares"))
        side = trade.get("acquisition_or_disposal")
        if date is None or shares is None or side not in {"A", "D"}:
            where = f"{symbol} INSIDER_TRANSACTIONS {trade.get('transaction_date')}"
            rejected.append(Rejected(where, "a trade needs a date, shares, and A or D", str(trade)[:500]))
        elif _wanted(date, request):
            price = _value(trade.get("share_price"))
            # A price of zero is a grant or an option's exercise: its value is not known, rather than nothing.
            worth = shares * price if price else None
            name = f"alphavantage:{digest_of(trade)[:24]}"
            acquired = side == "A"
            rows.append(
                {
                    "accession": name, "line": seen[name], "symbol": symbol, "trade_date": date,
                    "role": trade.get("executive_title") or None, "known_at": _filed_by(date),
                    "acquired_shares": shares if acquired else None, "acquired_value": worth if acquired else None,
                    "disposed_shares": None if acquired else shares, "disposed_value": None if acquired else worth,
                }
            )  # fmt: skip
            seen[name] += 1
    return Batch("insider", _frame(rows, "insider"), tuple(rejected))


def _filed_by(traded: dt.date) -> dt.datetime:
    """The open of the session after the two that the law gives for the report."""
    day = traded
    for _ in range(FILING_SESSIONS):
        day = known_next_session(day).date()
    return known_next_session(day)


def _news(symbol: str, request: Request, web: Web) -> Batch:
    rows: dict[str, dict[str, Any]] = {}
    rejected = []
    since = f"{request.since or dt.date(2000, 1, 1):%Y%m%d}T0000"
    bounds = {"time_to": f"{request.until:%Y%m%d}T2359"} if request.until else {}
    while True:
        params = {"tickers": symbol, "sort": "EARLIEST", "limit": str(NEWS_A_REQUEST), "time_from": since, **bounds}
        body = web.json(QUERY, {"function": "NEWS_SENTIMENT", **params, "apikey": needed_key(DESCRIPTION)})
        if isinstance(body, dict) and "No articles found" in str(body.get("Information")):
            break
        _refused("NEWS_SENTIMENT", body)
        feed = _listed(body, "feed", symbol)
        latest = since
        for article in feed:
            published, url = _instant(article.get("time_published")), str(article.get("url") or "")
            if published is None or not url:
                rejected.append(
                    Rejected(f"{symbol} NEWS_SENTIMENT", "an article needs a time and an address", str(article)[:500])
                )
                continue
            latest = max(latest, f"{published:%Y%m%dT%H%M}")
            name = f"alphavantage:{symbol}:{digest_of(url)[:24]}"
            rows[name] = {
                "article_id": name, "symbol": symbol, "published_at": published, "known_at": published,
                "title": article.get("title"), "url": url, "text": article.get("summary"),
                "publisher": article.get("source"),
            }  # fmt: skip
        if len(feed) < NEWS_A_REQUEST or latest == since:
            break
        since = latest
    return Batch("articles", _frame(list(rows.values()), "articles"), tuple(rejected))


def _instant(text: Any) -> dt.datetime | None:
    pattern = "%Y%m%dT%H%M%S" if len(str(text)) == len("20240131T093000") else "%Y%m%dT%H%M"
    try:
        return dt.datetime.strptime(str(text), pattern).replace(tzinfo=dt.UTC)
    except ValueError:
        return None


def _listing(request: Request, web: Web) -> Batch:
    params = {"function": "LISTING_STATUS", "state": "delisted", "apikey": needed_key(DESCRIPTION)}
    text = web.text(QUERY, params, {"Accept": "text/csv, application/json"})
    if text.lstrip().startswith("{"):
        raise FetchError(scrub(f"alphavantage refused LISTING_STATUS: {' '.join(scrub_body(text).split())[:300]}"))
    listings = csv.DictReader(io.StringIO(text))
    if not {"symbol", "delistingDate"} <= set(listings.fieldnames or ()):
        raise DataError(f"alphavantage sent no list of delistings; it begins with {text[:80]!r}.")
    rows: dict[tuple[str, dt.date], dict[str, Any]] = {}
    wanted = set(request.symbols)
    for line in listings:
        date, symbol = _date(line["delistingDate"]), line["symbol"]
        if date is None or not symbol or (wanted and symbol not in wanted) or not _wanted(date, request):
            continue
        reason = f"{line.get('name') or symbol} left {line.get('exchange') or 'its exchange'}"
        action = {"symbol": symbol, "date": date, "kind": "delisting", "reason": reason}
        rows[symbol, date] = {**action, "known_at": known_next_session(date)}
    return Batch("actions", _frame(list(rows.values()), "actions"))


def _frame(rows: list[dict[str, Any]], name: str) -> pl.DataFrame:
    schema = {column: kind for column, kind in table(name).schema.items() if column != "source"}
    return pl.DataFrame(rows, schema=schema).with_columns(pl.lit(DESCRIPTION.name).alias("source"))
