"""Judging managers: comparisons of growth, the order of simplicity, and what the verdict may say."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from toy import scene_of

from alfred.core.contracts import Interval
from alfred.core.errors import DataError
from alfred.evaluation.bootstrap import BootstrapSettings
from alfred.manager.contracts import PolicyDescription
from alfred.manager.figures import annual_volatility, capacity, figures, regimes
from alfred.manager.judgement import Comparison, Resampling, by_simplicity, compare, recommended, verdict
from alfred.manager.policies.equal_weight import EqualWeight
from alfred.manager.run import run_policy
from alfred.manager.tracks import growth, periods_a_year, track_of


def about(title: str, *, learns: bool = False, uses_forecasts: bool = False) -> PolicyDescription:
    return PolicyDescription(title, learns, uses_forecasts, "")


POLICIES = {
    "gradient": about("gradient", learns=True, uses_forecasts=True),
    "own-rule": about("own rule"),
    "black-litterman": about("Black-Litterman", uses_forecasts=True),
    "cash": about("cash"),
    "inverse-volatility": about("inverse volatility"),
    "equal-weight": about("1/N"),
}


def resampling(periods: int, draws: int = 400) -> Resampling:
    return Resampling(BootstrapSettings(draws=draws), 4.0, periods)


def test_policies_stand_in_order_of_simplicity() -> None:
    assert by_simplicity(POLICIES) == [
        "cash", "equal-weight", "inverse-volatility", "black-litterman", "own-rule", "gradient",
    ]  # fmt: skip


def drawn(random: np.random.Generator, edge: float, seeds: int = 10, periods: int = 48) -> dict[str, np.ndarray]:
    market = random.normal(0.02, 0.08, periods)
    return {
        "cash": np.zeros((1, periods)),
        "equal-weight": market[None],
        "inverse-volatility": (market + random.normal(0.0, 0.01, periods))[None],
        "gradient": market + edge / 4 + random.normal(0.0, 0.01, (seeds, periods)) + random.normal(0.0, 0.01, periods),
    }


def judged(growth_of: dict[str, np.ndarray]) -> tuple:
    policies = {name: POLICIES[name] for name in growth_of}
    found = compare(growth_of, policies, resampling(growth_of["cash"].shape[1]))
    return found, verdict(found, policies), recommended(found, policies)


def test_a_clear_edge_of_ten_seeds_is_shown() -> None:
    comparisons, said, simplest = judged(drawn(np.random.default_rng(0), 0.05))
    against = [one for one in comparisons if one.policy == "gradient"]
    assert [one.rule for one in against] == ["equal-weight", "inverse-volatility"]
    for one in against:
        assert one.difference == pytest.approx(0.05, abs=0.02)
        assert 0.0 < one.interval.lower < one.difference < one.interval.upper
        assert one.shown
    assert said[0].startswith("Gradient: shown to beat all 2 simpler rules.")
    assert simplest == "gradient"


def test_fewer_seeds_show_nothing_and_the_simplest_rule_is_named() -> None:
    comparisons, said, simplest = judged(drawn(np.random.default_rng(0), 0.05, seeds=9))
    assert not any(one.shown for one in comparisons if one.policy == "gradient")
    assert said[0].startswith("Gradient: Not shown to beat 1/N (log growth +")
    assert simplest == "equal-weight"
    assert said[-1] == "The simplest that none was shown to beat: 1/N."


def test_without_an_edge_about_one_sample_in_twenty_shows_one() -> None:
    random, sample = np.random.default_rng(1), resampling(40, draws=100)
    policies = {name: POLICIES[name] for name in ("equal-weight", "gradient")}
    found = [compare(drawn(random, 0.0, periods=40), policies, sample)[0].p_value < 0.05 for _ in range(200)]
    # 200 samples of a test at 5%: 3 to 19 with all but certainty.
    assert 3 <= sum(found) <= 19


def test_holm_corrects_for_the_rules() -> None:
    comparisons, _, _ = judged(drawn(np.random.default_rng(5), 0.01))
    chances = sorted((one.p_value, one.holm) for one in comparisons if one.policy == "gradient")
    assert chances[0][1] == pytest.approx(min(2 * chances[0][0], 1.0))
    assert chances[1][1] == pytest.approx(max(chances[1][0], chances[0][1]))


def test_the_simplest_to_keep_is_corrected_for_all_pairs() -> None:
    interval = Interval(0.01, 0.05)
    clear = Comparison("inverse-volatility", "equal-weight", 0.03, interval, 0.03, 0.03, shown=True)
    rest = [replace(clear, policy="gradient", rule=rule, p_value=0.5, holm=1.0, shown=False) for rule in POLICIES]
    # 0.03 of one comparison, but one of seven.
    assert recommended([clear, *rest], POLICIES) == "equal-weight"
    assert recommended([replace(clear, p_value=0.001), *rest], POLICIES) == "inverse-volatility"


def test_seeds_are_resampled_as_well_as_periods() -> None:
    """Seeds that differ by a constant: with one period's growth for all, only the draw of seeds moves the mean."""
    spread = np.repeat(np.linspace(-0.1, 0.1, 10)[:, None], 12, axis=1)
    draws = resampling(12, draws=2000).draws(spread)
    assert draws.std() == pytest.approx(4 * spread[:, 0].std() / np.sqrt(10), rel=0.1)
    assert resampling(12).interval(np.zeros((3, 12))).upper == 0.0


def test_one_period_cannot_be_judged() -> None:
    with pytest.raises(DataError, match="at least 2 periods of its own, got 1"):
        compare({"cash": np.zeros((1, 1))}, {"cash": POLICIES["cash"]}, resampling(1))


def test_figures_of_a_known_account() -> None:
    returns = np.array([[0.10, 0.02], [-0.20, 0.0], [0.05, 0.05], [0.0, 0.10]])
    scene = scene_of(returns)
    track = track_of(scene, run_policy(scene, EqualWeight()))
    of_period = growth(track, scene)[None]
    np.testing.assert_allclose(of_period[0], np.log1p(returns.mean(axis=1)), rtol=1e-9)
    annual = periods_a_year(scene)
    assert annual == 13.0  # 21 sessions of a five-day week
    sample = Resampling(BootstrapSettings(draws=200), annual, 4)
    wide = annual_volatility([track])
    found = figures(
        ("equal-weight", "1/N", False, False), scene, [track], of_period, target_volatility=wide, resampling=sample
    )
    assert found.growth == pytest.approx(of_period.sum() * annual / 4)
    assert found.equal_growth == pytest.approx(found.growth, abs=1e-9)
    assert found.worst[0].growth == pytest.approx(np.log(0.9))
    assert found.worst[0].first == str(scene.bars.dates[scene.rows[1]])
    assert found.drawdown == pytest.approx(-0.1, abs=1e-9)
    assert found.gross == pytest.approx(1.0)
    assert found.names == 2.0
    assert found.costs == 0.0
    assert found.beta is None
    half = figures(
        ("equal-weight", "1/N", False, False), scene, [track], of_period, target_volatility=wide / 2, resampling=sample
    )
    daily = np.diff(track.value, prepend=1.0) / np.concatenate([[1.0], track.value[:-1]])
    assert half.equal_growth == pytest.approx(np.log1p(daily / 2).sum() * annual / 4, rel=1e-9)


def test_regimes_are_known_at_the_decision() -> None:
    scene = scene_of(np.full((6, 2), 0.01))
    momentum = np.array([0.1, 0.1, -0.1, 0.2, -0.2, 0.3])
    volatility = np.array([0.2, 0.1, 0.3, 0.4, 0.1, 0.2])
    scene = replace(
        scene, market_columns=("index_momentum", "index_volatility"), market=np.stack([momentum, volatility], axis=1)
    )
    found = regimes(scene, 2, {"a": np.array([[1.0, 2.0, 3.0, 4.0]])}, Resampling(BootstrapSettings(), 4.0, 4))
    by_name = {one.name: (one.periods, one.growth["a"]) for one in found}
    # Medians so far of the judged decisions: 0.2, 0.25, 0.2, 0.2.
    assert by_name == {
        "up market": (2, 4 * 3.0), "down market": (2, 4 * 2.0),
        "volatile market": (2, 4 * 1.5), "calm market": (2, 4 * 3.5),
    }  # fmt: skip


def test_capacity_lies_where_the_edge_is_gone() -> None:
    assert capacity([1e5, 1e6, 1e7], [0.02, 0.01, -0.01]) == pytest.approx(1e6 * np.sqrt(10))
    assert capacity([1e5, 1e6], [-0.001, 0.2]) == 0.0
    assert capacity([1e5, 1e6], [0.02, 0.01]) is None
