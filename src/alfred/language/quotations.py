# ruff: noqa: RUF001 -- marks as they are printed
"""Whether a quotation occurs in a text: the guard against rationales that a model made up.

Differences that typesetting makes do not count: kinds of blanks, quotation marks, dashes, dots of an ellipsis, and
capitals. A quotation is whole words and whole numbers: "5" does not occur in "4.5".
"""

import re
from collections.abc import Iterable

from alfred.core.errors import DigestError
from alfred.language.contracts import Digest

ALIKE = str.maketrans(
    dict.fromkeys("‘’‚‛′`´", "'") | dict.fromkeys("“”„‟«»″", '"') | dict.fromkeys("‐‑‒–—―−", "-") | {"…": "..."}
)
BLANKS = re.compile(r"\s+")
AROUND = " \"'.,;:"
"""Stripped at both ends of a quotation: marks that whoever quotes puts around it."""
SHOWN = 80


def occurs(quotation: str, text: str) -> bool:
    """Whether the quotation stands in the text; one without a letter or figure stands nowhere."""
    return _occurs(quotation, _normal(text))


def missing(quotations: Iterable[str], text: str) -> tuple[str, ...]:
    """Those that do not occur in the text, in their order."""
    normal = _normal(text)
    return tuple(quotation for quotation in quotations if not _occurs(quotation, normal))


def checked(digest: Digest, text: str) -> Digest:
    """The digest itself, when each of its quotations occurs in the text that was read.

    Raises:
        DigestError: one does not; the message shows the first of them.
    """
    absent = missing(digest.quotations, text)
    if absent:
        first = absent[0] if len(absent[0]) <= SHOWN else absent[0][:SHOWN] + "..."
        raise DigestError(
            f"{len(absent)} of {len(digest.quotations)} quotations do not occur in the text, first {first!r}; "
            "the digest is refused."
        )
    return digest


def _normal(text: str) -> str:
    return BLANKS.sub(" ", text.translate(ALIKE)).casefold()


def _occurs(quotation: str, normal: str) -> bool:
    wanted = _normal(quotation).strip(AROUND)
    if not any(letter.isalnum() for letter in wanted):
        return False
    at = normal.find(wanted)
    while at >= 0:
        if _whole(normal, at, at + len(wanted)):
            return True
        at = normal.find(wanted, at + 1)
    return False


def _whole(text: str, begin: int, end: int) -> bool:
    """Whether text[begin:end] cuts no word and no number in two."""
    return _parted(text[max(begin - 2, 0) : begin][::-1], text[begin]) and _parted(text[end : end + 2], text[end - 1])


def _parted(outside: str, edge: str) -> bool:
    """Whether a word or number that has `edge` at its end stops there; `outside` goes away from it."""
    if not edge.isalnum() or not outside:
        return True
    if outside[0].isalnum():
        return False
    return not (edge.isdigit() and outside[0] in ".," and outside[1:].isdigit())
