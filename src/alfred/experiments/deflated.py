"""A run's accounts against all that was tried: the trial ledger's count in the deflated Sharpe ratio's terms."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from alfred.backtest.statistics import daily_returns
from alfred.evaluation.deflation import Track, Trials, deflated_sharpe
from alfred.experiments.record import PortfolioResult, TrialCount

FEWEST_RETURNS = 3


def tracks_of(portfolios: Sequence[PortfolioResult], accounts: pl.DataFrame) -> dict[str, Track]:
    """Track record of each account that lasted long enough for one."""
    found = {}
    for portfolio in portfolios:
        own = accounts.filter(pl.col("portfolio") == portfolio.name).sort("date")
        value = own["value"].cast(pl.Float64).fill_null(np.nan).to_numpy()
        returns = daily_returns(value) if len(value) > FEWEST_RETURNS and np.isfinite(value).all() else np.zeros(0)
        if len(returns) >= FEWEST_RETURNS:
            found[portfolio.name] = Track.of(returns)
    return found


def strategies_of(portfolios: Sequence[PortfolioResult], tracks: Mapping[str, Track]) -> dict[str, Track]:
    """Those that someone may pick afterwards; benchmarks are not picked."""
    return {one.name: tracks[one.name] for one in portfolios if one.kind == "strategy" and one.name in tracks}


def of_ledger(counted: TrialCount | None) -> Trials | None:
    """What the ledger knows of a family's tries; one without returns counts whole. None where it cannot tell."""
    if counted is None:
        return None
    if counted.effective is None or counted.sharpe_variance is None:
        return Trials(1 + counted.untraded, 0.0) if counted.untraded else None
    whole = counted.failed + counted.unfinished + counted.untraded
    return Trials(counted.effective + whole, counted.sharpe_variance)


def all_tries(strategies: Mapping[str, Track], ledger: Trials | None) -> Trials:
    """What is known of the family's tries, at least the run's own."""
    ratios = [track.sharpe for track in strategies.values()]
    own = Trials(max(1, len(ratios)), float(np.var(ratios, ddof=1)) if len(ratios) > 1 else 0.0)
    if ledger is None:
        return own
    return Trials(max(own.count, ledger.count), max(own.variance, ledger.variance))


def deflated_ratios(
    portfolios: Sequence[PortfolioResult], accounts: pl.DataFrame, counted: TrialCount | None
) -> dict[str, float]:
    """Deflated Sharpe ratio of each strategy's account."""
    strategies = strategies_of(portfolios, tracks_of(portfolios, accounts))
    trials = all_tries(strategies, of_ledger(counted))
    return {name: deflated_sharpe(track, trials) for name, track in strategies.items()}
