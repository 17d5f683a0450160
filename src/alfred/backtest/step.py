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

from alfred.backtest.costs import OrderCosts, Rates, order_costs, total_cost
from alfred.core.contracts import Floats

ROOT_STEPS = 80
"""Enough to find the value after costs by halving alone; Newton's steps need about five."""


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
    held, worth = state.shares * price, state.cash + float((state.shares * price).sum())
    after = _worth_after(worth, target, held, market)
    wanted = np.where(market.most > 0.0, target * after - held, -held)
    orders = np.clip(wanted, -market.most, market.most)
    bought, sold = float(orders.clip(min=0.0).sum()), float(-orders.clip(max=0.0).sum())
    floor = min(0.0, after * (1.0 - float(target.sum())))
    money = state.cash + sold - total_cost(orders, market.rates) - floor
    if bought > 0.0 and bought - money > 1e-12 * worth:
        orders = np.where(orders > 0.0, orders * max(money / bought, 0.0), orders)
    costs = order_costs(orders, market.rates)
    paid = float(sum(part.sum() for part in costs))
    closed = orders == -held
    shares = np.where(
        orders == 0.0, state.shares, np.where(closed, 0.0, (held + orders) / np.where(price > 0, price, 1.0))
    )
    return Fill(State(state.cash - float(orders.sum()) - paid, shares, price), orders, wanted - orders, costs)


def hold(state: State, period: Period) -> Held:
    """Hold the shares over the period: prices drift, cash earns or costs interest, names end at their last worth."""
    sessions, at = len(period.quotes), np.flatnonzero(state.shares)
    count, quotes = state.shares[at], period.quotes[:, at]
    quotes[0] = np.where(np.isnan(quotes[0]), state.price[at], quotes[0])
    _carry_forward(quotes)
    flows, lost = np.zeros(sessions), 0.0
    given = None if period.dividends is None else np.nan_to_num(period.dividends[:, at])
    for name in np.flatnonzero(period.ends[at] < sessions).tolist():
        end = int(period.ends[at[name]])
        last, gain = count[name] * quotes[end - 1, name], period.delisting_return[at[name]]
        flows[end] += last * (1.0 + gain)
        lost += last * gain
        quotes[end:, name] = 0.0
        if given is not None:
            given[end:, name] = 0.0
    dividends = np.zeros(sessions) if given is None else given @ count
    dividends[0] = 0.0
    fees = np.zeros(sessions)
    fees[1:] = quotes[:-1] @ (np.minimum(count, 0.0) * -period.borrow[at])
    cash, interest = _cash(state.cash, flows + dividends - fees, period)
    shares, price = state.shares.copy(), state.price.copy()
    shares[at[period.ends[at] < sessions]] = 0.0
    price[at] = quotes[-1]
    return Held(
        state=State(float(cash[-1]), shares, price),
        value=cash + quotes @ count,
        borrow=np.cumsum(fees),
        interest=interest,
        dividends=float(dividends.sum()),
        delisted=float(lost),
    )


def _cash(start: float, flows: Floats, period: Period) -> tuple[Floats, float]:
    """(n,) cash by session, and the interest in it; a session's rate is for the balance of the close before."""
    if not (period.credit.any() or period.debit.any()):
        return start + np.cumsum(flows), 0.0
    cash, interest, path = start, 0.0, [start]
    for flow, credit, debit in zip(
        flows[1:].tolist(), period.credit[1:].tolist(), period.debit[1:].tolist(), strict=True
    ):
        earned = cash * (credit if cash > 0.0 else debit)
        interest += earned
        cash += earned + flow
        path.append(cash)
    return np.array(path), interest


def _worth_after(worth: float, target: Floats, held: Floats, market: Market) -> float:
    """The root V' of V' + cost(clip(target V' - held)) = worth within 0 and `worth`, or near 0 where there is none.

    Costs are not negative, so the left side is at least `worth` there, and the root lies below. Newton's steps that
    leave the bracket are replaced by halving, as the least and most of a commission make kinks.
    """
    low, high, after = 0.0, worth, worth
    for _ in range(ROOT_STEPS):
        full = target * after - held
        orders = np.clip(full, -market.most, market.most)
        excess = after + total_cost(orders, market.rates) - worth
        low, high = (low, after) if excess > 0.0 else (after, high)
        slope = 1.0 + float((_marginal(orders, market.rates) * np.sign(orders) * target)[orders == full].sum())
        following = after - excess / slope if slope > 0.0 else low
        if abs(following - after) <= 1e-15 * worth:
            break
        after = following if low < following < high else 0.5 * (low + high)
    return after


def _marginal(orders: Floats, rates: Rates) -> Floats:
    """(S,) cost of one dollar more."""
    size = np.abs(orders)
    commission = np.where(rates.commission * size >= rates.minimum_usd, rates.commission, 0.0)
    capped = rates.maximum * size <= np.maximum(rates.commission * size, rates.minimum_usd)
    commission = np.where(capped, min(rates.maximum, 1.0), commission)
    return commission + rates.half_spread + (1.0 + rates.exponent) * rates.impact * size**rates.exponent


def _carry_forward(quotes: Floats) -> None:
    """Fill gaps with the last quote before them, in place."""
    gaps = np.flatnonzero(np.isnan(quotes.sum(axis=0)))
    if not gaps.size:
        return
    column = quotes[:, gaps]
    source = np.where(np.isnan(column), 0, np.arange(len(quotes))[:, None])
    quotes[:, gaps] = np.take_along_axis(column, np.maximum.accumulate(source, axis=0), axis=0)
