# ruff: noqa: RUF001 -- marks as they are printed
"""Sections of 10-K, 10-Q and 8-K in the text of a filing: risk factors, management's discussion, reported events.

Headings come several times: in the table of contents, as running heads, in references. The sections are those of the
sequence of headings in the form's order that has the most text between them; entries of a table of contents have next
to none. Rows of tables, numbers of pages and running heads are left out: what stays is prose.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from alfred.language._headings import END, EVENTS, ITEM, PART, PERIODIC, Form, item_of
from alfred.language.text import clean

LONGEST_FILING = 4_000_000
LEAST_WORDS = 5
"""A heading with fewer words up to the next is an entry of a table, or an item of which nothing is told."""
OFTEN = 4
"""Short lines that come so many times are heads or feet of pages."""
LONGEST_HEAD = 90
MOST_FIGURES = 0.15
"""Share of figures among letters and figures from which a line that is no sentence is a row of a table."""

WORD = re.compile(r"[^\W\d_]{2,}")
NO_TEXT = re.compile(
    r"^\W*(?:table\s+of\s+contents|index|page)?\W*(?:[a-z]-)?(?:\d{1,4}|[ivxl]{1,6})?\W*$", re.IGNORECASE
)
SENTENCE_ENDS = re.compile(r"[.!?:;][)\"'”’]*$")


@dataclass(frozen=True)
class Section:
    """One item of a filing.

    Attributes:
        item: its code: "1", "1A", "7", "7A" of a 10-K; "I-2", "II-1A" of a 10-Q; "2.02" of an 8-K.
        text: its prose, paragraphs parted by an empty line, without its heading; not empty.
    """

    item: str
    text: str


@dataclass(frozen=True)
class _Heading:
    """A line that looks like a heading.

    Attributes:
        item: its code.
        at: its place among the lines.
        text: first line of what stands below it.
        begins: text in the heading's own line.
        words: up to the next such line.
    """

    item: str
    at: int
    text: int
    begins: str = ""
    words: int = 0


def sections_of(form: Form, text: str) -> dict[str, Section]:
    """Items of a filing that have a text, by their code, in the form's order.

    Args:
        form: of the filing; items of other forms are not looked for.
        text: of its main document, with a paragraph a line, or paragraphs parted by empty lines.
    """
    lines = paragraphs(clean(text, LONGEST_FILING))
    order = (*EVENTS, END) if form == "8-K" else (*(item.code for item in PERIODIC[form]), END)
    rank = {code: at for at, code in enumerate(order)}
    found = _bodies(form, lines, rank, alone=False)
    if form != "8-K" and not {"1A", "7", "I-2", "II-1A"} & set(found):
        found = _bodies(form, lines, rank, alone=True)
    heads = _heads(lines)
    kept = {code: "\n\n".join(prose) for code, body in found.items() if (prose := _prose(body, heads))}
    return {code: Section(code, kept[code]) for code in sorted(kept, key=rank.__getitem__) if code != END}


def paragraphs(text: str) -> list[str]:
    """Paragraphs of a cleaned text, each in one line.

    Where empty lines part paragraphs, other ends of lines are a typewriter's; rows of a table of contents and a
    heading above its text stay lines of their own.
    """
    if "\n\n" not in text:
        return [line for line in text.split("\n") if line]
    return [paragraph for block in text.split("\n\n") for paragraph in _unwrapped(block.split("\n"))]


def _unwrapped(lines: Sequence[str]) -> Iterator[str]:
    items = [at for at, line in enumerate(lines) if ITEM.match(line) or PART.match(line)]
    if not items or (items[0] > 0 and len(items) < 2):
        yield " ".join(lines)
        return
    bounds = [0, *(at for at in items if at), len(lines)] if len(items) > 1 else [0, 1, len(lines)]
    yield from (" ".join(lines[begin:end]) for begin, end in itertools.pairwise(bounds) if end > begin)


def _bodies(form: Form, lines: Sequence[str], rank: dict[str, int], *, alone: bool) -> dict[str, list[str]]:
    """Lines of each item that was found, the longest where it was found several times."""
    every = _headings(form, lines, alone=alone)
    chain = every if form == "8-K" else _sequence([one for one in every if one.words >= LEAST_WORDS], rank)
    bodies: dict[str, list[str]] = {}
    for at, heading in enumerate(chain):
        if at and chain[at - 1].item == heading.item and form != "8-K" and not _between(every, chain[at - 1], heading):
            continue  # a running head, whose text the section before has taken
        follows = next(
            (one for one in chain[at + 1 :] if one.item != heading.item or _between(every, heading, one)), None
        )
        end = _without_empty_items(every, heading, follows.at if follows else len(lines))
        again = {line for one in every if one.item == heading.item for line in range(one.at, one.text)}
        body = [heading.begins, *(lines[line] for line in range(heading.text, end) if line not in again)]
        if _words(body) > _words(bodies.get(heading.item, ())):
            bodies[heading.item] = body
    return bodies


def _headings(form: Form, lines: Sequence[str], *, alone: bool) -> list[_Heading]:
    headings = []
    for at, line in enumerate(lines):
        following = lines[at + 1] if at + 1 < len(lines) else ""
        item = item_of(form, line, following, alone=alone)
        if item is not None:
            headings.append(_Heading(item[0], at, at + item[2], item[1]))
    ends = [*(one.at for one in headings), len(lines)][1:]
    return [
        replace(one, words=_words([one.begins, *lines[one.text : end]]))
        for one, end in zip(headings, ends, strict=False)
    ]


def _sequence(headings: Sequence[_Heading], rank: dict[str, int]) -> list[_Heading]:
    """The headings in the form's order with the most words below them; of those alike the earliest."""
    best: list[tuple[int, int]] = []
    for at, heading in enumerate(headings):
        before = [(best[k][0], -k) for k in range(at) if rank[headings[k].item] <= rank[heading.item]]
        words, k = max(before, default=(0, 1))
        best.append((words + heading.words, -k))
    chain = []
    at = max(range(len(best)), key=lambda k: (best[k][0], -k), default=-1)
    while at >= 0:
        chain.append(headings[at])
        at = best[at][1]
    return chain[::-1]


def _between(every: Sequence[_Heading], first: _Heading, second: _Heading) -> bool:
    """Whether headings of other items stand between two."""
    return any(first.at < one.at < second.at and one.item != first.item for one in every)


def _without_empty_items(every: Sequence[_Heading], heading: _Heading, end: int) -> int:
    """Where the body ends when items without a text, such as "7A. Not applicable", stand at its end."""
    for one in reversed([one for one in every if heading.at < one.at < end and one.item != heading.item]):
        if one.words >= LEAST_WORDS:
            break
        end = one.at
    return end


def _heads(lines: Sequence[str]) -> frozenset[str]:
    """Short lines that are on page after page, with their numbers taken out."""
    short = (_bare(line) for line in lines if len(line) <= LONGEST_HEAD and not SENTENCE_ENDS.search(line))
    return frozenset(line for line, times in Counter(short).items() if times >= OFTEN and line)


def _prose(lines: Sequence[str], heads: frozenset[str]) -> list[str]:
    return [
        line
        for line in lines
        if line.strip()
        and not NO_TEXT.match(line)
        and not PART.match(line)
        and not _is_row(line)
        and not (len(line) <= LONGEST_HEAD and _bare(line) in heads)
    ]


def _is_row(line: str) -> bool:
    if SENTENCE_ENDS.search(line):
        return False
    figures, letters = sum(one.isdigit() for one in line), sum(one.isalpha() for one in line)
    return figures > MOST_FIGURES * (figures + letters)


def _bare(line: str) -> str:
    return re.sub(r"[\d\W_]+", " ", line).strip().casefold()


def _words(lines: Sequence[str]) -> int:
    return sum(len(WORD.findall(line)) for line in lines)
