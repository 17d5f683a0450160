"""The engine: target weights and bars in, the account's value day by day out, with costs and borrow fees.

Between rebalancings share counts are fixed, so a quarter of account values is one product, prices @ shares + cash.

**Cost is solved together with the target.** At a rebalancing the account is worth V and holds the values h. After
it, worth V', it holds exactly the weights w of V', and the cost of that very trade is what it lost:

    V' + c * sum |w V' - h| = V,        c = cost_bps / 10,000

Two simpler conventions are common: cost on the pre-cost target (V' = V - c * sum |w V - h|, weights hold, but the cost
is that of another trade), and cost from cash (w V is bought and the cost taken from what is left, so that a fully
invested account is geared and its cash below zero). `docs/backtest.md` says by how much they differ.

**No quote.** A target in a name without a quote at the fill stays in cash. A held name whose quotes stop is carried at
its last price; at the next rebalancing it is turned to cash at that price, at the usual cost.
"""

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from alfred.backtest.contracts import Account
from alfred.backtest.settings import SESSIONS_PER_YEAR, CostSettings
from alfred.core.calendar import Dates
from alfred.core.contracts import Bars, Bools, Floats
from alfred.core.errors import DataError

Rows = NDArray[np.int64]
BPS = 1e-4


def run_account(bars: Bars, weights: Floats, rows: Rows, costs: CostSettings) -> Account:
    """Run an account of 1 in cash from the first rebalancing to the last bar.

    Args:
        bars: (T, S) prices; `total` is traded, so dividends are reinvested (and owed by shorts). NaN is no quote.
        weights: (R, S) target weights, negative for short; what is left of 1 is cash, which earns nothing.
        rows: (R,) rows of `bars` at whose price the account trades, ascending.
        costs: of trades, and of shorts: each session charges the short value of the close before.

    Returns:
        The account from `rows[0]` on. Once its value is not above zero it is ruined: 0 from that session on, and it
        trades no more, so that `rebalanced` may be shorter than `rows`.

    Raises:
        DataError: shapes disagree, weights are not finite, rows are not ascending or outside the bars, gross exposure
            is so large that its cost has no solution, or a price that is used is zero, negative or infinite.
    """
    _check(bars, weights, rows, costs)
    target, price = _tradable(bars, weights, rows)
    first, last = int(rows[0]), len(bars.dates) - 1
    cost, borrow = costs.cost_bps * BPS, costs.borrow_bps_per_year * BPS / SESSIONS_PER_YEAR
    value = np.zeros(last - first + 1)
    turnover, paid, fees = np.zeros(len(rows)), np.zeros(len(rows)), np.zeros(len(rows))
    worth, held = 1.0, np.zeros(len(bars.symbols))
    ruined: int | None = None
    done = 0
    for row, end in pairwise([*rows.tolist(), last]):
        after = _after_costs(worth, target[done], held, cost)
        if after <= 0.0:
            turnover[done], paid[done], ruined = np.abs(held).sum() / worth, worth, row
            value[row - first] = 0.0
            done += 1
            break
        bought = target[done] * after
        traded = float(np.abs(bought - held).sum())
        turnover[done], paid[done] = traded / after, cost * traded
        values, held, charged = _hold(bars, row, end, bought / price[done], borrow)
        values += after - bought.sum()
        done += 1
        if charged is not None:
            values -= charged
        if values.min() <= 0.0:
            broke = int(np.argmax(values <= 0.0))
            ruined = row + broke
            value[row - first : ruined - first] = values[:broke]
            fees[done - 1] = 0.0 if charged is None else float(charged[broke])
            break
        value[row - first : end - first + 1] = values
        fees[done - 1] = 0.0 if charged is None else float(charged[-1])
        worth = float(values[-1])
    return Account(
        dates=bars.dates[first:],
        value=value,
        turnover=turnover[:done],
        costs=paid[:done],
        borrow=float(sum(fees.tolist())),
        rebalanced=bars.dates[rows[:done]],
        ruined_on=None if ruined is None else str(bars.dates[ruined].astype("datetime64[D]")),
        paid={"trading": paid[:done], "borrow": fees[:done]},
        weights=target[:done],
    )


def execution_rows(dates: Dates, decisions: Dates, lag_sessions: int) -> tuple[Rows, Bools]:
    """Rows of `dates` at which decisions are filled.

    Args:
        dates: (T,) sessions of the bars.
        decisions: (D,) decision dates, ascending.
        lag_sessions: sessions from decision to fill.

    Returns:
        rows: (K,) fill rows of the decisions that are kept, and
        kept: (D,) False for decisions whose fill would lie after the last bar.

    Raises:
        DataError: a decision date is no session of the bars, or the decisions do not ascend.
    """
    sessions, wanted = dates.astype("datetime64[D]"), decisions.astype("datetime64[D]")
    place = np.searchsorted(sessions, wanted)
    found = place < len(sessions)
    found[found] = sessions[place[found]] == wanted[found]
    if not found.all():
        span = f"{sessions[0]} to {sessions[-1]}" if len(sessions) else "none"
        raise DataError(
            f"{wanted[~found][0]} is a decision date but no session of the bars ({int((~found).sum())} such dates; "
            f"bars: {span}); take decision dates from the bars' own sessions."
        )
    if (np.diff(place) <= 0).any():
        raise DataError("decision dates must ascend without repeats.")
    rows = place.astype(np.int64) + lag_sessions
    kept = rows < len(sessions)
    return rows[kept], kept


def check_weights(bars: Bars, weights: Floats, rows: Rows) -> None:
    """Refuse target weights and fill rows that do not fit the bars.

    Raises:
        DataError: shapes disagree, weights are not finite, or rows are not ascending or outside the bars.
    """
    names = len(bars.symbols)
    if rows.ndim != 1 or weights.shape != (len(rows), names):
        raise DataError(
            f"{rows.shape} rebalancing rows and {names} symbols need weights of shape ({len(rows)}, {names}), "
            f"got {weights.shape}."
        )
    check_rows(bars, rows)
    gross = np.abs(weights).sum(axis=1)
    if not np.isfinite(gross).all():
        at = int(np.flatnonzero(~np.isfinite(gross))[0])
        raise DataError(f"weights must be finite; those for {bars.dates[rows[at]]} are not. Use 0 for no position.")


def check_rows(bars: Bars, rows: Rows) -> None:
    """Refuse fill rows that are not ascending or outside the bars.

    Raises:
        DataError: they are, or there are none.
    """
    sessions = len(bars.dates)
    if rows.ndim != 1 or not len(rows):
        raise DataError("there is no rebalancing; the bars must hold at least one fill session.")
    if rows[0] < 0 or rows[-1] >= sessions or (np.diff(rows) <= 0).any():
        raise DataError(
            f"rebalancing rows must ascend without repeats within 0 to {sessions - 1}, "
            f"got {int(rows.min())} to {int(rows.max())}."
        )


def _check(bars: Bars, weights: Floats, rows: Rows, costs: CostSettings) -> None:
    check_weights(bars, weights, rows)
    gross = np.abs(weights).sum(axis=1)
    if costs.cost_bps * BPS * gross.max() >= 1.0:
        raise DataError(
            f"a gross exposure of {gross.max():g} at cost_bps {costs.cost_bps:g} costs more than the account; "
            "lower one of them."
        )


def _tradable(bars: Bars, weights: Floats, rows: Rows) -> tuple[Floats, Floats]:
    """Targets (R, S), 0 where there is no quote, and prices (R, S), 1 where the target is 0."""
    price = bars.total[rows]
    target = np.where(np.isnan(price), 0.0, weights)
    price[target == 0.0] = 1.0
    wrong = np.argwhere((price <= 0.0) | (price == np.inf))
    if len(wrong):
        at, name = wrong[0]
        raise DataError(
            f"the price of {bars.symbols[name]} on {bars.dates[rows[at]]} is {price[at, name]:g}, but must be above "
            "zero and finite; quarantine that bar."
        )
    return target, price


def _after_costs(worth: float, target: Floats, held: Floats, cost: float) -> float:
    """The root V' of V' + cost * sum |target V' - held| = worth; below zero where the trade cannot be paid for.

    The left side is convex, piecewise linear and, while cost * gross < 1, increasing. Newton's steps, which solve the
    equation for the signs of the present trades, therefore fall from V to the root and reach it after finitely many
    pieces; rounding ends them too, as each step must be lower than the last.
    """
    if cost == 0.0:
        return worth
    after = worth
    while True:
        sign = np.sign(target * after - held)
        lower = float((worth + cost * (sign @ held)) / (1.0 + cost * (sign @ target)))
        if not lower < after:
            return after
        after = lower


@np.errstate(invalid="ignore")
def _hold(bars: Bars, row: int, end: int, shares: Floats, borrow: float) -> tuple[Floats, Floats, Floats | None]:
    """Hold `shares` from `row` to `end`, both included: n sessions.

    Returns:
        (n,) value of all shares; (S,) value of each name in the last session; (n,) borrow fees so far, None where
        there are none.
    """
    block, at = bars.total[row : end + 1], np.flatnonzero(shares)
    # The product over all names needs no copy, but fails where unheld names have no quote, and is slow for a few held.
    whole = 4 * at.size >= shares.size and not math.isnan(block[0].sum())
    quotes, count = (block, shares) if whole else (block.take(at, axis=1), shares[at])
    values = quotes @ count
    # Missing prices are looked for only where the product shows one: a pass over all prices would cost more than it.
    # Filled prices keep their places in the product, so that a later gap does not even alter how earlier days round.
    if not math.isfinite(values.sum()):
        quotes = _copied(bars.total, slice(row, end + 1)) if whole else quotes
        _carry_forward(quotes)
        values = quotes @ count
        if not np.isfinite(values).all():
            raise DataError(
                f"a price between {bars.dates[row]} and {bars.dates[end]} is infinite; quarantine that bar."
            )
    held = np.zeros_like(shares)
    held[at] = (quotes[-1, at] if whole else quotes[-1]) * shares[at]
    if borrow == 0.0 or count.min(initial=0.0) >= 0.0:
        return values, held, None
    fees = np.zeros_like(values)
    np.cumsum(-borrow * (quotes[:-1] @ np.minimum(count, 0.0)), out=fees[1:])
    return values, held, fees


def _copied(prices: Floats, span: slice) -> Floats:
    """A copy of some rows that a product rounds alike: of few rows it depends on whether columns follow closely."""
    rows = span.stop - span.start
    copy: Floats = np.empty_like(prices[: rows + 1])[:rows]
    copy[:] = prices[span]
    return copy


def _carry_forward(quotes: Floats) -> None:
    """Fill gaps with the last quote before them, in place; the first row is the fill and has none."""
    gaps = np.flatnonzero(np.isnan(quotes.sum(axis=0)))
    column = quotes[:, gaps]
    source = np.where(np.isnan(column), 0, np.arange(len(quotes))[:, None])
    quotes[:, gaps] = np.take_along_axis(column, np.maximum.accumulate(source, axis=0), axis=0)
