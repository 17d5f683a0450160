"""Quantiles of rows that move together within their date: every date counts the same, however many rows it has."""

import numpy as np

from alfred.core.calendar import Dates
from alfred.core.contracts import Floats


def date_weights(dates: Dates) -> Floats:
    """(n,) weights, 1 in all, under which every date counts the same and so does every row of a date."""
    _, date, sizes = np.unique(dates, return_inverse=True, return_counts=True)
    weights: Floats = 1.0 / (len(sizes) * sizes[date])
    return weights


def weighted_quantile(scores: Floats, weights: Floats, level: float) -> float:
    """Smallest score up to which the weights make level (1 + 1/n), the largest if none does.

    For n equal weights it is the ceil((n+1) level)-th smallest.
    """
    order = np.argsort(scores, kind="stable")
    held = np.cumsum(weights[order])
    # Sums of thirds and tenths miss their mark by a few ends of binary fractions.
    at = np.searchsorted(held, level * (1 + 1 / len(scores)) - 1e-9)
    return float(scores[order[min(int(at), len(scores) - 1)]])
