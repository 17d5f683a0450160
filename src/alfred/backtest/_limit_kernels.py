"""Compiled projections of target weights onto limits; `limits` says what they are and gives their sources.

A limit that is not set is infinite. S names; a name's sector is 0 to K - 1, or below 0 for none.
"""

import numpy as np
from numpy.typing import NDArray

from alfred.backtest._compiled import compiled
from alfred.core.contracts import Floats

Sectors = NDArray[np.int64]
Rows = NDArray[np.int64]
Limits = tuple[bool, float, float, float, float, float, float]
"""Long-only, then the most of gross, the least and most of net, the most of a name, a sector and the turnover."""
Box = tuple[float, float, float]
"""The least and most of a name, and the most of gross."""
Problem = tuple[Floats, Limits, Sectors]
"""(S,) weights held before the trade, limits, and (S,) sectors."""
Accounts = tuple[Rows, Floats, Floats, Floats]
"""(B,) rebalancings, (B,) cash, (B, S) shares, (B, S) targets."""
Fills = tuple[Floats, Floats, Limits, Sectors]
"""(D + 1, S) marks, (D, S) largest orders, limits, and (S,) sectors."""

TOLERANCE = 1e-12
"""Weights within this of a limit satisfy it."""
CYCLES = 2000
"""Most passes over all limits; what they leave above a limit is scaled away."""
SHIFTS = 200
"""Enough to find a root by halving alone; Newton's steps need about five."""
ROUNDING = 1e-15
"""Share of the largest weight below which a root is found."""
SIMPLE, SECTOR, TURNOVER = 0, 1, 2


@compiled
def violation(weights: Floats, limits: Limits, sectors: Sectors) -> float:
    """By how much the worst limit, turnover aside, is exceeded; 0 where all hold."""
    long_only, gross_max, net_min, net_max, name_max, sector_max, _ = limits
    gross, net, over = 0.0, 0.0, 0.0
    for weight in weights:
        gross, net, over = gross + abs(weight), net + weight, max(over, abs(weight) - name_max)
        if long_only:
            over = max(over, -weight)
    over = max(over, gross - gross_max, net - net_max, net_min - net)
    if sector_max < np.inf:
        for total in _by_sector(weights, sectors):
            over = max(over, total - sector_max)
    return over


@compiled
def _by_sector(weights: Floats, sectors: Sectors) -> Floats:
    """(K,) sums of absolute weights."""
    totals = np.zeros(_count(sectors))
    for name in range(len(weights)):
        if sectors[name] >= 0:
            totals[sectors[name]] += abs(weights[name])
    return totals


@compiled
def _count(sectors: Sectors) -> int:
    most = -1
    for sector in sectors:
        most = max(most, sector)
    return most + 1


@compiled
def soften(weights: Floats, radius: float, found: Floats) -> None:
    """The nearest weights whose absolute values sum to at most `radius`: soft thresholds, exact.

    Michelot (1986, "A finite algorithm for finding the projection of a point onto the canonical simplex of R^n"): the
    threshold that names above it ask for rises until it leaves none of them below.
    """
    threshold, total, count = 0.0, 0.0, 0
    for weight in weights:
        total += abs(weight)
    rises = total > radius
    while rises:
        total, count = 0.0, 0
        for weight in weights:
            if abs(weight) > threshold:
                total, count = total + abs(weight), count + 1
        following = (total - radius) / count if count else 0.0
        rises = following > threshold
        threshold = max(following, threshold)
    for name in range(len(weights)):
        size = max(abs(weights[name]) - threshold, 0.0)
        found[name] = weights[name] if threshold == 0.0 else np.copysign(size, weights[name])


@compiled
def _soften_sectors(weights: Floats, radius: float, sectors: Sectors, found: Floats) -> None:
    """As `soften` in every sector; a pass is over all of them."""
    totals = _by_sector(weights, sectors)
    thresholds, counts, rises = np.zeros(len(totals)), np.zeros(len(totals)), totals > radius
    while rises.any():
        totals[:], counts[:] = 0.0, 0.0
        for name in range(len(weights)):
            sector, size = sectors[name], abs(weights[name])
            if sector >= 0 and size > thresholds[sector]:
                totals[sector], counts[sector] = totals[sector] + size, counts[sector] + 1.0
        for sector in range(len(totals)):
            following = (totals[sector] - radius) / counts[sector] if counts[sector] else 0.0
            rises[sector] = rises[sector] and following > thresholds[sector]
            if rises[sector]:
                thresholds[sector] = following
    for name in range(len(weights)):
        threshold = thresholds[sectors[name]] if sectors[name] >= 0 else 0.0
        size = max(abs(weights[name]) - threshold, 0.0)
        found[name] = weights[name] if threshold == 0.0 else np.copysign(size, weights[name])


@compiled
def _softened(weight: float, threshold: float, least: float, most: float) -> float:
    size = max(abs(weight) - threshold, 0.0)
    return min(max(size if weight > 0.0 else -size, least), most)


@compiled
def _thresholded(weights: Floats, shift: float, box: Box) -> tuple[float, float, float]:
    """The threshold at which weights less `shift`, softened and clipped, keep to the gross limit; their sum then, and
    its slope in `shift`.

    The gross falls with the threshold, piecewise linear: Newton's steps, halved where they leave the bracket.
    """
    least, most, gross_max = box
    low, high, threshold, net, slope = 0.0, np.inf, 0.0, 0.0, 0.0
    for _ in range(SHIFTS):
        gross, net, free, signs, top = 0.0, 0.0, 0.0, 0.0, 0.0
        for weight in weights:
            moved = weight - shift
            found = _softened(moved, threshold, least, most)
            gross, net, top = gross + abs(found), net + found, max(top, abs(moved))
            if found != 0.0 and least < found < most:
                free, signs = free + 1.0, signs + (1.0 if found > 0.0 else -1.0)
        slope = -free if threshold == 0.0 or free == 0.0 else signs * signs / free - free
        if threshold == 0.0 and gross <= gross_max:
            break
        high = min(high, top)
        if gross > gross_max:
            low = threshold
        else:
            high = threshold
        following = threshold + (gross - gross_max) / free if free else 0.5 * (low + high)
        if abs(following - threshold) <= ROUNDING * top:
            break
        # Not the ends again: between caps and zeros the steps could go to and fro between them.
        threshold = following if low < following < high else 0.5 * (low + high)
    return threshold, net, slope


@compiled
def _onto_simple(weights: Floats, limits: Limits, found: Floats) -> None:
    """The nearest weights within the limits of single names, gross and net at once, exact.

    Their conditions of optimality are two numbers: one is taken off all weights for the net limit, the other softens
    them for the gross limit, and the result is clipped. The net falls with the first, piecewise linear.
    """
    long_only, gross_max, net_min, net_max, name_max, _, _ = limits
    least = 0.0 if long_only else -name_max
    if long_only:
        net_max, gross_max = min(net_max, gross_max), np.inf
    box, shift = (least, name_max, gross_max), 0.0
    threshold, net, slope = _thresholded(weights, shift, box)
    if not net_min <= net <= net_max:
        bound = min(max(net, net_min), net_max)
        low, high = (0.0, max(weights.max(), 0.0)) if net > bound else (min(weights.min(), 0.0), 0.0)
        scale = max(high, -low)
        for _ in range(SHIFTS):
            if net > bound:
                low = shift
            else:
                high = shift
            following = shift + (bound - net) / slope if slope < 0.0 else 0.5 * (low + high)
            if abs(following - shift) <= ROUNDING * scale:
                break
            shift = following if low < following < high else 0.5 * (low + high)
            threshold, net, slope = _thresholded(weights, shift, box)
    for name in range(len(weights)):
        found[name] = _softened(weights[name] - shift, threshold, least, name_max)


@compiled
def _onto(kind: int, weights: Floats, problem: Problem, found: Floats) -> None:
    """The nearest weights within limits of one kind."""
    held, limits, sectors = problem
    if kind == SIMPLE:
        _onto_simple(weights, limits, found)
    elif kind == SECTOR:
        _soften_sectors(weights, limits[5], sectors, found)
    else:
        soften(weights - held, limits[6], found)
        found += held


@compiled
def _dykstra(target: Floats, kinds: Sectors, problem: Problem, found: Floats) -> None:
    """Boyle and Dykstra's alternating projections: each set sees the point without its own last correction."""
    corrections, from_here = np.zeros((len(kinds), len(target))), np.empty_like(target)
    found[:] = target
    for _ in range(CYCLES):
        moved = 0.0
        for at in range(len(kinds)):
            own = corrections[at]
            for name in range(len(target)):
                from_here[name] = found[name] - own[name]
            _onto(kinds[at], from_here, problem, found)
            for name in range(len(target)):
                fresh = found[name] - from_here[name]
                moved += (fresh - own[name]) ** 2
                own[name] = fresh
        if moved <= TOLERANCE**2:
            break


@compiled
def _within(target: Floats, problem: Problem, turning: bool, found: Floats) -> None:
    """The projection onto all limits, turnover only where `turning`, by which it may end a little outside."""
    _, limits, sectors = problem
    if not turning and violation(target, limits, sectors) <= TOLERANCE:
        found[:] = target
        return
    simple = limits[0] or limits[2] > -np.inf or min(limits[1], limits[3], limits[4]) < np.inf
    kinds, count = np.empty(3, np.int64), 0
    for kind, there in ((SECTOR, limits[5] < np.inf), (SIMPLE, simple), (TURNOVER, turning)):
        if there:
            kinds[count], count = kind, count + 1
    if count == 1:
        _onto(kinds[0], target, problem, found)
    else:
        _dykstra(target, kinds[:count], problem, found)
    _scale(found, limits, sectors)


@compiled
def _scale(found: Floats, limits: Limits, sectors: Sectors) -> None:
    """What is left above a limit after finitely many steps, removed; each step keeps what the ones before it did."""
    long_only, gross_max, net_min, net_max, name_max, sector_max, _ = limits
    least = 0.0 if long_only else -name_max
    for name in range(len(found)):
        found[name] = min(max(found[name], least), name_max)
    if sector_max < np.inf:
        totals = _by_sector(found, sectors)
        for name in range(len(found)):
            if sectors[name] >= 0 and totals[sectors[name]] > sector_max:
                found[name] *= sector_max / totals[sectors[name]]
    # A net limit is met by the side that exceeds it, as scaling both would leave nothing of a limit at 0.
    long, short = 0.0, 0.0
    for weight in found:
        long, short = long + max(weight, 0.0), short + max(-weight, 0.0)
    for name in range(len(found)):
        if found[name] > 0.0 and long - short > net_max:
            found[name] *= (net_max + short) / long
        elif found[name] < 0.0 and long - short < net_min:
            found[name] *= (long - net_min) / short
    total = np.abs(found).sum()
    if total > gross_max:
        found *= gross_max / total


@compiled
def project(target: Floats, problem: Problem, found: Floats) -> bool:
    """The nearest weights within the limits; whether they are the target itself."""
    held, limits, sectors = problem
    most = limits[6]
    fits, turned = violation(target, limits, sectors) <= TOLERANCE, np.abs(target - held).sum()
    if fits and turned <= most + TOLERANCE:
        found[:] = target
        return True
    if most == np.inf:
        _within(target, problem, False, found)
        return False
    base = np.empty_like(target)
    _within(held, problem, False, base)
    needed = np.abs(base - held).sum()
    if needed >= most:
        found[:] = base
        return False
    _within(target, problem, True, found)
    turned = np.abs(found - held).sum()
    if turned > most:
        # Turnover is convex along the way from `base`, where it is below the limit, so this share of it is within.
        share = (most - needed) / (turned - needed)
        found[:] = base + share * (found - base)
    return False


@compiled
def allow_block(block: tuple[int, int], accounts: Accounts, fills: Fills, found: Floats) -> None:
    """Bring the targets of some accounts within limits, as `realistic.allowed` says."""
    (at, cash, shares, target), (mark, most, limits, sectors) = accounts, fills
    names = shares.shape[1]
    place, wanted, held, nearest = np.empty(names, np.int64), np.empty(names), np.empty(names), np.empty(names)
    own = np.empty(names, np.int64)
    for account in range(block[0], block[1]):
        period, worth, count = at[account], cash[account], 0
        for name in range(names):
            worth += shares[account, name] * mark[period, name]
        found[account] = 0.0
        if not worth > 0.0:
            continue
        for name in range(names):
            if most[period, name] > 0.0 and (target[account, name] != 0.0 or shares[account, name] != 0.0):
                wanted[count], own[count] = target[account, name], sectors[name]
                held[count], place[count] = shares[account, name] * mark[period, name] / worth, name
                count += 1
        project(wanted[:count], (held[:count], limits, own[:count]), nearest[:count])
        for name in range(count):
            found[account, place[name]] = nearest[name]
