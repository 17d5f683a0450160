from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from alfred.core.errors import DataError
from alfred.evaluation.overfitting import overfitting


@pytest.mark.parametrize("measure", ["mean", "sharpe"])
def test_pure_noise_is_a_coin(measure):
    """The mean over 300 sweeps lies within three of its standard errors of one half."""
    random = np.random.default_rng(0)
    found = np.array([overfitting(random.standard_normal((64, 10)), 8, measure).probability for _ in range(300)])
    error = found.std(ddof=1) / np.sqrt(len(found))
    assert error < 0.015
    assert abs(found.mean() - 0.5) < 3 * error


def test_an_odd_number_of_configurations_is_a_coin_too():
    """The middle rank counts half; were it a loss, three configurations of noise would show 2/3."""
    random = np.random.default_rng(1)
    found = np.array([overfitting(random.standard_normal((32, 3)), 8).probability for _ in range(400)])
    assert abs(found.mean() - 0.5) < 3 * found.std(ddof=1) / 20


def test_skill_that_lasts_is_not_overfitting():
    noise = np.random.default_rng(2).standard_normal((80, 20))
    noise[:, 7] += 1.5
    found = overfitting(noise)
    assert found.probability < 0.01
    assert found.loss_probability < 0.01
    assert (found.blocks, found.configurations, len(found.logits)) == (16, 20, 12_870)


def test_a_winner_that_turns_is_overfitting():
    """Over all time every configuration is worth nothing, so what one was before it loses later."""
    figures = np.random.default_rng(3).standard_normal((32, 8))
    figures -= figures.mean(axis=0)
    found = overfitting(figures, 8)
    assert found.probability > 0.95
    assert found.slope == pytest.approx(-1.0)
    assert found.loss_probability == 1.0


def test_it_equals_the_procedure_written_out():
    figures = np.random.default_rng(4).standard_normal((35, 6)) + np.array([0, 0, 0.2, 0.4, 0, 0])
    blocks = np.split(figures, np.linspace(0, 35, 6, endpoint=False).round().astype(int)[1:])
    for measure in ("mean", "sharpe"):

        def score(rows, measure=measure):
            return rows.mean(axis=0) / (rows.std(axis=0) if measure == "sharpe" else 1)

        logits = []
        for half in combinations(range(6), 3):
            past = np.concatenate([blocks[at] for at in half])
            rest = np.concatenate([blocks[at] for at in range(6) if at not in half])
            best = score(past).argmax()
            share = stats.rankdata(score(rest))[best] / 7
            logits.append(np.log(share / (1 - share)))
        found = overfitting(figures, 6, measure)
        np.testing.assert_allclose(found.logits, logits, atol=1e-12)
        assert found.probability == pytest.approx(np.mean(np.array(logits) < 0))


def test_few_quarters_have_fewer_blocks():
    assert overfitting(np.random.default_rng(5).standard_normal((13, 4))).blocks == 6


def test_what_is_refused():
    with pytest.raises(DataError, match=r"at least 2 configurations over 8 quarters, got shape \(40, 1\)"):
        overfitting(np.zeros((40, 1)))
    with pytest.raises(DataError, match="must be even and at least 4, got 5"):
        overfitting(np.zeros((40, 3)), 5)
    with pytest.raises(DataError, match="2 figures of the sweep are not finite"):
        overfitting(np.where(np.arange(120).reshape(40, 3) < 2, np.nan, 1.0))
