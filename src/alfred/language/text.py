# ruff: noqa: RUF001, SIM905 -- marks as they are printed, words as they are read
"""What a digester reads: an article without markup, hidden characters or excess length, and its sentences.

The text is data. Nothing here looks for instructions in it; what could hide them from a person's eye is taken out.
"""

import html
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from alfred.core.errors import ConfigError
from alfred.language.contracts import Article

MOST_CHARACTERS = 20_000
"""Of an article's text; wire stories have 500 to 6,000."""
MOST_OF_TITLE = 300
RAW_PER_CHARACTER = 20
"""So much raw text is looked at for each character that may be kept: pages are mostly markup."""
ROUNDS = 3
"""Feeds escape markup once or twice: `&amp;lt;b&amp;gt;`."""

HIDDEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\ud800-\udfff\ue000-\uf8ff\ufe00-\ufe0f\ufeff\ufff0-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U0010ffff]"
)
"""Control, format (among them bidirectional and zero-width), surrogate and private characters, variation selectors."""
ALIKE = {0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl"} | {
    wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)
}
"""Ligatures out of typesetters and full-width letters. NFKC would do both, but turns 3½ into 31⁄2."""
TOKEN = re.compile(r"<!--|-->|</?[a-zA-Z][^<>]*>|<[!?][^<>]*>")
UNREAD = frozenset({"script", "style", "noscript", "template", "head", "iframe", "object", "svg"})
INLINE = frozenset("a abbr b bdi bdo big cite code em font i mark q s small span strong sub sup tt u".split())
ENDS_LINE = re.compile("\r\n?|[\x85\u2028\u2029]")
BLANKS = re.compile(r"[^\S\n]+")
BREAKS = re.compile(r" ?\n ?")
PARAGRAPH = re.compile(r"\n{2,}")
BULLET = re.compile(r"\n(?=[-*•▪‣–] |\(?\d{1,2}\) )")

END = re.compile(r"""[.!?][)\]"'”’]*(?=\s)|\n\n+""")
NEXT = re.compile(r"""\s+[("'“‘\[$€£]*(?:[A-Z0-9]|[^\W\d_a-z])""")
FOLLOWING = re.compile(r"\s+\W*(\w+)")
LAST_WORD = re.compile(r"([\w.&]+)\.$")
NEVER_LAST = frozenset(
    "mr mrs ms dr prof st gen sen rep gov vs no nos fig e.g i.e cf approx ca est adj incl excl messrs hon rev "
    "jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun".split()
)
"""Abbreviations that stand before something."""
MAY_BE_LAST = frozenset("inc corp co ltd llc plc l.p s.a n.v u.s u.k e.u u.n a.m p.m etc bros jr sr ph.d d.c".split())
"""Abbreviations that end a sentence only where a word follows that begins one."""
BEGINS = frozenset(
    "the a an it its in on at for but however this that these those we our they he she as after before while when "
    "shares revenue sales net profit earnings analysts management operating meanwhile separately both no all".split()
)


@dataclass(frozen=True)
class Reading:
    """What a digester sees of an article.

    Attributes:
        title: one line, possibly empty.
        text: paragraphs parted by an empty line, possibly empty.
    """

    title: str
    text: str

    @property
    def whole(self) -> str:
        """Title and text: where quotations have to occur."""
        return f"{self.title}\n\n{self.text}" if self.title and self.text else self.title or self.text


def read(article: Article, most_characters: int = MOST_CHARACTERS) -> Reading:
    """The article's title and text, cleaned and bounded."""
    title = " ".join(clean(article.title, MOST_OF_TITLE).split())
    return Reading(title, clean(article.text, most_characters))


def clean(raw: str, most_characters: int = MOST_CHARACTERS) -> str:
    """Plain text: no markup, no hidden characters, whitespace made one, at most `most_characters` long.

    A text that is too long ends at the last end of a sentence, or of a word, that fits. Markup whose end is missing
    hides nothing. Time grows with the length of `raw` alone.

    Raises:
        ConfigError: `most_characters` is not positive.
    """
    if most_characters < 1:
        raise ConfigError(f"a text needs room for 1 character at least, not {most_characters}.")
    text = _shown(raw[: most_characters * RAW_PER_CHARACTER])
    for _ in range(ROUNDS):
        bare = _shown(html.unescape(_without_markup(text)))
        if bare == text:
            break
        text = bare
    text = unicodedata.normalize("NFC", _without_markup(text))
    text = PARAGRAPH.sub("\n\n", BREAKS.sub("\n", BLANKS.sub(" ", ENDS_LINE.sub("\n", text)))).strip()
    return text if len(text) <= most_characters else _cut(text, most_characters)


def sentences(text: str) -> tuple[str, ...]:
    """The sentences of a cleaned text, in order, each as it stands there without blanks at its ends.

    A sentence ends at . ! or ? before a blank and a capital, figure or opening quotation mark, at an empty line, and
    before a bullet. Numbers (4.1, 1,200.50), initials and the usual abbreviations do not end one.
    """
    return tuple(found for part in BULLET.split(text) for one in _split(part) if (found := one.strip()))


def _shown(text: str) -> str:
    """The text without characters that nobody sees, and in ordinary letters."""
    return HIDDEN.sub("", text).translate(ALIKE)


def _split(text: str) -> Iterator[str]:
    begin = 0
    for end in END.finditer(text):
        if end.group().isspace() or (NEXT.match(text, end.end()) and not _abbreviated(text, begin, end)):
            yield text[begin : end.end()]
            begin = end.end()
    yield text[begin:]


def _abbreviated(text: str, begin: int, end: re.Match[str]) -> bool:
    """Whether the full stop belongs to an abbreviation and the sentence goes on."""
    if end.group() != ".":
        return False
    last = LAST_WORD.search(text, max(begin, end.start() - 12), end.end())
    if last is None:
        return False
    word = last.group(1).lower()
    if word in NEVER_LAST:
        return word != "no" or text[end.end() : end.end() + 9].lstrip()[:1].isdigit()
    if word in MAY_BE_LAST or re.fullmatch("[A-Z]", last.group(1)):
        following = FOLLOWING.match(text, end.end())
        return following is None or following.group(1).lower() not in BEGINS
    return False


def _without_markup(text: str) -> str:
    """Text outside tags, comments and elements that no reader sees; the end of a block ends a line."""
    if "<" not in text:
        return text
    tokens = list(TOKEN.finditer(text))
    last_end = {_name(token.group()): token.start() for token in tokens}
    kept, at, closing = [], 0, ""
    for token in tokens:
        name = _name(token.group())
        if closing:
            if name == closing:
                closing, at = "", token.end()
            continue
        kept.append(text[at : token.start()])
        at = token.end()
        wanted = "-->" if name == "<!--" else f"/{name}" if name in UNREAD else ""
        if wanted and last_end.get(wanted, -1) > token.start():
            closing = wanted
        elif name == "-->":
            kept.append("-->")
        elif name == "br":
            kept.append("\n")
        elif name.removeprefix("/") not in INLINE and name != "<!--":
            kept.append("\n\n")
    return "".join([*kept, text[at:]])


def _name(tag: str) -> str:
    """`p` of `<p class=x>`, `/p` of `</p>`; what is no element stays as it is."""
    found = re.match(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)", tag)
    return found.group(1) + found.group(2).lower() if found else tag


def _cut(text: str, most: int) -> str:
    """The longest beginning that ends with a sentence in its second half, else with a word."""
    ends = [end.end() for end in END.finditer(text, most // 2, most) if not end.group().isspace()]
    at = ends[-1] if ends else text.rfind(" ", most // 2, most)
    return text[: at if at > 0 else most].rstrip()
