from dataclasses import replace

import numpy as np
import pytest
from planted_windows import after, planted
from scipy.optimize import minimize

from alfred.analysts import AnalystSpec, make_analyst, restore_analyst
from alfred.analysts.ensemble import combined, shrinkage, stacking
from alfred.core.errors import ConfigError, DataError
from alfred.training.settings import TrainSettings

TRAIN = planted(240)
VALID = planted(96, seed=1, first=after(TRAIN))
TEST = planted(160, seed=2, first=after(VALID))
QUICK = TrainSettings(epochs=3, threads=1, device="cpu")
PAIR = (AnalystSpec(name="ridge"), AnalystSpec(name="momentum"))


def fit(name="ensemble.mean", seed=0, **options):
    return make_analyst(AnalystSpec(name=name, quarters=2, **options), QUICK, seed).fit(TRAIN, VALID)


def alone(spec, seed=0):
    return make_analyst(spec, QUICK, seed).fit(TRAIN, VALID).predict(TEST)


def test_the_mean_is_the_mean():
    both = [alone(spec).mean for spec in PAIR]
    np.testing.assert_allclose(fit(members=PAIR).predict(TEST).mean, np.mean(both, axis=0), rtol=1e-12)


def test_a_member_is_the_mean_over_its_seeds():
    network = AnalystSpec(name="vanilla.small.tanh", size=8, layers=2)
    got = fit(members=(network,), member_seeds=3, seed=2)
    assert got.members[0].seeds == (6, 7, 8)
    every = [alone(network.model_copy(update={"label": "PM"}), seed).mean for seed in (6, 7, 8)]
    np.testing.assert_allclose(got.predict(TEST).mean, np.mean(every, axis=0), rtol=1e-12)
    assert not np.array_equal(got.predict(TEST).mean, fit(members=(network,), member_seeds=3).predict(TEST).mean)


@pytest.mark.parametrize("name", ["ensemble.mean", "ensemble.stack"])
def test_directions_have_members_of_their_own(name):
    train = planted(240, "PQ")
    valid = planted(96, "PQ", seed=1, first=after(train))
    test = planted(160, "PQ", seed=2, first=after(valid))
    fitted = make_analyst(AnalystSpec(name=name, label="PQ", member_seeds=1), QUICK, 0).fit(train, valid)
    assert [member.spec.name for member in fitted.members] == ["ridge", "logistic", "lightgbm"]
    forecast = fitted.predict(test)
    assert ((forecast.mean > 0.5) == (test.y > 0.5)).mean() > 0.75


def test_members_see_their_own_history():
    long = make_analyst(AnalystSpec(name="ensemble.mean", members=PAIR), QUICK, 0).fit(TRAIN, VALID)
    cells = TEST.cells.copy()
    cells[np.setdiff1d(TEST.index[:, 0], TEST.index[:, 1])] = 7.0  # the quarter before the decision's
    earlier = replace(TEST, cells=cells)
    assert np.array_equal(long.predict(earlier).mean, long.predict(TEST).mean)
    asked = make_analyst(AnalystSpec(name="ensemble.mean", members=PAIR, quarters=2), QUICK, 0).fit(TRAIN, VALID)
    assert not np.array_equal(asked.predict(earlier).mean, asked.predict(TEST).mean)


def test_disagreement_widens_intervals():
    forecast = fit(members=PAIR).predict(TEST)
    apart = np.abs(np.subtract(*(alone(spec).mean for spec in PAIR)))
    assert np.corrcoef(apart, forecast.upper - forecast.lower)[0, 1] > 0.9


@pytest.mark.parametrize(
    ("members", "quarters", "kept"), [(3, 12, 2 / 3), (3, 8, 0.4), (3, 6, 0), (3, 2, 0), (1, 9, 7 / 8)]
)
def test_shrinkage_by_hand(members, quarters, kept):
    assert shrinkage(members, quarters) == pytest.approx(kept)


@pytest.mark.parametrize("seed", range(8))
def test_stacking_is_the_constrained_least_squares(seed):
    random = np.random.default_rng(seed)
    forecasts = random.normal(size=(4, 60)) * random.uniform(0.1, 2, size=(4, 1))
    label = random.uniform(-0.2, 0.8, size=4) @ forecasts + random.normal(size=60)
    rows = random.uniform(0.5, 1.5, size=60)
    rows /= rows.sum()
    weights, intercept = stacking(forecasts, label, rows, quarters=10_000)
    kept = shrinkage(4, 10_000)
    fitted, constant = (weights - (1 - kept) / 4) / kept, intercept / kept

    def loss(point):
        return float(rows @ (label - point[0] - point[1:] @ forecasts) ** 2)

    limits = {"type": "ineq", "fun": lambda point: 1 - point[1:].sum()}
    bounds = [(None, None)] + [(0, None)] * 4
    slow = minimize(loss, np.zeros(5), method="SLSQP", bounds=bounds, constraints=[limits], options={"ftol": 1e-14})
    assert (fitted > -1e-9).all()
    assert fitted.sum() < 1 + 1e-9
    assert loss([constant, *fitted]) <= slow.fun * (1 + 1e-6)


def test_short_validation_periods_weigh_equally():
    random = np.random.default_rng(0)
    weights, intercept = stacking(random.normal(size=(3, 30)), random.normal(size=30), np.full(30, 1 / 30), quarters=5)
    assert (weights.tolist(), intercept) == ([1 / 3] * 3, 0.0)


def test_stacking_prefers_who_knows():
    """Twelve validation quarters, ridge sees both planted columns, momentum one, naive none."""
    members = (AnalystSpec(name="ridge"), AnalystSpec(name="momentum"), AnalystSpec(name="naive"))
    weights = fit("ensemble.stack", members=members).weights
    assert weights[0] > 0.6 > weights[1] > 0.1
    assert weights.sum() < 1 + 1e-9


def test_spread_by_hand():
    mean, spread = combined(np.array([[1.0, 2.0], [3.0, 2.0]]), np.array([0.25, 0.25]), 0.5)
    np.testing.assert_allclose(mean, [1.5, 1.5])
    np.testing.assert_allclose(spread, [1.0, 0.0])
    assert combined(np.array([[1.0, 2.0]]), np.zeros(1), 0.5)[1].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"members": (AnalystSpec(name="ensemble.mean"),)}, "cannot have ensemble.mean for a member"),
        ({"members": (AnalystSpec(name="ridge", label="excess"),)}, "forecasts PM, but its member ridge excess"),
        ({"members": (AnalystSpec(name="ridge"),) * 2}, "has the member ridge twice; member_seeds asks for more"),
        ({"members": (AnalystSpec(name="vanilla.small"),)}, "vanilla.small cannot forecast the label PM"),
        ({"members": (AnalystSpec(name="ridge", size=4),)}, "ridge takes no size"),
        ({"members": (AnalystSpec(name="rigde"),)}, "no analyst 'rigde'.*did you mean 'ridge'"),
        ({"loss": "mse"}, "ensemble.mean takes no loss"),
    ],
)
def test_wrong_members_are_refused(options, text):
    with pytest.raises(ConfigError, match=text):
        make_analyst(AnalystSpec(name="ensemble.mean", **options), QUICK, 0)


@pytest.mark.parametrize("option", [{"members": PAIR}, {"member_seeds": 2}])
def test_others_have_no_members(option):
    with pytest.raises(ConfigError, match=f"ridge is one analyst and takes no {next(iter(option))}"):
        make_analyst(AnalystSpec(name="ridge", **option), QUICK, 0)


def test_a_changed_member_is_refused(tmp_path):
    fit(members=PAIR).save(tmp_path)
    make_analyst(AnalystSpec(name="naive"), QUICK, 0).fit(TRAIN, VALID).save(tmp_path / "members" / "001")
    with pytest.raises(DataError, match=r"001 is not what ensemble.mean was saved with"):
        restore_analyst(tmp_path)


def test_an_older_ensemble_leaves_nothing(tmp_path):
    fit(members=(*PAIR, AnalystSpec(name="naive"))).save(tmp_path)
    small = fit(members=PAIR)
    small.save(tmp_path)
    assert sorted(path.name for path in (tmp_path / "members").iterdir()) == ["000", "001"]
    assert np.array_equal(restore_analyst(tmp_path).predict(TEST).mean, small.predict(TEST).mean)
