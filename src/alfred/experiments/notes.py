"""The notes' protocol run again, then one defect less at a time: a waterfall from their figure to an honest one.

Every step is judged on the quarters from `splits.test_first` on. In the notes' own protocol they are training rows;
once the quarters are separated, folds train on the past alone, as in any run. A defect that the data give nothing to
act on leaves every forecast as it was, and its share is exactly 0.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import TypeAdapter

from alfred.analysts import describe
from alfred.backtest.ledger import average_hold_pct
from alfred.backtest.run import backtest, benchmarks
from alfred.backtest.settings import CostSettings, ExecutionSettings
from alfred.core.contracts import MAGNITUDE, Bars, Floats, Interval
from alfred.core.digest import digest_of
from alfred.core.errors import ConfigError
from alfred.core.home import Home
from alfred.core.progress import Progress, Silent
from alfred.core.storage import write_whole
from alfred.core.version import __version__
from alfred.evaluation.bootstrap import seed_interval
from alfred.evaluation.protocols import DEFAULT_PROTOCOL
from alfred.evaluation.rows import forecast_rows
from alfred.evaluation.scorecard import scorecard
from alfred.experiments import counting
from alfred.experiments._notes_defects import BEST_TOLD, LADDER, Defect
from alfred.experiments._notes_fits import Forecasts, Present, Protocols
from alfred.experiments.portfolios import MAGNITUDE_CHOICE, account_bars, readings_of
from alfred.experiments.prepared import read_inputs, run_digest
from alfred.experiments.stages import Stages
from alfred.experiments.study import Study, entry_name, judged_loss, target_of
from alfred.experiments.trials import Trial, TrialLedger, on_trial
from alfred.training.losses import original_row_losses

FILE = "waterfall.json"
ALWAYS_UP = "always up"
OWN_CLOSE = ExecutionSettings(lag_sessions=0)
"""The notes filled at the close that they had just used."""
SEED_LEVEL = 0.95


@dataclass(frozen=True)
class Told:
    """A figure of one step: mean over seeds, and its interval over them; None where one seed alone is told."""

    value: float
    over_seeds: Interval | None


@dataclass(frozen=True)
class Step:
    """One protocol of the ladder.

    Attributes:
        removed: the defect that the step before still had; None for the notes' own protocol.
        names, rows, quarters: evaluated.
        sign_accuracy: share of rows whose forecast has the label's sign (mean above 0 against label above 0).
        over_quarters: its interval over blocks of quarters.
        always_up: share of these rows that rose.
        against_up: sign accuracy less `always_up`, over blocks of quarters.
        change: of the sign accuracy since the step before, with its paired interval over seeds.
        share: of the whole fall from the first step to the last.
        idle: whether the data gave the defect nothing to act on: every forecast and name is that of the step before.
        sum_of_trades_pct: the notes' "Total Profit Percentage" of `magnitude-choice`, filled at the close just used.
        annual_return: what an account that trades the same earns a year, compounded, filled the session after, net of
            the study's costs.
    """

    removed: Defect | None
    names: tuple[str, ...]
    rows: int
    quarters: int
    sign_accuracy: Told
    over_quarters: Interval
    always_up: float
    against_up: Interval
    change: Told
    share: float
    idle: bool
    sum_of_trades_pct: Told
    annual_return: Told


@dataclass(frozen=True)
class Waterfall:
    """The whole ladder and what stands beside it.

    Attributes:
        study: name; `settings` is all of it.
        analyst, parameters, seeds, first, last: what was trained, how large it is, how often; the quarters judged.
        steps: the notes' protocol first, the honest one last.
        average_hold_pct: the notes' benchmark, the mean of the honest basket's buy-and-hold returns.
        benchmarks: annual returns of accounts that need no forecast, on the honest basket and the same costs.
        survivors_only: whether the names were chosen with knowledge of who survived, which no step can remove.
    """

    study: str
    digest: str
    alfred_version: str
    data: str
    analyst: str
    parameters: int
    seeds: tuple[int, ...]
    first: str
    last: str
    steps: tuple[Step, ...]
    average_hold_pct: float
    benchmarks: dict[str, float]
    survivors_only: bool
    settings: dict[str, Any]

    @classmethod
    def load(cls, folder: Path) -> "Waterfall":
        """What `rerun_notes` wrote."""
        return _ADAPTER.validate_json((folder / FILE).read_bytes())


_ADAPTER = TypeAdapter(Waterfall)


def rerun_notes(study: Study, home: Home, progress: Progress | None = None) -> Path:
    """Run the notes' protocol and every step down from it. Finished fits are kept; a repeat takes them up.

    The last step is what a run of the study forecasts, and counts as the same trial of its family.

    Returns:
        The folder that `Waterfall.load` reads.

    Raises:
        ConfigError: the study is not of one network that forecasts PM on disjoint baskets.
        FetchError: the trial cannot be counted, because the tracking data cannot be reached.
        AlfredError: the data do not allow what it asks for.
    """
    _check(study)
    progress = progress or Silent()
    inputs = read_inputs(study, home)
    digest = digest_of("notes", run_digest(study, inputs))
    folder = home.notes / f"{study.name}-{digest[:10]}"
    ledger = TrialLedger.open(home)
    (trial,) = counting.trials_of(study, inputs, run_digest(study, inputs), study.universe.protocol)
    if (folder / FILE).is_file():
        progress.say(f"this was finished before, with the same data and code: {folder}")
        if not ledger.has_finished(trial):
            _tell(ledger, ledger.begin(trial), Waterfall.load(folder))
        return folder
    begun = ledger.begin(trial)
    with on_trial(ledger, [begun]):
        waterfall = _Rerun(study, Protocols(study, inputs, Stages(home.stages))).waterfall(digest, progress)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / FILE, _ADAPTER.dump_json(waterfall, indent=1).decode() + "\n")
    _tell(ledger, begun, waterfall)
    return folder


def _tell(ledger: TrialLedger, trial: Trial, waterfall: Waterfall) -> None:
    last = waterfall.steps[-1]
    figures = {"sign_accuracy": last.sign_accuracy.value, "annual_return": last.annual_return.value}
    ledger.finish(trial, {f"{counting.TESTED}{name}": value for name, value in figures.items()})


def _check(study: Study) -> None:
    specs = study.analysts
    if len(specs) != 1 or not describe(specs[0].name).is_network or target_of(specs[0]) != MAGNITUDE:
        names = ", ".join(entry_name(spec) for spec in specs)
        raise ConfigError(f"the notes are run again with one network that forecasts {MAGNITUDE}, got {names}.")
    if study.universe.protocol != DEFAULT_PROTOCOL:
        raise ConfigError(
            f"the last step of the notes' re-run is {DEFAULT_PROTOCOL}, but the study's protocol is "
            f"{study.universe.protocol}; give it two disjoint baskets."
        )
    if study.splits.test_first is None:
        raise ConfigError("the notes' re-run judges every step on the same quarters; set splits.test_first.")


@dataclass(frozen=True)
class _Judged:
    """A protocol judged: `step` without what needs the steps beside it, and the sign accuracy of every seed (S,)."""

    step: Step
    each: Floats
    parameters: int
    digests: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Rerun:
    study: Study
    protocols: Protocols

    def waterfall(self, digest: str, progress: Progress) -> Waterfall:
        ladder = [LADDER[at:] for at in range(len(LADDER) + 1)]
        task = "the notes again"
        progress.start(task, len(ladder) * len(self.study.seeds))
        judged = []
        for at, present in enumerate(ladder):
            made = []
            for seed in self.study.seeds:
                made.append(self.protocols.forecast(present, seed))
                progress.advance(task, note=LADDER[at - 1].repaired if at else "with every defect")
            judged.append(self._judge(present, made))
        progress.finish(task)
        steps = _steps(judged)
        study, market = self.study, self.protocols.inputs.market
        honest = steps[-1].names
        bars, index = self._bars(honest, study.backtest.execution.lag_sessions)
        decisions = self.protocols.tested
        company = benchmarks(
            bars, index, decisions, study.backtest.costs, study.backtest.execution, seed=study.evaluation.seed
        )
        return Waterfall(
            study=study.name,
            digest=digest,
            alfred_version=__version__,
            data=market.description.note,
            analyst=entry_name(study.analysts[0]),
            parameters=judged[0].parameters,
            seeds=study.seeds,
            first=str(decisions[0]),
            last=str(decisions[-1]),
            steps=steps,
            average_hold_pct=average_hold_pct(bars, int(np.searchsorted(bars.dates, decisions[0]))),
            benchmarks={name: statistics.annual_return for name, (_, statistics) in company.items()},
            survivors_only=market.description.survivors_only,
            settings=study.model_dump(mode="json"),
        )

    def _judge(self, present: Present, made: Sequence[Forecasts]) -> _Judged:
        study, names = self.study, self.protocols.evaluated(present)
        name = entry_name(study.analysts[0])
        frame = pl.concat([part.rows for part in made]).filter(pl.col("symbol").is_in(names))
        rows = forecast_rows(frame, name)
        each: Floats = ((rows.mean > 0) == (rows.label > 0)).mean(axis=1)
        if BEST_TOLD in present:
            frame = frame.filter(pl.col("seed") == rows.seeds[int(each.argmax())])
        loss = judged_loss(study.analysts[0])
        card = scorecard(
            frame, name, _always_up(frame), functools.partial(original_row_losses, loss, settings=study.train.loss),
            loss, study.evaluation, horizon_quarters=study.panel.horizon_quarters,
        )  # fmt: skip
        figure = card.figure("sign_accuracy")
        told = each[each.argmax()][None] if BEST_TOLD in present else each
        costs, execution = study.backtest.costs, study.backtest.execution
        sums, returns = zip(
            *(self._traded(part, names, costs, execution) for part in frame.partition_by("seed")), strict=True
        )
        step = Step(
            removed=None,
            names=names,
            rows=card.rows,
            quarters=card.quarters,
            sign_accuracy=_told(told, (0.0, 1.0)),
            over_quarters=_known(figure.over_quarters),
            always_up=float((rows.label > 0).mean()),
            against_up=_known(figure.difference_over_quarters),
            change=Told(0.0, None),
            share=0.0,
            idle=False,
            sum_of_trades_pct=_told(np.array(sums)),
            annual_return=_told(np.array(returns)),
        )
        return _Judged(step, each, made[0].parameters, tuple(part.digest for part in made))

    def _traded(
        self, forecasts: pl.DataFrame, names: tuple[str, ...], costs: CostSettings, execution: ExecutionSettings
    ) -> tuple[float, float]:
        """The notes' sum of percentages, and an account's annual return, of one seed's forecasts."""
        readings = readings_of(forecasts, forecasts["analyst"][0], names)
        seed = self.study.evaluation.seed
        told = backtest(self._bars(names, 0)[0], readings, MAGNITUDE_CHOICE, costs, OWN_CLOSE, seed=seed)
        bars, _ = self._bars(names, execution.lag_sessions)
        earned = backtest(bars, readings, MAGNITUDE_CHOICE, costs, execution, seed=seed)
        return told.trades.sum_of_trade_pct, earned.statistics.annual_return

    @functools.cache  # noqa: B019 - lives as long as one re-run
    def _bars(self, names: tuple[str, ...], lag_sessions: int) -> tuple[Bars, Bars]:
        when = pl.DataFrame({"as_of": self.protocols.tested}, schema={"as_of": pl.Date})
        return account_bars(self.protocols.inputs.market, names, when, lag_sessions)


def _steps(judged: Sequence[_Judged]) -> tuple[Step, ...]:
    """The steps with what each changed. The first change is from the best seed to the mean; all others are paired."""
    values = [own.step.sign_accuracy.value for own in judged]
    fall = values[0] - values[-1]
    steps = [judged[0].step]
    for at in range(1, len(judged)):
        own, before = judged[at], judged[at - 1]
        change = Told(values[at] - values[at - 1], None)
        if at > 1:
            change = _told(own.each - before.each)
        steps.append(
            replace(
                own.step,
                removed=LADDER[at - 1],
                change=change,
                share=-change.value / fall if fall else 0.0,
                idle=at > 1 and own.digests == before.digests and own.step.names == before.step.names,
            )
        )
    return tuple(steps)


def _told(values: Floats, within: tuple[float, float] = (-np.inf, np.inf)) -> Told:
    """The mean over seeds and its interval, cut to where the figure can lie; none for one seed."""
    if len(values) == 1:
        return Told(float(values[0]), None)
    span = seed_interval(values, SEED_LEVEL)
    return Told(float(values.mean()), Interval(max(span.lower, within[0]), min(span.upper, within[1]), span.level))


def _known(interval: Interval | None) -> Interval:
    return interval or Interval(float("nan"), float("nan"))


def _always_up(forecasts: pl.DataFrame) -> pl.DataFrame:
    """The forecast that every price rises, on the rows of one seed."""
    rows = forecasts.filter(pl.col("seed") == forecasts["seed"][0])
    up = [pl.lit(1e-6).alias(name) for name in ("mean", "lower", "upper")]
    return rows.with_columns(pl.lit(ALWAYS_UP).alias("analyst"), pl.lit(1.0).alias("prob_up"), *up)
