# ruff: noqa: RUF001 -- marks as they are printed
"""Headings of the items of 10-K, 10-Q and 8-K: which lines are one, and which only speak of an item.

The titles are those of Regulation S-K and of the forms themselves, with the variants that companies use.
"""

import re
from dataclasses import dataclass
from typing import Literal

Form = Literal["10-K", "10-Q", "8-K"]

ITEM = re.compile(
    r"^\W*(?:part\s+(?:i{1,3}|iv)\b\W*)?i\s?tems?\s*(\d{1,2})\s*(?:\(?([abc])\)?(?!\w))?"
    r"(?:\s*(?:and|&|,)\s*(?:items?\s*)?\d{1,2}\s*(?:[abc](?!\w))?)*\s*(?:\([a-z]\))?[\s.:)\]\-—–|•·]*",
    re.IGNORECASE,
)
EVENT = re.compile(r"^\W*i\s?tem\s*(\d)\s*\.\s*(\d\d)(?!\d)[\s.:)\-—–|•]*", re.IGNORECASE)
PART = re.compile(r"^\W*part\s+(?:i{1,3}|iv)\W*(?:financial\s+information|other\s+information)?\W*(?:\d+\W*)?$", re.I)
SIGNED = re.compile(r"^\W*signatures?\W*(?:\d+\W*)?$", re.IGNORECASE)
ENDS = re.compile(r"^\W*(?:page\s*)?(?:[a-z]-)?\d{0,4}\W*$|^\W*\(?(?:continued|cont[’']?d|unaudited)\b", re.IGNORECASE)
"""What may follow a title: nothing, a page, a remark."""
RUNS_IN = re.compile(r"^\s*[.:—–-]+\s*[“\"(]?[A-Z]")
"""The text begins in the line of its heading."""
REFERS = re.compile(
    r"^[\W_]*(?:of|in|to|under|above|below|that|which|for|contains?|includes?|is|are|was|were|as|describ\w+|discuss\w+|"
    r"herein|on|from|appear\w*|begin\w*|set|may|should|elsewhere|entitled|included|contained|section|thereof|part)\b",
    re.IGNORECASE,
)
LONGEST_HEADING = 260


@dataclass(frozen=True)
class Item:
    """An item of a form.

    Attributes:
        code: such as "1A" of 10-K, "II-1A" of 10-Q.
        number: as the heading gives it, such as "1A".
        title: pattern of its title.
        alone: whether the title is so much its own that it is a heading without "Item" before it.
    """

    code: str
    number: str
    title: re.Pattern[str]
    alone: bool = False


def _items(*rows: tuple[str, str] | tuple[str, str, bool]) -> tuple[Item, ...]:
    return tuple(
        Item(row[0], row[0].rpartition("-")[2], re.compile(rf"[\W_]*(?:{row[1]})", re.IGNORECASE), len(row) > 2)
        for row in rows
    )


DISCUSSION = (
    r"management\W{0,2}s?\W{0,2}\s+discussion(?:\s+and\s+analysis)?"
    r"(?:\s+(?:of|and|or|the|its|our|financial|conditions?|position|results?|operations?|liquidity)\b[,/]?)*"
)
MARKET_RISK = (
    r"quantitative\s+and\s+qualitative\s+disclosures?(?:\s+(?:about|of|on|regarding|concerning)\s+market\s+risks?)?"
)
RISKS = r"(?:certain\s+)?risk\s+factors"

ANNUAL = _items(
    ("1", r"(?:description\s+of\s+)?(?:the\s+|our\s+)?business\b"),
    ("1A", RISKS, True),
    ("1B", r"unresolved\s+staff\s+comments?", True),
    ("1C", r"cyber\s?security"),
    ("2", r"(?:description\s+of\s+)?propert(?:y|ies)"),
    ("3", r"legal\s+proceedings", True),
    ("4", r"mine\s+safety|submission\s+of\s+matters|\W*(?:removed|reserved)|executive\s+officers"),
    ("5", r"market\s+(?:for|price)", True),
    ("6", r"(?:consolidated\s+)?selected|\W*(?:removed|reserved)"),
    ("7", DISCUSSION, True),
    ("7A", MARKET_RISK, True),
    ("8", r"(?:consolidated\s+)?financial\s+statements(?:\s+and\s+supplementa\w+\s+data)?"),
    ("9", r"changes\s+in\s+and\s+disagreements", True),
    ("9A", r"controls\s+and\s+procedures", True),
    ("9B", r"other\s+information"),
    ("9C", r"disclosures?\s+regarding\s+foreign", True),
    ("10", r"directors"),
    ("11", r"executive\s+compensation"),
    ("12", r"security\s+ownership"),
    ("13", r"certain\s+relationships"),
    ("14", r"principal\s+account"),
    ("15", r"exhibits?"),
    ("16", r"form\s+10-k\s+summary"),
)
QUARTERLY = _items(
    ("I-1", r"(?:(?:condensed|consolidated|interim)\s+){0,3}financial\s+(?:statements|information)"),
    ("I-2", DISCUSSION, True),
    ("I-3", MARKET_RISK, True),
    ("I-4", r"(?:disclosure\s+)?controls\s+and\s+procedures", True),
    ("II-1", r"legal\s+proceedings", True),
    ("II-1A", RISKS, True),
    ("II-2", r"unregistered\s+sales?|changes\s+in\s+securities|(?:issuer\s+)?purchases\s+of\s+equity", True),
    ("II-3", r"defaults?\s+upon", True),
    ("II-4", r"mine\s+safety|submission\s+of\s+matters|\W*(?:removed|reserved)"),
    ("II-5", r"other\s+information"),
    ("II-6", r"exhibits?"),
)  # fmt: skip
PERIODIC: dict[str, tuple[Item, ...]] = {"10-K": ANNUAL, "10-Q": QUARTERLY}
EVENTS: dict[str, str] = {
    "1.01": "agreement", "1.02": "end of an agreement", "1.03": "bankruptcy", "1.04": "mine safety",
    "1.05": "cybersecurity incident", "2.01": "acquisition or disposal", "2.02": "results", "2.03": "obligation",
    "2.04": "acceleration of an obligation", "2.05": "costs of an exit", "2.06": "impairment", "3.01": "listing",
    "3.02": "unregistered sale of equity", "3.03": "rights of holders", "4.01": "accountant",
    "4.02": "non-reliance on statements", "5.01": "control", "5.02": "directors and officers", "5.03": "articles",
    "5.04": "benefit plans", "5.05": "code of ethics", "5.06": "shell company", "5.07": "vote", "5.08": "nominations",
    "6.01": "asset-backed securities", "7.01": "regulation FD", "8.01": "other events", "9.01": "exhibits",
}  # fmt: skip
"""Items of Form 8-K since August 2004."""
END = "end"


def item_of(form: Form, line: str, following: str, *, alone: bool) -> tuple[str, str, int] | None:
    """The item that a line is the heading of, what of its text stands in the same line, and the heading's lines.

    Args:
        form: whose items count.
        line, following: a paragraph and the one after it, where the title may stand.
        alone: whether a title is a heading without "Item" before it.
    """
    if SIGNED.match(line):
        return END, "", 1
    if form == "8-K":
        return _event(line)
    found = ITEM.match(line)
    if found is None:
        return _titled(form, line) if alone and len(line) <= LONGEST_HEADING else None
    if found.group().rstrip().endswith(","):
        return None
    number = found.group(1) + (found.group(2) or "").upper()
    rest = line[found.end() :]
    for item in PERIODIC[form]:
        if item.number != number:
            continue
        title = item.title.match(rest or following)
        if title is None:
            continue
        after = (rest or following)[title.end() :]
        if _is_heading(line if rest else following, after):
            begins = after.lstrip(" .:—–-") if rest and RUNS_IN.match(after) else ""
            return item.code, begins, 1 if rest else 2
    return None


def _titled(form: Form, line: str) -> tuple[str, str, int] | None:
    for item in PERIODIC[form]:
        title = item.title.match(line) if item.alone else None
        if title is not None and ENDS.match(line[title.end() :]):
            return item.code, "", 1
    return None


def _event(line: str) -> tuple[str, str, int] | None:
    found = EVENT.match(line)
    code = f"{found.group(1)}.{found.group(2)}" if found else ""
    if found is None or code not in EVENTS:
        return None
    rest = line[found.end() :]
    if rest and (rest[0].islower() or rest[0] in ",;\"”'’" or REFERS.match(rest)):
        return None
    # The official titles have no full stop: what comes after the first is text that begins in the heading's line.
    title, stop, text = rest.partition(". ")
    if not stop or len(title) > LONGEST_HEADING:
        text = "" if len(rest) <= LONGEST_HEADING else rest
    return code, text, 1


def _is_heading(line: str, after: str) -> bool:
    """Whether what follows the title is what follows in a heading, and not in a sentence about the item."""
    if ENDS.match(after) or RUNS_IN.match(after):
        return True
    return len(line) <= LONGEST_HEADING and not REFERS.match(after) and not after.rstrip().endswith((".", ";"))
