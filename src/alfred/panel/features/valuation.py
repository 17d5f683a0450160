"""Columns that set a company's accounts beside its price, on the share basis of the decision date.

They need prices and volumes as quoted: where prices were adjusted backwards and the splits are not at hand, their
product with a number of shares is wrong by every later split.
"""

from collections.abc import Callable

import numpy as np

from alfred.core.contracts import Floats
from alfred.panel.catalogue import Feature
from alfred.panel.facts import Stated
from alfred.panel.sources import Sources

KNOWN = "facts from the opening of the session after the filing, prices at the decision date's close"
LIMIT = "in the last panel.fill_days.facts days"
NO_MARKET_CAP = f"without a close in the last sessions, or a number of shares filed {LIMIT}"
SESSIONS = 63


def _on_date(sources: Sources, stated: Stated) -> Floats:
    """(D, S) a number of shares on the decision date's basis; none where it is not above 0."""
    shares = stated.value * sources.splits.since(stated.known)
    return np.where(shares > 0, shares, np.nan)


def shares_outstanding(sources: Sources) -> Floats:
    """(D, S) the latest number of shares told, else the latest period's diluted average."""
    told = _on_date(sources, sources.facts.latest("Shares"))
    return np.where(np.isfinite(told), told, _on_date(sources, sources.facts.average("SharesDiluted")))


def _market_cap(sources: Sources) -> Floats:
    close = sources.bars.lag(sources.bars.close) * sources.splits.later
    return np.where(close > 0, close * shares_outstanding(sources), np.nan)


def _to_market_cap(figure: Callable[[Sources], Floats]) -> Callable[[Sources], Floats]:
    def compute(sources: Sources) -> Floats:
        ratio: Floats = figure(sources) / _market_cap(sources)
        return ratio

    return compute


def _trailing(concept: str) -> Callable[[Sources], Floats]:
    def figure(sources: Sources) -> Floats:
        return sources.facts.trailing(concept)

    return figure


def _equity(sources: Sources) -> Floats:
    return sources.facts.instant("Equity")


def _turnover(sources: Sources) -> Floats:
    volume = sources.bars.mean(sources.bars.volume, SESSIONS) / sources.splits.later
    return volume / shares_outstanding(sources)


TABLES = ("facts", "bars", "actions")
FEATURES = (
    Feature(
        "market_cap", "Close x shares outstanding: those told for the latest day (balance sheet or cover page), else "
        "the diluted average of the latest period; splits since the filing are applied", "USD", TABLES, KNOWN,
        NO_MARKET_CAP, "rank", _market_cap, delta="relative", is_level=True,
    ),
    *(
        Feature(
            name, f"{words} of the year to the latest quarter / market_cap", "fraction", TABLES, KNOWN,
            f"{NO_MARKET_CAP}, or where {words} cannot be had for that year", "rank",
            _to_market_cap(_trailing(concept)), delta="absolute", is_level=True,
        )
        for name, words, concept in (
            ("earnings_yield", "net income", "NetIncome"),
            ("sales_to_price", "revenue", "Revenue"),
            ("cash_flow_yield", "operating cash flow", "OperatingCashFlow"),
        )
    ),
    Feature(
        "book_to_market", "equity at the latest period's end / market_cap; below 0 where equity is", "fraction",
        TABLES, KNOWN, f"{NO_MARKET_CAP}, or where equity is not told", "rank", _to_market_cap(_equity),
        delta="absolute", is_level=True,
    ),
    Feature(
        "turnover", f"mean volume of the last {SESSIONS} sessions / shares outstanding as in market_cap",
        "fraction per session", TABLES, KNOWN,
        f"with fewer than {SESSIONS} bars, a volume missing among them, or without a number of shares filed "
        f"{LIMIT}", "rank", _turnover, delta="relative", is_level=True,
    ),
)  # fmt: skip
