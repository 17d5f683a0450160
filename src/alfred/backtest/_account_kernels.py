"""Compiled steps of an account: settle the orders of a rebalancing, then hold to the next one.

Plain arrays and tuples go in, as Numba's cache on disk remembers named tuples by their class. S names, n sessions of a
period, both ends included. What the figures mean is said in `step`, `costs` and `course`.
"""

import math

import numpy as np
from numpy.typing import NDArray

from alfred.backtest._compiled import compiled
from alfred.core.contracts import Floats

Rows = NDArray[np.int64]
Which = tuple[int, int]
"""Row of the account, and row of its rebalancing."""
Holding = tuple[float, Floats, Floats]
"""Cash, (B, S) shares, (D, S) prices."""
Kept = tuple[float, Floats, Floats]
"""Cash, (S,) shares, (S,) prices."""
Rates = tuple[Floats, float, float, Floats, Floats, float]
"""(D, S) commission, its least in dollars, its most as a share, (D, S) half spread and impact, and its exponent."""
Sessions = tuple[Floats, Floats, Floats, Floats, Floats, Rows, Floats]
"""(n, S) quotes and dividends (or no row), (n,) credit and debit, (S,) borrow fee, (S,) ends and their returns."""
Wish = tuple[Floats, Floats, Rates]
"""(B, S) target weights, (D, S) largest orders, and what orders cost."""
Costs = tuple[float, float, float]
"""Commission, half spread and impact in dollars."""
Tables = tuple[Floats, tuple[Floats, ...]]
"""(2, D) growth of cash over each period on credit and on debt, and what a share of each name gives, (D, S) each."""
Accounts = tuple[Rows, Floats, Floats, Floats]
"""(B,) rebalancings, (B,) cash, (B, S) shares, (B, S) targets."""
Fills = tuple[Floats, Floats, Floats, float, float, Floats, Floats, float]
"""(D + 1, S) marks and (D, S) largest orders, then rates as above, (D, S) each."""
Market = tuple[Rows, Floats, Floats, Floats, Floats, Floats, Rows, Floats, int]
"""(D + 1,) fills, then sessions as above of all T rows, with (D, S) borrow fees; and the longest period's sessions."""
Course = tuple[Fills, Tables, Market]
Found = tuple[Floats, Floats, Floats, Floats, NDArray[np.bool_]]
"""(B,) cash, (B, S) shares, (B, S) weights after the trade, (B, 11) figures, (B,) ruined."""
Flows = tuple[float, float, float, float, float]
"""Cash at the end; interest, dividends and delistings gained; borrow fees paid."""

ROOT_STEPS = 80
"""Enough to find the value after costs by halving alone; Newton's steps need about five."""
SMALL = 1e-12
"""Share of the account below which money is rounding."""


@compiled
def _cost(size: float, row: int, name: int, rates: Rates) -> Costs:
    """Commission, half spread and impact of an order of so many dollars; all are 0 of an order of 0."""
    commission, minimum, maximum, half_spread, impact, exponent = rates
    grown = size * math.sqrt(size) if exponent == 0.5 else size ** (1.0 + exponent)
    fee = min(max(commission[row, name] * size, minimum), maximum * size)
    return fee, half_spread[row, name] * size, impact[row, name] * grown


@compiled
def costs_by_name(orders: Floats, rates: Rates) -> Floats:
    """(3, S) commission, half spread and impact of (S,) orders in dollars, at the first row of rates."""
    found = np.empty((3, len(orders)))
    for name in range(len(orders)):
        found[0, name], found[1, name], found[2, name] = _cost(abs(orders[name]), 0, name, rates)
    return found


@compiled
def _worth_after(worth: float, which: Which, held: Floats, wish: Wish) -> float:
    """The root V' of V' + cost(clip(target V' - held)) = worth within 0 and `worth`, or near 0 where there is none.

    Costs are not negative, so the left side is at least `worth` there, and the root lies below. Newton's steps that
    leave the bracket are replaced by halving, as the least and most of a commission make kinks.
    """
    (account, row), (target, most, rates) = which, wish
    commission, minimum, maximum, half_spread, impact, exponent = rates
    low, high, after, dearest = 0.0, worth, worth, min(maximum, 1.0)
    for _ in range(ROOT_STEPS):
        cost, slope = 0.0, 1.0
        for name in range(len(held)):
            full = target[account, name] * after - held[name]
            order = min(max(full, -most[row, name]), most[row, name])
            # As `_cost`, with what one dollar more would cost; one root serves both.
            size, rate = abs(order), commission[row, name]
            root = math.sqrt(size) if exponent == 0.5 else size**exponent
            fee, top, slip = rate * size, maximum * size, impact[row, name] * root
            cost += min(max(fee, minimum), top) + (half_spread[row, name] + slip) * size
            rate = rate if fee >= minimum else 0.0
            rate = dearest if top <= max(fee, minimum) else rate
            dearer = (rate + half_spread[row, name] + (1.0 + exponent) * slip) * target[account, name]
            dearer = dearer if order > 0.0 else -dearer
            slope += dearer if order == full and size > 0.0 else 0.0
        excess = after + cost - worth
        if excess > 0.0:
            high = after
        else:
            low = after
        following = after - excess / slope if slope > 0.0 else low
        if abs(following - after) <= 1e-15 * worth:
            break
        after = following if low < following < high else 0.5 * (low + high)
    return after


@compiled
def settle(
    which: Which, holding: Holding, wish: Wish, found: tuple[Floats, Floats, Floats]
) -> tuple[float, float, float, Costs]:
    """Trade an account to weights of what is left after costs; its shares become those held after it.

    Rows are told by number, not taken out: to count references to so many views would take 6% of a step.

    Args:
        which: row of shares and targets, and row of prices, largest orders and rates.
        holding: before it, at prices of the fill.
        wish: as `step.trade` takes it.
        found: (S,) filled in: orders in dollars, what was wanted but not filled, and the value held before.

    Returns:
        Cash after it, the account's worth before it, dollars traded, and what was paid of each cost.
    """
    (account, row), (cash, shares, price), (target, most, rates) = which, holding, wish
    orders, undone, held = found
    names, worth, invested = len(orders), cash, 0.0
    for name in range(names):
        held[name] = shares[account, name] * price[row, name]
        worth += held[name]
        invested += target[account, name]
    after = _worth_after(worth, which, held, wish)
    bought, sold = 0.0, 0.0
    for name in range(names):
        largest = most[row, name]
        wanted = target[account, name] * after - held[name] if largest > 0.0 else -held[name]
        orders[name] = min(max(wanted, -largest), largest)
        undone[name] = wanted - orders[name]
        bought, sold = bought + max(orders[name], 0.0), sold + max(-orders[name], 0.0)
    costs = _costs(orders, row, rates)
    money = cash + sold - (costs[0] + costs[1] + costs[2]) - min(0.0, after * (1.0 - invested))
    if bought > 0.0 and bought - money > SMALL * worth:
        filled = max(money / bought, 0.0)
        for name in range(names):
            if orders[name] > 0.0:
                undone[name] += orders[name] * (1.0 - filled)
                orders[name] *= filled
        costs = _costs(orders, row, rates)
    spent, traded = 0.0, 0.0
    for name in range(names):
        order = orders[name]
        if order != 0.0:
            spent, traded = spent + order, traded + abs(order)
            shares[account, name] = 0.0 if order == -held[name] else (held[name] + order) / price[row, name]
    return cash - spent - (costs[0] + costs[1] + costs[2]), worth, traded, costs


@compiled
def _costs(orders: Floats, row: int, rates: Rates) -> Costs:
    commission, spreads, impacts = 0.0, 0.0, 0.0
    for name in range(len(orders)):
        fee, spread, impact = _cost(abs(orders[name]), row, name, rates)
        commission, spreads, impacts = commission + fee, spreads + spread, impacts + impact
    return commission, spreads, impacts


@compiled
def hold_sessions(holding: Kept, sessions: Sessions, found: tuple[Floats, Floats]) -> Flows:
    """Hold session by session; the holding's shares and prices become those of the last one.

    Args:
        holding: after the trade; a price counts where the first session has no quote.
        sessions: of the period.
        found: (n,) filled in: the account's value at each close, and borrow fees paid until then.
    """
    (cash, shares, price), (value, fees) = holding, found
    quotes, dividends, credit, debit, borrow, ends, returns = sessions
    paying, held = len(dividends) > 0, np.flatnonzero(shares)
    last = np.empty(len(held))
    value[0], fees[0] = cash, 0.0
    for at, name in enumerate(held):
        last[at] = price[name] if math.isnan(quotes[0, name]) else quotes[0, name]
        value[0] += shares[name] * last[at]
    interest, received, delisted, paid = 0.0, 0.0, 0.0, 0.0
    for session in range(1, len(quotes)):
        flow, fee, worth = 0.0, 0.0, 0.0
        for at, name in enumerate(held):
            count = shares[name]
            if count < 0.0:
                fee -= borrow[name] * count * last[at]
            if session >= ends[name]:
                if session == ends[name]:
                    flow += count * last[at] * (1.0 + returns[name])
                    delisted += count * last[at] * returns[name]
                last[at] = 0.0
                continue
            if not math.isnan(quotes[session, name]):
                last[at] = quotes[session, name]
            if paying and not math.isnan(dividends[session, name]):
                flow += count * dividends[session, name]
                received += count * dividends[session, name]
            worth += count * last[at]
        earned = cash * (credit[session] if cash > 0.0 else debit[session])
        interest, paid = interest + earned, paid + fee
        cash += earned + flow - fee
        value[session], fees[session] = cash + worth, paid
    for at, name in enumerate(held):
        price[name] = last[at]
        if ends[name] < len(quotes):
            shares[name] = 0.0
    return cash, interest, received, delisted, paid


@compiled
def marks(quotes: Floats, rows: Rows) -> Floats:
    """(R, S) the last of (T, S) quotes at or before each of the ascending rows, 1 before the first."""
    found, last, session = np.empty((len(rows), quotes.shape[1])), np.ones(quotes.shape[1]), 0
    for at, row in enumerate(rows):
        for before in range(session, row + 1):
            for name in range(len(last)):
                if not math.isnan(quotes[before, name]):
                    last[name] = quotes[before, name]
        session = row + 1
        found[at] = last
    return found


@compiled
def summarise(start: Floats, sessions: Sessions, found: tuple[Floats, ...]) -> None:
    """What a share of each name gives over a period, from sessions: see `course.Course` for each row of `found`."""
    quotes, dividends, credit, debit, borrow, ends, returns = sessions
    end, income_credit, income_debit, fee_credit, fee_debit, dividend, payout, delisted, fee, low, high = found
    paying = len(dividends) > 0
    for name in range(len(start)):
        last = start[name]
        low[name], high[name] = last, last
        for session in range(1, len(quotes)):
            charged, flow = borrow[name] * last, 0.0
            if session == ends[name]:
                flow = last * (1.0 + returns[name])
                payout[name], delisted[name] = flow, last * returns[name]
                low[name], high[name] = min(low[name], flow), max(high[name], flow)
            if session >= ends[name]:
                last = 0.0
            else:
                if not math.isnan(quotes[session, name]):
                    last = quotes[session, name]
                    low[name], high[name] = min(low[name], last), max(high[name], last)
                if paying and not math.isnan(dividends[session, name]):
                    flow = dividends[session, name]
                    dividend[name] += flow
            fee[name] += charged
            income_credit[name] = income_credit[name] * (1.0 + credit[session]) + flow
            income_debit[name] = income_debit[name] * (1.0 + debit[session]) + flow
            fee_credit[name] = fee_credit[name] * (1.0 + credit[session]) + charged
            fee_debit[name] = fee_debit[name] * (1.0 + debit[session]) + charged
        end[name] = last


@compiled
def _hold_at_once(cash: float, worth: float, which: Which, shares: Floats, tables: Tables) -> tuple[bool, float, Flows]:
    """Hold over a whole period without looking at its sessions: whether that is exact, the worth at its end, flows.

    It is where cash keeps its sign, so that all of it grows at one rate, and where the account cannot be ruined. Both
    are told by bounds: all that shares may bring or owe at once, and the worst price of every name at once.
    """
    account, period = which
    growth, (end, credit, debit, fee_credit, fee_debit, dividend, payout, delisting, fee, low, high) = tables
    gains = cash >= -SMALL * worth
    income, charges = (credit, fee_credit) if gains else (debit, fee_debit)
    left, earned, received, repaid, delisted, paid = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    due, owed, least, dearest = 0.0, 0.0, 0.0, 0.0
    for name in range(shares.shape[1]):
        count = shares[account, name]
        flow = count * (dividend[period, name] + payout[period, name])
        left += count * end[period, name]
        earned += count * income[period, name]
        received += count * dividend[period, name]
        repaid += count * payout[period, name]
        delisted += count * delisting[period, name]
        if count < 0.0:
            earned += count * charges[period, name]
            paid -= count * fee[period, name]
            owed -= flow
            dearest -= count * high[period, name]
        else:
            due += flow
            least += count * low[period, name]
    owed += paid
    fast, slow = growth[1, period], growth[0, period]
    grown = slow if gains else fast
    keeps = cash - owed >= -SMALL * worth if gains else cash + due <= 0.0
    bound = max(cash, 0.0) + least - fast * (max(-cash, 0.0) + owed + dearest)
    final = cash * grown + earned
    interest = final - cash - received - repaid + paid if grown > 1.0 else 0.0
    exact = (keeps or slow == fast) and bound > SMALL * worth
    return exact, final + left, (final, interest, received, delisted, paid)


@compiled
def step_block(block: tuple[int, int], accounts: Accounts, course: Course, found: Found) -> None:
    """Trade and hold some of the accounts, each at its own rebalancing; their part of `found` is filled in."""
    (fills, periods, market), (at, cash, shares, target) = course, accounts
    mark, most, commission, minimum, maximum, half_spread, impact, exponent = fills
    rows, quotes, dividends, credit, debit, borrow, ends, returns, longest = market
    final, held, weights, figures, ruined = found
    names = shares.shape[1]
    orders, undone, work = np.empty(names), np.empty(names), np.empty(names)
    value, fees = np.empty(longest), np.empty(longest)
    wish = target, most, (commission, minimum, maximum, half_spread, impact, exponent)
    for account in range(block[0], block[1]):
        period, worth = at[account], cash[account]
        final[account], ruined[account] = 0.0, True
        for figure in range(figures.shape[1]):
            figures[account, figure] = 0.0
        for name in range(names):
            held[account, name], weights[account, name] = shares[account, name], 0.0
            worth += shares[account, name] * mark[period, name]
        after, money, which = 0.0, 0.0, (account, period)
        if worth > 0.0:
            money, before, traded, costs = settle(which, (cash[account], held, mark), wish, (orders, undone, work))
            after = before - (costs[0] + costs[1] + costs[2])
            figures[account, 0], figures[account, 1], figures[account, 3] = before, after, traded
            figures[account, 4], figures[account, 5], figures[account, 6] = costs
        if not after > 0.0:
            held[account] = 0.0
            continue
        for name in range(names):
            weights[account, name] = held[account, name] * mark[period, name] / after
        exact, worth, flows = _hold_at_once(money, after, which, held, periods)
        row, end = rows[period], rows[period + 1]
        if exact:
            for name in range(names):
                if ends[name] <= end:
                    held[account, name] = 0.0
        else:
            work[:] = mark[period]
            sessions = (
                quotes[row : end + 1], dividends[row : end + 1], credit[row : end + 1], debit[row : end + 1],
                borrow[period], ends - row, returns,
            )  # fmt: skip
            flows = hold_sessions((money, held[account], work), sessions, (value, fees))
            worth = value[end - row] if value[: end + 1 - row].min() > 0.0 else 0.0
        final[account], figures[account, 7], figures[account, 8], figures[account, 9], figures[account, 10] = flows
        if worth > 0.0:
            figures[account, 2], ruined[account] = worth, False
        else:
            final[account], held[account] = 0.0, 0.0
