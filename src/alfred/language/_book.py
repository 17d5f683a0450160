"""The word lists as one table from spelling to roles."""

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Literal

from alfred.core.digest import digest_of
from alfred.language import _words as lists

VOWELS = frozenset("aeiou")
Finds = Literal["", "before", "either", "object", "beside"]
Clause = Literal["", "but", "though", "offset", "defines"]
MOST_WORDS = 4
"""Of a phrase."""


@dataclass(frozen=True)
class Word:
    """What a word or phrase does; a role that it has not is 0 or empty.

    Attributes:
        tone: good or bad by itself, -1 to 1.
        direction: 1 says that something goes up, -1 down; what that means depends on what it is.
        finds: where the thing that moves stands: before it; before it, else after ("either"); after it, in the passive
            before ("object"); after it, behind a form of "to be" before ("beside").
        thing: 1 is good news when it goes up, -1 is bad news.
        negates: turns the tone of what follows; 2 turns only what is good ("failed to").
        nothing_of: says that there is none of what follows.
        yardstick: such as "estimates"; 2 is one that was feared.
        than: compares with a yardstick: 1 better, -1 worse, whatever it is about; 2 above, -2 below; 3 more, -3 less.
        compares: parts two figures, the newer first.
        clause: weighs what stands around it.
        scales: weight of the tone in its clause.
        forward: speaks of what is to come.
    """

    tone: float = 0.0
    direction: int = 0
    finds: Finds = ""
    thing: int = 0
    negates: int = 0
    nothing_of: int = 0
    yardstick: int = 0
    than: int = 0
    compares: int = 0
    clause: Clause = ""
    scales: float = 0.0
    forward: int = 0


NOTHING = Word()
Book = Mapping[tuple[str, ...], Word]


@functools.cache
def book() -> Book:
    """Every spelling, as a tuple of its words in small letters."""
    words: dict[tuple[str, ...], Word] = {}

    def put(spellings: Iterable[str], roles: Word) -> None:
        for spelling in spellings:
            key = tuple(spelling.split())
            words[key] = _joined(words.get(key, NOTHING), roles)

    for sign, verbs, nouns, others in (
        (1, lists.GOOD_VERBS, lists.GOOD_NOUNS, lists.GOOD_OTHERS),
        (-1, lists.BAD_VERBS, lists.BAD_NOUNS, lists.BAD_OTHERS),
    ):
        for weight in sorted({*verbs, *nouns, *others}):
            put(_forms(others.get(weight, ""), _same), Word(tone=sign * weight))
            put(_forms(verbs.get(weight, ""), _verb), Word(tone=sign * weight))
            put(_forms(nouns.get(weight, ""), _noun), Word(tone=sign * weight, thing=sign))
    for sign, before, either, object_, beside, nouns_ in (
        (1, lists.UP_BEFORE, lists.UP_EITHER, lists.UP_OBJECT, lists.UP_BESIDE, lists.UP_NOUNS),
        (-1, lists.DOWN_BEFORE, lists.DOWN_EITHER, lists.DOWN_OBJECT, lists.DOWN_BESIDE, lists.DOWN_NOUNS),
    ):
        put(_forms(nouns_, _noun), Word(direction=sign, finds="before"))
        put(_forms(before, _verb), Word(direction=sign, finds="before"))
        put(_forms(either, _verb), Word(direction=sign, finds="either"))
        put(_forms(object_, _verb), Word(direction=sign, finds="object"))
        put(_forms(beside, _same), Word(direction=sign, finds="beside"))
    put(_forms(lists.GOOD_THINGS, _noun), Word(thing=1))
    put(_forms(lists.BAD_THINGS, _noun), Word(thing=-1))
    put(_phrases(lists.PHRASES_GOOD_THINGS), Word(thing=1))
    put(_phrases(lists.PHRASES_BAD_THINGS), Word(thing=-1))
    put(_phrases(lists.PHRASES_LOSSES), Word(thing=-1, tone=-0.7))
    for weight, phrases in lists.PHRASES.items():
        put(_phrases(phrases), Word(tone=weight))
    put(_phrases(lists.EMPTY), NOTHING)
    put(lists.NEGATORS.split(), Word(negates=1))
    put(_phrases(lists.NEGATING), Word(negates=1))
    put(_phrases(lists.FAILING), Word(negates=2, tone=-0.5))
    put(_phrases(lists.NOTHING_OF), Word(nothing_of=1))
    put(_forms(lists.YARDSTICKS, _noun), Word(yardstick=1))
    put(_forms(lists.FEARED, _same), Word(yardstick=2))
    ranks = {1: lists.BETTER, 2: lists.ABOVE, 3: lists.MORE, -1: lists.WORSE, -2: lists.BELOW, -3: lists.LESS}
    for rank, phrases in ranks.items():
        put(_phrases(phrases), Word(than=rank))
    put(_phrases(lists.COMPARING), Word(compares=1))
    put(_phrases(lists.BUTS), Word(clause="but"))
    put(_phrases(lists.THOUGHS), Word(clause="though"))
    put(_phrases(lists.OFFSETS), Word(clause="offset"))
    put(_phrases(lists.DEFINES), Word(clause="defines"))
    put(lists.SHARPLY.split(), Word(scales=1.3))
    put(lists.SLIGHTLY.split(), Word(scales=0.6))
    put(lists.FORWARD.partition(";")[0].split(), Word(forward=1))
    put(_phrases(lists.FORWARD.partition(";")[2]), Word(forward=1))
    return words


@functools.cache
def first_words() -> frozenset[str]:
    """Words with which a phrase of several begins."""
    return frozenset(key[0] for key in book() if len(key) > 1)


@functools.cache
def version() -> str:
    """Digest of all words and weights."""
    return digest_of({" ".join(key): [getattr(word, f.name) for f in fields(Word)] for key, word in book().items()})[:8]


def _joined(one: Word, other: Word) -> Word:
    """Both words' roles; where both have one, the later."""
    return Word(**{f.name: getattr(other, f.name) or getattr(one, f.name) for f in fields(Word)})


def _phrases(text: str) -> list[str]:
    return [phrase for part in text.split(";") if (phrase := " ".join(part.split()))]


def _forms(text: str, form: Callable[[str], Iterable[str]]) -> list[str]:
    return [spelling for base in text.split() for spelling in sorted(form(base))]


def _same(base: str) -> set[str]:
    return {base}


def _verb(base: str) -> set[str]:
    """Base, third person, past and participles."""
    third = re.sub("ys$", "ies", _with_s(base)) if _ends_in_y(base) else _with_s(base)
    if base in lists.IRREGULAR:
        return {base, third, *lists.IRREGULAR[base].split()}
    if _ends_in_y(base):
        return {base, third, base[:-1] + "ied", base + "ing"}
    if base.endswith("e"):
        return {base, third, base + "d", base[:-1] + "ing"}
    stem = base + base[-1] if base in lists.DOUBLING else base
    return {base, third, stem + "ed", stem + "ing"}


def _noun(base: str) -> set[str]:
    """Singular and plural."""
    return {base, base[:-1] + "ies"} if _ends_in_y(base) else {base, _with_s(base)}


def _with_s(base: str) -> str:
    return base + ("es" if base.endswith(("s", "sh", "ch", "x")) else "s")


def _ends_in_y(base: str) -> bool:
    return base.endswith("y") and base[-2] not in VOWELS
