"""Regression trees as plain numbers: read from LightGBM once, forecast, checked when read back.

LightGBM's own text is not kept: its parser takes a damaged model for granted, and then crashes, reads foreign memory or
never returns. Numbers can be checked, and forecast without the library.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numba
import numpy as np
from numpy.typing import NDArray

from alfred.core.contracts import Floats
from alfred.core.errors import DataError

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Trees:
    """A row's value is the sum of the leaves it falls into, one a tree.

    Attributes:
        column: (T, S) position of the number that a split looks at.
        threshold: (T, S); a row with at most this much goes left.
        left, right: (T, S) the split that comes next, or ~leaf where a leaf does. A split that a tree lacks leads to
            its first leaf.
        leaf: (T, S + 1) values.
    """

    column: Ints
    threshold: Floats
    left: Ints
    right: Ints
    leaf: Floats

    @classmethod
    def empty(cls, trees: int, leaves: int) -> Self:
        """Trees of one leaf, which is 0."""
        shape = (trees, leaves - 1)
        first = np.full(shape, -1, np.int64)
        return cls(np.zeros(shape, np.int64), np.zeros(shape), first, first.copy(), np.zeros((trees, leaves)))

    @classmethod
    def of_text(cls, text: str, trees: int, leaves: int) -> Self:
        """The first `trees` of a LightGBM model's text, which tells every number to the last bit.

        Args:
            text: what `Booster.model_to_string` has just given, learnt with use_missing=False, from numbers alone.
            trees: how many to read.
            leaves: most leaves of one.
        """
        found = cls.empty(trees, leaves)
        for at, block in enumerate(text.split("\nTree=")[1 : trees + 1]):
            lines = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
            words = {name: lines.get(key, "").split() for name, key in _KEYS.items()}
            splits = int(lines["num_leaves"]) - 1
            found.leaf[at, : splits + 1] = [float(word) for word in words["leaf"]]
            found.threshold[at, :splits] = [float(word) for word in words["threshold"]]
            for name in ("column", "left", "right"):
                getattr(found, name)[at, :splits] = [int(word) for word in words[name]]
        return found

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, NDArray[Any]], columns: int) -> Self:
        """What `tensors` gave.

        Raises:
            DataError: a split looks at a column that is not there, or leads back or nowhere.
        """
        numbers = {name: tensors[name].astype(np.float64) for name in _KEYS}
        splits = numbers["column"].shape[1]
        above = np.arange(splits)
        fits = [(numbers["column"] >= 0) & (numbers["column"] < columns)]
        # Only ever on to a later split, so that every row arrives at a leaf.
        fits += [
            (side < splits) & ((side > above) | (side < 0)) & (side >= -splits - 1)
            for side in (numbers["left"], numbers["right"])
        ]
        whole = [numbers[name] == np.floor(numbers[name]) for name in ("column", "left", "right")]
        if not all(test.all() for test in (*fits, *whole)):
            raise DataError(f"the saved trees are none of {columns} columns and {splits} splits; they were changed.")
        column, left, right = (numbers[name].astype(np.int64) for name in ("column", "left", "right"))
        return cls(column, numbers["threshold"], left, right, numbers["leaf"])

    def tensors(self) -> dict[str, Floats]:
        """Everything as floats, by name."""
        return {name: getattr(self, name).astype(np.float64) for name in _KEYS}

    @staticmethod
    def shapes(trees: int, leaves: int) -> dict[str, tuple[int, int]]:
        """Shapes of `tensors`."""
        return {name: (trees, leaves if name == "leaf" else leaves - 1) for name in _KEYS}

    @property
    def parameters(self) -> int:
        """Splits and leaves' values that were learnt."""
        splits = int(sum(_splits(left, right) for left, right in zip(self.left, self.right, strict=True)))
        return 2 * splits + len(self.leaf)

    def sums(self, x: NDArray[Any]) -> Floats:
        """(N,) values of rows x (N, P); each row is added up by itself, in the order of the trees."""
        return _sums(np.ascontiguousarray(x), self.column, self.threshold, self.left, self.right, self.leaf)


_KEYS = {
    "column": "split_feature",
    "threshold": "threshold",
    "left": "left_child",
    "right": "right_child",
    "leaf": "leaf_value",
}


def _splits(left: Sequence[int], right: Sequence[int]) -> int:
    """How many splits a tree has: those that do not lead to one leaf on both sides."""
    return sum(a != b for a, b in zip(left, right, strict=True))


def _sums_plain(  # noqa: PLR0917 - compiled, it takes arrays, not the dataclass
    x: NDArray[Any], column: Ints, threshold: Floats, left: Ints, right: Ints, leaf: Floats
) -> Floats:
    totals = np.zeros(len(x))
    for row in range(len(x)):
        for tree in range(len(leaf)):
            at = 0
            while at >= 0:
                on_the_left = x[row, column[tree, at]] <= threshold[tree, at]
                at = left[tree, at] if on_the_left else right[tree, at]
            totals[row] += leaf[tree, ~at]
    return totals


_sums: Callable[[NDArray[Any], Ints, Floats, Ints, Ints, Floats], Floats] = numba.njit(cache=True)(_sums_plain)
