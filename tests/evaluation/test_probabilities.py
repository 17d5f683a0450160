import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize_scalar

from alfred.core.calendar import decision_dates
from alfred.evaluation.probabilities import rolling_probabilities

BASE = np.log(0.6 / 0.4)
DATES = decision_dates(np.datetime64("1990-01-01"), np.datetime64("2029-12-31"))


def table(first, probability, rise, folds, horizon=1, *, base=0.5):
    """Rows of probabilities (Q, N) and what came, realised `horizon` quarters on."""
    quarters, names = probability.shape
    at = np.arange(first, first + quarters).repeat(names)
    return pl.DataFrame(
        {
            "fold": np.asarray(folds, np.int64).repeat(names),
            "as_of": DATES[at],
            "realised_on": DATES[at + horizon],
            "prob_up": probability.ravel(),
            "base": np.full(len(at), base),
            "rise": rise.astype(float).ravel(),
        }
    ).with_columns(pl.col("as_of", "realised_on").cast(pl.Date), pl.col("rise").fill_nan(None))


def market(seed, quarters, names=20, claim=1.0, lean=0.0):
    """Statements whose logits are `claim` times the true ones, and `lean` too high."""
    random = np.random.default_rng(seed)
    logit = 0.5 * random.normal(size=(quarters, names))
    rise = random.random(logit.shape) < 1 / (1 + np.exp(-logit))
    return 1 / (1 + np.exp(-(claim * logit + lean))), rise


def nothing_before():
    return table(0, np.empty((0, 1)), np.empty((0, 1)), [])


def test_fit_is_the_posterior_mode():
    said, rise = market(0, 6, names=7, claim=3.0, lean=1.0)
    before = table(0, said, rise, [0] * 6, base=0.6)
    asked = np.array([[0.3, 0.9]])
    found = rolling_probabilities(table(6, asked, np.zeros((1, 2)), [0], base=0.6), before)
    logit, came = np.log(said / (1 - said)).ravel(), rise.ravel()

    def loss(share):
        score = BASE + share * (logit - BASE)
        rows = np.logaddexp(0, score) - came * score
        return rows.sum() / 7 + (share - 1) ** 2 / 2

    share = minimize_scalar(loss, bounds=(0, 5), options={"xatol": 1e-10}).x
    score = BASE + share * (np.log(asked / (1 - asked)) - BASE)
    np.testing.assert_allclose(found, (1 / (1 + np.exp(-score)))[0], rtol=1e-6)


def test_without_evidence_they_stay():
    said, rise = market(0, 3)
    found = rolling_probabilities(table(0, said, rise, [0] * 3, horizon=5), nothing_before())
    np.testing.assert_array_equal(found, said.ravel())


@pytest.mark.parametrize(("claim", "lean", "left"), [(4.0, 0.0, 0.25), (3.0, 0.5, 0.25), (0.5, 0.0, 0.5)])
def test_they_come_to_come_true(claim, lean, left):
    """Over many markets, at most `left` of what misstatement costs remains in the last ten of sixty quarters."""
    said, plain, best = [], [], []
    for seed in range(20):
        stated, rise = market(seed, 60, claim=claim, lean=lean)
        found = rolling_probabilities(table(0, stated, rise, [0] * 60), nothing_before()).reshape(stated.shape)
        true, _ = market(seed, 60)
        for scores, probability in ((said, found), (plain, stated), (best, true)):
            scores.append(((probability - rise)[-10:] ** 2).mean())
    assert np.mean(said) < np.mean(plain)
    assert np.mean(said) - np.mean(best) < left * (np.mean(plain) - np.mean(best))


def test_the_right_ones_are_hardly_harmed():
    losses = []
    for seed in range(20):
        stated, rise = market(seed, 40)
        found = rolling_probabilities(table(0, stated, rise, [0] * 40), nothing_before()).reshape(stated.shape)
        losses.append(((found - rise) ** 2).mean() - ((stated - rise) ** 2).mean())
    assert np.mean(losses) < 0.002


@pytest.mark.parametrize("horizon", [1, 3])
def test_nothing_later_is_read(horizon):
    said, rise = market(1, 20, names=5)
    folds = np.repeat([0, 1], 8)
    before = table(0, said[:4], rise[:4], [0] * 4, horizon)
    first = rolling_probabilities(table(4, said[4:], rise[4:], folds, horizon), before)
    for now in range(1, 16):
        other = rise[4:].astype(float)
        # What is asked on the date of quarter `now` knows labels of quarters up to `now` - horizon.
        other[max(now - horizon + 1, 0) :] = 1 - other[max(now - horizon + 1, 0) :]
        again = rolling_probabilities(table(4, said[4:], other, folds, horizon), before)
        np.testing.assert_array_equal(again[: 5 * (now + 1)], first[: 5 * (now + 1)])


def test_a_quarter_counts_once_however_many_names():
    one = table(0, np.array([[0.5]]), np.array([[1]]), [0])
    many = table(0, np.full((1, 50), 0.5), np.ones((1, 50)), [0])
    asked = table(1, np.array([[0.5]]), np.array([[0]]), [0])
    np.testing.assert_allclose(rolling_probabilities(asked, one), rolling_probabilities(asked, many))


def test_order_within_a_quarter_is_never_turned():
    """Statements that were wrong whenever they were bold end as one for all, not as their opposite."""
    said = np.tile([0.1, 0.9], (40, 10))
    found = rolling_probabilities(table(0, said, said < 0.5, [0] * 40), nothing_before()).reshape(said.shape)
    assert (found[:, 1] >= found[:, 0]).all()
    assert found[-1, 1] - found[-1, 0] < 0.05


def test_the_naive_statement_stays():
    """However many quarters fall: what says no more than the base rate has nothing to take back."""
    said = np.full((30, 8), 0.6)
    found = rolling_probabilities(table(0, said, np.zeros_like(said), [0] * 30, base=0.6), nothing_before())
    np.testing.assert_allclose(found, 0.6)
