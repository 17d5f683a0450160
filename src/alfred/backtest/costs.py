"""What an order costs: commission, half spread, impact; and what a short or a balance of cash costs a year.

All take and give US dollars, name by name, and need nothing but numbers, so that a batched twin can mirror them.
"""

from typing import NamedTuple

import numpy as np

from alfred.backtest import _account_kernels as kernels
from alfred.backtest.settings import FrictionSettings, Tiers
from alfred.core.contracts import Floats

BPS = 1e-4


class Rates(NamedTuple):
    """What one rebalancing's orders cost, name by name, as numbers of |x|, the value of the order in dollars.

    Attributes:
        commission: (S,) share of |x|.
        minimum_usd: least commission of an order.
        maximum: most of it, as a share of |x|.
        half_spread: (S,) share of |x|.
        impact: (S,) k of k |x|^(1 + exponent), in dollars^-exponent.
        exponent: of impact.
    """

    commission: Floats
    minimum_usd: float
    maximum: float
    half_spread: Floats
    impact: Floats
    exponent: float

    def plain(self) -> kernels.Rates:
        """As compiled loops take it: one row of each."""
        maximum, exponent = self.maximum, self.exponent
        return self.commission[None], self.minimum_usd, maximum, self.half_spread[None], self.impact[None], exponent


class OrderCosts(NamedTuple):
    """(S,) dollars by name, never below zero."""

    commission: Floats
    spread: Floats
    impact: Floats


def order_rates(frictions: FrictionSettings, close: Floats, dollar_volume: Floats, volatility: Floats) -> Rates:
    """Rates of one rebalancing.

    Args:
        frictions: what is charged.
        close: (S,) price of a share in dollars; where it is not above zero there is no fee by the share.
        dollar_volume: (S,) mean traded value a day in dollars; NaN or 0 is the least liquid tier without impact, as
            the engine lets no such name be traded where costs depend on it.
        volatility: (S,) deviation of daily returns; NaN as above.
    """
    per_share = np.where(close > 0.0, frictions.commission_per_share_usd / np.where(close > 0.0, close, 1.0), 0.0)
    known = (dollar_volume > 0.0) & np.isfinite(volatility)
    scale = np.where(known, dollar_volume, 1.0) ** frictions.impact_exponent
    return Rates(
        commission=frictions.commission_bps * BPS + per_share,
        minimum_usd=frictions.commission_minimum_usd,
        maximum=frictions.commission_maximum_share if _bounded(frictions) else 1.0,
        half_spread=tier_bps(dollar_volume, frictions.spread_tiers) * BPS,
        impact=np.where(known, frictions.impact_coefficient * np.where(known, volatility, 0.0) / scale, 0.0),
        exponent=frictions.impact_exponent,
    )


def order_costs(trade: Floats, rates: Rates) -> OrderCosts:
    """Costs of (S,) orders in dollars, negative for a sale; an order of 0 costs nothing.

    - commission: min(max(rate |x|, minimum), maximum |x|), the form of brokers' schedules.
    - half spread: an order at the close pays half of the quoted spread, h |x|.
    - impact: c sigma (|x| / V)^p |x|, sigma the deviation of daily returns and V the mean traded value a day. Grinold
      and Kahn (1999, Active Portfolio Management, 2nd ed., ch. 16): p = 1/2, and c about 1, as to trade a day's volume
      costs about a day's deviation. Almgren, Thum, Hauptmann and Li (2005, "Direct Estimation of Equity Market
      Impact", Risk 18) find c = 0.142 and p = 3/5 for the temporary part over one day.
    """
    return OrderCosts(*kernels.costs_by_name(trade, rates.plain()))


def total_cost(trade: Floats, rates: Rates) -> float:
    """Sum of all costs of (S,) orders, dollars."""
    return float(sum(part.sum() for part in order_costs(trade, rates)))


def tier_bps(dollar_volume: Floats, tiers: Tiers) -> Floats:
    """(S,) basis points of the tier of each dollar volume; NaN is in the first, the least liquid."""
    floors, bps = np.array([floor for floor, _ in tiers]), np.array([bps for _, bps in tiers])
    at = np.searchsorted(floors, np.nan_to_num(dollar_volume, nan=0.0), side="right") - 1
    found: Floats = bps[np.maximum(at, 0)]
    return found


def _bounded(frictions: FrictionSettings) -> bool:
    """The most of an order's commission is part of a schedule with fees in dollars; basis points alone have none."""
    return frictions.commission_per_share_usd > 0.0 or frictions.commission_minimum_usd > 0.0
