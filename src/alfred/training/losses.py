"""Losses: a differentiable form to train on, and the original row by row to be judged by.

| name | value of a row, for forecast p and label y |
| --- | --- |
| bce | -y log p - (1-y) log(1-p), p clipped to [1e-7, 1 - 1e-7] |
| mse | (p-y)^2 |
| huber | (p-y)^2 / 2 up to an error of delta, from there delta (abs(p-y) - delta/2) |
| mse-sign | (p-y)^2 + weight [sign p != sign y] |
| huber-sign | huber + weight [sign p != sign y] |
| sign-ratio | ratio [sign p != sign y] + (1-ratio) (p-y)^2 |

A Gaussian head trains on `gaussian` (Nix and Weigend 1994): log s + ((p-y)/s)^2 / 2, for a forecast p with its own
deviation s. Its point forecasts are judged by mse, and what it says of its doubt by coverage.

A loss is the mean over rows. The three sign-aware ones are the notes' MSEWithSignPenalty, HuberWithSignPenalty and
SignErrorRatioLoss. Their indicator has no gradient, so training puts `sign_surrogate` in its place.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from alfred.core.contracts import Floats
from alfred.core.errors import ConfigError, DataError
from alfred.core.settings import suggestion
from alfred.training.settings import LossSettings

if TYPE_CHECKING:
    from torch import Tensor

LOSSES = ("bce", "mse", "huber", "mse-sign", "huber-sign", "sign-ratio")
CLIP = 1e-7
"""Probabilities are kept this far from 0 and 1 before their logarithm is taken."""

GAUSSIAN = "gaussian"
LEAST_DEVIATION = 1e-3
"""Of a Gaussian head, in units of the label: no row may weigh without bound in training."""

Head = Literal["identity", "tanh", "sigmoid", "gaussian"]
_DEFAULTS = LossSettings()


def activate(head: Head, output: "Tensor") -> "Tensor":
    """A network's raw output (...), or (..., 2) of a Gaussian head, turned into its forecast (...)."""
    if head == "identity":
        return output
    if head == GAUSSIAN:
        return output[..., 0]
    return output.tanh() if head == "tanh" else output.sigmoid()


def deviation(output: "Tensor") -> "Tensor":
    """A Gaussian head's raw output (..., 2) turned into its forecasts' standard deviations (...)."""
    from torch.nn import functional as f

    return f.softplus(output[..., 1]) + LEAST_DEVIATION


def outputs_of(head: Head) -> int:
    """Raw outputs that a head takes."""
    return 2 if head == GAUSSIAN else 1


def sign_surrogate(prediction: "Tensor", label: "Tensor", tau: float) -> "Tensor":
    """Smooth stand-in for [sign p != sign y], in [0, 1]: 1/2 - arctan(p sign(y) / tau) / pi.

    It tends to the indicator as tau goes to 0. Its gradient falls off as 1/prediction^2 only, where a logistic curve's
    would round to zero: a forecast far on the wrong side is still pulled back. Where the label is 0 it is 1, without
    gradient, because almost every forecast has another sign than 0.
    """
    import torch

    wrong = 0.5 - torch.arctan(prediction * label.sign() / tau) / math.pi
    return torch.where(label == 0, torch.ones_like(wrong), wrong)


@dataclass(frozen=True)
class Loss:
    """A differentiable loss on a network's raw output; called, it gives the mean over rows."""

    name: str
    head: Head
    settings: LossSettings

    def __call__(self, output: "Tensor", label: "Tensor") -> "Tensor":
        """Mean over rows: a scalar."""
        return self.rows(output, label).mean()

    def rows(self, output: "Tensor", label: "Tensor") -> "Tensor":
        """Values row by row, of the labels' shape."""
        from torch.nn import functional as f

        if self.name == "bce" and self.head == "sigmoid":
            # The same value as on probabilities, without rounding them to 0 or 1 on the way.
            return f.binary_cross_entropy_with_logits(output, label, reduction="none")
        prediction = activate(self.head, output)
        if self.name == GAUSSIAN:
            scale = deviation(output)
            return scale.log() + ((prediction - label) / scale).square() / 2
        if self.name == "bce":
            return f.binary_cross_entropy(prediction.clamp(CLIP, 1 - CLIP), label, reduction="none")
        if self.name.startswith("huber"):
            error = f.huber_loss(prediction, label, reduction="none", delta=self.settings.delta)
        else:
            error = (prediction - label).square()
        if self.name in ("mse", "huber"):
            return error
        wrong = sign_surrogate(prediction, label, self.settings.tau)
        if self.name == "sign-ratio":
            return self.settings.ratio * wrong + (1 - self.settings.ratio) * error
        return error + self.settings.weight * wrong


def loss_function(name: str, head: Head = "identity", settings: LossSettings = _DEFAULTS) -> Loss:
    """The differentiable loss of that name, on the raw output of a network with that head.

    With head "identity" the output is the forecast itself; for bce it then is a probability.

    Raises:
        ConfigError: there is no such loss, or the head does not give what it needs.
    """
    if (name == GAUSSIAN) != (head == GAUSSIAN):
        raise ConfigError(f"a Gaussian head and the loss {GAUSSIAN} go together only, got {name} on a head {head}.")
    if name != GAUSSIAN:
        _known(name)
    if name == "bce" and head == "tanh":
        raise ConfigError("bce needs probabilities, and a tanh head gives values from -1 to 1; take a sigmoid head.")
    return Loss(name, head, settings)


def original_row_losses(name: str, prediction: Floats, label: Floats, settings: LossSettings = _DEFAULTS) -> Floats:
    """The notes' loss of every row, sign indicator and all: shape (N,). Their mean is the notes' loss.

    Args:
        name: one of `LOSSES`.
        prediction: (N,) forecasts; for bce probabilities, which are clipped to [1e-7, 1 - 1e-7].
        label: (N,) labels; for bce 0 or 1.
        settings: constants; `tau` plays no part here.

    Raises:
        ConfigError: there is no such loss.
        DataError: shapes differ, or bce got numbers outside [0, 1].
    """
    _known(name)
    if prediction.shape != label.shape or prediction.ndim != 1:
        raise DataError(f"{name} needs one forecast a label, got shapes {prediction.shape} and {label.shape}.")
    if name == "bce":
        return _cross_entropy(prediction, label)
    distance = np.abs(prediction - label)
    square: Floats = distance**2
    huber = np.where(distance <= settings.delta, square / 2, settings.delta * (distance - settings.delta / 2))
    wrong = (np.sign(prediction) != np.sign(label)).astype(np.float64)
    values: dict[str, Floats] = {
        "mse": square,
        "huber": huber,
        "mse-sign": square + settings.weight * wrong,
        "huber-sign": huber + settings.weight * wrong,
        "sign-ratio": settings.ratio * wrong + (1 - settings.ratio) * square,
    }
    return values[name]


def _cross_entropy(prediction: Floats, label: Floats) -> Floats:
    for what, values in (("forecasts", prediction), ("labels", label)):
        if ((values < 0) | (values > 1)).any():
            raise DataError(
                f"bce needs {what} between 0 and 1, got values from {values.min():.4g} to {values.max():.4g}; "
                f"take mse or huber for magnitudes."
            )
    clipped = np.clip(prediction, CLIP, 1 - CLIP)
    entropy: Floats = -label * np.log(clipped) - (1 - label) * np.log1p(-clipped)
    return entropy


def _known(name: str) -> None:
    if name not in LOSSES:
        raise ConfigError(f"there is no loss {name!r}; {suggestion(name, LOSSES)}")
