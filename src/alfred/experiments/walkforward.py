"""The walk-forward: every fold trains on its past alone and forecasts its test quarters, one stage a fit."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from alfred.analysts import AnalystSpec, describe
from alfred.core.contracts import DIRECTION, LABELS, FitRecord, FittedAnalyst, Windows
from alfred.core.digest import code_digest
from alfred.core.progress import Progress, Silent
from alfred.core.version import __version__
from alfred.evaluation.probabilities import rolling_probabilities
from alfred.evaluation.protocols import DEFAULT_PROTOCOL, SAME_YEARS
from alfred.evaluation.rolling import rolling_intervals
from alfred.evaluation.splits import Fold, SplitSettings, check_fold
from alfred.experiments.fitting import Fitting, forecast_rows
from alfred.experiments.record import FoldSummary
from alfred.experiments.stages import Stages
from alfred.experiments.stored import About, write_stored
from alfred.experiments.study import entry_name, quarters_of, target_of
from alfred.panel.panel import Panel
from alfred.panel.preparation import Preparation
from alfred.panel.settings import PanelSettings
from alfred.panel.windows import WindowMaker
from alfred.training.settings import TrainSettings


@dataclass(frozen=True)
class Fit:
    """One training of one analyst: which, how it went, and whether an earlier run had made it."""

    analyst: str
    seed: int
    fold: int
    record: FitRecord
    resumed: bool


@dataclass(frozen=True)
class Kept:
    """An analyst that has learnt already, to forecast every fold with.

    Attributes:
        digest: of what it learnt from, and how.
        spec, seed: what it was asked to be.
        fitted: the analyst.
        record: of its fit.
    """

    digest: str
    spec: AnalystSpec
    seed: int
    fitted: FittedAnalyst
    record: FitRecord


@dataclass(frozen=True)
class Origin:
    """What a panel was made from: the study's settings `data`, the digest of what was read, and whether quoted price
    levels were at hand."""

    data: dict[str, Any]
    digest: str
    levels_usable: bool


@dataclass(frozen=True)
class WalkForward:
    """What every fit of a study shares.

    Attributes:
        panel: features and labels.
        folds: positions of the parts in the panel's dates.
        training, evaluation: symbols to learn from and to forecast.
        stages: where finished fits are kept.
        kept: the analyst that is not to be trained, if there is one.
        protocol: the question; it decides whether test quarters may have been trained on.
        origin: where the panel comes from, told with analysts that are handed on; None hands none on.
    """

    panel: Panel
    folds: tuple[Fold, ...]
    training: tuple[str, ...]
    evaluation: tuple[str, ...]
    panel_settings: PanelSettings
    split_settings: SplitSettings
    train_settings: TrainSettings
    stages: Stages
    kept: Kept | None = None
    protocol: str = DEFAULT_PROTOCOL
    origin: Origin | None = None

    @functools.cached_property
    def panel_digest(self) -> str:
        """Digest of the panel."""
        return self.panel.digest()

    def parts(self, fold: Fold, target: str, quarters: int = 1) -> tuple[Windows, Windows, Windows]:
        """Training, validation and test windows of a fold; the test windows carry no labels.

        Args:
            target: label.
            quarters: of history in a window.

        Raises:
            LeakError: the fold's labels reach into its next part.
        """
        horizon = self.panel.labels.horizon_quarters
        check_fold(fold, self.panel.dates, horizon, self.split_settings.embargo_quarters, self.protocol)
        maker = WindowMaker.fit(self.panel, fold.train, self.training, self.panel_settings, quarters)
        return (
            maker.windows(fold.train, self.training, target, labelled=True),
            maker.windows(fold.valid, self.training, target, labelled=True),
            maker.windows(fold.test, self.evaluation, target, labelled=False),
        )

    def unmarked(self) -> dict[str, float]:
        """Columns that a fold's training rows always held and its test rows lack, with the largest share that does."""
        shares: dict[str, float] = {}
        for fold in self.folds:
            maker = WindowMaker.fit(self.panel, fold.train, self.training, self.panel_settings)
            for name, share in maker.unmarked(fold.test, self.evaluation).items():
                shares[name] = max(share, shares.get(name, 0.0))
        return shares

    def forecast(self, spec: AnalystSpec, seeds: Sequence[int], progress: Progress) -> tuple[list[Fit], pl.DataFrame]:
        """Fit and forecast every fold with every seed; an analyst without randomness needs one seed only.

        Returns:
            All fits, and the forecasts with the columns of `forecasts.parquet`.
        """
        if self.kept is not None and self.kept.spec == spec:
            return self._forecast_kept(self.kept)
        entry = entry_name(spec)
        used = tuple(seeds) if describe(spec.name).uses_seed else tuple(seeds)[:1]
        progress.start(entry, len(used) * len(self.folds))
        fits, frames = [], []
        fitting = self._fitting(spec, progress)
        resumed = fitting.make(self.folds, used)
        for seed in used:
            tested, validated = [], []
            for at, fold in enumerate(self.folds):
                made = fitting.made(seed, fold)
                fits.append(Fit(entry, seed, at, made.record, (seed, at) in resumed))
                tested.append(_keyed(made.test, at, entry, seed))
                validated.append(_keyed(made.valid, at, entry, seed))
            rows, before = (self._with_outcomes(pl.concat(part)) for part in (tested, validated))
            frames.append(self._with_confidence(rows, before))
        progress.finish(entry)
        return fits, pl.concat(frames)

    def handed_on(self, spec: AnalystSpec, seeds: Sequence[int]) -> dict[int, Path]:
        """The folders of the last fold's fits by seed, as `alfred.experiments.stored` reads them, once forecast."""
        if self.kept is not None and self.kept.spec == spec:
            fitting, seeds = self._fitting(spec, Silent(), kept=self.kept.digest), (self.kept.seed,)
            if fitting.handed_on(self.kept.seed, self.folds[-1]) is None:
                fitting.hand(self.kept.seed, self.folds[-1], self.kept.fitted)
        else:
            fitting = self._fitting(spec, Silent())
        found = {seed: fitting.handed_on(seed, self.folds[-1]) for seed in seeds}
        return {seed: folder for seed, folder in found.items() if folder is not None}

    def fitted(self, spec: AnalystSpec, seed: int, fold: Fold, progress: Progress) -> FittedAnalyst:
        """The analyst that has learnt from a fold: kept, or fitted again."""
        if self.kept is not None and self.kept.spec == spec:
            return self.kept.fitted
        return self._fitting(spec, progress).fitted(seed, fold)

    def rows_of(self, spec: AnalystSpec, seed: int, fitted: FittedAnalyst, windows: Windows) -> pl.DataFrame:
        """Forecasts of a fold's rows with the columns of `forecasts.parquet`."""
        return self._with_outcomes(_keyed(forecast_rows(windows, fitted), 0, entry_name(spec), seed))

    def validation(
        self, spec: AnalystSpec, folds: Sequence[Fold], seeds: Sequence[int], progress: Progress
    ) -> pl.DataFrame:
        """Fit some folds with some seeds, and their forecasts of validation rows, as in `forecasts.parquet`.

        The folds need not be the walk-forward's own; confidence is as it was fitted.
        """
        entry, fitting = entry_name(spec), self._fitting(spec, progress)
        fitting.make(folds, seeds)
        made = [
            _keyed(fitting.made(seed, fold).valid, at, entry, seed) for seed in seeds for at, fold in enumerate(folds)
        ]
        return self._with_outcomes(pl.concat(made))

    def _forecast_kept(self, kept: Kept) -> tuple[list[Fit], pl.DataFrame]:
        entry = entry_name(kept.spec)
        parts: tuple[list[pl.DataFrame], list[pl.DataFrame]] = ([], [])
        for at, fold in enumerate(self.folds):
            _, valid, test = self.parts(fold, target_of(kept.spec), quarters_of(kept.spec))
            for frames, rows in zip(parts, (test, valid), strict=True):
                frames.append(_keyed(forecast_rows(rows, kept.fitted), at, entry, kept.seed))
        tested, validated = (self._with_outcomes(pl.concat(frames)) for frames in parts)
        return [Fit(entry, kept.seed, 0, kept.record, resumed=True)], self._with_confidence(tested, validated)

    def _with_confidence(self, test: pl.DataFrame, valid: pl.DataFrame) -> pl.DataFrame:
        """Confidence rolls on over quarters to come; where there are none, it stays as it was fitted."""
        if self.protocol in SAME_YEARS:
            return test
        return _with_rolling_confidence(test, valid, self._base_shares(str(test["target"][0])))

    def _base_shares(self, target: str) -> list[float]:
        """Share of rises among the rows that each fold learns from."""
        names = np.array([self.panel.symbols.index(symbol) for symbol in self.training])
        shares = []
        for fold in self.folds:
            labels = self.panel.labels.of(target)[np.ix_(fold.train, names)]
            shares.append(float((labels[np.isfinite(labels)] > 0).mean()))
        return shares

    def _with_outcomes(self, rows: pl.DataFrame) -> pl.DataFrame:
        return rows.join(outcomes(self.panel), on=["symbol", "as_of"], how="left", maintain_order="left")

    def _fitting(self, spec: AnalystSpec, progress: Progress, kept: str = "") -> Fitting:
        inputs = {
            **({"kept": kept} if kept else {}),
            "panel": self.panel_digest,
            "panel_settings": self.panel_settings.model_dump(mode="json"),
            "training": self.training,
            "evaluation": self.evaluation,
        }

        def parts(fold: Fold) -> tuple[Windows, Windows, Windows]:
            return self.parts(fold, target_of(spec), quarters_of(spec))

        hand_on = None if self.origin is None else functools.partial(self._hand_on, spec, self.origin)
        return Fitting(spec, self.train_settings, self.stages, inputs, parts, progress, hand_on)

    @functools.cached_property
    def _last_preparation(self) -> Preparation:
        maker = WindowMaker.fit(self.panel, self.folds[-1].train, self.training, self.panel_settings)
        return Preparation.of(maker)

    def _hand_on(self, spec: AnalystSpec, origin: Origin, seed: int, fitted: FittedAnalyst, folder: Path) -> None:
        """Write what the last fold's fit learnt, with what its rows are made by; a scaler is the same at any length."""
        fold, quarters = self.folds[-1], quarters_of(spec)
        about = About(
            analyst=entry_name(spec),
            seed=seed,
            label=target_of(spec),
            horizon_quarters=self.panel.labels.horizon_quarters,
            quarters=quarters,
            train_first=str(self.panel.dates[fold.train[0]]),
            train_last=str(self.panel.dates[fold.train[-1]]),
            valid_last=str(self.panel.dates[fold.valid[-1]]),
            training=self.training,
            evaluation=self.evaluation,
            protocol=self.protocol,
            data=origin.data,
            panel=self.panel_settings.model_dump(mode="json"),
            levels_usable=origin.levels_usable,
            data_digest=origin.digest,
            panel_digest=self.panel_digest,
            code_digest=code_digest(),
            alfred_version=__version__,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        write_stored(folder, about, fitted, replace(self._last_preparation, quarters=quarters))


def _with_rolling_confidence(test: pl.DataFrame, valid: pl.DataFrame, base: Sequence[float]) -> pl.DataFrame:
    """One seed's forecasts, their confidence calibrated on what was realised by each decision date.

    `base` is the share of rises that each fold learnt from.

    An interval around a probability is not one that a direction of 0 or 1 lies in or out of; it stays as it was.
    """
    target = str(test["target"][0])
    rise = pl.col(target) if target == DIRECTION else (pl.col(target) > 0).cast(pl.Float64)
    bases = pl.col("fold").replace_strict(dict(enumerate(base)), return_dtype=pl.Float64).alias("base")
    tested, before = (
        frame.with_columns(pl.col(target).alias("label"), rise.alias("rise"), bases) for frame in (test, valid)
    )
    test = test.with_columns(pl.Series("prob_up", rolling_probabilities(tested, before)))
    if target == DIRECTION:
        return test
    lower, upper = rolling_intervals(tested, before, float(test["level"][0]))
    return test.with_columns(pl.Series("lower", lower), pl.Series("upper", upper))


def curve_rows(fits: Sequence[Fit]) -> pl.DataFrame:
    """The learning curves of all fits, as in the run's record."""
    rows = [
        (fit.analyst, fit.seed, fit.fold, epoch.number, epoch.train_loss, epoch.valid_loss, epoch.learning_rate,
         epoch.number == fit.record.best_epoch)
        for fit in fits
        for epoch in fit.record.epochs
    ]  # fmt: skip
    names = ("analyst", "seed", "fold", "epoch", "train_loss", "valid_loss", "learning_rate", "best")
    types = (pl.String, pl.Int64, pl.Int64, pl.Int64, pl.Float64, pl.Float64, pl.Float64, pl.Boolean)
    return pl.DataFrame(rows, schema=dict(zip(names, types, strict=True)), orient="row")


def outcomes(panel: Panel) -> pl.DataFrame:
    """What came after each forecast: columns symbol, as_of, realised_on and every label; null until known."""
    dates, symbols = len(panel.dates), len(panel.symbols)
    frame = pl.DataFrame(
        {
            "symbol": list(panel.symbols) * dates,
            "as_of": panel.dates.repeat(symbols),
            "realised_on": panel.labels.realised_on.repeat(symbols),
        },
        schema_overrides={"as_of": pl.Date, "realised_on": pl.Date},
    )
    return frame.with_columns(pl.Series(name, panel.labels.of(name).ravel(), nan_to_null=True) for name in LABELS)


def fold_summary(walk: WalkForward, fold: Fold) -> FoldSummary:
    """First and last decision dates, and rows, of each part of a fold."""
    train, valid, test = walk.parts(fold, DIRECTION)
    return FoldSummary(
        train_first=str(train.dates[0]),
        train_last=str(train.dates[-1]),
        valid_first=str(valid.dates[0]),
        valid_last=str(valid.dates[-1]),
        test_first=str(test.dates[0]),
        test_last=str(test.dates[-1]),
        train_rows=len(train),
        valid_rows=len(valid),
        test_rows=len(test),
    )


def _keyed(frame: pl.DataFrame, fold: int, entry: str, seed: int) -> pl.DataFrame:
    keys = (pl.lit(fold).alias("fold"), pl.lit(entry).alias("analyst"), pl.lit(seed).alias("seed"))
    return frame.select(*keys, pl.all())
