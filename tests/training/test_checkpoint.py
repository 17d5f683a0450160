import subprocess
import sys
from pathlib import Path

import pytest
import torch
from members_under_test import LOSS, SETTINGS, Deep, trainings
from safetensors import safe_open
from test_members import Dropped, same, weights_of
from torch import nn
from training_rows import LATER, Line, rows

from alfred.training.checkpoint import Checkpoints
from alfred.training.compute import build_seeded
from alfred.training.loop import Training, train, train_many
from alfred.training.losses import loss_function
from alfred.training.settings import TrainSettings

QUICK = TrainSettings(epochs=9, batch_size=16, learning_rate=0.05, plateau_patience=1, device="cpu", threads=1)
MSE = loss_function("mse")


class StoppedError(Exception):
    pass


class Stopper:
    """Ends a training after so many epochs, as an interrupt would."""

    def __init__(self, after):
        self.left = after

    def start(self, task, total=None):
        pass

    def advance(self, task, steps=1, note=""):
        self.left -= 1
        if self.left < 0:
            raise StoppedError

    def finish(self, task, note=""):
        pass

    def say(self, message):
        pass


def test_killed_and_taken_up_again_to_the_last_bit(tmp_path):
    script = Path(__file__).with_name("members_under_test.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == -9, done.stderr
    left = sorted(tmp_path.glob("*.safetensors"))
    assert left
    epochs = {path.name: header(path)["course"].count('"number"') for path in left}
    assert max(epochs.values()) >= 3  # it had come some way

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        members, fresh, heard = trainings(), trainings(), Counter()
        got = train_many(members, LOSS, SETTINGS, progress=heard, checkpoints=Checkpoints(tmp_path))
        expected = train_many(fresh, LOSS, SETTINGS)
    finally:
        torch.set_num_threads(before)
    assert same(got, members, expected, fresh)
    assert heard.epochs == sum(len(o.record.epochs) for o in expected) - sum(epochs.values())
    assert list(tmp_path.glob("*.safetensors")) == []  # ended well: nothing is left to take up


def header(path):
    with safe_open(path, framework="pt") as file:
        return file.metadata()


class Counter(Stopper):
    def __init__(self):
        self.epochs = 0

    def advance(self, task, steps=1, note=""):
        self.epochs += 1


@pytest.mark.parametrize("kind", [Line, Dropped])
@pytest.mark.parametrize("after", [0, 1, 5])
def test_an_interrupted_training_ends_as_if_it_had_not_been(kind, after, tmp_path):
    def run(**more):
        network = build_seeded(kind, 1)
        record = train(network, rows(100), rows(40, first=LATER, seed=1), MSE, QUICK, seed=5, **more).record
        return network, record

    place = Checkpoints(tmp_path / "kept", seconds=0)
    with pytest.raises(StoppedError):
        run(progress=Stopper(after), checkpoints=place)
    assert len(list(tmp_path.glob("kept/*"))) == (1 if after else 0)
    (resumed, record), (whole, expected) = run(checkpoints=place), run()
    assert torch.equal(weights_of(resumed), weights_of(whole))
    assert (record.epochs, record.best_epoch) == (expected.epochs, expected.best_epoch)


def test_members_resume_in_other_company(tmp_path):
    """Files are a member's own: of five that were interrupted, two go on alone."""
    place = Checkpoints(tmp_path, seconds=0)
    one_thread = SETTINGS.model_copy(update={"threads": 1})
    with pytest.raises(StoppedError):
        train_many(trainings(), LOSS, one_thread, progress=Stopper(15), checkpoints=place)
    pair, fresh, heard = trainings()[1:3], trainings()[1:3], Counter()
    got = train_many(pair, LOSS, one_thread, progress=heard, checkpoints=place)
    expected = train_many(fresh, LOSS, one_thread)
    assert same(got, pair, expected, fresh)
    assert heard.epochs < sum(len(o.record.epochs) for o in expected)


def left_by(folder, settings=QUICK, seed=5, learn=None):
    """Interrupt a training after three epochs."""
    network = build_seeded(Line, 1)
    with pytest.raises(StoppedError):
        train(
            network, learn or rows(100), rows(40, first=LATER, seed=1), MSE, settings, seed=seed,
            progress=Stopper(3), checkpoints=Checkpoints(folder, seconds=0),
        )  # fmt: skip
    return set(folder.glob("*.safetensors"))


def test_another_training_finds_nothing(tmp_path):
    first = left_by(tmp_path)
    other_seed = left_by(tmp_path, seed=6)
    other_rate = left_by(tmp_path, QUICK.model_copy(update={"learning_rate": 0.04}))
    other_rows = left_by(tmp_path, learn=rows(100, seed=2))
    assert [len(found) for found in (first, other_seed, other_rate, other_rows)] == [1, 2, 3, 4]


@pytest.mark.parametrize("damage", [b"", b"no tensors", None])
def test_a_damaged_file_is_not_taken_up(damage, tmp_path):
    (path,) = left_by(tmp_path)
    path.write_bytes(path.read_bytes()[:-40] if damage is None else damage)
    network, whole = build_seeded(Line, 1), build_seeded(Line, 1)
    parts = rows(100), rows(40, first=LATER, seed=1)
    train(network, *parts, MSE, QUICK, seed=5, checkpoints=Checkpoints(tmp_path))
    train(whole, *parts, MSE, QUICK, seed=5)
    assert torch.equal(weights_of(network), weights_of(whole))


def test_written_no_more_often_than_asked(tmp_path):
    with pytest.raises(StoppedError):
        train_many(
            trainings(Deep)[:1], LOSS, SETTINGS, progress=Stopper(4), checkpoints=Checkpoints(tmp_path, seconds=3600)
        )
    assert list(tmp_path.iterdir()) == []


def test_the_file_holds_tensors_and_json_only(tmp_path):
    (path,) = left_by(tmp_path)
    assert header(path)["format"] == "alfred.checkpoint.1"
    with safe_open(path, framework="pt") as file:
        assert set(file.keys()) == {"weights", "mean", "square", "best", "steps", "order"}


def test_weights_decide_too(tmp_path):
    left_by(tmp_path)
    other, whole = build_seeded(Line, 2), build_seeded(Line, 2)
    parts = rows(100), rows(40, first=LATER, seed=1)
    for network, place in ((other, Checkpoints(tmp_path)), (whole, None)):
        train_many([Training(network, *parts, 5)], MSE, QUICK, checkpoints=place)
    assert torch.equal(weights_of(other), weights_of(whole))
    assert isinstance(other, nn.Module)
