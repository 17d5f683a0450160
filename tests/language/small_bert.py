# ruff: noqa: SIM905 -- words are read as running text
"""A BERT of random weights, small enough for tests, in the files in which FinBERT comes."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

WORDS = """profit loss rose fell sales costs company raised outlook estimates short weak demand year quarter its the for
    to from million said operating in of third full where was as lifts fall harlow tools europe""".split()
SHAPE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def small_bert(folder: Path, labels: tuple[str, str, str] = ("positive", "negative", "neutral")) -> Path:
    """Write config.json, vocab.txt and model.safetensors; skips the test where transformers is not installed."""
    transformers = pytest.importorskip("transformers")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *"abcdefghijklmnopqrstuvwxyz0123456789.,$()"]
    vocabulary += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz0123456789"]
    config = transformers.BertConfig(vocab_size=len(vocabulary), initializer_range=0.8, **SHAPE)
    torch.manual_seed(0)
    model = transformers.BertForSequenceClassification(transformers.BertConfig(**config.to_dict() | {"num_labels": 3}))
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    written = config.to_dict() | {"id2label": dict(enumerate(labels)), "label2id": {k: i for i, k in enumerate(labels)}}
    (folder / "config.json").write_text(json.dumps(written | {"model_type": "bert"}))
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / "model.safetensors")
    return folder
