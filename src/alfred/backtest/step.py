"""One step of an account with all frictions: trade to target weights, then hold until the next rebalancing.

Two pure functions of numbers, `trade` and `hold`; `step` is one after the other. Nothing is looked up and nothing is
kept, so that an environment can call them one quarter at a time and a batched twin can mirror them array by array.
All values are in US dollars.

**Nothing is lost.** Orders are settled against cash at their prices, and costs come out of cash, so value before is
value after plus costs to the last rounding, however the orders were found and however little of them was filled.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from alfred.backtest import _account_kernels as kernels
from alfred.backtest.costs import OrderCosts, Rates, order_costs
from alfred.core.contracts import Floats


class State(NamedTuple):
    """What an account holds.

    Attributes:
        cash: dollars, below zero where borrowed.
        shares: (S,) of the traded price series, negative for short.
        price: (S,) last price of each; any number where there are no shares.
    """

    cash: float
    shares: Floats
    price: Floats

    @property
    def held(self) -> Floats:
        """(S,) value of each name."""
        return self.shares * self.price

    @property
    def worth(self) -> float:
        """Value of the account."""
        return self.cash + float(self.held.sum())


class Market(NamedTuple):
    """What a rebalancing meets.

    Attributes:
        price: (S,) at the fill, NaN where there is no quote.
        most: (S,) largest order in dollars: infinite without a limit, 0 where the name cannot be traded.
        rates: of what orders cost.
    """

    price: Floats
    most: Floats
    rates: Rates


class Period(NamedTuple):
    """The n sessions from a fill to the next, both included.

    Attributes:
        quotes: (n, S) prices, NaN where there was none; the first row is the fill's.
        dividends: (n, S) dollars a share on the ex-date, None where prices hold them.
        credit, debit: (n,) rates of the sessions for cash above and below zero; the first is not used.
        borrow: (S,) fee of a session on the value sold short at the close before.
        ends: (S,) row at which the name is delisted, n or more where it is not; at least 1 where held.
        delisting_return: (S,) from the last price to what holders got.
    """

    quotes: Floats
    dividends: Floats | None
    credit: Floats
    debit: Floats
    borrow: Floats
    ends: NDArray[np.int64]
    delisting_return: Floats

    def plain(self) -> kernels.Sessions:
        """As compiled loops take it."""
        dividends = np.empty((0, self.quotes.shape[1])) if self.dividends is None else self.dividends
        quotes, dividends = np.ascontiguousarray(self.quotes), np.ascontiguousarray(dividends)
        return quotes, dividends, self.credit, self.debit, self.borrow, self.ends, self.delisting_return


class Fill(NamedTuple):
    """What a rebalancing did.

    Attributes:
        state: after it.
        orders: (S,) dollars filled, negative for sales.
        undone: (S,) dollars wanted but not filled.
        costs: by name and kind.
    """

    state: State
    orders: Floats
    undone: Floats
    costs: OrderCosts


class Held(NamedTuple):
    """What holding did; all flows are dollars, positive where the account gained.

    Attributes:
        state: at the last session's close.
        value: (n,) of the account.
        borrow: (n,) fees paid so far, positive.
        interest, dividends: received, negative where paid.
        delisted: gained (negative: lost) from last prices to what holders got.
    """

    state: State
    value: Floats
    borrow: Floats
    interest: float
    dividends: float
    delisted: float


def step(state: State, target: Floats, market: Market, period: Period) -> tuple[Fill, Held]:
    """Trade to `target`, then hold to the period's end."""
    fill = trade(state, target, market)
    return fill, hold(fill.state, period)


def trade(state: State, target: Floats, market: Market) -> Fill:
    """Trade to (S,) weights of what is left after costs, as far as the orders can be filled.

    Where sales that were not filled leave purchases without money, all purchases shrink by one factor so that no cash
    is borrowed which the target would not borrow; the factor counts the costs of the larger purchases, so it errs on
    the side of cash. The account's worth must be above zero; after it, it may not be, where its costs exceed it.
    """
    price = np.where(np.isnan(market.price), state.price, market.price)
    orders, undone, shares = np.empty_like(price), np.empty_like(price), state.shares.astype(np.float64)
    cash, *_ = kernels.settle(
        (0, 0),
        (state.cash, shares[None], price[None]),
        (target[None], market.most[None], market.rates.plain()),
        (orders, undone, np.empty_like(price)),
    )
    return Fill(State(cash, shares, price), orders, undone, order_costs(orders, market.rates))


def hold(state: State, period: Period) -> Held:
    """Hold the shares over the period: prices drift, cash earns or costs interest, names end at their last worth."""
    shares, price = state.shares.astype(np.float64), state.price.astype(np.float64)
    value, fees = np.empty(len(period.quotes)), np.empty(len(period.quotes))
    cash, interest, dividends, delisted, _ = kernels.hold_sessions(
        (state.cash, shares, price), period.plain(), (value, fees)
    )
    return Held(State(cash, shares, price), value, fees, interest, dividends, delisted)
