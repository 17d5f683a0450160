"""Reads by word lists and a few rules: at once, for nothing, and the same every time."""

import time
from collections.abc import Sequence
from datetime import date
from typing import cast

from alfred.core.settings import Settings
from alfred.language._book import version
from alfred.language._by_sentence import RULES, SentenceSettings, digest_of
from alfred.language._tone import Tone, tone_of
from alfred.language.contracts import Article, Digested, Usage

TONE_RULES = "1"
"""Raised when a rule of `_tone` changes; changed words show in `model`."""


class LexiconSettings(SentenceSettings):
    """How the lexicon reads."""


SETTINGS = LexiconSettings


def make(settings: Settings) -> "Lexicon":
    """The digester."""
    return Lexicon(cast("LexiconSettings", settings))


class Lexicon:
    """A `Digester` that knows words and nothing of the world."""

    name = "lexicon"
    knowledge_cutoff: date | None = None
    concurrency = 1

    def __init__(self, settings: LexiconSettings) -> None:
        self.settings = settings
        self.model = f"words-{version()}"
        self.prompt_version = f"{RULES}.{TONE_RULES}-{settings.digest()[:8]}"

    def digest(self, article: Article, symbol: str) -> Digested:
        """What the words say; never fails."""
        began = time.perf_counter()
        digest = digest_of(article, symbol, self.settings, _tones)
        return Digested(digest, Usage(seconds=time.perf_counter() - began))


def _tones(texts: Sequence[str]) -> list[Tone]:
    return [tone_of(text) for text in texts]
