"""Compiled: sketches of texts by which their likeness is estimated, and who tells a story first.

A text is the set of its runs of SHINGLE words. The likeness of two texts is the Jaccard index of their sets, and the
share of equal numbers in two sketches estimates it without bias, with a standard error of at most 0.5 / sqrt(SIZE)
(Broder 1997, On the resemblance and containment of documents).
"""

from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from alfred.core.contracts import Floats

SIZE = 128
SHINGLE = 3
EMPTY = np.uint32(2**32 - 1)
"""All numbers of the sketch of a text without a word."""

Numbers = NDArray[np.uint32]
Sketches = NDArray[np.uint32]
Positions = NDArray[np.int64]

Function = TypeVar("Function", bound=Callable[..., object])


def _compiled(function: Function) -> Function:
    return cast("Function", numba.njit(cache=True, nogil=True)(function))


def factors() -> tuple[Numbers, Numbers]:
    """(SIZE,) odd multipliers and addends, always the same: a * x + b modulo 2^32 is a permutation of all x (Bohman,
    Cooper and Frieze 2000, Min-wise independent linear permutations)."""
    drawn = np.random.default_rng(19_970_611).integers(0, 2**32, (2, SIZE), np.uint32)
    return drawn[0] | np.uint32(1), drawn[1]


@_compiled
def sketches(text: NDArray[np.uint8], offsets: Positions, times: Numbers, plus: Numbers) -> Sketches:
    """(N, SIZE) sketches of texts.

    Args:
        text: bytes of all texts in UTF-8, one after another; letters and figures of ASCII and all else beyond it make
            words, and case does not count in ASCII.
        offsets: (N + 1,) where each text begins.
        times, plus: of `factors`.
    """
    found = np.full((len(offsets) - 1, len(times)), EMPTY, np.uint32)
    for row in range(len(offsets) - 1):
        before, last, words = np.uint64(0), np.uint64(0), 0
        at, end = offsets[row], offsets[row + 1]
        while at < end:
            letter = _letter(text[at])
            if letter == 0:
                at += 1
                continue
            word = np.uint64(14695981039346656037)  # FNV-1a
            while letter:
                word = (word ^ np.uint64(letter)) * np.uint64(1099511628211)
                at += 1
                letter = _letter(text[at]) if at < end else 0
            words += 1
            run = _mixed(_mixed(before) + last) + word
            before, last = last, word
            if words >= SHINGLE:
                _lower(found[row], _mixed(run), times, plus)
        if 0 < words < SHINGLE:
            _lower(found[row], _mixed(_mixed(before) + last), times, plus)
    return found


@_compiled
def _letter(byte: int) -> int:
    """The byte in small letters; 0 for what parts words."""
    if 97 <= byte <= 122 or 48 <= byte <= 57 or byte >= 128:
        return byte
    return byte + 32 if 65 <= byte <= 90 else 0


@_compiled
def _mixed(x: np.uint64) -> np.uint64:
    """A number whose bits all depend on all bits of `x` (the finaliser of MurmurHash3, by Appleby)."""
    x = (x ^ (x >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    x = (x ^ (x >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return x ^ (x >> np.uint64(33))


@_compiled
def _lower(sketch: NDArray[np.uint32], run: np.uint64, times: Numbers, plus: Numbers) -> None:
    x = np.uint32(run >> np.uint64(32))
    for at in range(len(sketch)):
        number = np.uint32(times[at] * x + plus[at])
        sketch[at] = min(sketch[at], number)


@_compiled
def first_copies(
    sketch: Sketches, company: Positions, known: Positions, least: float, days: tuple[int, int]
) -> tuple[Positions, Floats]:
    """Which text first told what each text tells, and how like it is to other, earlier ones.

    Only texts before it decide about a text, and of those only first copies, so that stories do not drift.

    Args:
        sketch: (N, SIZE), sorted by company and then by the time that they became known.
        company, known: (N,) numbers that tell companies apart, and microseconds.
        least: likeness from which a text is a copy of the first.
        days: in microseconds, how long after a first copy another may come, and how long a text is remembered.

    Returns:
        (N,) position of the first copy, its own for a first one; and (N,) the largest likeness of a first copy to
        other first copies remembered. The latter is NaN for copies and where no earlier text is remembered.
    """
    count, size = sketch.shape
    window, memory = days
    first, likeness = np.empty(count, np.int64), np.full(count, np.nan)
    leaders = np.empty(count, np.int64)
    many, oldest = 0, 0
    for row in range(count):
        if row == 0 or company[row] != company[row - 1]:
            many, oldest = 0, 0
        while oldest < many and known[row] - known[leaders[oldest]] > memory:
            oldest += 1
        first[row] = row
        if sketch[row, 0] == EMPTY and sketch[row, -1] == EMPTY:
            continue
        best, nearest = 0.0, -1.0
        for at in range(oldest, many):
            leader = leaders[at]
            equal = 0
            for number in range(size):
                equal += sketch[row, number] == sketch[leader, number]
            share = equal / size
            nearest = max(nearest, share)
            if share >= least and share > best and known[row] - known[leader] <= window:
                best, first[row] = share, leader
        if first[row] == row:
            likeness[row] = nearest if nearest >= 0 else np.nan
            leaders[many] = row
            many += 1
    return first, likeness
