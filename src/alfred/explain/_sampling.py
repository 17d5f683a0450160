"""Any analyst that forecasts: Shapley values by sampled orders of its columns.

In a random order the columns of a background row are replaced by the row's own, one after the other; what each changes
of the forecast is a draw of its Shapley value (Castro, Gomez and Tejada 2009, Computers and Operations Research 36;
Strumbelj and Kononenko 2014). Each order is also taken backwards (antithetic: Mitchell et al. 2022, JMLR 23). The
changes of one order add up to forecast less background forecast by construction; to the mean over the background they
are brought by regression on that known sum. A column's quarters change together.
"""

import numpy as np

from alfred.core.contracts import FittedAnalyst, Windows
from alfred.explain._parts import SAMPLING, Parts, Told, with_known_sum
from alfred.explain.attribution import masked


def sampled_parts(  # noqa: PLR0917 - as the other methods, and two numbers
    fitted: FittedAnalyst, windows: Windows, background: Windows, told: Told, orders: int, seed: int
) -> Parts:
    """Values (N, 1, F) by `orders` orders a row, rounded up to an even number."""
    columns = len(windows.columns)
    values, errors = np.empty((len(windows), 1, columns)), np.empty((len(windows), columns))
    history = np.empty(len(windows))
    random = np.random.default_rng(seed)
    seen = windows.seen
    for at in range(len(windows)):
        others = masked(background, seen[at])
        begins = float(fitted.predict(others).mean.mean())
        draws = _changes(fitted, windows.rows(np.array([at])), others, -(-orders // 2), random)
        own, residuals = with_known_sum(draws, float(told.rows[at]) - begins)
        values[at, 0], errors[at] = own, residuals.std(axis=0) / np.sqrt(len(draws))
        history[at] = begins - told.base
    return Parts(SAMPLING, values, history, errors)


def _changes(
    fitted: FittedAnalyst, row: Windows, others: Windows, pairs: int, random: np.random.Generator
) -> np.ndarray:
    """(pairs, F) what each column changes, mean of an order and the same backwards."""
    columns = len(row.columns)
    x, chosen = row.x[0], others.x[random.permutation(np.arange(pairs) % len(others))]
    orders = np.stack([random.permutation(columns) for _ in range(pairs)])
    found = np.zeros((pairs, columns))
    for turned in (orders, orders[:, ::-1]):
        mixed = np.repeat(chosen[:, None], columns + 1, axis=1)  # (pairs, F + 1, L, F)
        for step in range(1, columns + 1):
            mixed[:, step] = mixed[:, step - 1]
            mixed[np.arange(pairs), step, :, turned[:, step - 1]] = x[:, turned[:, step - 1]].T
        steps = np.diff(_forecasts(fitted, row, mixed.reshape(-1, *x.shape)).reshape(pairs, columns + 1), axis=1)
        np.put_along_axis(found, turned, np.take_along_axis(found, turned, 1) + steps / 2, 1)
    return found


def _forecasts(fitted: FittedAnalyst, row: Windows, x: np.ndarray) -> np.ndarray:
    rows = len(x)
    return fitted.predict(
        Windows.of(
            x=x,
            seen=np.broadcast_to(row.seen, (rows, row.quarters)).copy(),
            columns=row.columns,
            dates=np.repeat(row.dates, rows),
            symbols=np.repeat(row.symbols, rows),
            target=row.target,
            horizon_quarters=row.horizon_quarters,
        )
    ).mean
