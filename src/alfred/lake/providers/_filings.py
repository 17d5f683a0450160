"""The SEC's index of a company's filings, when each became public, and the text of a filing's main document."""

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

from alfred.core.errors import DataError
from alfred.lake.known import known_next_session

NEW_YORK = ZoneInfo("America/New_York")
# EDGAR takes filings from 6:00 to 22:00 New York time; half an hour is left for queues.
NIGHT_BEGINS, NIGHT_ENDS = dt.time(22, 30), dt.time(5, 30)
RELEASED = dt.time(6, 0)
COLUMNS = ("accessionNumber", "form", "filingDate", "reportDate", "acceptanceDateTime", "primaryDocument")


@dataclass(frozen=True)
class Filing:
    """One filing. `accepted` is None where the index has no time; `reported` where it has no period."""

    accession: str
    form: str
    filed: dt.date
    reported: dt.date | None
    accepted: dt.datetime | None
    document: str

    @property
    def known_at(self) -> dt.datetime:
        """When it could be read: at its acceptance, but not before 6:00 in New York on its filing date.

        What is accepted in the evening often carries the next business day's filing date and is released then.
        Without a time of acceptance it counts from the session after its filing date.
        """
        if self.accepted is None:
            return known_next_session(self.filed)
        return max(self.accepted, dt.datetime.combine(self.filed, RELEASED, NEW_YORK).astimezone(dt.UTC))


def read_filings(pages: Iterable[Mapping[str, Any]], company: str) -> tuple[Filing, ...]:
    """Filings of the index's pages, oldest first, each accession once.

    Args:
        pages: objects of equally long columns, as `filings.recent` and the older pages are.
        company: for the errors.

    Raises:
        DataError: a page lacks a column, or its columns differ in length, or a row has no filing date.
    """
    rows = [row for page in pages for row in _rows(page, company)]
    in_utc = times_are_utc(stamp for row in rows if (stamp := _stamp(row["acceptanceDateTime"])))
    filings = {row["accessionNumber"]: _filing(row, in_utc, company) for row in rows}
    return tuple(sorted(filings.values(), key=lambda filing: (filing.known_at, filing.accession)))


def times_are_utc(stamps: Iterable[dt.datetime]) -> bool:
    """Whether a company's times of acceptance are in UTC, as their Z says, or New York's clock with a Z behind it.

    Both occur: most companies' are UTC, about a fifth are New York's, and a company's are all of one kind. A time that
    would fall into New York's night, when nothing is accepted, tells which. They count as UTC if at least one time can
    only be that and none can only be New York's. Otherwise the New York clock is assumed: it is the later reading, so
    that a filing may be dated up to five hours too late but never too early.
    """
    only_utc = only_new_york = False
    for stamp in stamps:
        as_new_york = _at_night(stamp.time())
        as_utc = _at_night(stamp.replace(tzinfo=dt.UTC).astimezone(NEW_YORK).time())
        only_utc |= as_new_york and not as_utc
        only_new_york |= as_utc and not as_new_york
    return only_utc and not only_new_york


def plain_text(document: str) -> str:
    """Text of an HTML or plain document: one paragraph or table row a line, without scripts, styles and hidden parts.

    Inline XBRL hides a block of figures in `ix:header`; it goes too.
    """
    if "<html" not in document[:5000].lower() and "<body" not in document.lower():
        return _tidy(document)
    reader = _TextOfHtml()
    reader.feed(document)
    reader.close()
    return re.sub(r"\n+", "\n", _tidy("".join(reader.parts)))


def _rows(page: Mapping[str, Any], company: str) -> Iterator[dict[str, str]]:
    absent = [name for name in COLUMNS if not isinstance(page.get(name), list)]
    if absent:
        raise DataError(f"the SEC's index of {company}'s filings lacks the column {absent[0]!r}.")
    if len({len(page[name]) for name in COLUMNS}) > 1:
        raise DataError(f"the columns of the SEC's index of {company}'s filings differ in length.")
    for values in zip(*(page[name] for name in COLUMNS), strict=True):
        yield {name: str(value or "") for name, value in zip(COLUMNS, values, strict=True)}


def _filing(row: Mapping[str, str], in_utc: bool, company: str) -> Filing:
    try:
        filed = dt.date.fromisoformat(row["filingDate"])
        reported = dt.date.fromisoformat(row["reportDate"]) if row["reportDate"] else None
    except ValueError as error:
        raise DataError(f"filing {row['accessionNumber']} of {company} has no usable date: {error}.") from error
    stamp = _stamp(row["acceptanceDateTime"])
    accepted = stamp and stamp.replace(tzinfo=dt.UTC if in_utc else NEW_YORK).astimezone(dt.UTC)
    return Filing(row["accessionNumber"], row["form"], filed, reported, accepted, row["primaryDocument"])


def _stamp(text: str) -> dt.datetime | None:
    """The time as written, its zone dropped; None for anything that is no time."""
    try:
        return dt.datetime.fromisoformat(text).replace(tzinfo=None) if len(text) > len("2020-01-01") else None
    except ValueError:
        return None


def _at_night(time: dt.time) -> bool:
    return time >= NIGHT_BEGINS or time < NIGHT_ENDS


def _tidy(text: str) -> str:
    lines = (re.sub(r"[ \t\r\f\v\u00a0\u200b]+", " ", line).strip() for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _TextOfHtml(HTMLParser):
    """Collects text; while inside a dropped element it only counts that element's own nesting."""

    DROPPED = frozenset({"script", "style", "head", "ix:header", "noscript", "template"})
    BLOCKS = frozenset(
        {"p", "div", "tr", "table", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "li", "ul", "ol", "title", "pre"}
        | {"section", "article", "header", "footer", "blockquote"}
    )
    VOID = frozenset({"br", "hr", "img", "input", "meta", "link", "area", "base", "col", "embed", "source", "wbr"})
    HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._dropping, self._depth = "", 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._dropping:
            self._depth += tag == self._dropping
        elif tag in self.DROPPED or (tag not in self.VOID and self.HIDDEN.search(dict(attrs).get("style") or "")):
            self._dropping, self._depth = tag, 1
        elif tag in self.BLOCKS:
            self.parts.append("\n")
        elif tag in {"td", "th"}:
            self.parts.append(" ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        if not self._dropping and tag in self.BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if self._dropping:
            self._depth -= tag == self._dropping
            self._dropping = self._dropping if self._depth else ""
        elif tag in self.BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._dropping:
            # A line break in the source of an HTML page is a blank, not the end of a line.
            self.parts.append(data.replace("\n", " "))
