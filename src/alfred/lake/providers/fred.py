"""Yields and macro series of the Federal Reserve Bank of St. Louis (FRED).

Without a key the graph's CSV is read: one value a date, in its latest revision, known from the session after the date.
That is right for market quotes (`MARKET`), which are made in public and hardly ever revised. It would be look-ahead for
monthly or quarterly figures, which are published weeks later and then revised; those are refused without a key.

With FRED_API_KEY every vintage of ALFRED is read, and each is known from the session after its `realtime_start`. The
archive of a market quote begins years after its first date; quotes older than the archive keep the graph's rule.
"""

import datetime as dt
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import polars as pl

from alfred.core.errors import ConfigError, DataError
from alfred.lake.contracts import Batch, ProviderDescription, Rejected, Request, Web
from alfred.lake.keys import key_of
from alfred.lake.known import known_next_sessions

GRAPH = "https://fred.stlouisfed.org/graph/fredgraph.csv"
API = "https://api.stlouisfed.org/fred"
KEYS = "https://fredaccount.stlouisfed.org/apikeys"
EARLIEST, LATEST = "1776-07-04", "9999-12-31"
VINTAGES_A_REQUEST = 2000
ROWS_A_REQUEST = 100_000
VINTAGE_DATES_A_REQUEST = 10_000
MISSING = {".", "", "NaN"}

QUOTES = {
    "2year": "DGS2",
    "3year": "DGS3",
    "5year": "DGS5",
    "10year": "DGS10",
    "^VIX": "VIXCLS",
    "CL=F": "DCOILWTICO",
    "BZ=F": "DCOILBRENTEU",
    "BTC=F": "CBBTCUSD",
    "SP500": "SP500",
}
"""Columns of the panel and the series that fill them; all are market quotes."""
MARKET = frozenset(QUOTES.values()) | {
    *("DGS1MO", "DGS3MO", "DGS6MO", "DGS1", "DGS7", "DGS20", "DGS30"),  # Treasury yields
    *("DFII5", "DFII7", "DFII10", "DFII20", "DFII30"),  # real yields of inflation-indexed Treasuries
    *("T10Y2Y", "T10Y3M", "T5YIE", "T10YIE", "T5YIFR"),  # differences of such yields
    *("BAMLC0A0CM", "BAMLH0A0HYM2"),  # corporate bonds' spreads
    *("VXVCLS", "VXNCLS", "OVXCLS", "GVZCLS"),  # implied volatilities
    *("DJIA", "NASDAQCOM", "NASDAQ100"),  # indices of shares
    *("DEXUSEU", "DEXUSUK", "DEXJPUS", "DEXCHUS", "DEXCAUS", "DEXSZUS"),  # currencies
    *("DHHNGSP", "CBETHUSD"),  # natural gas, ether
}
"""Daily series of prices that the market made in public on their date: the only ones to be had without a key."""
ALIASES = {"WTI": "CL=F", "BRENT": "BZ=F", "BTC": "BTC=F", "VIX": "^VIX"}

DESCRIPTION = ProviderDescription(
    name="fred",
    tables=("series",),
    note=(
        "Treasury yields, VIX, oil, bitcoin, the S&P 500 of the last ten years, and any other FRED series by its id. "
        "Without FRED_API_KEY only daily market quotes are to be had, in their latest revision."
    ),
    kind="network",
    market_series="SP500",
    key_variable="FRED_API_KEY",
    requests_per_second=2.0,
    concurrency=4,
)


def tasks(request: Request) -> tuple[str, ...]:
    """One series each; without names all that the panel has columns for.

    Raises:
        ConfigError: a name can be no FRED id, or needs a key and there is none.
    """
    names = tuple(ALIASES.get(name.upper(), name) for name in request.symbols) or tuple(QUOTES)
    for name in names:
        if name not in QUOTES and not (name.isascii() and name.replace("_", "").isalnum()):
            raise ConfigError(f"{name!r} is no FRED series; use an id such as DGS30, or one of {', '.join(QUOTES)}.")
    found = tuple(dict.fromkeys(name if name in QUOTES else name.upper() for name in names))
    if not key_of(DESCRIPTION):
        _only_quotes(found)
    return found


def _only_quotes(names: Iterable[str]) -> None:
    revised = [name for name in names if QUOTES.get(name, name) not in MARKET]
    if revised:
        raise ConfigError(
            f"fred has {', '.join(revised)} without a key only as revised since, and not when it was published, so a "
            f"study would know it too early; get a free key at {KEYS} and set FRED_API_KEY. "
            "Daily market quotes need no key."
        )


def fetch(task: str, request: Request, web: Web | None) -> Iterator[Batch]:
    """All values of one series, with vintages where there is a key.

    Raises:
        ConfigError: no web is given; or the series needs a key and there is none.
        FetchError: the service did not answer usefully.
        DataError: what came is not the series.
    """
    if web is None:
        raise ConfigError("fred asks a service and needs a web.")
    series, key = QUOTES.get(task, task), key_of(DESCRIPTION)
    source = pl.lit(DESCRIPTION.name).alias("source")
    name = pl.lit(task).alias("series")
    if not key:
        _only_quotes([task])
        rows, rejected = _latest(series, request, web)
        yield Batch("series", rows.with_columns(name, source), rejected)
        return
    vintages, archive_begins = _vintages(series, request, web, key)
    known = known_next_sessions(vintages["realtime_start"])
    if series in MARKET:
        quoted = known_next_sessions(vintages["date"])
        early = vintages["realtime_start"] <= archive_begins
        known = pl.select(pl.when(early).then(quoted).otherwise(known)).to_series()
    rows = vintages.select("date", "value", known.alias("known_at"), name, source)
    yield Batch("series", rows.unique(["date", "known_at"], keep="last", maintain_order=True))


def _latest(series: str, request: Request, web: Web) -> tuple[pl.DataFrame, tuple[Rejected, ...]]:
    bounds = {"cosd": request.since, "coed": request.until}
    params = {"id": series} | {name: date.isoformat() for name, date in bounds.items() if date is not None}
    lines = web.text(GRAPH, params, {"Accept": "text/csv"}).splitlines()
    header = lines[0].lstrip("\ufeff").split(",") if lines else []
    if len(header) != 2 or header[0].lower() not in {"date", "observation_date"}:
        raise DataError(f"fred sent no CSV of {series}; it begins with {lines[0][:80] if lines else 'nothing'!r}.")
    pairs, rejected = [], []
    for at, line in enumerate(lines[1:], start=2):
        date, _, value = line.partition(",")
        if value.strip() in MISSING:
            continue
        try:
            pairs.append((dt.date.fromisoformat(date), float(value)))
        except ValueError:
            rejected.append(Rejected(f"{series}, line {at}", "a date and a number were expected", line[:500]))
    rows = pl.DataFrame(pairs, schema={"date": pl.Date, "value": pl.Float64}, orient="row")
    return rows.with_columns(known_next_sessions(rows["date"]).alias("known_at")), tuple(rejected)


def _vintages(series: str, request: Request, web: Web, key: str) -> tuple[pl.DataFrame, dt.date]:
    """Values with the first vintage that showed each (date, realtime_start, value), and the archive's first day."""
    common = {"series_id": series, "api_key": key, "file_type": "json"}
    bounds = {"observation_start": request.since, "observation_end": request.until}
    wanted = {name: date.isoformat() for name, date in bounds.items() if date is not None}
    days = _vintage_dates(web, common)
    if not days:
        raise DataError(f"fred has no vintages of {series}.")
    found: list[tuple[str, str, str]] = []
    for chunk in _chunks(days):
        spans = {"realtime_start": chunk[0], "realtime_end": chunk[-1], "limit": str(ROWS_A_REQUEST)}
        for offset in itertools.count(0, ROWS_A_REQUEST):
            page = web.json(f"{API}/series/observations", {**common, **wanted, **spans, "offset": str(offset)})
            observations = _listed(page, "observations", series)
            found += [(row["date"], row["realtime_start"], row["value"]) for row in observations]
            if len(observations) < ROWS_A_REQUEST:
                break
    return _firsts(found), dt.date.fromisoformat(days[0])


def _vintage_dates(web: Web, common: dict[str, str]) -> list[str]:
    days: list[str] = []
    span = {"realtime_start": EARLIEST, "realtime_end": LATEST, "limit": str(VINTAGE_DATES_A_REQUEST)}
    while True:
        page = web.json(f"{API}/series/vintagedates", {**common, **span, "offset": str(len(days))})
        more = _listed(page, "vintage_dates", common["series_id"])
        days += more
        if len(more) < VINTAGE_DATES_A_REQUEST:
            return days


def _chunks(days: list[str]) -> Iterator[tuple[str, ...]]:
    for at in range(0, len(days), VINTAGES_A_REQUEST):
        yield tuple(days[at : at + VINTAGES_A_REQUEST])


def _listed(page: Any, field: str, series: str) -> list[Any]:
    found = page.get(field) if isinstance(page, dict) else None
    if not isinstance(found, list):
        raise DataError(f"fred's answer for {series} holds no {field!r}.")
    return found


def _firsts(found: list[tuple[str, str, str]]) -> pl.DataFrame:
    """Drop what repeats: a later request shows an old value again as if it began with that request's first day.

    A value that was taken back ("." in a vintage) is kept as null: from then on it is not known.
    """
    rows = pl.DataFrame(found, schema={"date": pl.String, "realtime_start": pl.String, "text": pl.String}, orient="row")
    rows = rows.select(
        pl.col("date").str.to_date("%Y-%m-%d"),
        pl.col("realtime_start").str.to_date("%Y-%m-%d"),
        pl.col("text").replace(list(MISSING), [None] * len(MISSING)).cast(pl.Float64).alias("value"),
    ).sort("date", "realtime_start")
    before = pl.col("value").shift().over("date")
    return rows.filter(pl.col("value").ne_missing(before))
