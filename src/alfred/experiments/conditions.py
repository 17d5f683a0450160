"""What the lake knows of trading a study's names: volume, dividends, ends of tickers, and what cash earns."""

from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from alfred.backtest.conditions import Conditions
from alfred.backtest.realistic import Reality
from alfred.backtest.settings import REALISTIC, CostSettings, FrictionSettings, LimitSettings
from alfred.core.calendar import Dates
from alfred.core.contracts import Bars, Floats
from alfred.core.errors import ConfigError
from alfred.experiments.market import Market
from alfred.experiments.sectors import first_decisions, for_decisions
from alfred.experiments.study import BacktestSettings
from alfred.panel.labels import LabelSettings

CASH_SERIES = ("DGS1MO", "DGS3MO", "DGS6MO", "DGS1", "2year")
"""Yields of US treasuries in per cent a year, the shortest first; the first that the lake has is what cash earns."""
RATE_DAYS = 100
"""A yield of a day longer ago is not known any more."""
STOPPED_SESSIONS = 20
"""A ticker without a price on so many last sessions of the data has ended."""


def conditions_of(
    market: Market, bars: Bars, *, labels: LabelSettings | None = None, cash_rate: float = 0.0
) -> Conditions:
    """Conditions of the sessions and names of some of a market's bars.

    - dollar volume: close times volume of each session; None where the provider has no volume of these names.
    - cash rate: the shortest yield of `CASH_SERIES` that the lake has, as it was known at each session's close.
    - dividends: the provider's own, which are on the share basis of its closes; None where it tells of no actions, so
      that the account trades prices that hold them.
    - ends: a delisting pays what the table `actions` says, else what `labels` takes for its reason, else, without a
      reason, what the frictions say. A name that was renamed is sold at its last price, and so is one whose prices stop
      `STOPPED_SESSIONS` before the data's end though no action says why: what its holders lost is not known.
    - sectors: those of `reality_of` and of scenes, who know the decisions.

    Args:
        market: of the study.
        bars: (T, S) of its matrix, on some of its sessions.
        labels: returns of delistings by reason.
        cash_rate: rate a year of sessions for which no yield of the last `RATE_DAYS` days was known.
    """
    actions = market.actions(bars.symbols)
    rows = market.bars.filter(pl.col("symbol").is_in(list(bars.symbols)))
    delisted, returns = _ends(market, bars, actions, labels or LabelSettings())
    return Conditions(
        dollar_volume=_dollar_volume(bars, rows),
        cash_rate=_cash_rate(market, bars, cash_rate),
        dividends=_dividends(bars, actions) if "actions" in market.description.tables else None,
        delisted=delisted,
        delisting_return=returns,
    )


def reality_of(
    settings: BacktestSettings, market: Market, bars: Bars, decisions: Dates, labels: LabelSettings | None = None
) -> Reality | None:
    """What a study's accounts meet in these bars; None where it asks for neither frictions nor limits.

    Limits without frictions come with the study's plain costs: cash earns nothing, prices hold dividends, and what is
    delisted is sold at its last price. A limit on sectors is of those that were known at each name's first decision.

    Args:
        settings: of the study.
        market: of the study.
        bars: (T, S) of its matrix, on some of its sessions.
        decisions: (D,) decision dates of the accounts, ascending.
        labels: returns of delistings by reason.

    Raises:
        ConfigError: the market knows nothing of what a friction or limit needs.
    """
    if settings.frictions is None and settings.limits is None:
        return None
    frictions, limits = settings.frictions or plain(settings.costs), settings.limits or LimitSettings()
    sectors = None
    if limits.sector_max is not None:
        rows, own = market.sectors(bars.symbols), market.description.name
        sectors = for_decisions(rows, bars.symbols, first_decisions(bars, decisions), own).number
    known = conditions_of(market, bars, labels=labels, cash_rate=frictions.cash_rate)
    conditions = replace(known, sectors=sectors)
    if settings.frictions is None:
        none = np.zeros(len(bars.symbols))
        return Reality(frictions, limits, Conditions(delisted=known.delisted, delisting_return=none, sectors=sectors))
    if conditions.dollar_volume is None and (frictions.by_liquidity or frictions.fill_share is not None):
        raise ConfigError(
            f"backtest.frictions ask for costs or fills by liquidity, but provider {market.description.name!r} has no "
            "volume of these names; leave out spread and borrow tiers, impact and fill_share, or take other data."
        )
    return Reality(frictions, limits, conditions)


def sessions_before(settings: BacktestSettings) -> int:
    """Sessions before the first decision that frictions look at."""
    return settings.frictions.liquidity_sessions if settings.frictions and settings.frictions.by_liquidity else 0


def plain(costs: CostSettings) -> FrictionSettings:
    """A study's plain costs as frictions; the accounts agree to rounding."""
    return FrictionSettings(spread_tiers=((0.0, costs.cost_bps),), borrow_tiers=((0.0, costs.borrow_bps_per_year),))


def told(settings: BacktestSettings) -> str:
    """What trading costs and which limits hold, in a few words."""
    frictions, limits = settings.frictions, settings.limits
    said = [f"{settings.costs.cost_bps:g} bps of traded value"] if frictions is None else [_costs_told(frictions)]
    if limits is not None:
        set_ = {name: value for name, value in limits.model_dump().items() if value not in {None, False}}
        words = [name.replace("_", "-") if value is True else f"{name} {value:g}" for name, value in set_.items()]
        said.append(f"within limits ({', '.join(words) or 'none'})")
    return ", ".join(said)


def _costs_told(frictions: FrictionSettings) -> str:
    none = FrictionSettings()
    parts = {
        "commission": frictions.commission_bps + frictions.commission_per_share_usd + frictions.commission_minimum_usd,
        "half spread": frictions.spread_tiers != none.spread_tiers,
        "impact": frictions.impact_coefficient,
        "borrow fee": frictions.borrow_tiers != none.borrow_tiers,
        f"fills up to {frictions.fill_share or 0:.0%} of the session's volume": frictions.fill_share,
    }
    charged = ", ".join(name for name, there in parts.items() if there) or "no costs of trading"
    name = "all frictions" if frictions == REALISTIC else "frictions"
    return (
        f"{name} of an account of {frictions.capital_usd:,.0f} USD ({charged}, interest on cash, dividends, delistings)"
    )


def _dollar_volume(bars: Bars, rows: pl.DataFrame) -> Floats | None:
    if rows["volume"].null_count() == len(rows):
        return None
    found = np.full(bars.close.shape, np.nan)
    row, column, kept = _places(bars, rows)
    found[row, column] = rows.select(pl.col("close") * pl.col("volume")).to_series().to_numpy()[kept]
    return found


def _dividends(bars: Bars, actions: pl.DataFrame) -> Floats:
    paid = actions.filter(pl.col("kind") == "dividend", pl.col("amount") > 0)
    found = np.zeros(bars.close.shape)
    row, column, kept = _places(bars, paid, later=True)
    np.add.at(found, (row, column), paid["amount"].to_numpy()[kept])
    return found


def _places(
    bars: Bars, rows: pl.DataFrame, *, later: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Session and column of rows with a symbol and date, and which have one; `later` takes the next session too."""
    dates, place = bars.dates.astype("datetime64[D]"), {symbol: at for at, symbol in enumerate(bars.symbols)}
    days = rows["date"].to_numpy().astype("datetime64[D]")
    row, column = np.searchsorted(dates, days), np.array([place[name] for name in rows["symbol"]], np.int64)
    kept = (row < len(dates)) & (days >= dates[0])
    if not later:
        kept[kept] = dates[row[kept]] == days[kept]
    return row[kept], column[kept], kept


def _cash_rate(market: Market, bars: Bars, otherwise: float) -> Floats:
    """(T,) rate a year known at each close."""
    table = market.series()
    name = next((name for name in CASH_SERIES if name in set(table["series"].unique())), None)
    rate = np.full(len(bars.dates), otherwise)
    if name is None:
        return rate
    # A late correction of an old day does not replace what was known of a later one.
    told_ = table.filter(pl.col("series") == name, pl.col("value").is_not_nan()).sort("known_at", "date")
    told_ = told_.filter(pl.col("date") >= pl.col("date").cum_max())
    closes = market.bars.group_by("date").agg(pl.col("known_at").min().alias("close"))
    sessions = pl.DataFrame({"date": bars.dates.astype("datetime64[D]")}).join(closes, on="date", how="left")
    known = sessions.with_columns(pl.col("close").forward_fill()).join_asof(
        told_.select("known_at", "value", day="date"), left_on="close", right_on="known_at"
    )
    value = known.select(
        pl.when(pl.col("date") - pl.col("day") <= pl.duration(days=RATE_DAYS)).then(pl.col("value") / 100)
    )
    found = value.to_series().fill_null(otherwise).to_numpy()
    return found.astype(np.float64)


def _ends(market: Market, bars: Bars, actions: pl.DataFrame, labels: LabelSettings) -> tuple[NDArray[np.int64], Floats]:
    """(S,) row at which each name's holders are paid out, T where they are not, and the return that they got.

    An end is the session of the action, or the next one where the name still had a price on it. Ends before the first
    session are of another company, if the ticker still has prices.
    """
    sessions, names = bars.close.shape
    delisted, returns = np.full(names, sessions), np.full(names, np.nan)
    priced = ~np.isnan(bars.close)
    kinds = actions.filter(pl.col("kind").is_in(["delisting", "rename"])).sort("date", "kind")
    row, column, kept = _places(bars, kinds, later=True)
    for at, name, action in zip(row.tolist(), column.tolist(), kinds.filter(kept).iter_rows(named=True), strict=True):
        end = at + 1 if str(bars.dates[at].astype("datetime64[D]")) == str(action["date"]) and priced[at, name] else at
        if 1 <= end < delisted[name]:
            delisted[name], returns[name] = end, _return_of(action, labels)
    last = market.bars.group_by("symbol").agg(pl.col("date").max())
    dates = market.bars["date"].unique().sort()
    why = kinds.filter(kept)["symbol"].to_list() + kinds.filter(pl.col("date") > bars.dates[-1])["symbol"].to_list()
    stopped = last.filter(
        pl.col("symbol").is_in(sorted(set(bars.symbols) - set(why))),
        pl.col("date") < dates[max(len(dates) - STOPPED_SESSIONS, 0)],
    )
    row, column, _ = _places(bars, stopped, later=True)
    for at, name in zip(row.tolist(), column.tolist(), strict=True):
        if delisted[name] == sessions and at + 1 < sessions:
            delisted[name], returns[name] = at + 1, 0.0
    return delisted, returns


def _return_of(action: dict[str, object], labels: LabelSettings) -> float:
    known, reason = action["delisting_return"], str(action["reason"] or "")
    if action["kind"] == "rename":
        return 0.0
    if isinstance(known, float):
        return known
    return labels.default_for(reason)[0] if reason else float("nan")
