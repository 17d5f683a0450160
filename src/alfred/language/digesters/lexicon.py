"""Reads by word lists and a few rules: at once, for nothing, and the same every time.

Sentiment is sum(w s) / (sum(w of sentences with a tone) + 1/2) over title and sentences, where s is a sentence's tone
and w its weight: the title's is larger, that of sentences about other companies smaller. Outlook is the same with the
weight of sentences that speak of the past cut. Sentences without a tone change nothing.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import cast

from pydantic import Field

from alfred.core.settings import Settings
from alfred.language._book import version
from alfred.language._events import event_of
from alfred.language._mentions import mentions
from alfred.language._tone import Tone, tone_of
from alfred.language.contracts import Article, Digest, Digested, Usage
from alfred.language.instructions import addressed_to_the_reader
from alfred.language.quotations import missing
from alfred.language.text import MOST_CHARACTERS, read, sentences

RULES = "1"
"""Raised when a rule changes; changed words show in `model`."""
OF_TITLE = 1.5
OF_PAST = 0.4
DAMPING = 0.5
LONGEST_QUOTATION = 200
QUOTED = 2


class LexiconSettings(Settings):
    """How the lexicon reads."""

    names: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="names of companies by symbol, by which an article may call them"
    )
    most_characters: int = Field(default=MOST_CHARACTERS, gt=0, description="of a text, the rest is not read")


SETTINGS = LexiconSettings


def make(settings: Settings) -> "Lexicon":
    """The digester."""
    return Lexicon(cast("LexiconSettings", settings))


@dataclass(frozen=True)
class Read:
    """A sentence, its tone and its weight."""

    text: str
    tone: Tone
    weight: float


class Lexicon:
    """A `Digester`."""

    name = "lexicon"
    knowledge_cutoff: date | None = None
    concurrency = 1

    def __init__(self, settings: LexiconSettings) -> None:
        self.settings = settings
        self.model = f"words-{version()}"
        self.prompt_version = f"{RULES}-{settings.digest()[:8]}"

    def digest(self, article: Article, symbol: str) -> Digested:
        """What the words say; never fails."""
        began = time.perf_counter()
        reading = read(article, self.settings.most_characters)
        title = "" if addressed_to_the_reader(reading.title) else reading.title
        body = [one for one in sentences(reading.text) if not addressed_to_the_reader(one)]
        found = mentions(title, body, symbol, self.settings.names)
        weights = (OF_TITLE, *found.weights)
        reads = [Read(text, tone_of(text), weight) for text, weight in zip((title, *body), weights, strict=True)]
        reads = [one for one in reads if one.tone.score]
        sentiment = _mean(reads, {True: 1.0, False: 1.0})
        outlook = _mean(reads, {True: 1.0, False: OF_PAST})
        rationale, quotations = _rationale(reads, sentiment, outlook, reading.whole)
        digest = Digest(
            relevance=found.relevance,
            sentiment=sentiment,
            outlook=outlook,
            event=event_of(title, body),
            rationale=rationale,
            quotations=quotations,
        )
        return Digested(digest, Usage(seconds=time.perf_counter() - began))


def _mean(reads: Sequence[Read], weight_of: Mapping[bool, float]) -> float:
    weights = [one.weight * weight_of[one.tone.forward] for one in reads]
    total = sum(weight * one.tone.score for weight, one in zip(weights, reads, strict=True))
    return round(total / (sum(weights) + DAMPING), 4)


def _rationale(reads: Sequence[Read], sentiment: float, outlook: float, whole: str) -> tuple[str, tuple[str, ...]]:
    """One or two sentences with what is quoted in them."""
    if not reads:
        return "No sentence has a tone.", ()
    good = sum(one.tone.score > 0 for one in reads)
    telling = _quoted([one for one in reads if one.tone.score * sentiment > 0][:], whole, QUOTED)
    ahead = _quoted([one for one in reads if one.tone.forward and one.tone.score * outlook > 0], whole, 1)
    ahead = [quotation for quotation in ahead if quotation not in telling]
    text = f"{_sentences(good)} {'speaks' if good == 1 else 'speak'} well and {len(reads) - good} ill"
    text += f", above all {_listed(telling)}." if telling else "."
    if ahead:
        text += f" The outlook rests on {_listed(ahead)}."
    return text, (*telling, *ahead)


def _sentences(count: int) -> str:
    return "1 sentence" if count == 1 else f"{count} sentences"


def _listed(quotations: Sequence[str]) -> str:
    return " and ".join(f'"{quotation}"' for quotation in quotations)


def _quoted(reads: Sequence[Read], whole: str, most: int) -> list[str]:
    """The most telling sentences, or their beginnings, none twice; earlier ones where they say as much."""
    ranked = sorted(reads, key=lambda one: -abs(one.weight * one.tone.score))
    texts = list(dict.fromkeys(_shortened(" ".join(one.text.split())) for one in ranked[: 2 * most]))
    absent = set(missing(texts, whole))
    return [text for text in texts if text not in absent][:most]


def _shortened(text: str) -> str:
    if len(text) <= LONGEST_QUOTATION:
        return text
    return text[: max(text.rfind(" ", 0, LONGEST_QUOTATION), 0)].rstrip()
