# ruff: noqa: SIM905 -- words are read as running text
"""Hides from an article whom and when it is about, so that a model that remembers the time cannot use what it knows.

Hidden are the company (its ticker in every form, its names, and what stands before its ticker in parentheses), other
companies and tickers, people, places and whatever else is written as a name, dates, weekdays and years. The rules
prefer to hide too much: a capitalised word stays only where it is known as an ordinary one. What they cannot hide:
products in small letters, events that only one company had, figures that somebody remembers. So a digest of such an
article is harder, not impossible, to make from memory.
"""

import datetime as dt
import functools
import re
from collections.abc import Sequence

from alfred.language._book import book
from alfred.language._mentions import ENGLISH, EXCHANGES, NamesOf
from alfred.language.contracts import Article
from alfred.language.text import read
from alfred.language.workers import Change

NAME = "anonymous-1"
"""Becomes part of the version of the prompt; its number is raised when a rule changes."""
COMPANY, OTHER, PERSON, SOMEONE, DATE, YEAR = "COMPANYX", "OTHERCO", "PERSON", "NAME", "DATE", "YEAR"
"""What stands instead."""
PLACEHOLDERS = frozenset({COMPANY, OTHER, PERSON, SOMEONE, DATE, YEAR})
NEVER = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)

FORMS = (
    r"(?:Inc|Incorporated|Corp|Corporation|Ltd|Limited|PLC|plc|LLC|LP|Co|Company|Companies|Group|Holdings?|AG|SA|NV|SE|"
    r"AB|ASA|Oyj|Trust|Partners|Technologies|International)"
)
CAPITAL = r"[A-Z\u00c0-\u00de][\w'\u2019&-]{0,40}(?:\.(?=[A-Z])[\w'\u2019&-]{0,40}){0,4}"
"""Bounded, so that time grows with the length of the text only."""
MONTHS = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?|"
    r"Nov(?:ember)?|Dec(?:ember)?)\b"
)
NUMBERED = r"\d\d?(?:st|nd|rd|th)?"
IN_YEAR = r"(?:,? (?:19|20)\d\d\b)"
BEFORE_MONTH = r"(?:in|on|of|since|until|till|by|from|to|through|during|last|this|next|early|mid|late|each|every)"
DATES = re.compile(
    r"\b\d{4}-\d\d?-\d\d?(?:T[\d:.]+Z?)?\b|\b\d\d?[/.]\d\d?[/.](?:\d{4}|\d\d)\b"
    rf"|\b{MONTHS}\.? {NUMBERED}\b{IN_YEAR}?|\b{NUMBERED} (?:of )?{MONTHS}\.?{IN_YEAR}|\b{NUMBERED} (?:of )?{MONTHS}"
    rf"|\b{MONTHS}\.?(?: of)?{IN_YEAR}|\b(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?\b"
)
LONE_MONTH = re.compile(rf"\b({BEFORE_MONTH}[ -]){MONTHS}")
OTHER_MONTHS = re.compile(rf"\b(?!May\b|March\b|Mar\b){MONTHS}")
YEARS = re.compile(
    r"(?<![\d.,$\u20ac\u00a3])\b(?:FY|CY|H[12][ -]?|[1-4]?Q[1-4]?[ -]?)?'?(?:19|20)\d\d(?:s|E|e)?"
    r"(?:[-/\u2013](?:19|20)?\d\d)?\b(?![.,]\d|%)|\b(?:FY|CY)'?\d\d\b|\b([1-4]Q|Q[1-4]|H[12])[ -]?'?\d\d\b"
)
MARKED = re.compile(
    rf"\$[A-Z]{{1,5}}(?:[.-][A-Z])?\b|\b(?i:{EXCHANGES})\s*:\s*[A-Z][A-Z0-9.-]{{0,6}}\b"
    r"|\b[A-Z]{1,5}\.(?:N|O|OQ|L|TO|PA|DE|HK|T)\b"
)
LEADS = re.compile(
    rf"(?<![\w'\u2019&-])((?:{CAPITAL},? ){{0,5}}{CAPITAL})\.? ?\((?i:{EXCHANGES})? ?:? ?\$?([A-Z][A-Z0-9.-]{{0,6}})\)"
)
CORPORATION = re.compile(rf"\b{CAPITAL}(?:,? (?:(?:&|and|of|the) )?{CAPITAL}){{0,4}},? {FORMS}\b(?:\.(?= ?[a-z(,]))?")
TITLED = re.compile(
    r"\b(?:Mr|Mrs|Ms|Dr|Prof|Sir|Dame|Lord|Lady|Sen|Gov|Rep|Hon|President|Chairman|Chairwoman|Chair|Chief \w+ "
    r"Officer|Chief Executive|CEO|CFO|COO|CTO|Founder|Director|Analyst|Senator|Governor|Secretary|Judge|Minister|"
    r"analyst|analysts|founder|chairman|chief executive|president|director|secretary)"
    rf"\.?,? ({CAPITAL}(?: (?:[A-Z]\. )?(?:(?:de|van|von|der|la|di|bin) )?{CAPITAL}){{0,3}})"
)
SEQUENCE = re.compile(rf"\b{CAPITAL}(?: (?:(?:&|of|de|van|von|der|la|di|bin|the) |[A-Z]\. )?{CAPITAL})*")
TAIL = re.compile(r"(?:'s|\u2019s|['\u2019])?[,.]*$")
MADE = re.compile(r"(?:ly|tions?|ments?|ness)$")
"""Endings that names hardly have."""
LONGER_THAN_TICKERS = 4
ACRONYMS = frozenset(
    """A ADR AI API CAPEX CEO CFO COO CPI CTO DCF E.U EBIT EBITDA EPS ESG ETF EU EUR FDA FED FOMC GAAP GBP GDP H1
    H2 I IPO IT M&A NAV OPEX Q1 Q2 Q3 Q4 QOQ R&D REIT ROE ROI SAAS SEC U.K U.S UK US USA USD YOY""".split()
)
ORDINARY = frozenset(
    """a about according across after again against all also although amid among an analyst analysts and announced
    annual another any are as at based be because been before being believe below between billion board both
    business but by can capital chief combined company compared conference consumer consumers contract corporate
    could customer customers data demand despite director directors do does down dr during each earlier earnings
    employees even executive federal fell first fiscal following for fourth free from further given group growth
    had has have he her here high higher his how however i if in including income industry inflation
    international into investor investors is it its just last late later less like local low lower made major
    many market markets may meanwhile million more moreover most mr mrs ms much must my near nearly net new news
    next no nor not now number of officer on one only open operating or order orders other our out over overall
    own part people per plan plans president price prices product products prof profit quarter quarterly report
    reported reports research results revenue rose sales second segment separately service services several
    share shareholders shares she since sir so some spokesman spokesperson spokeswoman staff state statement
    still stock stocks street such than that the their them then there these they third this those though three
    through to today total trading two under unlike until up us use users very was we week were what when where
    whether which while who why will with within without would year yesterday yet you your""".split()
)


def anonymiser(names: NamesOf | None = None) -> Change:
    """What `alfred digest --anonymise` does to each article.

    Args:
        names: names of companies by symbol, as those of the digester; they are hidden wherever they stand.
    """
    known = dict(names or {})
    return Change(NAME, lambda article: anonymised(article, known))


def anonymised(article: Article, names: NamesOf | None = None) -> Article:
    """The article, cleaned, without whom and when it is about; its symbol is COMPANY."""
    reading = read(article)
    hide = _Hider(reading.whole, article.symbol, names or {})
    return Article(
        article_id="", symbol=COMPANY, published_at=NEVER, title=hide(reading.title), text=hide(reading.text)
    )


class _Hider:
    """Hides in the parts of one article what is a name anywhere in it."""

    def __init__(self, whole: str, symbol: str, names: NamesOf) -> None:
        own = {*names.get(symbol, ()), *(lead.group(1) for lead in LEADS.finditer(whole) if lead.group(2) == symbol)}
        others = [name for other, given in names.items() if other != symbol for name in given]
        self._own = _any_of([_bare(name) for name in own])
        self._others = _any_of([_bare(name) for name in others])
        self._ticker = re.compile(_ticker(symbol))
        self._small = frozenset(re.findall(r"(?<![\w'\u2019])[a-z][a-z'\u2019-]+", whole))

    def __call__(self, text: str) -> str:
        """The text with placeholders."""
        text = self._ticker.sub(COMPANY, text)
        text = self._own.sub(COMPANY, text) if self._own else text
        text = self._others.sub(OTHER, text) if self._others else text
        text = MARKED.sub(OTHER, text)
        text = OTHER_MONTHS.sub(DATE, LONE_MONTH.sub(rf"\1{DATE}", DATES.sub(DATE, text)))
        text = YEARS.sub(lambda found: f"{found.group(1)} {YEAR}" if found.group(1) else YEAR, text)
        text = CORPORATION.sub(self._corporation, text)
        text = TITLED.sub(
            lambda found: found.group().replace(found.group(1), self._hidden(found.group(1), PERSON)), text
        )
        return SEQUENCE.sub(lambda found: self._hidden(found.group(), SOMEONE), text)

    def _corporation(self, found: re.Match[str]) -> str:
        """A corporation's name without its form, which would show that something was hidden there."""
        words = [word.strip(",.") for word in found.group().split(" ")]
        names = [word for word in words[:-1] if word[:1].isupper() and not self._is_ordinary(word)]
        return OTHER if names else found.group()

    def _hidden(self, run: str, instead: str) -> str:
        """A run of capitalised words with each stretch of names in it replaced."""
        kept: list[str] = []
        hiding = False
        for word in run.split(" "):
            bare = TAIL.sub("", word)
            initial = hiding and bare != word and len(bare) == 1
            if initial or (word[:1].isupper() and not self._is_ordinary(word)):
                kept[-1:] = [*([] if hiding else kept[-1:]), instead + ("" if initial else word[len(bare) :])]
                hiding = True
            else:
                kept.append(word)
                hiding = False
        return " ".join(kept)

    def _is_ordinary(self, word: str) -> bool:
        """Whether it is known as a word that is no name."""
        bare = TAIL.sub("", word)
        if bare in PLACEHOLDERS or bare.upper() in ACRONYMS:
            return True
        small = bare.lower()
        known = all(part in ORDINARY or part in _words_of_finance() or MADE.search(part) for part in small.split("-"))
        if len(bare) > 1 and bare.isupper():
            return known and len(bare) >= LONGER_THAN_TICKERS
        return known or small in self._small


@functools.cache
def _words_of_finance() -> frozenset[str]:
    return frozenset(word for key in book() for word in key)


def _bare(name: str) -> str:
    """A name without the form of its corporation."""
    whole = " ".join(name.split()).strip(" ,.")
    while (shorter := re.sub(rf",? {FORMS}\.?$", "", whole)) != whole:
        whole = shorter
    return whole


def _any_of(names: Sequence[str]) -> re.Pattern[str] | None:
    """Finds any of the names, the longest first, as written or in capitals, and the corporation's form behind it."""
    wanted = sorted({name for name in names if len(name) > 1}, key=lambda name: (-len(name), name))
    if not wanted:
        return None
    loose = "|".join(f"{re.escape(name)}|{re.escape(name.upper())}" for name in wanted)
    return re.compile(rf"(?<!\w)(?:{loose})(?!\w)(?:,? {FORMS}\b(?:\.(?= ?[a-z(,]))?)*")


def _ticker(symbol: str) -> str:
    """Matches the ticker behind a dollar sign or an exchange, and alone where it is no word."""
    ticker = re.escape(symbol).replace(r"\-", "[.-]").replace(r"\.", "[.-]")
    marked = (
        rf"\$(?i:{ticker})(?!\w)|(?i:{EXCHANGES})\s*:\s*{ticker}(?!\w)|\({ticker}\)|(?<!\w){ticker}\.(?:N|O|OQ|L)\b"
    )
    plain = "" if len(symbol) < 3 or symbol.upper() in ENGLISH else rf"|(?<!\w){ticker}(?!\w)"
    return marked + plain
