import numpy as np
import pytest
from planted_windows import COLUMNS, after, planted
from sklearn.linear_model import LogisticRegression

from alfred.analysts import AnalystSpec, make_analyst
from alfred.analysts import logistic as module
from alfred.analysts.logistic import PENALTIES_PER_ROW, logistic_path
from alfred.core.progress import Silent
from alfred.training.settings import TrainSettings


def fit(train, valid, progress=None):
    return make_analyst(AnalystSpec(name="logistic"), TrainSettings(), 0, progress or Silent()).fit(train, valid)


def flat(windows):
    return windows.x.reshape(len(windows), -1).astype(float)


def reference(penalty, x, y):
    return LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=10_000, solver="newton-cg").fit(x, y)


@pytest.mark.parametrize(("rows", "columns", "slope"), [(200, 5, 0.5), (300, 8, 4.0), (40, 60, 1.0)])
def test_path_equals_scikit_learn(rows, columns, slope):
    random = np.random.default_rng(0)
    x = random.normal(size=(rows, columns)) * random.uniform(0.1, 3, columns)
    x -= x.mean(axis=0)
    y = (slope * x[:, 0] + random.logistic(size=rows) > 0.3).astype(float)
    penalties = np.array([1e-1, 1.0, 50.0, 1e4])
    weights, offsets, unsettled = logistic_path(x, y, penalties)
    assert unsettled == 0
    for at, penalty in enumerate(penalties):
        expected = reference(penalty, x, y)
        np.testing.assert_allclose(weights[:, at], expected.coef_[0], rtol=1e-4, atol=2e-5)
        np.testing.assert_allclose(offsets[at], expected.intercept_[0], rtol=1e-4, atol=2e-5)


def test_chooses_by_log_loss_on_the_validation_rows_and_learns_from_the_training_rows():
    train = planted(160, "PQ", noise=0.15)
    valid = planted(96, "PQ", noise=0.15, seed=1, first=after(train))
    fitted = fit(train, valid)
    losses = []
    for penalty in PENALTIES_PER_ROW:
        risen = reference(penalty * 160, flat(train), train.y).predict_proba(flat(valid))[:, 1]
        losses.append(-np.log(np.where(valid.y == 1, risen, 1 - risen)).mean())
    best = PENALTIES_PER_ROW[int(np.argmin(losses))] * 160
    assert 0 < int(np.argmin(losses)) < len(losses) - 1  # otherwise this would show no choice
    assert fitted.details == {"penalty": best}
    expected = reference(best, flat(train), train.y).predict_proba(flat(valid))[:, 1]
    np.testing.assert_allclose(fitted.predict(valid).mean, expected, atol=1e-6)


def test_noise_leaves_the_share_of_rises():
    train = planted(200, "PQ", signal={})
    valid = planted(4000, "PQ", signal={}, seed=1, first=after(train), symbols=400)
    # Without a penalty 12 weights of nothing move a probability by sqrt(12 / 200) / 2, which is 0.12.
    assert np.abs(fit(train, valid).predict(valid).mean - train.y.mean()).mean() < 0.02


@pytest.mark.parametrize("rises", [0.0, 1.0])
def test_one_kind_of_label_only(rises):
    train, valid = planted(40, "PQ"), planted(16, "PQ", seed=1, first=np.datetime64("2030-03-31"))
    train.y[:] = rises
    mean = fit(train, valid).predict(valid).mean
    assert np.isfinite(mean).all()
    assert np.abs(mean - rises).max() < 1e-3


def test_labels_that_a_line_separates():
    train = planted(64, "PQ", noise=0.0)
    valid = planted(64, "PQ", noise=0.0, seed=1, first=after(train))
    fitted = fit(train, valid)
    assert np.isfinite(fitted.weights).all()
    assert ((fitted.predict(valid).mean > 0.5) == (valid.y == 1)).mean() > 0.85


def test_what_was_not_solved_is_said(monkeypatch):
    class Listener(Silent):
        heard = ""

        def say(self, message):
            self.heard += message

    monkeypatch.setattr(module, "STEPS", 1)
    listener, train = Listener(), planted(64, "PQ")
    fit(train, planted(32, "PQ", seed=1, first=after(train)), listener)
    assert listener.heard.startswith("logistic: ")
    assert listener.heard.endswith(" of 17 penalties were not solved in 1 steps.")


def test_weights_stand_where_the_columns_stand():
    train = planted(4000, "PQ", symbols=100)
    weights = fit(train, planted(400, "PQ", seed=1, first=after(train))).weights
    assert weights.shape == (2, len(COLUMNS))
    assert set(np.flatnonzero(np.abs(weights.ravel()) > 0.5)) == {6, 7}
    # The ratio of the planted slopes, 0.06 to 0.05.
    assert weights[1, 0] / weights[1, 1] == pytest.approx(1.2, rel=0.15)
