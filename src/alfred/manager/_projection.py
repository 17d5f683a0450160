"""Target weights brought within limits, many accounts at once, with a gradient: the torch twin of `backtest.limits`.

The set that limits allow is a polyhedron, so the nearest point in it moves, where it moves smoothly, as the projection
onto the face it lies on: names at a bound stay, and the others move along the limits that bind. That is the derivative
given here, whichever way the point was found; where a target lies within the limits it is the identity. On the CPU the
point is the compiled projection's. Elsewhere it is exact for any of long-only, gross and a name's cap (thresholds by
sorting, Duchi et al., 2008, ICML), and by Dykstra's alternating projections for the others.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from alfred.backtest._limit_kernels import CYCLES, TOLERANCE
from alfred.backtest.settings import LimitSettings

BINDS = 1e-9
"""Weights this near to a limit lie on it."""
Onto = Callable[[Tensor], Tensor]


class Bounds(NamedTuple):
    """What weights may be.

    Attributes:
        limits: the settings.
        sectors: (S,) sector numbers from 0 without gaps, -1 for none.
        active: (B, S) names that take part; the others stay 0.
    """

    limits: LimitSettings
    sectors: Tensor
    active: Tensor


def nearest(target: Tensor, held: Tensor, bounds: Bounds, found: Tensor | None = None) -> Tensor:
    """(B, S) the nearest weights within the limits; `target` itself where it is.

    Args:
        target: (B, S), 0 where not active.
        held: (B, S) weights before the trade.
        bounds: what weights may be.
        found: (B, S) the answer, where the compiled projection has given it, so that only its derivative is wanted.
    """
    if bounds.limits == LimitSettings():
        return target
    held = torch.where(bounds.active, held, 0.0)
    if found is None:
        with torch.no_grad():
            found = _turned(target, held, bounds)
    if not (torch.is_grad_enabled() and (target.requires_grad or held.requires_grad)):
        return found
    moved: Tensor = _Face.apply(target, held, found, bounds)  # type: ignore[no-untyped-call]
    return moved


class _Face(torch.autograd.Function):
    """Gives the point that was found, and the derivative on the face it lies on."""

    @staticmethod
    def forward(ctx: Any, target: Tensor, held: Tensor, found: Tensor, bounds: Bounds) -> Tensor:
        ctx.save_for_backward(target, held, found, bounds.active)
        ctx.limits, ctx.sectors = bounds.limits, bounds.sectors
        return found.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        target, held, found, active = ctx.saved_tensors
        bounds = Bounds(ctx.limits, ctx.sectors, active)
        return *_on_face(upstream, (target, held, found), bounds), None, None


def _on_face(upstream: Tensor, points: tuple[Tensor, Tensor, Tensor], bounds: Bounds) -> tuple[Tensor, Tensor]:
    """(B, S) gradients by target and by the weights held; `points` are those two and what was found."""
    (target, held, found), (limits, sectors, active) = points, bounds
    inside = (found == target).all(dim=1, keepdim=True)
    change, size, sign = found - held, found.abs(), found.sign()
    fixed, rows, binds = ~active, [], []
    tight = size <= BINDS if limits.long_only else torch.zeros_like(active)
    if limits.name_max is not None:
        fixed = fixed | (size >= limits.name_max - BINDS)
    if limits.gross_max is not None:
        bound = size.sum(dim=1, keepdim=True) >= limits.gross_max - BINDS
        tight = tight | (bound & (size <= BINDS))
        rows.append(sign)
        binds.append(bound)
    if limits.sector_max is not None:
        for name in torch.unique(sectors[sectors >= 0]).tolist():
            own = (sectors == name).expand_as(found)
            bound = torch.where(own, size, 0.0).sum(dim=1, keepdim=True) >= limits.sector_max - BINDS
            tight = tight | (bound & own & (size <= BINDS))
            rows.append(torch.where(own, sign, 0.0))
            binds.append(bound)
    net = found.sum(dim=1, keepdim=True)
    for limit in (limits.net_min, limits.net_max):
        if limit is not None:
            rows.append(torch.ones_like(found))
            binds.append((net - limit).abs() <= BINDS)
    fixed, kept, back = fixed | tight, torch.zeros_like(active), torch.zeros_like(inside)
    if limits.turnover_max is not None:
        turned = change.abs().sum(dim=1, keepdim=True)
        bound = (turned - limits.turnover_max).abs() <= BINDS
        back = (turned > limits.turnover_max + BINDS) & ~inside
        kept = bound & ~fixed & (change.abs() <= BINDS)
        rows.append(change.sign())
        binds.append(bound)
    free = ~(fixed | kept)
    if not rows:
        return torch.where(inside | free, upstream, 0.0), torch.zeros_like(upstream)
    every = torch.stack([torch.where(bound, row, 0.0) for row, bound in zip(rows, binds, strict=True)], dim=1)
    along = every * free[:, None]
    shares = _solve(along @ along.mT, (along * upstream[:, None]).sum(dim=2))
    pushed = torch.where(free, upstream - (along.mT @ shares[..., None])[..., 0], 0.0)
    by_target = torch.where(inside, upstream, torch.where(back, 0.0, pushed))
    if limits.turnover_max is None:
        return by_target, torch.zeros_like(upstream)
    others = (every[:, :-1].mT @ shares[:, :-1, None])[..., 0]
    drawn = torch.where(kept, upstream - others, every[:, -1] * shares[:, -1:])
    return by_target, torch.where(inside, 0.0, torch.where(back, pushed, drawn))


def _solve(products: Tensor, sides: Tensor) -> Tensor:
    """(B, m) least-squares multipliers of m limits, 0 where none binds."""
    if products.shape[1] == 1:
        scale = products[:, 0]
        return torch.where(scale > 0.0, sides / torch.where(scale > 0.0, scale, 1.0), 0.0)
    found: Tensor = (torch.linalg.pinv(products, hermitian=True) @ sides[..., None])[..., 0]
    return found


def _turned(target: Tensor, held: Tensor, bounds: Bounds) -> Tensor:
    """As `limits.project`: the turnover limit beside the others, which go first."""
    most = bounds.limits.turnover_max
    if most is None:
        return _within(target, bounds, [])
    allowed = (target - held).abs().sum(dim=1, keepdim=True) <= most + TOLERANCE
    allowed &= _violation(target, bounds) <= TOLERANCE
    base = _within(held, bounds, [])
    needed = (base - held).abs().sum(dim=1, keepdim=True)
    wanted = _within(target, bounds, [lambda w: held + shrink(w - held, most)])
    turned = (wanted - held).abs().sum(dim=1, keepdim=True)
    share = ((most - needed) / (turned - needed)).nan_to_num(1.0).clamp(0.0, 1.0)
    mixed = torch.where(turned <= most, wanted, base + share * (wanted - base))
    return torch.where(allowed, target, torch.where(needed >= most, base, mixed))


def _within(target: Tensor, bounds: Bounds, more: list[Onto]) -> Tensor:
    limits, within = bounds.limits, (_violation(target, bounds) <= TOLERANCE) & (not more)
    both = [most for most in (limits.gross_max, limits.net_max) if most is not None]
    one_sum = limits.long_only or (limits.net_max is None and limits.net_min is None)
    if one_sum and limits.sector_max is None and not more:
        # Of weights that are not negative, the sum is gross and net exposure.
        inner = target.clamp(min=0.0) if limits.long_only else target
        found = shrink(inner, min(both) if both else None, limits.name_max)
    else:
        sets = _sets(bounds) + more
        found = sets[0](target) if len(sets) == 1 else _dykstra(target, sets)
    return torch.where(within, target, _scaled(found, bounds))


def _violation(weights: Tensor, bounds: Bounds) -> Tensor:
    """(B, 1) by how much the worst limit, turnover aside, is exceeded."""
    limits, sectors, _ = bounds
    size, net = weights.abs(), weights.sum(dim=1)
    over = [torch.zeros_like(net)]
    if limits.long_only:
        over.append(-weights.min(dim=1).values)
    if limits.name_max is not None:
        over.append(size.max(dim=1).values - limits.name_max)
    if limits.gross_max is not None:
        over.append(size.sum(dim=1) - limits.gross_max)
    if limits.net_max is not None:
        over.append(net - limits.net_max)
    if limits.net_min is not None:
        over.append(limits.net_min - net)
    if limits.sector_max is not None:
        over.append((_by_sector(size, sectors) - limits.sector_max).max(dim=1).values)
    return torch.stack(over).max(dim=0).values[:, None]


def _by_sector(size: Tensor, sectors: Tensor) -> Tensor:
    """(B, sectors) sums; the last one, 0, is for names without a sector."""
    sums = size.new_zeros(len(size), int(sectors.max()) + 2)
    known = sectors >= 0
    return sums.index_add_(1, sectors[known], size[:, known])


def shrink(weights: Tensor, radius: float | None, cap: float | None = None) -> Tensor:
    """(B, S) the nearest weights of at most `cap` each and `radius` together, regardless of sign; exact."""
    size, most = weights.abs(), float("inf") if cap is None else cap
    capped = size.clamp(max=most)
    if radius is None:
        return weights.sign() * capped
    points, slopes = size, torch.ones_like(size)
    if cap is not None:
        points, slopes = torch.cat([points, size - cap], dim=1), torch.cat([slopes, -slopes], dim=1)
    points, order = points.sort(dim=1, descending=True)
    slopes = slopes.gather(1, order).cumsum(dim=1)
    # The sum of all weights as the threshold falls from one point to the next.
    sums = torch.cat([torch.zeros_like(size[:, :1]), slopes[:, :-1] * -points.diff(dim=1)], dim=1).cumsum(dim=1)
    at = (sums < radius).sum(dim=1, keepdim=True) - 1
    threshold = points.gather(1, at) - (radius - sums.gather(1, at)) / slopes.gather(1, at).clamp(min=1.0)
    soft = (size - threshold).clamp(min=0.0).clamp(max=most)
    return weights.sign() * torch.where(capped.sum(dim=1, keepdim=True) <= radius, capped, soft)


def _sets(bounds: Bounds) -> list[Onto]:
    """Closed-form projections onto each limit that is set, as `limits` has them."""
    limits, sectors, active = bounds
    sets: list[Onto] = []
    gross, cap = limits.gross_max, limits.name_max
    if limits.sector_max is not None:
        sets.append(lambda w, most=limits.sector_max: _of_sectors(w, sectors, most))  # type: ignore[misc]
    if gross is not None:
        sets.append(lambda w: shrink(w, gross))
    if limits.net_max is not None or limits.net_min is not None:
        count = active.sum(dim=1, keepdim=True).clamp(min=1)

        def shifted(w: Tensor) -> Tensor:
            net = w.sum(dim=1, keepdim=True)
            return torch.where(active, w + (net.clamp(limits.net_min, limits.net_max) - net) / count, 0.0)

        sets.append(shifted)
    if limits.long_only or cap is not None:
        least = 0.0 if limits.long_only else -(cap or 0.0)
        sets.append(lambda w: w.clamp(least, cap))
    return sets


def _of_sectors(weights: Tensor, sectors: Tensor, most: float) -> Tensor:
    found = weights.clone()
    for name in torch.unique(sectors[sectors >= 0]).tolist():
        own = sectors == name
        found[:, own] = shrink(weights[:, own], most)
    return found


def _dykstra(target: Tensor, sets: list[Onto]) -> Tensor:
    """Boyle and Dykstra's alternating projections, until all accounts have converged."""
    point, corrections = target, [torch.zeros_like(target) for _ in sets]
    for _ in range(CYCLES):
        moved = torch.zeros_like(target[:, 0])
        for at, onto in enumerate(sets):
            from_here = point - corrections[at]
            point = onto(from_here)
            fresh = point - from_here
            moved = moved + ((fresh - corrections[at]) ** 2).sum(dim=1)
            corrections[at] = fresh
        if bool((moved <= TOLERANCE**2).all()):
            break
    return point


def _scaled(weights: Tensor, bounds: Bounds) -> Tensor:
    """What is left above a limit, removed in the order of `limits`."""
    limits, sectors, _ = bounds
    most = limits.name_max
    least = 0.0 if limits.long_only else (None if most is None else -most)
    found = weights if most is None and least is None else weights.clamp(least, most)
    if limits.sector_max is not None:
        sums = _by_sector(found.abs(), sectors)
        share = limits.sector_max / sums.clamp(min=limits.sector_max)
        found = found * share[:, sectors]
    long, short = found.clamp(min=0.0).sum(dim=1, keepdim=True), -found.clamp(max=0.0).sum(dim=1, keepdim=True)
    if limits.net_max is not None:
        share = ((limits.net_max + short) / long.clamp(min=1e-300)).clamp(max=1.0)
        found = torch.where(found > 0.0, found * share, found)
        long = long * share
    if limits.net_min is not None:
        share = ((long - limits.net_min) / short.clamp(min=1e-300)).clamp(max=1.0)
        found = torch.where(found < 0.0, found * share, found)
    if limits.gross_max is not None:
        total = found.abs().sum(dim=1, keepdim=True)
        found = found * (limits.gross_max / total.clamp(min=limits.gross_max))
    return found
