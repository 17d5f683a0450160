import hashlib
import json
import sys
from dataclasses import replace

import lightgbm
import numpy as np
import pytest
from planted_windows import COLUMNS, after, planted
from safetensors.numpy import load, save
from scipy.special import expit

from alfred.analysts import AnalystSpec, describe, make_analyst, restore_analyst
from alfred.analysts._trees import Trees
from alfred.analysts.lightgbm import FIXED, LEAVES, PATIENCE, ROUNDS
from alfred.core.contracts import Windows
from alfred.core.errors import ConfigError, DataError
from alfred.core.progress import Silent
from alfred.training.settings import LossSettings, TrainSettings


def rows(label="PM", **planted_as):
    train = planted(320, label, **planted_as)
    valid = planted(96, label, seed=1, first=after(train), **planted_as)
    return train, valid, planted(400, label, seed=2, first=after(valid), **planted_as)


def make(label="PM", seed=1, loss=None, settings=None, progress=None):
    spec = AnalystSpec(name="lightgbm", label=label, loss=loss)
    return make_analyst(spec, settings or TrainSettings(), seed, progress or Silent())


def flat(windows):
    return windows.x.reshape(len(windows), -1)


@pytest.mark.parametrize(
    ("label", "loss", "objective", "metric"),
    [("PM", None, "regression", "l2"), ("PM", "huber", "huber", "huber"), ("PQ", None, "binary", "binary_logloss")],
)
def test_forecasts_are_lightgbms_own_to_the_last_bit(label, loss, objective, metric):
    train, valid, test = rows(label)
    fitted = make(label, seed=7, loss=loss).fit(train, valid)
    parameters = FIXED | {"objective": objective, "metric": metric, "alpha": 1.0, "min_data_in_leaf": 20, "seed": 7}
    start = np.full(len(train), fitted.base)
    learn = lightgbm.Dataset(flat(train), train.y, init_score=start, params=parameters)
    judge = lightgbm.Dataset(flat(valid), valid.y, reference=learn, init_score=start[: len(valid)])
    losses = {}
    booster = lightgbm.train(
        parameters | {"num_threads": 1},
        learn,
        ROUNDS,
        valid_sets=[judge],
        callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False), lightgbm.record_evaluation(losses)],
    )
    assert 1 < booster.best_iteration == fitted.record.best_epoch
    assert losses["valid_0"][metric] == [epoch.valid_loss for epoch in fitted.record.epochs]
    raw = fitted.base + booster.predict(flat(test), raw_score=True, num_iteration=booster.best_iteration)
    expected = expit(raw) if label == "PQ" else raw
    assert np.array_equal(fitted.predict(test).mean, expected)


def test_begins_at_the_training_mean_or_the_share_of_rises():
    train, valid, _ = rows()
    assert make().fit(train, valid).base == pytest.approx(train.y.mean())
    train, valid, _ = rows("PQ")
    assert expit(make("PQ").fit(train, valid).base) == pytest.approx((train.y.sum() + 1) / 322)


def test_hubers_delta_is_the_networks():
    train, valid, test = rows()
    means = [
        make(loss="huber", settings=TrainSettings(loss=LossSettings(delta=delta))).fit(train, valid).predict(test).mean
        for delta in (1.0, 0.02)
    ]
    assert not np.array_equal(*means)
    # No label is a whole unit away, so Huber's loss is half the square and the trees are those of mse.
    np.testing.assert_allclose(means[0], make().fit(train, valid).predict(test).mean, atol=1e-6)


def test_seeds_differ():
    train, valid, test = rows()
    one, other = (make(seed=seed).fit(train, valid).predict(test).mean for seed in (1, 2))
    assert not np.array_equal(one, other)
    assert describe("lightgbm").uses_seed


@pytest.mark.slow
def test_threads_change_nothing():
    """Slow where the cores are busy: OpenMP's threads wait for one another without sleeping."""
    train, valid, test = rows()
    one, two = (make(settings=TrainSettings(threads=n)).fit(train, valid).predict(test).mean for n in (1, 2))
    assert np.array_equal(one, two)


def test_the_record_tells_every_round():
    train, valid, _ = rows()
    record = make().fit(train, valid).record
    losses = [epoch.valid_loss for epoch in record.epochs]
    assert [epoch.number for epoch in record.epochs] == list(range(1, len(losses) + 1))
    assert record.best_epoch == int(np.argmin(losses)) + 1
    assert (record.stopped, len(losses)) == ("patience", record.best_epoch + PATIENCE)
    assert record.epochs[-1].train_loss < record.epochs[0].train_loss
    assert record.samples_per_second > 0
    # Each tree: at most 8 leaves and 7 splits; and the base.
    assert record.best_epoch < record.parameters <= record.best_epoch * (2 * LEAVES - 1) + 1


def test_where_no_tree_helps_none_is_kept(tmp_path):
    """Labels of the validation rows run against the training rows', so that the first tree already harms."""
    train, valid, test = rows()
    fitted = make().fit(train, replace(valid, y=2 * train.y.mean() - valid.y))
    assert (fitted.record.best_epoch, fitted.record.parameters) == (0, 1)
    assert len(fitted.record.epochs) == PATIENCE
    assert np.array_equal(fitted.predict(test).mean, np.full(400, train.y.mean()))
    fitted.save(tmp_path)
    assert np.array_equal(restore_analyst(tmp_path).predict(test).mean, fitted.predict(test).mean)


@pytest.mark.parametrize("label", ["PM", "PQ"])
def test_too_few_rows_for_a_split_leave_the_base(label):
    train = planted(24, label)
    valid = planted(16, label, seed=1, first=after(train))
    fitted = make(label).fit(train, valid)
    assert (fitted.record.stopped, fitted.record.best_epoch) == ("no further split", 0)
    assert np.ptp(fitted.predict(valid).mean) == 0


def test_columns_that_do_not_vary_leave_the_base():
    train, valid, test = rows()
    for windows in (train, valid):
        windows.cells[1:] = 3.0
    fitted = make().fit(train, valid)
    assert fitted.record.best_epoch == 0
    assert np.array_equal(fitted.predict(test).mean, np.full(400, train.y.mean()))


def test_one_kind_of_label_only():
    train, valid, test = rows("PQ")
    train.y[:] = 1.0
    mean = make("PQ").fit(train, valid).predict(test).mean
    assert (mean > 0.99).all()
    assert (mean < 1).all()


def test_names_that_lightgbm_refuses_and_a_kink_that_no_line_sees():
    def kinked(count, seed, first):
        windows = planted(count, signal={}, seed=seed, first=first)
        y = windows.y + 0.1 * np.abs(windows.x[:, -1, 0])
        return replace(windows, y=y, columns=('a,"b"[c]:{d}', *COLUMNS[1:]))

    train = kinked(640, 0, np.datetime64("1995-03-31"))
    valid = kinked(160, 1, after(train))
    test = kinked(400, 2, after(valid))
    ridge = make_analyst(AnalystSpec(name="ridge"), TrainSettings(), 0).fit(train, valid)
    errors = [np.mean((fitted.predict(test).mean - test.y) ** 2) for fitted in (make().fit(train, valid), ridge)]
    assert errors[0] < 0.7 * errors[1]


def test_long_windows_are_forecast_like_short_ones():
    """More rows than one block of the forecast holds."""
    train, valid, test = rows(quarters=5)
    fitted = make().fit(train, valid)
    many = test.rows(np.tile(np.arange(400), 12))
    assert np.array_equal(fitted.predict(many).mean, np.tile(fitted.predict(test).mean, 12))
    assert isinstance(many, Windows)


def test_progress_is_told():
    class Listener(Silent):
        def __init__(self):
            self.heard = []

        def start(self, task, total=None):
            self.heard.append((task, total))

        def advance(self, task, steps=1, note=""):
            self.heard.append(note)

        def finish(self, task, note=""):
            self.heard.append(task)

    listener = Listener()
    train, valid, _ = rows()
    record = make(progress=listener).fit(train, valid).record
    assert listener.heard[0] == ("lightgbm, seed 1", ROUNDS)
    assert listener.heard[1] == f"validation loss {record.epochs[0].valid_loss:.4g}"
    assert len(listener.heard) == len(record.epochs) + 2
    assert listener.heard[-1] == "lightgbm, seed 1"


def test_without_the_library_old_trees_forecast_and_new_ones_are_explained(tmp_path, monkeypatch):
    train, valid, test = rows()
    fitted = make().fit(train, valid)
    fitted.save(tmp_path)
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    assert np.array_equal(restore_analyst(tmp_path).predict(test).mean, fitted.predict(test).mean)
    with pytest.raises(ConfigError, match=r"growing trees needs the library lightgbm, .* `brew install libomp`"):
        make().fit(train, valid)


def test_a_tree_by_hand():
    """Split 0 asks column 1 for 0.5: up to it leaf 0, above it split 1, which asks column 0 for -1."""
    trees = Trees(
        column=np.array([[1, 0]]),
        threshold=np.array([[0.5, -1.0]]),
        left=np.array([[-1, -2]]),
        right=np.array([[1, -3]]),
        leaf=np.array([[10.0, 20.0, 30.0]]),
    )
    x = np.array([[9.0, 0.5], [-1.0, 0.6], [-0.9, 0.6]], np.float32)
    assert trees.sums(x).tolist() == [10, 20, 30]
    assert trees.parameters == 5
    assert Trees.of_tensors(trees.tensors(), 2).sums(x).tolist() == [10, 20, 30]
    assert Trees.empty(3, 4).sums(x).tolist() == [0, 0, 0]
    assert Trees.empty(3, 4).parameters == 3


@pytest.fixture
def folder(tmp_path):
    train, valid, _ = rows()
    make().fit(train, valid).save(tmp_path)
    return tmp_path


def forge(folder, name, value):
    """Replace one number and the digest that would give it away."""
    tensors = load((folder / "weights.safetensors").read_bytes())
    tensors[name] = tensors[name].copy()
    tensors[name][3, 2] = value
    content = save(tensors)
    (folder / "weights.safetensors").write_bytes(content)
    path = folder / "analyst.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"weights_sha256": hashlib.sha256(content).hexdigest()}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("column", 12),
        ("column", -1),
        ("column", 0.5),
        ("left", 2),  # itself: a row would never arrive
        ("right", 0),
        ("left", LEAVES - 1),
        ("right", -LEAVES - 1),
        ("left", -1e300),
        ("right", 1.5),
    ],
)
def test_forged_trees_are_refused(folder, name, value):
    forge(folder, name, value)
    with pytest.raises(DataError, match="saved trees are none of 12 columns and 7 splits; they were changed"):
        restore_analyst(folder)


def test_forged_counts_are_refused(folder):
    path = folder / "analyst.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"record": content["record"] | {"best_epoch": 10**9}}))
    with pytest.raises(DataError, match="does not hold the weights of lightgbm; column differs"):
        restore_analyst(folder)
    path.write_text(json.dumps(content | {"seed": None}))
    with pytest.raises(DataError, match="does not say how lightgbm was trained"):
        restore_analyst(folder)
    path.write_text(json.dumps(content | {"spec": content["spec"] | {"loss": "bce"}}))
    with pytest.raises(DataError, match="cannot be restored: lightgbm learns PM by mse or huber"):
        restore_analyst(folder)
