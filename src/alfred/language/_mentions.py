# ruff: noqa: SIM905 -- words are read as running text
"""Where an article speaks of the company, and how much it is about others."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

NamesOf = Mapping[str, Sequence[str]]
"""Names of companies by symbol: {"AAPL": ["Apple"]}."""

EXCHANGES = r"(?:NYSE(?: American| Arca)?|NASDAQ(?:GS|GM|CM)?|AMEX|OTC(?:QB|QX|MKTS)?|LSE|TSX)"
TICKER = re.compile(rf"(?:\$|\b{EXCHANGES}\s*:\s*)([A-Z][A-Z0-9]{{0,5}}(?:[.-][A-Z])?)\b", re.IGNORECASE)
CORPORATION = re.compile(
    r"\b((?:[A-Z][\w&'\u2019-]*\s+){1,3})(?:Inc|Corp|Corporation|Ltd|Limited|PLC|plc|LLC|Co|Group|Holdings|AG|SA|NV|SE|AB|ASA|Oyj)\b"
)
ENGLISH = frozenset(
    "ALL ANY ARE BIG CAN CAR CEO CFO EAT FAST FOR FUN GO HAS IT KEY LOVE LOW MAIN NEW NOW ON ONE OPEN OR OUT PLAY REAL "
    "RUN SAFE SEE SO TEAM TRUE TWO USA WELL YOU AI EPS IPO ETF GDP FDA SEC USD EUR".split()
)
"""Tickers that are words too; like those of one or two letters they count only behind a dollar sign or an exchange."""

IN_TITLE = 0.95
FIRST = 0.8
LATER = 0.6
UNNAMED = 0.5
"""Filed under the company, whose names nobody gave: it may well be about it."""
ABSENT = 0.2
CROWD = 0.12
"""Each other company beyond the first takes this share."""
LEAST = 0.05
OPENING_SENTENCES = 2


@dataclass(frozen=True)
class Mentions:
    """Of a company in an article.

    Attributes:
        relevance: 0 to 1.
        weights: of each sentence, 1 or, where it speaks of other companies only, less.
    """

    relevance: float
    weights: tuple[float, ...]


OTHERS_ONLY = 0.3


def mentions(title: str, sentences: Sequence[str], symbol: str, names: NamesOf) -> Mentions:
    """Where the company is mentioned, by its ticker and by the names that `names` gives."""
    own = _finder(symbol, names.get(symbol, ()))
    rest = {other: _finder(other, given) for other, given in names.items() if other != symbol} if len(names) > 1 else {}
    in_title = bool(own.search(title))
    here = [bool(own.search(sentence)) for sentence in sentences]
    there = [_others(sentence, symbol, names.get(symbol, ()), rest) for sentence in sentences]
    found = in_title or any(here)
    weights = tuple(
        OTHERS_ONLY if found and others and not own_here else 1.0 for own_here, others in zip(here, there, strict=True)
    )
    others = set().union(_others(title, symbol, names.get(symbol, ()), rest), *there)
    if in_title:
        base = IN_TITLE
    elif found:
        base = FIRST if any(here[:OPENING_SENTENCES]) else LATER
    else:
        base = ABSENT if names.get(symbol) else UNNAMED
    crowd = max(1 - CROWD * max(len(others) - 1, 0), LEAST)
    return Mentions(round(max(base * crowd, LEAST), 4), weights)


def _finder(symbol: str, names: Iterable[str]) -> re.Pattern[str]:
    """Finds the ticker in capitals, and the names in any but small first letters."""
    ticker = re.escape(symbol).replace(r"\-", "[.-]").replace(r"\.", "[.-]")
    plain = [] if len(symbol) < 3 or symbol.upper() in ENGLISH else [ticker]
    marked = [rf"\${ticker}", rf"(?i:{EXCHANGES})\s*:\s*{ticker}"]
    wanted = [*marked, *(rf"\b{one}" for one in [*plain, *(re.escape(name) for name in names if name.strip())])]
    return re.compile(rf"(?:{'|'.join(wanted)})(?!\w)")


def _others(text: str, symbol: str, names: Sequence[str], rest: Mapping[str, re.Pattern[str]]) -> set[str]:
    """Other companies in a text: known names, marked tickers, and names that end like a corporation's."""
    known = {other for other, finder in rest.items() if finder.search(text)}
    tickers = {found.upper() for found in TICKER.findall(text)} - {symbol.upper()}
    corporations = {" ".join(found.split()) for found in CORPORATION.findall(text)}
    foreign = {name for name in corporations if not any(own.startswith(name) or name.startswith(own) for own in names)}
    return known | tickers | (foreign if names else set())
