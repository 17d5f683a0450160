"""What accounts held and names returned, period by period: by hand, and against what the engine itself was told."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds_of_accounts import bars_of, worlds

from alfred.backtest.conditions import Conditions
from alfred.backtest.engine import run_account
from alfred.backtest.holdings import period_returns, weights_at
from alfred.backtest.realistic import Reality, run_decided, run_realistic
from alfred.backtest.settings import CostSettings, FrictionSettings
from alfred.core.errors import DataError

NAN = np.nan
EDGES = np.array([0, 2, 4])
CLOSE = np.array(
    [
        [10.0, NAN, 10.0, 10.0],
        [11.0, NAN, NAN, 12.0],
        [12.0, 50.0, NAN, NAN],
        [NAN, 60.0, NAN, NAN],
        [NAN, 75.0, 30.0, 99.0],
    ]
)


def test_returns_carry_gaps_and_end_with_what_a_delisting_paid():
    bars = bars_of(CLOSE)
    # The first name's gap carries 12 on; the second has no price at first; the third makes up in the second period.
    plain = [[0.2, NAN, 0.0, 0.2], [0.0, 0.5, 2.0, 99 / 12 - 1]]
    np.testing.assert_allclose(period_returns(bars, EDGES, None), plain)
    # The fourth was delisted in the session after its last price of 12; what bears its ticker later is another company.
    delisted = Conditions(delisted=np.array([5, 5, 5, 2]), delisting_return=np.array([NAN, NAN, NAN, -0.5]))
    found = period_returns(bars, EDGES, Reality(conditions=delisted))
    np.testing.assert_allclose(found[:, :3], np.array(plain)[:, :3])
    np.testing.assert_allclose(found[:, 3], [12 * 0.5 / 10 - 1, 0.0])
    unknown = replace(delisted, delisting_return=None)
    found = period_returns(bars, EDGES, Reality(FrictionSettings(delisting_return=-1.0), conditions=unknown))
    assert found[0, 3] == -1.0
    assert np.isnan(found[1, 3])


def test_weights_drift_between_trades():
    bars = bars_of(np.array([[10.0, 20.0], [10.0, 20.0], [20.0, 20.0], [20.0, 10.0], [20.0, 40.0]]))
    account = run_account(bars, np.array([[0.5, 0.25], [0.2, 0.0]]), np.array([0, 3]), CostSettings(cost_bps=0.0))
    found = weights_at(account, bars, bars.dates[[0, 2, 3, 4]], None)
    # 1 of 1.5 in the first name after it had doubled, a quarter in the other; then 0.2 and nothing.
    np.testing.assert_allclose(found, [[0.5, 0.25], [1 / 1.5, 0.25 / 1.5], [0.2, 0.0], [0.2, 0.0]])


@settings(max_examples=80, deadline=None)
@given(worlds(), st.integers(1, 20))
def test_drifted_weights_are_what_the_engine_tells_a_decision(world, later):
    """Every friction, dividends, gaps and delistings; the same account, asked by its engine what it holds then."""
    bars, weights, rows, reality = world
    first, then = int(rows[0]), int(rows[0]) + later
    if then >= len(bars.dates):
        return
    told = []

    def decide(done, held):
        told.append(held)
        return weights[0]

    run_decided(bars, np.array([first, then]), reality, decide)
    account = run_realistic(bars, weights[:1], rows[:1], reality).account
    if account.ruined_on is not None or len(told) < 2:
        return
    found = weights_at(account, bars, bars.dates[[first, then]], reality)
    np.testing.assert_allclose(found[1], told[1], atol=1e-9)


def test_weights_of_other_names_are_refused():
    bars = bars_of(np.ones((3, 2)))
    account = run_account(bars, np.full((1, 2), 0.5), np.array([0]), CostSettings())
    for other in (replace(account, weights=None), replace(account, weights=np.ones((1, 3)))):
        with pytest.raises(DataError, match="an account of these 2 names with its weights was expected"):
            weights_at(other, bars, bars.dates[:1], None)
