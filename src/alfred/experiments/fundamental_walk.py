"""The walk-forward of the analysts of accounts: who is known when differs from row to row, and so does the purge.

Analysts learn the change from the latest known figure, and their forecasts are put back on it. So one that has learnt
nothing forecasts a random walk, with the training rows' mean change as its drift.
"""

import fnmatch
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from alfred.analysts import AnalystSpec, describe, known_forecast, make_analyst
from alfred.core.contracts import Floats, Forecast, Windows
from alfred.core.digest import digest_of
from alfred.core.progress import Progress
from alfred.evaluation.splits import Fold, SplitSettings, check_fold, check_realised
from alfred.experiments.stages import Stages
from alfred.experiments.study import entry_name
from alfred.panel.anchors import ANCHORS
from alfred.panel.fundamental_labels import BOUNDS, FundamentalLabel
from alfred.panel.panel import Panel
from alfred.panel.settings import PanelSettings
from alfred.panel.windows import WindowMaker
from alfred.training.settings import TrainSettings

RANDOM_WALK, SEASONAL = "random walk", "seasonal naive"
BASELINES = (RANDOM_WALK, SEASONAL)


@dataclass(frozen=True, eq=False)
class Part:
    """Rows of one part of a fold, with what is known of them, (N,) each."""

    windows: Windows
    last: Floats
    seasonal: Floats


@dataclass(frozen=True, eq=False)
class FundamentalWalk:
    """What every fit of one horizon shares.

    Attributes:
        panel: features, the baselines' figures among them (see `with_anchors`).
        labels: by name, all of one horizon.
        folds: positions of the parts in the panel's dates.
        training: symbols to learn from.
        forecast_for: symbols to forecast.
    """

    panel: Panel
    labels: Mapping[str, FundamentalLabel]
    folds: tuple[Fold, ...]
    training: tuple[str, ...]
    forecast_for: tuple[str, ...]
    panel_settings: PanelSettings
    split_settings: SplitSettings
    train_settings: TrainSettings
    stages: Stages

    @functools.cached_property
    def digest(self) -> str:
        """Digest of features and labels."""
        parts = (
            part
            for name, label in sorted(self.labels.items())
            for part in (name, label.horizon_quarters, label.value, label.realised_on.astype(np.int64), label.last,
                         label.seasonal, label.usual)
        )  # fmt: skip
        return digest_of(self.panel.digest(), *parts)

    @functools.lru_cache(maxsize=4)  # noqa: B019 - a walk lives as long as its run
    def parts(self, fold: Fold, target: str, quarters: int = 1) -> tuple[Part, Part, Part, np.datetime64]:
        """Training, validation and test rows, and the latest decision date on which a label learnt from became known.

        Rows are left out whose label is realised after the first date of the next part. Test rows are those for which
        both baselines have a figure; they carry no labels.

        Raises:
            LeakError: the fold's labels reach into its next part.
            DataError: a part has no rows.
        """
        label, embargo = self.labels[target], self.split_settings.embargo_quarters
        dates = self.panel.dates
        check_fold(fold, dates, label.horizon_quarters, embargo)
        maker = self.maker(fold, quarters)
        learnt: list[Part] = []
        latest = dates[:1]
        for at, (part, following) in enumerate(((fold.train, fold.valid), (fold.valid, fold.test))):
            first = dates[following[0]]
            own = replace(self.panel, labels=label.change.known_by(first, embargo))
            windows = replace(maker, panel=own).windows(part, self.training, target, labelled=True)
            realised = label.realised_on[self.places(windows)]
            names = ("training", "validation", "test")[at : at + 2]
            check_realised(*names, dates=windows.dates, realised_on=realised, first=first, embargo_quarters=embargo)
            latest = np.append(latest, realised.max())
            learnt.append(self._part(label, windows))
        own = replace(self.panel, labels=label.change)
        windows = replace(maker, panel=own).windows(fold.test, self.forecast_for, target, labelled=False)
        test = self._part(label, windows)
        both = np.isfinite(test.last) & np.isfinite(test.seasonal)
        test = Part(windows.rows(both), test.last[both], test.seasonal[both])
        return learnt[0], learnt[1], test, latest.max()

    def forecast(
        self, target: str, specs: Sequence[AnalystSpec], seeds: Sequence[int], progress: Progress
    ) -> pl.DataFrame:
        """Everyone's forecasts of one label in all folds: baselines, then analysts.

        Returns:
            Columns fold, analyst, seed, symbol, as_of, target, horizon_quarters, mean, lower, upper, prob_up (of a
            figure above the last known), level, last, seasonal, learnt_until, realised_on and realised (null until
            known). `learnt_until` is the latest decision date on which a label that the fit learnt from became known.
        """
        frames = []
        for at, fold in enumerate(self.folds):
            _, valid, test, until = self.parts(fold, target)
            change = np.asarray(valid.windows.y, np.float64)
            for name, figures, shown in (
                (RANDOM_WALK, np.zeros(len(change)), np.zeros(len(test.last))),
                (SEASONAL, valid.seasonal - valid.last, test.seasonal - test.last),
            ):
                made = known_forecast(target, figures, change, shown)
                frames.append(self._rows(test, made, until).select(*_keys(at, name, 0), pl.all()))
            for spec in specs:
                entry = entry_name(spec)
                own = spec.model_copy(update={"label": target})
                for seed in seeds if describe(spec.name).uses_seed else seeds[:1]:
                    frame = self._stage(own, seed, fold, progress)
                    frames.append(frame.select(*_keys(at, entry, seed), pl.all()))
        label = self.labels[target]
        return pl.concat(frames).join(
            _came(self.panel, label), on=["symbol", "as_of"], how="left", maintain_order="left"
        )

    def _stage(self, spec: AnalystSpec, seed: int, fold: Fold, progress: Progress) -> pl.DataFrame:
        target = str(spec.label)
        inputs = {
            "walk": self.digest,
            "spec": spec.model_dump(mode="json"),
            "train": self.train_settings.model_dump(mode="json"),
            "panel_settings": self.panel_settings.model_dump(mode="json"),
            "embargo": self.split_settings.embargo_quarters,
            "training": self.training,
            "forecast_for": self.forecast_for,
            "fold": [part.tolist() for part in (fold.train, fold.valid, fold.test)],
            "seed": seed,
        }

        def compute(folder: Path) -> None:
            train, valid, test, until = self.parts(fold, target, spec.quarters or describe(spec.name).quarters)
            fitted = make_analyst(spec, self.train_settings, seed).fit(train.windows, valid.windows)
            self._rows(test, fitted.predict(test.windows), until).write_parquet(folder / "forecasts.parquet")

        def load(folder: Path) -> pl.DataFrame:
            return pl.read_parquet(folder / "forecasts.parquet", glob=False)

        name = f"account-{spec.name}-{target}-{self.labels[target].horizon_quarters}q"
        progress.say(f"{name}, seed {seed}, test from {self.panel.dates[fold.test[0]]}")
        return self.stages.run(name, inputs, compute, load)[0]

    @functools.cache  # noqa: B019 - a walk lives as long as its run
    def maker(self, fold: Fold, quarters: int) -> WindowMaker:
        """What makes the rows of a fold, learnt from its training rows, whether or not their label is known."""
        # What the study says of columns that are not used here would be an error.
        names = self.panel.features
        own = {pattern: rule for pattern, rule in self.panel_settings.scaling.items() if fnmatch.filter(names, pattern)}
        bounded = {name: "standard" for name in names if name.startswith(ANCHORS)}
        settings = self.panel_settings.model_copy(update={"scaling": {**own, **bounded}})
        return WindowMaker.fit(self.panel, fold.train, self.training, settings, quarters)

    def places(self, windows: Windows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Positions of rows in the panel's dates and symbols, (N,) each."""
        place = {symbol: at for at, symbol in enumerate(self.panel.symbols)}
        row = np.searchsorted(self.panel.dates, windows.dates)
        return row.astype(np.int64), np.array([place[symbol] for symbol in windows.symbols.tolist()], np.int64)

    def _part(self, label: FundamentalLabel, windows: Windows) -> Part:
        place = self.places(windows)
        return Part(windows, label.last[place], label.seasonal[place])

    def _rows(self, test: Part, change: Forecast, until: np.datetime64) -> pl.DataFrame:
        """Forecasts of changes put back on the last known figures, within the label's bounds."""
        windows = test.windows
        bound = BOUNDS[windows.target]
        ends = (np.clip(test.last + part, -bound, bound) for part in (change.mean, change.lower, change.upper))
        mean, lower, upper = ends
        return pl.DataFrame(
            {
                "symbol": windows.symbols.tolist(), "as_of": windows.dates, "target": windows.target,
                "horizon_quarters": windows.horizon_quarters, "mean": mean, "lower": lower, "upper": upper,
                "prob_up": change.prob_up, "level": change.level, "last": test.last, "seasonal": test.seasonal,
                "learnt_until": [until.astype(object)] * len(windows),
            },
            schema_overrides={"symbol": pl.String, "as_of": pl.Date, "learnt_until": pl.Date},
        )  # fmt: skip


def _keys(fold: int, analyst: str, seed: int) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    return pl.lit(fold).alias("fold"), pl.lit(analyst).alias("analyst"), pl.lit(seed).alias("seed")


def _came(panel: Panel, label: FundamentalLabel) -> pl.DataFrame:
    """What came: columns symbol, as_of, realised_on and realised, null until known."""
    return pl.DataFrame(
        {
            "symbol": list(panel.symbols) * len(panel.dates),
            "as_of": np.repeat(panel.dates, len(panel.symbols)),
            "realised_on": label.realised_on.ravel(),
            "realised": pl.Series(label.value.ravel(), nan_to_null=True),
        },
        schema_overrides={"as_of": pl.Date, "realised_on": pl.Date},
    )
