"""Scenes for a portfolio manager: a finished run's forecasts beside the market as it was when they were made.

A scene begins with the first test quarter of the run. What its analysts had learnt from is worked out from the folds
and labels themselves, so that forecasts that were not made out of fold are refused by `Scene`, whatever made them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from alfred.backtest.conditions import Conditions
from alfred.backtest.realistic import Reality
from alfred.backtest.settings import FrictionSettings
from alfred.core.calendar import Dates, close_instants, decision_dates, sessions_between
from alfred.core.contracts import MAGNITUDE, TOTAL, Bars, Bools, Floats
from alfred.core.digest import digest_of
from alfred.core.errors import ConfigError, DataError
from alfred.core.home import Home
from alfred.core.settings import suggestion
from alfred.evaluation.protocols import SEALED
from alfred.experiments.conditions import conditions_of
from alfred.experiments.market import Market
from alfred.experiments.outlooks import SAYS, Said, said_by
from alfred.experiments.prepared import Inputs, prepare
from alfred.experiments.record import RunRecord, load_frame, load_record
from alfred.experiments.replay import market_of
from alfred.experiments.scene_columns import NAME_COLUMNS, market_columns, name_columns
from alfred.experiments.sectors import Sectors, for_decisions
from alfred.experiments.study import NAIVE, Study, family
from alfred.manager.contracts import Observation, Outlook, Rows, Scene
from alfred.manager.settings import ManagerSettings
from alfred.panel.panel import Panel
from alfred.universe.baskets import Baskets

LANGUAGE = ("mean_sentiment", "mean_outlook")
SIZES = (MAGNITUDE, TOTAL)
"""Labels whose forecasts are a relative change of the price, which an outlook is made of."""
FEWEST_DECISIONS = 2


@dataclass(frozen=True)
class Source:
    """What scenes and observations of a run are made from.

    Attributes:
        study, record: what was asked and found.
        market: prices as the run saw them.
        series: rows of the lake's table `series`.
        panel: features and labels of the run.
        bars: (T, S) prices of the names that were forecast.
        index: (T,) level of the market index at the same sessions, NaN before its first.
        index_known: (T,) row of the last of these levels that was known at each session's close, -1 for none.
        conditions: of the bars.
        quarters: (Q,) test quarters' decision dates.
        says: what each analyst said then, the naive one left out.
        outlook: of those that forecast a size, on the quarters.
    """

    study: Study
    record: RunRecord
    market: Market
    series: pl.DataFrame
    panel: Panel
    bars: Bars
    index: Floats
    index_known: Rows
    conditions: Conditions
    quarters: Dates
    says: tuple[Said, ...]
    outlook: Outlook


def read_source(folder: Path, home: Home, analysts: Sequence[str] = ()) -> Source:
    """Read a finished run, and the lake at the versions that it read and no further than it was shown.

    Args:
        folder: the run's.
        home: whose lake holds the prices.
        analysts: whose forecasts count; default all but the naive one.

    Raises:
        ConfigError: the run has no such analyst, or none that forecasts a size.
        DataError: the run forecast more than one quarter ahead, looked into a vault, or was made by code or data that
            give another panel now.
    """
    record = load_record(folder)
    study = Study.parse(record.settings, f"{folder.name}/run.json")
    _check_run(record, study, folder)
    inputs = _inputs(study, record, home)
    panel = prepare(study, home, inputs).panel
    if panel.digest() != record.panel.digest:
        raise DataError(f"{folder.name} was made from another panel than its data give now; run the study again.")
    forecasts = load_frame(folder, "forecasts")
    chosen = _chosen(forecasts, analysts)
    quarters = np.unique(chosen["as_of"].to_numpy().astype("datetime64[D]"))
    there = set(chosen["symbol"].unique())
    symbols = tuple(symbol for symbol in inputs.baskets.evaluation if symbol in there)
    says = said_by(chosen, quarters, symbols, panel, study=study, baskets=inputs.baskets)
    bars = inputs.market.matrix(symbols)
    return Source(
        study=study,
        record=record,
        market=inputs.market,
        series=inputs.tables.series,
        panel=panel,
        bars=bars,
        index=_index(inputs.market, bars.dates),
        index_known=index_known(inputs.market.index, bars.dates),
        conditions=conditions_of(inputs.market, bars, labels=study.panel.labels),
        quarters=quarters,
        says=says,
        outlook=_outlook(says, float(chosen["level"][0])),
    )


def scene_of(source: Source, settings: ManagerSettings) -> Scene:
    """The run's test quarters as a scene, or its months with the forecasts of the quarter carried on.

    Decisions are filled `backtest.execution.lag_sessions` of the study later; the last period ends where the next
    quarter's decision would be filled, or with the data. Forecasts of an earlier quarter stand as they were made: they
    are about the change until that quarter's end.

    Raises:
        DataError: fewer than two decisions can be filled.
        LeakError: a forecast was not made out of fold.
    """
    lag, sessions = source.study.backtest.execution.lag_sessions, source.bars.dates
    following = decision_dates(source.quarters[-1] + np.timedelta64(1, "D"), sessions[-1])
    stop = following[0] if len(following) else sessions[-1]
    dates = source.quarters if settings.rebalance == "quarterly" else _months(source.quarters[0], stop)
    end = min(int(_last_known(sessions, stop)) + (lag if len(following) else 0), len(sessions) - 1)
    decided = _last_known(sessions, dates)
    filled = decided + lag < end
    if filled.sum() < FEWEST_DECISIONS:
        raise DataError(
            f"{int(filled.sum())} of {len(dates)} decisions can be filled and held by {sessions[-1]}; a manager needs "
            f"at least {FEWEST_DECISIONS}. Test more quarters or bring longer data."
        )
    return _scene(source, settings, dates[filled], np.append(decided[filled] + lag, end))


def observation_on(
    source: Source, settings: ManagerSettings, date: np.datetime64, held: Floats | None = None
) -> Observation:
    """What a decision at the close of one session may know, with the latest forecasts made by then.

    Args:
        source: of the run.
        settings: of the manager.
        date: a session from the first test quarter on.
        held: (S,) weights before the trade; default all in cash.

    Raises:
        DataError: the date lies before the first forecasts or after the last bar.
        LeakError: the forecasts were not made out of fold.
    """
    scene = scene_on(source, settings, date)
    return scene.observe(0, np.zeros(len(source.bars.symbols)) if held is None else held)


def scene_on(source: Source, settings: ManagerSettings, date: np.datetime64) -> Scene:
    """A scene of one decision, whose fill need not be known yet; raises as `observation_on` does."""
    first, last = source.quarters[0], source.bars.dates[-1]
    if not first <= date <= last:
        raise DataError(f"{date} lies outside {first} to {last}, for which the run has forecasts and prices.")
    row = int(_last_known(source.bars.dates, date))
    return _scene(source, settings, np.array([date], dtype="datetime64[D]"), np.array([row, row + 1]))


def frictions_of(source: Source, settings: ManagerSettings) -> FrictionSettings:
    """The manager's frictions; where no volume is known, the study's flat costs stand for those by liquidity."""
    frictions = settings.frictions
    if source.conditions.dollar_volume is not None or not (frictions.by_liquidity or frictions.fill_share is not None):
        return frictions
    flat = source.study.backtest.costs
    return frictions.model_copy(
        update={
            "spread_tiers": ((0.0, flat.cost_bps),),
            "borrow_tiers": ((0.0, flat.borrow_bps_per_year),),
            "impact_coefficient": 0.0,
            "fill_share": None,
        }
    )


def sectors_of(source: Source, settings: ManagerSettings, dates: Dates, mask: Bools) -> Sectors | None:
    """What decisions know of sectors: of each name, that of the first decision at which it may be held.

    None where no limit asks for them, so that nothing else hangs on them.

    Args:
        source: of the run.
        settings: of the manager.
        dates: (D,) of the decisions.
        mask: (D, S) names that may be held from a decision on.

    Raises:
        ConfigError: of a name that may be held no sector was known by then.
    """
    if settings.limits.sector_max is None:
        return None
    symbols, market = source.bars.symbols, source.market
    first = np.where(mask.any(axis=0), dates[mask.argmax(axis=0)], np.datetime64("NaT"))
    return for_decisions(market.sectors(symbols), symbols, first, market.description.name)


def _scene(source: Source, settings: ManagerSettings, dates: Dates, rows: Rows) -> Scene:
    decided = _last_known(source.bars.dates, dates)
    at = _last_known(source.quarters, dates)
    outlook = source.outlook
    carried = replace(
        outlook, learnt_until=outlook.learnt_until[at], **{name: getattr(outlook, name)[at] for name in SAYS}
    )
    names = _columns(source, decided, at)
    of_market = market_columns(source.index, source.index_known[decided], carried.mean, dates, source.series)
    unknown = [name for name in settings.hide if name not in {*names[0], *of_market[0]}]
    if unknown:
        raise ConfigError(
            f"there is no column {unknown[0]!r} to hide; {suggestion(unknown[0], names[0] + of_market[0])}"
        )
    columns, observed = _shown(settings.hide, *names)
    market, state = _shown(settings.hide, *of_market)
    quoted = np.isfinite(source.conditions.prices(source.bars)[decided])
    if source.conditions.delisted is not None:
        quoted &= source.conditions.delisted > decided[:, None]
    mask = quoted & np.isfinite(carried.mean)
    sectors = sectors_of(source, settings, dates, mask)
    conditions = replace(source.conditions, sectors=None if sectors is None else sectors.number)
    return Scene(
        dates=dates,
        decided=decided,
        rows=rows,
        bars=source.bars,
        reality=Reality(frictions_of(source, settings), settings.limits, conditions),
        mask=mask,
        columns=columns,
        observed=observed,
        market_columns=market,
        market=state,
        outlook=carried,
    )


def _shown(hidden: Sequence[str], columns: tuple[str, ...], values: Floats) -> tuple[tuple[str, ...], Floats]:
    """Columns, and values with one in each last place, without those that are hidden."""
    kept = [at for at, name in enumerate(columns) if name not in hidden]
    return tuple(columns[at] for at in kept), values[..., kept]


def _columns(source: Source, decided: Rows, at: Rows) -> tuple[tuple[str, ...], Floats]:
    """What is seen of each name: every analyst's forecasts, the language scores, and what prices say."""
    names = [f"{said.analyst}:{what}" for said in source.says for what in SAYS]
    parts = [said.values[at] for said in source.says]
    for name, scores in _language(source):
        names.append(name)
        parts.append(scores[at][:, :, None])
    index = source.index, source.index_known[decided]
    parts.append(name_columns(source.bars, source.conditions.dollar_volume, index, decided))
    return (*names, *NAME_COLUMNS), np.concatenate(parts, axis=2)


def _language(source: Source) -> list[tuple[str, Floats]]:
    """(Q, S) language scores, NaN where a model may have written them that knew what came after."""
    panel = source.panel
    names = np.array([panel.symbols.index(name) for name in source.bars.symbols])
    where = np.ix_(np.searchsorted(panel.dates, source.quarters), names)
    found = []
    for name in LANGUAGE:
        if name in panel.features:
            scores = panel.values[:, :, panel.features.index(name)][where]
            flagged = panel.foreknown[where] if panel.foreknown.size else np.zeros(scores.shape, np.bool_)
            found.append((name, np.where(flagged, np.nan, scores)))
    return found


def _outlook(says: Sequence[Said], level: float) -> Outlook:
    """The mean of all analysts that forecast a size and say something of a name."""
    sized = [said for said in says if said.target in SIZES]
    if not sized:
        raise ConfigError(
            f"a manager needs forecasts of a size ({' or '.join(SIZES)}), but the run's analysts forecast "
            f"{', '.join(sorted({said.target for said in says}))}; add one such as ridge."
        )
    every = np.stack([said.values for said in sized])
    known = np.isfinite(every)
    count = known.sum(axis=0)
    mean = np.where(count > 0, np.where(known, every, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)
    return Outlook(
        **dict(zip(SAYS, np.moveaxis(mean, 2, 0), strict=True)),
        learnt_until=np.max([said.learnt_until for said in says], axis=0),
        level=level,
        analysts=tuple(said.analyst for said in sized),
    )


def _chosen(forecasts: pl.DataFrame, analysts: Sequence[str]) -> pl.DataFrame:
    there = [name for name in forecasts["analyst"].unique(maintain_order=True) if family(name) != NAIVE]
    absent = [name for name in analysts if name not in there]
    if absent:
        raise ConfigError(f"the run has no analyst {absent[0]!r}; {suggestion(absent[0], there)}")
    return forecasts.filter(pl.col("analyst").is_in(list(analysts) or there))


def _check_run(record: RunRecord, study: Study, folder: Path) -> None:
    if record.protocol == SEALED:
        raise DataError(
            f"{folder.name} looked into a vault, whose quarters are for one look alone; manage a run of the study that "
            "leaves it sealed."
        )
    if study.panel.horizon_quarters != 1:
        raise DataError(
            f"{folder.name} forecast {study.panel.horizon_quarters} quarters ahead; a manager needs forecasts of one."
        )


def _inputs(study: Study, record: RunRecord, home: Home) -> Inputs:
    """What the run read; its baskets are those it recorded, wherever they came from."""
    market = market_of(record, study, home)
    baskets = Baskets(record.training_basket, record.evaluation_basket)
    tables = market.tables(sorted({*baskets.training, *baskets.evaluation}))
    return Inputs(market, baskets, tables, digest_of(market.digest(), tables.digest()))


def _index(market: Market, sessions: Dates) -> Floats:
    """(T,) the market index as it was last known at each session."""
    index = market.index_bars()
    at = np.searchsorted(index.dates, sessions, side="right") - 1
    return np.where(at >= 0, index.total[np.maximum(at, 0), 0], np.nan)


def index_known(index: pl.DataFrame, sessions: Dates) -> Rows:
    """(T,) row of the last session whose level of an index was known at each session's close, -1 where none was.

    A level that became known late hides those after it, as in `alfred.panel.history.BarHistory`.

    Args:
        index: columns date, value, known_at, sorted by date.
        sessions: (T,) ascending.
    """
    known_at = index["known_at"].cum_max().dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
    known = np.searchsorted(known_at, close_instants(sessions).astype("datetime64[us]"), side="right")
    days = np.append(index["date"].to_numpy().astype("datetime64[D]"), np.datetime64("9999-12-31", "D"))
    until = np.minimum(np.searchsorted(sessions, days[known]) - 1, np.arange(len(sessions)))
    return np.where(known > 0, until, -1).astype(np.int64)


def _months(first: np.datetime64, stop: np.datetime64) -> Dates:
    """The first date, and the last sessions of the months after it and before `stop`."""
    sessions = sessions_between(first, stop + np.timedelta64(31, "D"))
    months = sessions.astype("datetime64[M]")
    ends: Dates = sessions[:-1][months[1:] != months[:-1]]
    return ends[ends < stop]


def _last_known(sessions: Dates, dates: Dates | np.datetime64) -> Rows:
    found: Rows = np.searchsorted(sessions, dates, side="right") - 1
    return found
