"""Examples that the two papers print, to the digits that they print."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from alfred.core.errors import DataError
from alfred.evaluation.deflation import (
    Track,
    Trials,
    annual,
    deflated_sharpe,
    effective_trials,
    expected_maximum_sharpe,
    minimum_track_record,
    probabilistic_sharpe,
)


def test_the_deflated_sharpe_ratios_own_example():
    """An annual 2.5 over 1250 of 250 days a year, variance of the trials' annual ratios 1/2, skew -3, kurtosis 10."""
    track = Track(2.5 / math.sqrt(250), 1250, -3.0, 10.0)
    hundred = Trials(100, 0.5 / 250)
    assert round(expected_maximum_sharpe(hundred), 4) == 0.1132
    assert round(deflated_sharpe(track, hundred), 4) == 0.9004
    assert round(deflated_sharpe(track, Trials(46, 0.5 / 250)), 4) == 0.9505
    # Had the returns been normal, 88 trials would have been allowed.
    assert round(deflated_sharpe(Track(2.5 / math.sqrt(250), 1250), Trials(88, 0.5 / 250)), 4) == 0.9505


def test_the_expected_maximum_of_ten_and_of_forty_five():
    """Pseudo-mathematics and financial charlatanism (2014): 1.57 for 10, and an annual 1 after 45 tries of 5 years."""
    assert round(expected_maximum_sharpe(Trials(10, 1.0)), 2) == 1.57
    assert round(expected_maximum_sharpe(Trials(45, 1 / 5)), 2) == 1.0
    assert expected_maximum_sharpe(Trials(1, 1.0)) == 0.0
    draws = np.random.default_rng(0).standard_normal((40_000, 50)).max(axis=1)
    assert expected_maximum_sharpe(Trials(50, 1.0)) == pytest.approx(draws.mean(), rel=0.02)


@pytest.mark.parametrize(
    ("periods_a_year", "skew", "kurtosis", "years"),
    [(250, 0.0, 3.0, 2.73), (52, 0.0, 3.0, 2.83), (12, 0.0, 3.0, 3.24), (12, -0.72, 5.78, 4.99)],
)
def test_the_sharpe_ratio_efficient_frontiers_track_records(periods_a_year, skew, kurtosis, years):
    """An annual 2 to be told from 1 with 95%: normal returns by day, week, month; hedge funds' monthly returns."""
    track = Track(2 / math.sqrt(periods_a_year), 100, skew, kurtosis)
    needed = minimum_track_record(track, 1 / math.sqrt(periods_a_year)) / periods_a_year
    assert round(needed, 2) == years


def test_the_probabilistic_sharpe_ratios_own_example():
    """24 months with a monthly ratio of 0.458: 0.982 were they normal, 0.913 with the skew and kurtosis they have."""
    assert round(probabilistic_sharpe(Track(0.458, 24)), 3) == 0.982
    assert round(probabilistic_sharpe(Track(0.458, 24, -2.448, 10.164)), 3) == 0.913


@given(sharpe=st.floats(0.01, 1), skew=st.floats(-1, 1), more=st.floats(0, 10), goal=st.floats(0.51, 0.999))
def test_at_the_minimum_track_record_the_confidence_is_reached(sharpe, skew, more, goal):
    track = Track(sharpe, 10, skew, 3 + more)
    periods = minimum_track_record(track, confidence=goal)
    reached = stats.norm.cdf(sharpe * math.sqrt(periods - 1) / track.spread)
    assert reached == pytest.approx(goal, abs=1e-9)


def test_what_makes_a_track_less_believable():
    plain = Track(0.1, 500)
    assert probabilistic_sharpe(plain) > probabilistic_sharpe(Track(0.1, 500, -1.0)) > 0.5
    assert probabilistic_sharpe(plain) > probabilistic_sharpe(Track(0.1, 500, 0.0, 9.0))
    deflated = [deflated_sharpe(plain, Trials(count, 0.002)) for count in (1, 1.5, 2, 10, 1000)]
    assert deflated == sorted(deflated, reverse=True)
    assert deflated[0] == probabilistic_sharpe(plain)
    assert minimum_track_record(Track(-0.1, 500)) == math.inf
    assert annual(0.1, 252) == pytest.approx(1.587, abs=0.001)


def test_a_track_from_returns():
    returns = np.random.default_rng(1).gamma(4.0, 0.01, 400) - 0.03
    track = Track.of(returns)
    assert track == Track(
        returns.mean() / returns.std(ddof=1), 400, stats.skew(returns), stats.kurtosis(returns, fisher=False)
    )
    assert Track.of(np.zeros(5)) == Track(0.0, 5)
    assert probabilistic_sharpe(Track.of(np.zeros(5))) == 0.5


def test_tracks_without_skill_exceed_95_percent_in_5_percent():
    """Of 1000 tracks of skewed returns, give or take three standard errors."""
    random = np.random.default_rng(2)
    returns = random.gamma(2.0, 1.0, (1000, 250)) - 2.0
    above = np.mean([probabilistic_sharpe(Track.of(one)) > 0.95 for one in returns])
    assert above == pytest.approx(0.05, abs=0.021)


def test_effective_trials():
    random = np.random.default_rng(3)
    one = random.standard_normal((4000, 1))
    assert effective_trials(np.tile(one, 7)) == pytest.approx(1.0)
    assert effective_trials(one) == 1.0
    independent = random.standard_normal((4000, 7))
    assert effective_trials(independent) == pytest.approx(7, abs=0.1)
    assert effective_trials(np.sqrt(0.5) * one + np.sqrt(0.5) * independent) == pytest.approx(4, abs=0.15)
    assert effective_trials(np.hstack([one, -one])) == 2.0
    still = np.zeros((4000, 1))
    assert effective_trials(np.hstack([one, still])) == pytest.approx(2.0)


def test_what_is_refused():
    with pytest.raises(DataError, match="number of trials must be 1 or more, got 0"):
        Trials(0, 1.0)
    with pytest.raises(DataError, match="variance of the trials' Sharpe ratios must be 0 or more, got -1"):
        Trials(2, -1.0)
    with pytest.raises(DataError, match="at least 3 returns, all finite, got 2 of 3"):
        Track.of(np.array([0.1, np.nan, 0.2]))
    with pytest.raises(DataError, match="no distribution has skew 30 and kurtosis 1"):
        probabilistic_sharpe(Track(0.5, 10, 30.0, 1.0))
    with pytest.raises(DataError, match=r"at least 3 periods and 1 trial, got shape \(2, 4\)"):
        effective_trials(np.zeros((2, 4)))
