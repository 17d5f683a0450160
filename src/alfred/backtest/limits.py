"""Target weights brought within limits: the nearest ones that a portfolio may hold.

The weights w that satisfy all limits form a convex set K, and the result is the Euclidean projection onto it, the w in
K for which sum (w - target)^2 is least. Long-only, a name's cap, gross and net are met at once and exactly: the weights
less a shift (for the net), softened by a threshold (for the gross), then clipped, as the conditions of optimality say;
shift and threshold are roots of piecewise linear sums. Sectors alone, or turnover alone, are soft thresholds (Duchi et
al., 2008, "Efficient projections onto the l1-ball", ICML). These three kinds together take Dykstra's alternating
projections (Boyle and Dykstra, 1986), ended by the rule of Birgin and Raydan (2005, "Robust stopping criteria for
Dykstra's algorithm", SIAM Journal on Scientific Computing 26), as a small change of w alone does not show that it has
converged.

**Always feasible.** All in cash (w = 0) satisfies every limit but turnover, so what the iteration leaves above a limit
is removed by shrinking weights towards 0. Where the weights held before the trade cannot be brought within the other
limits by the turnover allowed, those limits go first and the least-squares way back to them is taken, whatever it
turns over.
"""

import numpy as np
from numpy.typing import NDArray

from alfred.backtest import _limit_kernels as kernels
from alfred.backtest.settings import LimitSettings
from alfred.core.contracts import Floats
from alfred.core.errors import DataError

Sectors = NDArray[np.int64]
TOLERANCE = kernels.TOLERANCE
"""Weights within this of a limit satisfy it."""


def project(
    target: Floats, limits: LimitSettings, *, sectors: Sectors | None = None, held: Floats | None = None
) -> Floats:
    """The weights nearest to `target` that satisfy the limits; `target` itself, to the last bit, where it does.

    Args:
        target: (S,) wanted weights, negative for short.
        limits: what they may be.
        sectors: (S,) number of each name's sector, below 0 for none (such names have no sector limit).
        held: (S,) weights before the trade, for the turnover limit; None is all in cash.

    Raises:
        DataError: a weight is not finite, shapes disagree, or there is a sector limit without sectors.
    """
    _check(target, limits, sectors, held)
    before = np.zeros(target.shape) if held is None else held
    found = np.empty(target.shape)
    problem = _plain(before), bounds(limits), _numbered(len(target), limits, sectors)
    return target if kernels.project(_plain(target), problem, found) else found


def violation(weights: Floats, limits: LimitSettings, sectors: Sectors | None = None) -> float:
    """By how much the worst limit, turnover aside, is exceeded; 0 where all hold."""
    return kernels.violation(_plain(weights), bounds(limits), _numbered(len(weights), limits, sectors))


def l1_ball(weights: Floats, radius: float) -> Floats:
    """(S,) the nearest weights whose absolute values sum to at most `radius`: soft thresholds, exact."""
    if np.abs(weights).sum() <= radius:
        return weights
    found = np.empty(weights.shape)
    kernels.soften(_plain(weights), radius, found)
    return found


def bounds(limits: LimitSettings) -> kernels.Limits:
    """Limits as compiled loops take them; one that is not set is infinite."""
    most = [limits.gross_max, limits.net_max, limits.name_max, limits.sector_max, limits.turnover_max]
    gross, net, name, sector, turnover = (np.inf if value is None else value for value in most)
    least = -np.inf if limits.net_min is None else limits.net_min
    return limits.long_only, gross, least, net, name, sector, turnover


def numbered(names: int, sectors: Sectors | None) -> Sectors:
    """(S,) sectors counted from 0, -1 for none."""
    if sectors is None:
        return np.full(names, -1)
    found, numbers = np.unique(sectors, return_inverse=True)
    return np.where(sectors < 0, -1, numbers - int((found < 0).sum()))


def _numbered(names: int, limits: LimitSettings, sectors: Sectors | None) -> Sectors:
    return numbered(names, None if limits.sector_max is None else sectors)


def _plain(weights: Floats) -> Floats:
    return np.ascontiguousarray(weights, dtype=np.float64)


def _check(target: Floats, limits: LimitSettings, sectors: Sectors | None, held: Floats | None) -> None:
    if target.ndim != 1 or not np.isfinite(target).all():
        raise DataError("target weights must be one row of finite numbers; use 0 for no position.")
    for name, values in (("sectors", sectors), ("held", held)):
        if values is not None and values.shape != target.shape:
            raise DataError(f"{len(target)} target weights need {name} of the same shape, got {values.shape}.")
    if held is not None and not np.isfinite(held).all():
        raise DataError("the weights held before the trade must be finite.")
    check_sectors(limits, sectors)


def check_sectors(limits: LimitSettings, sectors: Sectors | None) -> None:
    """Refuse a sector limit without sectors.

    Raises:
        DataError: it is.
    """
    if limits.sector_max is not None and sectors is None:
        raise DataError("a sector limit needs each name's sector; give sectors, or leave sector_max out.")
