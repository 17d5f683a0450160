import numpy as np
import pytest
from planted_windows import COLUMNS, after, planted
from sklearn.linear_model import ElasticNet as Reference

from alfred.analysts import AnalystSpec, make_analyst
from alfred.analysts import elastic_net as module
from alfred.analysts.elastic_net import FEW_ROWS, MIXINGS, SHRINKING, elastic_net_path
from alfred.core.progress import Silent
from alfred.training.settings import TrainSettings


def fit(train, valid, progress=None):
    spec = AnalystSpec(name="elastic-net", label=train.target)
    return make_analyst(spec, TrainSettings(), 0, progress or Silent()).fit(train, valid)


def flat(windows):
    return windows.x.reshape(len(windows), -1).astype(float)


def reference(penalty, mixing, x, y):
    return Reference(alpha=penalty, l1_ratio=mixing, tol=1e-12, max_iter=100_000).fit(x, y)


def correlated(rows, columns, seed=0):
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, 3)) @ random.normal(size=(3, columns)) + 0.3 * random.normal(size=(rows, columns))
    y = x[:, 0] - 0.5 * x[:, 1] + random.normal(size=rows)
    return x - x.mean(axis=0), y - y.mean()


@pytest.mark.parametrize(("rows", "columns"), [(80, 7), (30, 60)])
def test_path_equals_scikit_learn(rows, columns):
    x, y = correlated(rows, columns)
    shares = SHRINKING[: FEW_ROWS if rows < columns else None]
    grid, weights, unsettled = elastic_net_path(x.T @ x / rows, x.T @ y / rows, shares)
    assert unsettled == 0
    for at in range(0, len(grid), 7):
        expected = reference(*grid[at], x, y).coef_
        np.testing.assert_allclose(weights[:, at], expected, rtol=0, atol=3e-5)
        assert np.array_equal(weights[:, at] == 0, expected == 0)


def test_the_grid_ends_where_no_weight_is_left():
    x, y = correlated(80, 7)
    grid, weights, _ = elastic_net_path(x.T @ x / 80, x.T @ y / 80)
    assert len(grid) == len(MIXINGS) * len(SHRINKING)
    np.testing.assert_allclose(grid[-len(MIXINGS) :].prod(axis=1), np.abs(x.T @ y / 80).max())
    assert not weights[:, -len(MIXINGS) :].any()
    assert (weights[:, -len(MIXINGS) - 1] != 0).sum() >= 1
    assert grid[-1, 1] == 1.0


def test_chooses_on_the_validation_rows_and_learns_from_the_training_rows():
    train = planted(120, noise=0.15)
    valid = planted(64, noise=0.15, seed=1, first=after(train))
    fitted = fit(train, valid)
    x, later = flat(train), flat(valid)
    grid, _, _ = elastic_net_path(np.cov(x.T, bias=True), (x - x.mean(axis=0)).T @ train.y / 120)
    errors = [np.mean((reference(*pair, x, train.y).predict(later) - valid.y) ** 2) for pair in grid]
    best = grid[int(np.argmin(errors))]
    assert 0 < int(np.argmin(errors)) < len(grid) - 1  # otherwise this would show no choice
    np.testing.assert_allclose([fitted.details["penalty"], fitted.details["mixing"]], best, rtol=1e-9)
    expected = reference(*best, x, train.y)
    assert fitted.details["columns_used"] == np.count_nonzero(expected.coef_)
    np.testing.assert_allclose(fitted.predict(valid).mean, expected.predict(later), atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_noise_leaves_the_mean(seed):
    train = planted(100, signal={}, seed=seed)
    valid = planted(4000, signal={}, seed=10 + seed, first=after(train), symbols=400)
    assert np.abs(fit(train, valid).weights).max() < 2e-3


def test_labels_that_do_not_vary():
    train = planted(40, signal={}, noise=0.0)
    valid = planted(16, signal={}, noise=0.0, first=after(train))
    fitted = fit(train, valid)
    assert not fitted.weights.any()
    np.testing.assert_allclose(fitted.predict(valid).mean, 0.01)


def test_more_columns_than_rows_take_the_shorter_grid(monkeypatch):
    asked = []

    def listening(gram, moment, shares):
        asked.append(len(shares))
        return elastic_net_path(gram, moment, shares)

    monkeypatch.setattr(module, "elastic_net_path", listening)
    for rows in (11, 12):
        train = planted(rows, noise=0.01)
        fit(train, planted(16, seed=1, first=after(train)))
    assert asked == [FEW_ROWS, len(SHRINKING)]
    assert SHRINKING[FEW_ROWS - 1] == pytest.approx(0.01)


def test_columns_that_do_not_vary_get_no_weight():
    train, valid = planted(80), planted(32, seed=1, first=np.datetime64("2030-03-31"))
    for windows in (train, valid):
        windows.cells[1:, 2] = 3.0
    weights = fit(train, valid).weights
    assert np.isfinite(weights).all()
    assert not weights[:, 2].any()


def test_finds_the_planted_slopes_and_little_else():
    train = planted(4000, noise=0.01, symbols=100)
    weights = fit(train, planted(400, noise=0.01, seed=1, first=after(train))).weights
    expected = np.zeros((2, len(COLUMNS)))
    expected[1, 0], expected[1, 1] = 0.06, 0.05
    np.testing.assert_allclose(weights, expected, atol=1e-3)


def test_what_was_not_solved_is_said(monkeypatch):
    class Listener(Silent):
        heard = ""

        def say(self, message):
            self.heard += message

    monkeypatch.setattr(module, "SWEEPS", 1)
    listener, train = Listener(), planted(64)
    fit(train, planted(32, seed=1, first=after(train)), listener)
    assert listener.heard.startswith("elastic-net: ")
    assert listener.heard.endswith(" of 93 penalties were not solved in 1 sweeps.")
