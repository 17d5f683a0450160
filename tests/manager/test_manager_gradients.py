"""Derivatives of the differentiable account: against finite differences, through every friction and limit."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import scene_of
from wild_scenes import LIMITS, OTHER, wild

from alfred.backtest.limits import numbered, project, violation
from alfred.backtest.settings import REALISTIC, FrictionSettings, LimitSettings
from alfred.manager._projection import Bounds, nearest
from alfred.manager.batched import BatchedAccounts
from alfred.manager.settings import RewardSettings

CALM = {"gone": 0.3, "names": 5, "decisions": 3, "span": 15}
EVERY = LimitSettings(gross_max=1.2, net_min=-0.3, net_max=0.8, name_max=0.6, sector_max=0.7, turnover_max=0.9)
FREELY, FREE = LimitSettings(), FrictionSettings()


def grown(twin, at, held, target):
    """(B,) log return of one period, from weights held before it."""
    return twin.step(twin.start(at, held), target)[1].growth


def check(function, point):
    assert torch.autograd.gradcheck(function, (point,), eps=1e-7, atol=1e-6, fast_mode=True)


@pytest.mark.parametrize(("frictions", "capital"), [(REALISTIC, 1e4), (REALISTIC, 1e8), (OTHER, 1e5), (FREE, 1e5)])
@pytest.mark.parametrize("limits", [FREELY, LIMITS[2], EVERY], ids=["freely", "capped", "every-limit"])
def test_the_log_return_of_a_period_has_the_right_derivative(frictions, capital, limits):
    rng = np.random.default_rng(1)
    priced = frictions.model_copy(update={"capital_usd": capital, "credit_spread_bps_per_year": 50.0})
    twin = BatchedAccounts(wild(3, frictions=priced, limits=limits, **CALM))
    at = torch.tensor([0, 1, 2, 1])
    held = torch.where(twin.mask(twin.start(at)), torch.tensor(rng.uniform(0.02, 0.2, (4, 5))), 0.0)
    for target in (rng.uniform(-0.5, 0.5, (4, 5)), rng.uniform(0.05, 0.6, (4, 5))):
        check(lambda target: grown(twin, at, held, target), torch.tensor(target, requires_grad=True))


def test_names_at_zero_have_the_derivative_of_both_sides():
    """A position of nothing costs nothing to begin here, so that its derivative is what its name earns."""
    scene = scene_of(np.array([[0.1, -0.2, 0.05]]), limits=FREELY)
    target = torch.tensor([[0.5, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    twin = BatchedAccounts(scene)
    grown(twin, torch.tensor([0]), None, target).sum().backward()
    np.testing.assert_allclose(target.grad[0], np.array([0.1, -0.2, 0.05]) / 1.05, rtol=1e-9)


def test_derivatives_pass_through_what_is_held_into_later_periods():
    rng = np.random.default_rng(2)
    for kind, limits in (("log_return", LIMITS[2]), ("differential_sharpe", EVERY), ("log_return", FREELY)):
        reward = RewardSettings(kind=kind, drawdown_penalty=0.7, variance_penalty=2.0)
        twin = BatchedAccounts(wild(4, frictions=REALISTIC, limits=limits, **CALM), reward=reward)

        def paid(first, twin=twin):
            accounts, total = twin.start(torch.tensor([0])), 0.0
            accounts, outcome = twin.step(accounts, first)
            for _ in range(2):
                total = total + outcome.reward
                # Keeps half of what it is told it holds, so that later trades depend on the first.
                accounts, outcome = twin.step(accounts, 0.5 * accounts.held + 0.05)
            return total + outcome.reward

        check(paid, torch.tensor(rng.uniform(0.05, 0.3, (1, 5)), requires_grad=True))


def test_interest_that_changes_sides_is_differentiable_too():
    frictions = REALISTIC.model_copy(update={"cash_rate": 0.05, "debit_spread_bps_per_year": 2000.0})
    twin = BatchedAccounts(wild(6, frictions=frictions, limits=FREELY, gone=0.0, names=4, span=20, rough=0.01))
    at = torch.tensor([0, 1, 2])
    target = torch.tensor([[0.4, 0.3, 0.31, 0.1], [0.9, 0.2, -0.3, 0.2], [0.5, 0.6, 0.1, -0.3]], dtype=torch.float64)
    outcome = twin.step(twin.start(at), target)[1]
    assert (outcome.dividends != 0.0).any()
    check(lambda target: grown(twin, at, None, target), target.requires_grad_())


def test_ruin_gives_no_gradient_that_is_not_finite():
    twin = BatchedAccounts(scene_of(np.array([[3.0, 4.0], [0.1, 0.1]]), limits=FREELY, frictions=OTHER))
    target = torch.tensor([[-0.5, -0.5], [0.2, 0.1], [90.0, -90.0]], dtype=torch.float64, requires_grad=True)
    accounts, outcome = twin.step(twin.start(torch.tensor([0, 0, 0])), target)
    assert outcome.ruined.tolist() == [True, False, True]
    again = twin.step(accounts, target)[1]
    assert again.reward[0] == again.reward[2] == 0.0
    (outcome.reward + again.reward).sum().backward()
    assert torch.isfinite(target.grad).all()
    assert (target.grad[1] != 0.0).all()


@st.composite
def problems(draw):
    seed, names = draw(st.integers(0, 2**32)), draw(st.integers(1, 12))
    rng = np.random.default_rng(seed)
    maybe = st.sampled_from
    limits = LimitSettings(
        long_only=draw(st.booleans()),
        gross_max=draw(maybe([None, 1.0, 1.5])),
        net_min=draw(maybe([None, 0.0, -0.3])),
        net_max=draw(maybe([None, 0.5, 1.0])),
        name_max=draw(maybe([None, 0.2, 0.6])),
        sector_max=draw(maybe([None, 0.4])),
        turnover_max=draw(maybe([None, 0.3, 1.0])),
    )
    sectors = numbered(names, rng.integers(-1, 3, names))
    target, held = (rng.normal(0, scale, (3, names)) for scale in (rng.choice([0.1, 1.0]), 0.3))
    return limits, sectors, target, held


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(problems())
def test_projections_are_those_of_the_backtest(problem):
    limits, sectors, target, held = problem
    bounds = Bounds(limits, torch.tensor(sectors), torch.ones(target.shape, dtype=torch.bool))
    found = nearest(torch.tensor(target), torch.tensor(held), bounds).numpy()
    for row in range(len(target)):
        expected = project(target[row], limits, sectors=sectors, held=held[row])
        np.testing.assert_allclose(found[row], expected, atol=1e-7)
        assert violation(found[row], limits, sectors) <= 1e-9


@settings(max_examples=100, deadline=None)
@given(problems())
def test_projections_that_have_a_closed_form_are_exact(problem):
    limits, sectors, target, held = problem
    none = {"turnover_max": None, "sector_max": None, "net_min": None}
    limits = limits.model_copy(update=none if limits.long_only else none | {"net_max": None})
    bounds = Bounds(limits, torch.tensor(sectors), torch.ones(target.shape, dtype=torch.bool))
    found = nearest(torch.tensor(target), torch.tensor(held), bounds).numpy()
    for row in range(len(target)):
        np.testing.assert_allclose(found[row], project(target[row], limits), atol=1e-11)


def test_names_that_take_no_part_stay_at_zero():
    limits = LimitSettings(net_min=-0.1, net_max=0.1, gross_max=1.0)
    active = torch.tensor([[True, True, False, True]])
    target, held = torch.tensor([[0.9, 0.5, 0.0, 0.3]]).double(), torch.zeros((1, 4)).double()
    found = nearest(target, held, Bounds(limits, torch.full((4,), -1), active))
    expected = project(np.array([0.9, 0.5, 0.3]), limits)
    np.testing.assert_allclose(found[0, [0, 1, 3]].numpy(), expected, atol=1e-9)
    assert float(found[0, 2]) == 0.0


@settings(max_examples=60, deadline=None)
@given(problems())
def test_projections_move_as_finite_differences_say(problem):
    """By target and by what is held, wherever a small step either way stays on the same face."""
    limits, sectors, target, held = problem
    bounds = Bounds(limits, torch.tensor(sectors), torch.ones((1, target.shape[1]), dtype=torch.bool))
    rng = np.random.default_rng(0)
    way, back = rng.normal(0, 1, target.shape[1]), rng.normal(0, 1, target.shape[1])
    upstream = torch.tensor(rng.normal(0, 1, (1, target.shape[1])))

    def at(step, row):
        return project(target[row] + step * way, limits, sectors=sectors, held=held[row] + step * back)

    for row in range(len(target)):
        point, anchor = (torch.tensor(part[row][None]).requires_grad_() for part in (target, held))
        found = nearest(point, anchor, bounds, torch.tensor(at(0.0, row))[None])
        if not found.requires_grad:
            continue
        (found * upstream).sum().backward()
        moved = sum(
            float((grad[0] * torch.tensor(by)).sum())
            for grad, by in ((point.grad, way), (anchor.grad, back)) if grad is not None
        )  # fmt: skip
        wide, narrow = ((at(step, row) - at(-step, row)) / (2 * step) for step in (1e-5, 5e-6))
        one_side = (at(1e-5, row) - at(0.0, row)) / 1e-5
        if max(np.abs(wide - narrow).max(), np.abs(wide - one_side).max()) < 1e-5:
            assert moved == pytest.approx(float((upstream[0].numpy() * wide).sum()), abs=2e-4)
