"""The notes' backtests on the forecasts of a finished run."""

import datetime as dt
import functools
from pathlib import Path

import polars as pl

from alfred.backtest.contracts import Account, AccountStatistics
from alfred.backtest.ledger import average_hold_pct, format_basket_hold, format_ledger, format_trade_analysis
from alfred.backtest.run import backtest, benchmarks
from alfred.core.digest import code_digest, digest_of
from alfred.core.errors import ConfigError, DataError
from alfred.core.home import Home
from alfred.evaluation.protocols import SEALED
from alfred.experiments.conditions import reality_of, sessions_before
from alfred.experiments.counting import quarterly_returns
from alfred.experiments.market import Market, read_market
from alfred.experiments.portfolios import account_bars, readings_of, why_not_traded
from alfred.experiments.record import RunRecord, load_frame, load_record
from alfred.experiments.study import Study
from alfred.experiments.trials import Trial, TrialLedger, on_trial
from alfred.lake.store import Lake


def replay(
    home: Home, folder: Path, strategy: str, *, ticker: str = "", analyst: str = "", with_ledger: bool = True
) -> list[str]:
    """Trade a run's forecasts by one strategy, at the run's costs and on the table versions that it read.

    A strategy that the run did not trade by, or one name alone, is another try, and counts as a trial of its family.

    Args:
        home: whose lake holds the prices.
        folder: the run's.
        strategy: of `alfred.backtest.strategies`.
        ticker: one name of the evaluation basket, with the whole account in it; empty for the whole basket.
        analyst: whose forecasts; empty for the run's last analyst.
        with_ledger: whether to include the ledger's lines.

    Returns:
        Lines to print: ledger, trade analysis, basket metrics as in the notes, then the account and its benchmarks.

    Raises:
        ConfigError: the run has no such analyst or ticker, or the strategy needs another kind of forecast.
        DataError: the run looked into a vault, and did not trade so itself.
        FetchError: the trial cannot be counted, because the tracking data cannot be reached.
    """
    record = load_record(folder)
    study = Study.parse(record.settings, f"{folder.name}/run.json")
    forecasts = load_frame(folder, "forecasts")
    analyst = analyst or record.scorecards[-1].analyst
    there = set(forecasts["symbol"].unique())
    basket = tuple(symbol for symbol in record.evaluation_basket if symbol in there)
    readings = readings_of(forecasts, analyst, (ticker,) if ticker else basket)
    strategy = strategy.replace("_", "-")
    target = next(card.target for card in record.scorecards if card.analyst == analyst)
    if reason := why_not_traded(analyst, target, strategy):
        raise ConfigError(f"{reason}; choose another analyst or strategy.")
    market = market_of(record, study, home)
    settings, seed = study.backtest, study.evaluation.seed
    lag, before = settings.execution.lag_sessions, sessions_before(settings)
    bars, index = account_bars(market, readings.symbols, forecasts, lag, before=before)
    decisions = forecasts["as_of"].unique().sort().to_numpy().astype("datetime64[D]")
    real = reality_of(settings, market, bars, decisions, study.panel.labels)
    trade = functools.partial(
        backtest, bars, readings, strategy, settings.costs, settings.execution, seed=seed, reality=real
    )
    if not ticker and strategy in settings.strategies:
        done = trade()
    else:
        ledger = TrialLedger.open(home)
        trial = ledger.begin(_trial(record, study, analyst, strategy, ticker))
        with on_trial(ledger, [trial]):
            done = trade()
        _finish(ledger, trial, strategy, done.account)
    others = benchmarks(bars, index, readings.dates, settings.costs, settings.execution, seed=seed, reality=real)
    lines = [f"{strategy} on {', '.join(readings.symbols)}, forecasts of {analyst}; {record.execution}", ""]
    if with_ledger:
        lines += [format_ledger(done.ledger), ""]
    start = int(bars.dates.searchsorted(done.account.dates[0]))
    lines += [format_trade_analysis(done.trades), "", format_basket_hold(average_hold_pct(bars, start)), ""]
    lines += ["--- Account, net of costs ---", _line(strategy, done.statistics)]
    return lines + [_line(name, statistics) for name, (_, statistics) in others.items()]


def _trial(record: RunRecord, study: Study, analyst: str, strategy: str, ticker: str) -> Trial:
    """What is tried beyond the run's own accounts.

    Raises:
        DataError: the run looked into a vault.
    """
    if record.protocol == SEALED:
        raise DataError(
            f"the run of {record.study} looked into a vault, whose quarters are for one look alone; it trades by "
            f"{', '.join(study.backtest.strategies)} on the whole basket, and by nothing else."
        )
    return Trial(
        key=digest_of("replay", record.digest, analyst, strategy, ticker, code_digest()),
        family=study.counted_as,
        study=study.name,
        digest=record.digest,
        analyst=f"{analyst} by {strategy}{f' on {ticker}' if ticker else ''}",
        protocol=record.protocol,
        seen_until=record.data.known_until,
        config={"strategy": strategy, **({"ticker": ticker} if ticker else {})},
    )


def _finish(ledger: TrialLedger, trial: Trial, strategy: str, account: Account) -> None:
    rows = pl.DataFrame({"date": account.dates, "value": account.value}).with_columns(portfolio=pl.lit(strategy))
    returns = quarterly_returns(rows, strategy)
    ledger.finish(trial, {}, {strategy: returns} if returns.values else {})


def market_of(record: RunRecord, study: Study, home: Home) -> Market:
    """The prices that a run read, at the versions and up to the instant that it was shown."""
    shown = dt.datetime.fromisoformat(record.data.known_until) if record.data.known_until else None
    return read_market(Lake(home.lake), study.data, record.data.versions, shown)


def _line(name: str, what: AccountStatistics) -> str:
    low, high = what.annual_return_interval.lower, what.annual_return_interval.upper
    ruin = f", ruined on {what.ruined_on}" if what.ruined_on else ""
    return (
        f"{name:<17}{what.annual_return:+8.2%} a year [{low:+.2%}, {high:+.2%}], total {what.total_return:+.2%}, "
        f"Sharpe {what.sharpe:.2f}, drawdown {what.max_drawdown:.1%}, "
        f"turnover {what.turnover_per_year:.2f} a year{ruin}"
    )
