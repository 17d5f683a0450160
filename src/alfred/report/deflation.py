"""What is left of the accounts' Sharpe ratios and of the best rank IC, once the number of tries is known."""

import math
from dataclasses import dataclass

import numpy as np
import polars as pl

from alfred.backtest.settings import SESSIONS_PER_YEAR
from alfred.evaluation.deflation import (
    CONFIDENCE,
    Track,
    Trials,
    annual,
    deflated_sharpe,
    expected_maximum_sharpe,
    minimum_track_record,
    probabilistic_sharpe,
)
from alfred.evaluation.superiority import FEWEST_ROWS, superiority
from alfred.experiments.deflated import all_tries, strategies_of, tracks_of
from alfred.experiments.record import RunRecord
from alfred.report.format import COUNT, PERCENT, RATIO, NumberStyle
from alfred.report.palette import is_naive
from alfred.report.table import Cell, Column, Table, measured

_YEARS = NumberStyle(1)
_P_VALUE = NumberStyle(3)


@dataclass(frozen=True)
class DeflationSection:
    """Sentences about the tries, and a row for each account; None where no account was run."""

    sentences: tuple[str, ...]
    table: Table | None


def deflation_section(
    record: RunRecord, accounts: pl.DataFrame, quarters: pl.DataFrame, ledger: Trials | None = None
) -> DeflationSection:
    """Sharpe ratios against chance, and the best analyst against having been picked.

    Args:
        record: of the run.
        accounts, quarters: its tables.
        ledger: trials of the study's family and the variance of their Sharpe ratios of one session; None where none is
            kept. The run's own strategies are the least count.
    """
    tracks = tracks_of(record.portfolios, accounts)
    strategies = strategies_of(record.portfolios, tracks)
    tried = [track.sharpe for track in strategies.values()]
    trials = all_tries(strategies, ledger)
    sentences = [*_about_trials(tried, trials, ledger), *_about_ranking(quarters)]
    return DeflationSection(tuple(sentences), _table(record, tracks, trials) if tracks else None)


def _kind(record: RunRecord, name: str) -> str:
    return next(portfolio.kind for portfolio in record.portfolios if portfolio.name == name)


def _about_trials(tried: list[float], trials: Trials, ledger: Trials | None) -> list[str]:
    if not tried:
        return []
    highest = RATIO.text(annual(expected_maximum_sharpe(trials), SESSIONS_PER_YEAR))
    count = COUNT.text(trials.count)
    source = "this run alone, the least there can have been" if ledger is None else "the trial ledger"
    what = "One strategy was" if trials.count < 2 else f"{count} strategies were"
    said = (
        f"{what} tried ({source}). Without any skill, the best of so many would be expected to show an annual Sharpe "
        f"ratio of {highest}; the deflated Sharpe ratio is the probability that the true one lies above that."
    )
    return [said]


def _about_ranking(quarters: pl.DataFrame) -> list[str]:
    """Hansen's test of the best rank IC among the analysts, whose benchmark is zero."""
    rivals = [name for name in quarters["analyst"].unique(maintain_order=True) if not is_naive(name)]
    own = quarters.filter(pl.col("analyst").is_in(rivals))
    wide = own.pivot("analyst", index="as_of", values="rank_ic", aggregate_function="mean").sort("as_of")
    gains = wide.select(rivals).drop_nulls().to_numpy() if rivals else np.zeros((0, 0))
    if len(rivals) < 2 or len(gains) < FEWEST_ROWS or not np.isfinite(gains).all():
        return []
    found = superiority(gains)
    said = (
        f"The highest rank IC in relation to its error is that of {rivals[found.best]}. That none of the "
        f"{found.alternatives} analysts ranks better than chance has p = {_P_VALUE.text(found.spa)} by Hansen's test "
        f"of superior predictive ability ({_P_VALUE.text(found.reality_check)} by White's reality check), over "
        f"{found.rows} quarters, from {COUNT.text(found.draws)} draws with a mean block of "
        f"{_YEARS.text(found.mean_block)} quarters."
    )
    return [said]


def _table(record: RunRecord, tracks: dict[str, Track], trials: Trials) -> Table:
    columns = (
        Column("Portfolio"),
        Column("Sharpe", numeric=True, title="annual, of daily returns, without a risk-free rate"),
        Column("Probabilistic", numeric=True, title="probability that the true Sharpe ratio is above zero"),
        Column(
            "Deflated", numeric=True, title="probability that it is above what the best of all tries shows by chance"
        ),
        Column("Needed, years", numeric=True, title=f"track record at which {CONFIDENCE:.0%} is reached against zero"),
        Column("Has, years", numeric=True),
        Column("Skew", numeric=True, title="of daily returns"),
        Column("Kurtosis", numeric=True, title="of daily returns; 3 where they are normal"),
    )
    rows = []
    for name, track in tracks.items():
        picked = _kind(record, name) == "strategy"
        needed = minimum_track_record(track) / SESSIONS_PER_YEAR
        rows.append(
            (
                Cell(name, () if picked else ("benchmark",)),
                measured(annual(track.sharpe, SESSIONS_PER_YEAR), RATIO),
                measured(probabilistic_sharpe(track), PERCENT),
                measured(
                    deflated_sharpe(track, trials) if picked else None,
                    PERCENT,
                    title="" if picked else "nobody picked a benchmark afterwards",
                ),
                measured(
                    needed if math.isfinite(needed) else None,
                    _YEARS,
                    title="" if math.isfinite(needed) else "no length is enough: the Sharpe ratio is not above zero",
                ),
                measured(track.periods / SESSIONS_PER_YEAR, _YEARS),
                measured(track.skew, RATIO),
                measured(track.kurtosis, RATIO),
            )
        )
    return Table("Sharpe ratios against chance", columns, tuple(rows))
