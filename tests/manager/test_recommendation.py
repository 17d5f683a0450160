"""Recommendations against figures worked out by hand."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import scene_of

from alfred.backtest.settings import REALISTIC, FrictionSettings, LimitSettings
from alfred.core.errors import DataError
from alfred.manager.recommendation import Holdings, Voices, binding, expectation, recommend
from alfred.manager.settings import LONG_ONLY

PRICES = np.array([30.0, 70.0, 11.0])
MEAN = np.array([0.04, 0.10, -0.02])


@dataclass
class Fixed:
    """Decides what it was told."""

    target: tuple[float, ...]

    def weights(self, observation):
        return np.array(self.target)

    def save(self, folder):
        """Nothing."""


def seen(**changes):
    scene = scene_of(np.zeros((4, 3)), np.tile(MEAN, (4, 1)), noise=0.01)
    observation = scene.observe(2, np.zeros(3))
    told = {"lower": MEAN - np.array([0.05, 0.2, 0.1]), "upper": MEAN + np.array([0.1, 0.2, 0.1]), **changes}
    return replace(observation, **told)


def advised(target, holdings=None, *, frictions=None, limits=LONG_ONLY, **options):
    return recommend(
        options.pop("observation", seen()),
        Fixed(target),
        holdings or Holdings(10_000.0),
        PRICES,
        name="fixed",
        frictions=frictions or FrictionSettings(),
        limits=limits,
        **options,
    )


def by_symbol(found):
    return {line.symbol: line for line in found.lines}


def test_whole_shares_by_hand():
    """10,000 in halves: 5,000 / 30 = 166.67 and 5,000 / 70 = 71.43; 166 x 30 + 71 x 70 = 9,950, and 50 stay."""
    found = advised((0.5, 0.5, 0.0))
    lines = by_symbol(found)
    assert [lines["N00"].shares, lines["N01"].shares] == [166.0, 71.0]
    assert found.cash_usd == pytest.approx(50.0)
    assert found.worth_usd == 10_000.0
    assert "N02" not in lines
    assert lines["N01"].weight == pytest.approx(0.497)
    assert found.lines[0].symbol == "N00"
    assert found.as_of == str(seen().date)


def test_parts_of_shares_leave_nothing():
    found = advised((0.5, 0.5, 0.0), fractional=True)
    assert by_symbol(found)["N00"].shares == pytest.approx(5000.0 / 30.0)
    assert found.cash_usd == pytest.approx(0.0)


def test_from_what_is_held():
    """100 x 30 + 20 x 70 + 600 = 5,000; to a fifth each of the first and third: 33 x 30 and 90 x 11."""
    found = advised((0.2, 0.0, 0.2), Holdings(600.0, {"N00": 100.0, "N01": 20.0}))
    lines = by_symbol(found)
    assert found.worth_usd == 5000.0
    assert (lines["N00"].order, lines["N01"].order, lines["N02"].order) == (-67.0, -20.0, 90.0)
    assert found.cash_usd == pytest.approx(5000.0 - 33 * 30.0 - 90 * 11.0)
    assert lines["N00"].weight_before == pytest.approx(0.6)
    assert lines["N01"].shares == 0.0


def test_costs_by_kind_by_hand():
    """Per share 0.01 with at least 1 dollar, half a spread of 10 bps: 166 shares cost 1.66, 71 the minimum."""
    frictions = FrictionSettings(
        commission_per_share_usd=0.01, commission_minimum_usd=1.0, spread_tiers=((0.0, 10.0),), capital_usd=10_000.0
    )
    found = advised((0.5, 0.49, 0.0), frictions=frictions)
    lines = by_symbol(found)
    assert lines["N00"].shares == 166.0
    assert lines["N01"].shares == 69.0  # 0.49 of what is left after costs, about 9,988, over 70 is 69.9
    assert lines["N00"].commission_usd == pytest.approx(1.66)
    assert lines["N01"].commission_usd == 1.0
    assert found.spread_usd == pytest.approx((166 * 30.0 + 69 * 70.0) * 0.001)
    assert found.impact_usd == 0.0
    assert found.cost_usd == pytest.approx(2.66 + found.spread_usd)
    assert found.cash_usd == pytest.approx(10_000.0 - 166 * 30.0 - 69 * 70.0 - found.cost_usd)


def test_expected_return_and_both_intervals_by_hand():
    """0.5 x 4% + 0.25 x 10% = 4.5%; down by 0.5 x 5% + 0.25 x 20% together, by the root of squares apart."""
    found = expectation(np.array([0.5, 0.25, 0.0]), seen())
    assert found.mean == pytest.approx(0.045)
    assert found.lower == pytest.approx(0.045 - 0.025 - 0.05)
    assert found.upper == pytest.approx(0.045 + 0.05 + 0.05)
    assert found.lower_apart == pytest.approx(0.045 - np.hypot(0.025, 0.05))
    assert found.upper_apart == pytest.approx(0.045 + np.hypot(0.05, 0.05))
    assert found.level == 0.8


def test_a_short_is_hurt_by_the_upper_end():
    found = expectation(np.array([-0.5, 0.0, 0.0]), seen())
    assert found.mean == pytest.approx(-0.02)
    assert found.lower == pytest.approx(-0.5 * 0.14)
    assert found.upper == pytest.approx(0.5 * 0.01)


def test_names_without_a_forecast_are_told_apart():
    mean = np.array([0.04, np.nan, -0.02])
    found = expectation(np.array([0.5, 0.3, 0.0]), seen(mean=mean))
    assert found.mean == pytest.approx(0.02)
    assert found.silent == pytest.approx(0.3)
    line = by_symbol(advised((0.5, 0.3, 0.0), observation=seen(mean=mean)))["N01"]
    assert line.mean is None


def test_the_analysts_behind_a_name_are_named():
    silent = np.array([np.nan, 0.2, 0.1])
    voices = (
        Voices("ridge", "PM", MEAN, MEAN - 0.1, MEAN + 0.1, np.full(3, 0.6)),
        Voices("lightgbm", "PM", silent, silent - 0.1, silent + 0.1, silent),
    )
    lines = by_symbol(advised((0.4, 0.4, 0.0), voices=voices))
    assert [voice.analyst for voice in lines["N00"].voices] == ["ridge"]
    assert [voice.analyst for voice in lines["N01"].voices] == ["ridge", "lightgbm"]
    assert lines["N01"].voices[1].upper == pytest.approx(0.3)


def test_limits_that_bind_are_named():
    limits = LimitSettings(long_only=True, gross_max=1.0, name_max=0.3)
    found = advised((0.9, 0.2, -0.4), limits=limits)
    assert "long-only: N02 not sold short" in found.binding
    assert "at most 30% in a name: N00" in found.binding
    assert not any("gross" in text for text in found.binding)
    assert "gross exposure at most 100%" in advised((0.5, 0.5, 0.0)).binding
    assert advised((0.3, 0.3, 0.0)).binding == ()


def test_turnover_net_and_sectors_bind():
    sectors = np.array([0, 0, 1])
    limits = LimitSettings(turnover_max=0.5, net_max=0.4, net_min=0.0, sector_max=0.3)
    told = binding(np.array([0.5, 0.4, 0.1]), np.array([0.2, 0.1, 0.1]), seen(sectors=sectors), limits)
    assert told == ("net exposure at most 40%", "at most 30% in sector 0")
    held = replace(seen(sectors=sectors), held=np.array([0.0, 0.0, 0.2]))
    assert "turnover at most 50%" in binding(np.full(3, 0.3), np.array([0.2, 0.1, 0.0]), held, limits)


def test_a_days_volume_cuts_an_order():
    volume = np.full((len(seen().bars.dates), 3), 1e9)
    volume[:, 0] = 20_000.0
    frictions = FrictionSettings(fill_share=0.1)
    found = advised((0.5, 0.5, 0.0), frictions=frictions, observation=seen(dollar_volume=volume))
    assert by_symbol(found)["N00"].shares == 66.0  # a tenth of 20,000 is 2,000
    assert "what can be traded in a day cuts the orders of N00" in found.binding


def test_the_way_to_one_over_n_is_costed_beside():
    frictions = FrictionSettings(commission_bps=10.0)
    held = Holdings(0.0, {"N00": 100.0, "N01": 100.0 * 30.0 / 70.0, "N02": 100.0 * 30.0 / 11.0})
    found = advised((1.0, 0.0, 0.0), held, frictions=frictions, fractional=True)
    assert found.equal_weight_cost_usd == pytest.approx(0.0, abs=1e-6)
    assert found.commission_usd == pytest.approx(12_000.0 * 0.001, rel=1e-2)
    assert found.candidates == ("N00", "N01", "N02")


def test_what_may_not_be_held_is_sold():
    observation = seen(mask=np.array([True, False, True]))
    found = advised((0.5, 0.5, 0.0), Holdings(0.0, {"N01": 10.0}), observation=observation)
    assert by_symbol(found)["N01"].shares == 0.0
    assert found.candidates == ("N00", "N02")


def test_wrong_accounts_are_refused():
    with pytest.raises(DataError, match="holds TSLA, which is none of the names that were forecast"):
        advised((1.0, 0.0, 0.0), Holdings(0.0, {"TSLA": 1.0}))
    with pytest.raises(DataError, match=r"worth 0\.00 dollars; there is nothing to invest"):
        advised((1.0, 0.0, 0.0), Holdings(0.0))
    with pytest.raises(DataError, match="must be finite numbers"):
        Holdings(float("nan"))
    with pytest.raises(DataError, match="need dollar volume"):
        advised((1.0, 0.0, 0.0), frictions=REALISTIC, observation=seen(dollar_volume=None))
    with pytest.raises(DataError, match="the account holds N00, without a price"):
        recommend(
            seen(), Fixed((1.0, 0.0, 0.0)), Holdings(0.0, {"N00": 1.0}), np.array([np.nan, 1.0, 1.0]),
            name="fixed", frictions=FrictionSettings(), limits=LONG_ONLY,
        )  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(
    target=st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3),
    cash=st.floats(1_000.0, 1e7),
    shares=st.lists(st.integers(0, 500), min_size=3, max_size=3),
    fractional=st.booleans(),
)
def test_nothing_is_lost_and_nothing_borrowed(target, cash, shares, fractional):
    held = dict(zip(("N00", "N01", "N02"), map(float, shares), strict=True))
    found = advised(tuple(target), Holdings(cash, held), frictions=REALISTIC, fractional=fractional)
    after = found.cash_usd + sum(line.shares * line.price for line in found.lines)
    assert after + found.cost_usd == pytest.approx(found.worth_usd, abs=1e-6)
    assert found.cash_usd >= -1e-6
    if not fractional:
        assert all(line.shares == int(line.shares) for line in found.lines)
