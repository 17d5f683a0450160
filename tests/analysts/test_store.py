import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from planted_windows import after, planted
from safetensors.numpy import load, save

from alfred.analysts import AnalystSpec, make_analyst, restore_analyst
from alfred.core.errors import DataError
from alfred.training.settings import TrainSettings

TRAIN = planted(64)
VALID = planted(16, first=after(TRAIN))


@pytest.fixture
def folder(tmp_path):
    spec = AnalystSpec(name="vanilla.small.tanh", size=8, layers=2)
    make_analyst(spec, TrainSettings(epochs=2, threads=1, device="cpu"), 7).fit(TRAIN, VALID).save(tmp_path)
    return tmp_path


def edit(folder, **changes):
    path = folder / "analyst.json"
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(content))
    return content


def forge(folder, change):
    """Replace the weights and the digest that would give it away."""
    import hashlib

    tensors = change(load((folder / "weights.safetensors").read_bytes()))
    content = tensors if isinstance(tensors, bytes) else save(tensors)
    (folder / "weights.safetensors").write_bytes(content)
    edit(folder, weights_sha256=hashlib.sha256(content).hexdigest())


def refused(folder, text):
    with pytest.raises(DataError, match=text):
        restore_analyst(folder)


def test_says_what_it_is(folder):
    content = json.loads((folder / "analyst.json").read_text())
    assert content["name"] == "vanilla.small.tanh"
    unset = dict.fromkeys(("label", "loss", "quarters", "members", "member_seeds"))
    assert content["spec"] == {"name": "vanilla.small.tanh", **unset, "size": 8, "layers": 2, "untrained": False}
    assert content["inputs"]["columns"] == list(TRAIN.columns)
    assert (content["inputs"]["quarters"], content["inputs"]["target"], content["seed"]) == (2, "PM", 7)
    assert content["calibration"]["level"] == 0.8
    assert [epoch["number"] for epoch in content["record"]["epochs"]] == [1, 2]
    assert content["training"]["epochs"] == 2


def test_nothing_there(tmp_path):
    refused(tmp_path, "holds no analyst: analyst.json is absent")


def test_interrupted_save(folder):
    (folder / "weights.safetensors").unlink()
    refused(folder, "lacks weights.safetensors")


def test_changed_weights(folder):
    path = folder / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(bytes(content))
    refused(folder, "is not the file that analyst.json was written with")


class Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("exploded"),))


def test_pickle_is_never_opened(folder, monkeypatch):
    monkeypatch.chdir(folder)
    forge(folder, lambda tensors: pickle.dumps(Bomb()))
    refused(folder, "is no safetensors file")
    (folder / "analyst.json").write_bytes(pickle.dumps(Bomb()))
    refused(folder, "is not JSON")
    assert not (folder / "exploded").exists()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda t: {k: v for k, v in t.items() if k != "head.bias"}, "not hold the weights .* head.bias differs"),
        (lambda t: t | {"extra": np.zeros(2)}, "extra differs"),
        (lambda t: t | {"head.weight": t["head.weight"][:, :4].copy()}, "head.weight differs"),
        (lambda t: t | {"head.bias": np.array([np.nan], np.float32)}, "head.bias with values that are not finite"),
        (lambda t: t | {"head.bias": np.array([1], np.int64)}, "head.bias with values that are not finite"),
        (lambda t: {k: v for k, v in t.items() if not k.startswith("cal")}, "calibration.residuals differs"),
    ],
)
def test_foreign_weights(folder, change, text):
    forge(folder, change)
    refused(folder, text)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"format": "other"}, "is not of the format alfred.analyst.1"),
        ({"surprise": 1}, "unknown setting 'surprise'"),
        ({"name": "ridge"}, "calls itself 'ridge' and 'vanilla.small.tanh'; it was changed by hand"),
        ({"name": "os.system", "spec": {"name": "os.system"}}, "cannot be restored: there is no analyst 'os.system'"),
        ({"spec": {"name": "vanilla.small.tanh", "size": 16, "layers": 2}}, "does not hold the weights"),
        ({"spec": {"name": "vanilla.small.tanh", "size": 65_536, "layers": 1000}}, "does not hold the weights"),
        ({"spec": {"name": "vanilla.small.tanh", "size": 10**12}}, "spec.size: input should be less than"),
        ({"name": "ridge", "spec": {"name": "ridge", "size": 8}}, "cannot be restored: ridge takes no size"),
        ({"name": "vanilla.small", "spec": {"name": "vanilla.small"}}, "was to forecast PQ, but learnt PM"),
        ({"name": "ridge", "spec": {"name": "ridge"}}, "does not hold the weights of ridge"),
        ({"training": None}, "does not say how vanilla.small.tanh was trained"),
        ({"training": {"epochs": -1}}, "training.epochs: input should be greater than or equal to 1"),
        ({"calibration": {"level": 0.8, "half_width": -1}}, "calibration.half_width"),
        ({"calibration": {"level": 0.8, "half_width": float("nan")}}, "calibration.half_width"),
    ],
)
def test_changed_descriptions(folder, changes, text):
    edit(folder, **changes)
    refused(folder, text)


def test_a_list_is_no_description(folder):
    (folder / "analyst.json").write_text("[]")
    refused(folder, "is not of the format")


def test_device_that_is_gone_falls_back(folder):
    import torch

    if torch.cuda.is_available():
        pytest.skip("cuda is there")
    expected = restore_analyst(folder).predict(VALID).mean
    training = json.loads((folder / "analyst.json").read_text())["training"]
    edit(folder, training=training | {"device": "cuda"})
    assert np.array_equal(restore_analyst(folder).predict(VALID).mean, expected)
