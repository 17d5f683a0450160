"""Target weights brought within limits: the nearest ones that a portfolio may hold.

The weights w that satisfy all limits form a convex set K, and the result is the Euclidean projection onto it, the w in
K for which sum (w - target)^2 is least. Each limit alone has a closed form: clipping (long-only, a name's cap), a shift
(net), soft thresholds (gross, sectors, turnover; Duchi et al., 2008, "Efficient projections onto the l1-ball", ICML).
Several at a time take Dykstra's alternating projections (Boyle and Dykstra, 1986), ended by the rule of Birgin and
Raydan (2005, "Robust stopping criteria for Dykstra's algorithm", SIAM Journal on Scientific Computing 26), as a small
change of w alone does not show that it has converged.

**Always feasible.** All in cash (w = 0) satisfies every limit but turnover, so what the iteration leaves above a limit
is removed by shrinking weights towards 0. Where the weights held before the trade cannot be brought within the other
limits by the turnover allowed, those limits go first and the least-squares way back to them is taken, whatever it
turns over.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from alfred.backtest.settings import LimitSettings
from alfred.core.contracts import Floats
from alfred.core.errors import DataError

Sectors = NDArray[np.int64]
Projection = Callable[[Floats], Floats]

TOLERANCE = 1e-12
"""Weights within this of a limit satisfy it."""
CYCLES = 2000
"""Most passes over all limits; what they leave above a limit is scaled away."""


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
    if limits.turnover_max is None:
        return _within(target, limits, sectors, [])
    before = np.zeros_like(target) if held is None else held
    most = limits.turnover_max
    if np.abs(target - before).sum() <= most + TOLERANCE and violation(target, limits, sectors) <= TOLERANCE:
        return target
    base = _within(before, limits, sectors, [])
    needed = float(np.abs(base - before).sum())
    if needed >= most:
        return base
    wanted = _within(target, limits, sectors, [lambda w: before + l1_ball(w - before, most)])
    turned = float(np.abs(wanted - before).sum())
    if turned <= most:
        return wanted
    # Turnover is convex along the way from `base`, where it is below the limit, so this share of it is within.
    share = (most - needed) / (turned - needed)
    return base + share * (wanted - base)


def violation(weights: Floats, limits: LimitSettings, sectors: Sectors | None = None) -> float:
    """By how much the worst limit, turnover aside, is exceeded; 0 where all hold."""
    size, net = np.abs(weights), float(weights.sum())
    over = [0.0]
    if limits.long_only:
        over.append(float(-weights.min(initial=0.0)))
    if limits.name_max is not None:
        over.append(float(size.max(initial=0.0)) - limits.name_max)
    if limits.gross_max is not None:
        over.append(float(size.sum()) - limits.gross_max)
    if limits.net_max is not None:
        over.append(net - limits.net_max)
    if limits.net_min is not None:
        over.append(limits.net_min - net)
    if limits.sector_max is not None and sectors is not None and (sectors >= 0).any():
        known = sectors >= 0
        over.append(float(np.bincount(sectors[known], size[known]).max()) - limits.sector_max)
    return max(over)


def l1_ball(weights: Floats, radius: float) -> Floats:
    """(S,) the nearest weights whose absolute values sum to at most `radius`: soft thresholds, exact."""
    size = np.abs(weights)
    if size.sum() <= radius:
        return weights
    order = np.sort(size)[::-1]
    above = np.cumsum(order) - radius
    count = int(np.flatnonzero(order * np.arange(1, len(order) + 1) > above)[-1]) + 1
    soft: Floats = np.sign(weights) * np.maximum(size - above[count - 1] / count, 0.0)
    return soft


def _within(target: Floats, limits: LimitSettings, sectors: Sectors | None, more: list[Projection]) -> Floats:
    """The projection onto all limits but turnover, and onto the sets in `more`, which may end a little outside."""
    if not more and violation(target, limits, sectors) <= TOLERANCE:
        return target
    sets = _sets(limits, sectors) + more
    found = sets[0](target) if len(sets) == 1 else _dykstra(target, sets)
    return _scaled(found, limits, sectors)


def _sets(limits: LimitSettings, sectors: Sectors | None) -> list[Projection]:
    """Closed-form projections onto each limit that is set."""
    sets: list[Projection] = []
    gross, high, low = limits.gross_max, limits.net_max, limits.net_min
    if limits.sector_max is not None and sectors is not None:
        groups = [np.flatnonzero(sectors == name) for name in np.unique(sectors[sectors >= 0])]
        sets.append(lambda w, most=limits.sector_max: _by_sector(w, groups, most))  # type: ignore[misc]
    if gross is not None:
        sets.append(lambda w: l1_ball(w, gross))
    if high is not None or low is not None:
        top, bottom = np.inf if high is None else high, -np.inf if low is None else low
        sets.append(lambda w: w + (min(max(w.sum(), bottom), top) - w.sum()) / max(len(w), 1))
    if limits.long_only or limits.name_max is not None:
        most = np.inf if limits.name_max is None else limits.name_max
        least = 0.0 if limits.long_only else -most
        sets.append(lambda w: np.clip(w, least, most))
    return sets


def _by_sector(weights: Floats, groups: list[NDArray[np.int64]], most: float) -> Floats:
    found = weights.copy()
    for group in groups:
        found[group] = l1_ball(weights[group], most)
    return found


def _dykstra(target: Floats, sets: list[Projection]) -> Floats:
    """Boyle and Dykstra's alternating projections: each set sees the point without its own last correction."""
    point = target
    corrections = [np.zeros_like(target) for _ in sets]
    for _ in range(CYCLES):
        moved = 0.0
        for at, onto in enumerate(sets):
            from_here = point - corrections[at]
            point = onto(from_here)
            fresh = point - from_here
            moved += float(((fresh - corrections[at]) ** 2).sum())
            corrections[at] = fresh
        if moved <= TOLERANCE**2:
            break
    return point


def _scaled(weights: Floats, limits: LimitSettings, sectors: Sectors | None) -> Floats:
    """What is left above a limit after finitely many steps, removed; each step keeps what the ones before it did."""
    least = 0.0 if limits.long_only else -np.inf
    most = np.inf if limits.name_max is None else limits.name_max
    found = np.clip(weights, max(least, -most), most)
    if limits.sector_max is not None and sectors is not None and (sectors >= 0).any():
        known = sectors >= 0
        by_sector = np.bincount(sectors[known], np.abs(found[known]))
        found[known] *= (limits.sector_max / np.maximum(by_sector, limits.sector_max))[sectors[known]]
    # A net limit is met by the side that exceeds it, as scaling both would leave nothing of a limit at 0.
    long, short = float(found.clip(min=0.0).sum()), float(-found.clip(max=0.0).sum())
    if limits.net_max is not None and long - short > limits.net_max:
        found = np.where(found > 0.0, found * ((limits.net_max + short) / long), found)
    if limits.net_min is not None and long - short < limits.net_min:
        found = np.where(found < 0.0, found * ((long - limits.net_min) / short), found)
    total = float(np.abs(found).sum())
    if limits.gross_max is not None and total > limits.gross_max:
        found = found * (limits.gross_max / total)
    return found


def _check(target: Floats, limits: LimitSettings, sectors: Sectors | None, held: Floats | None) -> None:
    if target.ndim != 1 or not np.isfinite(target).all():
        raise DataError("target weights must be one row of finite numbers; use 0 for no position.")
    for name, values in (("sectors", sectors), ("held", held)):
        if values is not None and values.shape != target.shape:
            raise DataError(f"{len(target)} target weights need {name} of the same shape, got {values.shape}.")
    if held is not None and not np.isfinite(held).all():
        raise DataError("the weights held before the trade must be finite.")
    if limits.sector_max is not None and sectors is None:
        raise DataError("a sector limit needs each name's sector; give sectors, or leave sector_max out.")
