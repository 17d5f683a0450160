"""A course of rebalancings in tables: what accounts meet at each, and what holding gives from one to the next.

For an environment, which runs many accounts over the same periods. What does not depend on the account is computed
once: rates and largest orders at each fill, and what a share of each name gives until the next one, so that to hold
costs a sum over names, not over sessions too. Where that would not be exact, because cash may change its sign or the
account may be ruined on the way, `step_many` goes through the sessions. Its accounts are those of
`realistic.run_realistic` to rounding, which a test asserts.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from alfred.backtest import _account_kernels as kernels
from alfred.backtest import _limit_kernels as limit_kernels
from alfred.backtest._compiled import over_blocks
from alfred.backtest.conditions import market_at, period_at
from alfred.backtest.costs import Rates
from alfred.backtest.engine import Rows, check_rows
from alfred.backtest.limits import bounds, check_sectors, numbered
from alfred.backtest.realistic import Reality
from alfred.core.contracts import Bars, Bools, Floats
from alfred.core.errors import DataError

ACCOUNTS_A_THREAD = 64
"""Fewer are done sooner than a thread starts."""


class Gains(NamedTuple):
    """What a share of each name gives over a period, (D, S) dollars each.

    A share sold short gives the negative of it, less the fee. `credit` and `debit` mean that all cash is above zero and
    earns, or below zero and costs, that rate: what a session brings grows at it until the period's end.

    Attributes:
        end: price at the period's end, 0 where the name was delisted within it.
        income_credit, income_debit: dividends and what a delisting paid, grown.
        fee_credit, fee_debit: borrow fees, where sold short, grown.
        dividend, payout: dividends, and what a delisting paid, as they came.
        delisting: from the last price to what a delisting paid.
        fee: borrow fees as they were charged.
        low, high: lowest and highest of the prices and of what a delisting paid.
    """

    end: Floats
    income_credit: Floats
    income_debit: Floats
    fee_credit: Floats
    fee_debit: Floats
    dividend: Floats
    payout: Floats
    delisting: Floats
    fee: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Course:
    """D rebalancings of S names; a period is the sessions from one fill to the next, or to the course's end.

    Plain C-ordered arrays of float64 that hold no NaN, so that a twin on a device can take them as they are.

    Attributes:
        rows: (D + 1,) int64 rows of the bars: the fills, and the course's end.
        mark: (D + 1, S) last price at or before each, at which orders are filled and holdings valued; 1 before a name's
            first.
        told: (D, S) the same at the sessions on which targets are decided.
        most: (D, S) largest order in dollars: infinite without a limit, 0 where the name cannot be traded.
        rates: of what orders cost; (D, S) where `Rates` says (S,).
        growth: (2, D) of a dollar of cash over the period, on credit and on debt.
        gains: of shares over the period.
        borrow: (D, S) fee of a session on the value sold short at the close before.
        quotes, dividends: (T, S) of each session of the bars, NaN for none (they alone); `dividends` has no row where
            prices hold them.
        credit, debit: (T,) rates of each session on the balance of the close before.
        ends: (S,) int64 row at which a name is delisted, T or more where it is not.
        delisting_return: (S,) from the last price to what holders got.
        reality: what the tables were made of.
    """

    rows: Rows
    mark: Floats
    told: Floats
    most: Floats
    rates: Rates
    growth: Floats
    gains: Gains
    borrow: Floats
    quotes: Floats
    dividends: Floats
    credit: Floats
    debit: Floats
    ends: NDArray[np.int64]
    delisting_return: Floats
    reality: Reality

    @classmethod
    def of(cls, bars: Bars, rows: Rows, reality: Reality, *, decided: Rows | None = None) -> Self:
        """Tables of the periods between `rows`.

        Args:
            bars: (T, S) prices, as `run_realistic` takes them.
            rows: (D + 1,) rows of the fills, ascending, and last the row at which the course ends.
            reality: what accounts meet.
            decided: (D,) rows at which targets are decided, none after its fill; default the fills themselves.

        Raises:
            DataError: as `run_realistic`; or there are fewer than two rows; or a target is decided after its fill.
        """
        check_rows(bars, rows)
        decided = rows[:-1] if decided is None else decided
        if len(rows) < 2:
            raise DataError("a course needs a fill and an end; give at least two rows.")
        if decided.shape != (len(rows) - 1,) or (decided > rows[:-1]).any() or decided.min() < 0:
            raise DataError(f"{len(rows) - 1} fills need as many rows of decisions, none of them after its fill.")
        frictions, conditions = reality.frictions, reality.conditions
        conditions.check(bars, frictions)
        check_sectors(reality.limits, conditions.sectors)
        quotes = np.ascontiguousarray(conditions.prices(bars))
        wrong = np.flatnonzero(np.isinf(quotes[rows[0] : rows[-1] + 1]).any(axis=0))
        if len(wrong):
            raise DataError(f"{bars.symbols[wrong[0]]} has an infinite price; quarantine that bar.")
        mark, last = kernels.marks(quotes, rows), len(quotes) - 1
        gains, growth = np.zeros((len(Gains._fields), *mark[1:].shape)), np.ones((2, len(rows) - 1))
        met = [market_at(bars, int(row), frictions, conditions) for row in rows[:-1]]
        for at, ends_at in enumerate(pairwise(rows.tolist())):
            period = period_at(bars, ends_at, frictions, conditions, met[at][1])
            growth[:, at] = np.prod(1.0 + period.credit[1:]), np.prod(1.0 + period.debit[1:])
            kernels.summarise(mark[at], period.plain(), tuple(gains[:, at]))
        every = period_at(bars, (0, last), frictions, conditions, met[0][1])
        return cls(
            rows=rows,
            mark=mark,
            told=kernels.marks(quotes, decided),
            most=np.stack([market.most for market, _ in met]),
            rates=_by_fill([market.rates for market, _ in met]),
            growth=growth,
            gains=Gains(*gains),
            borrow=np.stack([borrow for _, borrow in met]),
            quotes=quotes,
            dividends=every.plain()[1],
            credit=every.credit,
            debit=every.debit,
            ends=every.ends,
            delisting_return=every.delisting_return,
            reality=reality,
        )

    @cached_property
    def tables(self) -> tuple[kernels.Fills, kernels.Tables, kernels.Market]:
        """As compiled loops take them."""
        return (
            (self.mark, self.most, *self.rates),
            (self.growth, tuple(self.gains)),
            (self.rows, self.quotes, self.dividends, self.credit, self.debit, self.borrow, self.ends,
             self.delisting_return, int(np.diff(self.rows).max()) + 1),
        )  # fmt: skip

    @cached_property
    def bounds(self) -> limit_kernels.Fills:
        """The limits of targets, as compiled loops take them."""
        reality = self.reality
        sectors = numbered(self.most.shape[1], reality.conditions.sectors)
        return self.mark, self.most, bounds(reality.limits), sectors


class Steps(NamedTuple):
    """What B accounts did at their rebalancings and until the next ones, all in dollars.

    An account that is ruined has nothing left: cash, shares and worth are 0, whatever it met before is told.

    Attributes:
        cash, shares: (B,) and (B, S) at the period's end.
        weights: (B, S) held after the trade, shares of `after`.
        before, after: (B,) worth before and after the trade.
        worth: (B,) at the period's end.
        traded: (B,) value of all orders.
        commission, spread, impact: (B,) paid at the trade.
        interest, dividends, delisted: (B,) gained while holding, negative where lost.
        borrow: (B,) fees paid while holding.
        ruined: (B,) whether the worth was not above zero before, after, or at a close since.
    """

    cash: Floats
    shares: Floats
    weights: Floats
    before: Floats
    after: Floats
    worth: Floats
    traded: Floats
    commission: Floats
    spread: Floats
    impact: Floats
    interest: Floats
    dividends: Floats
    delisted: Floats
    borrow: Floats
    ruined: Bools

    @property
    def costs(self) -> Floats:
        """(B,) paid at the trade."""
        return self.commission + self.spread + self.impact

    @property
    def turnover(self) -> Floats:
        """(B,) traded value over the worth after it (buying 100% counts 1); 0 where nothing is left."""
        return self.traded / np.where(self.after > 0.0, self.after, np.inf)


def step_many(course: Course, at: Rows, cash: Floats, shares: Floats, target: Floats, *, threads: int = 1) -> Steps:
    """Trade and hold B accounts, each at a rebalancing of its own; what is given is not changed.

    Args:
        course: what they meet.
        at: (B,) number of each account's rebalancing, from 0.
        cash: (B,) dollars.
        shares: (B, S), 0 of names that were delisted before.
        target: (B, S) target weights before limits.
        threads: at most so many at once; what an account does depends on none but itself.

    Raises:
        DataError: shapes disagree, a target is not finite, or there is no such rebalancing.
    """
    accounts = _accounts(course, at, cash, shares, target)
    count, wanted = len(at), np.empty(shares.shape)
    held, weights, figures = np.empty(shares.shape), np.empty(shares.shape), np.empty((count, len(Steps._fields) - 4))
    found = np.empty(count), held, weights, figures, np.empty(count, np.bool_)

    def part(first: int, stop: int) -> None:
        limit_kernels.allow_block((first, stop), accounts, course.bounds, wanted)
        kernels.step_block((first, stop), (*accounts[:3], wanted), course.tables, found)

    over_blocks(part, count, max(1, min(threads, count // ACCOUNTS_A_THREAD)))
    return Steps._make((*found[:3], *figures.T, found[4]))


def allowed_many(course: Course, at: Rows, cash: Floats, shares: Floats, target: Floats) -> Floats:
    """(B, S) the targets that `step_many` trades to: within the limits, and 0 for names that cannot be traded."""
    found = np.empty(shares.shape)
    limit_kernels.allow_block((0, len(at)), _accounts(course, at, cash, shares, target), course.bounds, found)
    return found


def _accounts(course: Course, at: Rows, cash: Floats, shares: Floats, target: Floats) -> kernels.Accounts:
    fills, names = course.most.shape
    if not (at.shape == cash.shape == shares.shape[:1] and target.shape == shares.shape == (len(at), names)):
        raise DataError(
            f"accounts of {names} names need at and cash (B,), shares and target (B, {names}), got {at.shape}, "
            f"{cash.shape}, {shares.shape} and {target.shape}."
        )
    if len(at) and not 0 <= at.min() <= at.max() < fills:
        raise DataError(f"the course has rebalancings 0 to {fills - 1}, got {at.min()} to {at.max()}.")
    if not np.isfinite(target).all():
        raise DataError("target weights must be finite; use 0 for no position.")
    plain = np.ascontiguousarray
    return plain(at), plain(cash), plain(shares), plain(target)


def _by_fill(rates: list[Rates]) -> Rates:
    return rates[0]._replace(
        commission=np.stack([part.commission for part in rates]),
        half_spread=np.stack([part.half_spread for part in rates]),
        impact=np.stack([part.impact for part in rates]),
    )
