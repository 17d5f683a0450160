"""From the lake to a panel."""

import fnmatch
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from alfred.core.calendar import Dates, decision_dates
from alfred.core.contracts import Bools, Floats
from alfred.core.errors import ConfigError, DataError
from alfred.core.settings import suggestion
from alfred.panel.catalogue import Feature, catalogue, column
from alfred.panel.cross_section import CrossSection, cross_section, tells_apart
from alfred.panel.foreknown import FAMILY, foreknown
from alfred.panel.history import BarHistory
from alfred.panel.labels import labels
from alfred.panel.labels import listed as listed_on
from alfred.panel.membership import members_on
from alfred.panel.panel import Panel
from alfred.panel.settings import PanelSettings
from alfred.panel.sources import Sources
from alfred.panel.tables import Tables

NO_FLAGS: Bools = np.zeros((0, 0), np.bool_)
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
    sources = sources_of(tables, settings, dates)
    history = sources.bars
    chosen, left_out = select(settings, levels_usable)
    for name in [name for name, reason in left_out.items() if reason == KNOWS_LATER]:
        if not np.isfinite(column(sources, catalogue()[name])).any():
            left_out[name] = _missing(name)
    listed = listed_on(history, tables.actions)
    if settings.members:
        listed &= members_on(tables.members, settings.members, dates, history.symbols, listed)
    if not listed.any():
        raise DataError(
            f"no name with a price belongs to {settings.members!r} on any date; bring prices of its members."
        )
    priced = int(listed.sum())
    for feature in _required(chosen, settings.required):
        listed &= np.isfinite(column(sources, feature))
    if not listed.any():
        raise DataError(f"no name has {', '.join(settings.required)} on any date; require less, or bring more data.")
    kinds = cross_sections(chosen, settings.cross_section)
    names, cells, used = [], [], []
    for feature in chosen:
        values = column(sources, feature)
        # 0/0 is a not-a-number with another bit pattern than the one that a file gives back.
        values = np.where(listed & ~np.isnan(values), values, np.nan)
        if not np.isfinite(values).any():
            left_out[feature.name] = _missing(feature.name)
            continue
        if feature.name in kinds:
            values = _compared(feature.name, values, listed, kinds[feature.name])
        names.append(feature.name)
        used.append(feature)
        cells.append(values)
    if not cells:
        raise DataError("none of the selected features has a single value; choose others or bring more data.")
    return Panel(
        dates=dates,
        symbols=history.symbols,
        features=tuple(names),
        values=np.stack(cells, axis=2),
        listed=listed,
        labels=labels(
            history, bars, _level_on(market, dates), settings.horizon_quarters,
            volatility=column(sources, catalogue()["realised_volatility"]), actions=tables.actions,
            settings=settings.labels, universe=listed,
        ),
        left_out=left_out,
        unmet=priced - int(listed.sum()),
        foreknown=foreknown(sources, used) & listed if any(one.family == FAMILY for one in used) else NO_FLAGS,
    )  # fmt: skip


def _required(chosen: Sequence[Feature], patterns: Sequence[str]) -> list[Feature]:
    """The used columns without which a name does not count.

    Raises:
        ConfigError: a pattern matches no column.
    """
    names = [feature.name for feature in chosen]
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise ConfigError(f"panel.required: no column matches {pattern!r}; {suggestion(pattern, names)}")
    return [one for one in chosen if any(fnmatch.fnmatchcase(one.name, pattern) for pattern in patterns)]


def sources_of(tables: Tables, settings: PanelSettings, dates: Dates) -> Sources:
    """What the panel's columns are computed from, as of its decision dates."""
    history = BarHistory.of(tables.bars, tables.market, dates, settings.stale_sessions)
    return Sources(
        dates,
        history.symbols,
        history,
        tables,
        settings.fill_days,
        settings.digester,
        settings.articles,
        settings.filings_digester,
    )


def cross_sections(chosen: Sequence[Feature], wanted: Mapping[str, CrossSection]) -> dict[str, CrossSection]:
    """The columns that count among the names of their date, by the study's last matching pattern.

    Raises:
        ConfigError: a pattern matches no column.
    """
    names = [feature.name for feature in chosen]
    kinds: dict[str, CrossSection] = {}
    for pattern, kind in wanted.items():
        matching = fnmatch.filter(names, pattern)
        if not matching:
            raise ConfigError(f"panel.cross_section: no column matches {pattern!r}; {suggestion(pattern, names)}")
        kinds |= dict.fromkeys(matching, kind)
    return kinds


def _compared(name: str, values: Floats, listed: Bools, kind: CrossSection) -> Floats:
    if not tells_apart(values, listed):
        raise ConfigError(
            f"panel.cross_section: {name!r} is the same for all names on every date, so that comparing them says "
            "nothing; leave it out of the pattern."
        )
    return cross_section(values, listed, kind)


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
