# ruff: noqa: RUF001, SIM905 -- marks as they are printed, words as they are read
"""The tone of one sentence, by words and a few rules of how sentences of finance are built.

In order: figures that are compared, yardsticks that are beaten or missed, things that go up or down, then words with a
tone of their own. Each word counts once. A negation turns what follows in its clause; "although" and "but" weigh the
clauses around them; words inside a name ("Good Growth Holdings") do not count.
"""

import math
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
BE = frozenset("is are was were be been being remain remained remains stay stayed came come were".split())
OWNS = frozenset(("its", "the", "their", "his", "her", "our", "a", "an"))
HOPS = frozenset(("of", "in", "on", "for", "from", "by"))
SMALL_IN_NAMES = frozenset(("of", "and", "&", "the", "for"))

MOVES = 0.8
COMPARED = 0.8
MEASURED = 0.9
LONE_DIRECTION = 0.4
NONE_OF = 0.45
TURNED = -0.8
BEFORE_BUT = 0.4
AFTER_THOUGH = 0.3
DEFUSED = 0.3
DEFINING = 0.2
ASKING = 0.3
LONGEST = 400
"""Words of a sentence that are looked at; longer ones are lists and tables."""


@dataclass(frozen=True)
class Tone:
    """Of a sentence.

    Attributes:
        score: -1 to 1; 0 where nothing in it has a tone.
        forward: whether it speaks of what is to come.
    """

    score: float
    forward: bool


@dataclass
class _Sentence:
    """Words with their roles, while they are being read."""

    texts: list[str]
    words: list[Word]
    figures: list[tuple[float, bool] | None]
    parts: list[int]
    weights: list[float]
    used: set[int] = field(default_factory=set)
    cues: list[tuple[int, float]] = field(default_factory=list)

    def add(self, at: int, value: float, *, of: tuple[int, ...] = ()) -> None:
        self.cues.append((at, value))
        self.used.update((at, *of))


def tone_of(sentence: str) -> Tone:
    """Tone of a sentence; a function of its words alone."""
    read = _read(sentence)
    forward = any(word.forward for word in read.words)
    _compare_figures(read)
    _compare_yardsticks(read)
    _find_movers(read)
    _count_words(read)
    total = sum(
        _turned(read, at, value) * read.weights[at] * (DEFUSED if value < 0 and _defused(read, at) else 1.0)
        for at, value in read.cues
    )
    return Tone(round(math.tanh(total * _whole_weight(read, sentence)), 6), forward)


def speaks_of_the_future(sentence: str) -> bool:
    """Whether a sentence speaks of what is to come."""
    return any(word.forward for word in _read(sentence).words)


def _read(sentence: str) -> _Sentence:
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
    parts, weights = _clauses(texts, words)
    return _Sentence(texts, words, figures, parts, weights)


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


def _compare_figures(read: _Sentence) -> None:
    """'profit was 4.1m, compared with 3.8m', 'to 4.1m from 3.8m', 'from 3.8m to 4.1m'."""
    for at, word in enumerate(read.words):
        if not word.compares:
            continue
        old = _next_figure(read, at, at + 7)
        new = _last_figure(read, at, at - 6)
        if old is not None and new is None and read.texts[at] == "from" and "to" in read.texts[old : old + 4]:
            new = _next_figure(read, read.texts.index("to", old), old + 6)
        if old is None or new is None:
            continue
        (before, before_share), (now, now_share) = read.figures[old] or (0.0, False), read.figures[new] or (0.0, False)
        thing = _thing_before(read, min(new, at), 14)
        if thing is None or before_share != now_share:
            continue
        moved = [k for k in range(thing, max(old, new)) if read.words[k].direction]
        if now != before:
            read.add(thing, COMPARED * math.copysign(1, now - before) * read.words[thing].thing, of=(at, *moved))


def _next_figure(read: _Sentence, begin: int, end: int) -> int | None:
    return next((k for k in range(begin + 1, min(end + 1, len(read.texts))) if read.figures[k] is not None), None)


def _last_figure(read: _Sentence, begin: int, end: int) -> int | None:
    return next((k for k in range(begin - 1, max(end - 1, -1), -1) if read.figures[k] is not None), None)


def _compare_yardsticks(read: _Sentence) -> None:
    """'beat estimates', 'below the consensus of', 'smaller than feared'."""
    for at, word in enumerate(read.words):
        if not word.than:
            continue
        reach = range(at + 1, min(at + 9, len(read.words)))
        yard = next((k for k in reach if read.words[k].yardstick and read.words[k].clause != "but"), None)
        if yard is None:
            continue
        sign = 1 if word.than > 0 else -1
        spent: tuple[int, ...] = (yard,)
        if abs(word.than) > 1 and read.words[yard].yardstick == 2:
            sign = -sign
        elif abs(word.than) > 1:
            left = _event_before(read, at)
            if left is not None:
                sign, spent = (sign * left[1], (yard, *left[0]))
            elif abs(word.than) == 3:
                continue
        if read.words[yard].yardstick == 2:
            spent = (yard, *range(max(at - 8, 0), at))
        read.add(at, MEASURED * sign, of=spent)


def _event_before(read: _Sentence, at: int) -> tuple[tuple[int, ...], int] | None:
    """Positions and sign of the nearest thing to the left and of a noun that moves it ("the rise in costs")."""
    thing = _thing_before(read, at, 12)
    if thing is None:
        return None
    sign = read.words[thing].thing
    for k in range(max(thing - 4, 0), thing):
        if read.words[k].direction and read.texts[min(k + 1, thing)] in {"in", "of"}:
            return (k, thing), sign * read.words[k].direction
    return (thing,), sign


def _thing_before(read: _Sentence, at: int, reach: int) -> int | None:
    """The nearest thing to the left; of "return on sales" the head."""
    for k in range(at - 1, max(at - reach - 1, -1), -1):
        if read.words[k].thing:
            head = k
            for step in (2, 3):
                if k - step >= 0 and read.texts[k - step + 1] in HOPS and read.words[k - step].thing:
                    head = k - step
            return head
    return None


def _thing_after(read: _Sentence, at: int, reach: int) -> int | None:
    """The next thing to the right in the clause; of "holiday sales" the last of things in a row."""
    for k in range(at + 1, min(at + reach + 1, len(read.words))):
        if read.parts[k] != read.parts[at]:
            return None
        if read.words[k].thing and k not in read.used:
            last = k
            while last + 1 < len(read.words) and read.words[last + 1].thing and read.parts[last + 1] == read.parts[at]:
                last += 1
            return last
    return None


def _find_movers(read: _Sentence) -> None:
    """'costs rose', 'cut its forecast', 'lower expenses', 'growth in orders'."""
    for at, word in enumerate(read.words):
        if not word.direction or at in read.used:
            continue
        thing = _moved(read, at, word)
        if thing is not None:
            read.add(at, MOVES * word.direction * _sign_of(read, thing), of=(thing,))
        elif not word.tone and word.finds in {"before", "either"}:
            read.add(at, LONE_DIRECTION * word.direction)


def _sign_of(read: _Sentence, thing: int) -> int:
    """Whether it is good that the thing goes up. Growth that moves ("cost growth slowed") counts by what grows."""
    growing = [value for at, value in read.cues if at == thing] if read.words[thing].direction else []
    if not growing:
        return read.words[thing].thing
    read.cues = [(at, value) for at, value in read.cues if at != thing]
    return 1 if growing[0] > 0 else -1


def _moved(read: _Sentence, at: int, word: Word) -> int | None:
    """Where the thing stands that a word moves."""
    texts = read.texts
    following = texts[at + 1] if at + 1 < len(texts) else ""
    passive = any(text in BE for text in texts[max(at - 3, 0) : at])
    if following in {"in", "of"} and (found := _thing_after(read, at, 6)) is not None:
        return found
    if word.finds == "beside":
        return _thing_before(read, at, 6) if passive else _thing_after(read, at, 4)
    if word.finds == "object":
        return _thing_before(read, at, 8) if passive else _thing_after(read, at, 7)
    if word.finds == "either" and following in OWNS and (found := _thing_after(read, at, 5)) is not None:
        return found
    left = _thing_before(read, at, 9)
    return left if left is not None or word.finds == "before" else _thing_after(read, at, 6)


def _count_words(read: _Sentence) -> None:
    """Words with a tone of their own, and things of which there are none."""
    for at, word in enumerate(read.words):
        if at in read.used:
            continue
        if word.tone and not (word.tone > 0 and _praises_bad(read, at)):
            read.add(at, word.tone)
        elif word.thing and any(read.words[k].nothing_of for k in range(max(at - 2, 0), at)):
            read.add(at, word.thing * NONE_OF / -TURNED)


def _praises_bad(read: _Sentence, at: int) -> bool:
    """Whether a good word only says how large something bad is: "record loss", "strong decline"."""
    beside = read.words[at + 1 : at + 2]
    return not read.words[at].thing and any(word.tone < 0 or word.thing < 0 or word.direction < 0 for word in beside)


def _defused(read: _Sentence, at: int) -> bool:
    """Whether something bad is named only to say that it did no harm: "the outage did not hurt sales"."""
    return read.words[at].thing < 0 and any(
        other > at and value < 0 < _turned(read, other, value) and read.parts[other] == read.parts[at]
        for other, value in read.cues
    )


def _turned(read: _Sentence, at: int, value: float) -> float:
    """The value behind a negation and with what scales it in its clause."""
    for k in range(at - 1, max(at - 9, -1), -1):
        if read.parts[k] != read.parts[at] or read.texts[k] == "and":
            break
        if read.words[k].negates:
            value = TURNED * value if read.words[k].negates == 1 else min(value, TURNED * value)
            break
    else:
        k = at
    if read.words[at].thing > 0 and any(word.negates == 1 for word in read.words[at + 1 : at + 4]):
        value = min(value, TURNED * value)
    for k in range(max(at - 2, 0), min(at + 3, len(read.words))):
        if read.words[k].scales and read.parts[k] == read.parts[at]:
            value *= read.words[k].scales
    return value


def _whole_weight(read: _Sentence, sentence: str) -> float:
    weight = ASKING if sentence.rstrip().endswith("?") else 1.0
    for at, word in enumerate(read.words):
        if word.clause == "offset":
            weight *= 0.6 if at and read.words[at - 1].scales == 0.6 else 0.0
        elif word.clause == "defines":
            weight *= DEFINING
    return weight
