import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alfred.core.errors import ConfigError, DataError
from alfred.training.losses import (
    LEAST_DEVIATION,
    LOSSES,
    deviation,
    loss_function,
    original_row_losses,
    sign_surrogate,
)
from alfred.training.settings import LossSettings

SIGN_AWARE = ("mse-sign", "huber-sign", "sign-ratio")
SETTINGS = LossSettings(weight=2.0, ratio=0.25, tau=0.05, delta=1.0)

P = np.array([0.5, -0.5, 3.0, 0.0, 0.2])
Y = np.array([0.25, 0.25, 0.5, 0.5, 0.0])
SQUARE = [0.0625, 0.5625, 6.25, 0.25, 0.04]
HUBER = [0.03125, 0.28125, 2.0, 0.125, 0.02]
WRONG = [0, 1, 0, 1, 1]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mse", SQUARE),
        ("huber", HUBER),
        ("mse-sign", [s + 2 * w for s, w in zip(SQUARE, WRONG, strict=True)]),
        ("huber-sign", [h + 2 * w for h, w in zip(HUBER, WRONG, strict=True)]),
        ("sign-ratio", [0.25 * w + 0.75 * s for s, w in zip(SQUARE, WRONG, strict=True)]),
    ],
)
def test_original_values_by_hand(name, expected):
    np.testing.assert_allclose(original_row_losses(name, P, Y, SETTINGS), expected, rtol=1e-14)


def test_original_cross_entropy_by_hand_and_clipped():
    got = original_row_losses("bce", np.array([0.5, 0.25, 0.0, 1.0]), np.array([1.0, 0.0, 1.0, 1.0]))
    np.testing.assert_allclose(got, [math.log(2), -math.log(0.75), -math.log(1e-7), 1e-7], rtol=1e-6)


def test_huber_turns_at_delta():
    got = original_row_losses("huber", np.array([0.1, 0.5]), np.zeros(2), LossSettings(delta=0.2))
    np.testing.assert_allclose(got, [0.005, 0.2 * (0.5 - 0.1)])


def test_surrogate_by_hand():
    # At a forecast of tau: arctan(1) = pi/4, so 1/4 on the right side and 3/4 on the wrong one.
    p = torch.tensor([0.05, -0.05, 0.0, 0.05, 0.0])
    y = torch.tensor([0.3, 0.3, -0.3, 0.0, 0.0])
    torch.testing.assert_close(sign_surrogate(p, y, 0.05), torch.tensor([0.25, 0.75, 0.5, 1.0, 1.0]))


@pytest.mark.parametrize("name", SIGN_AWARE)
@pytest.mark.parametrize("size", [1e-6, 0.01, 1.0, 100.0])
@pytest.mark.parametrize("label", [0.1, -0.1])
def test_wrong_sign_is_pulled_back(name, size, label):
    output = torch.tensor([-math.copysign(size, label)], requires_grad=True)
    loss_function(name, settings=SETTINGS)(output, torch.tensor([label])).backward()
    assert output.grad.item() * label < 0  # descent goes against the gradient, towards the label's sign


@pytest.mark.parametrize("label", [0.1, -0.1])
def test_the_sign_term_alone_has_a_gradient_at_100(label):
    output = torch.tensor([-math.copysign(100.0, label)], requires_grad=True)
    sign_surrogate(output, torch.tensor([label]), 0.05).sum().backward()
    expected = -math.copysign(0.05 / math.pi / (0.05**2 + 100**2), label)
    assert output.grad.item() == pytest.approx(expected, rel=1e-4)
    assert output.grad.item() != 0.0


@pytest.mark.parametrize("name", SIGN_AWARE)
def test_penalty_adds_to_the_plain_loss_gradient(name):
    """Without the penalty the same forecast has another gradient: the sign takes part in training."""
    gradients = []
    for settings in (SETTINGS, LossSettings(weight=0.0, ratio=0.0)):
        output = torch.tensor([-0.02], requires_grad=True)
        loss_function(name, settings=settings)(output, torch.tensor([0.01])).backward()
        gradients.append(output.grad.item())
    assert gradients[0] < 2 * gradients[1] < 0


@pytest.mark.parametrize("name", ["mse", "huber", *SIGN_AWARE])
def test_tends_to_the_original_as_tau_vanishes(name):
    sharp = SETTINGS.model_copy(update={"tau": 1e-9})
    some = P != 0
    got = loss_function(name, settings=sharp).rows(torch.tensor(P), torch.tensor(Y)).numpy()
    np.testing.assert_allclose(got[some], original_row_losses(name, P, Y, SETTINGS)[some], atol=1e-7)


finite = st.floats(-50, 50, allow_nan=False)


@given(p=finite, y=finite, tau=st.floats(1e-3, 10))
def test_surrogate_is_a_share_that_counts_the_likelier_side(p, y, tau):
    value = sign_surrogate(torch.tensor([p], dtype=torch.float64), torch.tensor([y], dtype=torch.float64), tau).item()
    assert 0 <= value <= 1
    if p * y > 0:
        assert value <= 0.5
    if p * y < 0:
        assert value >= 0.5
    if y == 0:
        assert value == 1


@given(logit=st.floats(-15, 15), label=st.sampled_from([0.0, 1.0]))
def test_training_on_logits_equals_evaluation_on_probabilities(logit, label):
    raw, wanted = torch.tensor([logit], dtype=torch.float64), torch.tensor([label], dtype=torch.float64)
    trained = loss_function("bce", "sigmoid")(raw, wanted).item()
    judged = original_row_losses("bce", raw.sigmoid().numpy(), wanted.numpy())[0]
    assert trained == pytest.approx(judged, rel=1e-6, abs=1e-9)
    on_probabilities = loss_function("bce")(raw.sigmoid(), wanted).item()
    assert on_probabilities == pytest.approx(judged, rel=1e-6, abs=1e-9)


def test_far_logits_keep_a_gradient():
    raw = torch.tensor([-80.0], requires_grad=True)
    loss_function("bce", "sigmoid")(raw, torch.ones(1)).backward()
    assert raw.grad.item() == -1.0


def test_heads_are_part_of_the_loss():
    raw, label = torch.tensor([0.7]), torch.tensor([0.2])
    assert loss_function("mse", "tanh")(raw, label).item() == pytest.approx((math.tanh(0.7) - 0.2) ** 2)
    assert loss_function("mse", "sigmoid")(raw, label).item() == pytest.approx((1 / (1 + math.exp(-0.7)) - 0.2) ** 2)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_the_mean_of_its_rows(name):
    p, y = torch.rand(7, dtype=torch.float64), torch.tensor([0.0, 1, 1, 0, 1, 0, 1], dtype=torch.float64)
    loss = loss_function(name)
    assert loss(p, y).item() == pytest.approx(loss.rows(p, y).numpy().mean())


def test_wrong_use_is_named():
    with pytest.raises(ConfigError, match=r"no loss 'huber-sing'; did you mean 'huber-sign'\?"):
        loss_function("huber-sing")
    with pytest.raises(ConfigError, match="no loss 'l1'; known are bce, huber"):
        original_row_losses("l1", P, Y)
    with pytest.raises(ConfigError, match="tanh head gives values from -1 to 1"):
        loss_function("bce", "tanh")
    with pytest.raises(DataError, match=r"bce needs forecasts between 0 and 1, got values from -0.5 to 3"):
        original_row_losses("bce", P, np.ones(5))
    with pytest.raises(DataError, match=r"one forecast a label, got shapes \(5,\) and \(4,\)"):
        original_row_losses("mse", P, Y[:4])
    with pytest.raises(ConfigError, match="greater than 0"):
        LossSettings.parse({"tau": 0.0}, "study.toml")


def test_gaussian_likelihood():
    """By hand: log s + ((p - y) / s)^2 / 2 with s = softplus(raw) + least."""
    output = torch.tensor([[0.1, 0.0], [-0.2, 2.0]], dtype=torch.float64, requires_grad=True)
    label = torch.tensor([0.3, -0.2], dtype=torch.float64)
    loss = loss_function("gaussian", "gaussian")
    s = [math.log1p(math.exp(raw)) + LEAST_DEVIATION for raw in (0.0, 2.0)]
    expected = [math.log(s[0]) + (0.2 / s[0]) ** 2 / 2, math.log(s[1])]
    values = loss.rows(output, label)
    np.testing.assert_allclose(values.detach(), expected, rtol=1e-12)
    loss(output, label).backward()
    assert output.grad[0, 0] < 0  # forecast too low: up
    assert output.grad[1, 1] > 0  # forecast right: less deviation
    np.testing.assert_allclose(deviation(output.detach()), s)


@pytest.mark.parametrize(("name", "head"), [("gaussian", "identity"), ("mse", "gaussian")])
def test_gaussian_head_and_loss_go_together(name, head):
    with pytest.raises(ConfigError, match="go together only"):
        loss_function(name, head)
