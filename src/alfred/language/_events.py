"""What an article is about, by words; a title's count more."""

import re
from collections import Counter
from collections.abc import Iterable

from alfred.language.contracts import Event

CUES: dict[Event, str] = {
    "guidance": r"guidance|profit warning|outlook for|forecasts? (?:for|of)|"
    r"(?:raise|lift|cut|lower|withdr|reiterat)\w* (?:its |the )?(?:[\w-]+ ){0,3}(?:outlook|forecast|guidance)|"
    r"expects? (?:[\w-]+ ){0,3}(?:revenue|sales|profit|earnings)",
    "merger": r"merge[rsd]?|merging|acqui(?:re|res|red|ring|sition|sitions)|takeover|buyout|tender offer|divest\w*|"
    r"spin-?off|joint venture",
    "legal": r"lawsuits?|su(?:ed|es|ing)|courts?|judges?|settle(?:d|ment|s)|litigation|prosecutors?|charged with|"
    r"probes?|antitrust|investigat\w+|fined|patent infringement|indicted|subpoena",
    "management": r"chief executive|ceo|cfo|chief financial officer|chairman|chairwoman|resign\w*|step(?:s|ped)? down|"
    r"appoint\w*|succeeds?|board of directors|names? new",
    "dividend": r"dividends?|payout|buybacks?|share repurchase\w*|repurchase program\w*",
    "rating": r"upgrad\w+|downgrad\w+|price targets?|"
    r"(?:buy|sell|hold|neutral|outperform|underperform|overweight|underweight) rating|initiat\w+ coverage|"
    r"credit rating|moody's|fitch|broker(?:s|age)?",
    "financing": r"bonds?|notes? offering|offering|credit facility|refinanc\w+|raised capital|share issue|convertible|"
    r"ipo|loan|debt|private placement|underwriters?",
    "product": r"launch\w*|unveil\w*|new (?:product|model|drug|phone|chip|version|service)|fda|approv(?:al|ed|es)|"
    r"trial|phase [123i]+|recall\w*|patent",
    "operations": r"plants?|factor(?:y|ies)|production|strike|layoffs?|job cuts|suppl(?:y|ier|iers)|outage|closure|"
    r"contracts?|capacity|store openings?|shipments?|customers?",
    "earnings": r"earnings|quarterly (?:results|profit|loss|sales|revenue)|net (?:income|profit|loss|sales)|eps|"
    r"results|revenue|operating (?:profit|income|loss)|(?:first|second|third|fourth)[- ]quarter|margins?|"
    r"turnover|profit",
    "market": r"shares (?:rose|fell|jump\w*|slump\w*|slid\w*|climb\w*|drop\w*|surg\w*|tumbl\w*)|stocks?|s&p 500|"
    r"nasdaq|dow jones|wall street|investors|trading",
}  # fmt: skip
"""In the order in which ties go."""
FINDERS = {event: re.compile(rf"\b(?:{cue})\b", re.IGNORECASE) for event, cue in CUES.items()}
OF_TITLE = 3


def event_of(title: str, sentences: Iterable[str]) -> Event:
    """The kind of event that the most words speak of; "other" where none does."""
    counts: Counter[Event] = Counter()
    body = "\n".join(sentences)
    for event, finder in FINDERS.items():
        counts[event] = len(finder.findall(body)) + (OF_TITLE * len(finder.findall(title)) if title else 0)
    event, most = max(counts.items(), key=lambda found: found[1])
    return event if most else "other"
