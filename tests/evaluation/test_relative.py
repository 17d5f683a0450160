"""Errors relative to baselines: by hand, on the same rows, with intervals that can be told from one another."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alfred.core.errors import DataError
from alfred.evaluation.bootstrap import BootstrapSettings
from alfred.evaluation.relative import RelativeError, relative_errors

SETTINGS = BootstrapSettings(draws=400)
QUARTERS = [dt.date(2000 + at // 4, 3 * (at % 4) + 3, 28) for at in range(40)]


def rows(analyst: str, mean: np.ndarray, realised: np.ndarray, seed: int = 0, target: str = "growth") -> pl.DataFrame:
    """(Q, S) forecasts and labels."""
    quarters, names = mean.shape
    return pl.DataFrame(
        {
            "analyst": analyst, "seed": seed, "target": target, "horizon_quarters": 1, "level": 0.8,
            "symbol": [f"S{at}" for at in range(names)] * quarters,
            "as_of": np.repeat(np.array(QUARTERS[:quarters], "datetime64[D]"), names),
            "mean": mean.ravel(), "lower": mean.ravel() - 1.5, "upper": mean.ravel() + 1.5,
            "realised": realised.ravel(),
        }
    )  # fmt: skip


def one(found: tuple[RelativeError, ...], analyst: str) -> RelativeError:
    return next(error for error in found if error.analyst == analyst)


def test_by_hand() -> None:
    realised = np.array([[1.0, 2.0], [3.0, 4.0]])
    table = pl.concat([
        rows("walk", realised + np.array([[1, -1], [1, -3]]), realised),
        rows("other", realised + np.array([[1, 0], [1, -1]]), realised),
    ])  # fmt: skip
    found = relative_errors(table, ("walk",), SETTINGS)
    walk, other = one(found, "walk"), one(found, "other")
    assert (walk.rows, walk.quarters, walk.mae, walk.coverage) == (4, 2, 1.5, 0.75)
    assert walk.rmse == pytest.approx(np.sqrt(3))
    assert other.mae == 0.75
    assert other.against("walk").mae == 0.5
    assert other.against("walk").rmse == pytest.approx(np.sqrt(3 / 12))
    own = walk.against("walk")
    assert (own.mae, own.mae_over_quarters.lower, own.mae_over_quarters.upper) == (1.0, 1.0, 1.0)
    assert walk.finding("walk") == "equals walk"
    assert other.finding("walk") == "too few quarters to be told from walk"
    with pytest.raises(KeyError):
        walk.against("nobody")


def test_a_row_that_is_not_realised_does_not_count() -> None:
    realised = np.random.default_rng(0).normal(size=(6, 3))
    table = pl.concat([rows("walk", realised + 1, realised), rows("other", realised + 0.5, realised)])
    late = table.with_columns(
        pl.when(pl.col("as_of") == QUARTERS[5]).then(None).otherwise(pl.col("realised")).alias("realised")
    )
    found = one(relative_errors(late, ("walk",), SETTINGS), "other")
    assert (found.rows, found.quarters) == (15, 5)
    assert found.against("walk").mae == pytest.approx(0.5)


def test_findings_follow_the_interval() -> None:
    random = np.random.default_rng(1)
    realised = random.normal(size=(40, 20))
    walk = realised + random.normal(size=realised.shape)
    forecasts = {
        "walk": walk,
        "better": realised + 0.7 * random.normal(size=realised.shape),
        "worse": realised + 1.4 * random.normal(size=realised.shape),
        "alike": realised + random.normal(size=realised.shape),
    }
    table = pl.concat([rows(name, mean, realised) for name, mean in forecasts.items()])
    found = relative_errors(table, ("walk",), SETTINGS)
    findings = {name: one(found, name).finding("walk") for name in forecasts}
    assert findings == {
        "walk": "equals walk", "better": "beats walk", "worse": "loses to walk",
        "alike": "no difference shown from walk",
    }  # fmt: skip
    ratio = one(found, "better").against("walk")
    assert ratio.mae == pytest.approx(0.7, abs=0.05)
    assert ratio.mae_over_quarters.lower < ratio.mae < ratio.mae_over_quarters.upper < 1
    assert ratio.rmse_over_quarters.lower < ratio.rmse < ratio.rmse_over_quarters.upper < 1


@settings(deadline=None)
@given(seed=st.integers(0, 2**20), scale=st.floats(0.01, 100.0))
def test_ratios_know_no_unit(seed: int, scale: float) -> None:
    random = np.random.default_rng(seed)
    realised, errors = random.normal(size=(8, 3)), random.normal(size=(2, 8, 3))
    found = [
        one(
            relative_errors(
                pl.concat([rows(name, factor * (realised + error), factor * realised)
                           for name, error in zip(("walk", "other"), errors, strict=True)]),
                ("walk",), SETTINGS.model_copy(update={"draws": 100}),
            ),
            "other",
        ).against("walk")
        for factor in (1.0, scale)
    ]  # fmt: skip
    assert found[0].mae == pytest.approx(found[1].mae)
    assert found[0].rmse_over_quarters.upper == pytest.approx(found[1].rmse_over_quarters.upper)


def test_seeds_are_averaged_over_errors_not_over_forecasts() -> None:
    """Two seeds that err by 1 on either side have a mean forecast without error; each of them errs all the same."""
    realised = np.zeros((4, 2))
    table = pl.concat([
        rows("walk", realised + 2, realised), rows("net", realised + 1, realised, seed=0),
        rows("net", realised - 1, realised, seed=1),
    ])  # fmt: skip
    found = one(relative_errors(table, ("walk",), SETTINGS), "net")
    assert (found.mae, found.rmse, found.seeds, found.rows) == (1.0, 1.0, 2, 8)
    assert found.against("walk").mae == 0.5


def test_a_baseline_without_error_gives_no_ratio() -> None:
    realised = np.ones((4, 2))
    table = pl.concat([rows("walk", realised, realised), rows("other", realised + 1, realised)])
    ratio = one(relative_errors(table, ("walk",), SETTINGS), "other").against("walk")
    assert (ratio.mae, ratio.mae_over_quarters, ratio.rmse) == (None, None, None)


def test_what_cannot_be_compared_is_refused() -> None:
    realised = np.zeros((4, 2))
    table = rows("walk", realised + 1, realised)
    fewer = rows("other", realised, realised).filter(pl.col("symbol") == "S0")
    with pytest.raises(DataError, match=r"other and walk do not forecast the same rows \(4 and 8\)"):
        relative_errors(pl.concat([table, fewer]), ("walk",), SETTINGS)
    with pytest.raises(DataError, match="nobody called season forecasts growth 1 quarters ahead"):
        relative_errors(table, ("walk", "season"), SETTINGS)
    with pytest.raises(DataError, match="none of the forecasts of accounts has a realised label"):
        relative_errors(table.with_columns(realised=pl.lit(None, pl.Float64)), ("walk",), SETTINGS)
    with pytest.raises(DataError, match="at least 2 test quarters"):
        relative_errors(table.filter(pl.col("as_of") == QUARTERS[0]), ("walk",), SETTINGS)
