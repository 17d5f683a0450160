"""Forecasts under the notes' protocol, with all of its defects or some. For `alfred.experiments.notes` alone."""

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from alfred.analysts import make_analyst
from alfred.core.calendar import Dates
from alfred.core.contracts import Windows
from alfred.core.digest import digest_of
from alfred.evaluation.splits import Fold, check_fold, walk_forward
from alfred.experiments import _notes_defects as defects
from alfred.experiments._notes_defects import Defect
from alfred.experiments.prepared import Inputs
from alfred.experiments.stages import Stages
from alfred.experiments.study import Study, quarters_of, target_of
from alfred.experiments.walkforward import WalkForward
from alfred.panel.build import build_panel
from alfred.panel.panel import Panel
from alfred.panel.windows import WindowMaker

Present = tuple[Defect, ...]
"""The defects that a protocol has."""


@dataclass(frozen=True)
class Plan:
    """One fit: positions of the dates that it learns from, chooses its epoch by and forecasts.

    Attributes:
        choose: None where it is chosen by the rows that it learns from.
    """

    learn: NDArray[np.int64]
    choose: NDArray[np.int64] | None
    test: NDArray[np.int64]


@dataclass(frozen=True)
class Forecasts:
    """One seed's forecasts of the test quarters of both baskets, with the columns of `forecasts.parquet`.

    `digest` names all that they were made of: two protocols that differ in nothing these data show have the same.
    """

    rows: pl.DataFrame
    digest: str
    parameters: int


@dataclass(frozen=True, eq=False)
class Protocols:
    """Makes the forecasts of a study's only analyst under a protocol; finished fits are kept."""

    study: Study
    inputs: Inputs
    stages: Stages

    def evaluated(self, present: Present) -> tuple[str, ...]:
        """The names that a protocol is judged on."""
        training, evaluation = self.inputs.baskets.training, self.inputs.baskets.evaluation
        if defects.TRAINING_ROWS in present:
            return training
        return defects.row_2_shared(training, evaluation) if defects.SAME_NAMES in present else evaluation

    def forecast(self, present: Present, seed: int) -> Forecasts:
        """Train and forecast with one seed."""
        made = [self._fit(present, plan, seed) for plan in self._plans(present)]
        digest = digest_of([part.digest for part in made])
        return Forecasts(pl.concat([part.rows for part in made]), digest, made[-1].parameters)

    @functools.cached_property
    def folds(self) -> tuple[Fold, ...]:
        """The honest protocol's; their test quarters are those of every step."""
        settings, horizon = self.study.splits, self.study.panel.horizon_quarters
        folds = walk_forward(self._built(early=False).dates, horizon, settings)
        for fold in folds:
            check_fold(fold, self._built(early=False).dates, horizon, settings.embargo_quarters)
        return folds

    @property
    def tested(self) -> Dates:
        """Decision dates that every step is judged on."""
        dates: Dates = self._built(early=False).dates[np.concatenate([fold.test for fold in self.folds])]
        return dates

    def _plans(self, present: Present) -> tuple[Plan, ...]:
        folds = self.folds
        if defects.SAME_QUARTERS in present:
            every = np.arange(len(self._built(early=False).dates), dtype=np.int64)
            return (Plan(every, None, np.concatenate([fold.test for fold in folds])),)
        if defects.TRAINING_LOSS in present:
            return tuple(Plan(np.concatenate([fold.train, fold.valid]), None, fold.test) for fold in folds)
        return tuple(Plan(fold.train, fold.valid, fold.test) for fold in folds)

    @functools.cache  # noqa: B019 - lives as long as one re-run
    def _built(self, *, early: bool) -> Panel:
        tables = defects.with_fund(self.inputs.tables)
        tables = defects.row_6_known_at_period_end(tables) if early else tables
        return build_panel(tables, self.study.panel, self.inputs.market.levels_usable)

    @functools.lru_cache(maxsize=2)  # noqa: B019 - lives as long as one re-run
    def _panel(self, present: Present) -> tuple[Panel, str]:
        """The panel of a protocol, and its digest."""
        early = defects.PERIOD_END in present and not self.inputs.tables.facts.is_empty()
        panel = self._built(early=early)
        if defects.LEVELS not in present and not self.inputs.market.levels_usable:
            panel = defects.without_levels(panel)
        if defects.FILLED_BACKWARDS in present:
            panel = defects.row_4_filled_backwards(panel)
        if defects.ZEROS in present:
            panel = defects.row_5_zeros(panel)
        return panel, panel.digest()

    def _fit(self, present: Present, plan: Plan, seed: int) -> Forecasts:
        study, baskets = self.study, self.inputs.baskets
        panel, panel_digest = self._panel(present)
        both = (*baskets.training, *baskets.evaluation)
        (named,) = study.analysts
        loss = defects.WITHOUT_GRADIENT.get(named.loss or "", named.loss)
        spec = named.model_copy(update={"loss": loss}) if defects.NO_GRADIENT in present else named
        on_all = defects.SCALED_ON_ALL in present
        scaled = (np.arange(len(panel.dates)), both) if on_all else (plan.learn, baskets.training)
        inputs: dict[str, Any] = {
            "panel": panel_digest,
            "panel_settings": study.panel.model_dump(mode="json"),
            "scaled": [scaled[0].tolist(), scaled[1]],
            "training": baskets.training,
            "forecast": both,
            "plan": [None if part is None else part.tolist() for part in (plan.learn, plan.choose, plan.test)],
            "spec": spec.model_dump(mode="json"),
            "train": study.train.model_dump(mode="json"),
            "seed": seed,
        }

        def compute(folder: Path) -> None:
            maker = WindowMaker.fit(panel, *scaled, study.panel, quarters_of(spec))
            train = maker.windows(plan.learn, baskets.training, target_of(spec), labelled=True)
            test = maker.windows(plan.test, both, target_of(spec), labelled=False)
            fitted = make_analyst(spec, study.train, seed).fit(train, self._chosen_by(maker, plan, train))
            self._walk(panel).rows_of(named, seed, fitted, test).write_parquet(folder / "forecasts.parquet")
            (folder / "fit.json").write_text(json.dumps({"parameters": fitted.record.parameters}), encoding="utf-8")

        def load(folder: Path) -> tuple[pl.DataFrame, int]:
            form = json.loads((folder / "fit.json").read_text(encoding="utf-8"))
            return pl.read_parquet(folder / "forecasts.parquet", glob=False), int(form["parameters"])

        (rows, parameters), _ = self.stages.run("notes", inputs, compute, load)
        return Forecasts(rows, digest_of(inputs), parameters)

    def _chosen_by(self, maker: WindowMaker, plan: Plan, train: Windows) -> Windows:
        if plan.choose is None:
            return defects.row_13_training_rows_to_choose_by(train)
        return maker.windows(plan.choose, self.inputs.baskets.training, train.target, labelled=True)

    def _walk(self, panel: Panel) -> WalkForward:
        study, baskets = self.study, self.inputs.baskets
        return WalkForward(
            panel, self.folds, baskets.training, baskets.evaluation, study.panel, study.splits, study.train, self.stages
        )
