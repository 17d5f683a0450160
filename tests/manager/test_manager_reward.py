from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alfred.manager.reward import LEAST_VARIANCE, RUIN, Payer, fresh, reward
from alfred.manager.settings import RewardSettings

WORTHS = [100.0, 110.0, 99.0, 104.0, 120.0]


def paid(settings, worths=WORTHS):
    payer = Payer(settings, worths[0])
    return [payer.pay(before, after) for before, after in pairwise(worths)]


def test_log_returns_sum_to_the_whole():
    assert sum(paid(RewardSettings())) == pytest.approx(np.log(1.2))


def test_a_drawdown_is_charged_where_it_grows_and_not_paid_back():
    charged = np.array(paid(RewardSettings(drawdown_penalty=2.0))) - paid(RewardSettings())
    np.testing.assert_allclose(charged, [0.0, -2.0 * 0.1, 0.0, 0.0], atol=1e-12)


def test_half_the_squared_return_is_charged():
    charged = np.array(paid(RewardSettings(variance_penalty=3.0))) - paid(RewardSettings())
    np.testing.assert_allclose(charged[:2], [-1.5 * np.log(1.1) ** 2, -1.5 * np.log(0.9) ** 2])


def test_differential_sharpe_by_hand():
    first, second, third, _ = paid(RewardSettings(kind="differential_sharpe", decay=0.5))
    one, two, three = np.log(1.1), np.log(0.9), np.log(104 / 99)
    assert first == 0.0
    mean, square = one / 2, one**2 / 2
    variance = square - mean**2
    assert variance > LEAST_VARIANCE
    assert second == pytest.approx((square * (two - mean) - 0.5 * mean * (two**2 - square)) / variance**1.5)
    mean, square = (mean + two) / 2, (square + two**2) / 2
    variance = square - mean**2
    assert third == pytest.approx((square * (three - mean) - 0.5 * mean * (three**2 - square)) / variance**1.5)


def test_differential_sharpe_is_the_derivative_of_the_ratio_by_the_decay():
    returns, decay = np.array([0.02, -0.01, 0.03, 0.01]), 1e-6
    settings_ = RewardSettings(kind="differential_sharpe", decay=0.3)
    payer = Payer(settings_, 1.0)
    for now in returns[:-1]:
        payer.pay(1.0, np.exp(now))
    mean, square, last = payer.mean, payer.square, returns[-1]
    ratio = mean / np.sqrt(square - mean**2)
    after_mean, after_square = mean + decay * (last - mean), square + decay * (last**2 - square)
    after = after_mean / np.sqrt(after_square - after_mean**2)
    assert payer.pay(1.0, np.exp(last)) == pytest.approx((after - ratio) / decay, rel=1e-4)


def test_losing_everything_is_paid_a_finite_worst():
    assert paid(RewardSettings(), [100.0, 0.0]) == [pytest.approx(np.log(RUIN))]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(0.2, 3.0), min_size=1, max_size=6),
    st.sampled_from(["log_return", "differential_sharpe"]),
    st.floats(0.0, 5.0),
    st.floats(0.0, 5.0),
    st.floats(0.01, 1.0),
)
def test_many_are_paid_as_one_is(growth, kind, drawdown, variance, decay):
    how = RewardSettings(kind=kind, drawdown_penalty=drawdown, variance_penalty=variance, decay=decay)
    worths = np.cumprod([100.0, *growth])
    memory, many = fresh(torch.tensor(worths[:1])), []
    for before, after in pairwise(worths):
        now, gained, memory = reward(how, torch.tensor([before]), torch.tensor([after]), memory)
        many.append(float(now))
        assert float(gained) == pytest.approx(np.log(after / before), abs=1e-12)
    np.testing.assert_allclose(many, paid(how, worths.tolist()), rtol=1e-9, atol=1e-10)
