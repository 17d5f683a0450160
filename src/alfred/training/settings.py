"""Settings of training, kept apart from torch so that reading a study stays quick."""

from typing import Literal

from pydantic import Field

from alfred.core.settings import Settings


class LossSettings(Settings):
    """Constants of the losses, for training and for evaluation alike.

    Attributes:
        weight: price of a wrong sign in mse-sign and huber-sign. At 0.03 it equals a squared error of 0.17, about
            a standard deviation of a share's quarterly change; in huber-sign an error of 0.24.
        ratio: share of the sign in sign-ratio; the rest weighs the squared error. At 0.5, for labels of that size,
            the sign all but decides alone: forecasts come out far larger than the changes they forecast.
        tau: width of the sign's surrogate, in units of the label. At a forecast of `tau` on the wrong side it
            stands at 3/4 of the penalty, on the right side at 1/4. Training only.
        delta: error at which Huber's loss turns from a square into a line, in units of the label.
    """

    weight: float = Field(default=0.03, ge=0, allow_inf_nan=False)
    ratio: float = Field(default=0.5, ge=0, le=1)
    tau: float = Field(default=0.05, gt=0, allow_inf_nan=False)
    delta: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class TrainSettings(Settings):
    """Settings of the one training loop.

    Attributes:
        epochs: most passes over the training rows.
        batch_size: rows of a step; the last step of an epoch takes what is left.
        learning_rate: AdamW's at the start; it is multiplied by `plateau_factor` after more than
            `plateau_patience` epochs without a better validation loss.
        weight_decay: AdamW's, on weight matrices; biases are not decayed.
        patience: training stops after this many epochs without a better validation loss.
        threads: of the processor; None takes one for small work and torch's own number for large.
        device: "auto" takes cuda, then mps, then cpu, whichever is there first.
        precision: of the products while learning; weights, moments and validation stay float32. "auto" takes bfloat16
            for large work on a cuda device that has it, and float32 otherwise.
        compile: whether to compile the network first, which takes half a minute and pays for long work only.
        members: most trainings of one pass; None takes as many as the processor's cache or the device's memory holds,
            1 gives each a pass of its own. It does not change results.
        loss: constants of the losses.
    """

    epochs: int = Field(default=200, ge=1)
    batch_size: int = Field(default=256, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0, allow_inf_nan=False)
    weight_decay: float = Field(default=1e-4, ge=0, allow_inf_nan=False)
    patience: int = Field(default=20, ge=1)
    plateau_patience: int = Field(default=8, ge=0)
    plateau_factor: float = Field(default=0.5, gt=0, lt=1)
    threads: int | None = Field(default=None, ge=1, le=1_024)
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: bool = False
    members: int | None = Field(default=None, ge=1)
    loss: LossSettings = LossSettings()
