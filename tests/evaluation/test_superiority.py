import numpy as np
import pytest

from alfred.core.errors import DataError
from alfred.evaluation.bootstrap import stationary_blocks
from alfred.evaluation.superiority import superiority


def test_it_equals_the_definitions_written_out():
    """Draw by draw, with the rows themselves, and the variance from Hansen's kernel lag by lag."""
    rows, block, draws = 40, 3.0, 200
    gains = np.random.default_rng(0).standard_normal((rows, 4)) * [1, 2, 0.5, 1] + [0.1, 0.3, 0.2, -1.5]
    found = superiority(gains, block, draws, seed=9)
    means = gains.mean(axis=0)
    variance = []
    for column in (gains - means).T:
        total = column @ column / rows
        for lag in range(1, rows):
            weight = (rows - lag) / rows * (1 - 1 / block) ** lag + lag / rows * (1 - 1 / block) ** (rows - lag)
            total += 2 * weight * (column[lag:] @ column[:-lag]) / rows
        variance.append(total)
    error = np.sqrt(np.array(variance) / rows)
    statistic = max((means / error).max(), 0)
    assert found.statistic == pytest.approx(statistic)
    assert found.best == (means / error).argmax()
    kept = {
        "lower": np.maximum(means, 0),
        "spa": np.where(means / error >= -np.sqrt(2 * np.log(np.log(rows))), means, 0),
        "upper": means,
    }
    starts, lengths = stationary_blocks(rows, block, draws, np.random.default_rng(9))
    higher, white = dict.fromkeys(kept, 0), 0
    for begins, sizes in zip(starts, lengths, strict=True):
        drawn = np.concatenate([(at + np.arange(size)) % rows for at, size in zip(begins, sizes, strict=True)])
        mean = gains[drawn].mean(axis=0)
        for name, kept_means in kept.items():
            higher[name] += max(((mean - kept_means) / error).max(), 0) >= statistic
        white += (mean - means).max() >= means.max()
    assert {name: getattr(found, name) for name in kept} == {name: count / draws for name, count in higher.items()}
    assert found.reality_check == white / draws
    assert found.lower <= found.spa <= found.upper


def test_noise_is_found_superior_as_often_as_promised():
    """Ten alternatives without merit: the 5% test errs in 5% of 400 samples, give or take three standard errors."""
    random = np.random.default_rng(1)
    p_values = [superiority(random.standard_normal((60, 10)), 1.0, 300, seed).spa for seed in range(400)]
    assert 0.015 <= np.mean(np.array(p_values) <= 0.05) <= 0.09


def test_hopeless_alternatives_do_not_hide_a_good_one():
    gains = np.random.default_rng(2).standard_normal((80, 30))
    gains[:, 1:] = 4 * gains[:, 1:] - 3
    gains[:, 0] += 0.35
    found = superiority(gains, 2.0)
    assert found.best == 0
    assert found.spa < 0.02
    assert found.reality_check > 0.3


def test_all_worse_than_the_benchmark():
    found = superiority(np.random.default_rng(3).standard_normal((40, 3)) - 2)
    assert (found.spa, found.upper, found.statistic) == (1.0, 1.0, 0.0)


def test_a_constant_alternative_and_the_blocks_own_choice():
    gains = np.random.default_rng(4).standard_normal((50, 2))
    with_still = np.column_stack([gains, np.zeros(50)])
    assert superiority(with_still, 2.0, seed=1).spa == superiority(gains, 2.0, seed=1).spa
    assert superiority(gains).mean_block >= 1
    assert superiority(gains) == superiority(gains)


def test_what_is_refused():
    with pytest.raises(DataError, match=r"at least 8 quarters and 1 alternative, got shape \(5, 2\)"):
        superiority(np.zeros((5, 2)))
    with pytest.raises(DataError, match="with 1 that are not finite"):
        superiority(np.where(np.arange(40).reshape(20, 2) == 3, np.nan, 1.0))
