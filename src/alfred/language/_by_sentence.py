"""From the tones of an article's sentences to its digest: what all digesters that read sentence by sentence share.

Sentiment is sum(w s) / (sum(w of sentences with a tone) + 1/2) over title and sentences, where s is a sentence's tone
and w its weight: the title's is larger, that of sentences about other companies smaller. Outlook is the same with the
weight of sentences that speak of the past cut. Sentences without a tone change nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import Field

from alfred.core.settings import Settings
from alfred.language._events import event_of
from alfred.language._mentions import mentions
from alfred.language._tone import Tone
from alfred.language.contracts import Article, Digest
from alfred.language.instructions import addressed_to_the_reader
from alfred.language.quotations import missing
from alfred.language.text import MOST_CHARACTERS, read, sentences

OF_TITLE = 1.5
OF_PAST = 0.4
DAMPING = 0.5
LONGEST_QUOTATION = 200
QUOTED = 2
RULES = "1"
"""Raised when anything here, or in the cleaning of texts, changes what a digest says."""


class SentenceSettings(Settings):
    """How a digester reads that goes sentence by sentence."""

    names: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="names of companies by symbol, by which an article may call them"
    )
    most_characters: int = Field(default=MOST_CHARACTERS, gt=0, description="of a text; the rest is not read")


@dataclass(frozen=True)
class Read:
    """A sentence, its tone and its weight."""

    text: str
    tone: Tone
    weight: float


def digest_of(
    article: Article, symbol: str, settings: SentenceSettings, tones: Callable[[Sequence[str]], Sequence[Tone]]
) -> Digest:
    """The digest of an article.

    Args:
        article: what to read.
        symbol: company that it is read for.
        settings: names, length.
        tones: of sentences, each by itself.
    """
    reading = read(article, settings.most_characters)
    title = "" if addressed_to_the_reader(reading.title) else reading.title
    body = [one for one in sentences(reading.text) if not addressed_to_the_reader(one)]
    found = mentions(title, body, symbol, settings.names)
    texts = [title, *body] if title else body
    weights = (OF_TITLE, *found.weights) if title else found.weights
    every = zip(texts, tones(texts), weights, strict=True)
    reads = [Read(text, tone, weight) for text, tone, weight in every if tone.score]
    sentiment = _mean(reads, {True: 1.0, False: 1.0})
    outlook = _mean(reads, {True: 1.0, False: OF_PAST})
    rationale, quotations = _rationale(reads, sentiment, outlook, reading.whole)
    return Digest(
        relevance=found.relevance,
        sentiment=sentiment,
        outlook=outlook,
        event=event_of(title, body),
        rationale=rationale,
        quotations=quotations,
    )


def _mean(reads: Sequence[Read], weight_of: Mapping[bool, float]) -> float:
    weights = [one.weight * weight_of[one.tone.forward] for one in reads]
    total = sum(weight * one.tone.score for weight, one in zip(weights, reads, strict=True))
    return round(total / (sum(weights) + DAMPING), 4)


def _rationale(reads: Sequence[Read], sentiment: float, outlook: float, whole: str) -> tuple[str, tuple[str, ...]]:
    """One or two sentences with what is quoted in them."""
    if not reads:
        return "No sentence has a tone.", ()
    good = sum(one.tone.score > 0 for one in reads)
    telling = _quoted([one for one in reads if one.tone.score * sentiment > 0], whole, QUOTED)
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
