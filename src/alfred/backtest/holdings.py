"""What an account held at the beginning of each period, and what each name returned over it."""

import numpy as np

from alfred.backtest._account_kernels import marks
from alfred.backtest.contracts import Account
from alfred.backtest.engine import Rows
from alfred.backtest.realistic import Reality
from alfred.core.calendar import Dates
from alfred.core.contracts import Bars, Floats
from alfred.core.errors import DataError


def period_returns(bars: Bars, edges: Rows, reality: Reality | None) -> Floats:
    """(K, S) total return of each name between K + 1 rows; NaN before a name's first price.

    Gaps carry the last price on. What a delisting paid is in the period in which it did, and nothing comes after.

    Args:
        bars: (T, S) prices.
        edges: (K + 1,) rows, ascending.
        reality: says who was delisted, and what that paid; None where nobody is.
    """
    level = _marks(bars.total, edges)
    if reality is not None and reality.conditions.delisted is not None:
        ends, paid = reality.conditions.delisted, reality.conditions.delisting_return
        for name in np.flatnonzero((ends > 0) & (ends < len(bars.dates))):
            quoted = np.flatnonzero(np.isfinite(bars.total[: ends[name], name]))
            known = np.nan if paid is None else paid[name]
            got = reality.frictions.delisting_return if np.isnan(known) else known
            if len(quoted):
                level[edges >= ends[name], name] = bars.total[quoted[-1], name] * (1.0 + got)
    # Whose holders got nothing has nothing left to return.
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = level[1:] / level[:-1] - 1.0
    return found


def weights_at(account: Account, bars: Bars, starts: Dates, reality: Reality | None) -> Floats:
    """(K, S) weights that an account held after the trade of each session, drifted where it did not trade.

    Args:
        account: whose weights were kept.
        bars: (T, S) prices that it traded.
        starts: (K,) sessions of the account, none before its first.
        reality: what it met; None for plain costs.

    Raises:
        DataError: its weights were not kept or are of other names.
    """
    if account.weights is None or account.weights.shape[1] != len(bars.symbols):
        raise DataError(f"an account of these {len(bars.symbols)} names with its weights was expected.")
    last = np.searchsorted(account.rebalanced, starts, side="right") - 1
    weights: Floats = account.weights[last].copy()
    idle = account.rebalanced[last] != starts
    if not idle.any():
        return weights
    bought, now = (np.searchsorted(bars.dates, dates[idle]) for dates in (account.rebalanced[last], starts))
    edges = np.unique(np.concatenate([bought, now]))
    quotes = bars.total if reality is None else reality.conditions.prices(bars)
    price = _marks(quotes, edges)
    if reality is not None and reality.conditions.delisted is not None:
        price[edges[:, None] >= reality.conditions.delisted] = 0.0
    value = account.value[np.searchsorted(account.dates, np.stack([account.rebalanced[last[idle]], starts[idle]]))]
    then, today = price[np.searchsorted(edges, bought)], price[np.searchsorted(edges, now)]
    held = weights[idle] != 0.0
    grown = np.divide(today, then, out=np.zeros_like(today), where=held)
    weights[idle] *= grown * (value[0] / value[1])[:, None]
    return weights


def _marks(quotes: Floats, rows: Rows) -> Floats:
    """(R, S) the last quote at or before each row, NaN before the first."""
    found = marks(np.ascontiguousarray(quotes), rows.astype(np.int64))
    quoted = np.isfinite(quotes)
    first = np.where(quoted.any(axis=0), quoted.argmax(axis=0), len(quotes))
    found[rows[:, None] < first] = np.nan
    return found
