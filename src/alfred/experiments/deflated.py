"""A run's accounts against all that was tried: the trial ledger's count in the deflated Sharpe ratio's terms.

A record keeps of each account what the ratio needs of its returns. So a run of another machine, of which the record
alone is at hand, is deflated like a run of this one, by the number of tries as it stands when it is asked for.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from alfred.backtest.statistics import daily_returns
from alfred.core.errors import DataError
from alfred.evaluation.deflation import Track, Trials, deflated_sharpe
from alfred.experiments.record import PortfolioResult, RunRecord, TrialCount, load_frame

FEWEST_RETURNS = 3


def tracks_of(portfolios: Sequence[PortfolioResult], accounts: pl.DataFrame) -> dict[str, Track]:
    """Track record of each account that lasted long enough for one, from its sessions."""
    found = {}
    for portfolio in portfolios:
        own = accounts.filter(pl.col("portfolio") == portfolio.name).sort("date")
        value = own["value"].cast(pl.Float64).fill_null(np.nan).to_numpy()
        returns = daily_returns(value) if len(value) > FEWEST_RETURNS and np.isfinite(value).all() else np.zeros(0)
        if len(returns) >= FEWEST_RETURNS:
            found[portfolio.name] = Track.of(returns)
    return found


def told_tracks(portfolios: Sequence[PortfolioResult]) -> dict[str, Track]:
    """The track records that the results of a run hold."""
    return {one.name: one.track for one in portfolios if one.track is not None}


def recorded_tracks(folder: Path, record: RunRecord) -> dict[str, Track]:
    """Track records as a run's record tells them; of a run of an earlier version, which did not, from its accounts.

    Empty where neither is there. A track that no returns can have, as a record from elsewhere may hold, is none.
    """
    found = {name: track for name, track in told_tracks(record.portfolios).items() if _is_possible(track)}
    if found or not (folder / "accounts.parquet").is_file():
        return found
    return tracks_of(record.portfolios, load_frame(folder, "accounts"))


def _is_possible(track: Track) -> bool:
    try:
        return track.periods >= FEWEST_RETURNS and math.isfinite(track.spread)
    except DataError:
        return False


def strategies_of(portfolios: Sequence[PortfolioResult], tracks: Mapping[str, Track]) -> dict[str, Track]:
    """Those that someone may pick afterwards; benchmarks are not picked."""
    return {one.name: tracks[one.name] for one in portfolios if one.kind == "strategy" and one.name in tracks}


def of_ledger(counted: TrialCount | None) -> Trials | None:
    """What the ledger knows of a family's tries; one without returns counts whole. None where it cannot tell.

    A variance of 0 is one that it does not know.
    """
    if counted is None:
        return None
    whole = counted.failed + counted.unfinished + counted.untraded
    if counted.effective is None:
        return Trials(1 + whole, 0.0) if whole else None
    return Trials(counted.effective + whole, counted.sharpe_variance or 0.0)


def all_tries(strategies: Mapping[str, Track], ledger: Trials | None) -> Trials:
    """What is known of the family's tries, at least the run's own.

    Where nobody knows how the tries' ratios vary, they are taken to vary as chance alone makes those of the run's
    strategies: by 1 / (T - 1), the variance of a Sharpe ratio without skill over T periods (Lo, 2002, The statistics of
    Sharpe ratios, Financial Analysts Journal 58(4)). Otherwise any number of tries would count for nothing.
    """
    ratios = [track.sharpe for track in strategies.values()]
    own = Trials(max(1, len(ratios)), float(np.var(ratios, ddof=1)) if len(ratios) > 1 else 0.0)
    known = own if ledger is None else Trials(max(own.count, ledger.count), max(own.variance, ledger.variance))
    if known.variance > 0.0 or not strategies:
        return known
    return Trials(known.count, max(1.0 / (track.periods - 1) for track in strategies.values()))


def deflated_ratios(
    portfolios: Sequence[PortfolioResult], tracks: Mapping[str, Track], counted: TrialCount | None
) -> dict[str, float]:
    """Deflated Sharpe ratio of each strategy's account.

    Args:
        portfolios: of a run.
        tracks: of their accounts; those without one have no ratio.
        counted: tries of the run's family.
    """
    strategies = strategies_of(portfolios, tracks)
    trials = all_tries(strategies, of_ledger(counted))
    return {name: deflated_sharpe(track, trials) for name, track in strategies.items()}
