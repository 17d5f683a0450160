"""Reads by FinBERT (Araci, "FinBERT: financial sentiment analysis with pre-trained language models", 2019).

No package has its weights, and Alfred fetches none: they have to lie on this machine, as safetensors. Where they do
not, making the digester says so at once, without asking any server.
"""

import json
import os
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import cast

import torch
from pydantic import Field

from alfred.core.digest import digest_of as digest_of_values
from alfred.core.errors import ConfigError, DataError
from alfred.core.settings import Settings
from alfred.language._by_sentence import RULES, SentenceSettings, digest_of
from alfred.language._tone import Tone
from alfred.language.contracts import Article, Digested, Usage
from alfred.language.digesters._bert import CONFIG, WEIGHTS, load, rows, tones

REPOSITORY = "ProsusAI/finbert"
PUBLISHED = date(2020, 12, 31)
"""BERT read Wikipedia and books of 2018, the further training news of 2008 to 2010; the files are of 2020."""


class FinbertSettings(SentenceSettings):
    """Where FinBERT's weights lie, and what they may know."""

    folder: Path | None = Field(
        default=None,
        description="folder with config.json, vocabulary and model.safetensors; default the hub's cache",
    )
    knowledge_cutoff: date = Field(default=PUBLISHED, description="last day of which the weights may have learnt")


SETTINGS = FinbertSettings


def make(settings: Settings) -> "Finbert":
    """The digester.

    Raises:
        ConfigError: the weights are not on this machine; the message says how they get there.
        DataError: the folder's files are not FinBERT's.
        MissingExtraError: transformers is not installed.
    """
    return Finbert(cast("FinbertSettings", settings))


class Finbert:
    """A `Digester` by FinBERT's chances of the three classes."""

    name = "finbert"
    concurrency = 1

    def __init__(self, settings: FinbertSettings) -> None:
        self.settings = settings
        self.knowledge_cutoff: date | None = settings.knowledge_cutoff
        folder = _folder(settings.folder)
        self._good, self._bad = _classes(folder)
        self._tokenizer, self._network = load(self.name, folder, "BertForSequenceClassification")
        weights = self._network.classifier.weight.detach().numpy()
        self.model = f"finbert {digest_of_values(weights)[:8]}"
        kept = settings.model_dump(mode="json", exclude={"folder", "knowledge_cutoff"})
        self.prompt_version = f"{RULES}-{digest_of_values(kept)[:8]}"

    def digest(self, article: Article, symbol: str) -> Digested:
        """What the model says; never fails."""
        began = time.perf_counter()
        digest = digest_of(article, symbol, self.settings, self._tones)
        return Digested(digest, Usage(seconds=time.perf_counter() - began))

    def _tones(self, texts: Sequence[str]) -> list[Tone]:
        if not texts:
            return []
        chances = rows(self._tokenizer, texts, self._chances)
        return tones(texts, chances[:, self._good], chances[:, self._bad])

    def _chances(self, pieces: torch.Tensor) -> torch.Tensor:
        return cast("torch.Tensor", self._network(input_ids=pieces).logits.softmax(dim=1))


def _folder(given: Path | None) -> Path:
    """The folder with the weights."""
    places = [given] if given is not None else _cached()
    for place in places:
        if (place / CONFIG).is_file() and (place / WEIGHTS).is_file():
            return place
    where = f"{given} has no {CONFIG} with {WEIGHTS}" if given is not None else "no copy of it is on this machine"
    raise ConfigError(
        f"FinBERT's weights are needed and {where}. Where the hub can be reached, fetch {REPOSITORY}, save it with "
        "save_pretrained(FOLDER, safe_serialization=True), copy FOLDER here and set finbert.folder to it; pickled "
        "weights are not read. Until then use the digester lexicon."
    )


def _cached() -> list[Path]:
    """Copies of the repository in the hub's cache, the newest first."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    found = (hub / f"models--{REPOSITORY.replace('/', '--')}" / "snapshots").glob("*")
    return sorted(found, key=lambda place: (-place.stat().st_mtime, place.name))


def _classes(folder: Path) -> tuple[int, int]:
    """Positions of "positive" and "negative" among the model's classes."""
    try:
        labels = json.loads((folder / CONFIG).read_text("utf-8"))["id2label"]
        by_name = {str(name).lower(): int(at) for at, name in labels.items()}
        return by_name["positive"], by_name["negative"]
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise DataError(f"{folder / CONFIG} does not name the classes positive and negative.") from error
