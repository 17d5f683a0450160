"""Losses part of which training cannot see."""

from collections.abc import Iterator

import numpy as np

from alfred.evaluation.audit._contracts import AuditCheck, Found, Probe
from alfred.evaluation.audit._evidence import Evidence, LossEvidence

STEP = 1e-6
JUMP = 1e-3
"""A loss with a gradient moves by some millionths over the step."""


def without_gradient(evidence: Evidence) -> Iterator[Found]:
    """Losses that jump where a forecast changes its side: what jumps has no gradient on either side."""
    for loss in evidence.losses or ():
        jump = _jump(loss)
        if not jump <= JUMP:
            what = (
                f"{loss.analyst}: the loss {loss.name} jumps by {jump:.3g} where a forecast changes its sign; that "
                "part has no gradient, so that training follows the rest alone."
            )
            yield Found(what, figures={"jump": jump})
        if _slope(loss) == 0:
            what = f"{loss.analyst}: the loss {loss.name} has no gradient where a forecast is on the wrong side."
            yield Found(what)


def _labels(loss: LossEvidence) -> tuple[float, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Where sides part, and labels on either side."""
    return (0.5, np.array([0.0, 1.0])) if loss.probability else (0.0, np.array([-0.1, -0.02, 0.02, 0.1]))


def _jump(loss: LossEvidence) -> float:
    edge, labels = _labels(loss)
    above, below = (loss.rows(np.full(len(labels), edge + side * STEP), labels) for side in (1, -1))
    return float(np.abs(above - below).max())


def _slope(loss: LossEvidence) -> float:
    edge, labels = _labels(loss)
    wrong = edge - np.sign(labels - edge) * 0.1
    up, down = (loss.rows(wrong + side * STEP, labels) for side in (1, -1))
    return float(np.abs(up - down).min() / (2 * STEP))


CHECKS = (
    AuditCheck(
        "loss-without-gradient", 12, "a sign penalty without gradient",
        "train on a differentiable surrogate and keep the penalty as a metric",
        (Probe(("losses",), "the loss just below and above the change of sign, and its slope on the wrong side",
               "error", without_gradient),),
    ),
)  # fmt: skip
