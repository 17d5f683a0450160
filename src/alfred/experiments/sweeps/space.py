"""Points of a search space: all of them, or drawn so that the n-th draw depends on seed and n alone."""

import itertools
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from alfred.core.errors import ConfigError
from alfred.experiments.sweeps.settings import Dimension, Range, Sweep

REDRAWS = 200
"""A draw that was there before is drawn again so often, before the space is taken to be exhausted."""

Point = dict[str, Any]


def grid(sweep: Sweep) -> Iterator[Point]:
    """Every point of every space, the last setting moving fastest; one that is in two spaces comes once.

    Raises:
        ConfigError: a range has no step, or there are more points than trials.
    """
    sizes = [math.prod(len(_points(dimension)) for dimension in part.values()) for part in sweep.space]
    if sweep.trials is not None and sum(sizes) > sweep.trials:
        raise ConfigError(
            f"the grid has {sum(sizes):,} configurations, but trials = {sweep.trials}; raise trials, thin the grid, or "
            'take method = "random".'
        )
    seen: set[str] = set()
    for part in sweep.space:
        for values in itertools.product(*(_points(dimension) for dimension in part.values())):
            point = dict(zip(part, values, strict=True))
            if mark(point) not in seen:
                seen.add(mark(point))
                yield point


def draws(sweep: Sweep) -> Iterator[Point]:
    """As many different points as there are trials, or fewer where the spaces have no more."""
    seen: set[str] = set()
    for number in range(sweep.trials or 0):
        point = draw(sweep, number, seen)
        if point is None:
            return
        seen.add(mark(point))
        yield point


def draw(sweep: Sweep, number: int, seen: set[str]) -> Point | None:
    """The draw of that number, none of those seen; None where the spaces have no other.

    Args:
        sweep: what to draw for; every space is as likely as any other.
        number: from 0.
        seen: marks of points that are not to come again.
    """
    for again in range(REDRAWS):
        chance = np.random.default_rng([sweep.seed, number, again])
        part = sweep.space[int(chance.integers(len(sweep.space)))]
        point = {name: _drawn(dimension, chance) for name, dimension in part.items()}
        if mark(point) not in seen:
            return point
    return None


def mark(point: Mapping[str, Any]) -> str:
    """The same text for equal points."""
    return json.dumps(dict(point), sort_keys=True)


def _points(dimension: Dimension) -> tuple[Any, ...]:
    return dimension.points() if isinstance(dimension, Range) else dimension


def _drawn(dimension: Dimension, chance: np.random.Generator) -> Any:
    if not isinstance(dimension, Range) or dimension.step is not None:
        values = _points(dimension)
        return values[int(chance.integers(len(values)))]
    if dimension.log:
        value = math.exp(chance.uniform(math.log(dimension.low), math.log(dimension.high)))
        value = min(max(value, dimension.low), dimension.high)
        return round(value) if dimension.whole else value
    if dimension.whole:
        return int(chance.integers(int(dimension.low), int(dimension.high), endpoint=True))
    return float(chance.uniform(dimension.low, dimension.high))
