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


@dataclass(frozen=True)
class WindowMaker:
    """Turns dates of a panel into windows, with a scaler and columns that training rows alone decided.

    Attributes:
        panel: where values come from.
        scaler: fitted on the training rows.
        used: (F,) columns that training rows hold at least one value of.
        indicated: (F,) columns whose absence from some training rows has an indicator column.
        quarters: L, history of a row.
    """

    panel: Panel
    scaler: Scaler
    used: Bools
    indicated: Bools
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
        """
        listed = panel.listed[np.ix_(dates, _positions(panel, symbols))]
        rows = panel.values[np.ix_(dates, _positions(panel, symbols))][listed]
        rules = scaling_rules(panel.features, settings.scaling)
        scaler = fit_scaler(panel.features, rules, rows, settings.scaled_bound, settings.clip)
        missing = np.isnan(rows)
        used = missing.sum(axis=0) < len(rows)
        # Columns that are missing in the same rows share one indicator, named after the first of them.
        pattern, first = np.unique(missing, axis=1, return_index=True)
        partly = (pattern.sum(axis=0) > 0) & (pattern.sum(axis=0) < len(rows))
        indicated = np.zeros(len(panel.features), np.bool_)
        indicated[first[partly]] = True
        return cls(panel, scaler, used, indicated, quarters)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the windows: used features, then indicators."""
        names = np.array(self.panel.features, dtype=object)
        return (*names[self.used], *(f"{INDICATOR}{name}" for name in names[self.indicated]))

    def windows(self, dates: NDArray[np.int64], symbols: tuple[str, ...], target: str, labelled: bool) -> Windows:
        """The listed rows of some dates and symbols, ordered by date, then symbol.

        Args:
            dates: positions in the panel.
            labelled: keep only rows whose label is known, and include it; otherwise rows carry no label.

        Raises:
            DataError: no row is left.
        """
        label = self.panel.labels.of(target)
        place = _positions(self.panel, symbols)
        wanted = self.panel.listed[np.ix_(dates, place)]
        if labelled:
            wanted = wanted & np.isfinite(label[np.ix_(dates, place)])
        row, column = np.nonzero(wanted)
        at_date, at_symbol = dates[row], place[column]
        if not len(at_date):
            raise DataError(
                f"no {'labelled ' if labelled else ''}rows for {len(symbols)} symbol(s) on {len(dates)} date(s); "
                "the period lies outside the data, or the names were not listed in it."
            )
        back = at_date[:, None] + np.arange(1 - self.quarters, 1)
        seen = (back >= 0) & self.panel.listed[np.maximum(back, 0), at_symbol[:, None]]
        scaled = self.scaler.transform(self.panel.values[np.maximum(back, 0), at_symbol[:, None]])
        scaled[~seen] = 0.0
        missing = np.isnan(scaled)
        cells = np.concatenate([np.where(missing, 0.0, scaled)[..., self.used], missing[..., self.indicated]], axis=2)
        return Windows(
            x=cells.astype(np.float32),
            seen=seen,
            columns=self.columns,
            dates=self.panel.dates[at_date],
            symbols=np.array(self.panel.symbols)[at_symbol],
            target=target,
            horizon_quarters=self.panel.labels.horizon_quarters,
            y=label[at_date, at_symbol] if labelled else None,
        )


def _positions(panel: Panel, symbols: tuple[str, ...]) -> NDArray[np.int64]:
    place = {symbol: at for at, symbol in enumerate(panel.symbols)}
    absent = [symbol for symbol in symbols if symbol not in place]
    if absent:
        raise DataError(f"the panel holds no {', '.join(absent)}; it holds {', '.join(panel.symbols)}.")
    return np.array([place[symbol] for symbol in symbols], np.int64)
