"""The research digester: one section of a filing, read in pieces by any digester, against the one filed before.

A long section is split into pieces that a digester reads whole; their digests are put together by length. What changed
since the company's previous filing is found without a digester, by sentences. The result is a `Digest` as of any
article, whose quotations stand in the section.
"""

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from pydantic import Field, PositiveInt

from alfred.core.settings import Settings
from alfred.language._headings import EVENTS, Form
from alfred.language._tone import tone_of
from alfred.language.comparison import Comparison
from alfred.language.contracts import Digest, Digester, Event
from alfred.language.quotations import checked, missing
from alfred.language.text import sentences

VERSION = "1"
"""Raised when sections, comparisons or the putting together change."""
READ = frozenset({"1A", "7", "7A", "I-2", "I-3", "II-1A"} | set(EVENTS) - {"9.01"})
"""Items that are digested: risk factors, management's discussion, market risk, events."""
TOLD: dict[str, Event] = {
    "1.03": "legal", "2.01": "merger", "2.02": "earnings", "2.03": "financing", "2.05": "operations",
    "3.02": "financing", "4.01": "management", "4.02": "legal", "5.01": "merger", "5.02": "management",
}  # fmt: skip
"""Items of an 8-K whose number says what it is about."""
TITLE = re.compile(r"^\S+ (10-K|10-Q|8-K) \d{4}-\d{2}-\d{2}$")
PUBLISHER = "SEC"
QUOTED = 2
LONGEST_QUOTATION = 200
WORD = re.compile(r"\w+")


class ResearchSettings(Settings):
    """How filings are read."""

    piece_characters: PositiveInt = Field(default=8_000, description="of a section that a digester reads at once")
    longest_gap_days: PositiveInt = Field(
        default=500, description="an earlier filing that is older is not compared with"
    )


@dataclass(frozen=True)
class Filing:
    """A report's main document.

    Attributes:
        article_id, symbol, title, text: as the table `articles` has them.
        form: amendments are not read: most repeat a part of the report.
        published_at, known_at: instants in UTC.
        source: provider.
    """

    article_id: str
    symbol: str
    title: str
    text: str
    form: Form
    published_at: dt.datetime
    known_at: dt.datetime
    source: str


def form_of(title: str, publisher: str) -> Form | None:
    """Form of a report that the table `articles` holds; None for anything that is no 10-K, 10-Q or 8-K."""
    found = TITLE.match(title) if publisher == PUBLISHER else None
    return cast("Form", found.group(1)) if found else None


def bound_of(digester: Digester, settings: ResearchSettings) -> int:
    """Characters of a piece: no more than the digester reads of a text, where it says how many."""
    own = getattr(getattr(digester, "settings", digester), "most_characters", None)
    return min(settings.piece_characters, own) if isinstance(own, int) else settings.piece_characters


def pieces(text: str, most_characters: int) -> tuple[str, ...]:
    """The text in pieces of about the same length, cut between paragraphs, else sentences, else words.

    Put together they have every letter of the text, in order.
    """
    count = -(-len(text) // most_characters)
    if count <= 1:
        return (text,) if text else ()
    aim = len(text) / count
    found, current = [], ""
    for part in filter(None, _parts(text, int(most_characters))):
        if current and (len(current) + 2 + len(part) > most_characters or len(current) >= aim):
            found.append(current)
            current = part
        else:
            current = f"{current}\n\n{part}" if current else part
    return (*found, current)


def section_digest(
    item: str,
    text: str,
    read: Sequence[tuple[str, Digest]],
    comparison: Comparison | None,
    before: str,
) -> Digest:
    """The digest of a section.

    Sentiment and outlook are means over the pieces by their length; relevance is 1, as a filing is about whoever files
    it; what it is about is what most of the text is about, unless the item of an 8-K says it.

    Args:
        item: of the form.
        text: of the section.
        read: its pieces with their digests; not empty.
        comparison: with the earlier section, None where there is none.
        before: how the rationale calls the earlier filing, such as "10-Q of 2023-05-04".
    """
    total = sum(len(piece) for piece, _ in read)
    events: dict[Event, int] = defaultdict(int)
    for piece, digest in read:
        events[digest.event] += len(piece)
    rationale, quotations = _rationale(text, read, comparison, before)
    digest = Digest(
        relevance=1.0,
        sentiment=round(sum(len(piece) * one.sentiment for piece, one in read) / total, 6),
        outlook=round(sum(len(piece) * one.outlook for piece, one in read) / total, 6),
        event=TOLD[item] if item in TOLD else max(sorted(events), key=lambda event: events[event]),
        rationale=rationale,
        quotations=quotations,
    )
    return checked(digest, text)


def words(text: str) -> int:
    """Number of words."""
    return len(WORD.findall(text))


def _rationale(
    text: str, read: Sequence[tuple[str, Digest]], comparison: Comparison | None, before: str
) -> tuple[str, tuple[str, ...]]:
    """What changed, or what is told where there is nothing to compare with, and the passages quoted."""
    if comparison is None:
        ranked = sorted(read, key=lambda one: -len(one[0]) * abs(one[1].sentiment))
        passages = [quotation for _, digest in ranked for quotation in digest.quotations]
        quotations = _standing(passages, text)
        return f"No earlier filing of the form to compare with.{_told(' It says', quotations)}", quotations
    added, dropped, edited = len(comparison.added), len(comparison.dropped), len(comparison.edited)
    changed = (
        f"Against the {before}: {added} sentence{'s' * (added != 1)} added, {dropped} dropped, {edited} edited, "
        f"{comparison.kept} kept (cosine {comparison.cosine:.3f}, Jaccard {comparison.jaccard:.3f})."
    )
    # The most telling first; where nothing has a tone, the longest.
    tones = {one: abs(tone_of(one).score) for one in comparison.news}
    ranked_news = sorted(comparison.news, key=lambda one: (-tones[one], -len(one)))
    quotations = _standing(ranked_news, text)
    return f"{changed}{_told(' New is', quotations)}", quotations


def _standing(passages: Sequence[str], text: str) -> tuple[str, ...]:
    """The first passages, shortened, that stand in the text."""
    short = list(dict.fromkeys(_shortened(passage) for passage in passages[: 4 * QUOTED]))
    absent = set(missing(short, text))
    return tuple(one for one in short if one not in absent)[:QUOTED]


def _shortened(passage: str) -> str:
    if len(passage) <= LONGEST_QUOTATION:
        return passage
    return passage[: max(passage.rfind(" ", 0, LONGEST_QUOTATION), 0)].rstrip()


def _told(begin: str, quotations: Sequence[str]) -> str:
    listed = " and ".join(f'"{quotation}"' for quotation in quotations)
    return f"{begin} {listed}." if listed else ""


def _parts(text: str, most: int) -> list[str]:
    """Paragraphs; those that do not fit in sentences, and those that do not in words, and those that do not cut."""
    parts: list[str] = []
    for paragraph in text.split("\n\n"):
        if len(paragraph) <= most:
            parts.append(paragraph)
            continue
        for sentence in sentences(paragraph):
            parts.extend(_cut(sentence, most))
    return parts


def _cut(sentence: str, most: int) -> list[str]:
    found = []
    while len(sentence) > most:
        at = sentence.rfind(" ", 1, most + 1)
        at = at if at > 0 else most
        found.append(sentence[:at])
        sentence = sentence[at:].lstrip()
    return [*found, sentence] if sentence else found
