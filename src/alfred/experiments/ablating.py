"""`alfred ablate`: an analyst's figures without a column or a family, on validation rows or on test rows."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import polars as pl
from pydantic import Field

from alfred.analysts import Job, fit_many
from alfred.core.contracts import DIRECTION, MAGNITUDE, FittedAnalyst, Floats, Interval, Windows
from alfred.core.errors import ConfigError, DataError
from alfred.core.progress import Progress, Silent
from alfred.core.settings import Settings
from alfred.evaluation.metrics import Sums, metric_values, quarter_sums, rank_ics
from alfred.evaluation.rows import ForecastRows
from alfred.evaluation.splits import Fold
from alfred.experiments import counting
from alfred.experiments.study import NAIVE, judged_loss
from alfred.experiments.subject import Subject
from alfred.experiments.trials import Trial, TrialLedger, on_trial
from alfred.explain.ablation import (
    MEASURES,
    NOTHING,
    Ablated,
    Effect,
    Way,
    at_mean,
    effects,
    families,
    permuted,
    training_means,
    without,
)
from alfred.explain.control import same_for_all_names
from alfred.training.losses import original_row_losses

Part = Literal["validation", "test"]
By = Literal["column", "family"]


class AblateRequest(Settings):
    """What is to be ablated.

    Attributes:
        ways: how; see `alfred.explain.ablation`.
        by: one column at a time, or one family.
        part: rows that figures are of. Validation rows may choose columns, test rows may not, nor may validation rows
            of later folds: their quarters are test quarters of the folds before.
        repeats: permutations of a column, whose figures are averaged.
        seed: of the permutations.
        folds: the first so many folds; None for all.
    """

    ways: tuple[Way, ...] = ("mean", "permute")
    by: By = "column"
    part: Part = "validation"
    repeats: int = Field(default=5, ge=1, le=1_000)
    seed: int = Field(default=0, ge=0)
    folds: int | None = Field(default=None, ge=1)


@dataclass(frozen=True)
class Ablation:
    """All ablations of one analyst.

    Attributes:
        analyst, target, loss: whose, of what, and the loss that it is judged by.
        part: rows that figures are of.
        rows, quarters, first, last: of them.
        test_first: first decision date that the study tests.
        counted: trials of the study's family that were made, those fitted anew.
        seeds: fits of each fold.
        own: figures with all columns, mean over seeds; None where undefined.
        ablated: what each ablation changed, the largest rise of the loss first within each way.
    """

    analyst: str
    target: str
    loss: str
    part: Part
    rows: int
    quarters: int
    first: str
    last: str
    test_first: str
    counted: int
    seeds: tuple[int, ...]
    own: dict[str, float | None]
    ablated: tuple[Ablated, ...]

    def frame(self) -> pl.DataFrame:
        """One row an ablation: what, way, columns, and of each figure change and intervals."""
        return pl.DataFrame([_flat(one) for one in self.ablated], infer_schema_length=None)


@dataclass(frozen=True, eq=False)
class Ask:
    """One fit and the rows that it is asked about."""

    seed: int
    fold: Fold
    fitted: FittedAnalyst
    train: Windows
    valid: Windows
    rows: Windows


@dataclass(frozen=True, eq=False)
class _Judged:
    """The rows of a fold that are judged, and what came: labels (N,) of the target, PQ and PM."""

    fold: Fold
    rows: Windows
    label: Floats
    rise: Floats
    realised: Floats


def ablate(subject: Subject, request: AblateRequest, progress: Progress | None = None) -> Ablation:
    """Ablate every column or family of an analyst.

    Every analyst that is fitted anew is another configuration, and counts as a trial of the study's family.

    Raises:
        DataError: fewer than 2 quarters of the part have labels, or the run looked into a vault.
        FetchError: the trials cannot be counted, because the tracking data cannot be reached.
        AlfredError: as the analyst's fit.
    """
    if subject.sealed:
        raise DataError(
            f"{'' if subject.folder is None else subject.folder.name} looked into a vault, whose quarters are for one "
            "look alone; ablate the study, or a run of it that leaves the vault sealed."
        )
    progress = progress or Silent()
    folds = subject.walk.folds[: request.folds]
    judged = _judged(subject, folds, request.part)
    asks = list(_asks(subject, judged, progress))
    what = _what(asks, request.by)
    rows = [_rows_of(subject, judged)]
    own = _sums(subject, rows[0], judged, [(ask.fitted, ask.rows) for ask in asks])
    progress.start("ablated", len(what) * len(request.ways))
    found, tried = [], 0
    for way in request.ways:
        ablated = []
        counted = _Counted.of(subject, request.part, what if way == "retrain" else {})
        for name, columns in what.items():
            with counted.trial(name):
                one = _one(subject, request, judged, asks, own, way=way, what=name, columns=columns)
            counted.finish(one)
            ablated.append(one)
            progress.advance("ablated", note=f"{way} {name}")
        found += sorted(ablated, key=lambda one: -(one.loss.change or 0.0))
        tried += len(counted.trials)
    progress.finish("ablated")
    return Ablation(
        subject.entry,
        subject.target,
        judged_loss(subject.spec),
        request.part,
        sum(len(one.rows) for one in judged),
        len(rows[0].starts),
        str(min(one.rows.dates.min() for one in judged)),
        str(max(one.rows.dates.max() for one in judged)),
        str(subject.walk.panel.dates[subject.walk.folds[0].test[0]]),
        tried,
        subject.seeds,
        _own_figures(own, subject.target),
        tuple(found),
    )


@dataclass(frozen=True)
class _Counted:
    """What is fitted anew, in the trial ledger: written down before the first of it begins."""

    ledger: TrialLedger | None
    part: Part
    trials: dict[str, Trial]

    @classmethod
    def of(cls, subject: Subject, part: Part, what: Mapping[str, tuple[str, ...]]) -> Self:
        if not what or subject.spec.name == NAIVE:  # what others are compared with is no trial
            return cls(None, part, {})
        ledger = TrialLedger.open(subject.home)
        trials = counting.trials_without(subject.study, subject.prepared.inputs, subject.spec, what)
        return cls(ledger, part, {name: ledger.begin(trial) for name, trial in trials.items()})

    @contextmanager
    def trial(self, name: str) -> Iterator[None]:
        """One of them; where it ends in an error, all that are not finished do."""
        left = list(self.trials)[list(self.trials).index(name) :] if name in self.trials else []
        if self.ledger is None:
            yield
            return
        with on_trial(self.ledger, [self.trials[one] for one in left]):
            yield

    def finish(self, one: Ablated) -> None:
        """Write down what came of it."""
        if self.ledger is None:
            return
        trial = self.trials[one.what]
        if one.loss.change is None and one.note:
            self.ledger.fail(trial, DataError(one.note))
            return
        kind = counting.TESTED if self.part == "test" else counting.TRAINED
        self.ledger.finish(trial, {f"{kind}{name}_change": getattr(one, name).change for name in MEASURES})


def _own_figures(own: Sums, target: str) -> dict[str, float | None]:
    values = metric_values({name: sums.sum(axis=1) for name, sums in own.items()}, target)
    return {name: float(values[name].mean()) if np.isfinite(values[name]).all() else None for name in MEASURES}


def _judged(subject: Subject, folds: Sequence[Fold], part: Part) -> list[_Judged]:
    """Rows with labels; a date that several folds validate is judged by the first of them.

    Raises:
        DataError: fewer than 2 quarters have labels.
    """
    panel, found = subject.walk.panel, []
    taken: set[np.datetime64] = set()
    for fold in folds:
        _, valid, test = subject.parts(fold)
        rows = (valid if part == "validation" else test).without_labels()
        date, name = np.searchsorted(panel.dates, rows.dates), [panel.symbols.index(one) for one in rows.symbols]
        label, rise, size = (panel.labels.of(label)[date, name] for label in (subject.target, DIRECTION, MAGNITUDE))
        known = np.isfinite(label) & np.isfinite(rise) & np.isfinite(size) & ~np.isin(rows.dates, list(taken))
        taken |= set(np.unique(rows.dates))
        if known.any():
            direction = subject.target == DIRECTION
            rise = rise if direction else (label > 0).astype(np.float64)
            realised = size if direction else label
            found.append(_Judged(fold, rows.rows(known), label[known], rise[known], realised[known]))
    if sum(len(np.unique(one.rows.dates)) for one in found) < 2:
        raise DataError(f"an ablation needs 2 {part} quarters with labels at least; use more folds or longer parts.")
    return found


def _asks(subject: Subject, judged: Sequence[_Judged], progress: Progress) -> Iterator[Ask]:
    progress.start("fits", len(judged) * len(subject.seeds))
    for one in judged:
        train, valid, _ = subject.parts(one.fold)
        for seed in subject.seeds:
            yield Ask(seed, one.fold, subject.fitted(seed, one.fold, progress), train, valid, one.rows)
            progress.advance("fits")
    progress.finish("fits")


def _what(asks: Sequence[Ask], by: By) -> dict[str, tuple[str, ...]]:
    columns = tuple(dict.fromkeys(name for ask in asks for name in ask.train.columns))
    return families(columns) if by == "family" else {name: (name,) for name in columns}


def _one(
    subject: Subject,
    request: AblateRequest,
    judged: Sequence[_Judged],
    asks: Sequence[Ask],
    own: Sums,
    *,
    way: Way,
    what: str,
    columns: tuple[str, ...],
) -> Ablated:
    frame = _rows_of(subject, judged)
    settings = subject.study.evaluation.over_horizon(subject.walk.panel.labels.horizon_quarters)
    note = ""
    if way == "permute" and all(_by_date(ask, columns) for ask in asks):
        note = "the same for all names of a date: an exchange among them changes nothing"
    if way == "retrain":
        try:
            sums = _sums(subject, frame, judged, _retrained(subject, asks, columns))
        except (ConfigError, DataError) as error:
            return Ablated(what, columns, way, NOTHING, NOTHING, NOTHING, f"cannot be fitted without: {error}")
    elif way == "mean":
        changed = [(ask.fitted, at_mean(ask.rows, columns, training_means(ask.train))) for ask in asks]
        sums = _sums(subject, frame, judged, changed)
    else:
        random = np.random.default_rng(request.seed)
        several = [
            _sums(subject, frame, judged, [(ask.fitted, permuted(ask.rows, columns, random)) for ask in asks])
            for _ in range(request.repeats)
        ]
        sums = {name: np.mean([one[name] for one in several], axis=0) for name in own}
    found = effects(own, sums, subject.target, settings)
    return Ablated(what, columns, way, found["loss"], found["f1"], found["rank_ic"], note)


def _by_date(ask: Ask, columns: tuple[str, ...]) -> bool:
    alike = same_for_all_names(ask.rows)
    return all(alike[ask.rows.columns.index(name)] for name in columns if name in ask.rows.columns)


def _retrained(subject: Subject, asks: Sequence[Ask], columns: tuple[str, ...]) -> list[tuple[FittedAnalyst, Windows]]:
    jobs, narrow = [], {}
    for ask in asks:
        if id(ask.train) not in narrow:
            narrow[id(ask.train)] = (without(ask.train, columns), without(ask.valid, columns))
        jobs.append(Job(*narrow[id(ask.train)], ask.seed))
    fits = fit_many(subject.spec, subject.study.train, jobs)
    return [(fit, without(ask.rows, columns)) for fit, ask in zip(fits, asks, strict=True)]


@dataclass(frozen=True, eq=False)
class _Frame:
    """What all forecasts of the judged rows are held against."""

    starts: np.ndarray
    quarters: np.ndarray
    symbols: np.ndarray
    label: Floats
    rise: Floats
    realised: Floats


def _rows_of(subject: Subject, judged: Sequence[_Judged]) -> _Frame:
    dates = np.concatenate([one.rows.dates for one in judged])
    quarters, starts = np.unique(dates, return_index=True)
    if (np.diff(dates.astype(np.int64)) < 0).any():
        raise DataError(f"the folds of {subject.study.name} do not follow one another in time; ablate one of them.")
    joined = [np.concatenate([getattr(one, name) for one in judged]) for name in ("label", "rise", "realised")]
    symbols = np.concatenate([one.rows.symbols for one in judged])
    return _Frame(starts.astype(np.int64), quarters, symbols, *joined)


def _sums(
    subject: Subject, frame: _Frame, judged: Sequence[_Judged], asked: Sequence[tuple[FittedAnalyst, Windows]]
) -> Sums:
    """(S, Q) sums of the forecasts; `asked` runs through the seeds of each fold in turn."""
    forecasts = [fitted.predict(rows) for fitted, rows in asked]
    seeds = len(subject.seeds)
    by_seed = [[forecasts[at * seeds + number] for at in range(len(judged))] for number in range(seeds)]

    def stacked(name: str) -> Floats:
        return np.stack([np.concatenate([getattr(one, name) for one in own]) for own in by_seed])

    rows = ForecastRows(
        target=subject.target,
        seeds=subject.seeds,
        quarters=frame.quarters,
        starts=frame.starts,
        symbols=frame.symbols,
        **{name: stacked(name) for name in ("mean", "lower", "upper", "prob_up")},
        label=frame.label,
        rise=frame.rise,
        realised=frame.realised,
        without_label=0,
    )
    loss = functools.partial(original_row_losses, judged_loss(subject.spec), settings=subject.study.train.loss)
    return quarter_sums(rows, loss, rank_ics(rows))


def _flat(one: Ablated) -> dict[str, object]:
    row: dict[str, object] = {"what": one.what, "way": one.way, "columns": ", ".join(one.columns)}
    for name in MEASURES:
        effect: Effect = getattr(one, name)
        row[name] = effect.change
        for kind, interval in (("seeds", effect.over_seeds), ("quarters", effect.over_quarters)):
            row[f"{name}_{kind}_lower"], row[f"{name}_{kind}_upper"] = _ends(interval)
    return row | {"mark": one.mark, "note": one.note}


def _ends(interval: Interval | None) -> tuple[float | None, float | None]:
    return (None, None) if interval is None else (interval.lower, interval.upper)
