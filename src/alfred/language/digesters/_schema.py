"""What a language model is asked to answer, and how its answer becomes a digest.

Servers enforce enumerations but not numeric bounds, so the model chooses among words, and numbers are made of them
here. The words of one scale differ in their first letter: the first token of a word tells it from the others, and the
probabilities of that token's alternatives give a score between the steps.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from alfred.language.contracts import Digest, Event
from alfred.language.instructions import addressed_to_the_reader
from alfred.language.quotations import missing
from alfred.language.text import clean, sentences

SCALES: dict[str, dict[str, float]] = {
    "relevance": {"none": 0.0, "slight": 1 / 3, "partial": 2 / 3, "central": 1.0},
    "sentiment": {"terrible": -1.0, "negative": -0.5, "flat": 0.0, "positive": 0.5, "excellent": 1.0},
    "outlook": {"much worse": -1.0, "worse": -0.5, "unchanged": 0.0, "better": 0.5, "far better": 1.0},
}
EVENTS: tuple[str, ...] = get_args(Event)
MOST_QUOTATIONS = 3
MOST_CHOICES = 60
"""Sentences of an article that are offered for quotation."""
RATIONALE_CHARACTERS = 400
LEAST_PROBABILITY = 0.5
"""Of a scale's words together; where the model mostly had other things in mind, their ratios say nothing."""


class Invalid(Exception):  # noqa: N818 - control flow between an answer and the next try, never seen outside
    """An answer that is no digest; the reason may be told to the model."""


@dataclass(frozen=True)
class Token:
    """One token of an answer: its text, and the probabilities of what could have stood there, itself included."""

    text: str
    alternatives: Mapping[str, float]


class Answer(BaseModel):
    """An answer of the form that was asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    quotations: list[str]
    relevance: Literal["none", "slight", "partial", "central"]
    event: Event
    sentiment: Literal["terrible", "negative", "flat", "positive", "excellent"]
    outlook: Literal["much worse", "worse", "unchanged", "better", "far better"]
    rationale: str


def json_schema(choices: Sequence[str] | None = None) -> dict[str, Any]:
    """Schema of an `Answer`.

    Args:
        choices: sentences from which quotations are chosen and which end in a bounded rationale, for servers that turn
            any schema into a grammar; None where schemas may hold enumerations of words only.
    """
    quotations: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
    rationale: dict[str, Any] = {"type": "string"}
    if choices is not None:
        quotations |= {"items": {"enum": list(choices)}, "minItems": 1, "maxItems": min(2, len(choices))}
        rationale |= {"maxLength": RATIONALE_CHARACTERS}
    words = {name: {"type": "string", "enum": list(scale)} for name, scale in SCALES.items()}
    properties = {
        "quotations": quotations,
        "relevance": words["relevance"],
        "event": {"type": "string", "enum": list(EVENTS)},
        "sentiment": words["sentiment"],
        "outlook": words["outlook"],
        "rationale": rationale,
    }
    return {
        "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False,
    }  # fmt: skip


def choices_of(text: str) -> tuple[str, ...]:
    """Sentences of the text that may be quoted, each once; those that speak to the model are no evidence."""
    offered = (sentence for sentence in sentences(text) if not addressed_to_the_reader(sentence))
    return tuple(dict.fromkeys(offered))[:MOST_CHOICES]


def digest_of_answer(content: str, text: str, tokens: Sequence[Token] = ()) -> Digest:
    """The digest that an answer stands for.

    Quotations that do not occur in the text are left out, as are those that speak to the model; an answer that gives a
    company any relevance needs one that stays.

    Args:
        content: what the model wrote.
        text: what it read, title included.
        tokens: of the content with probabilities; empty where the server gave none.

    Raises:
        Invalid: it stands for none; the reason quotes nothing of it.
    """
    answer = _parsed(content)
    absent = set(missing(answer.quotations, text))
    found = dict.fromkeys(quotation for quotation in answer.quotations if quotation not in absent)
    kept = tuple(quotation for quotation in found if not addressed_to_the_reader(quotation))
    if not kept and answer.relevance != "none":
        problem = "no quotation is a statement of the article" if answer.quotations else "there is no quotation"
        raise Invalid(f"{problem}; copy one to three passages of it letter by letter")
    scores = {name: _score(name, getattr(answer, name), tokens) for name in SCALES}
    return Digest(
        event=answer.event, rationale=_shortened(answer.rationale), quotations=kept[:MOST_QUOTATIONS], **scores
    )


def _parsed(content: str) -> Answer:
    body = content.rpartition("</think>")[2]  # models that reason aloud
    begin, end = body.find("{"), body.rfind("}")
    if begin < 0 or end < begin:
        raise Invalid("the answer is no JSON object")
    try:
        form = json.loads(body[begin : end + 1])
    except (ValueError, RecursionError):
        raise Invalid("the answer is no JSON object, or a broken one") from None
    try:
        return Answer.model_validate(form)
    except ValidationError as error:
        places = dict.fromkeys(str(problem["loc"][0]) for problem in error.errors() if problem["loc"])
        known = [place for place in places if place in Answer.model_fields]
        where = ", ".join(known) if known else "fields beyond those of the schema"
        raise Invalid(f"the answer does not follow the schema in: {where}") from None


def _score(name: str, word: str, tokens: Sequence[Token]) -> float:
    """Number of a word; between the steps, where the probabilities of the scale's words are known."""
    scale = SCALES[name]
    shares = _shares(name, tokens)
    total = sum(shares.values())
    if word not in shares or total < LEAST_PROBABILITY:
        return scale[word]
    mean = sum(share * scale[step] for step, share in shares.items()) / total
    return min(max(mean, min(scale.values())), max(scale.values()))


def _shares(name: str, tokens: Sequence[Token]) -> dict[str, float]:
    """Probability of each word of a scale by the token with which the field's value begins."""
    written = "".join(token.text for token in tokens)
    fields = list(re.finditer(rf'"{name}"\s*:\s*"', written))
    if not fields:
        return {}
    at, begin = fields[-1].end(), 0  # the last one: what a model thinks aloud comes before its answer
    for token in tokens:
        if begin <= at < begin + len(token.text):
            before = token.text[: at - begin]
            return _by_word(SCALES[name], before, token.alternatives)
        begin += len(token.text)
    return {}


def _by_word(scale: Mapping[str, float], before: str, alternatives: Mapping[str, float]) -> dict[str, float]:
    shares: dict[str, float] = {}
    for text, probability in alternatives.items():
        start = text.removeprefix(before).rstrip('"') if text.startswith(before) else ""
        for word in scale:
            if start and (word.startswith(start) or start.startswith(word)) and 0 <= probability < math.inf:
                shares[word] = shares.get(word, 0.0) + min(probability, 1.0)
    return shares


def _shortened(rationale: str) -> str:
    """The first two sentences, as plain text."""
    text = clean(" ".join(rationale.split()), RATIONALE_CHARACTERS)
    return " ".join(sentences(text)[:2])
