"""From the lake to a panel."""

import fnmatch

import numpy as np
import polars as pl

from alfred.core.calendar import Dates, decision_dates
from alfred.core.contracts import Floats
from alfred.core.errors import ConfigError, DataError
from alfred.core.settings import suggestion
from alfred.panel.catalogue import Feature, catalogue, column
from alfred.panel.history import BarHistory
from alfred.panel.labels import labels
from alfred.panel.panel import Panel
from alfred.panel.settings import PanelSettings
from alfred.panel.sources import Sources
from alfred.panel.tables import Tables

KNOWS_LATER = "a level of prices that were adjusted backwards knows later splits and dividends"


def build_panel(tables: Tables, settings: PanelSettings, levels_usable: bool) -> Panel:
    """Compute every selected column and all labels on all decision dates that the bars span.

    Args:
        tables: of the lake.
        settings: which columns, horizon, staleness.
        levels_usable: False where prices were adjusted backwards, so that levels know later splits; they are then
            left out unless asked for by their exact names.

    Raises:
        DataError: the bars span no whole quarter.
        ConfigError: a pattern matches no column.
    """
    bars, market = tables.bars, tables.market
    sessions = bars["date"].to_numpy().astype("datetime64[D]")
    first, last = sessions.min(), sessions.max()
    dates = decision_dates(first, last)
    if len(dates) <= settings.horizon_quarters:
        raise DataError(
            f"the bars from {first} to {last} span {len(dates)} quarter end(s); a label {settings.horizon_quarters} "
            f"quarter(s) ahead needs at least {settings.horizon_quarters + 1}. Widen the dates."
        )
    history = BarHistory.of(bars, market, dates, settings.stale_sessions)
    sources = Sources(dates, history.symbols, history, tables, settings.fill_days, settings.digester)
    chosen, left_out = select(settings, levels_usable)
    for name in [name for name, reason in left_out.items() if reason == KNOWS_LATER]:
        if not np.isfinite(column(sources, catalogue()[name])).any():
            left_out[name] = _missing(name)
    columns = {feature.name: column(sources, feature) for feature in chosen}
    for name in [name for name, values in columns.items() if not np.isfinite(values).any()]:
        del columns[name]
        left_out[name] = _missing(name)
    if not columns:
        raise DataError("none of the selected features has a single value; choose others or bring more data.")
    return Panel(
        dates=dates,
        symbols=history.symbols,
        features=tuple(columns),
        values=np.stack(list(columns.values()), axis=2),
        listed=history.listed,
        labels=labels(history, _level_on(market, dates), settings.horizon_quarters),
        left_out=left_out,
    )


def select(settings: PanelSettings, levels_usable: bool) -> tuple[list[Feature], dict[str, str]]:
    """The columns that the settings name, and those left out with the reason."""
    known = catalogue()
    for pattern in (*settings.features, *settings.exclude):
        if not fnmatch.filter(known, pattern):
            raise ConfigError(f"panel.features: no column matches {pattern!r}; {suggestion(pattern, known)}")
    chosen, left_out = [], {}
    for name, feature in known.items():
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in settings.features):
            left_out[name] = "not selected"
        elif any(fnmatch.fnmatchcase(name, pattern) for pattern in settings.exclude):
            left_out[name] = "excluded by the study"
        elif feature.is_level and not levels_usable and name not in settings.features:
            left_out[name] = KNOWS_LATER
        else:
            chosen.append(feature)
    return chosen, left_out


def _missing(name: str) -> str:
    return f"missing everywhere: the data hold nothing for it ({', '.join(catalogue()[name].tables)})"


def _level_on(market: pl.DataFrame, dates: Dates) -> Floats:
    """(D,) market level on each date itself, NaN where the index has no value that day."""
    values = dict(zip(market["date"].to_numpy().astype("datetime64[D]").tolist(), market["value"], strict=True))
    return np.array([values.get(date, np.nan) for date in dates.tolist()], np.float64)
