from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from alfred.evaluation.calibration import calibration, coverage_by_year, wilson_interval
from alfred.evaluation.rows import forecast_rows


def bins_of(as_table, prob_up, moves):
    return calibration(forecast_rows(as_table("analyst", "PM", moves, prob_up, moves), "analyst"), 0.95)


@pytest.mark.parametrize(("rose", "count"), [(0, 7), (3, 7), (55, 100), (7, 7)])
def test_wilson_as_scipy(rose, count):
    expected = stats.binomtest(rose, count).proportion_ci(0.95, method="wilson")
    interval = wilson_interval(rose / count, count, 0.95)
    assert (interval.lower, interval.upper) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert interval.lower <= rose / count <= interval.upper


def test_equal_counts_and_observed_shares(as_table):
    prob_up = np.linspace(0.05, 0.95, 50).reshape(5, 10)
    moves = np.where(np.arange(50).reshape(5, 10) >= 30, 0.1, -0.1)
    bins = bins_of(as_table, prob_up, moves)
    assert [part.rows for part in bins] == [10] * 5
    assert [part.observed for part in bins] == [0, 0, 0, 1, 1]
    assert bins[0].forecast == pytest.approx(prob_up[0].mean())


def test_equal_forecasts_share_a_bin(as_table):
    moves = np.where(np.arange(40).reshape(4, 10) % 4 == 0, -0.1, 0.1)
    (only,) = bins_of(as_table, np.full((4, 10), 0.6), moves)
    assert (only.forecast, only.observed, only.rows) == (pytest.approx(0.6), 0.75, 40)
    two = bins_of(as_table, np.where(np.arange(40) < 36, 0.4, 0.6).reshape(4, 10), moves)
    assert [part.rows for part in two] == [36, 4]


def test_seeds_do_not_narrow_the_interval(simulate):
    frame = simulate(quarters=10, symbols=10, seeds=1)
    one = calibration(forecast_rows(frame, "analyst"), 0.95)
    again = frame.filter(analyst="analyst")
    three = again.vstack(again.with_columns(seed=again["seed"] + 1)).vstack(again.with_columns(seed=again["seed"] + 2))
    pooled = calibration(forecast_rows(three, "analyst"), 0.95)
    assert [part.rows for part in pooled] == [3 * part.rows for part in one]
    assert [part.interval.lower for part in pooled] == pytest.approx([part.interval.lower for part in one])


def test_coverage_of_each_year_by_hand(as_table):
    """Four quarters of 1990 and one of 1991, of two names each."""
    moves = np.array([[0.1, -0.3], [0.2, 0.0], [0.05, 0.4], [0.0, 0.0], [0.0, 0.9]])
    rows = forecast_rows(as_table("analyst", "PM", moves * 0, np.full(moves.shape, 0.5), moves), "analyst")
    # Half-width 0.15: 0.1, 0.05 and the three 0.0 of 1990 are inside.
    years = [(year.year, year.coverage, year.rows, year.quarters) for year in coverage_by_year(rows)]
    assert years == [(1990, 0.625, 8, 4), (1991, 0.5, 2, 1)]
    # A second seed whose intervals hold nothing halves the mean and adds no rows.
    both = replace(rows, lower=np.vstack([rows.lower, rows.lower]), upper=np.vstack([rows.upper, rows.lower]))
    assert [(year.coverage, year.rows) for year in coverage_by_year(both)] == [(0.3125, 8), (0.25, 2)]
