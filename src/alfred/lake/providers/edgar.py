"""Company figures, insiders' trades, the text of reports and industries, from the SEC's EDGAR.

Everything comes from the SEC's plain JSON and XML services. They want to know whom to write to: set the environment
variable ALFRED_CONTACT to a name and an e-mail address. `docs/data-edgar.md` says what becomes of each document.
"""

import datetime as dt
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import polars as pl

from alfred.core.errors import ConfigError, DataError, FetchError
from alfred.lake.contracts import Batch, ProviderDescription, Rejected, Request, Web
from alfred.lake.providers._companyfacts import parse_companyfacts
from alfred.lake.providers._filings import Filing, plain_text, read_filings
from alfred.lake.providers._form4 import Form4, Trade, parse_form4
from alfred.lake.providers._industries import industry_of
from alfred.lake.tables import table

DATA, SITE = "https://data.sec.gov", "https://www.sec.gov"
TRADES, REPORTS = ("4", "4/A"), ("10-K", "10-K/A", "10-Q", "10-Q/A", "8-K", "8-K/A")
DOCUMENTS_IN_A_BATCH = 25
FAILURES_IN_A_ROW = 3
# The SEC's pages for callers that are too fast or don't say who they are come in place of the document.
BLOCKED = ("Request Rate Threshold Exceeded", "Undeclared Automated Tool")

DESCRIPTION = ProviderDescription(
    name="edgar",
    tables=("facts", "sectors", "insider", "articles"),
    note=(
        "The SEC's EDGAR: figures of 10-K, 10-Q and others with every restatement since about 2009, insiders' trades "
        "since 2003, texts of 10-K, 10-Q and 8-K, today's industries. Tickers are those of companies listed today, so "
        "delisted companies are not found by ticker. Needs ALFRED_CONTACT."
    ),
    kind="network",
    survivors_only=True,
    requests_per_second=8.0,
    concurrency=4,
)


def tasks(request: Request) -> tuple[str, ...]:
    """One task a symbol, in capitals; BRK.B and BRK-B are one.

    Raises:
        ConfigError: no symbols are named.
    """
    if not request.symbols:
        raise ConfigError("edgar needs symbols, such as --symbols AAPL,MSFT; all companies at once it does not fetch.")
    spelt: dict[str, str] = {}
    for symbol in request.symbols:
        spelt.setdefault(_ticker(symbol), symbol.upper())
    return tuple(spelt.values())


def fetch(task: str, request: Request, web: Web | None) -> Iterator[Batch]:
    """Batches of one symbol: `facts`, `sectors`, `insider`, then `articles`.

    `request.since` bounds the period's end of facts and the filing date of the rest; `request.until` bounds filing
    dates. A document that does not come is named in the error at the end, after everything else was handed over.

    Raises:
        DataError: the company's documents are not what was asked for.
        FetchError: the SEC did not answer usefully, knows no such ticker, or some documents did not come.
    """
    if web is None:
        raise ConfigError("edgar asks a service; it cannot work without one.")
    company = _TICKERS.company(task, web)
    document = web.json(f"{DATA}/api/xbrl/companyfacts/CIK{company.cik:010d}.json")
    if isinstance(document, dict) and str(document.get("cik")).lstrip("0") != str(company.cik):
        raise DataError(f"the SEC answered for company {document.get('cik')!r} where {company} was asked for.")
    yield Batch("facts", *parse_companyfacts(document, company.symbol, DESCRIPTION.name, request.since, request.until))

    index = web.json(f"{DATA}/submissions/CIK{company.cik:010d}.json")
    filings = [filing for filing in _filings(index, company, request, web) if _wanted(filing, request)]
    yield _sector(index, company)
    missed = _Missed(company.symbol)
    seen: set[tuple[object, ...]] = set()
    trades = (filing for filing in filings if filing.form in TRADES)
    yield from _batches("insider", trades, lambda filing: _insider(filing, company, seen, web), missed)
    reports = (filing for filing in filings if filing.form in REPORTS)
    yield from _batches("articles", reports, lambda filing: _article(filing, company, web), missed)
    missed.complain()


@dataclass(frozen=True)
class _Company:
    """A company under one of its tickers.

    Attributes:
        cik: its number.
        symbol: the ticker as asked for, in capitals; BRK.B and BRK-B are the same.
        suffix: empty for the ticker that the SEC lists first; "/GOOG" for a further one, whose rows would otherwise
            have the keys of the first one's (the tables `insider` and `articles` are keyed by filing, not by symbol).
    """

    cik: int
    symbol: str
    suffix: str

    def __str__(self) -> str:
        return f"{self.cik} ({self.symbol})"


class _Tickers:
    """Companies by ticker, asked for once a run (as long as one `Web` is in use)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._web: Web | None = None
        self._ciks: Mapping[str, int] = {}

    def company(self, symbol: str, web: Web) -> _Company:
        """The company with that ticker.

        Raises:
            FetchError: the SEC lists none. Only this symbol fails: a misspelt one must not stop thousands.
        """
        with self._lock:
            if self._web is not web:
                self._ciks, self._web = _read_tickers(web.json(f"{SITE}/files/company_tickers.json")), web
            ciks = self._ciks
        ticker = _ticker(symbol)
        if ticker not in ciks:
            raise FetchError(
                f"the SEC's list of listed companies has no ticker {symbol!r}; check the spelling, or leave it out if "
                "it was delisted."
            )
        first = next(other for other, cik in ciks.items() if cik == ciks[ticker])
        return _Company(ciks[ticker], symbol.upper(), "" if ticker == first else f"/{ticker}")


_TICKERS = _Tickers()


def _ticker(symbol: str) -> str:
    """The SEC's way to write it."""
    return symbol.upper().replace(".", "-")


def _read_tickers(document: Any) -> dict[str, int]:
    """In the SEC's order, which is by size of the company and its share class."""
    try:
        return {entry["ticker"].upper(): int(entry["cik_str"]) for entry in document.values()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"the SEC's list of tickers has another shape than expected ({error!r}).") from error


@dataclass
class _Missed:
    """Documents that did not come. A service that is down shows in several in a row, and then nothing more is asked."""

    symbol: str
    failures: list[str] = field(default_factory=list)
    in_a_row: int = 0

    def add(self, error: FetchError) -> None:
        self.failures.append(str(error))
        self.in_a_row += 1
        if self.in_a_row == FAILURES_IN_A_ROW:
            raise FetchError(f"{self.in_a_row} documents of {self.symbol} in a row did not come: {error}") from error

    def complain(self) -> None:
        if self.failures:
            count = len(self.failures)
            raise FetchError(f"{count} document{'s' * (count > 1)} of {self.symbol} did not come: {self.failures[0]}")


def _sector(index: Any, company: _Company) -> Batch:
    """The company's code in the Standard Industrial Classification, and the industry that it belongs to.

    The document has the code of the day on which it is asked for and none of earlier days, so it is known from then on.
    """
    code = str(index.get("sic") or "")
    rejected: tuple[Rejected, ...] = ()
    rows: list[tuple[object, ...]] = []
    if code.isdecimal() and len(code) <= 4:
        sic = code.zfill(4)
        rows.append((company.symbol, _now(), DESCRIPTION.name, industry_of(int(sic)), sic))
    elif code:
        reason = "an industry code of up to four digits was expected."
        rejected = (Rejected(f"{DATA}/submissions/CIK{company.cik:010d}.json", reason, code[:500], company.symbol),)
    return Batch("sectors", pl.DataFrame(rows, schema=table("sectors").schema, orient="row"), rejected)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _filings(index: Any, company: _Company, request: Request, web: Web) -> tuple[Filing, ...]:
    try:
        recent, older = index["filings"]["recent"], index["filings"]["files"]
        since = request.since.isoformat() if request.since else ""
        names = [page["name"] for page in older if page["filingTo"] >= since]
    except (KeyError, TypeError) as error:
        raise DataError(
            f"the SEC's index of {company.symbol}'s filings lacks {error}; it is not the document asked for."
        ) from error
    pages = (web.json(f"{DATA}/submissions/{name}") for name in names)
    return read_filings([recent, *pages], company.symbol)


def _wanted(filing: Filing, request: Request) -> bool:
    early = request.since is not None and filing.filed < request.since
    return not early and (request.until is None or filing.filed <= request.until)


Rows = tuple[list[tuple[object, ...]], tuple[Rejected, ...]]


def _batches(name: str, filings: Iterable[Filing], read: Callable[[Filing], Rows], missed: _Missed) -> Iterator[Batch]:
    """Rows of some documents at a time, so that a long history neither fills memory nor is lost at once."""
    remaining = iter(filings)
    while some := list(islice(remaining, DOCUMENTS_IN_A_BATCH)):
        rows: list[tuple[object, ...]] = []
        rejected: list[Rejected] = []
        for filing in some:
            try:
                found, refused = read(filing)
            except FetchError as error:
                missed.add(error)
                continue
            missed.in_a_row = 0
            rows.extend(found)
            rejected.extend(refused)
        yield Batch(name, pl.DataFrame(rows, schema=table(name).schema, orient="row"), tuple(rejected))


def _insider(filing: Filing, company: _Company, seen: set[tuple[object, ...]], web: Web) -> Rows:
    """Lines of one form, in the columns of the table `insider`.

    Forms that the company filed about its holdings in others are no trades of its insiders. A line of an amendment
    that repeats a trade of an earlier form counts once, from when it was first filed; a corrected line comes in too.
    """
    url = _url(filing, company.cik)
    if not filing.document.endswith(".xml"):
        return [], (Rejected(url, f"a Form {filing.form} that is not XML, as before 2003", filing.document),)
    text = web.text(url, headers={"Accept": "application/xml"})
    if "<ownershipDocument" in text and "</ownershipDocument>" not in text:
        raise FetchError(f"{url} is cut off; try again later.")
    try:
        form = parse_form4(text, url)
    except DataError as error:
        return [], (Rejected(url, str(error), text[:500]),)
    if form.issuer_cik != company.cik:
        return [], ()
    rows: list[tuple[object, ...]] = []
    for trade in form.trades:
        identity = _identity(form, trade)
        if filing.form == "4" or identity not in seen:
            rows.append(_trade_row(filing, form, trade, company))
    seen.update(_identity(form, trade) for trade in form.trades)
    return rows, form.rejected


def _identity(form: Form4, trade: Trade) -> tuple[object, ...]:
    return (form.owners, trade.date, trade.security, trade.code, trade.acquired, trade.shares, trade.price)


def _trade_row(filing: Filing, form: Form4, trade: Trade, company: _Company) -> tuple[object, ...]:
    bought = (trade.shares, trade.value) if trade.acquired else (None, None)
    sold = (None, None) if trade.acquired else (trade.shares, trade.value)
    accession = filing.accession + company.suffix
    provenance = (filing.known_at, DESCRIPTION.name)
    return (accession, trade.line, company.symbol, trade.date, form.role, trade.code, *bought, *sold, *provenance)


def _article(filing: Filing, company: _Company, web: Web) -> Rows:
    """The main document of one report, in the columns of the table `articles`."""
    url = _url(filing, company.cik)
    if not filing.document.lower().endswith((".htm", ".html", ".txt")):
        return [], (Rejected(url, f"a {filing.form} whose main document is no text", filing.document),)
    document = web.text(url)
    if any(page in document[:5000] for page in BLOCKED):
        raise FetchError(f"the SEC answered {url} with a page that turns callers away; try again later and slower.")
    text = plain_text(document)
    if not text:
        return [], (Rejected(url, f"a {filing.form} without any text", document[:500]),)
    title = f"{company.symbol} {filing.form} {filing.reported or filing.filed}"
    identity = f"{filing.accession}/{filing.document}{company.suffix}"
    row = (identity, company.symbol, filing.accepted, title, url, text, "SEC", filing.known_at, DESCRIPTION.name)
    return [row], ()


def _url(filing: Filing, cik: int) -> str:
    """Address of the document as filed; the index points at a rendering of Form 4 in a folder such as xslF345X05."""
    document = filing.document.rpartition("/")[2] if filing.document.startswith("xsl") else filing.document
    return f"{SITE}/Archives/edgar/data/{cik}/{filing.accession.replace('-', '')}/{document}"
