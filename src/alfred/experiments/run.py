"""The whole chain: lake, panel, walk-forward, scorecards, accounts, and the record of it all."""

import functools
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from alfred.analysts import AnalystSpec, describe
from alfred.core.digest import digest_of
from alfred.core.errors import DataError
from alfred.core.home import Home
from alfred.core.progress import Progress, Silent
from alfred.core.storage import whole_folder
from alfred.core.version import __version__
from alfred.evaluation.audit import examine
from alfred.evaluation.contracts import Scorecard
from alfred.evaluation.memory import as_memory, memory_verdict
from alfred.evaluation.protocols import SAME_YEARS, SEALED, question
from alfred.evaluation.scorecard import quarter_table, scorecard
from alfred.evaluation.splits import Fold, walk_forward
from alfred.evaluation.verdict import judged, overall_verdict
from alfred.experiments import counting
from alfred.experiments.audit import Results, evidence_of, require_clean
from alfred.experiments.conditions import reality_of, told
from alfred.experiments.deflated import deflated_ratios, told_tracks
from alfred.experiments.foreknowledge import Tested, language_summary, warning_of
from alfred.experiments.market import Market
from alfred.experiments.portfolios import Portfolios, account_bars, run_portfolios
from alfred.experiments.prepared import Prepared, prepare, read_inputs, run_digest
from alfred.experiments.record import LanguageSummary, RunRecord, StageTiming, dump_record, load_record
from alfred.experiments.remarks import warnings_of
from alfred.experiments.stages import Stages
from alfred.experiments.store import log_run, write_models
from alfred.experiments.study import NAIVE, Study, entry_name, judged_loss, target_of
from alfred.experiments.summaries import data_summary, efficiency, environment, execution, panel_summary
from alfred.experiments.trials import Trial, TrialLedger, on_trial
from alfred.experiments.vault import Opening
from alfred.experiments.walkforward import Fit, Kept, Origin, WalkForward, curve_rows, fold_summary
from alfred.panel.panel import Panel
from alfred.panel.scaling import scaling_rules
from alfred.training.compute import device_of
from alfred.training.losses import original_row_losses
from alfred.training.meter import process_peak_mb
from alfred.universe.baskets import Baskets

ASKED_ONCE = "Asked once, of quarters that had been sealed before anyone looked."


@dataclass
class _Clock:
    """Collects the stages' timings in order."""

    progress: Progress
    timings: list[StageTiming]
    began: float = 0.0

    def start(self, stage: str) -> None:
        self.began = time.perf_counter()
        self.progress.say(stage)

    def stop(self, stage: str, resumed: bool = False) -> None:
        self.timings.append(StageTiming(stage, time.perf_counter() - self.began, resumed))


def run_study(
    study: Study,
    home: Home,
    progress: Progress | None = None,
    versions: Mapping[str, int] | None = None,
    *,
    kept: Kept | None = None,
    opening: Opening | None = None,
) -> Path:
    """Run a study, or take it up where an earlier run stopped.

    Finished stages are found by digests of their inputs and code, so that a repeat costs little and an interrupted
    run loses at most the fit it was in.

    Args:
        study: what to find out.
        home: where the lake and results are.
        progress: hears how far it is.
        versions: versions of the lake's tables to read, as an earlier run recorded them; default the current ones.
        kept: an analyst of the study that has learnt before and is to forecast as it is.
        opening: the right to look into the vault (see `alfred.experiments.unseal`); default what is sealed stays so.

    Returns:
        The run's folder, with the files that `alfred.experiments.record` lists.

    Raises:
        FetchError: the trials cannot be counted, because the tracking data cannot be reached.
        AlfredError: the data, baskets or periods do not allow what the study asks for.
    """
    progress = progress or Silent()
    clock = _Clock(progress, [])
    clock.start("data")
    inputs = read_inputs(study, home, versions, None if opening is None else opening.vault)
    clock.stop("data")
    protocol = study.universe.protocol if opening is None else SEALED
    digest = digest_of(run_digest(study, inputs), protocol)
    if kept is not None:
        digest = digest_of(digest, kept.digest)
    folder = home.runs / f"{study.name}-{digest[:10]}"
    trials = counting.trials_of(study, inputs, digest, protocol)
    if (folder / "run.json").is_file() and opening is None:
        progress.say(f"this study was finished before, with the same data and code: {folder}")
        counting.catch_up(TrialLedger.open(home), trials, folder, load_record(folder))
        log_run(home, folder, progress)
        return folder

    clock.start("panel")
    prepared = prepare(study, home, inputs)
    clock.stop("panel", prepared.resumed)
    walk = walk_of(study, prepared, home, kept)
    with nullcontext() if opening is None else opening.taken(digest):
        ledger = TrialLedger.open(home)
        if (folder / "run.json").is_file():
            record = load_record(folder)
            counting.catch_up(ledger, trials, folder, record)
        else:
            begun = counting.begin(ledger, trials)
            with on_trial(ledger, begun):
                asked = _Asked(study, home, prepared, walk, digest, protocol, begun)
                record = _evaluate(asked, folder, clock)
            counting.finish(ledger, begun, folder, record)
        if opening is not None:
            opening.finish(record.verdict, folder.name)
    clock.start("store")
    log_run(home, folder, progress)
    return folder


@dataclass(frozen=True)
class _Asked:
    """What is to be evaluated: the study, all that was prepared for it, and what the run is called."""

    study: Study
    home: Home
    prepared: Prepared
    walk: WalkForward
    digest: str
    protocol: str
    trials: tuple[Trial, ...]

    @property
    def question(self) -> str:
        """In words."""
        own = question(self.study.universe.protocol)
        return f"{own} {ASKED_ONCE}" if self.protocol == SEALED else own


def _evaluate(asked: _Asked, folder: Path, clock: _Clock) -> RunRecord:
    """Fit, forecast, judge and trade, and write the run's folder."""
    study, walk, panel = asked.study, asked.walk, asked.prepared.panel
    market, baskets = asked.prepared.inputs.market, asked.prepared.inputs.baskets
    specs = with_naive(study.analysts)
    fits, forecasts = _forecasts(walk, specs, study.seeds, clock)

    clock.start("evaluation")
    scorecards = as_memory(_scorecards(study, specs, forecasts), asked.protocol)
    clock.stop("evaluation")
    clock.start("backtest")
    portfolios = run_portfolios(
        study.backtest, market, baskets.evaluation, forecasts, study.evaluation.seed, labels=study.panel.labels
    )
    clock.stop("backtest")
    clock.start("audit")
    curves = curve_rows(fits)
    counted = counting.count(asked.home, study.counted_as, [trial.key for trial in asked.trials])
    results = Results(
        specs,
        forecasts,
        curves,
        portfolios.accounts,
        portfolios.ledger,
        scorecards,
        portfolios.results,
        trials=counted.count,
        deflated=deflated_ratios(portfolios.results, told_tracks(portfolios.results), counted),
    )
    audit = examine(evidence_of(study, asked.prepared, walk, results))
    require_clean(audit)
    clock.stop("audit")

    language = _language(study, asked.prepared, walk, forecasts)
    warned = warning_of(language) if language else ""
    record = RunRecord(
        study=study.name,
        digest=asked.digest,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        alfred_version=__version__,
        protocol=asked.protocol,
        question=asked.question,
        verdict=_verdict(scorecards, asked.protocol),
        warnings=(
            *warnings_of(market, baskets, walk, portfolios, study.universe.names),
            *([warned] if warned else []),
        ),
        data=data_summary(asked.prepared.inputs, study),
        training_basket=baskets.training,
        evaluation_basket=baskets.evaluation,
        panel=panel_summary(study, panel, walk.panel_digest),
        folds=tuple(fold_summary(walk, fold) for fold in walk.folds),
        seeds=study.seeds,
        scorecards=scorecards,
        portfolios=portfolios.results,
        efficiency=efficiency(fits),
        timings=tuple(clock.timings),
        environment=environment(),
        settings=study.model_dump(mode="json"),
        cost_bps=study.backtest.costs.cost_bps,
        execution=execution(study),
        frictions=told(study.backtest) if study.backtest.frictions or study.backtest.limits else "",
        peak_memory_mb=process_peak_mb(),
        language=language,
        trials=counted,
        audit=audit,
        sectors=portfolios.sectors,
    )
    handed_on = {entry_name(spec): walk.handed_on(spec, study.seeds) for spec in specs}
    _write(folder, study, record, forecasts=forecasts, curves=curves, found=portfolios, handed_on=handed_on)
    return record


def walk_of(study: Study, prepared: Prepared, home: Home, kept: Kept | None = None) -> WalkForward:
    """The study's walk-forward, once everything that would only fail after training has been looked at.

    Raises:
        ConfigError, DataError: the panel, data or device do not allow what the study asks for.
    """
    panel, baskets = prepared.panel, prepared.inputs.baskets
    folds = walk_forward(panel.dates, study.panel.horizon_quarters, study.splits, study.universe.protocol)
    _check_before_training(study, prepared.inputs.market, panel, folds, baskets)
    return WalkForward(
        panel,
        folds,
        baskets.training,
        baskets.evaluation,
        study.panel,
        study.splits,
        study.train,
        Stages(home.stages),
        kept,
        study.universe.protocol,
        Origin(study.data.model_dump(mode="json"), prepared.inputs.digest, prepared.inputs.market.levels_usable),
    )


def _forecasts(
    walk: WalkForward, specs: Sequence[AnalystSpec], seeds: Sequence[int], clock: _Clock
) -> tuple[list[Fit], pl.DataFrame]:
    """Every analyst's fits and forecasts."""
    fits: list[Fit] = []
    frames: list[pl.DataFrame] = []
    # Closed forms first: what the panel lacks for one of them shows before hours of training.
    for spec in sorted(specs, key=lambda spec: describe(spec.name).uses_seed):
        stage = f"analyst {entry_name(spec)}"
        clock.start(stage)
        own, frame = walk.forecast(spec, seeds, clock.progress)
        fits += own
        frames.append(frame)
        clock.stop(stage, all(fit.resumed for fit in own))
    return fits, pl.concat(frames)


def with_naive(specs: Sequence[AnalystSpec]) -> tuple[AnalystSpec, ...]:
    """The study's analysts, led by the naive forecast of every label that one of them forecasts."""
    targets = list(dict.fromkeys(target_of(spec) for spec in specs))
    naive = [AnalystSpec.parse({"name": NAIVE, "label": target}, "the naive forecast") for target in targets]
    return (*naive, *(spec for spec in specs if spec.name != NAIVE))


def _check_before_training(study: Study, market: Market, panel: Panel, folds: Sequence[Fold], baskets: Baskets) -> None:
    """Refuse now what would only fail after hours of training.

    Raises:
        ConfigError: a scaling rule names no column, or the device is not there.
        DataError: fewer than two test quarters will have a label, or the index lacks a session.
    """
    scaling_rules(panel.features, study.panel.scaling)
    device_of(study.train.device)
    tested_dates = pl.DataFrame({"as_of": panel.dates[[folds[0].test[0], folds[-1].test[-1]]]})
    bars, _ = account_bars(market, baskets.evaluation, tested_dates, study.backtest.execution.lag_sessions)
    tested = np.concatenate([fold.test for fold in folds])
    reality_of(study.backtest, market, bars, panel.dates[tested], study.panel.labels)
    names = np.array([panel.symbols.index(symbol) for symbol in baskets.evaluation])
    for target in dict.fromkeys(target_of(spec) for spec in study.analysts):
        known = np.isfinite(panel.labels.of(target)[np.ix_(tested, names)]).any(axis=1).sum()
        if known < 2:
            raise DataError(
                f"only {known} of the {len(tested)} test quarters has a label {target} by the end of the data; an "
                "evaluation needs at least 2. Test earlier quarters or bring longer data."
            )


def _scorecards(study: Study, specs: Sequence[AnalystSpec], forecasts: pl.DataFrame) -> tuple[Scorecard, ...]:
    naive = {target_of(spec): entry_name(spec) for spec in specs if spec.name == NAIVE}
    cards = []
    for spec in specs:
        target, loss = target_of(spec), judged_loss(spec)
        cards.append(
            scorecard(
                forecasts,
                entry_name(spec),
                forecasts.filter(pl.col("analyst") == naive[target]),
                functools.partial(original_row_losses, loss, settings=study.train.loss),
                loss,
                study.evaluation,
                random=describe(spec.name).uses_seed,
                interval_level=float(forecasts["level"][0]),
                horizon_quarters=study.panel.horizon_quarters,
            )
        )
    return judged(cards)


def _language(study: Study, prepared: Prepared, walk: WalkForward, forecasts: pl.DataFrame) -> LanguageSummary | None:
    panel = prepared.panel
    quarters = [int(at) for fold in walk.folds for at in fold.test]
    names = [panel.symbols.index(name) for name in walk.evaluation]
    tested = Tested(panel, prepared.inputs.tables, study.panel, quarters, names)
    return language_summary(tested, quarter_table(forecasts), study.evaluation)


def _verdict(scorecards: Sequence[Scorecard], protocol: str) -> str:
    return memory_verdict(scorecards, protocol) if protocol in SAME_YEARS else overall_verdict(scorecards)


def _write(
    folder: Path,
    study: Study,
    record: RunRecord,
    *,
    forecasts: pl.DataFrame,
    curves: pl.DataFrame,
    found: Portfolios,
    handed_on: Mapping[str, Mapping[int, Path]],
) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with whole_folder(folder) as scratch:
        forecasts.write_parquet(scratch / "forecasts.parquet")
        quarter_table(forecasts).write_parquet(scratch / "quarters.parquet")
        curves.write_parquet(scratch / "curves.parquet")
        found.accounts.write_parquet(scratch / "accounts.parquet")
        found.ledger.write_parquet(scratch / "ledger.parquet")
        write_models(scratch, handed_on)
        (scratch / "study.toml").write_text(study.toml(), encoding="utf-8")
        (scratch / "run.json").write_text(dump_record(record), encoding="utf-8")
