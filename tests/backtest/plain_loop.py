"""The engine's result computed the slow and obvious way: day by day, name by name, roots by bisection."""

import math
from dataclasses import dataclass


@dataclass
class PlainAccount:
    value: list[float]
    gross: list[float]
    before: list[float]
    cost: list[float]
    fees: float
    ruined: bool


def plain_account(prices, weights, rows, cost_bps, borrow_bps_per_year):
    """(T, S) prices with NaN gaps, (R, S) weights; values from rows[0] to the end, and the gross exposure beside."""
    sessions, names = len(prices), range(len(prices[0]))
    rate, daily = cost_bps / 10_000, borrow_bps_per_year / 10_000 / 252
    wanted = {int(row): list(map(float, w)) for row, w in zip(rows, weights, strict=True)}
    shares, last, cash = [0.0 for _ in names], [math.nan for _ in names], 1.0
    account = PlainAccount([], [], [], [], 0.0, False)
    for t in range(int(rows[0]), sessions):
        fee = daily * sum(-shares[s] * last[s] for s in names if shares[s] < 0)
        account.fees += 0.0 if account.ruined else fee
        cash -= fee
        for s in names:
            if not math.isnan(prices[t][s]):
                last[s] = float(prices[t][s])
        held = [shares[s] * last[s] if shares[s] else 0.0 for s in names]
        value = cash + math.fsum(held)
        account.ruined = account.ruined or value <= 0
        if not account.ruined and t in wanted:
            target = [0.0 if math.isnan(prices[t][s]) else wanted[t][s] for s in names]
            after = _root(value, target, held, rate)
            account.before.append(value)
            account.cost.append(value - after)
            account.ruined = after <= 0
            shares = [target[s] * after / last[s] if target[s] else 0.0 for s in names]
            held = [target[s] * after for s in names]
            cash, value = after - math.fsum(held), after
        account.value.append(0.0 if account.ruined else value)
        account.gross.append(sum(map(abs, held)))
    return account


def _root(value, target, held, rate):
    """The root of an increasing function, between 0 and `value`; 0 when it lies below."""

    def excess(after):
        return after + rate * math.fsum(abs(w * after - h) for w, h in zip(target, held, strict=True)) - value

    low, high = 0.0, value
    if excess(low) >= 0:
        return 0.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    return high
