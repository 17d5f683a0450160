"""Trees: a leaf is a box of cells, and the Shapley values of a box have a closed form.

A row falls into a leaf if every cell that the path looks at lies within the leaf's bounds. Of a row x and a background
row b, let U be the path's cells of which only x's value lies within its bounds, and V those of which only b's does;
where neither does for some cell, no mixture of both arrives. In the game "cells of S from x, all others from b" the
leaf is reached by the S that hold all of U and none of V, so that with u = |U|, v = |V| its value a is shared out as

    each cell of U:  a (u-1)! v! / (u+v)!        each cell of V:  -a u! (v-1)! / (u+v)!

which is interventional TreeSHAP (Lundberg et al. 2020, Nature Machine Intelligence 2, algorithm 3), exact for every
pair of rows. Averaged over background rows it is the Shapley value of the game in which cells that are not in S are
drawn from the background.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from alfred.core.contracts import DIRECTION, Floats, Windows
from alfred.explain._parts import TREES, Parts, curve_ratio

Ints = NDArray[np.int64]


class TreeNumbers(Protocol):
    """Trees as `alfred.analysts` keeps them: (T, S) splits, (T, S + 1) leaves; a split leads to ~leaf where it ends."""

    @property
    def column(self) -> Ints:
        """Cell that a split looks at."""

    @property
    def threshold(self) -> Floats:
        """A row with at most this much goes left."""

    @property
    def left(self) -> Ints:
        """Next split."""

    @property
    def right(self) -> Ints:
        """Next split."""

    @property
    def leaf(self) -> Floats:
        """Values."""

    def sums(self, x: NDArray[Any]) -> Floats:
        """(N,) values of rows."""


@runtime_checkable
class TreeForm(Protocol):
    """mean = curve(base + sum of the leaves a row falls into)."""

    @property
    def trees(self) -> TreeNumbers:
        """Splits and leaves."""

    @property
    def base(self) -> float:
        """What a row begins with."""


@dataclass(frozen=True, eq=False)
class Boxes:
    """Leaves as boxes: row k holds at most D cells, of which a row must lie in (low, high].

    Attributes:
        cell: (K, D) position in the flattened window; -1 behind the last.
        low, high: (K, D) bounds.
        value: (K,) of the leaf.
    """

    cell: Ints
    low: Floats
    high: Floats
    value: Floats

    @classmethod
    def of(cls, trees: TreeNumbers) -> "Boxes":
        """All leaves of all trees that can be reached."""
        found: list[tuple[dict[int, tuple[float, float]], float]] = []
        for tree in range(len(trees.leaf)):
            stack: list[tuple[int, dict[int, tuple[float, float]]]] = [(0, {})]
            single = trees.left[tree, 0] == trees.right[tree, 0]
            while stack:
                at, bounds = stack.pop()
                if at < 0 or single:
                    found.append((bounds, float(trees.leaf[tree, 0 if single else ~at])))
                    continue
                cell, cut = int(trees.column[tree, at]), float(trees.threshold[tree, at])
                low, high = bounds.get(cell, (-np.inf, np.inf))
                if low < cut:
                    stack.append((int(trees.left[tree, at]), bounds | {cell: (low, min(high, cut))}))
                if cut < high:
                    stack.append((int(trees.right[tree, at]), bounds | {cell: (max(low, cut), high)}))
        depth = max((len(bounds) for bounds, _ in found), default=0) or 1
        boxes = cls(
            np.full((len(found), depth), -1),
            np.zeros((len(found), depth)),
            np.zeros((len(found), depth)),
            np.array([value for _, value in found]),
        )
        for row, (bounds, _) in enumerate(found):
            for at, (cell, (low, high)) in enumerate(bounds.items()):
                boxes.cell[row, at], boxes.low[row, at], boxes.high[row, at] = cell, low, high
        return boxes


def tree_parts(fitted: TreeForm, windows: Windows, background: Windows) -> Parts:
    """Exact values; for a direction, whose trees add up in log odds, by the rescale rule.

    Of each pair of rows the values in log odds are multiplied by the mean slope of the logistic function between both
    (Chen, Lundberg and Lee 2022, Nature Communications 13, propagate Shapley values through a series of models so).
    """
    x, b = (np.ascontiguousarray(part.x.reshape(len(part), -1)) for part in (windows, background))
    ratio = np.ones((len(x), len(b)))
    if windows.target == DIRECTION:
        score, others = (fitted.base + fitted.trees.sums(part) for part in (x, b))
        value, other_values = expit(score), expit(others)
        ratio = curve_ratio(score, value, others, other_values, value * (1 - value))
    boxes = Boxes.of(fitted.trees)
    values = np.zeros(x.shape)
    if len(boxes.value):
        own, theirs = (_within(part, boxes.cell, boxes.low, boxes.high) for part in (x, b))
        _share_out(own, theirs, ratio, boxes.cell, boxes.value, _shares(boxes.cell.shape[1]), values)
    return Parts.exact(TREES, values.reshape(len(windows), windows.quarters, len(windows.columns)))


def _shares(depth: int) -> Floats:
    """(u, v) to (u-1)! v! / (u+v)!, the share of a cell of U; that of V is the same with u and v exchanged."""
    table = np.zeros((depth + 1, depth + 1))
    for u in range(1, depth + 1):
        for v in range(depth + 1):
            table[u, v] = math.factorial(u - 1) * math.factorial(v) / math.factorial(u + v)
    return table


def _within_plain(x: NDArray[Any], cell: Ints, low: Floats, high: Floats) -> Ints:
    """(K, N) a bit for each of a box's cells: whether the row lies within its bounds."""
    bits = np.zeros((len(cell), len(x)), np.int64)
    for leaf in range(len(cell)):
        for at in range(cell.shape[1]):
            if cell[leaf, at] >= 0:
                for row in range(len(x)):
                    number = x[row, cell[leaf, at]]
                    if low[leaf, at] < number <= high[leaf, at]:
                        bits[leaf, row] |= 1 << at
    return bits


def _share_out_plain(  # noqa: PLR0917 - compiled, it takes arrays, not the dataclass
    own: Ints, theirs: Ints, ratio: Floats, cell: Ints, value: Floats, shares: Floats, out: Floats
) -> None:
    rows, others, depth = own.shape[1], theirs.shape[1], cell.shape[1]
    for leaf in range(len(value)):
        whole = 0
        for at in range(depth):
            whole |= (cell[leaf, at] >= 0) << at
        for row in range(rows):
            for other in range(others):
                mine, other_bits = own[leaf, row], theirs[leaf, other]
                if mine | other_bits != whole or mine == other_bits:
                    continue
                only_x, only_b = mine & ~other_bits, other_bits & ~mine
                u = v = 0
                for at in range(depth):
                    u += (only_x >> at) & 1
                    v += (only_b >> at) & 1
                unit = value[leaf] * ratio[row, other] / others
                for at in range(depth):
                    if (only_x >> at) & 1:
                        out[row, cell[leaf, at]] += unit * shares[u, v]
                    elif (only_b >> at) & 1:
                        out[row, cell[leaf, at]] -= unit * shares[v, u]


_within: Callable[..., Ints] = numba.njit(cache=True)(_within_plain)
_share_out: Callable[..., None] = numba.njit(cache=True)(_share_out_plain)
