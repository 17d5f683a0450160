import numpy as np
from planted_windows import COLUMNS, after, planted
from sklearn.linear_model import Ridge as Reference

from alfred.analysts import AnalystSpec, make_analyst
from alfred.analysts.ridge import PENALTIES_PER_ROW, ridge_path
from alfred.training.settings import TrainSettings


def fit(train, valid):
    return make_analyst(AnalystSpec(name="ridge"), TrainSettings(), 0).fit(train, valid)


def test_path_equals_scikit_learn():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(50, 7)), random.normal(size=50)
    x -= x.mean(axis=0)
    y -= y.mean()
    penalties = np.array([1e-3, 1.0, 50.0])
    got = ridge_path(x, y, penalties)
    for at, penalty in enumerate(penalties):
        expected = Reference(alpha=penalty, fit_intercept=False).fit(x, y).coef_
        np.testing.assert_allclose(got[:, at], expected, rtol=1e-9, atol=1e-12)


def test_chooses_the_penalty_on_the_validation_rows_and_learns_from_the_training_rows():
    train = planted(200)
    valid = planted(64, seed=1, first=after(train))
    fitted = fit(train, valid)
    flat = [w.x.reshape(len(w), -1).astype(float) for w in (train, valid)]
    errors = [
        np.mean((Reference(alpha=p * 200).fit(flat[0], train.y).predict(flat[1]) - valid.y) ** 2)
        for p in PENALTIES_PER_ROW
    ]
    best = PENALTIES_PER_ROW[int(np.argmin(errors))] * 200
    assert fitted.details == {"penalty": best}
    expected = Reference(alpha=best).fit(flat[0], train.y)
    np.testing.assert_allclose(fitted.predict(valid).mean, expected.predict(flat[1]), rtol=1e-9)


def test_more_columns_than_rows():
    train = planted(9, noise=0.01)
    valid = planted(16, seed=1, first=after(train))
    assert np.isfinite(fit(train, valid).predict(valid).mean).all()


def test_noise_leaves_the_mean():
    train = planted(100, signal={})
    valid = planted(4000, signal={}, seed=1, first=after(train), symbols=400)
    assert np.abs(fit(train, valid).weights).max() < 1e-3


def test_finds_the_planted_slopes():
    train = planted(4000, noise=0.01, symbols=100)
    weights = fit(train, planted(200, noise=0.01, seed=1, first=after(train))).weights
    expected = np.zeros((2, len(COLUMNS)))
    expected[1, 0], expected[1, 1] = 0.06, 0.05
    np.testing.assert_allclose(weights, expected, atol=1e-3)
