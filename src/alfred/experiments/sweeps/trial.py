"""One configuration: its fits, and what they forecast on validation rows that lie before the first test quarter.

In a walk-forward, the validation quarters of a later fold are test quarters of an earlier one. A choice by those would
have seen what it is judged on. So a sweep looks at validation periods only of which every label was realised by the
first test decision: the first fold's, and where more are wanted those before it, each with a training of its own.
"""

import datetime as dt
import functools
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import polars as pl

from alfred.analysts import AnalystSpec, describe
from alfred.core.digest import code_digest, digest_of
from alfred.core.errors import DataError, LeakError
from alfred.core.home import Home
from alfred.core.progress import Silent
from alfred.evaluation.scorecard import point_values, quarter_table
from alfred.evaluation.splits import Fold, walk_forward
from alfred.experiments.prepared import Inputs, Prepared, prepare, read_inputs
from alfred.experiments.run import walk_of
from alfred.experiments.study import NAIVE, Study, entry_name, judged_loss
from alfred.experiments.sweeps.patience import patiently
from alfred.experiments.sweeps.settings import Sweep
from alfred.panel.panel import Panel
from alfred.training.losses import original_row_losses

NOT_LEARNT_WITH = ("name", "evaluation", "backtest", "fundamentals")
"""Settings that change nothing of what a sweep looks at."""
T = TypeVar("T")
KEPT = 2
"""Panels that a worker keeps at hand."""


@dataclass(frozen=True)
class Outcome:
    """What came of a configuration on validation rows.

    Attributes:
        value: mean of the objective over the fits; None where it is undefined, as a constant's rank IC is.
        reports: mean after each fit.
        figures: rank_ic, accuracy and loss, means over the fits; undefined ones are NaN.
        quarters: objective of each decision date (ISO), mean over seeds; None where it is undefined.
        fits: made, of all.
        pruned: whether it was given up.
        last_label: when the last label that it was judged by was realised (ISO).
    """

    value: float | None
    reports: tuple[float, ...]
    figures: Mapping[str, float]
    quarters: Mapping[str, float | None]
    fits: tuple[int, int]
    pruned: bool
    last_label: str


@dataclass
class Bench:
    """Data and panels that configurations of one sweep share.

    Attributes:
        home: where lake and stages are.
        versions: of the lake's tables that the sweep began with; None for the current ones.
        patience_s: how long to wait for the tracking data, which know of a family's vault.
    """

    home: Home
    versions: Mapping[str, int] | None = None
    patience_s: float = 0.0
    _inputs: "OrderedDict[str, Inputs]" = field(default_factory=OrderedDict)
    _panels: "OrderedDict[str, Prepared]" = field(default_factory=OrderedDict)

    def inputs(self, study: Study) -> Inputs:
        """What the study reads."""
        asked = digest_of(
            *(part.model_dump(mode="json") for part in (study.data, study.universe)), study.vault_quarters
        )
        return _kept(
            self._inputs,
            asked,
            lambda: patiently(lambda: read_inputs(study, self.home, self.versions), self.patience_s),
        )

    def prepared(self, study: Study) -> Prepared:
        """The same with its panel."""
        inputs = self.inputs(study)
        asked = digest_of(inputs.digest, study.panel.model_dump(mode="json"))
        return replace(_kept(self._panels, asked, lambda: prepare(study, self.home, inputs)), inputs=inputs)

    def key(self, sweep: Sweep, study: Study) -> str:
        """Digest of everything that a configuration's result depends on; the same on all machines with these data."""
        inputs = self.inputs(study)
        settings = study.model_dump(mode="json", exclude=set(NOT_LEARNT_WITH))
        settings["universe"]["baskets"] = None
        settings["family"] = study.counted_as
        pruning = sweep.pruning.model_dump(mode="json") if sweep.pruning.method != "none" else None
        how = [sweep.folds, sweep.objective, pruning]
        baskets = inputs.baskets
        return digest_of("sweep", settings, how, baskets.training, baskets.evaluation, inputs.digest, code_digest())


def _kept(shelf: "OrderedDict[str, T]", key: str, make: Callable[[], T]) -> T:
    if key not in shelf:
        shelf[key] = make()
        while len(shelf) > KEPT:
            shelf.popitem(last=False)
    shelf.move_to_end(key)
    return shelf[key]


def try_out(sweep: Sweep, study: Study, bench: Bench, report: Callable[[tuple[float, ...]], bool]) -> Outcome:
    """Fit a configuration and look at its validation rows.

    Fits that were made before are taken up; one that was interrupted goes on from its checkpoint.

    Args:
        sweep: which objective, folds and pruning.
        study: the configuration.
        bench: data and panels.
        report: hears the mean objective after each fit so far, and says whether to give the configuration up. Without
            pruning all fits are made together, which is faster, and it hears of them at once.

    Raises:
        AlfredError: data or settings do not allow it.
    """
    prepared = bench.prepared(study)
    walk = walk_of(study, prepared, bench.home)
    spec = next(spec for spec in study.analysts if spec.name != NAIVE)
    folds, until = selection_folds(study, prepared.panel, sweep.folds)
    seeds = study.seeds if describe(spec.name).uses_seed else study.seeds[:1]
    units = [(at, seed) for at in range(len(folds)) for seed in seeds]
    together = sweep.pruning.method == "none"
    if together:
        walk.validation(spec, folds, seeds, Silent())
    found: list[_Unit] = []
    reports: tuple[float, ...] = ()
    pruned = False
    for at, seed in units:
        rows = walk.validation(spec, [folds[at]], [seed], Silent())
        found.append(_unit(sweep, study, spec, rows, until))
        reports = (*reports, _mean([unit.value for unit in found]))
        if not together and len(found) < len(units) and report(reports):
            pruned = True
            break
    if together:
        report(reports)
    names = found[0].figures
    return Outcome(
        value=reports[-1] if math.isfinite(reports[-1]) else None,
        reports=reports,
        figures={name: _mean([unit.figures[name] for unit in found]) for name in names},
        quarters=_by_quarter(found),
        fits=(len(found), len(units)),
        pruned=pruned,
        last_label=max(unit.last_label for unit in found),
    )


def selection_folds(study: Study, panel: Panel, count: int) -> tuple[tuple[Fold, ...], dt.date]:
    """Folds whose validation parts a sweep may look at, the latest first, and the first decision date that is tested.

    Raises:
        DataError: there are too few quarters before the first test for so many.
    """
    horizon, protocol = study.panel.horizon_quarters, study.universe.protocol
    first = walk_forward(panel.dates, horizon, study.splits, protocol)[0]
    folds = [first]
    for back in range(1, count):
        at = int(first.test[0]) - back * study.splits.valid_quarters
        if at < 0:
            raise DataError(_too_many(count, "the data begin later"))
        date = str(panel.dates[at])
        splits = study.splits.model_copy(update={"test_first": date, "test_last": date, "test_quarters": 1})
        try:
            folds.append(walk_forward(panel.dates, horizon, splits, protocol)[0])
        except DataError as error:
            raise DataError(_too_many(count, str(error).rstrip("."))) from error
    return tuple(folds), panel.dates[first.test[0]].item()


def _too_many(count: int, why: str) -> str:
    return f"folds = {count} asks for more validation periods than there are before the first test ({why}); take fewer."


@dataclass(frozen=True)
class _Unit:
    """A fit's figures on its validation rows."""

    value: float
    figures: Mapping[str, float]
    quarters: Mapping[str, float | None]
    last_label: str


def _unit(sweep: Sweep, study: Study, spec: AnalystSpec, rows: pl.DataFrame, until: dt.date) -> _Unit:
    last = rows["realised_on"].max()
    if not isinstance(last, dt.date) or last > until:
        raise LeakError(
            f"a label of the validation rows is realised on {last!s}, after the first test decision of {until}; a "
            "choice by it would have seen what it is judged on."
        )
    name = entry_name(spec)
    loss = functools.partial(original_row_losses, judged_loss(spec), settings=study.train.loss)
    values = point_values(rows, name, loss)
    named = {"rank_ic": values["rank_ic"], "accuracy": values["accuracy"], "loss": values["loss"]}
    figures = {figure: float("nan") if value is None else value for figure, value in named.items()}
    return _Unit(figures[sweep.objective], figures, _quarterly(sweep, spec, rows, study), str(last))


def _quarterly(sweep: Sweep, spec: AnalystSpec, rows: pl.DataFrame, study: Study) -> dict[str, float | None]:
    """The objective quarter by quarter."""
    if sweep.objective != "loss":
        return dict(quarter_table(rows).select(pl.col("as_of").cast(pl.String), sweep.objective).iter_rows())
    target = str(rows["target"][0])
    known = rows.with_columns(pl.col(target).cast(pl.Float64).fill_nan(None)).drop_nulls(target)
    mean, label = known["mean"].to_numpy(), known[target].to_numpy()
    losses = original_row_losses(judged_loss(spec), mean, label, study.train.loss)
    table = known.select(pl.col("as_of").cast(pl.String), pl.Series("loss", losses))
    return dict(table.group_by("as_of", maintain_order=True).agg(pl.col("loss").mean()).iter_rows())


def _by_quarter(units: Sequence[_Unit]) -> dict[str, float | None]:
    found: dict[str, list[float | None]] = {}
    for unit in units:
        for date, value in unit.quarters.items():
            found.setdefault(date, []).append(value)
    return {
        date: None if any(value is None for value in values) else _mean([float(value or 0.0) for value in values])
        for date, values in sorted(found.items())
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def result_of(outcome: Outcome, study: Study) -> dict[str, Any]:
    """An outcome as the queue keeps it."""
    spec = next(spec for spec in study.analysts if spec.name != NAIVE)
    finite = {name: value for name, value in outcome.figures.items() if math.isfinite(value)}
    return {
        "analyst": entry_name(spec),
        "value": outcome.value,
        "figures": finite,
        "quarters": dict(outcome.quarters),
        "fits": list(outcome.fits),
        "last_label": outcome.last_label,
    }
