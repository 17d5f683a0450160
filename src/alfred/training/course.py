"""How far a member has come: a pure account of its epochs, from which its rate, its best and its end follow."""

import math
from dataclasses import dataclass, replace
from typing import Literal, Self

from alfred.core.contracts import Epoch, FitRecord
from alfred.training.settings import TrainSettings

SMALLEST_CUT = 1e-8
"""A learning rate is not cut by less than this, as in torch's plateau scheduler."""


@dataclass(frozen=True)
class Course:
    """A member's course so far.

    Attributes:
        rate: learning rate of the next epoch.
        best_loss, best_epoch: the first lowest validation loss, and when; 0 before the first epoch.
        waited: epochs without a better one since the best or the last cut of the rate.
        seconds: wall time, a common pass's divided among its members.
        epochs: the learning curve.
        stopped: why it ended, or None while it goes on.
    """

    rate: float
    best_loss: float = math.inf
    best_epoch: int = 0
    waited: int = 0
    seconds: float = 0.0
    epochs: tuple[Epoch, ...] = ()
    stopped: Literal["patience", "epochs"] | None = None

    @property
    def improved(self) -> bool:
        """Whether the last epoch is the best."""
        return self.best_epoch == len(self.epochs)

    def after(self, train_loss: float, valid_loss: float, seconds: float, settings: TrainSettings) -> Self:
        """The course one epoch later: the rate falls on a plateau, and patience or the epochs may be at their end."""
        number = len(self.epochs) + 1
        better = valid_loss < self.best_loss
        best_epoch = number if better else self.best_epoch
        waited = 0 if better else self.waited + 1
        rate = self.rate
        if waited > settings.plateau_patience:
            cut = rate * settings.plateau_factor
            rate, waited = (cut if rate - cut > SMALLEST_CUT else rate), 0
        impatient = number - best_epoch >= settings.patience
        return replace(
            self,
            rate=rate,
            best_loss=min(valid_loss, self.best_loss),
            best_epoch=best_epoch,
            waited=waited,
            seconds=self.seconds + seconds,
            epochs=(*self.epochs, Epoch(number, train_loss, valid_loss, self.rate)),
            stopped="patience" if impatient else "epochs" if number >= settings.epochs else None,
        )

    def record(self, parameters: int, rows: int) -> FitRecord:
        """What the fit cost and how it went."""
        return FitRecord(
            parameters=parameters,
            seconds=self.seconds,
            samples_per_second=len(self.epochs) * rows / max(self.seconds, 1e-9),
            best_epoch=self.best_epoch,
            epochs=self.epochs,
            stopped=self.stopped or "epochs",
        )
