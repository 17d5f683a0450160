"""A planted leak in each stage of a study is found and named; a clean study passes in silence."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from small_study import small_study

from alfred.analysts import AnalystSpec, ridge
from alfred.backtest.contracts import Readings, Targets
from alfred.backtest.strategies import simple
from alfred.core.contracts import Analyst, FitRecord, FittedAnalyst, Floats, Forecast, Windows
from alfred.core.errors import ConfigError, LeakError
from alfred.core.home import Home
from alfred.core.progress import Progress
from alfred.experiments.scramble import ScrambleResult, scramble_study
from alfred.experiments.study import Study
from alfred.lake.ingest import ensure
from alfred.lake.store import Lake
from alfred.panel.catalogue import Feature, catalogue, column
from alfred.panel.features import price
from alfred.panel.panel import Panel
from alfred.panel.settings import PanelSettings
from alfred.panel.sources import Sources
from alfred.panel.windows import WindowMaker
from alfred.training.settings import TrainSettings

DATE = dt.date(2011, 6, 30)
ANALYSTS = [{"name": "momentum"}, {"name": "ridge"}]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shared") / "lake"
    ensure(Lake(root), "sample")
    return root


@pytest.fixture
def home(lake: Path, tmp_path: Path) -> Home:
    """Stages of its own: a leak that a test plants is in no digest."""
    return Home(tmp_path, str(lake))


def study(**changes: object) -> Study:
    return small_study(analysts=ANALYSTS, seeds=[0], **changes)


def leak(home: Home, **changes: object) -> str:
    with pytest.raises(LeakError) as caught:
        scramble_study(study(**changes), home, [DATE])
    return str(caught.value)


def test_a_clean_study_passes(home: Home) -> None:
    found = scramble_study(study(), home, 2, seed=3)
    assert isinstance(found, ScrambleResult)
    assert (found.study, found.seed) == ("small", 3)
    assert found.analysts == ("naive", "momentum", "ridge")
    assert found.strategies == ("simple", "nuanced", "magnitude-choice")
    first, second = found.dates
    # A draw from the seed alone: positions 2 and 21 of the 27 tested quarters that have a future.
    assert (first.date, second.date) == ("2008-09-30", "2013-06-28")
    for one in found.dates:
        until = (dt.date.fromisoformat(one.date).year - 2000) * 4 + dt.date.fromisoformat(one.date).month // 3
        # 17 columns of 12 names; 6 labels; four figures of three analysts on 6 names in the fold that tests the date
        assert (one.features, one.labels) == (until * 12 * 17, until * 12 * 6)
        assert one.forecasts % (4 * 3 * 6) == 0
        assert one.weights == one.forecasts // (4 * 3) * 2 * 3
        assert one.forecasts > 0
        assert one.scalers % (3 * 17) == 0
        assert one.scalers > 0
        assert one.changed_after > 1000


def test_dates_that_are_not_tested_are_refused(home: Home) -> None:
    with pytest.raises(ConfigError, match="2011-06-29 is no decision date that the study tests and that has a future"):
        scramble_study(study(), home, [dt.date(2011, 6, 29)])
    with pytest.raises(ConfigError, match="900 dates were asked for; the study tests 27 that have a future"):
        scramble_study(study(), home, 900)
    memory = study().universe.model_dump() | {"protocol": "other-tickers-same-years"}
    with pytest.raises(
        ConfigError, match="other-tickers-same-years tests the quarters that it trains on, so that its fo"
    ):
        scramble_study(study(universe=memory), home, 1)


@pytest.fixture
def _planted_feature(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A column that is the drawdown of a quarter later."""

    def compute(sources: Sources) -> Floats:
        values = column(sources, catalogue()["drawdown"])
        return np.vstack([values[1:], np.full((1, values.shape[1]), np.nan)])

    honest = catalogue()["drawdown"]
    planted = Feature(
        "planted", "drawdown one quarter later", honest.unit, honest.tables, "never", "never", "standard", compute
    )
    monkeypatch.setattr(price, "FEATURES", (*price.FEATURES, planted))
    catalogue.cache_clear()
    yield
    monkeypatch.undo()
    catalogue.cache_clear()


@pytest.mark.usefixtures("_planted_feature")
def test_a_feature_that_knows_the_future_is_named(home: Home) -> None:
    text = leak(home)
    assert text.startswith("the feature 'planted' of AAPL on 2011-06-30 is -0.0")
    assert text.endswith("when what became known after 2011-06-30 is replaced: it knows the future.")


def test_a_level_adjusted_backwards_is_named(home: Home) -> None:
    text = leak(home, panel={"features": ["*", "Close"]})
    real, other = (float(part) for part in text.partition(" is ")[2].partition(" when ")[0].split(", and "))
    assert text.startswith("the feature 'Close' of ")
    assert "on 2000-03-31" in text
    assert real / other in {2.0, 4.0}


def test_a_scaler_that_sees_all_rows_is_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = WindowMaker.fit.__func__

    def fit(  # noqa: PLR0917 - as the honest one
        cls: type[WindowMaker], panel: Panel, dates: NDArray[np.int64], symbols: tuple[str, ...],
        settings: PanelSettings, quarters: int = 1,
    ) -> WindowMaker:  # fmt: skip
        # What other futures hold is far from anything that a scaler would let pass.
        loose = settings.model_copy(update={"scaled_bound": 1e12})
        return honest(cls, panel, np.arange(len(panel.dates)), symbols, loose, quarters)

    monkeypatch.setattr(WindowMaker, "fit", classmethod(fit))
    text = leak(home)
    assert text.startswith("the scaler's center of column 'Close_diff_MA_7' in the fold that trains to 2006-12-29 is ")


@dataclass(frozen=True)
class Standardising:
    """Forecasts less the mean of all rows asked about: rows of later quarters move those of earlier ones."""

    fitted: FittedAnalyst

    @property
    def record(self) -> FitRecord:
        return self.fitted.record

    def predict(self, windows: Windows) -> Forecast:
        made = self.fitted.predict(windows)
        shift = made.mean.mean()
        return replace(made, mean=made.mean - shift, lower=made.lower - shift, upper=made.upper - shift)

    def save(self, folder: Path) -> None:
        self.fitted.save(folder)


def test_an_analyst_that_looks_at_later_rows_is_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = ridge.create

    @dataclass(frozen=True)
    class Leaky:
        analyst: Analyst

        @property
        def target(self) -> str:
            return self.analyst.target

        def fit(self, train: Windows, valid: Windows) -> Standardising:
            return Standardising(self.analyst.fit(train, valid))

    def create(spec: AnalystSpec, settings: TrainSettings, seed: int, progress: Progress) -> Leaky:
        return Leaky(honest(spec, settings, seed, progress))

    monkeypatch.setattr(ridge, "create", create)
    text = leak(home)
    assert text.startswith("ridge's forecast (mean) of AMD on 2010-03-31 is ")


def test_a_strategy_that_looks_at_later_readings_is_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def targets(readings: Readings) -> Targets:
        above = np.where(readings.mean > np.nanmean(readings.mean, axis=0), 1, -1).astype(np.int8)
        return Targets(above, above / len(readings.symbols), readings.mean)

    monkeypatch.setattr(simple, "targets", targets)
    text = leak(home)
    assert text.startswith("the weight of simple on momentum of ")
