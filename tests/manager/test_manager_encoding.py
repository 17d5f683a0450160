from dataclasses import replace

import numpy as np
import pytest
from toy import scene_of

from alfred.core.errors import DataError
from alfred.manager.encoding import CASH, CLIP, FIRST, HELD, LARGEST_WEIGHT, MASK, Encoder, put_weights

RETURNS = np.random.default_rng(3).normal(0.02, 0.1, (8, 5))


def gappy(seed=1):
    """A scene with values that are missing, infinite, far out, and a column that nobody ever knew."""
    scene = scene_of(RETURNS, noise=0.01, masked=0.2, seed=seed)
    rng = np.random.default_rng(seed)
    observed = scene.observed.copy()
    observed[rng.random(observed.shape) < 0.3] = np.nan
    observed[0, 0, 3], observed[1, 1, 3], observed[2, 2, 0] = -np.inf, 1e300, np.inf
    observed[..., 2] = np.nan
    mean = np.where(rng.random(RETURNS.shape) < 0.3, np.nan, scene.outlook.mean)
    return replace(scene, observed=observed, outlook=replace(scene.outlook, mean=mean))


def test_channels_are_where_they_say():
    scene = gappy()
    encoder = Encoder.fit(scene)
    names = encoder.channels
    table = encoder.tables(scene)
    assert table.shape == (8, 5, len(names)) == (8, 5, 3 + 2 * (4 + 4) + 2)
    assert (names[HELD], names[MASK], names[CASH], names[FIRST]) == ("held", "mask", "cash", "outlook:mean")
    assert names[-encoder.market_channels :] == ("market_volatility", "known:market_volatility")
    np.testing.assert_array_equal(table[..., MASK], scene.mask)
    np.testing.assert_array_equal(table[..., names.index("known:outlook:mean")], np.isfinite(scene.outlook.mean))
    np.testing.assert_array_equal(table[..., names.index("known:volatility")], 0.0)


def test_everything_is_finite_and_unknown_is_zero():
    scene = gappy()
    table = Encoder.fit(scene).tables(scene)
    assert np.isfinite(table).all()
    assert np.abs(table).max() <= max(CLIP, 1.0)
    wide = 4 + len(scene.columns)
    values, known = table[..., FIRST : FIRST + wide], table[..., FIRST + wide : FIRST + 2 * wide]
    assert (values[known == 0.0] == 0.0).all()
    assert known[0, 0, 4 + 3] == known[2, 2, 4 + 0] == 0.0


def test_scaling_is_by_median_and_quartiles_of_names_that_may_be_held():
    scene = scene_of(RETURNS, masked=0.3, seed=2)
    encoder = Encoder.fit(scene)
    may = scene.outlook.mean[scene.mask]
    first, median, third = np.quantile(may, [0.25, 0.5, 0.75])
    expected = np.clip((scene.outlook.mean - median) / ((third - first) / 1.349), -CLIP, CLIP)
    np.testing.assert_allclose(encoder.tables(scene)[..., FIRST], expected, rtol=1e-5, atol=1e-6)


def test_an_observation_is_a_row_of_the_tables_with_its_weights():
    scene = gappy()
    encoder = Encoder.fit(scene.span(0, 4))
    held = np.array([0.5, -0.2, 0.0, 30.0, 0.0])
    expected = encoder.tables(scene)[6]
    np.testing.assert_array_equal(expected[:, CASH], 1.0)
    put_weights(expected, held)
    np.testing.assert_array_equal(encoder.encode(scene.observe(6, held)), expected)
    np.testing.assert_allclose(expected[:, HELD], [0.5, -0.2, 0.0, LARGEST_WEIGHT, 0.0])
    np.testing.assert_allclose(expected[:, CASH], -LARGEST_WEIGHT)


def test_later_decisions_do_not_move_what_was_learnt():
    scene = gappy()
    other = replace(scene, observed=np.concatenate([scene.observed[:4], 7.0 * scene.observed[4:]]))
    first = Encoder.fit(scene.span(0, 4)).tables(scene.span(0, 4))
    np.testing.assert_array_equal(first, Encoder.fit(other.span(0, 4)).tables(other.span(0, 4)))


def test_what_is_saved_encodes_the_same(tmp_path):
    scene = gappy()
    encoder = Encoder.fit(scene.span(0, 5))
    encoder.save(tmp_path / "encoder.json")
    again = Encoder.load(tmp_path / "encoder.json")
    assert again.channels == encoder.channels
    np.testing.assert_array_equal(again.tables(scene), encoder.tables(scene))


def test_other_columns_and_empty_scenes_are_refused():
    scene = gappy()
    encoder = Encoder.fit(scene)
    with pytest.raises(DataError, match="fit one on a scene with the same columns"):
        encoder.tables(replace(scene, columns=("a", "b", "c", "d")))
    with pytest.raises(DataError, match="no name that may be held"):
        Encoder.fit(replace(scene, mask=np.zeros_like(scene.mask)))
