"""An account with every friction and limit: the engine's loop over rebalancings, one pure step each.

`engine.run_account` knows one rate for all trades and one fee for all shorts, and is about ten times as fast; it stays
what studies use by default. Where both can do the same they agree to rounding, which a test asserts.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from alfred.backtest.conditions import Conditions, cash_growth, market_at, period_at
from alfred.backtest.contracts import Account
from alfred.backtest.engine import Rows, check_rows, check_weights
from alfred.backtest.limits import project
from alfred.backtest.settings import FrictionSettings, LimitSettings
from alfred.backtest.step import Market, Period, State, hold, trade
from alfred.core.contracts import Bars, Floats
from alfred.core.errors import DataError

Decide = Callable[[int, Floats], Floats]
"""From the number of rebalancings done and the (S,) weights held before this one to its (S,) target weights."""

INDEX_VOLUME_USD = 1e12
"""Dollar volume a day that an index is taken to trade: an account in it is in the most liquid tier."""


@dataclass(frozen=True)
class Reality:
    """What an account meets: frictions, limits and the market's conditions."""

    frictions: FrictionSettings = field(default_factory=FrictionSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    conditions: Conditions = field(default_factory=Conditions)

    def of_index(self, sessions: int) -> Self:
        """The same for an account in one market index: no limits, no ends, and more volume than an order can need."""
        volume = np.full((sessions, 1), INDEX_VOLUME_USD)
        conditions = Conditions(dollar_volume=volume, cash_rate=self.conditions.cash_rate)
        return replace(self, limits=LimitSettings(), conditions=conditions)

    def columns(self, at: NDArray[np.int64]) -> Self:
        """The same for some names, by column."""
        return replace(self, conditions=self.conditions.columns(at))


@dataclass(frozen=True)
class RealisticAccount:
    """An account, and where its money went; dollars, (R,) by rebalancing that was done.

    Flows of the period in which an account is ruined run to that period's end.

    Attributes:
        account: in units of the initial capital, as the engine gives it.
        commission, spread, impact: paid at each rebalancing.
        interest, dividends, delisted: gained while holding from it to the next, negative where lost.
        borrow: fees paid while holding.
        undone: (R, S) value wanted but not filled, negative for sales.
        weights: (R, S) held after each rebalancing.
    """

    account: Account
    commission: Floats
    spread: Floats
    impact: Floats
    interest: Floats
    dividends: Floats
    delisted: Floats
    borrow: Floats
    undone: Floats
    weights: Floats


def run_realistic(bars: Bars, weights: Floats, rows: Rows, reality: Reality) -> RealisticAccount:
    """Run an account of `capital_usd` in cash from the first rebalancing to the last bar.

    Args:
        bars: (T, S) prices, NaN for no quote; `total` is traded, or `close` where dividends are given.
        weights: (R, S) target weights, negative for short, before limits.
        rows: (R,) rows of `bars` at whose price the account trades, ascending.
        reality: what it meets.

    Raises:
        DataError: shapes disagree, weights are not finite, rows are not ascending or outside the bars, a table that a
            friction or limit needs is absent, or a price that is used is zero, negative or infinite.
    """
    check_weights(bars, weights, rows)
    return run_decided(bars, rows, reality, lambda done, _held: weights[done])


def run_decided(
    bars: Bars, rows: Rows, reality: Reality, decide: Decide, *, decided: Rows | None = None
) -> RealisticAccount:
    """As `run_realistic`, with targets that are asked for one rebalancing at a time.

    Args:
        bars, rows, reality: as there.
        decide: is called once at each rebalancing until the last, or until the account is ruined.
        decided: (R,) rows at whose close it decides, none after its fill nor before the fill of the one before. It is
            told what the trade before left, at the prices of that close: dividends, interest and fees since are not
            counted, delistings are. By default it is told the account at the fill itself, a price that a decision of
            the day before could not know.

    Raises:
        DataError: as `run_realistic`, what `decide` gives being held to the same rules; or a decision has no such row.
    """
    frictions, conditions = reality.frictions, reality.conditions
    check_rows(bars, rows)
    if decided is not None and (
        decided.shape != rows.shape or (decided > rows).any() or (decided[1:] < rows[:-1]).any()
    ):
        raise DataError(f"{len(rows)} fills need as many rows of decisions, each between the fill before and its own.")
    conditions.check(bars, frictions)
    names, first, last = len(bars.symbols), int(rows[0]), len(bars.dates) - 1
    growth = cash_growth(len(bars.dates), frictions, conditions)
    state, value = State(frictions.capital_usd, np.zeros(names), np.ones(names)), np.zeros(last - first + 1)
    lines: list[tuple[float, ...]] = []
    undone, after = np.zeros((len(rows), names)), np.zeros((len(rows), names))
    ruined: int | None = None
    bought = state
    for done, (row, end) in enumerate(pairwise([*rows.tolist(), last])):
        market, borrow = market_at(bars, row, frictions, conditions)
        known = state
        if decided is not None and done:
            known = _moved(
                bought, period_at(bars, (int(rows[done - 1]), int(decided[done])), frictions, conditions, borrow)
            )
        wanted = decide(done, known.held / known.worth if known.worth > 0.0 else np.zeros(names))
        check_weights(bars, wanted[None], rows[done : done + 1])
        fill = trade(state, allowed(wanted, state, market, reality), market)
        bought, worth, traded = fill.state, fill.state.worth, float(np.abs(fill.orders).sum())
        costs = [float(part.sum()) for part in fill.costs]
        undone[done] = fill.undone
        if worth <= 0.0:
            lines.append((*costs, traded / state.worth, 0.0, 0.0, 0.0, 0.0, 0.0))
            ruined = row
            break
        after[done] = fill.state.held / worth
        held = hold(fill.state, period_at(bars, (row, end), reality.frictions, conditions, borrow))
        if not np.isfinite(held.value).all():
            raise DataError(f"a price from {bars.dates[row]} to {bars.dates[end]} is infinite; quarantine that bar.")
        broke = int(np.argmax(held.value <= 0.0)) if held.value.min() <= 0.0 else len(held.value)
        value[row - first : row - first + broke] = held.value[:broke]
        fees = float(held.borrow[min(broke, len(held.value) - 1)])
        idle = fill.state.cash * (growth[end] / growth[row] - 1.0)
        lines.append((*costs, traded / worth, held.interest, held.dividends, held.delisted, fees, idle))
        if broke < len(held.value):
            value[row - first + broke :], ruined = 0.0, row + broke
            break
        state = held.state
    commission, spread, impact, turnover, interest, dividends, delisted, fees_paid, earnable = np.array(lines).T
    paid = {"commission": commission, "spread": spread, "impact": impact, "borrow": fees_paid}
    paid["cash spread"] = earnable - interest
    return RealisticAccount(
        account=Account(
            dates=bars.dates[first:],
            value=value / frictions.capital_usd,
            turnover=turnover,
            costs=(commission + spread + impact) / frictions.capital_usd,
            borrow=float(fees_paid.sum()) / frictions.capital_usd,
            rebalanced=bars.dates[rows[: len(lines)]],
            ruined_on=None if ruined is None else str(bars.dates[ruined].astype("datetime64[D]")),
            paid={kind: dollars / frictions.capital_usd for kind, dollars in paid.items() if dollars.any()},
            weights=after[: len(lines)],
        ),
        commission=commission,
        spread=spread,
        impact=impact,
        interest=interest,
        dividends=dividends,
        delisted=delisted,
        borrow=fees_paid,
        undone=undone[: len(lines)],
        weights=after[: len(lines)],
    )


def _moved(state: State, period: Period) -> State:
    """What only prices and delistings make of a state."""
    nothing = np.zeros_like(period.credit)
    free = period._replace(dividends=None, credit=nothing, debit=nothing, borrow=np.zeros_like(period.borrow))
    return hold(state, free).state


def allowed(target: Floats, state: State, market: Market, reality: Reality) -> Floats:
    """(S,) the target within the limits, among the names that can be traded and are held or wanted; the rest is 0.

    What is held but cannot be traded is not counted: limits are of the target, and the account may exceed them by it.
    """
    wanted: Floats = np.where(market.most > 0.0, target, 0.0)
    at = np.flatnonzero((market.most > 0.0) & ((wanted != 0.0) | (state.shares != 0.0)))
    sectors = reality.conditions.sectors
    wanted[at] = project(
        wanted[at],
        reality.limits,
        sectors=None if sectors is None else sectors[at],
        held=state.held[at] / state.worth,
    )
    return wanted
