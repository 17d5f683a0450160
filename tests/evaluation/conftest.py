"""Simulated forecasts of known quality, in the columns of a run's forecasts.parquet."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from alfred.core.calendar import Dates
from alfred.core.contracts import Floats

Simulate = Callable[..., pl.DataFrame]


def quarter_ends(count: int) -> Dates:
    """Last calendar days of `count` quarters from 1990 on; no session calendar is needed to test arithmetic."""
    months = np.datetime64("1990-04", "M") + 3 * np.arange(count)
    return months.astype("datetime64[D]") - 1


def table(  # noqa: PLR0917
    analyst: str, target: str, mean: Floats, prob_up: Floats, moves: Floats, seed: int = 0, half_width: float = 0.15
) -> pl.DataFrame:
    """Forecasts (Q, S) beside relative price changes (Q, S); the index is their mean."""
    quarters, symbols = moves.shape
    rows = quarters * symbols
    return pl.DataFrame(
        {
            "fold": [0] * rows,
            "analyst": [analyst] * rows,
            "seed": [seed] * rows,
            "symbol": [f"T{at:04d}" for at in range(symbols)] * quarters,
            "as_of": np.repeat(quarter_ends(quarters), symbols),
            "realised_on": np.repeat(quarter_ends(quarters + 1)[1:], symbols),
            "target": [target] * rows,
            "mean": mean.ravel(),
            "lower": mean.ravel() - half_width,
            "upper": mean.ravel() + half_width,
            "prob_up": prob_up.ravel(),
            "PM": moves.ravel(),
            "PQ": (moves.ravel() > 0).astype(float),
            "excess": (moves - moves.mean(axis=1, keepdims=True)).ravel(),
        }
    ).with_columns(pl.col("as_of", "realised_on").cast(pl.Date))


def simulated(  # noqa: PLR0917
    quarters: int = 40, symbols: int = 20, skill: float = 0.0, seeds: int = 1, target: str = "PM", draw: int = 0
) -> pl.DataFrame:
    """Forecasts by "analyst", correlated with what came by `skill`, and by "naive", which always says the same."""
    random = np.random.default_rng(draw)
    own = random.standard_normal((quarters, symbols))
    moves = 0.02 + 0.12 * own + 0.05 * random.standard_normal((quarters, 1))
    frames = []
    for seed in range(seeds):
        signal = skill * own + np.sqrt(1 - skill**2) * random.standard_normal(own.shape)
        probability = 1 / (1 + np.exp(-0.2 - 0.2 * signal))
        mean = probability if target == "PQ" else 0.02 + 0.12 * max(skill, 0.02) * signal
        frames.append(table("analyst", target, mean, probability, moves, seed))
    always = np.full_like(moves, 0.55)
    frames.append(table("naive", target, always if target == "PQ" else np.full_like(moves, 0.02), always, moves))
    return pl.concat(frames)


@pytest.fixture
def simulate() -> Simulate:
    return simulated


@pytest.fixture
def as_table() -> Callable[..., pl.DataFrame]:
    return table


@pytest.fixture
def squared_error() -> Callable[[Floats, Floats], Floats]:
    return lambda prediction, label: (prediction - label) ** 2
