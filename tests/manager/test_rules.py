"""Rules against skfolio on the same inputs, and against weights worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import norm
from skfolio.moments import EquilibriumMu, LedoitWolf
from skfolio.optimization import EqualWeighted, HierarchicalRiskParity, InverseVolatility, MeanRisk, ObjectiveFunction
from skfolio.prior import BasePrior, BlackLitterman, EmpiricalPrior
from toy import scene_of

from alfred.backtest.settings import LimitSettings
from alfred.core.contracts import Bars
from alfred.core.errors import DataError, MissingExtraError
from alfred.core.plugins import plugin
from alfred.core.progress import Silent
from alfred.manager.contracts import Observation
from alfred.manager.policies import _covariance, black_litterman, minimum_variance
from alfred.manager.policies._covariance import DUST, bounds, sample_of
from alfred.manager.settings import LONG_ONLY, POLICIES, ManagerSettings

NAMES = 9
SESSIONS = 120


def market(seed=0, limits=LONG_ONLY):
    generator = np.random.default_rng(seed)
    returns = generator.normal(0.02, 0.08, (8, NAMES)) + generator.normal(0.0, 0.05, (8, 1))
    forecast = returns + generator.normal(0.01, 0.05, returns.shape)
    scene = scene_of(returns, forecast, noise=0.015, seed=seed, masked=0.1, limits=limits)
    width = generator.uniform(0.05, 0.4, returns.shape)
    outlook = replace(scene.outlook, lower=forecast - width, upper=forecast + width)
    return replace(scene, outlook=outlook)


def decided(name, observation, **options):
    settings = ManagerSettings(covariance_sessions=SESSIONS, **options)
    return plugin(POLICIES, name).fit(None, settings, 0, Silent()).weights(observation)


def daily(observation):
    """(n, K) returns of the names that may be held, worked out anew from the prices."""
    prices = observation.bars.total[-(SESSIONS + 1) :, observation.mask]
    return prices[1:] / prices[:-1] - 1.0


def shrunk_prior():
    return EmpiricalPrior(covariance_estimator=LedoitWolf())


class Told(BasePrior):
    """Expected returns of a year from elsewhere, on skfolio's own covariance of daily returns for a year."""

    def __init__(self, mu):
        self.mu = mu

    def fit(self, X, y=None):  # noqa: N803
        found = shrunk_prior().fit(X).return_distribution_
        self.return_distribution_ = type(found)(mu=self.mu, covariance=252.0 * found.covariance, returns=X)
        return self


def of_skfolio(name, observation):
    """The weights of a rule by skfolio alone."""
    x, mean = daily(observation), observation.mean[observation.mask]
    models = {
        "equal_weight": EqualWeighted(),
        "inverse_volatility": InverseVolatility(),
        "minimum_variance": MeanRisk(prior_estimator=shrunk_prior()),
        "hierarchical_risk_parity": HierarchicalRiskParity(prior_estimator=shrunk_prior()),
        "maximum_sharpe": MeanRisk(
            objective_function=ObjectiveFunction.MAXIMIZE_RATIO, prior_estimator=Told(4.0 * mean)
        ),
    }
    return models[name].fit(x).weights_


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "name",
    ["equal_weight", "inverse_volatility", "minimum_variance", "hierarchical_risk_parity", "maximum_sharpe"],
)
def test_weights_equal_those_of_skfolio(name, seed):
    scene = market(seed)
    for at in (3, 7):
        seen = scene.observe(at, np.zeros(NAMES))
        expected = np.zeros(NAMES)
        expected[seen.mask] = of_skfolio(name, seen)
        np.testing.assert_allclose(decided(name, seen), expected, atol=2e-5)


def test_maximum_sharpe_finds_the_highest_ratio_by_another_solver_too():
    seen = market(2).observe(7, np.zeros(NAMES))
    covariance, mean = LedoitWolf().fit(daily(seen)).covariance_, seen.mean[seen.mask]
    best = minimize(
        lambda w: -(mean @ w) / np.sqrt(63.0 * w @ covariance @ w), np.full(len(mean), 1.0 / len(mean)), method="SLSQP",
        bounds=[(0.0, 1.0)] * len(mean), constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0},
        options={"ftol": 1e-14, "maxiter": 1000},
    )  # fmt: skip
    np.testing.assert_allclose(decided("maximum_sharpe", seen)[seen.mask], best.x, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_black_litterman_equals_skfolio_with_the_confidences_of_idzorek(seed):
    seen = market(seed).observe(7, np.zeros(NAMES))
    x, quarter = daily(seen), 63.0
    variance = quarter * np.diag(LedoitWolf().fit(x).covariance_)
    deviation = ((seen.upper - seen.lower) / (2.0 * norm.ppf(0.9)))[seen.mask]
    names = [f"n{at}" for at in range(x.shape[1])]
    prior = BlackLitterman(
        # Views and variances of a quarter in units of a day, as skfolio asks for: m / 63 on C / 63.
        views=[f"{name} = {value / quarter:.17f}" for name, value in zip(names, seen.mean[seen.mask], strict=True)],
        groups=[names],
        view_confidences=variance / (variance + deviation**2),
        prior_estimator=EmpiricalPrior(
            mu_estimator=EquilibriumMu(risk_aversion=2.5, covariance_estimator=LedoitWolf()),
            covariance_estimator=LedoitWolf(),
        ),
    )
    told = prior.fit(x).return_distribution_
    mean, covariance = black_litterman.posterior(seen, sample_of(seen, SESSIONS))
    np.testing.assert_allclose(mean, quarter * told.mu, rtol=1e-9)
    np.testing.assert_allclose(covariance, quarter * told.covariance, rtol=1e-9)
    model = MeanRisk(
        objective_function=ObjectiveFunction.MAXIMIZE_UTILITY, risk_aversion=1.25, prior_estimator=prior,
        budget=None, max_budget=1.0,
    )  # fmt: skip
    expected = np.zeros(NAMES)
    expected[seen.mask] = model.fit(x).weights_
    np.testing.assert_allclose(decided("black_litterman", seen), expected, atol=1e-4)


def test_black_litterman_without_views_is_one_over_n_but_for_tau():
    seen = market().observe(7, np.zeros(NAMES))
    silent = np.full(NAMES, np.nan)
    weights = decided("black_litterman", replace(seen, mean=silent, lower=silent, upper=silent))
    np.testing.assert_allclose(weights[seen.mask], 1.0 / seen.mask.sum() / 1.05, atol=1e-4)


def test_black_litterman_heeds_sure_analysts_more_than_unsure_ones():
    seen = market().observe(7, np.zeros(NAMES))
    mean = np.where(np.arange(NAMES) == np.flatnonzero(seen.mask)[0], 0.3, 0.02)
    found = []
    for width in (0.02, 2.0):
        told = replace(seen, mean=mean, lower=mean - width, upper=mean + width)
        found.append(decided("black_litterman", told)[seen.mask][0])
    assert found[0] > 0.9
    assert found[1] < 0.3


def test_minimum_variance_of_two_names_by_hand():
    """w1 = (s2^2 - s12) / (s1^2 + s2^2 - 2 s12) of the shrunk covariance, where both are above zero."""
    scene = scene_of(np.zeros((6, 2)), noise=0.02, seed=8)
    seen = scene.observe(5, np.zeros(2))
    covariance = LedoitWolf().fit(daily(seen)).covariance_
    first = (covariance[1, 1] - covariance[0, 1]) / (covariance[0, 0] + covariance[1, 1] - 2.0 * covariance[0, 1])
    np.testing.assert_allclose(decided("minimum_variance", seen), [first, 1.0 - first], atol=1e-5)


def test_the_optimisers_know_the_cap_of_a_name():
    """Against another solver: the least variance under the cap, not the least variance cut to it."""
    seen = market().observe(7, np.zeros(NAMES))
    limits = LimitSettings(long_only=True, gross_max=1.0, name_max=0.2)
    found = decided("minimum_variance", seen, limits=limits)
    covariance, count = LedoitWolf().fit(daily(seen)).covariance_, int(seen.mask.sum())
    best = minimize(
        lambda w: 1e4 * w @ covariance @ w, np.full(count, 1.0 / count), method="SLSQP", bounds=[(0.0, 0.2)] * count,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0}, options={"ftol": 1e-12},
    )  # fmt: skip
    np.testing.assert_allclose(found[seen.mask], best.x, atol=2e-3)
    assert found.max() == pytest.approx(0.2, abs=1e-4)
    for name in ("hierarchical_risk_parity", "maximum_sharpe", "black_litterman"):
        weights = decided(name, seen, limits=limits)
        assert weights.max() <= 0.2 + DUST
        assert weights.sum() <= 1.0 + 1e-6


def test_bounds_follow_the_limits():
    assert bounds(LONG_ONLY, 20) == _covariance.Bounds(0.0, 1.0, 1.0)
    assert bounds(LimitSettings(name_max=0.1), 5) == _covariance.Bounds(-0.1, 0.1, 0.5)
    assert bounds(LimitSettings(long_only=True, gross_max=0.8), 5).budget == 0.8
    assert bounds(LimitSettings(net_max=0.0), 5).budget == 0.0


def test_maximum_sharpe_stays_in_cash_where_no_forecast_is_above_zero():
    seen = market().observe(7, np.zeros(NAMES))
    assert not decided("maximum_sharpe", replace(seen, mean=np.full(NAMES, -0.01))).any()


def test_top_decile_takes_a_tenth_and_at_least_one():
    scene = scene_of(np.zeros((3, 25)), np.tile(np.arange(25.0), (3, 1)))
    seen = scene.observe(1, np.zeros(25))
    assert np.flatnonzero(decided("top_decile", seen)).tolist() == [23, 24]
    assert decided("top_decile", seen)[24] == 0.5
    few = replace(seen, mask=np.arange(25) < 4)
    assert decided("top_decile", few).tolist() == [0.0] * 3 + [1.0] + [0.0] * 21
    tied = replace(seen, mean=np.zeros(25))
    assert np.flatnonzero(decided("top_decile", tied)).tolist() == [0, 1]


def test_magnitude_choice_takes_the_largest_either_way():
    scene = scene_of(np.zeros((3, 3)), np.tile([0.02, -0.3, 0.1], (3, 1)))
    seen = scene.observe(1, np.zeros(3))
    assert decided("magnitude_choice", seen).tolist() == [0.0, -1.0, 0.0]
    assert decided("magnitude_choice", replace(seen, mask=np.array([True, False, True]))).tolist() == [0.0, 0.0, 1.0]


def test_buy_and_hold_keeps_what_it_has():
    seen = market().observe(7, np.zeros(NAMES))
    np.testing.assert_allclose(decided("buy_and_hold", seen)[seen.mask], 1.0 / seen.mask.sum())
    drifted = np.where(seen.mask, 0.05, 0.01)
    np.testing.assert_array_equal(decided("buy_and_hold", replace(seen, held=drifted)), np.where(seen.mask, 0.05, 0.0))


def of_prices(total, volume=None):
    """An observation of some prices, all names to be held."""
    names, silent = total.shape[1], np.full(total.shape[1], np.nan)
    days = np.busday_offset("2001-01-01", np.arange(len(total)), roll="forward").astype("datetime64[D]")
    bars = Bars(days, tuple(f"N{at}" for at in range(names)), total, total)
    return Observation(
        days[-1], np.ones(names, dtype=bool), np.zeros(names), (), np.zeros((names, 0)), (), np.zeros(0),
        silent, silent, silent, silent, 0.8, bars, volume,
    )  # fmt: skip


def test_which_names_count():
    walk = 50.0 * np.exp(np.random.default_rng(1).normal(0.0, 0.01, (41, 5)).cumsum(axis=0))
    walk[10, 1] = np.nan  # one gap
    walk[:5, 2] = np.nan  # 36 of 41 sessions are fewer than nine in ten
    walk[:3, 3] = np.nan  # listed three sessions late
    walk[:, 4] = 20.0  # never moves
    sample = sample_of(of_prices(walk), 40)
    assert sample.at.tolist() == [0, 1, 3]
    assert sample.returns.shape == (37, 3)
    assert sample.returns[6, 1] == 0.0
    assert sample.returns[7, 1] == pytest.approx(walk[11, 1] / walk[9, 1] - 1.0)
    weights = decided("inverse_volatility", of_prices(walk))
    assert np.flatnonzero(weights).tolist() == [0, 1, 3]


def test_the_most_traded_names_are_looked_at():
    walk = 50.0 * np.exp(np.random.default_rng(1).normal(0.0, 0.01, (41, 5)).cumsum(axis=0))
    volume = np.tile([1.0, 5.0, 3.0, np.nan, 4.0], (41, 1))
    assert sample_of(of_prices(walk, volume), 40, 3).at.tolist() == [1, 2, 4]
    assert sample_of(of_prices(walk), 40, 3).at.tolist() == [0, 1, 2]


def test_too_few_returns_give_one_over_n_and_say_so():
    seen = of_prices(50.0 * np.exp(np.random.default_rng(1).normal(0.0, 0.01, (20, 4)).cumsum(axis=0)))
    rule = minimum_variance.fit(None, ManagerSettings(), 0, Silent())
    assert rule.weights(seen).tolist() == [0.25] * 4
    assert rule.notes == [f"{seen.date}: fewer than 20 daily returns to estimate risk from; 1/N instead"]


def test_a_solver_that_fails_falls_back_to_inverse_volatility_and_says_so(monkeypatch):
    from cvxpy import SolverError

    def broken(self, X, y=None):  # noqa: N803
        raise SolverError("numerical trouble.")

    seen = market().observe(7, np.zeros(NAMES))
    expected = decided("inverse_volatility", seen)
    monkeypatch.setattr(MeanRisk, "fit", broken)
    for name in ("minimum_variance", "maximum_sharpe", "black_litterman"):
        rule = plugin(POLICIES, name).fit(None, ManagerSettings(covariance_sessions=SESSIONS), 0, Silent())
        np.testing.assert_allclose(rule.weights(seen), expected)
        assert rule.notes == [f"{seen.date}: the solver failed (numerical trouble); inverse volatility instead"]


def test_without_skfolio_the_extra_is_named_before_the_backtest(monkeypatch):
    monkeypatch.setattr(_covariance.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"alfred\[manager\]"):
        minimum_variance.fit(None, ManagerSettings(), 0, Silent())


def test_a_folder_without_a_rule_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"rule\.json holds no settings of a rule"):
        minimum_variance.restore(tmp_path)
