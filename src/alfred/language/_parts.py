# ruff: noqa: RUF001 -- marks as they are printed
"""A sentence taken apart: its words with their roles, its figures, its clauses; words inside names have no role."""

import re
from dataclasses import dataclass, field

from alfred.language._book import MOST_WORDS, NOTHING, Word, book, first_words

TOKEN = re.compile(
    r"[-−]?[$€£]?\d[\d,]*(?:\.\d+)?(?:%|[a-z]{1,2}\b)?|vs\.|[^\W\d_]+(?:['’-][^\W\d_]+)*|[,;:()?–—]|-(?= )",
    re.IGNORECASE,
)
FIGURE = re.compile(r"([-−]?)([$€£]?)([\d,]*\d(?:\.\d+)?),?(%|[a-z]{0,2})$", re.IGNORECASE)
UNITS = {
    "million": 1e6, "mn": 1e6, "m": 1e6, "mln": 1e6, "billion": 1e9, "bn": 1e9, "b": 1e9, "thousand": 1e3, "k": 1e3,
    "trillion": 1e12, "cents": 0.01, "cent": 0.01, "percent": 1.0,
}  # fmt: skip
MARKS = frozenset(",;:()–—-")
SMALL_IN_NAMES = frozenset(("of", "and", "&", "the", "for"))
OWNS = frozenset(("its", "the", "their", "his", "her", "our", "a", "an"))
BEFORE_BUT = 0.4
AFTER_THOUGH = 0.3
LONGEST = 400
"""Words of a sentence that are looked at; longer ones are lists and tables."""


@dataclass
class Sentence:
    """Words with their roles, and what was made of them.

    Attributes:
        texts, words: K words or phrases in small letters, and their roles.
        figures: value and whether it is a percentage; None where the word is no figure.
        parts: number of the clause.
        weights: of the clause.
        used: positions that have counted.
        cues: positions and their tones.
    """

    texts: list[str]
    words: list[Word]
    figures: list[tuple[float, bool] | None]
    parts: list[int]
    weights: list[float]
    used: set[int] = field(default_factory=set)
    cues: list[tuple[int, float]] = field(default_factory=list)

    def add(self, at: int, value: float, *, of: tuple[int, ...] = ()) -> None:
        """A tone at a position, which uses up others."""
        self.cues.append((at, value))
        self.used.update((at, *of))


def take_apart(sentence: str) -> Sentence:
    """The sentence's first `LONGEST` words and marks."""
    tokens = TOKEN.findall(sentence)[:LONGEST]
    lower = [token.lower().replace("’", "'") for token in tokens]
    named = _names(tokens)
    texts: list[str] = []
    words: list[Word] = []
    figures: list[tuple[float, bool] | None] = []
    at = 0
    while at < len(tokens):
        word, length = (NOTHING, 1) if at in named else _look_up(lower, at)
        texts.append(lower[at] if length == 1 else " ".join(lower[at : at + length]))
        words.append(word)
        figures.append(_figure(lower, at) if lower[at][-1].isdigit() or lower[at][0] in "-−$€£0123456789" else None)
        at += length
    _forget_parentheses(texts, figures)
    parts, weights = _clauses(texts, words)
    return Sentence(texts, words, figures, parts, weights)


def _look_up(lower: list[str], at: int) -> tuple[Word, int]:
    """The longest entry of the book that begins here, and its number of words."""
    entries = book()
    if lower[at] in first_words():
        for length in range(min(MOST_WORDS, len(lower) - at), 1, -1):
            found = entries.get(tuple(lower[at : at + length]))
            if found is not None:
                return found, length
    text = lower[at].removesuffix("'s").removesuffix("'")
    found = entries.get((text,))
    return (NOTHING if found is None else found), 1


def _names(tokens: list[str]) -> set[int]:
    """Positions inside names: two or more capitalised words in a row; none in a headline, where all long words are."""
    capital = [token[0].isupper() and not token.isupper() for token in tokens]
    if sum(capital) < 2 or not any(token.islower() and len(token) > 4 for token in tokens):
        return set()
    found: set[int] = set()
    begin = 0
    while begin < len(tokens):
        end = begin
        while end < len(tokens) and (
            capital[end]
            or (end > begin and tokens[end] in SMALL_IN_NAMES and end + 1 < len(tokens) and capital[end + 1])
        ):
            end += 1
        run = range(begin, end)
        if run and tokens[begin].lower() in OWNS:
            run = range(begin + 1, end)
        if len(run) >= 2:
            found.update(run)
        begin = max(end, begin + 1)
    return found


def _figure(lower: list[str], at: int) -> tuple[float, bool] | None:
    """(value, whether it is a percentage) of a figure; None for a year and for what is none."""
    parts = FIGURE.match(lower[at])
    if parts is None:
        return None
    sign, currency, digits, unit = parts.groups()
    after = lower[at + 1] if at + 1 < len(lower) else ""
    unit = unit or (after if after in UNITS else "")
    value = float(digits.replace(",", ""))
    if not (unit or currency) and digits.isdigit() and 1900 <= value < 2100:
        return None
    return (-value if sign else value) * UNITS.get(unit, 1.0), unit in {"%", "percent"}


def _forget_parentheses(texts: list[str], figures: list[tuple[float, bool] | None]) -> None:
    """Figures in parentheses repeat others in another currency, or a year's."""
    inside = False
    for at, text in enumerate(texts):
        inside = (inside or text == "(") and text != ")"
        if inside:
            figures[at] = None


def _clauses(texts: list[str], words: list[Word]) -> tuple[list[int], list[float]]:
    """Number of the clause, and weight, of each word."""
    parts: list[int] = []
    weights: list[float] = []
    part, though = 0, False
    for text, word in zip(texts, words, strict=True):
        if text in MARKS or word.clause in {"but", "though"}:
            part += 1
            though = word.clause == "though" or (though and text not in MARKS and word.clause != "but")
        if word.clause == "but":
            weights = [BEFORE_BUT * weight for weight in weights]
        parts.append(part)
        weights.append(AFTER_THOUGH if though else 1.0)
    return parts, weights
