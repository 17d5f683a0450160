"""What a run tells the trial ledger, and what the ledger says back: how many trials its family has had."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from pydantic import TypeAdapter, ValidationError

from alfred.analysts import AnalystSpec
from alfred.backtest.settings import SESSIONS_PER_YEAR
from alfred.core.calendar import decision_dates, quarter_index
from alfred.core.digest import code_digest, digest_of
from alfred.core.errors import FetchError
from alfred.core.home import Home
from alfred.core.storage import write_whole
from alfred.evaluation.contracts import Scorecard
from alfred.evaluation.deflation import effective_trials
from alfred.evaluation.relative import RelativeError
from alfred.experiments.prepared import Inputs, run_digest
from alfred.experiments.record import PortfolioResult, RunRecord, TrialCount, load_frame
from alfred.experiments.study import NAIVE, Study, entry_name
from alfred.experiments.trials import FAILED, FINISHED, VALID, Returns, Series, Trial, TrialLedger, returns_of
from alfred.experiments.vault import unsealings, vault_of

COUNT = "trials.json"
ACCOUNTS = "accounts of companies"
_ADAPTER = TypeAdapter(TrialCount)
_NOT_TRIED = ("name", "family", "vault_quarters", "analysts", "fundamentals", "manager")
"""Settings that are not part of one analyst's trial."""
FEWEST_QUARTERS, SESSIONS_PER_QUARTER = 3, SESSIONS_PER_YEAR / 4
TRAINED, TESTED = "validation.", "test."
"""Begin the names of figures of rows that were looked at without a run: by `alfred train`, `ablate` and `notes`."""


def trials_of(study: Study, inputs: Inputs, digest: str, protocol: str) -> tuple[Trial, ...]:
    """The trials of a run, one an analyst; the naive forecast is what they are compared with, and none.

    Args:
        study, inputs: of the run.
        digest: of the run.
        protocol: the question asked.
    """
    specs = [spec for spec in study.analysts if spec.name != NAIVE]
    return tuple(_trial(study, inputs, digest, protocol=protocol, spec=spec) for spec in specs)


def trials_of_accounts(study: Study, inputs: Inputs, digest: str) -> tuple[Trial, ...]:
    """Likewise of `alfred fundamentals`: one an analyst, over all its labels and horizons."""
    specs = [spec for spec in study.fundamentals.analysts if spec.name != NAIVE]
    protocol = study.universe.protocol
    return tuple(_trial(study, inputs, digest, protocol=protocol, spec=spec, subject=ACCOUNTS) for spec in specs)


def _trial(study: Study, inputs: Inputs, digest: str, *, protocol: str, spec: AnalystSpec, subject: str = "") -> Trial:
    settings = study.model_dump(mode="json")
    own = {name: value for name, value in settings.items() if name not in _NOT_TRIED}
    own["universe"] = [protocol, inputs.baskets.training, inputs.baskets.evaluation]
    if subject:
        own["fundamentals"] = {**settings["fundamentals"], "analysts": None}
    config = spec.model_dump(mode="json", exclude_defaults=True)
    key = digest_of(own, spec.model_dump(mode="json"), inputs.digest, code_digest())
    return Trial(
        key=key,
        family=study.counted_as,
        study=study.name,
        digest=digest,
        analyst=f"{entry_name(spec)} ({subject})" if subject else entry_name(spec),
        protocol=protocol,
        seen_until=inputs.seen_until,
        config={**config, "seeds": list(study.seeds)},
    )


def trials_without(
    study: Study, inputs: Inputs, spec: AnalystSpec, what: Mapping[str, Sequence[str]]
) -> dict[str, Trial]:
    """The trials of an analyst that is fitted anew without some columns, one for each family or column of `what`."""
    whole = _trial(study, inputs, run_digest(study, inputs), protocol=study.universe.protocol, spec=spec)
    return {
        name: replace(
            whole,
            key=digest_of(whole.key, "without", sorted(columns)),
            analyst=f"{whole.analyst} without {name}",
            config={**(whole.config or {}), "without": sorted(columns)},
        )
        for name, columns in what.items()
    }


def begin(ledger: TrialLedger, trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """Write all down before the first of them begins."""
    return tuple(ledger.begin(trial) for trial in trials)


def finish(ledger: TrialLedger, trials: Sequence[Trial], folder: Path, record: RunRecord) -> None:
    """Write down what came of a run's trials, as begun, from its finished folder."""
    quarters, accounts = load_frame(folder, "quarters"), load_frame(folder, "accounts")
    cards = {card.analyst: card for card in record.scorecards}
    for trial in trials:
        own = [one for one in record.portfolios if one.analyst == trial.analyst and one.strategy]
        series = {str(one.strategy): quarterly_returns(accounts, one.name) for one in own}
        series["rank_ic"] = _ranks(quarters, trial.analyst)
        found = {name: one for name, one in series.items() if one.values}
        ledger.finish(trial, _figures(cards[trial.analyst], own), found)


def catch_up(ledger: TrialLedger, trials: Sequence[Trial], folder: Path, record: RunRecord) -> None:
    """Write down the trials of a run that was finished before, where this ledger does not have them as finished."""
    missing = [one for one in trials if not ledger.has_finished(one)]
    finish(ledger, begin(ledger, missing), folder, record)


def accounts_figures(errors: Sequence[RelativeError], analyst: str) -> dict[str, float | None]:
    """What is written down of an analyst of accounts: its errors over those of each baseline."""
    return {
        f"{one.target}.{one.horizon_quarters}q.mae_over_{ratio.baseline.replace(' ', '_')}": ratio.mae
        for one in errors
        if one.analyst == analyst
        for ratio in one.ratios
    }


def quarterly_returns(accounts: pl.DataFrame, portfolio: str) -> Series:
    """Returns of whole calendar quarters of one account, from the last session of a quarter to that of the next.

    The first reaches from the account's start, with what that cost. A quarter that the data do not reach the end of has
    none, nor has one after the account's ruin.

    Args:
        accounts: a run's `accounts.parquet`.
        portfolio: whose.
    """
    own = accounts.filter(pl.col("portfolio") == portfolio).sort("date")
    if own.is_empty():
        return Series(0, ())
    dates, value = own["date"].to_numpy().astype("datetime64[D]"), own["value"].to_numpy()
    ends = decision_dates(dates[0] + np.timedelta64(1, "D"), dates[-1])
    ends = ends[np.isin(ends, dates)]
    if not len(ends):
        return Series(0, ())
    worth = value[np.searchsorted(dates, ends)]
    before = np.concatenate([[1.0], worth[:-1]])
    returns = np.divide(worth, before, out=np.full(len(worth), np.nan), where=before > 0) - 1
    return _consecutive(dict(zip(quarter_index(ends).tolist(), returns.tolist(), strict=True)))


def count(home: Home, name: str, done: Collection[str] = ()) -> TrialCount:
    """How many trials a family has had, and how its vault stands.

    Args:
        home: whose tracking data.
        name: of the family.
        done: keys of trials that are finished, though the ledger is told later.
    """
    ledger = TrialLedger.open(home)
    trials, vault = ledger.trials(name), vault_of(ledger.store, name)
    finished = sum(one.status == FINISHED or one.key in done for one in trials)
    failed = sum(one.status == FAILED and one.key not in done for one in trials)
    effective, variance = independent(returns_of(trials))
    return TrialCount(
        family=name,
        count=len(trials),
        finished=finished,
        failed=failed,
        unfinished=len(trials) - finished - failed,
        sealed_after="" if vault is None else vault.sealed_after.isoformat(),
        unsealed=unsealings(ledger.store, name) if vault is None else vault.unsealed,
        counted_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        effective=effective,
        sharpe_variance=variance,
        untraded=sum(_is_untraded(one) for one in trials if one.key not in done),
    )


def _is_untraded(trial: Trial) -> bool:
    """Whether it was looked at without a run, by a sweep, a training or the like, and nothing else was done with it."""
    judged = any(name.startswith((VALID, TRAINED, TESTED)) for name in trial.figures or ())
    return trial.status == FINISHED and judged and not trial.series


def independent(returns: Returns) -> tuple[float | None, float | None]:
    """Effective number of strategies, and the variance of their Sharpe ratios of one session.

    Strategies need not have traded in the same quarters: what two of them share is looked at pair by pair, and those
    that share fewer than three count as unlike. A ratio is of a strategy's own quarters, and weighs by how many those
    are. None: no strategy traded; and of the variance, fewer than two traded for three quarters.
    """
    known = np.isfinite(returns.values)
    traded = known.sum(axis=0)
    if not traded.any():
        return None, None
    long = traded >= FEWEST_QUARTERS
    effective = effective_trials(returns.values) if long.any() else float((traded > 0).sum())
    if long.sum() < 2:
        return effective, None
    own, weights = returns.values[:, long], traded[long]
    away = np.nanstd(own, axis=0, ddof=1)
    # A Sharpe ratio grows with the root of time.
    per_session = np.divide(np.nanmean(own, axis=0), away, out=np.zeros_like(away), where=away > 0)
    per_session /= SESSIONS_PER_QUARTER**0.5
    count, mean = len(weights), np.average(per_session, weights=weights)
    return effective, float(np.average((per_session - mean) ** 2, weights=weights) * count / (count - 1))


def recount(home: Home, folder: Path, record: RunRecord) -> str:
    """Write the count as it stands today beside a run's record, for whoever looks at the run now.

    Returns:
        Why it could not be had; empty where it could. A run that was never counted has none.
    """
    if record.trials is None:
        return ""
    try:
        write_whole(folder / COUNT, _ADAPTER.dump_json(count(home, record.trials.family), indent=2) + b"\n")
    except FetchError as error:
        return f"The trials were not counted anew: {error}"
    return ""


def counted(folder: Path, record: RunRecord) -> TrialCount | None:
    """The latest count beside a run's record, otherwise the record's own; None where it was never counted."""
    try:
        return _ADAPTER.validate_json((folder / COUNT).read_bytes())
    except (OSError, ValidationError):
        return record.trials


def spent(found: TrialCount, digest: str) -> tuple[str, ...]:
    """What a reader must know of a vault that was opened.

    Args:
        found: the family's count.
        digest: of the run that is looked at.
    """
    opened = [one for one in found.unsealed if one.digest != digest]
    own = [one for one in found.unsealed if one.digest == digest]
    said = []
    if own and own[-1].number > 1:
        said.append(
            f"Vault opened again: this is look number {own[-1].number} at the sealed quarters of the family "
            f"{found.family}, the first was on {found.unsealed[0].opened_at[:10]}; only the first tested anything."
        )
    elif opened:
        times = f", and {len(opened) - 1} more time{'s' * (len(opened) > 2)} since" if len(opened) > 1 else ""
        said.append(
            f"Vault spent: the sealed quarters of the family {found.family} were looked at on "
            f"{opened[0].opened_at[:10]} by the study {opened[0].study} (digest {opened[0].digest[:10]}){times}; what "
            "was chosen after that date may have been chosen by them."
        )
    return tuple(said)


def _figures(card: Scorecard, portfolios: Sequence[PortfolioResult]) -> dict[str, float | None]:
    found = {figure.name: figure.value for figure in card.figures}
    for one in portfolios:
        found[f"{one.strategy}.sharpe"] = one.statistics.sharpe
        found[f"{one.strategy}.annual_return"] = one.statistics.annual_return
    return found


def _ranks(quarters: pl.DataFrame, analyst: str) -> Series:
    own = quarters.filter(pl.col("analyst") == analyst)
    at = quarter_index(own["as_of"].to_numpy().astype("datetime64[D]")).tolist()
    return _consecutive(dict(zip(at, own["rank_ic"].to_list(), strict=True)))


def _consecutive(values: dict[int, float | None]) -> Series:
    if not values:
        return Series(0, ())
    first, last = min(values), max(values)
    return Series(first, tuple(values.get(at) for at in range(first, last + 1)))
