import time
from pathlib import Path

import pytest
import torch
from injections import base
from small_bert import small_bert

from alfred.core.errors import ConfigError, DataError, MissingExtraError
from alfred.language.registry import make_digester


def test_without_weights_it_says_at_once_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    begin = time.process_time()
    with pytest.raises(ConfigError, match=r"no copy of it is on this machine\. Where the hub.*fetch ProsusAI/finbert"):
        make_digester("finbert")
    with pytest.raises(ConfigError, match=r"has no config\.json with model\.safetensors"):
        make_digester("finbert", {"folder": str(tmp_path)})
    assert time.process_time() - begin < 5


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ConfigError, match="pickled weights are not read"):
        make_digester("finbert", {"folder": str(tmp_path)})


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text('{"id2label": {"0": "positive", "1": "negative", "2": "neutral"}}')
    (tmp_path / "model.safetensors").write_bytes(b"")
    monkeypatch.setattr("alfred.language.digesters._bert.find_spec", lambda name: None)
    with pytest.raises(
        MissingExtraError, match=r"finbert needs transformers; install it with: pip install 'alfred\[finbert\]'"
    ):
        make_digester("finbert", {"folder": str(tmp_path)})


@pytest.mark.slow
def test_tones_are_those_of_the_model(tmp_path: Path) -> None:
    folder = small_bert(tmp_path)
    transformers = pytest.importorskip("transformers")
    digester = make_digester("finbert", {"folder": str(folder)})
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))
    model = transformers.BertForSequenceClassification.from_pretrained(str(folder)).eval()
    texts = ["Profit rose in the quarter.", "Sales fell short.", "The company said its outlook was weak."]
    expected = []
    for text in texts:
        with torch.no_grad():
            good, bad, neutral = model(**tokenizer(text, return_tensors="pt")).logits.softmax(1)[0].tolist()
        expected.append(0.0 if neutral >= max(good, bad) else (good - bad) / (good + bad))
    assert [tone.score for tone in digester._tones(texts)] == pytest.approx(expected, abs=1e-4)
    assert len(set(expected)) > 1
    assert digester.knowledge_cutoff.year == 2020
    assert digester.digest(base(), "HRLW").usage.seconds > 0


@pytest.mark.slow
def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    folder = small_bert(tmp_path, labels=("a", "b", "c"))
    with pytest.raises(DataError, match="does not name the classes positive and negative"):
        make_digester("finbert", {"folder": str(folder)})
    small_bert(tmp_path)
    (folder / "model.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(DataError, match="not those of a BERT model"):
        make_digester("finbert", {"folder": str(folder)})
