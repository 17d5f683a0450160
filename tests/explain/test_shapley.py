"""Shapley values: they add up for every analyst, and are what can be worked out by hand or by brute force."""

import functools
import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from explained_rows import COLUMNS, after, planted
from torch import nn

from alfred.analysts import AnalystSpec, analyst_names, describe, make_analyst
from alfred.core.contracts import Forecast, Windows
from alfred.core.errors import DataError
from alfred.explain._boxes import Boxes
from alfred.explain._gradients import gradient_parts
from alfred.explain._parts import Told, with_known_sum
from alfred.explain._sampling import sampled_parts
from alfred.explain.attribution import joined
from alfred.explain.shapley import ExplainSettings, attribute, background_rows
from alfred.training.losses import activate
from alfred.training.settings import TrainSettings

QUICK = TrainSettings(epochs=4, batch_size=64, learning_rate=3e-3, threads=1, device="cpu", patience=30)
NETWORKS = ("lstm", "trans", "vanilla")
FEW = ExplainSettings(background=16, samples=32)
ROWS = 100


def is_network(name):
    return name.startswith(NETWORKS)


def zoo():
    """Every name; those that differ in size alone are one network at the size that is tested."""
    names = [n for n in analyst_names() if not (is_network(n) and (".medium" in n or ".large" in n))]
    slow = {n for n in names if "extractors" in n and not n.endswith(".tanh")}
    return [pytest.param(n, marks=pytest.mark.slow) if n in slow else n for n in names]


@functools.cache
def data(target):
    train = planted(320, target)
    valid = planted(96, target, seed=1, first=after(train))
    return train, valid, planted(ROWS, target, seed=2, first=after(valid))


@functools.cache
def fitted(name, label=None):
    spec = AnalystSpec(name=name, label=label)
    if is_network(name):
        spec = AnalystSpec(name=name, label=label, size=16, layers=3 if "compression" in name else 2)
    train, valid, _ = data(label or describe(name).target)
    return make_analyst(spec, QUICK, 1).fit(train, valid)


def explained(name, label=None, settings=FEW):
    train, _, test = data(label or describe(name).target)
    return attribute(fitted(name, label), test, background_rows(train, settings.background, 0), name, settings)


@pytest.mark.parametrize("name", zoo())
def test_values_add_up_for_every_analyst(name):
    found = explained(name)
    _, _, test = data(describe(name).target)
    assert len(found) == ROWS
    assert found.values.shape == (ROWS, 2, len(COLUMNS))
    assert np.array_equal(found.forecast, fitted(name).predict(test).mean)
    total = found.base + found.history + found.values.sum(axis=(1, 2))
    assert np.abs(total - found.forecast).max() <= 1e-3 * np.abs(found.forecast).max()
    assert (found.gaps <= 1e-3).all()
    assert name == "naive" or np.abs(found.values).max() > 0


@pytest.mark.parametrize("name", ["ridge", "momentum", "naive", "lightgbm", "ensemble.mean", "ensemble.stack"])
def test_values_add_up_for_probabilities(name):
    found = explained(name, "PQ")
    total = found.base + found.history + found.values.sum(axis=(1, 2))
    assert np.abs(total - found.forecast).max() <= 1e-12
    assert ((found.forecast >= 0) & (found.forecast <= 1)).all()


def test_linear_values_are_the_analytic_ones():
    train, _, test = data("PM")
    background = background_rows(train, 64, 3)
    ridge = fitted("ridge")
    found = attribute(ridge, test, background, "ridge")
    expected = ridge.weights * (test.x.astype(float) - background.x.astype(float).mean(axis=0))
    assert np.allclose(found.values, expected, rtol=0, atol=1e-15)
    assert np.allclose(found.base, ridge.predict(background).mean.mean())
    assert not found.errors.any()
    assert not found.history.any()


def brute_force(predict, x, background):
    """Shapley values of one row by the definition: every set of cells, the rest from each background row."""
    cells = x.size
    worth = {}
    for size in range(cells + 1):
        for chosen in itertools.combinations(range(cells), size):
            mixed = background.reshape(len(background), -1).copy()
            mixed[:, list(chosen)] = x.ravel()[list(chosen)]
            worth[frozenset(chosen)] = predict(mixed).mean()
    values = np.zeros(cells)
    for cell in range(cells):
        others = [at for at in range(cells) if at != cell]
        for size in range(cells):
            weight = math.factorial(size) * math.factorial(cells - size - 1) / math.factorial(cells)
            for chosen in itertools.combinations(others, size):
                values[cell] += weight * (worth[frozenset((*chosen, cell))] - worth[frozenset(chosen)])
    return values


def test_tree_values_are_those_of_the_definition():
    """12 cells, all 4,096 sets of them: no approximation is left."""
    train, _, test = data("PM")
    trees = fitted("lightgbm")
    assert len(trees.trees.leaf) > 5
    background = background_rows(train, 7, 1)
    found = attribute(trees, test.rows(slice(0, 2)), background, "lightgbm")
    for row in range(2):
        expected = brute_force(lambda x: trees.base + trees.trees.sums(x), test.x[row], background.x)
        assert np.allclose(found.values[row].ravel(), expected, rtol=0, atol=1e-12)


@dataclass(frozen=True)
class HandTrees:
    column: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    leaf: np.ndarray


def test_leaves_as_boxes():
    """One split on cell 3 at 0, then the left side on cell 3 again at -1; the other tree has no split."""
    trees = HandTrees(
        column=np.array([[3, 3], [0, 0]]),
        threshold=np.array([[0.0, -1.0], [0.0, 0.0]]),
        left=np.array([[1, -1], [-1, -1]]),
        right=np.array([[-3, -2], [-1, -1]]),
        leaf=np.array([[1.0, 2.0, 3.0], [7.0, 0.0, 0.0]]),
    )
    boxes = Boxes.of(trees)
    told = {
        (float(v), *((int(c), float(a), float(b)) for c, a, b in zip(cs, lo, hi, strict=True) if c >= 0))
        for v, cs, lo, hi in zip(boxes.value, boxes.cell, boxes.low, boxes.high, strict=True)
    }
    assert told == {(1.0, (3, -np.inf, -1.0)), (2.0, (3, -1.0, 0.0)), (3.0, (3, 0.0, np.inf)), (7.0,)}


def test_logistic_values_are_integrated_gradients():
    """The closed form against the path integral of the definition, by 20,000 midpoints."""
    train, _, test = data("PQ")
    model, background = fitted("logistic"), background_rows(train, 3, 0)
    found = attribute(model, test.rows(slice(0, 4)), background, "logistic")
    places = (np.arange(20_000) + 0.5) / 20_000
    for row in range(4):
        expected = np.zeros(model.weights.shape)
        for b in background.x.astype(float):
            away = test.x[row].astype(float) - b
            score = model.intercept + (model.weights * b).sum() + places * (model.weights * away).sum()
            p = 1 / (1 + np.exp(-score))
            expected += model.weights * away * (p * (1 - p)).mean() / len(background)
        assert np.allclose(found.values[row], expected, rtol=0, atol=1e-9)


class Quadratic(nn.Module):
    """Raw output x0 + x0 x1 of the decision quarter: its Aumann-Shapley values are known."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x, _seen):
        return self.scale[0] * (x[:, -1, 0] + x[:, -1, 0] * x[:, -1, 1])


class Detached(Quadratic):
    """The product's part of the gradient is lost on the way, as an unsupported operator would lose it."""

    def forward(self, x, _seen):
        return self.scale[0] * (x[:, -1, 0] + 3 * (x[:, -1, 0] * x[:, -1, 1]).detach())


@dataclass(frozen=True)
class HandNetwork:
    network: nn.Module
    head: str = "identity"

    def predict(self, windows):
        with torch.no_grad():
            output = self.network(torch.from_numpy(windows.x), torch.from_numpy(windows.seen))
        mean = activate(self.head, output.double()).numpy()
        return Forecast(mean=mean, lower=mean, upper=mean, prob_up=np.full(len(mean), 0.5))


def test_expected_gradients_against_the_closed_form():
    """Of x0 + x0 x1 the path integral is (x0-b0)(1 + (x1+b1)/2) and (x1-b1)(x0+b0)/2; sampling must come to it."""
    train, _, test = data("PM")
    background = background_rows(train, 64, 0)
    settings = ExplainSettings(background=64, samples=1024)
    found = attribute(HandNetwork(Quadratic()), test, background, "hand", settings)
    x, b = test.x[:, -1].astype(float), background.x[:, -1].astype(float)
    first = ((x[:, None, 0] - b[None, :, 0]) * (1 + (x[:, None, 1] + b[None, :, 1]) / 2)).mean(axis=1)
    second = ((x[:, None, 1] - b[None, :, 1]) * (x[:, None, 0] + b[None, :, 0]) / 2).mean(axis=1)
    own = found.by_column
    error = np.sqrt((found.errors**2).mean())
    assert np.sqrt(np.mean((own[:, 0] - first) ** 2)) < 1.5 * error
    assert np.sqrt(np.mean((own[:, 1] - second) ** 2)) < 1.5 * error
    assert np.abs(own[:, 2:]).max() < 1e-9
    assert error < 0.1
    # Draws are spread evenly, which their told error does not count: they miss by less than it, not by nothing.
    assert 0.1 < found.beside < 1.5


def test_the_notes_assertion_error_names_the_analyst():
    train, _, test = data("PM")
    with pytest.raises(DataError, match=r"lost\.tanh cannot be explained by gradients.*ablate it instead"):
        attribute(HandNetwork(Detached()), test, background_rows(train, 32, 0), "lost.tanh", FEW)


@pytest.mark.parametrize(
    "name", ["vanilla.small.tanh", pytest.param("lstm.small.extractors.tanh", marks=pytest.mark.slow)]
)
def test_networks_agree_with_sampled_orders(name):
    """Two methods, two games that differ in interactions alone: columns' mean absolute values stand in one order."""
    train, _, test = data("PM")
    test, background = test.rows(slice(0, 12)), background_rows(train, 32, 0)
    by_path = attribute(fitted(name), test, background, name, ExplainSettings(samples=512)).by_column
    told = Told.by(fitted(name), test, background)
    by_order = sampled_parts(fitted(name), test, background, told, 128, 0).values.sum(axis=1)
    assert np.corrcoef(by_path.ravel(), by_order.ravel())[0, 1] > 0.95


@dataclass(frozen=True)
class Stranger:
    """An analyst of which nothing is known but that it forecasts: a product of two columns."""

    def predict(self, windows):
        mean = windows.x[:, -1, 0].astype(float) * windows.x[:, -1, 1]
        return Forecast(mean=mean, lower=mean, upper=mean, prob_up=np.full(len(mean), 0.5))


def test_any_analyst_can_be_asked():
    """Shapley values of x0 x1 are (x0-b0)(x1+b1)/2 and (x1-b1)(x0+b0)/2, and nothing for all other columns."""
    train, _, test = data("PM")
    test, background = test.rows(slice(0, 20)), background_rows(train, 32, 0)
    found = attribute(Stranger(), test, background, "stranger", ExplainSettings(orders=256))
    x, b = test.x[:, -1].astype(float), background.x[:, -1].astype(float)
    for own, other in ((0, 1), (1, 0)):
        expected = ((x[:, None, own] - b[None, :, own]) * (x[:, None, other] + b[None, :, other]) / 2).mean(axis=1)
        assert np.abs(found.values[:, 0, own] - expected).max() < 0.05
    assert np.abs(found.values[:, 0, 2:]).max() < 1e-9
    assert (found.gaps <= 1e-3).all()


def test_a_row_is_explained_by_itself():
    """Which rows stand beside it makes no difference to a network's sampled values."""
    train, _, test = data("PM")
    model, background = fitted("vanilla.small.tanh"), background_rows(train, 32, 0)
    whole = attribute(model, test.rows(slice(0, 9)), background, "v", FEW)
    alone = attribute(model, test.rows(slice(4, 5)), background, "v", FEW)
    assert np.array_equal(whole.values[4], alone.values[0])


def test_short_histories_are_told_apart():
    """A row whose first quarter was not seen: what lies there is worth nothing, what it lacks stands in `history`."""
    train, _, test = data("PM")
    seen = np.ones((len(test), 2), bool)
    seen[::3, 0] = False
    short = Windows.of(
        x=np.where(seen[:, :, None], test.x, np.float32(0)), seen=seen, columns=test.columns, dates=test.dates,
        symbols=test.symbols, target="PM",
    )  # fmt: skip
    name = "lstm.small.extractors.tanh"
    found = attribute(fitted(name), short, background_rows(train, 32, 0), name, FEW)
    assert not found.values[::3, 0].any()
    assert len(np.unique(found.history[::3])) == 1
    assert found.history[0] != 0
    rest = np.ones(len(test), bool)
    rest[::3] = False
    assert np.abs(found.history[rest]).max() < 1e-12
    assert (found.gaps <= 1e-3).all()


def test_ensembles_are_the_mean_of_their_members():
    train, _, test = data("PM")
    background = background_rows(train, 32, 0)
    whole = fitted("ensemble.mean")
    found = attribute(whole, test, background, "ensemble.mean")
    expected = np.zeros(found.values.shape)
    for member, fits in zip(whole.members, whole.fits, strict=True):
        for fit in fits:
            one = test if member.quarters == 2 else narrowed(test, member.quarters)
            other = background if member.quarters == 2 else narrowed(background, member.quarters)
            own = attribute(fit, one, other, "member").values
            expected[:, -own.shape[1] :] += own / len(fits) / len(whole.fits)
    assert np.allclose(found.values, expected, rtol=0, atol=1e-14)


def narrowed(windows, quarters):
    return replace(windows, index=windows.index[:, -quarters:])


def test_known_sum_makes_draws_add_up_and_no_worse():
    """Of two parts whose draws cancel, knowing the sum takes away nearly all of their error."""
    random = np.random.default_rng(0)
    found, plain = [], []
    for _ in range(200):
        shared = random.normal(size=(64, 1))
        draws = np.hstack([1 + shared + 0.1 * random.normal(size=(64, 1)), 2 + shared])
        values, residuals = with_known_sum(draws, 3.0)
        assert abs(values.sum() - 3.0) < 1e-12
        assert residuals.shape == draws.shape
        found.append(values)
        plain.append(draws.mean(axis=0))
    assert np.std(found, axis=0).max() < 0.2 * np.std(plain, axis=0).min()
    assert np.allclose(np.mean(found, axis=0), [1, 2], atol=0.01)


def test_values_that_do_not_add_up_are_refused():
    found = explained("ridge")
    wrong = replace(found, values=found.values * 1.1, analyst="my.analyst")
    with pytest.raises(DataError, match=r"the values of my\.analyst by closed form .* do not add up to its forecast"):
        wrong.check()


def test_joined_fits_keep_columns_apart():
    found = explained("ridge")
    other = replace(found, columns=(*COLUMNS[:-1], "turnover"))
    both = joined([found, replace(other, beside=0.7)])
    assert both.beside == 0.7
    assert both.columns == (*COLUMNS, "turnover")
    assert np.array_equal(both.by_column[:ROWS, :6], found.by_column)
    assert not both.by_column[:ROWS, 6].any()
    assert np.array_equal(both.by_column[ROWS:, 6], found.by_column[:, 5])
    assert not both.by_column[ROWS:, 5].any()
    assert (both.gaps < 1e-9).all()


def test_gradients_of_a_network_without_noise_still_add_up():
    """An all but constant network: no draw varies, and rounding alone is left over."""
    train, _, test = data("PM")
    still = HandNetwork(Quadratic())
    with torch.no_grad():
        still.network.scale.zero_()
    test, background = test.rows(slice(0, 3)), background_rows(train, 8, 0)
    parts = gradient_parts(still, test, background, Told.by(still, test, background), "still", 16, 0)
    assert not parts.values.any()
