"""BERT models read from a folder on this machine: nothing is downloaded, nothing is unpickled."""

import importlib
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from alfred.core.contracts import Floats
from alfred.core.errors import DataError, MissingExtraError
from alfred.language._tone import Tone, speaks_of_the_future

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
LONGEST = 128
"""Pieces of words of a sentence that are read."""


def load(digester: str, folder: Path, kind: str) -> tuple[Any, Any]:
    """Tokenizer and model.

    Args:
        digester: for the message.
        folder: of config.json, the vocabulary and model.safetensors.
        kind: class of the model in transformers, such as "BertModel".

    Raises:
        MissingExtraError: transformers is not installed.
        DataError: the folder's files are not those of such a model.
    """
    if find_spec("transformers") is None:
        raise MissingExtraError(
            f"the digester {digester} needs transformers; install it with: pip install 'alfred[{digester}]'"
        )
    library = importlib.import_module("transformers")
    try:
        tokenizer = library.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        model = getattr(library, kind)(library.BertConfig.from_json_file(str(folder / CONFIG)))
        absent, foreign = model.load_state_dict(load_file(folder / WEIGHTS), strict=False)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise DataError(f"the files in {folder} are not those of a BERT model ({type(error).__name__}).") from error
    unfit = [name for name in (*absent, *foreign) if not name.endswith("position_ids")]
    if unfit:
        raise DataError(f"{folder / WEIGHTS} does not fit its {CONFIG}, first at {unfit[0]!r}.")
    return tokenizer, model.eval()


def rows(tokenizer: Any, texts: Sequence[str], run: Callable[[torch.Tensor], torch.Tensor]) -> Floats:
    """(texts, width) float64: what `run` makes of the (1, pieces) indices of each text.

    One text at a time, as the last bits of a row move with what shares its batch.
    """
    found = []
    with torch.inference_mode():
        for text in texts:
            pieces = tokenizer(text, truncation=True, max_length=LONGEST)["input_ids"]
            found.append(run(torch.tensor([pieces]))[0].numpy().astype(np.float64))
    return np.stack(found)


def tones(texts: Sequence[str], good: Floats, bad: Floats) -> list[Tone]:
    """Tones by the chances of two of three classes: none where the third is the likeliest, else their contrast.

    Args:
        texts: N sentences.
        good, bad: (N,) chances.
    """
    neutral = 1 - good - bad >= np.maximum(good, bad)
    scores = np.where(neutral, 0.0, np.round((good - bad) / np.maximum(good + bad, 1e-9), 4))
    return [Tone(float(score), speaks_of_the_future(text)) for score, text in zip(scores, texts, strict=True)]
