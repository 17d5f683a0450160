"""Calibration: how many of the rows given a probability rose, and how many labels lay inside their intervals."""

import numpy as np
from scipy import stats

from alfred.core.contracts import Interval
from alfred.evaluation.contracts import CalibrationBin, YearCoverage
from alfred.evaluation.metrics import centred_ranks
from alfred.evaluation.rows import ForecastRows

BINS = 5


def calibration(rows: ForecastRows, level: float) -> tuple[CalibrationBin, ...]:
    """Up to 5 bins of equal count over `prob_up`, all seeds together; equal forecasts share a bin.

    A bin's `rows` are forecasts, so each realised row counts once a seed. Its interval counts each once only, but
    takes rows as independent; companies move together within a quarter, so the truth is wider.
    """
    forecast = rows.prob_up.ravel()
    rose = np.tile(rows.rise, len(rows.seeds))
    share = centred_ranks(forecast, np.zeros(1, dtype=np.int64)) / len(forecast) + 0.5
    place = np.floor(BINS * share).astype(np.int64)
    bins = []
    for at in np.unique(place):
        inside = place == at
        observed = float(rose[inside].mean())
        interval = wilson_interval(observed, float(inside.sum()) / len(rows.seeds), level)
        bins.append(CalibrationBin(float(forecast[inside].mean()), observed, interval, int(inside.sum())))
    return tuple(bins)


def coverage_by_year(rows: ForecastRows) -> tuple[YearCoverage, ...]:
    """Share of labels inside their intervals, ends included, in each calendar year of decision dates."""
    inside = ((rows.lower <= rows.label) & (rows.label <= rows.upper)).mean(axis=0)
    year = rows.dates.astype("datetime64[Y]").astype(np.int64) + 1970
    of_quarter = rows.quarters.astype("datetime64[Y]").astype(np.int64) + 1970
    return tuple(
        YearCoverage(int(at), float(inside[year == at].mean()), int((year == at).sum()), int((of_quarter == at).sum()))
        for at in np.unique(year)
    )


def wilson_interval(share: float, count: float, level: float) -> Interval:
    """Score interval of a share seen among `count` independent trials (Wilson 1927)."""
    z = float(stats.norm.ppf((1 + level) / 2))
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    # Rounding must not push an end past the share itself where all or none rose.
    return Interval(min(share, max(0.0, float(middle - half))), max(share, min(1.0, float(middle + half))), level)
