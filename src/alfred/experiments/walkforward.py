"""The walk-forward: every fold trains on its past alone and forecasts its test quarters, one stage a fit."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from pydantic import TypeAdapter

from alfred.analysts import AnalystSpec, describe, make_analyst
from alfred.core.contracts import DIRECTION, LABELS, FitRecord, FittedAnalyst, Windows
from alfred.core.progress import Progress, Silent
from alfred.evaluation.protocols import DEFAULT_PROTOCOL, SAME_YEARS
from alfred.evaluation.rolling import rolling_intervals
from alfred.evaluation.splits import Fold, SplitSettings, check_fold
from alfred.experiments.record import FoldSummary
from alfred.experiments.stages import Stages
from alfred.experiments.study import entry_name, quarters_of, target_of
from alfred.panel.panel import Panel
from alfred.panel.settings import PanelSettings
from alfred.panel.windows import WindowMaker
from alfred.training.meter import metered
from alfred.training.settings import TrainSettings

_RECORD = TypeAdapter(FitRecord)


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
class _Made:
    """What a fit leaves: its forecasts of the test and of the validation rows, and how it went."""

    test: pl.DataFrame
    valid: pl.DataFrame
    record: FitRecord


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
        for seed in used:
            tested, validated = [], []
            for at, fold in enumerate(self.folds):
                made, resumed = self._stage(spec, seed, fold, progress)
                fits.append(Fit(entry, seed, at, made.record, resumed))
                tested.append(_keyed(made.test, at, entry, seed))
                validated.append(_keyed(made.valid, at, entry, seed))
                progress.advance(entry, note=f"seed {seed}, fold {at + 1} of {len(self.folds)}")
            rows, before = (self._with_outcomes(pl.concat(part)) for part in (tested, validated))
            frames.append(self._with_intervals(rows, before))
        progress.finish(entry)
        return fits, pl.concat(frames)

    def rows_of(self, spec: AnalystSpec, seed: int, fitted: FittedAnalyst, windows: Windows) -> pl.DataFrame:
        """Forecasts of a fold's rows with the columns of `forecasts.parquet`."""
        return self._with_outcomes(_keyed(_rows(windows, fitted), 0, entry_name(spec), seed))

    def _forecast_kept(self, kept: Kept) -> tuple[list[Fit], pl.DataFrame]:
        entry = entry_name(kept.spec)
        parts: tuple[list[pl.DataFrame], list[pl.DataFrame]] = ([], [])
        for at, fold in enumerate(self.folds):
            _, valid, test = self.parts(fold, target_of(kept.spec), quarters_of(kept.spec))
            for frames, rows in zip(parts, (test, valid), strict=True):
                frames.append(_keyed(_rows(rows, kept.fitted), at, entry, kept.seed))
        tested, validated = (self._with_outcomes(pl.concat(frames)) for frames in parts)
        return [Fit(entry, kept.seed, 0, kept.record, resumed=True)], self._with_intervals(tested, validated)

    def _with_intervals(self, test: pl.DataFrame, valid: pl.DataFrame) -> pl.DataFrame:
        """Intervals roll on over quarters to come; where there are none, they stay as they were fitted."""
        return test if self.protocol in SAME_YEARS else _with_rolling_intervals(test, valid)

    def _with_outcomes(self, rows: pl.DataFrame) -> pl.DataFrame:
        return rows.join(outcomes(self.panel), on=["symbol", "as_of"], how="left", maintain_order="left")

    def _stage(self, spec: AnalystSpec, seed: int, fold: Fold, progress: Progress) -> tuple["_Made", bool]:
        inputs = {
            "panel": self.panel_digest,
            "spec": spec.model_dump(mode="json"),
            "train": self.train_settings.model_dump(mode="json"),
            "panel_settings": self.panel_settings.model_dump(mode="json"),
            "training": self.training,
            "evaluation": self.evaluation,
            "fold": [part.tolist() for part in (fold.train, fold.valid, fold.test)],
            "seed": seed,
        }

        def compute(folder: Path) -> None:
            train, valid, test = self.parts(fold, target_of(spec), quarters_of(spec))
            analyst = make_analyst(spec, self.train_settings, seed, _Remarks(progress))
            with metered(device_for(spec, self.train_settings)) as spent:
                fitted = analyst.fit(train, valid)
            _rows(test, fitted).write_parquet(folder / "forecasts.parquet")
            _rows(valid, fitted).write_parquet(folder / "validation.parquet")
            (folder / "record.json").write_bytes(_RECORD.dump_json(spent.on(fitted.record)))

        def load(folder: Path) -> _Made:
            test, valid = (
                pl.read_parquet(folder / f"{name}.parquet", glob=False) for name in ("forecasts", "validation")
            )
            return _Made(test, valid, _RECORD.validate_json((folder / "record.json").read_bytes()))

        return self.stages.run(f"fit-{entry_name(spec).replace(':', '-')}", inputs, compute, load)


def device_for(spec: AnalystSpec, settings: TrainSettings) -> str:
    """Where an analyst learns: networks where the settings say, all others on the processor."""
    return settings.device if describe(spec.name).is_network else "cpu"


class _Remarks(Silent):
    """Passes on what a fit remarks; the walk-forward's own bar shows how far it is."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def say(self, message: str) -> None:
        """Pass it on."""
        self._progress.say(message)


def _with_rolling_intervals(test: pl.DataFrame, valid: pl.DataFrame) -> pl.DataFrame:
    """One seed's forecasts, their intervals calibrated on what was realised by each decision date.

    An interval around a probability is not one that a direction of 0 or 1 lies in or out of; it stays as it was.
    """
    target = str(test["target"][0])
    if target == DIRECTION:
        return test
    tested, before = (frame.with_columns(pl.col(target).alias("label")) for frame in (test, valid))
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


def _rows(test: Windows, fitted: FittedAnalyst) -> pl.DataFrame:
    forecast = fitted.predict(test)
    return pl.DataFrame(
        {
            "symbol": test.symbols.tolist(),
            "as_of": test.dates,
            "target": test.target,
            "mean": forecast.mean,
            "lower": forecast.lower,
            "upper": forecast.upper,
            "prob_up": forecast.prob_up,
            "level": forecast.level,
        },
        schema_overrides={"symbol": pl.String, "as_of": pl.Date},
    )
