"""An analyst's fits over seeds and folds: made together where that pays, each kept as a stage of its own."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import TypeAdapter

from alfred.analysts import AnalystSpec, Job, describe, fit_many, restore_analyst
from alfred.core.contracts import FitRecord, FittedAnalyst, Windows
from alfred.core.errors import DataError
from alfred.core.progress import Progress, Silent
from alfred.evaluation.splits import Fold
from alfred.experiments.stages import Stages
from alfred.experiments.study import entry_name
from alfred.training.meter import metered
from alfred.training.settings import TrainSettings

LOT_BYTES = 1e9
"""Folds are trained together as long as their windows take less than this."""

KEPT_BYTES = 64e6
"""A fitted analyst is kept beside its forecasts as long as its numbers take less than this; a larger one is fitted
again where someone asks for it."""
ANALYST = "analyst"

_RECORD = TypeAdapter(FitRecord)

Parts = tuple[Windows, Windows, Windows]


@dataclass(frozen=True)
class Made:
    """What a fit leaves: its forecasts of the test and of the validation rows, and how it went."""

    test: pl.DataFrame
    valid: pl.DataFrame
    record: FitRecord


@dataclass(frozen=True)
class Fitting:
    """Fits of one analyst.

    Attributes:
        spec: the analyst.
        settings: of networks.
        stages: where finished fits are kept, and trainings in progress.
        inputs: what the fits depend on beside analyst, settings, fold and seed.
        parts: gives the training, validation and test windows of a fold.
        progress: hears of every fit under the analyst's name in the study.
        hand_on: writes what a seed's fit of the last fold learnt into a folder, to forecast with; None keeps none.
    """

    spec: AnalystSpec
    settings: TrainSettings
    stages: Stages
    inputs: dict[str, Any]
    parts: Callable[[Fold], Parts]
    progress: Progress
    hand_on: Callable[[int, FittedAnalyst, Path], None] | None = None

    def make(self, folds: Sequence[Fold], seeds: Sequence[int]) -> set[tuple[int, int]]:
        """Make what is not there; seed and fold of what was."""
        entry, together = entry_name(self.spec), describe(self.spec.name).is_network
        there: set[tuple[int, int]] = set()
        lot: list[_Task] = []
        for at, fold in enumerate(folds):
            last = fold is folds[-1]
            found = [seed for seed in seeds if self._is_there(seed, fold, last=last)]
            there |= {(seed, at) for seed in found}
            self.progress.advance(entry, len(found), note="taken up from before" if found else "")
            if len(found) < len(seeds):
                lot.append(_Task(fold, [seed for seed in seeds if seed not in found], *self.parts(fold), last))
            # Analysts that gain nothing from company are measured one by one.
            if not together or sum(task.nbytes for task in lot) > LOT_BYTES:
                self._fit(lot, together)
                lot = []
        self._fit(lot, together)
        return there

    def made(self, seed: int, fold: Fold) -> Made:
        """What the fit of that seed and fold left.

        Raises:
            DataError: it is not there, or no longer.
        """

        def compute(_folder: Path) -> None:
            raise DataError(f"a finished fit of {entry_name(self.spec)} is gone or was changed; run the study again.")

        return self.stages.run(*self._stage(seed, fold), compute, _load)[0]

    def handed_on(self, seed: int, fold: Fold) -> Path | None:
        """The folder in which the last fold's fit was handed on; None where it was not, or was changed."""
        return self.stages.find(*self._stage(seed, fold, "model"))

    def hand(self, seed: int, fold: Fold, fitted: FittedAnalyst) -> None:
        """Hand a fit on, as a stage of its own."""
        if self.hand_on is not None:
            write = functools.partial(self.hand_on, seed, fitted)
            self.stages.run(*self._stage(seed, fold, "model"), write, lambda folder: folder)

    def _is_there(self, seed: int, fold: Fold, *, last: bool) -> bool:
        """Whether a finished fit is there with all that is wanted of it, or can be without learning anew."""
        if self.stages.find(*self._stage(seed, fold)) is None:
            return False
        if not last or self.hand_on is None or self.handed_on(seed, fold) is not None:
            return True
        kept = self._kept(seed, fold)
        if kept is None:
            return False
        self.hand(seed, fold, kept)
        return True

    def _kept(self, seed: int, fold: Fold) -> FittedAnalyst | None:
        """The analyst as it was kept beside its forecasts; None where it was not, or was changed."""
        folder = self.stages.find(*self._stage(seed, fold, ANALYST))
        return None if folder is None else restore_analyst(folder / ANALYST)

    def fitted(self, seed: int, fold: Fold) -> FittedAnalyst:
        """The analyst that has learnt: as it was kept, otherwise fitted again, which gives the same."""
        kept = self._kept(seed, fold)
        if kept is not None:
            return kept
        train, valid, _ = self.parts(fold)
        jobs, checkpoints = [Job(train, valid, seed)], self.stages.root / "training"
        (one,) = fit_many(self.spec, self.settings, jobs, progress=self.progress, checkpoints=checkpoints)
        self._keep_analyst(seed, fold, one)
        return one

    def _fit(self, lot: Sequence["_Task"], together: bool) -> None:
        jobs = [(task, Job(task.train, task.valid, seed)) for task in lot for seed in task.seeds]
        for some in [jobs] if together and jobs else [[job] for job in jobs]:
            with metered(device_for(self.spec, self.settings)) as spent:
                fitted = fit_many(
                    self.spec,
                    self.settings,
                    [job for _, job in some],
                    progress=_Remarks(self.progress, entry_name(self.spec), counts=together),
                    checkpoints=self.stages.root / "training",
                )
            for (task, job), one in zip(some, fitted, strict=True):
                made = Made(
                    forecast_rows(task.test, one),
                    forecast_rows(task.valid, one),
                    spent.on(one.record, share=1 / len(some)),
                )
                self._keep_analyst(job.seed, task.fold, one)
                self._keep(job.seed, task.fold, made)
                if task.last:
                    self.hand(job.seed, task.fold, one)
                if not together:
                    self.progress.advance(entry_name(self.spec), note=f"seed {job.seed}")

    def _keep(self, seed: int, fold: Fold, made: Made) -> None:
        def compute(folder: Path) -> None:
            made.test.write_parquet(folder / "forecasts.parquet")
            made.valid.write_parquet(folder / "validation.parquet")
            (folder / "record.json").write_bytes(_RECORD.dump_json(made.record))

        self.stages.run(*self._stage(seed, fold), compute, _load)

    def _keep_analyst(self, seed: int, fold: Fold, one: FittedAnalyst) -> None:
        if 4 * one.record.parameters <= KEPT_BYTES:
            stage = self._stage(seed, fold, ANALYST)
            self.stages.run(*stage, lambda folder: one.save(folder / ANALYST), lambda folder: folder)

    def _stage(self, seed: int, fold: Fold, kind: str = "fit") -> tuple[str, dict[str, Any]]:
        return f"{kind}-{entry_name(self.spec).replace(':', '-')}", {
            **self.inputs,
            "spec": self.spec.model_dump(mode="json"),
            "train": self.settings.model_dump(mode="json"),
            "fold": [part.tolist() for part in (fold.train, fold.valid, fold.test)],
            "seed": seed,
        }


def device_for(spec: AnalystSpec, settings: TrainSettings) -> str:
    """Where an analyst learns: networks where the settings say, all others on the processor."""
    return settings.device if describe(spec.name).is_network else "cpu"


def forecast_rows(windows: Windows, fitted: FittedAnalyst) -> pl.DataFrame:
    """An analyst's forecasts with the columns of `forecasts.parquet` that they and the windows tell."""
    forecast = fitted.predict(windows)
    return pl.DataFrame(
        {
            "symbol": windows.symbols.tolist(),
            "as_of": windows.dates,
            "target": windows.target,
            "mean": forecast.mean,
            "lower": forecast.lower,
            "upper": forecast.upper,
            "prob_up": forecast.prob_up,
            "level": forecast.level,
        },
        schema_overrides={"symbol": pl.String, "as_of": pl.Date},
    )


@dataclass(frozen=True)
class _Task:
    """A fold that some seeds have yet to learn; `last` where what they learn is handed on."""

    fold: Fold
    seeds: Sequence[int]
    train: Windows
    valid: Windows
    test: Windows
    last: bool = False

    @property
    def nbytes(self) -> int:
        """Memory of the windows, of which several may share their cells."""
        parts = (self.train, self.valid, self.test)
        return sum({id(part.cells): part.cells.nbytes for part in parts}.values()) + sum(p.index.nbytes for p in parts)


class _Remarks(Silent):
    """Passes on what fits remark, and where they are made together counts those that are done."""

    def __init__(self, progress: Progress, entry: str, *, counts: bool) -> None:
        self._progress, self._entry, self._counts = progress, entry, counts

    def say(self, message: str) -> None:
        """Pass it on."""
        self._progress.say(message)

    def finish(self, task: str, note: str = "") -> None:
        """One more is done; its name tells seed and fold."""
        if self._counts:
            self._progress.advance(self._entry, note=note or task.partition(", ")[2])


def _load(folder: Path) -> Made:
    test, valid = (pl.read_parquet(folder / f"{name}.parquet", glob=False) for name in ("forecasts", "validation"))
    return Made(test, valid, _RECORD.validate_json((folder / "record.json").read_bytes()))
