"""Sentences that speak to whoever digests an article instead of to its readers.

They say nothing about a company, so digesters that weigh sentences leave them out. This is tidiness, not the defence:
the lexicon obeys nobody, and a language model is contained by the schema and by the check of quotations.
"""

import re

ASKS = (
    r"(?:answer|respond|reply|output|return|print|write|say|report|rate|score|classify|label|mark|assign|set|treat|give|"
    r"conclude)"
)
SCALES = r"(?:sentiment|outlook|relevance|rationale|quotations?)"
BEGINS = r"(?:^\W*|[,;:]\s*|\b(?:please|and|then|must|should|just)\s+)"
FORGETS = r"(?:ignore|disregard|forget|override|bypass)"
ABOUT = rf"(?:{SCALES}|article|text)"
AS = r"(?:as|to|of|is|with|positive|negative|bullish|bearish)"
CALLED = r"(?:you\s+(?:must|should|will|shall|need to|have to|are to)|dear (?:model|ai|assistant)|to the (?:ai|model))"
ADDRESSED = re.compile(
    "|".join(
        (
            rf"\b{FORGETS}\b.{{0,40}}\b(?:instructions?|prompts?|previous|above|rules|article|text)\b",
            r"^\W*(?:system|assistant|developer|user|instructions?|response|new task)\s*:",
            rf"\b{SCALES}\b['\"]?\s*[:=]\s*['\"]?[-+]?\d",
            r"\b(?:sentiment|relevance)\s+(?:is|to|of)?\s*[-+]?\d",
            rf"{BEGINS}{ASKS}\b.{{0,40}}\b{ABOUT}\b.{{0,40}}\b{AS}\b",
            rf"{BEGINS}{ASKS}\b.{{0,40}}\b(?:positive|negative|bullish|bearish)\s+{SCALES}\b",
            rf"{BEGINS}{ASKS}\b.{{0,20}}\b(?:this|the|every|each)\s+(?:company\s+as|statement\s+as)\b",
            r"\b(?:answer|respond|reply|output|print)\s+(?:only\s+|just\s+)?(?:with\b|[-+]?\d|again\b|in json\b)",
            rf"\b{CALLED}\b.{{0,60}}\b{ASKS}\b",
            r"\byou are (?:now an? |an? (?:ai|assistant|language model|helpful))",
            r"\[/?inst\]|<\|\w*\|>|\bend of (?:article|document|text)\b",
        )
    ),
    re.IGNORECASE | re.DOTALL,
)


HINTS = (
    "ignore", "disregard", "forget", "override", "bypass", "system", "assistant", "developer", "user", "instruction",
    "response", "new task", "sentiment", "outlook", "relevance", "rationale", "quotation", "article", "text",
    "company as", "statement as", "answer", "respond", "reply", "output", "print", "you", "dear ", "to the ", "inst]",
    "<|", "document",
)  # fmt: skip
"""One of these stands in whatever the pattern finds; looking for them is ten times as fast."""


def addressed_to_the_reader(sentence: str) -> bool:
    """Whether a sentence asks its reader for an answer, a score, or to forget what it was asked for."""
    small = sentence.lower()
    return any(hint in small for hint in HINTS) and ADDRESSED.search(sentence) is not None
