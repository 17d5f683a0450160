"""Analysts of accounts on trial: who forecasts growth, margins and earnings better than their own last figures do.

One folder a run: `fundamentals.json` (the `FundamentalRecord`), `study.toml`, and `forecasts.parquet`, a row for each
forecast, with the columns of `FundamentalWalk.forecast` and `basket`, training or evaluation. Errors are of the
evaluation basket. The training basket is forecast too, by the same fits, so that its later rows can learn from these
forecasts.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import TypeAdapter, ValidationError

from alfred.analysts import AnalystSpec
from alfred.core.contracts import EPS_AHEAD
from alfred.core.errors import ConfigError, DataError, LeakError
from alfred.core.home import Home
from alfred.core.progress import Progress, Silent
from alfred.core.storage import whole_folder
from alfred.core.version import __version__
from alfred.evaluation.audit import Audit
from alfred.evaluation.protocols import SAME_YEARS, question
from alfred.evaluation.relative import RelativeError, relative_errors
from alfred.evaluation.splits import walk_forward
from alfred.experiments import counting
from alfred.experiments.audit import require_clean
from alfred.experiments.fundamental_audit import audit_of_accounts
from alfred.experiments.fundamental_walk import BASELINES, FundamentalWalk
from alfred.experiments.prepared import Inputs, Prepared, prepare, read_inputs, run_digest
from alfred.experiments.record import LeftOut, TrialCount
from alfred.experiments.stages import Stages
from alfred.experiments.study import NAIVE, Study
from alfred.experiments.trials import Trial, TrialLedger, on_trial
from alfred.panel.anchors import with_anchors
from alfred.panel.build import sources_of
from alfred.panel.fundamental_labels import FundamentalLabel, fundamental_label

RECORD = "fundamentals.json"
FEW_QUARTERS = 40


@dataclass(frozen=True)
class FundamentalRecord:
    """What a run of the analysts of accounts found, and from what.

    Attributes:
        errors: of every analyst, label and horizon on the evaluation basket, baselines among them.
        left_out: labels that the data do not allow, and why.
        warnings: what a reader must know before any figure.
        versions: of the lake's tables.
        trials: how often the study's family has tried, this run included.
        audit: what the audit looked at and found; None in records of earlier versions.
    """

    study: str
    digest: str
    created_at: str
    alfred_version: str
    question: str
    errors: tuple[RelativeError, ...]
    left_out: tuple[LeftOut, ...]
    warnings: tuple[str, ...]
    training_basket: tuple[str, ...]
    evaluation_basket: tuple[str, ...]
    versions: dict[str, int]
    settings: dict[str, Any]
    trials: TrialCount | None = None
    audit: Audit | None = None


_ADAPTER = TypeAdapter(FundamentalRecord)


def run_fundamentals(study: Study, home: Home, progress: Progress | None = None) -> Path:
    """Forecast accounts over the study's folds and baskets, and judge everyone; finished fits are taken up.

    Returns:
        The run's folder.

    Raises:
        ConfigError: the study's protocol tests the quarters that it trains on.
        FetchError: the trials cannot be counted, because the tracking data cannot be reached.
        DataError: the data hold none of the labels, or too few quarters of them for the study's folds.
        AuditError: the audit found what makes the results unbelievable.
    """
    progress = progress or Silent()
    if study.universe.protocol in SAME_YEARS:
        raise ConfigError(
            f"accounts are forecast for other years only, but the protocol is {study.universe.protocol}; name "
            "same-tickers-other-years or other-tickers-other-years."
        )
    progress.say("data and panel")
    inputs = read_inputs(study, home)
    digest = run_digest(study, inputs)
    ledger, trials = TrialLedger.open(home), counting.trials_of_accounts(study, inputs, digest)
    folder = home.fundamentals / f"{study.name}-{digest[:10]}"
    if (folder / RECORD).is_file():
        progress.say(f"this was finished before, with the same data and code: {folder}")
        _tell(ledger, [trial for trial in trials if not ledger.has_finished(trial)], load_fundamentals(folder)[0])
        return folder
    begun = counting.begin(ledger, trials)
    keys = [trial.key for trial in begun]
    with on_trial(ledger, begun):
        record = _run(study, home, inputs, digest=digest, folder=folder, keys=keys, progress=progress)
    _tell(ledger, begun, record)
    return folder


def _tell(ledger: TrialLedger, trials: Sequence[Trial], record: FundamentalRecord) -> None:
    for trial in counting.begin(ledger, trials):
        entry = trial.analyst.removesuffix(f" ({counting.ACCOUNTS})")
        ledger.finish(trial, counting.accounts_figures(record.errors, entry))


def _run(
    study: Study, home: Home, inputs: Inputs, *, digest: str, folder: Path, keys: Sequence[str], progress: Progress
) -> FundamentalRecord:
    prepared = prepare(study, home, inputs)
    progress.say("labels of accounts")
    labels, left_out = _labels(study, prepared)
    walks = _walks(study, prepared, labels, Stages(home.stages))
    forecasts = _forecasts(study, prepared, walks, progress)
    evaluated = forecasts.filter(pl.col("basket") == "evaluation")
    errors = relative_errors(evaluated, BASELINES, study.evaluation)
    counted = counting.count(home, study.counted_as, keys)
    progress.say("audit")
    audit = audit_of_accounts(study, prepared, walks, evaluated, errors=errors, trials=counted.count)
    require_clean(audit)
    record = FundamentalRecord(
        study=study.name,
        digest=digest,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        alfred_version=__version__,
        question=question(study.universe.protocol),
        errors=errors,
        left_out=left_out,
        warnings=_warnings(prepared, evaluated),
        training_basket=inputs.baskets.training,
        evaluation_basket=inputs.baskets.evaluation,
        versions=dict(inputs.market.view.versions),
        settings=study.model_dump(mode="json"),
        trials=counted,
        audit=audit,
    )
    shutil.rmtree(folder, ignore_errors=True)
    with whole_folder(folder) as scratch:
        forecasts.write_parquet(scratch / "forecasts.parquet")
        (scratch / "study.toml").write_text(study.toml(), encoding="utf-8")
        (scratch / RECORD).write_bytes(_ADAPTER.dump_json(record, indent=2) + b"\n")
    return record


def load_fundamentals(folder: Path) -> tuple[FundamentalRecord, pl.DataFrame]:
    """The record and the forecasts of a run.

    Raises:
        DataError: the folder holds none, or one that this version cannot read.
    """
    try:
        record = _ADAPTER.validate_json((folder / RECORD).read_bytes())
        return record, pl.read_parquet(folder / "forecasts.parquet", glob=False)
    except (OSError, ValidationError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{folder} holds no readable run of the analysts of accounts: {error}.") from error


def forecast_columns(forecasts: pl.DataFrame, analyst: str) -> pl.DataFrame:
    """One analyst's forecasts as columns of a panel, for `alfred.panel.added.with_columns`; means over seeds.

    Every row was forecast by a fit that had learnt from labels known on its date only. Rows before the first test date
    have no forecast: they could only be had from fits that had seen what came.

    Args:
        forecasts: a run's `forecasts.parquet`.
        analyst: whose.

    Returns:
        Columns symbol, date, and `forecast_Margin_Net_Profit_4q` and the like.

    Raises:
        DataError: nobody of that name forecasts there, or a row is forecast by two folds.
        LeakError: a fit had learnt from a label that became known after the date of its forecast.
    """
    own = forecasts.filter(pl.col("analyst") == analyst)
    if own.is_empty():
        there = ", ".join(forecasts["analyst"].unique().sort().to_list())
        raise DataError(f"there are no forecasts of accounts by {analyst!r}; there are {there}.")
    late = own.filter(pl.col("learnt_until").is_null() | (pl.col("learnt_until") > pl.col("as_of")))
    if late.height:
        one = late.row(0, named=True)
        raise LeakError(
            f"{late.height} forecasts of accounts, such as that of {one['symbol']} on {one['as_of']}, were made by "
            f"fits that had learnt from labels known on {one['learnt_until']}; only forecasts out of fold may be "
            "columns."
        )
    row = ["symbol", "as_of", "target", "horizon_quarters"]
    if own.select(*row, "seed").is_duplicated().any():
        raise DataError(f"{analyst} forecasts a row more than once with one seed; folds must not test a date twice.")
    name = pl.format("forecast_{}_{}q", pl.col("target").str.strip_prefix("next_"), pl.col("horizon_quarters"))
    means = own.group_by(row, maintain_order=True).agg(pl.col("mean").mean()).with_columns(name.alias("column"))
    wide = means.pivot("column", index=["symbol", "as_of"], values="mean", maintain_order=True)
    return wide.rename({"as_of": "date"}).sort("date", "symbol")


def _labels(study: Study, prepared: Prepared) -> tuple[dict[int, dict[str, FundamentalLabel]], tuple[LeftOut, ...]]:
    """Labels by horizon and name, and those that cannot be had."""
    panel, inputs = prepared.panel, prepared.inputs
    sources = sources_of(inputs.tables, study.panel, panel.dates)
    found: dict[int, dict[str, FundamentalLabel]] = {}
    left_out = []
    for horizon in study.fundamentals.horizons:
        found[horizon] = {}
        for target in study.fundamentals.targets:
            if target == EPS_AHEAD and not inputs.market.levels_usable:
                reason = "it needs prices as quoted, and these were adjusted backwards by splits that are not at hand"
                left_out.append(LeftOut(f"{target}, {horizon} quarters ahead", reason))
                continue
            label = fundamental_label(sources, target, horizon)
            if np.isfinite(label.change.of(target)[panel.listed]).any():
                found[horizon][target] = label
            else:
                reason = "no listed row has a figure, both baselines and a label; the data lack its concepts, or years"
                left_out.append(LeftOut(f"{target}, {horizon} quarters ahead", reason))
    if not any(found.values()):
        raise DataError(f"no label of accounts can be had: {left_out[0].name}: {left_out[0].reason}.")
    return found, tuple(left_out)


def _walks(
    study: Study, prepared: Prepared, labels: Mapping[int, Mapping[str, FundamentalLabel]], stages: Stages
) -> tuple[FundamentalWalk, ...]:
    """One for each horizon that has labels."""
    panel, baskets = prepared.panel, prepared.inputs.baskets
    return tuple(
        FundamentalWalk(
            panel=with_anchors(panel, own, study.fundamentals.features),
            labels=own,
            folds=walk_forward(panel.dates, horizon, study.splits),
            training=baskets.training,
            forecast_for=tuple(dict.fromkeys((*baskets.evaluation, *baskets.training))),
            panel_settings=study.panel,
            split_settings=study.splits,
            train_settings=study.train,
            stages=stages,
        )
        for horizon, own in labels.items()
        if own
    )


def _forecasts(study: Study, prepared: Prepared, walks: Sequence[FundamentalWalk], progress: Progress) -> pl.DataFrame:
    specs = (AnalystSpec(name=NAIVE), *(spec for spec in study.fundamentals.analysts if spec.name != NAIVE))
    frames = [walk.forecast(target, specs, study.seeds, progress) for walk in walks for target in walk.labels]
    evaluation = list(prepared.inputs.baskets.evaluation)
    basket = pl.when(pl.col("symbol").is_in(evaluation)).then(pl.lit("evaluation"))
    return pl.concat(frames).with_columns(basket.otherwise(pl.lit("training")).alias("basket"))


def _warnings(prepared: Prepared, evaluated: pl.DataFrame) -> tuple[str, ...]:
    found = []
    if prepared.inputs.market.description.survivors_only:
        found.append("Survivorship: these companies were chosen because they still existed at the end of the data.")
    quarters = evaluated.drop_nulls("realised").group_by("target", "horizon_quarters").agg(pl.col("as_of").n_unique())
    fewest = quarters["as_of"].min()
    if isinstance(fewest, int) and fewest < FEW_QUARTERS:
        found.append(f"Few dates: as few as {fewest} test quarters have a label; only large differences can show.")
    return tuple(found)
