"""What managing a run found out: the folder `manager` in the run's own.

| file | one row is | columns |
| --- | --- | --- |
| `manager.json` | the `ManagerRecord` | |
| `accounts.parquet` | a session of an account | policy, seed, date, value |
| `decisions.parquet` | an account's decision | policy, seed, as_of, filled_on, turnover, gross, net, names; and \
commission, spread and impact in units of the initial capital |
| `weights.parquet` | a name wanted or held | policy, seed, as_of, symbol; the weights before, target (before limits) \
and after |
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import TypeAdapter, ValidationError

from alfred.backtest.attribution import Attribution
from alfred.core.contracts import Interval
from alfred.core.errors import DataError
from alfred.experiments.sectors import SectorSummary
from alfred.manager.figures import PolicyFigures, Regime
from alfred.manager.judgement import Comparison

FOLDER, FILE = "manager", "manager.json"


@dataclass(frozen=True)
class LiquidResult:
    """A policy held to the more liquid half of the names; annual log growth, and less 1/N held to the same half."""

    policy: str
    growth: float
    interval: Interval
    difference: float
    difference_interval: Interval


@dataclass(frozen=True)
class Sensitivity:
    """A policy's same decisions with other frictions; annual log growth, and less 1/N with the same frictions.

    `value` is basis points of traded value over all other frictions, or the initial capital in dollars.
    """

    policy: str
    value: float
    growth: float
    difference: float


@dataclass(frozen=True)
class Capacity:
    """The capital in dollars at which a policy's edge over 1/N is used up; 0 without an edge, None beyond all tried."""

    policy: str
    capital_usd: float | None


@dataclass(frozen=True)
class PolicyAttribution:
    """Where a policy's return came from, the mean over its seeds; `over_equal` is None for 1/N."""

    policy: str
    over_cash: Attribution
    over_equal: Attribution | None


@dataclass(frozen=True)
class ManagerRecord:
    """Everything that managing a run found out, beside its tables.

    Attributes:
        run, study, created_at, alfred_version, digest: what was managed, when, and by what.
        verdict: sentences on which simple rule is not shown to be beaten.
        recommended: the simplest policy that none was shown to beat.
        warnings: what must be said before the figures.
        first, last: decision dates of the manager's own.
        end: last session of its accounts.
        learnt: decisions before `first`, which policies only learnt from.
        periods, periods_a_year: that it decided about.
        block: mean periods of a block of the bootstrap.
        level: of all intervals.
        names: that could be held at all.
        analysts: whose forecasts it saw.
        order: policies in order of simplicity.
        settings: of the manager; `frictions` are those that applied.
        figures, comparisons, regimes: by policy.
        liquid: empty where volume is not known.
        costs: growth at more costs.
        capitals: growth at more capital, empty where costs do not depend on it; `capacities` what follows.
        attributions: by policy, without those of which a seed was ruined; empty where the index is not known on every
            session, or in records of a version that did not tell.
        sectors: what the attributions knew of sectors; None where nothing was known.
    """

    run: str
    study: str
    created_at: str
    alfred_version: str
    digest: str
    verdict: tuple[str, ...]
    recommended: str
    warnings: tuple[str, ...]
    first: str
    last: str
    end: str
    learnt: int
    periods: int
    periods_a_year: float
    block: float
    level: float
    names: int
    analysts: tuple[str, ...]
    order: tuple[str, ...]
    settings: dict[str, Any]
    frictions: dict[str, Any]
    figures: tuple[PolicyFigures, ...]
    comparisons: tuple[Comparison, ...]
    regimes: tuple[Regime, ...]
    liquid: tuple[LiquidResult, ...]
    costs: tuple[Sensitivity, ...]
    capitals: tuple[Sensitivity, ...]
    capacities: tuple[Capacity, ...]
    attributions: tuple[PolicyAttribution, ...] = ()
    sectors: SectorSummary | None = None

    def of(self, policy: str) -> PolicyFigures:
        """A policy's figures.

        Raises:
            DataError: there is none of that name.
        """
        for one in self.figures:
            if one.policy == policy:
                return one
        raise DataError(f"the manager of {self.run} has no policy {policy!r}; it has {', '.join(self.order)}.")


_ADAPTER = TypeAdapter(ManagerRecord)


def dump_managed(record: ManagerRecord) -> str:
    """The record as indented JSON."""
    return _ADAPTER.dump_json(record, indent=2).decode() + "\n"


def load_managed(run: Path) -> ManagerRecord | None:
    """The record of a run's manager, None where it was not managed.

    Args:
        run: the run's folder.

    Raises:
        DataError: there is one that this version cannot read.
    """
    path = run / FOLDER / FILE
    if not path.is_file():
        return None
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except ValidationError as error:
        raise DataError(f"{path} cannot be read by this version of Alfred; manage the study again.") from error


def load_managed_frame(run: Path, name: str) -> pl.DataFrame:
    """One of the manager's tables, named as in this module's docstring.

    Raises:
        DataError: there is no such table, or it is damaged.
    """
    path = run / FOLDER / f"{name}.parquet"
    try:
        return pl.read_parquet(path, glob=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path} cannot be read ({error}); manage the study again.") from error
