"""Every strategy on every analyst's forecasts, and the benchmarks, on the same sessions and costs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import polars as pl

from alfred.backtest.contracts import Account, AccountStatistics, LedgerEntry, Readings, TradeAnalysis
from alfred.backtest.run import backtest, benchmarks
from alfred.backtest.statistics import drawdowns
from alfred.core.calendar import day, decision_dates
from alfred.core.contracts import DIRECTION, EXCESS, RANK, Bars
from alfred.core.errors import ConfigError, DataError
from alfred.core.settings import suggestion
from alfred.evaluation.bootstrap import BootstrapSettings
from alfred.evaluation.deflation import Track
from alfred.experiments.attributing import EQUAL, Told, attributed, ground_of
from alfred.experiments.conditions import reality_of, sessions_before
from alfred.experiments.deflated import tracks_of
from alfred.experiments.market import Market
from alfred.experiments.record import PortfolioResult
from alfred.experiments.sectors import SectorSummary, summary_of
from alfred.experiments.study import NAIVE, BacktestSettings, family
from alfred.panel.labels import LabelSettings

MAGNITUDE_CHOICE = "magnitude-choice"
NAMED = 10
"""Most names that a warning lists."""
FEWEST_TRADES = 5
"""Of fewer trades one always makes a large part."""
LEDGER = {
    "portfolio": pl.String, "date": pl.String, "action": pl.String, "symbol": pl.String, "price": pl.Float64,
    "reading": pl.Float64, "profit": pl.Float64,
}  # fmt: skip


@dataclass(frozen=True)
class Portfolios:
    """All accounts of a run.

    Attributes:
        results: statistics, strategies first, then benchmarks.
        accounts, ledger: as in the run's record.
        warnings: what must be said about them before their figures.
        sectors: what was known of them; None where nothing was.
    """

    results: tuple[PortfolioResult, ...]
    accounts: pl.DataFrame
    ledger: pl.DataFrame
    warnings: tuple[str, ...]
    sectors: SectorSummary | None = None


def run_portfolios(
    settings: BacktestSettings,
    market: Market,
    symbols: tuple[str, ...],
    forecasts: pl.DataFrame,
    seed: int,
    *,
    labels: LabelSettings | None = None,
) -> Portfolios:
    """Trade the evaluation basket over the test quarters.

    `magnitude-choice` needs forecasts of a size, so analysts of direction alone (PQ) sit it out. The naive forecast
    does not trade: it is the same for all names, and no rule of the notes can choose by it. Nor do forecasts
    against the market or the other names: to trade those alone would need a hedge that the notes' rules do not know.

    `labels` says what delistings paid where the settings ask for frictions.
    """
    forecast = set(forecasts["symbol"].unique())
    absent = [symbol for symbol in symbols if symbol not in forecast]
    symbols = tuple(symbol for symbol in symbols if symbol in forecast)
    lag, before = settings.execution.lag_sessions, sessions_before(settings)
    bars, index = account_bars(market, symbols, forecasts, lag, before=before)
    decisions = forecasts["as_of"].unique().sort().to_numpy().astype("datetime64[D]")
    reality = reality_of(settings, market, bars, decisions, labels)
    results, accounts, ledger, warnings = [], dict[str, Account](), [], []
    if absent:
        some = ", ".join(absent[:NAMED]) + (f" and {len(absent) - NAMED:,} more" if len(absent) > NAMED else "")
        warnings.append(f"Not traded: {some} had no price on any test date (delisted before, or listed after).")
    for analyst in forecasts["analyst"].unique(maintain_order=True):
        target = forecasts.filter(pl.col("analyst") == analyst)["target"][0]
        readings = readings_of(forecasts, analyst, symbols)
        for strategy in settings.strategies:
            if why_not_traded(analyst, target, strategy):
                continue
            name = f"{analyst} · {strategy}"
            done = backtest(bars, readings, strategy, settings.costs, settings.execution, seed=seed, reality=reality)
            results.append(PortfolioResult(name, "strategy", analyst, strategy, done.statistics, done.trades))
            accounts[name] = done.account
            ledger.append(ledger_rows(name, done.ledger))
            warnings += _caution(name, done.statistics, done.trades)
    for name, (account, statistics) in benchmarks(
        bars, index, decisions, settings.costs, settings.execution, seed=seed, reality=reality
    ).items():
        results.append(PortfolioResult(name, "benchmark", None, None, statistics))
        accounts[name] = account
    ground = ground_of(market, bars, index, accounts[EQUAL].rebalanced, reality)
    parts = attributed({name: [one] for name, one in accounts.items()}, EQUAL, ground, BootstrapSettings(seed=seed))
    rows = pl.concat([account_rows(name, account) for name, account in accounts.items()])
    tracks = tracks_of(results, rows)
    return Portfolios(
        tuple(_told(one, parts.get(one.name), tracks.get(one.name)) for one in results),
        rows,
        pl.concat([*ledger, pl.DataFrame(schema=LEDGER)]),
        tuple(warnings),
        None if ground.sectors is None else summary_of(ground.sectors, ground.reference > 0.0),
    )


def _told(result: PortfolioResult, parts: Told | None, track: Track | None) -> PortfolioResult:
    if parts is None:
        return replace(result, track=track)
    return replace(result, track=track, over_cash=parts.over_cash, over_equal=parts.over_equal)


def readings_of(forecasts: pl.DataFrame, analyst: str, symbols: Sequence[str]) -> Readings:
    """An analyst's forecasts as matrices, averaged over its seeds; NaN where it made none.

    Raises:
        ConfigError: there are no forecasts of that analyst, or none for a symbol.
    """
    rows = forecasts.filter(pl.col("analyst") == analyst)
    if rows.is_empty():
        raise ConfigError(f"the run has no analyst {analyst!r}; {suggestion(analyst, forecasts['analyst'].unique())}")
    there = sorted(rows["symbol"].unique())
    absent = [symbol for symbol in symbols if symbol not in there]
    if absent:
        raise ConfigError(f"the run has no forecasts for {', '.join(absent)}; it forecast {', '.join(there)}.")
    means = rows.group_by("as_of", "symbol").agg(pl.col("mean", "prob_up").mean()).sort("as_of", "symbol")
    dates = means["as_of"].unique().sort()
    row = dates.search_sorted(means["as_of"]).to_numpy()
    place = {symbol: at for at, symbol in enumerate(symbols)}
    column = np.array([place.get(symbol, -1) for symbol in means["symbol"]])
    wanted = column >= 0
    matrices = []
    for name in ("mean", "prob_up"):
        matrix = np.full((len(dates), len(symbols)), np.nan)
        matrix[row[wanted], column[wanted]] = means[name].to_numpy()[wanted]
        matrices.append(matrix)
    return Readings(dates.to_numpy().astype("datetime64[D]"), tuple(symbols), *matrices)


def why_not_traded(analyst: str, target: str, strategy: str) -> str:
    """Why a strategy of the notes does not trade an analyst's forecasts; empty where it does."""
    if family(analyst) == NAIVE:
        return f"{analyst} says the same of all names, and no rule of the notes can choose by it"
    if target in {EXCESS, RANK}:
        return f"{analyst} forecasts names against one another ({target}), which no rule of the notes trades alone"
    if strategy == MAGNITUDE_CHOICE and target == DIRECTION:
        return f"{strategy} needs forecasts of a size, but {analyst} forecasts direction"
    return ""


def account_bars(
    market: Market, symbols: tuple[str, ...], forecasts: pl.DataFrame, lag_sessions: int, *, before: int = 0
) -> tuple[Bars, Bars]:
    """Bars of the basket and of the index over the test quarters, on the same sessions.

    They begin with the first decision and end where the quarter that the last one decided about has been traded out:
    `lag_sessions` after the next decision date, or with the data. `before` sessions of history come before them, as far
    as basket and index have them.

    Raises:
        DataError: the index has no level on a session of the basket.
    """
    basket, index = market.matrix(symbols), market.index_bars()
    first, last = (day(str(date)) for date in (forecasts["as_of"].min(), forecasts["as_of"].max()))
    start, stop = int(np.searchsorted(basket.dates, first)), len(basket.dates)
    following = decision_dates(last + np.timedelta64(1, "D"), basket.dates[-1])
    if len(following):
        stop = min(stop, int(np.searchsorted(basket.dates, following[0])) + lag_sessions + 1)
    start = max(start - before, min(start, int(np.searchsorted(basket.dates, index.dates[0]))))
    dates = basket.dates[start:stop]
    at = np.searchsorted(index.dates, dates)
    at[at == len(index.dates)] = 0
    if (index.dates[at] != dates).any():
        absent = dates[index.dates[at] != dates][0]
        raise DataError(f"the index {index.symbols[0]} has no level on {absent}, where the basket has prices.")
    return (
        Bars(dates, basket.symbols, basket.close[start:stop], basket.total[start:stop]),
        Bars(dates, index.symbols, index.close[at], index.total[at]),
    )


def account_rows(name: str, account: Account) -> pl.DataFrame:
    """An account as rows of `accounts.parquet`."""
    frame = pl.DataFrame({"date": account.dates, "value": account.value, "drawdown": drawdowns(account)})
    return frame.select(pl.lit(name).alias("portfolio"), pl.col("date").cast(pl.Date), "value", "drawdown")


def ledger_rows(name: str, entries: Sequence[LedgerEntry]) -> pl.DataFrame:
    """Ledger lines as rows of `ledger.parquet`."""
    return pl.DataFrame([{"portfolio": name, **asdict(entry)} for entry in entries], schema=LEDGER)


def _caution(name: str, statistics: AccountStatistics, trades: TradeAnalysis) -> list[str]:
    found = []
    if statistics.ruined_on is not None:
        found.append(f"Ruin: {name} lost everything on {statistics.ruined_on}.")
    if trades.completed >= FEWEST_TRADES and trades.best_trade_share > 0.5:
        found.append(
            f"One trade: {trades.best_trade} made {trades.best_trade_share:.0%} of all gains of {name} "
            f"({trades.best_trade_pct:+.0f}%); look at its prices before believing the result."
        )
    return found
