"""Sentences of finance with the class that a reader gives them, written for Alfred, free to use like all of it.

Two halves, each with as many positive as neutral and negative ones: `development`, on which digesters may be tuned
and trained, and `held_out`, which only measures. Both were written before the first digester, by those who wrote the
lexicon too: figures on either say less than ones on sentences of strangers.
"""

import functools
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Literal

from alfred.language.contracts import Article

Half = Literal["development", "held_out"]
DECISIVE = 0.2
"""A sentiment beyond this is positive, below minus this negative, neutral between."""


@dataclass(frozen=True)
class Labelled:
    """A sentence.

    Attributes:
        label: 1 positive, 0 neutral, -1 negative, for a holder of the shares.
        case: what makes it hard, such as "negation" or "comparison"; "plain" where nothing does.
        text: one sentence.
    """

    label: int
    case: str
    text: str


@functools.cache
def labelled(half: Half) -> tuple[Labelled, ...]:
    """All sentences of a half."""
    lines = files(__package__).joinpath(f"{half}.jsonl").read_text("utf-8").splitlines()
    return tuple(Labelled(**json.loads(line)) for line in lines)


def as_article(sentence: str, symbol: str) -> Article:
    """An article whose text is one sentence."""
    return Article("sentence", symbol, datetime(2000, 1, 1, tzinfo=UTC), "", sentence)
