"""From a panel to the rows that analysts see."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alfred.core.contracts import Bools, Windows
from alfred.core.errors import DataError
from alfred.panel.panel import Panel
from alfred.panel.scaling import Scaler, fit_scaler, scaling_rules
from alfred.panel.settings import PanelSettings

INDICATOR = "missing:"

_CHUNK = 16_384
"""Cells scaled at a time, so that no second copy of all of them stands in memory in double precision."""


@dataclass(frozen=True)
class WindowMaker:
    """Turns dates of a panel into windows, with a scaler and columns that training rows alone decided.

    Attributes:
        panel: where values come from.
        scaler: fitted on the training rows.
        used: (F,) columns that training rows hold at least one value of.
        indicators: (I) groups of positions of columns, each missing in the same training rows; a group has one
            indicator column, named after its first, which is 1 where any of the group is missing.
        quarters: L, history of a row.
    """

    panel: Panel
    scaler: Scaler
    used: Bools
    indicators: tuple[NDArray[np.int64], ...]
    quarters: int

    @classmethod
    def fit(
        cls,
        panel: Panel,
        dates: NDArray[np.int64],
        symbols: tuple[str, ...],
        settings: PanelSettings,
        quarters: int = 1,
    ) -> "WindowMaker":
        """Learn the scaler from the listed rows of the training dates and symbols.

        Args:
            dates: positions of the training dates in the panel.
            symbols: training basket.
            quarters: L, history of a row. It may reach back before the training dates: what lies there was known.
        """
        rows = panel.values[_listed(panel, dates, symbols)]
        rules = scaling_rules(panel.features, settings.scaling)
        scaler = fit_scaler(panel.features, rules, rows, settings.scaled_bound, settings.clip)
        missing = np.isnan(rows)
        absent = missing.sum(axis=0)
        partly = np.flatnonzero((absent > 0) & (absent < len(rows)))
        return cls(panel, scaler, absent < len(rows), _alike(missing, partly), quarters)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the windows: used features, then indicators."""
        names = self.panel.features
        used = (names[at] for at in np.flatnonzero(self.used))
        return (*used, *(f"{INDICATOR}{names[group[0]]}" for group in self.indicators))

    def windows(self, dates: NDArray[np.int64], symbols: tuple[str, ...], target: str, labelled: bool) -> Windows:
        """The listed rows of some dates and symbols, ordered by date, then symbol.

        They hold the cells that these rows look at and no others: nothing of a later date comes along.

        Args:
            dates: positions in the panel.
            labelled: keep only rows whose label is known, and include it; otherwise rows carry no label.

        Raises:
            DataError: no row is left.
        """
        label = self.panel.labels.of(target)
        at_date, at_symbol = _listed(self.panel, dates, symbols)
        if labelled:
            known = np.isfinite(label[at_date, at_symbol])
            at_date, at_symbol = at_date[known], at_symbol[known]
        if not len(at_date):
            raise DataError(
                f"no {'labelled ' if labelled else ''}rows for {len(symbols)} symbol(s) on {len(dates)} date(s); "
                "the period lies outside the data, or the names were not listed in it."
            )
        index, cells = self._cells(at_date, at_symbol)
        return Windows(
            cells=cells,
            index=index,
            columns=self.columns,
            dates=self.panel.dates[at_date],
            symbols=np.array(self.panel.symbols)[at_symbol],
            target=target,
            horizon_quarters=self.panel.labels.horizon_quarters,
            y=label[at_date, at_symbol] if labelled else None,
        )

    def unmarked(self, dates: NDArray[np.int64], symbols: tuple[str, ...]) -> dict[str, float]:
        """Columns that training rows always held and these rows lack, with the share of the rows that do.

        Such a value is the training centre and has no indicator: a column that never varied in training has nothing
        to teach, and a network's weight for it would be what it was drawn as. It can only be told of.
        """
        rows = self.panel.values[_listed(self.panel, dates, symbols)]
        always = self.used.copy()
        for group in self.indicators:
            always[group] = False
        names = np.array(self.panel.features, dtype=object)[always]
        shares = np.isnan(rows[:, always]).sum(axis=0) / max(len(rows), 1)
        return {name: float(share) for name, share in zip(names, shares, strict=True) if share > 0}

    def _cells(
        self, at_date: NDArray[np.int64], at_symbol: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """(N, L) index of the cells that rows look at, and these (C, columns), each once, after the empty cell."""
        listed = self.panel.listed
        index = np.empty((len(at_date), self.quarters), np.int32)
        for column in range(self.quarters):
            date = at_date - (self.quarters - 1 - column)
            seen = (date >= 0) & listed[np.maximum(date, 0), at_symbol]
            index[:, column] = np.where(seen, date * listed.shape[1] + at_symbol + 1, 0)
        looked_at = np.zeros(listed.size + 1, np.bool_)
        looked_at[index] = True
        looked_at[0] = False
        row_of = np.cumsum(looked_at, dtype=np.int32)
        return row_of[index], self._scaled(np.flatnonzero(looked_at) - 1)

    def _scaled(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """(C, columns): the empty cell, then those at `places` in the flattened panel, with their indicators."""
        used = int(self.used.sum())
        cells = np.zeros((len(places) + 1, len(self.columns)), np.float32)
        for start in range(0, len(places), _CHUNK):
            part = slice(start, start + _CHUNK)
            values = self.panel.values[np.unravel_index(places[part], self.panel.listed.shape)]
            missing = np.isnan(values)
            chunk = cells[1:][part]
            chunk[:, :used] = np.where(missing, 0.0, self.scaler.transform(values))[:, self.used]
            for column, group in enumerate(self.indicators):
                chunk[:, used + column] = missing[:, group].any(axis=1)
        return cells


def _listed(
    panel: Panel, dates: NDArray[np.int64], symbols: tuple[str, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of dates and of symbols of the listed rows, by date, then symbol."""
    place = _positions(panel, symbols)
    row, column = np.nonzero(panel.listed[np.ix_(dates, place)])
    return dates[row], place[column]


def _alike(missing: Bools, columns: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    """Some of the columns of `missing` (N, F), equal ones together, ordered by the first of each group."""
    groups: dict[bytes, list[int]] = {}
    for column in columns.tolist():
        groups.setdefault(np.packbits(missing[:, column]).tobytes(), []).append(column)
    return tuple(np.array(group) for group in groups.values())


def _positions(panel: Panel, symbols: tuple[str, ...]) -> NDArray[np.int64]:
    place = {symbol: at for at, symbol in enumerate(panel.symbols)}
    absent = [symbol for symbol in symbols if symbol not in place]
    if absent:
        raise DataError(f"the panel holds no {', '.join(absent)}; it holds {', '.join(panel.symbols)}.")
    return np.array([place[symbol] for symbol in symbols], np.int64)
