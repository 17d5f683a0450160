"""Sentences that speak to whoever digests an article instead of to its readers.

They say nothing about a company, so digesters that weigh sentences leave them out. This is tidiness, not the defence:
the lexicon obeys nobody, and a language model is contained by the schema and by the check of quotations.
"""

import re

ASKS = r"(?:answer|respond|reply|output|return|print|write|say|report|rate|score|classify|label|mark|assign|set|treat|give|conclude)"
SCALES = r"(?:sentiment|outlook|relevance|rationale|quotations?)"
ADDRESSED = re.compile(
    "|".join(
        (
            r"\b(?:ignore|disregard|forget|override|bypass)\b.{0,40}\b(?:instructions?|prompts?|previous|above|rules|article|text)\b",
            r"^\W*(?:system|assistant|developer|user)\s*:",
            rf"['\"]?\b{SCALES}\b['\"]?\s*(?:[:=]|is|to|of)?\s*['\"]?[-+]?\d",
            rf"\b{ASKS}\b.{{0,40}}\b(?:this|the|an?)?\s*(?:{SCALES}|article|text)\b.{{0,40}}\b(?:as|to|of|is|with|positive|negative|bullish|bearish)\b",
            rf"\b{ASKS}\b.{{0,20}}\b(?:this|the)\s+company\s+as\b",
            rf"\b(?:answer|respond|reply|output|print)\s+(?:only\s+|just\s+)?(?:with\b|[-+]?\d|again\b|in json\b)",
            rf"\b(?:you|dear (?:model|ai|assistant)|to the (?:ai|model))\b.{{0,60}}\b{ASKS}\b",
            r"\byou are (?:now )?an? ",
            r"^\W*(?:instructions?|response|new task)\s*:",
            r"\[/?inst\]|<\|\w*\|>|\bend of (?:article|document|text)\b",
        )
    ),
    re.IGNORECASE | re.DOTALL,
)


def addressed_to_the_reader(sentence: str) -> bool:
    """Whether a sentence asks its reader for an answer, a score, or to forget what it was asked for."""
    return ADDRESSED.search(sentence) is not None
