"""What each number of a row's window adds to its forecast: values that, with the base, make the forecast."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from alfred.core.calendar import Dates
from alfred.core.contracts import Floats, Names, Windows
from alfred.core.errors import DataError

RELATIVE_GAP = 1e-3
"""Largest gap between a forecast and base plus values, in the units of `Attribution.gaps`."""
_NOTHING = 1e-9
"""A forecast nearer to zero than this is held to this instead: no forecast of a price or an account is so exact."""


@dataclass(frozen=True, eq=False)
class Attribution:
    """N forecasts, each taken apart into its base and what every number of its window adds.

    forecast = base + history + sum of values, row by row; `check` makes sure of it.

    Attributes:
        analyst: whose forecasts.
        method: how the values were found, in words.
        columns: F names.
        dates, symbols: (N,) of the rows.
        values: (N, L, F) in units of the label. Quarter L-1 is the decision date's own. L is 1 where the method does
            not tell quarters apart.
        history: (N,) what it adds that the row has less history than the background rows have; 0 for most.
        base: (N,) mean forecast of the background rows.
        forecast: (N,) what the analyst says.
        errors: (N, F) standard errors of the columns' values, from sampling; 0 where the values are exact.
        cells: (N, F) the decision quarter's own numbers, scaled as the analyst saw them.
        beside: deviations of their sampling error by which gradients missed the forecasts before they were corrected
            by the known sum, root mean square over rows; about 1 where nothing but chance parts them, 0 where nothing
            was drawn. Values that are corrected always add up; this tells whether they did beforehand.
    """

    analyst: str
    method: str
    columns: tuple[str, ...]
    dates: Dates
    symbols: Names
    values: Floats
    history: Floats
    base: Floats
    forecast: Floats
    errors: Floats
    cells: Floats
    beside: float = 0.0

    def __len__(self) -> int:
        return len(self.forecast)

    @property
    def by_column(self) -> Floats:
        """(N, F) values, summed over quarters."""
        total: Floats = self.values.sum(axis=1)
        return total

    @property
    def made(self) -> Floats:
        """(N,) what base, history and values make together."""
        total: Floats = self.base + self.history + self.by_column.sum(axis=1)
        return total

    @property
    def gaps(self) -> Floats:
        """(N,) distance of what they make from the forecast, in units of the forecast.

        Where forecasts lie closer to their base than to zero, in units of their mean distance from it: else a base of
        0.06 would let values of 0.00001 be anything.
        """
        unit = np.minimum(np.abs(self.forecast), np.abs(self.forecast - self.base).mean())
        gaps: Floats = np.abs(self.made - self.forecast) / np.maximum(unit, _NOTHING)
        return gaps

    def check(self) -> "Attribution":
        """The attribution itself, if it adds up.

        Raises:
            DataError: a row does not, or holds numbers that are not finite; the message names analyst and row.
        """
        gaps = self.gaps
        bad = ~(gaps <= RELATIVE_GAP)
        if bad.any():
            at = int(np.argmax(np.where(np.isnan(gaps), np.inf, gaps)))
            raise DataError(
                f"the values of {self.analyst} by {self.method} do not add up to its forecast in {int(bad.sum())} of "
                f"{len(self)} rows: {self.symbols[at]} on {self.dates[at]} is forecast {self.forecast[at]:.6g}, base "
                f"and values make {self.made[at]:.6g}; it cannot be explained this way, ablate it instead."
            )
        return self

    def rows(self, which: np.ndarray) -> "Attribution":
        """Some of the rows, by positions or a mask."""
        parts = ("dates", "symbols", "values", "history", "base", "forecast", "errors", "cells")
        return replace(self, **{name: getattr(self, name)[which] for name in parts})


def joined(parts: Sequence[Attribution]) -> Attribution:
    """Attributions of several fits of one analyst as one; a column that one of them lacks adds nothing there.

    Raises:
        DataError: there are none.
    """
    if not parts:
        raise DataError("there are no forecasts to explain; choose other rows.")
    columns = tuple(dict.fromkeys(name for part in parts for name in part.columns))
    quarters = max(part.values.shape[1] for part in parts)
    values: list[Floats] = []
    errors: list[Floats] = []
    cells: list[Floats] = []
    for part in parts:
        place = [columns.index(name) for name in part.columns]
        wide = np.zeros((len(part), quarters, len(columns)))
        wide[:, quarters - part.values.shape[1] :, place] = part.values
        values.append(wide)
        for narrow, found in ((part.errors, errors), (part.cells, cells)):
            spread = np.zeros((len(part), len(columns)))
            spread[:, place] = narrow
            found.append(spread)
    flat = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("dates", "symbols", "history", "base", "forecast")
    }
    return Attribution(
        parts[0].analyst,
        parts[0].method,
        columns,
        values=np.concatenate(values),
        errors=np.concatenate(errors),
        cells=np.concatenate(cells),
        beside=max(part.beside for part in parts),
        **flat,
    )


def masked(background: Windows, seen: np.ndarray) -> Windows:
    """The background rows as if they had the history of one row: unseen quarters are empty.

    Args:
        background: rows of L quarters.
        seen: (L,) which of them the row has.
    """
    x = np.where(seen[None, :, None], background.x, np.float32(0))
    return Windows.of(
        x=x,
        seen=np.broadcast_to(seen, (len(background), len(seen))).copy(),
        columns=background.columns,
        dates=background.dates,
        symbols=background.symbols,
        target=background.target,
        horizon_quarters=background.horizon_quarters,
    )
