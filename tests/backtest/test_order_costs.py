import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alfred.backtest.costs import order_costs, order_rates, tier_bps, total_cost
from alfred.backtest.settings import REALISTIC, FrictionSettings
from alfred.core.errors import ConfigError


def costs_of(frictions, trade, close=10.0, volume=1e6, volatility=0.02):
    one = np.array([1.0])
    rates = order_rates(frictions, close * one, volume * one, volatility * one)
    return [float(part[0]) for part in order_costs(trade * one, rates)]


def test_commission_by_hand():
    schedule = FrictionSettings(commission_per_share_usd=0.005, commission_minimum_usd=1.0)
    # 1,000 shares at 10 dollars; 100 shares at the minimum; 5 shares at 1% of their value; the broker's own examples.
    assert costs_of(schedule, 10_000.0)[0] == pytest.approx(5.0)
    assert costs_of(schedule, -1_000.0)[0] == 1.0
    assert costs_of(schedule, 50.0)[0] == 0.5
    assert costs_of(schedule, 2_500.0, close=25.0)[0] == 1.0
    assert costs_of(schedule, 250.0, close=0.25)[0] == 2.5
    assert costs_of(schedule, 0.0) == [0.0, 0.0, 0.0]
    assert costs_of(FrictionSettings(commission_bps=20.0), 10_000.0)[0] == pytest.approx(20.0)


def test_half_spread_by_tier():
    tiers = FrictionSettings(spread_tiers=((0, 100.0), (1e6, 30.0), (1e8, 3.0)))
    assert costs_of(tiers, 1000.0, volume=999_999.0)[1] == pytest.approx(10.0)
    assert costs_of(tiers, -1000.0, volume=1e6)[1] == pytest.approx(3.0)
    assert costs_of(tiers, 1000.0, volume=5e8)[1] == pytest.approx(0.3)
    assert tier_bps(np.array([np.nan, 0.0]), tiers.spread_tiers).tolist() == [100.0, 100.0]


def test_impact_by_hand():
    grinold = FrictionSettings(impact_coefficient=1.0)
    # 1% of the day's volume moves the price by a tenth of the day's deviation; all of it by the deviation.
    assert costs_of(grinold, 10_000.0)[2] == pytest.approx(10_000 * 0.02 * 0.1)
    assert costs_of(grinold, -1e6)[2] == pytest.approx(1e6 * 0.02)
    almgren = FrictionSettings(impact_coefficient=0.142, impact_exponent=0.6)
    # The paper's own example for the temporary part over one day: a tenth of the volume at a deviation of 1.57%,
    # 0.142 x 1.57% x 0.1^0.6 = 5.6 basis points.
    assert costs_of(almgren, 1e5, volatility=0.0157)[2] / 1e5 == pytest.approx(5.6e-4, abs=0.05e-4)


@given(st.floats(1e-6, 1e9), st.floats(1.0, 100.0), st.sampled_from([0.5, 0.6, 1.0]))
def test_impact_scales_with_the_order_as_the_formula_says(trade, factor, exponent):
    frictions = FrictionSettings(impact_coefficient=0.5, impact_exponent=exponent)
    small, large = costs_of(frictions, trade)[2], costs_of(frictions, trade * factor)[2]
    assert large == pytest.approx(small * factor ** (1 + exponent), rel=1e-9)


@given(st.lists(st.floats(-1e8, 1e8), min_size=1, max_size=9), st.floats(0.01, 1e4), st.floats(0, 1e10))
def test_no_cost_is_below_zero_nor_cheaper_for_a_larger_order(trades, close, volume):
    trade, one = np.array(trades), np.ones(len(trades))
    rates = order_rates(REALISTIC, close * one, volume * one, 0.02 * one)
    parts = order_costs(trade, rates)
    assert all((part >= 0).all() for part in parts)
    assert total_cost(trade, rates) <= total_cost(trade * 1.5, rates) * (1 + 1e-12)
    for mirrored, part in zip(order_costs(-trade, rates), parts, strict=True):
        assert mirrored.tolist() == part.tolist()


@pytest.mark.parametrize("tiers", [[], [[5.0, 1.0]], [[0.0, 1.0], [0.0, 2.0]]])
def test_tiers_must_ascend_from_zero(tiers):
    with pytest.raises(ConfigError, match="tiers must ascend in dollar volume, the first from 0"):
        FrictionSettings.parse({"spread_tiers": tiers}, "frictions")


def test_tiers_must_be_possible():
    with pytest.raises(ConfigError, match="basis points of a tier must lie within 0 and 50000"):
        FrictionSettings.parse({"borrow_tiers": [[0.0, -1.0]]}, "frictions")
