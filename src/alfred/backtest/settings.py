"""Settings of the backtest: what trading costs, when a decision is filled, and what a portfolio may hold."""

from itertools import pairwise

from pydantic import Field, field_validator

from alfred.core.settings import Settings

SESSIONS_PER_YEAR = 252
"""Trading sessions of a year, by convention."""


class CostSettings(Settings):
    """What trading and short selling cost.

    Attributes:
        cost_bps: basis points of traded value, one way (commission, half spread and impact together).
        borrow_bps_per_year: basis points a year of the value sold short, accrued every session (a 252nd).
    """

    cost_bps: float = Field(default=10.0, ge=0.0, le=5000.0)
    borrow_bps_per_year: float = Field(default=50.0, ge=0.0, le=50_000.0)


class ExecutionSettings(Settings):
    """When a decision is filled.

    Attributes:
        lag_sessions: sessions from the decision's close to the close it is filled at. 1 is the next session's close;
            0 is the notes' convention, which fills at the very close that was just used to decide.
    """

    lag_sessions: int = Field(default=1, ge=0, le=60)


Tiers = tuple[tuple[float, float], ...]
"""(dollar volume a day from which it holds, basis points), ascending from 0."""


class FrictionSettings(Settings):
    """What trading and holding cost by name, size and liquidity; the defaults cost nothing. `REALISTIC` sets all.

    Attributes:
        capital_usd: the account's initial capital; impact, minimum fees and fills depend on it.
        commission_bps: basis points of traded value.
        commission_per_share_usd: dollars a share, added to the former.
        commission_minimum_usd: least commission of an order.
        commission_maximum_share: most of it, as a share of the order's value, which goes before the minimum.
        spread_tiers: half of the bid-ask spread by mean dollar volume a day.
        impact_coefficient: c of the price impact c sigma (trade / dollar volume)^exponent, a share of the trade.
        impact_exponent: 0.5 is the square-root rule.
        borrow_tiers: fee a year on the value sold short, by mean dollar volume a day.
        credit_spread_bps_per_year: cash earns the cash rate less this, never below 0.
        debit_spread_bps_per_year: borrowed cash costs the cash rate and this.
        cash_rate: rate a year where no series is given; 0.05 is 5%.
        fill_share: largest share of the fill session's dollar volume that an order may take; None is without limit.
        liquidity_sessions: sessions before the fill over which mean dollar volume and volatility are measured.
        delisting_return: where the true one is not known; from the last price to what holders got.
    """

    capital_usd: float = Field(default=100_000.0, gt=0.0, le=1e12)
    commission_bps: float = Field(default=0.0, ge=0.0, le=1000.0)
    commission_per_share_usd: float = Field(default=0.0, ge=0.0, le=1.0)
    commission_minimum_usd: float = Field(default=0.0, ge=0.0, le=1000.0)
    commission_maximum_share: float = Field(default=0.01, gt=0.0, le=0.1)
    spread_tiers: Tiers = ((0.0, 0.0),)
    impact_coefficient: float = Field(default=0.0, ge=0.0, le=10.0)
    impact_exponent: float = Field(default=0.5, gt=0.0, le=1.0)
    borrow_tiers: Tiers = ((0.0, 0.0),)
    credit_spread_bps_per_year: float = Field(default=0.0, ge=0.0, le=5000.0)
    debit_spread_bps_per_year: float = Field(default=0.0, ge=0.0, le=5000.0)
    cash_rate: float = Field(default=0.0, ge=-0.05, le=1.0)
    fill_share: float | None = Field(default=None, gt=0.0, le=1.0)
    liquidity_sessions: int = Field(default=63, ge=2, le=504)
    delisting_return: float = Field(default=-0.3, ge=-1.0, le=0.0)

    @field_validator("spread_tiers", "borrow_tiers")
    @classmethod
    def _ascending(cls, value: Tiers) -> Tiers:
        if not value or value[0][0] != 0.0 or any(low[0] >= high[0] for low, high in pairwise(value)):
            raise ValueError("tiers must ascend in dollar volume, the first from 0")
        if not all(0.0 <= bps <= 50_000.0 for _, bps in value):
            raise ValueError("basis points of a tier must lie within 0 and 50000")
        return value

    @property
    def by_liquidity(self) -> bool:
        """Whether a cost depends on a name's dollar volume or volatility."""
        return self.impact_coefficient > 0.0 or len(self.spread_tiers) > 1 or len(self.borrow_tiers) > 1


REALISTIC = FrictionSettings(
    commission_per_share_usd=0.005,
    commission_minimum_usd=1.0,
    spread_tiers=((0.0, 100.0), (1e6, 30.0), (1e7, 10.0), (1e8, 3.0)),
    impact_coefficient=1.0,
    borrow_tiers=((0.0, 430.0), (1e7, 17.0)),
    credit_spread_bps_per_year=50.0,
    debit_spread_bps_per_year=150.0,
    fill_share=0.1,
)
"""All frictions on, for US shares; `docs/backtest.md` gives the source of each figure, or says that it is assumed."""


class LimitSettings(Settings):
    """What target weights may be, in shares of the account; None is without limit. All in cash is always allowed.

    Attributes:
        long_only: no weight below zero.
        gross_max: of the sum of absolute weights.
        net_min, net_max: of the sum of weights; net_min is at most 0.
        name_max: of one name's absolute weight.
        sector_max: of the sum of absolute weights in a sector.
        turnover_max: of the sum of absolute changes from the weights held before the trade (buying 100% counts 1).
    """

    long_only: bool = False
    gross_max: float | None = Field(default=None, gt=0.0, le=100.0)
    net_min: float | None = Field(default=None, ge=-100.0, le=0.0)
    net_max: float | None = Field(default=None, ge=0.0, le=100.0)
    name_max: float | None = Field(default=None, gt=0.0, le=100.0)
    sector_max: float | None = Field(default=None, gt=0.0, le=100.0)
    turnover_max: float | None = Field(default=None, gt=0.0, le=200.0)
