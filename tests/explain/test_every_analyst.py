"""Every analyst that is registered is explained, and its values add up; none is left out because it is new or large."""

import functools

import numpy as np
import pytest
from explained_rows import COLUMNS, after, planted

from alfred.analysts import AnalystSpec, analyst_names, describe, make_analyst
from alfred.explain.attribution import Attribution
from alfred.explain.shapley import ExplainSettings, attribute, background_rows
from alfred.training.settings import TrainSettings

ROWS = 100
MOST_NUMBERS = 4_000_000
"""An analyst that learns more is tested by a smaller one of its kind: with 100 million each would take a minute here.
`benchmarks/explain.py --parts gaps` measures all of them at their own size."""
SMALLER = {".medium": ".small", ".large": ".small"}


@functools.cache
def numbers(name: str) -> int:
    """How many it learns from the rows of this test."""
    return describe(name, len(COLUMNS)).parameters or 0


def stands_for(name: str) -> str:
    """The analyst that is explained here in its place: itself, or the smallest registered one of its kind."""
    if numbers(name) <= MOST_NUMBERS:
        return name
    for large, small in SMALLER.items():
        name = name.replace(large, small)
    return name


@functools.cache
def explained(name: str) -> Attribution:
    """100 random rows, by the analyst as it is registered after one epoch."""
    about = describe(name)
    train = planted(160, about.target, quarters=about.quarters)
    valid = planted(96, about.target, seed=1, first=after(train), quarters=about.quarters)
    test = planted(ROWS, about.target, seed=2, first=after(valid), quarters=about.quarters)
    settings = TrainSettings(epochs=1, batch_size=80, threads=1, device="cpu")
    fitted = make_analyst(AnalystSpec(name=name), settings, 0).fit(train, valid)
    few = ExplainSettings(background=16, samples=16)
    return attribute(fitted, test, background_rows(train, few.background, 0), name, few)


def test_no_analyst_is_left_out() -> None:
    """Whoever adds one too large for the test below has to add a smaller one of its kind, or to make room for it."""
    for name in analyst_names():
        own, other = describe(name), describe(stands_for(name))
        assert numbers(other.name) <= MOST_NUMBERS, f"{name} learns {numbers(name):,} numbers, and nobody stands for it"
        kind, other_kind = (
            (about.target, about.loss, about.quarters, about.labels, about.is_network) for about in (own, other)
        )
        assert kind == other_kind, f"{other.name} cannot stand for {name}"
    assert {stands_for(name) for name in analyst_names()} <= set(analyst_names())


@pytest.mark.slow
@pytest.mark.parametrize("name", analyst_names())
def test_values_of_a_hundred_rows_add_up_for_every_registered_analyst(name: str) -> None:
    found = explained(stands_for(name))
    assert len(found) == ROWS
    made = found.base + found.history + found.values.sum(axis=(1, 2))
    assert np.abs(made - found.forecast).max() <= 1e-3 * np.abs(found.forecast).max()
    assert (found.gaps <= 1e-3).all()
    assert found.beside <= 3.0
    assert (found.beside > 0) == describe(name).is_network
    assert name == "naive" or np.abs(found.values).max() > 0
