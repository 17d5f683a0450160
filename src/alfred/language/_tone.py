# ruff: noqa: RUF001, SIM905 -- marks as they are printed, words as running text
"""The tone of one sentence, by words and a few rules of how sentences of finance are built.

In order: figures that are compared, yardsticks that are beaten or missed, things that go up or down, then words with a
tone of their own. Each word counts once. A negation turns what follows in its clause; "although" and "but" weigh the
clauses around them; words inside a name ("Good Growth Holdings") do not count.
"""

import math
from dataclasses import dataclass

from alfred.language._book import Word
from alfred.language._parts import OWNS, Sentence, take_apart

BE = frozenset("is are was were be been being remain remains remained stay stays stayed come comes came".split())
HOPS = frozenset(("of", "in", "on", "for", "from", "by", "per"))
ADVERBS = frozenset(("up", "down"))
MOVES = 0.8
COMPARED = 0.8
MEASURED = 0.9
LONE_DIRECTION = 0.4
NONE_OF = 0.45
TURNED = -0.8
DEFUSED = 0.3
DEFINING = 0.2
ASKING = 0.3


@dataclass(frozen=True)
class Tone:
    """Of a sentence.

    Attributes:
        score: -1 to 1; 0 where nothing in it has a tone.
        forward: whether it speaks of what is to come.
    """

    score: float
    forward: bool


def tone_of(sentence: str) -> Tone:
    """Tone of a sentence; a function of its words alone."""
    read = take_apart(sentence)
    forward = any(word.forward for word in read.words)
    _compare_figures(read)
    _compare_yardsticks(read)
    _find_movers(read)
    _count_words(read)
    turned = [(at, _turned(read, at, value)) for at, value in read.cues]
    harmless = [at for (at, value), (_, after) in zip(read.cues, turned, strict=True) if value < 0 < after]
    total = sum(
        value * read.weights[at] * (DEFUSED if value < 0 and _defused(read, at, harmless) else 1.0)
        for at, value in turned
    )
    return Tone(round(math.tanh(total * _whole_weight(read, sentence)), 6), forward)


def speaks_of_the_future(sentence: str) -> bool:
    """Whether a sentence speaks of what is to come."""
    return any(word.forward for word in take_apart(sentence).words)


def _compare_figures(read: Sentence) -> None:
    """'profit was 4.1m, compared with 3.8m', 'to 4.1m from 3.8m', 'from 3.8m to 4.1m', 'a profit against a loss'."""
    for at, word in enumerate(read.words):
        if not word.compares:
            continue
        old = _next_figure(read, at, at + 7)
        new = _last_figure(read, at, at - 9)
        if old is not None and new is None and read.texts[at] == "from" and "to" in read.texts[old : old + 4]:
            new = _next_figure(read, read.texts.index("to", old), old + 6)
        if old is None or new is None:
            continue
        thing = _thing_before(read, min(new, at), 14)
        if thing is None:
            thing = next((k for k in range(new, at) if read.words[k].thing), None)
        if thing is not None:
            _weigh_figures(read, thing, new, at, old)


def _weigh_figures(read: Sentence, thing: int, new: int, at: int, old: int) -> None:
    """The cue of a thing that was `old` and is `new`, parted by the word at `at`; all in between is used up."""
    (before, before_share), (now, now_share) = read.figures[old] or (0.0, False), read.figures[new] or (0.0, False)
    if before_share != now_share:
        return
    sign = read.words[thing].thing
    other = next((read.words[k].thing for k in range(at + 1, old) if read.words[k].thing), sign)
    low = _last_figure(read, new, new - 4) if read.texts[new - 1] in {"to", "and", "-", "–"} else None
    in_range = low is not None and low != old and (read.figures[low] or (now, False))[0] <= before <= now
    rise = 0.0 if in_range or now == before else math.copysign(1, now - before)
    spent = [k for k in range(thing, max(old, new)) if read.words[k].direction or (k > at and read.words[k].thing)]
    if other != sign:
        read.add(thing, COMPARED * sign, of=(at, *spent))
    elif rise:
        read.add(thing, COMPARED * rise * sign, of=(at, *spent))
    elif in_range:
        read.used.update((thing, at, *spent))


def _next_figure(read: Sentence, begin: int, end: int) -> int | None:
    return next((k for k in range(begin + 1, min(end + 1, len(read.texts))) if read.figures[k] is not None), None)


def _last_figure(read: Sentence, begin: int, end: int) -> int | None:
    return next((k for k in range(begin - 1, max(end - 1, -1), -1) if read.figures[k] is not None), None)


def _compare_yardsticks(read: Sentence) -> None:
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


def _event_before(read: Sentence, at: int) -> tuple[tuple[int, ...], int] | None:
    """Positions and sign of the nearest thing to the left and of a noun that moves it ("the rise in costs")."""
    thing = _thing_before(read, at, 12)
    if thing is None:
        return None
    sign = read.words[thing].thing
    for k in range(max(thing - 4, 0), thing):
        if read.words[k].direction and read.texts[min(k + 1, thing)] in {"in", "of"}:
            return (k, thing), sign * read.words[k].direction
    return (thing,), sign


def _thing_before(read: Sentence, at: int, reach: int) -> int | None:
    """The nearest thing to the left; of "return on sales" the head."""
    for k in range(at - 1, max(at - reach - 1, -1), -1):
        if read.words[k].thing:
            head = k
            for step in (2, 3):
                if k - step >= 0 and read.texts[k - step + 1] in HOPS and read.words[k - step].thing:
                    head = k - step
            return head
    return None


def _thing_after(read: Sentence, at: int, reach: int) -> int | None:
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


def _find_movers(read: Sentence) -> None:
    """'costs rose', 'cut its forecast', 'lower expenses', 'growth in orders'."""
    for at, word in enumerate(read.words):
        if not word.direction or at in read.used or (read.texts[at] in ADVERBS and not _beside_a_figure(read, at)):
            continue
        thing = _moved(read, at, word)
        if thing is not None:
            read.add(at, MOVES * word.direction * _sign_of(read, thing), of=(thing,))
        elif not word.tone and word.finds in {"before", "either"}:
            read.add(at, LONE_DIRECTION * word.direction)


def _beside_a_figure(read: Sentence, at: int) -> bool:
    """Whether "up" and "down" are meant as in "up 4%", "4% up", "down sharply", "up from"."""
    beside = range(max(at - 2, 0), min(at + 3, len(read.words)))
    return any(read.figures[k] or read.words[k].scales or read.texts[k] == "from" for k in beside)


def _sign_of(read: Sentence, thing: int) -> int:
    """Whether it is good that the thing goes up. Growth that moves ("cost growth slowed") counts by what grows."""
    growing = [value for at, value in read.cues if at == thing] if read.words[thing].direction else []
    if not growing:
        return read.words[thing].thing
    read.cues = [(at, value) for at, value in read.cues if at != thing]
    return 1 if growing[0] > 0 else -1


def _moved(read: Sentence, at: int, word: Word) -> int | None:
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


def _count_words(read: Sentence) -> None:
    """Words with a tone of their own, and things of which there are none."""
    for at, word in enumerate(read.words):
        if at in read.used:
            continue
        if word.tone and not (word.tone > 0 and _praises_bad(read, at)):
            read.add(at, word.tone)
        elif word.thing and any(read.words[k].nothing_of for k in range(max(at - 2, 0), at)):
            read.add(at, word.thing * NONE_OF / -TURNED)


def _praises_bad(read: Sentence, at: int) -> bool:
    """Whether a good word only says how large something bad is: "record loss", "strong decline"."""
    beside = read.words[at + 1 : at + 2]
    return not read.words[at].thing and any(word.tone < 0 or word.thing < 0 or word.direction < 0 for word in beside)


def _defused(read: Sentence, at: int, harmless: list[int]) -> bool:
    """Whether something bad is named only to say that it did no harm: "the outage did not hurt sales".

    Args:
        read: the sentence.
        at: position of the bad thing.
        harmless: positions of bad words that a negation turned.
    """
    return read.words[at].thing < 0 and any(other > at and read.parts[other] == read.parts[at] for other in harmless)


def _turned(read: Sentence, at: int, value: float) -> float:
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


def _whole_weight(read: Sentence, sentence: str) -> float:
    weight = ASKING if sentence.rstrip().endswith("?") else 1.0
    for at, word in enumerate(read.words):
        if word.clause == "offset":
            weight *= 0.6 if at and read.words[at - 1].scales == 0.6 else 0.0
        elif word.clause == "defines":
            weight *= DEFINING
    return weight
