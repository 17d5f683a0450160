"""The record of a run: one folder that holds everything a report, a comparison or a sceptic needs.

| file | one row is | columns |
| --- | --- | --- |
| `run.json` | the `RunRecord` | |
| `study.toml` | the study with every default written out | |
| `forecasts.parquet` | a forecast | the keys fold, analyst, seed, symbol, as_of, realised_on, target; \
the forecast mean, lower, upper, prob_up, level (nominal coverage); what came PM, PQ, excess, rank, \
velocity, total_return (null until known) |
| `quarters.parquet` | an analyst's test quarter, over its seeds | analyst, as_of, rank_ic, accuracy, rise_share, rows |
| `curves.parquet` | an epoch | analyst, seed, fold, epoch, train_loss, valid_loss, learning_rate, best |
| `accounts.parquet` | an account's session | portfolio, date, value, drawdown |
| `ledger.parquet` | a ledger line | portfolio, date, action, symbol, price, reading, profit |
| `models.json` | a fitted analyst of the last fold | analyst, seed, and the stage that holds it until it is stored |
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import ConfigDict, TypeAdapter, ValidationError

from alfred.backtest.attribution import Attribution
from alfred.backtest.contracts import AccountStatistics, TradeAnalysis
from alfred.core.contracts import Interval
from alfred.core.errors import DataError
from alfred.evaluation.audit import Audit
from alfred.evaluation.contracts import Scorecard
from alfred.evaluation.deflation import Track
from alfred.experiments.sectors import SectorSummary
from alfred.language.compare import ScorePair

FRAMES = ("forecasts", "quarters", "curves", "accounts", "ledger")
_KEYS = {
    "forecasts": ("fold", "analyst", "seed", "symbol", "as_of", "target", "mean"),
    "quarters": ("analyst", "as_of", "rank_ic"),
    "curves": ("analyst", "seed", "fold", "epoch"),
    "accounts": ("portfolio", "date", "value"),
    "ledger": ("portfolio", "date", "action", "symbol"),
}
"""Columns without which a table is none of ours, whatever its name."""


@dataclass(frozen=True)
class LeftOut:
    """A column, symbol or row count that a stage did not use, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class DataSummary:
    """What was read: provider, table versions of the lake, span, and what is missing.

    `known_until` is when the last price became known, in ISO form.
    """

    provider: str
    note: str
    versions: dict[str, int]
    first: str
    last: str
    symbols: int
    sessions: int
    missing: tuple[LeftOut, ...] = ()
    known_until: str = ""


@dataclass(frozen=True)
class PanelSummary:
    """Decision dates and feature columns.

    `missing_share` maps a used column to its share of missing cells, and `labels` each way in which a label came about
    (traded, a delisting's return, a default for one, none yet) to how many rows it made. `members` is the index whose
    members of each date were the universe, empty where all names with a price were.
    """

    digest: str
    first: str
    last: str
    dates: int
    columns: tuple[str, ...]
    missing_share: dict[str, float]
    left_out: tuple[LeftOut, ...] = ()
    rows_without_label: int = 0
    labels: dict[str, int] = field(default_factory=dict)
    members: str = ""


@dataclass(frozen=True)
class FoldSummary:
    """One step of the walk-forward: first and last decision dates, and rows, of each part."""

    train_first: str
    train_last: str
    valid_first: str
    valid_last: str
    test_first: str
    test_last: str
    train_rows: int
    valid_rows: int
    test_rows: int


@dataclass(frozen=True)
class PortfolioResult:
    """A strategy on an analyst's forecasts, or a benchmark, on the same sessions and costs.

    `over_cash` and `over_equal` tell where its return over cash and over 1/N came from; None where it was ruined, began
    later than 1/N, or was run by a version that did not tell. `track` is what a deflated Sharpe ratio needs of its
    returns of one session, whatever the number of tries is when it is asked for; None where it lasted too short a time,
    or in runs of versions that did not tell.
    """

    name: str
    kind: Literal["strategy", "benchmark"]
    analyst: str | None
    strategy: str | None
    statistics: AccountStatistics
    trades: TradeAnalysis | None = None
    over_cash: Attribution | None = None
    over_equal: Attribution | None = None
    track: Track | None = None


@dataclass(frozen=True)
class Efficiency:
    """What an analyst's fits cost, over all folds and seeds.

    Attributes:
        analyst: entry of the study.
        parameters: learnt numbers, of the largest fit.
        fits: how many; `seconds` is the wall time of all of them, when they were made.
        seconds_per_epoch: mean over all epochs; None here and below where it learns without epochs.
        samples_per_second: training rows a second, median over fits.
        median_best_epoch: median over fits of the epoch that was kept.
        median_seconds_to_best: median over fits of the wall time until that epoch.
        peak_memory_mb: of the hungriest fit, in units of 10^6 bytes; None where it was not measured.
        energy_joules: of all fits together; None where the device does not tell.
    """

    analyst: str
    parameters: int
    fits: int
    seconds: float
    seconds_per_epoch: float | None
    samples_per_second: float | None
    median_best_epoch: float | None
    median_seconds_to_best: float | None = None
    peak_memory_mb: float | None = None
    energy_joules: float | None = None


@dataclass(frozen=True)
class StageTiming:
    """Wall seconds of a stage in this run; `resumed` when a finished result was taken up."""

    stage: str
    seconds: float
    resumed: bool


@dataclass(frozen=True)
class PartResult:
    """An analyst's results in a part of the test quarters; None where there are none.

    `before` are quarters with a row that rests on a digest of an article that its model's knowledge reaches beyond,
    `after` all others. Accuracy is of the direction.
    """

    analyst: str
    part: Literal["before", "after"]
    quarters: int
    rows: int
    rank_ic: float | None
    rank_ic_interval: Interval | None
    accuracy: float | None
    accuracy_interval: Interval | None


@dataclass(frozen=True)
class TwinColumn:
    """A column's rank IC with the next change of price, from digests of articles with and without names."""

    column: str
    quarters: int
    rank_ic: float | None
    rank_ic_hidden: float | None
    difference: float | None
    difference_interval: Interval | None


@dataclass(frozen=True)
class LanguageSummary:
    """Whose digests the panel's language columns rest on, and what their model may have known.

    Attributes:
        digester, model: name and version of the prompt, and what read.
        cutoff: last day of which the model may have learnt; "unknown", or empty for one that learnt nothing.
        columns: of the panel that come from digests.
        rows, flagged: test rows, and those of them that rest on a digest of an article of the cutoff or before.
        results: of each analyst before and after.
        twin: the other version of the same digester that read with, or without, names; empty where there is none.
        scores: how the two versions agree, the anonymised over the plain one.
        twin_columns: what each is worth in the test quarters.
    """

    digester: str
    model: str
    cutoff: str
    columns: tuple[str, ...]
    rows: int
    flagged: int
    results: tuple[PartResult, ...]
    twin: str = ""
    scores: tuple[ScorePair, ...] = ()
    twin_columns: tuple[TwinColumn, ...] = ()


@dataclass(frozen=True)
class Unsealing:
    """One opening of a family's vault.

    Attributes:
        number: 1 for the first, which is the only one that tests anything.
        study, digest: name of the study and digest of the run.
        opened_at, finished_at: instants in ISO form; without the second it has no result.
        verdict: the run's.
        run: name of the run's folder.
    """

    number: int
    study: str
    digest: str
    opened_at: str
    finished_at: str = ""
    verdict: str = ""
    run: str = ""


@dataclass(frozen=True)
class TrialCount:
    """How often a family of studies has tried, this run included.

    Attributes:
        family: of studies.
        count: trials, in whichever state.
        finished, failed, unfinished: by state; those unfinished run, were stopped by the user, or were killed.
        sealed_after: last instant of the data that the family may see, in ISO form; empty without a vault.
        unsealed: every opening of the vault.
        counted_at: instant of the count.
        effective: independent tries that the finished trials' strategies amount to, by the correlation of their
            quarterly returns, pair by pair over the quarters that both traded in; None where none traded.
        sharpe_variance: of those strategies' Sharpe ratios of one session; None of fewer than 2.
        untraded: finished trials that were looked at without a run, by a sweep, `alfred train`, `ablate` or `notes`,
            and never traded; each counts whole.
    """

    family: str
    count: int
    finished: int
    failed: int
    unfinished: int
    sealed_after: str = ""
    unsealed: tuple[Unsealing, ...] = ()
    counted_at: str = ""
    effective: float | None = None
    sharpe_variance: float | None = None
    untraded: int = 0


@dataclass(frozen=True)
class RunRecord:
    """Everything a run found out, beside its tables; `audit` is None in runs that were not audited.

    `frictions` says what accounts met in place of plain `cost_bps`, with their limits; empty where they met that.
    `sectors` says what was known of them; None where nothing was, or by runs of a version that did not ask.
    """

    __pydantic_config__ = ConfigDict(ser_json_inf_nan="constants")

    study: str
    digest: str
    created_at: str
    alfred_version: str
    protocol: str
    question: str
    verdict: str
    warnings: tuple[str, ...]
    data: DataSummary
    training_basket: tuple[str, ...]
    evaluation_basket: tuple[str, ...]
    panel: PanelSummary
    folds: tuple[FoldSummary, ...]
    seeds: tuple[int, ...]
    scorecards: tuple[Scorecard, ...]
    portfolios: tuple[PortfolioResult, ...]
    efficiency: tuple[Efficiency, ...]
    timings: tuple[StageTiming, ...]
    environment: dict[str, str]
    settings: dict[str, Any]
    cost_bps: float
    execution: str
    peak_memory_mb: float
    language: LanguageSummary | None = None
    trials: TrialCount | None = None
    audit: Audit | None = None
    frictions: str = ""
    sectors: SectorSummary | None = None


_ADAPTER = TypeAdapter(RunRecord)


def dump_record(record: RunRecord) -> str:
    """The record as indented JSON."""
    return _ADAPTER.dump_json(record, indent=2).decode() + "\n"


def load_record(folder: Path) -> RunRecord:
    """Read `run.json` of a run's folder.

    Raises:
        DataError: the folder holds no record, or one that this version cannot read.
    """
    path = folder / "run.json"
    if not path.is_file():
        raise DataError(f"{folder} is no run's folder: run.json is absent. `alfred run` prints the folder it makes.")
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DataError(
            f"{path} cannot be read by this version of Alfred ({place or 'the file'}: {first['msg']}); move {folder} "
            "away and run its study again."
        ) from error


def load_frame(folder: Path, name: str) -> pl.DataFrame:
    """One of the run's tables, named as in this module's docstring.

    Raises:
        DataError: the run has no such table, or it is damaged or lacks columns.
    """
    path = folder / f"{name}.parquet"
    if not path.is_file():
        raise DataError(f"{folder} holds no {name}.parquet; delete {folder} and run the study again.")
    try:
        frame = pl.read_parquet(path, glob=False)
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{path} is damaged ({error}); delete {folder} and run the study again.") from error
    absent = [column for column in _KEYS.get(name, ()) if column not in frame.columns]
    if absent:
        raise DataError(f"{path} lacks {', '.join(absent)}; delete {folder} and run the study again.")
    return frame
