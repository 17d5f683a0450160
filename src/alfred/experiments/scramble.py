"""Another future, the same past: whatever a study makes before a date may not move when what comes after it does.

Features, labels, scalers, forecasts and weights are made twice, once from the lake and once from a lake that went on
otherwise after the date. The first cell of the past that differs is a leak, and is named.
"""

import datetime as dt
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from alfred.analysts import AnalystSpec
from alfred.backtest.contracts import Strategy
from alfred.backtest.run import STRATEGIES
from alfred.core.contracts import Bools, Floats
from alfred.core.errors import ConfigError, DataError, LeakError
from alfred.core.home import Home
from alfred.core.plugins import plugin
from alfred.core.progress import Progress, Silent
from alfred.evaluation.protocols import SAME_YEARS
from alfred.evaluation.splits import walk_forward
from alfred.experiments.market import read_market
from alfred.experiments.portfolios import readings_of, why_not_traded
from alfred.experiments.prepared import Inputs, Prepared, inputs_of, prepare
from alfred.experiments.run import with_naive
from alfred.experiments.stages import Stages
from alfred.experiments.study import Study, entry_name, target_of
from alfred.experiments.walkforward import WalkForward
from alfred.lake.scramble import OtherFuture, ScrambledLake
from alfred.panel.panel import Panel
from alfred.panel.windows import WindowMaker

FORECAST = ("mean", "lower", "upper", "prob_up")


@dataclass(frozen=True)
class DateResult:
    """One date's test: cells that were compared, and how many cells of the features after it did change."""

    date: str
    features: int
    labels: int
    scalers: int
    forecasts: int
    weights: int
    changed_after: int


@dataclass(frozen=True)
class ScrambleResult:
    """A study that stood the test; one that did not ends in a LeakError.

    Attributes:
        study, seed: what was tested, and which futures.
        dates: one entry for each date.
        analysts, strategies: whose forecasts and weights were compared.
    """

    study: str
    seed: int
    dates: tuple[DateResult, ...]
    analysts: tuple[str, ...]
    strategies: tuple[str, ...]


def scramble_study(
    study: Study, home: Home, dates: int | Sequence[dt.date] = 3, seed: int = 0, progress: Progress | None = None
) -> ScrambleResult:
    """Replace all that became known after each date, and make everything of the study again that lies before it.

    Of the walk-forward, the fold that tests the date is trained with the study's first seed; scalers are compared for
    every fold that begins by then. Nothing of another future is kept.

    Args:
        study: what to test.
        home: whose lake to read; what a run of the study has finished there is taken up.
        dates: how many to draw among the tested decision dates, or decision dates.
        seed: of the draw and of the futures.
        progress: hears how far it is.

    Raises:
        LeakError: something on or before a date moved; the message names what, which column, date, symbol, and both
            values.
        ConfigError: a date is none that the study tests, or has no quarter after it; or the study's protocol tests the
            quarters that it trains on.
        DataError: nothing after a date could be replaced, so that the test would prove nothing.
    """
    if study.universe.protocol in SAME_YEARS:
        raise ConfigError(
            f"the protocol {study.universe.protocol} tests the quarters that it trains on, so that its forecasts know "
            "what comes by design; scramble a study of other years."
        )
    progress = progress or Silent()
    real = _World.of(study, home, prepare(study, home))
    chosen = _dates(real, dates, seed)
    task = f"{len(chosen)} other futures"
    progress.start(task, len(chosen))
    found = []
    for at, date in enumerate(chosen):
        progress.advance(task, 0, f"after {date}")
        found.append(_test(real, home, date, seed + at, progress))
        progress.advance(task)
    progress.finish(task)
    specs = with_naive(study.analysts)
    return ScrambleResult(
        study.name, seed, tuple(found), tuple(entry_name(spec) for spec in specs), study.backtest.strategies
    )


@dataclass(frozen=True)
class _World:
    """A study's inputs and walk-forward, in this future or another."""

    study: Study
    inputs: Inputs
    walk: WalkForward

    @classmethod
    def of(cls, study: Study, home: Home, prepared: Prepared) -> "_World":
        panel, baskets = prepared.panel, prepared.inputs.baskets
        folds = walk_forward(panel.dates, study.panel.horizon_quarters, study.splits)
        walk = WalkForward(
            panel, folds, baskets.training, baskets.evaluation, study.panel, study.splits, study.train,
            Stages(home.stages),
        )  # fmt: skip
        return cls(study, prepared.inputs, walk)

    @property
    def panel(self) -> Panel:
        return self.walk.panel

    def only(self, first_test: int) -> WalkForward:
        """The walk-forward's one fold whose test begins at a position."""
        return replace(self.walk, folds=tuple(fold for fold in self.walk.folds if fold.test[0] == first_test))


def _dates(real: _World, wanted: int | Sequence[dt.date], seed: int) -> list[dt.date]:
    tested = np.concatenate([fold.test for fold in real.walk.folds])
    days: list[dt.date] = real.panel.dates[tested[tested < len(real.panel.dates) - 1]].tolist()
    if isinstance(wanted, int):
        if not 1 <= wanted <= len(days):
            raise ConfigError(f"{wanted} dates were asked for; the study tests {len(days)} that have a future.")
        drawn = np.random.default_rng(seed).choice(len(days), wanted, replace=False)
        return [days[at] for at in sorted(drawn.tolist())]
    for date in wanted:
        if date not in days:
            raise ConfigError(
                f"{date} is no decision date that the study tests and that has a future; these are {days[0]} to "
                f"{days[-1]}, the last session of each quarter."
            )
    return list(wanted)


def _test(real: _World, home: Home, date: dt.date, seed: int, progress: Progress) -> DateResult:
    study = real.study
    future = OtherFuture.of(date, seed, study.data.provider.replace("-", "_"))
    market = read_market(ScrambledLake(home.lake, future), study.data, real.inputs.market.view.versions)
    with tempfile.TemporaryDirectory(prefix="alfred-scramble-") as folder:
        scratch = Home(Path(folder), str(home.lake))
        inputs = inputs_of(study, market)
        if inputs.baskets != real.inputs.baskets:
            raise LeakError(
                f"the baskets know what came after {date}: {real.inputs.baskets} become {inputs.baskets} when it is "
                "replaced."
            )
        pair = _Pair(date, real, _World.of(study, scratch, prepare(study, scratch, inputs)))
        features, changed = pair.features()
        labels, scalers = pair.labels(), pair.scalers()
        counts = [pair.forecasts_and_weights(spec, progress) for spec in with_naive(study.analysts)]
    forecasts, weights = (sum(part) for part in zip(*counts, strict=True))
    return DateResult(str(date), features, labels, scalers, forecasts, weights, changed)


@dataclass(frozen=True)
class _Pair:
    """A study in two futures of one date; each method counts the cells that it compared."""

    date: dt.date
    real: _World
    other: _World

    @property
    def until(self) -> int:
        """Decision dates up to and with the date."""
        return int(np.searchsorted(self.real.panel.dates, np.datetime64(self.date))) + 1

    @property
    def symbols(self) -> tuple[str, ...]:
        """Of either panel: heirs of names renamed later come and go with the future."""
        return tuple(sorted({*self.real.panel.symbols, *self.other.panel.symbols}))

    def features(self) -> tuple[int, int]:
        """Returns the cells compared, and those after the date that changed."""
        real, other = self.real.panel, self.other.panel
        self._same("whether it is listed", *(self._on_symbols(world.panel, world.panel.listed) for world in self.both))
        compared = changed = 0
        for name in dict.fromkeys((*real.features, *other.features)):
            cells = [self._on_symbols(panel, _column(panel, name)) for panel in (real, other)]
            compared += self._same(f"the feature {name!r}", *cells)
            both = min(len(cells[0]), len(cells[1]))
            changed += int(_differ(*(part[self.until : both] for part in cells)).sum())
        if not changed:
            raise DataError(f"no feature after {self.date} could be changed, so that the test would prove nothing.")
        return compared, changed

    def labels(self) -> int:
        """Labels that were known on the date."""
        compared = 0
        for name in self.real.panel.labels.values:
            cells = []
            for world in self.both:
                known = world.panel.labels.known_by(np.datetime64(self.date))
                cells.append(self._on_symbols(world.panel, known.of(name)))
            compared += self._same(f"the label {name!r}", *cells)
        return compared

    def scalers(self) -> int:
        """What the training rows of every fold that begins by the date taught."""
        compared = 0
        for fold in self.real.walk.folds:
            if fold.test[0] >= self.until:
                continue
            real, other = (
                WindowMaker.fit(world.panel, fold.train, world.walk.training, world.study.panel) for world in self.both
            )
            where = f"the fold that trains to {self.real.panel.dates[fold.train[-1]]}"
            for what, own, its in _learnt(real, other):
                compared += 1
                if _differ(own, its).any():
                    first = int(_differ(own, its).argmax())
                    raise self._leak(f"the scaler's {what} in {where}", own[first], its[first])
            if real.columns != other.columns:
                name = min({*real.columns} ^ {*other.columns} or {*real.columns})
                raise self._leak(f"whether {where} learns column {name!r}", name in real.columns, name in other.columns)
        return compared

    def forecasts_and_weights(self, spec: AnalystSpec, progress: Progress) -> tuple[int, int]:
        """One analyst's forecasts up to the date of the fold that tests it, and every strategy's weights on them."""
        at = self.until - 1
        first = next(fold.test[0] for fold in self.real.walk.folds if at in fold.test)
        seeds = self.real.study.seeds[:1]
        frames = [world.only(first).forecast(spec, seeds, progress)[1] for world in self.both]
        entry = entry_name(spec)
        keys = ["as_of", "symbol"]
        real, other = (frame.filter(pl.col("as_of") <= self.date).sort(keys) for frame in frames)
        symbols = tuple(real["symbol"].unique().sort())
        compared = 0
        for name in FORECAST:
            cells = [_matrix(frame, name, symbols) for frame in (real, other)]
            compared += self._same(f"{entry}'s forecast ({name})", *cells, first=first, symbols=symbols)
        weights = 0
        for strategy in self.real.study.backtest.strategies:
            if why_not_traded(entry, target_of(spec), strategy):
                continue
            module = cast("Strategy", plugin(STRATEGIES, strategy))
            held = [module.targets(readings_of(frame, entry, symbols)).weights for frame in frames]
            what = f"the weight of {strategy} on {entry}"
            held = [part[: self.until - first] for part in held]
            weights += self._same(what, *held, first=first, symbols=symbols)
        return compared, weights

    @property
    def both(self) -> tuple[_World, _World]:
        return self.real, self.other

    def _on_symbols(self, panel: Panel, cells: NDArray[Any]) -> Floats:
        """(D, symbols of either panel), NaN for a name that this one lacks."""
        found = np.full((len(panel.dates), len(self.symbols)), np.nan)
        found[:, [self.symbols.index(symbol) for symbol in panel.symbols]] = cells
        return found

    def _same(
        self, what: str, real: Floats, other: Floats, *, first: int = 0, symbols: tuple[str, ...] | None = None
    ) -> int:
        """Number of cells from position `first` to the date, all of them equal.

        Raises:
            LeakError: one is not; the earliest is named, and of its date the first symbol.
        """
        rows = self.until - first
        real, other = real[:rows], other[:rows]
        wrong = _differ(real, other)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            symbol = (symbols or self.symbols)[column]
            when = self.real.panel.dates[first + row]
            raise self._leak(f"{what} of {symbol} on {when}", real[row, column], other[row, column])
        return int(wrong.size)

    def _leak(self, what: str, real: object, other: object) -> LeakError:
        return LeakError(
            f"{what} is {_shown(real)}, and {_shown(other)} when what became known after {self.date} is replaced: it "
            "knows the future."
        )


def _column(panel: Panel, name: str) -> Floats:
    """(D, S) of a feature, NaN where the panel left it out for want of values."""
    if name not in panel.features:
        return np.full(panel.listed.shape, np.nan)
    return panel.values[:, :, panel.features.index(name)]


def _learnt(real: WindowMaker, other: WindowMaker) -> Iterator[tuple[str, Floats, Floats]]:
    """What two scalers learnt of each column that both use: the number in words, and what it is in each."""
    its = {name: at for at, name in enumerate(other.panel.features) if other.used[at]}
    for at in np.flatnonzero(real.used).tolist():
        name = real.panel.features[at]
        if name not in its:
            continue
        for what in ("center", "spread", "power"):
            own, theirs = getattr(real.scaler, what)[at], getattr(other.scaler, what)[its[name]]
            yield f"{what} of column {name!r}", np.array([own]), np.array([theirs])
        ranks, their_ranks = real.scaler.ranks[at], other.scaler.ranks[its[name]]
        if ranks is not None and their_ranks is not None:
            alike = ranks.shape == their_ranks.shape
            yield (
                f"ranks of column {name!r}",
                ranks.ravel(),
                their_ranks.ravel() if alike else np.full(ranks.size, np.nan),
            )


def _matrix(frame: pl.DataFrame, name: str, symbols: tuple[str, ...]) -> Floats:
    """(dates of the frame, symbols), NaN where there is no forecast."""
    wide = frame.pivot("symbol", index="as_of", values=name).sort("as_of")
    columns = [wide[symbol].fill_null(np.nan).to_numpy() if symbol in wide.columns else None for symbol in symbols]
    return np.stack([np.full(len(wide), np.nan) if one is None else one for one in columns], axis=1)


def _differ(real: Floats, other: Floats) -> Bools:
    same: Bools = (real == other) | (np.isnan(real) & np.isnan(other))
    return ~same


def _shown(value: object) -> str:
    if isinstance(value, float | np.floating):
        return "missing" if np.isnan(value) else repr(float(value))
    return str(value)
