"""What every policy must do, rules and learners alike, those of others included."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from toy import scene_of

from alfred.backtest.settings import LimitSettings
from alfred.core.contracts import Bars
from alfred.core.plugins import plugin, plugin_names
from alfred.core.progress import Silent
from alfred.manager.contracts import Observation, PolicyDescription, Scene
from alfred.manager.settings import LONG_ONLY, POLICIES, LearningSettings, ManagerSettings

NAMES, DECISIONS, LEARN = 12, 10, 6
EVERY = pytest.mark.parametrize("name", plugin_names(POLICIES))
SMALL = LearningSettings(width=8, layers=1, steps=1, batch=4, episode_periods=3)
LONG_SHORT = LimitSettings(gross_max=2.0, net_min=0.0, net_max=1.0, name_max=0.5)


@cache
def market(limits: LimitSettings = LONG_ONLY) -> Scene:
    """Names that cannot always be held, forecasts that are not always there, prices with gaps."""
    generator = np.random.default_rng(11)
    returns = generator.normal(0.02, 0.1, (DECISIONS, NAMES))
    scene = scene_of(
        returns, returns + generator.normal(0.0, 0.1, returns.shape), noise=0.01, masked=0.15, seed=4, limits=limits
    )
    silent = generator.random(returns.shape) < 0.1
    gaps = generator.random(scene.bars.total.shape) < 0.02
    gaps[scene.rows] = gaps[scene.decided] = False
    with_gaps = np.where(gaps, np.nan, scene.bars.total)
    outlook = replace(
        scene.outlook,
        **{
            part: np.where(silent, np.nan, getattr(scene.outlook, part))
            for part in ("mean", "lower", "upper", "prob_up")
        },
    )
    return replace(scene, outlook=outlook, bars=Bars(scene.bars.dates, scene.bars.symbols, with_gaps, with_gaps))


def learnt(name: str, limits: LimitSettings = LONG_ONLY):
    """A policy that learnt from the decisions before one; trained once for each limits."""
    return _learnt(name, limits)


@cache
def _learnt(name: str, limits: LimitSettings):
    return plugin(POLICIES, name).fit(market(limits).before(LEARN), settings(limits), 0, Silent())


def settings(limits: LimitSettings = LONG_ONLY) -> ManagerSettings:
    return ManagerSettings(limits=limits, learning=SMALL, covariance_sessions=60, most_names=8)


def held(scene: Scene, at: int) -> np.ndarray:
    """Weights such as an account may have before a trade, in some names that may be held and some that may not."""
    return np.random.default_rng(at).dirichlet(np.ones(len(scene.bars.symbols))) * 0.9


def observations(scene: Scene, first: int = 0) -> list[Observation]:
    return [scene.observe(at, held(scene, at)) for at in range(first, len(scene))]


@EVERY
def test_it_says_what_it_is(name):
    about = plugin(POLICIES, name).DESCRIPTION
    assert isinstance(about, PolicyDescription)
    assert about.title
    assert about.reference


@EVERY
@pytest.mark.parametrize("limits", [LONG_ONLY, LONG_SHORT], ids=["long-only", "long-short"])
def test_weights_are_finite_and_only_of_names_that_may_be_held(name, limits):
    policy = learnt(name, limits)
    for seen in observations(market(limits)):
        weights = policy.weights(seen)
        assert weights.shape == (NAMES,)
        assert weights.dtype == np.float64
        assert np.isfinite(weights).all()
        assert not weights[~seen.mask].any()
        if limits.long_only and name != "magnitude_choice":
            assert weights.min() >= 0.0
            assert weights.sum() <= 1.0 + 1e-6


@EVERY
def test_nobody_to_hold_is_all_in_cash(name):
    seen = market().observe(7, np.zeros(NAMES))
    assert not learnt(name).weights(replace(seen, mask=np.zeros(NAMES, dtype=bool))).any()


@EVERY
def test_it_decides_without_any_forecast(name):
    seen = market().observe(7, np.zeros(NAMES))
    silent = np.full(NAMES, np.nan)
    weights = learnt(name).weights(replace(seen, mean=silent, lower=silent, upper=silent, prob_up=silent))
    assert np.isfinite(weights).all()


@EVERY
def test_one_name_is_enough(name):
    seen = market().observe(7, np.zeros(NAMES))
    only = np.zeros(NAMES, dtype=bool)
    only[np.flatnonzero(seen.mask)[0]] = True
    weights = learnt(name).weights(replace(seen, mask=only))
    assert np.isfinite(weights).all()
    assert not weights[~only].any()


@EVERY
def test_what_is_saved_decides_the_same(name, tmp_path):
    policy = learnt(name)
    policy.save(tmp_path / "policy")
    again = plugin(POLICIES, name).restore(tmp_path / "policy")
    assert not [path for path in tmp_path.rglob("*") if path.suffix in {".pkl", ".pickle", ".pt", ".zip"}]
    for seen in observations(market()):
        np.testing.assert_array_equal(again.weights(seen), policy.weights(seen))


@EVERY
def test_it_decides_the_same_twice_and_leaves_the_observation_alone(name):
    seen = market().observe(7, held(market(), 7))
    before = {key: np.array(value, copy=True) for key, value in vars(seen).items() if isinstance(value, np.ndarray)}
    first = learnt(name).weights(seen)
    np.testing.assert_array_equal(learnt(name).weights(seen), first)
    for key, value in before.items():
        np.testing.assert_array_equal(getattr(seen, key), value)


@EVERY
def test_names_in_another_order_get_the_same_weights(name):
    scene, order = market(), np.random.default_rng(2).permutation(NAMES)
    other = permuted(scene, order)
    for at in range(len(scene)):
        weights = held(scene, at)
        found = learnt(name).weights(scene.observe(at, weights))
        np.testing.assert_allclose(
            learnt(name).weights(other.observe(at, weights[order])), found[order], atol=1e-6, err_msg=f"decision {at}"
        )


@EVERY
@pytest.mark.parametrize("at", [LEARN, DECISIONS - 2])
def test_the_past_does_not_move_when_the_future_is_scrambled(name, at):
    other = scrambled(market(), at)
    # Trained again only where the scramble begins at once; later ones leave what is learnt from as it was.
    again = at == LEARN
    policy = plugin(POLICIES, name).fit(other.before(LEARN), settings(), 0, Silent()) if again else learnt(name)
    for now in range(at + 1):
        weights = held(market(), now)
        np.testing.assert_array_equal(
            policy.weights(other.observe(now, weights)), learnt(name).weights(market().observe(now, weights))
        )


def test_the_scramble_moves_what_comes_after():
    scene, other = market(), scrambled(market(), 4)
    top = plugin(POLICIES, "top_decile")
    rule = top.fit(scene, settings(), 0, Silent())
    moved = [
        not np.array_equal(
            rule.weights(other.observe(at, np.zeros(NAMES))), rule.weights(scene.observe(at, held(scene, at)))
        )
        for at in range(DECISIONS)
    ]
    assert not any(moved[:5])
    assert any(moved[5:])


def permuted(scene: Scene, order: np.ndarray) -> Scene:
    """The same market with its names in another order."""
    bars, outlook = scene.bars, scene.outlook
    return replace(
        scene,
        bars=Bars(bars.dates, tuple(bars.symbols[at] for at in order), bars.close[:, order], bars.total[:, order]),
        reality=scene.reality.columns(order),
        mask=scene.mask[:, order],
        observed=scene.observed[:, order],
        outlook=replace(
            outlook,
            mean=outlook.mean[:, order],
            lower=outlook.lower[:, order],
            upper=outlook.upper[:, order],
            prob_up=outlook.prob_up[:, order],
        ),
    )


def scrambled(scene: Scene, at: int) -> Scene:
    """The same market until the close of decision `at`, and another one from then on."""
    generator = np.random.default_rng(at)
    row, later = int(scene.decided[at]) + 1, at + 1
    prices = scene.bars.total.copy()
    prices[row:] = prices[row - 1][None, :] * np.exp(generator.normal(0.0, 0.05, prices[row:].shape).cumsum(axis=0))
    prices[row:][np.isnan(prices[row:])] = 50.0
    conditions = scene.reality.conditions
    volume = conditions.dollar_volume.copy()
    volume[row:] = generator.lognormal(17.0, 1.0, volume[row:].shape)
    outlook = scene.outlook
    mean = generator.normal(0.0, 0.2, outlook.mean.shape)
    fresh = {"mean": mean, "lower": mean - 0.3, "upper": mean + 0.3, "prob_up": generator.random(mean.shape)}
    told = {part: np.concatenate([getattr(outlook, part)[:later], value[later:]]) for part, value in fresh.items()}
    return replace(
        scene,
        bars=Bars(scene.bars.dates, scene.bars.symbols, prices, prices),
        reality=replace(scene.reality, conditions=replace(conditions, dollar_volume=volume)),
        mask=np.concatenate([scene.mask[:later], generator.random(scene.mask[later:].shape) < 0.8]),
        observed=np.concatenate([scene.observed[:later], generator.normal(size=scene.observed[later:].shape)]),
        market=np.concatenate([scene.market[:later], generator.normal(size=scene.market[later:].shape)]),
        outlook=replace(outlook, **told),
    )
