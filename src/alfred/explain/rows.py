"""Which rows of a panel a figure is about."""

from collections.abc import Sequence

import numpy as np

from alfred.core.contracts import Bools
from alfred.core.errors import DataError
from alfred.core.settings import suggestion
from alfred.panel.panel import Panel


def chosen_rows(
    panel: Panel,
    symbols: Sequence[str] | None = None,
    since: np.datetime64 | None = None,
    until: np.datetime64 | None = None,
) -> Bools:
    """(D, S) listed rows of some symbols and dates, whether or not their label is known.

    Args:
        panel: where they are.
        symbols: default all.
        since, until: first and last decision date, both included; default all.

    Raises:
        DataError: the panel lacks a symbol, or no row is left.
    """
    absent = next((symbol for symbol in symbols or () if symbol not in panel.symbols), None)
    if absent is not None:
        raise DataError(f"the panel holds no {absent}; {suggestion(absent, panel.symbols)}")
    dates = np.ones(len(panel.dates), np.bool_)
    if since is not None:
        dates &= panel.dates >= since
    if until is not None:
        dates &= panel.dates <= until
    names = np.ones(len(panel.symbols), np.bool_) if symbols is None else np.isin(panel.symbols, list(symbols))
    rows = panel.listed & dates[:, None] & names
    if not rows.any():
        raise DataError(
            f"no name of the basket was listed on a decision date from {since or panel.dates[0]} to "
            f"{until or panel.dates[-1]}; the panel's dates run from {panel.dates[0]} to {panel.dates[-1]}."
        )
    return rows
