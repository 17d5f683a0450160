"""The account's step in torch, differentiable: many accounts, each at its own rebalancing, with every friction.

A twin of `backtest.step` on the tables of a `backtest.course.Course`. B accounts, S names, n sessions of a period;
float64 on any device. Orders are of the worth V' that is left after costs, the root of V' + cost(target V' - held) = V.
It is found without a gradient; one Newton step from it with a gradient then leaves its value and, to first order, has
the derivative that the implicit function theorem gives.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from alfred.backtest._account_kernels import ROOT_STEPS, SMALL
from alfred.backtest.course import Course

Rates = tuple[Tensor, Tensor, Tensor]
"""(B, S) commission, half spread and impact."""


class Tables(NamedTuple):
    """A course's tables on a device; (D, S) unless said otherwise, as `Course` and `Gains` describe them.

    Attributes:
        rows: (D + 1,) fills and the end.
        mark, most, commission, half_spread, impact, borrow: at each fill; mark is (D + 1, S).
        minimum_usd, maximum, exponent: of costs.
        growth: (2, D).
        end, income, fees, dividend, payout, delisting, fee, low, high: of a share over the period; income and fees are
            (2, D, S), on credit and on debt.
        alive: (D, S) whether the name is not delisted by the period's end.
        quotes: (T, S) last price at or before each session, 0 before the first.
        dividends: (T, S), 0 for none.
        credit, debit: (T,).
        ends: (S,) rows of delistings.
        delisting_return: (S,).
        longest: sessions of the longest period, both ends included.
    """

    rows: Tensor
    mark: Tensor
    most: Tensor
    commission: Tensor
    half_spread: Tensor
    impact: Tensor
    borrow: Tensor
    minimum_usd: float
    maximum: float
    exponent: float
    growth: Tensor
    end: Tensor
    income: Tensor
    fees: Tensor
    dividend: Tensor
    payout: Tensor
    delisting: Tensor
    fee: Tensor
    low: Tensor
    high: Tensor
    alive: Tensor
    quotes: Tensor
    dividends: Tensor
    credit: Tensor
    debit: Tensor
    ends: Tensor
    delisting_return: Tensor
    longest: int

    @classmethod
    def of(cls, course: Course, device: torch.device) -> "Tables":
        """Copy a course's tables to a device."""
        gains, rates = course.gains, course.rates
        quotes = course.quotes
        source = np.where(np.isnan(quotes), 0, np.arange(len(quotes))[:, None])
        filled = np.nan_to_num(np.take_along_axis(quotes, np.maximum.accumulate(source, axis=0), axis=0))
        none = not len(course.dividends)

        def put(values: np.typing.NDArray[np.generic]) -> Tensor:
            return torch.tensor(values, device=device)

        return cls(
            rows=put(course.rows), mark=put(course.mark), most=put(course.most), commission=put(rates.commission),
            half_spread=put(rates.half_spread), impact=put(rates.impact), borrow=put(course.borrow),
            minimum_usd=rates.minimum_usd, maximum=rates.maximum, exponent=rates.exponent, growth=put(course.growth),
            end=put(gains.end), income=put(np.stack([gains.income_credit, gains.income_debit])),
            fees=put(np.stack([gains.fee_credit, gains.fee_debit])), dividend=put(gains.dividend),
            payout=put(gains.payout), delisting=put(gains.delisting), fee=put(gains.fee), low=put(gains.low),
            high=put(gains.high), alive=put(course.ends > course.rows[1:, None]), quotes=put(filled),
            dividends=put(np.zeros((0, quotes.shape[1])) if none else np.nan_to_num(course.dividends)),
            credit=put(course.credit), debit=put(course.debit), ends=put(course.ends),
            delisting_return=put(course.delisting_return), longest=int(np.diff(course.rows).max()) + 1,
        )  # fmt: skip


class Traded(NamedTuple):
    """Accounts after a rebalancing: dollars, (B,) or (B, S)."""

    cash: Tensor
    shares: Tensor
    traded: Tensor
    commission: Tensor
    spread: Tensor
    impact: Tensor


class Kept(NamedTuple):
    """Accounts at the period's end: dollars, (B,) or (B, S); `solvent` (B,) whether no close found them worthless."""

    cash: Tensor
    shares: Tensor
    worth: Tensor
    interest: Tensor
    dividends: Tensor
    delisted: Tensor
    borrow: Tensor
    solvent: Tensor


def trade(tables: Tables, at: Tensor, cash: Tensor, shares: Tensor, target: Tensor) -> Traded:
    """Trade to (B, S) weights of what is left after costs, as far as orders can be filled."""
    price, most = tables.mark[at], tables.most[at]
    rates = tables.commission[at], tables.half_spread[at], tables.impact[at]
    held = shares * price
    worth = cash + held.sum(dim=1)
    after = _worth_after(tables, (rates, most), worth, target, held)
    wanted = torch.where(most > 0.0, target * after[:, None] - held, -held)
    orders = torch.minimum(torch.maximum(wanted, -most), most)
    bought, sold = orders.clamp(min=0.0).sum(dim=1), -orders.clamp(max=0.0).sum(dim=1)
    floor = (after * (1.0 - target.sum(dim=1))).clamp(max=0.0)
    money = cash + sold - sum(_costs(tables, rates, orders)) - floor
    short = (bought > 0.0) & (bought - money > SMALL * worth)
    filled = (money / torch.where(short, bought, 1.0)).clamp(min=0.0)
    orders = torch.where(short[:, None] & (orders > 0.0), orders * filled[:, None], orders)
    commission, spread, impact = _costs(tables, rates, orders)
    left = (held + orders) / price
    # What was not traded keeps its bits; the derivative is that of an order all the same.
    untouched = (torch.where(orders == 0.0, shares, left) - left).detach()
    return Traded(
        cash=cash - orders.sum(dim=1) - commission - spread - impact,
        shares=left + untouched,
        traded=orders.abs().sum(dim=1),
        commission=commission,
        spread=spread,
        impact=impact,
    )


def _costs(tables: Tables, rates: Rates, orders: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B,) commission, half spread and impact of (B, S) orders."""
    commission, half_spread, impact = rates
    size = orders.abs()
    fee = torch.minimum((commission * size).clamp(min=tables.minimum_usd), tables.maximum * size)
    return fee.sum(dim=1), (half_spread * size).sum(dim=1), (impact * size ** (1.0 + tables.exponent)).sum(dim=1)


def _slope(tables: Tables, rates: Rates, orders: Tensor, full: Tensor, target: Tensor) -> Tensor:
    """(B,) derivative of V' + cost(clip(target V' - held)) by V'."""
    commission, half_spread, impact = rates
    size = orders.abs()
    fee = commission * size
    rate = torch.where(fee >= tables.minimum_usd, commission, 0.0)
    capped = tables.maximum * size <= fee.clamp(min=tables.minimum_usd)
    rate = torch.where(capped, min(tables.maximum, 1.0), rate)
    rate = rate + half_spread + (1.0 + tables.exponent) * impact * size**tables.exponent
    return 1.0 + torch.where(orders == full, rate * orders.sign() * target, 0.0).sum(dim=1)


def _worth_after(tables: Tables, met: tuple[Rates, Tensor], worth: Tensor, target: Tensor, held: Tensor) -> Tensor:
    """(B,) root V' of V' + cost(clip(target V' - held)) = worth; `met` are rates and (B, S) largest orders."""
    rates, most = met

    def excess_at(after: Tensor, target: Tensor, held: Tensor, worth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        full = target * after[:, None] - held
        orders = torch.minimum(torch.maximum(full, -most), most)
        return after + sum(_costs(tables, rates, orders)) - worth, orders, full

    with torch.no_grad():
        low, high, after = torch.zeros_like(worth), worth, worth
        done = torch.zeros_like(worth, dtype=torch.bool)
        for _ in range(ROOT_STEPS):
            excess, orders, full = excess_at(after, target, held, worth)
            over = excess > 0.0
            low, high = torch.where(over, low, after), torch.where(over, after, high)
            slope = _slope(tables, rates, orders, full, target)
            following = torch.where(slope > 0.0, after - excess / slope.clamp(min=1e-300), low)
            done = done | ((following - after).abs() <= 1e-15 * worth)
            if bool(done.all()):
                break
            inside = (low < following) & (following < high)
            after = torch.where(done, after, torch.where(inside, following, 0.5 * (low + high)))
    if not torch.is_grad_enabled():
        return after
    excess, orders, full = excess_at(after, target, held, worth)
    with torch.no_grad():
        slope = _slope(tables, rates, orders, full, target)
    # The residual is rounding, so that only its derivative counts.
    return after - (excess - excess.detach()) / torch.where(slope > 0.0, slope, 1.0)


def hold(tables: Tables, at: Tensor, cash: Tensor, shares: Tensor) -> Kept:
    """Hold over each account's period: a sum over names where that is exact, session by session where it is not."""
    kept, exact = _at_once(tables, at, cash, shares)
    if bool(exact.all()):
        return kept
    slow = torch.nonzero(~exact)[:, 0]
    found = _by_session(tables, at[slow], cash[slow], shares[slow])
    return Kept(*(every.index_copy(0, slow, part) for every, part in zip(kept, found, strict=True)))


def _at_once(tables: Tables, at: Tensor, cash: Tensor, shares: Tensor) -> tuple[Kept, Tensor]:
    """A whole period by the sums of its tables, and (B,) whether that is exact.

    It is where cash keeps its sign, so that all of it grows at one rate, and where the account cannot be ruined. Both
    are told by bounds, as in the compiled step: all that shares may bring or owe at once, and every name's worst price
    at once.
    """
    worth = cash + (shares * tables.mark[at]).sum(dim=1)
    gains = cash >= -SMALL * worth
    kind = (~gains).long()
    sold = _sold(shares)
    dividends = (shares * tables.dividend[at]).sum(dim=1)
    repaid = (shares * tables.payout[at]).sum(dim=1)
    borrow = -(sold * tables.fee[at]).sum(dim=1)
    earned = (shares * tables.income[kind, at]).sum(dim=1) + (sold * tables.fees[kind, at]).sum(dim=1)
    slow, fast = tables.growth[0, at], tables.growth[1, at]
    grown = torch.where(gains, slow, fast)
    final = cash * grown + earned
    with torch.no_grad():
        flow = shares * (tables.dividend[at] + tables.payout[at])
        due = torch.where(shares > 0.0, flow, 0.0).sum(dim=1)
        owed = -torch.where(shares < 0.0, flow, 0.0).sum(dim=1) + borrow
        least = (shares.clamp(min=0.0) * tables.low[at]).sum(dim=1)
        dearest = -(sold * tables.high[at]).sum(dim=1)
        keeps = torch.where(gains, cash - owed >= -SMALL * worth, cash + due <= 0.0) | (slow == fast)
        bound = cash.clamp(min=0.0) + least - fast * ((-cash).clamp(min=0.0) + owed + dearest)
    kept = Kept(
        cash=final,
        shares=torch.where(tables.alive[at], shares, 0.0),
        worth=final + (shares * tables.end[at]).sum(dim=1),
        interest=torch.where(grown > 1.0, final - cash - dividends - repaid + borrow, 0.0),
        dividends=dividends,
        delisted=(shares * tables.delisting[at]).sum(dim=1),
        borrow=borrow,
        solvent=torch.ones_like(keeps),
    )
    return kept, keeps & (bound > SMALL * worth)


def _sold(shares: Tensor) -> Tensor:
    """(B, S) those sold short; without a derivative at 0, where clamp would have that of a short position."""
    return -(-shares).relu()


def _by_session(tables: Tables, at: Tensor, cash: Tensor, shares: Tensor) -> Kept:
    """Session by session, as rates of interest need where cash changes its sign."""
    first, last = tables.rows[at], tables.rows[at + 1]
    steps = torch.arange(tables.longest, device=at.device)
    rows = first[:, None] + steps
    within = rows <= last[:, None]
    rows = torch.minimum(rows, last[:, None])
    prices = torch.cat([tables.mark[at][:, None], tables.quotes[rows[:, 1:]]], dim=1)
    gone = rows[..., None] >= tables.ends
    held = torch.einsum("bns,bs->bn", torch.where(gone, 0.0, prices), shares)
    before = torch.where(gone, 0.0, prices)[:, :-1]
    zero = torch.zeros_like(cash)[:, None]
    fees = torch.cat([zero, -torch.einsum("bns,bs->bn", before, _sold(shares) * tables.borrow[at])], dim=1)
    ending = (rows[:, 1:, None] == tables.ends) & within[:, 1:, None]
    lost = torch.einsum("bns,bs->bn", ending * before, shares * tables.delisting_return)
    paid = torch.cat([zero, torch.einsum("bns,bs->bn", ending * before, shares) + lost], dim=1)
    given = torch.zeros_like(fees)
    if len(tables.dividends):
        given = torch.einsum("bns,bs->bn", torch.where(gone, 0.0, tables.dividends[rows]), shares)
        given = torch.cat([zero, given[:, 1:]], dim=1)
    flows = torch.where(within, given + paid - fees, 0.0)
    credit, debit = (torch.where(within, rate[rows], 0.0) for rate in (tables.credit, tables.debit))
    path, interest = [cash], torch.zeros_like(cash)
    for session in range(1, tables.longest):
        earned = path[-1] * torch.where(path[-1] > 0.0, credit[:, session], debit[:, session])
        interest = interest + earned
        path.append(path[-1] + earned + flows[:, session])
    value = torch.stack(path, dim=1) + held
    return Kept(
        cash=path[-1],
        shares=torch.where(tables.alive[at], shares, 0.0),
        worth=value[:, -1],
        interest=interest,
        dividends=torch.where(within, given, 0.0).sum(dim=1),
        delisted=lost.sum(dim=1),
        borrow=torch.where(within, fees, 0.0).sum(dim=1),
        solvent=value.min(dim=1).values > 0.0,
    )
