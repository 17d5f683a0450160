"""The account step in plain array operations, by which the compiled one is judged: first numpy's own code, kept."""

import numpy as np

from alfred.backtest.costs import OrderCosts
from alfred.backtest.step import Fill, Held, State

ROOT_STEPS = 80


def plain_costs(orders, rates):
    """Costs by name and kind."""
    size = np.abs(orders)
    commission = np.minimum(np.maximum(rates.commission * size, rates.minimum_usd), rates.maximum * size)
    return OrderCosts(
        commission=np.where(size > 0.0, commission, 0.0),
        spread=rates.half_spread * size,
        impact=rates.impact * size ** (1.0 + rates.exponent),
    )


def total(orders, rates):
    """Sum of all costs."""
    return float(sum(part.sum() for part in plain_costs(orders, rates)))


def plain_trade(state, target, market):
    """As `step.trade`."""
    price = np.where(np.isnan(market.price), state.price, market.price)
    held, worth = state.shares * price, state.cash + float((state.shares * price).sum())
    after = _worth_after(worth, target, held, market)
    wanted = np.where(market.most > 0.0, target * after - held, -held)
    orders = np.clip(wanted, -market.most, market.most)
    bought, sold = float(orders.clip(min=0.0).sum()), float(-orders.clip(max=0.0).sum())
    floor = min(0.0, after * (1.0 - float(target.sum())))
    money = state.cash + sold - total(orders, market.rates) - floor
    if bought > 0.0 and bought - money > 1e-12 * worth:
        orders = np.where(orders > 0.0, orders * max(money / bought, 0.0), orders)
    costs = plain_costs(orders, market.rates)
    paid = float(sum(part.sum() for part in costs))
    closed = orders == -held
    shares = np.where(
        orders == 0.0, state.shares, np.where(closed, 0.0, (held + orders) / np.where(price > 0, price, 1.0))
    )
    return Fill(State(state.cash - float(orders.sum()) - paid, shares, price), orders, wanted - orders, costs)


def plain_hold(state, period):
    """As `step.hold`."""
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


def _cash(start, flows, period):
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


def _worth_after(worth, target, held, market):
    """The root V' of V' + cost(clip(target V' - held)) = worth within 0 and `worth`, or near 0 where there is none.

    Costs are not negative, so the left side is at least `worth` there, and the root lies below. Newton's steps that
    leave the bracket are replaced by halving, as the least and most of a commission make kinks.
    """
    low, high, after = 0.0, worth, worth
    for _ in range(ROOT_STEPS):
        full = target * after - held
        orders = np.clip(full, -market.most, market.most)
        excess = after + total(orders, market.rates) - worth
        low, high = (low, after) if excess > 0.0 else (after, high)
        slope = 1.0 + float((_marginal(orders, market.rates) * np.sign(orders) * target)[orders == full].sum())
        following = after - excess / slope if slope > 0.0 else low
        if abs(following - after) <= 1e-15 * worth:
            break
        after = following if low < following < high else 0.5 * (low + high)
    return after


def _marginal(orders, rates):
    """(S,) cost of one dollar more."""
    size = np.abs(orders)
    commission = np.where(rates.commission * size >= rates.minimum_usd, rates.commission, 0.0)
    capped = rates.maximum * size <= np.maximum(rates.commission * size, rates.minimum_usd)
    commission = np.where(capped, min(rates.maximum, 1.0), commission)
    return commission + rates.half_spread + (1.0 + rates.exponent) * rates.impact * size**rates.exponent


def _carry_forward(quotes):
    """Fill gaps with the last quote before them, in place."""
    gaps = np.flatnonzero(np.isnan(quotes.sum(axis=0)))
    if not gaps.size:
        return
    column = quotes[:, gaps]
    source = np.where(np.isnan(column), 0, np.arange(len(quotes))[:, None])
    quotes[:, gaps] = np.take_along_axis(column, np.maximum.accumulate(source, axis=0), axis=0)
