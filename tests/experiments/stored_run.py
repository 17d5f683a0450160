"""Runs whose models are stored: one made from a panel alone, in a second, and the study of a real one."""

import dataclasses
import functools
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from small_study import small_study

sys.path += [str(Path(__file__).parents[1] / name) for name in ("report", "panel")]
from market import walks
from report_run import make_record, write_run

from alfred.analysts import AnalystSpec
from alfred.core.home import Home
from alfred.core.progress import Silent
from alfred.evaluation.protocols import DEFAULT_PROTOCOL
from alfred.evaluation.splits import SplitSettings, walk_forward
from alfred.experiments.stages import Stages
from alfred.experiments.store import log_run, write_models
from alfred.experiments.study import entry_name
from alfred.experiments.tracking import tracking
from alfred.experiments.walkforward import Origin, WalkForward
from alfred.panel.build import build_panel
from alfred.panel.panel import Panel
from alfred.panel.settings import PanelSettings
from alfred.panel.tables import Tables
from alfred.training.settings import TrainSettings

SPECS = (AnalystSpec(name="ridge"), AnalystSpec(name="vanilla.small.tanh", size=16, layers=2, quarters=2))
RIDGE, NETWORK = map(entry_name, SPECS)
ENTRIES = {spec.name: entry_name(spec) for spec in SPECS}
SEEDS = (0, 1)
NAMES = tuple("ABCDEF")

STUDY = small_study(
    name="kept",
    data={"since": "2003-01-02", "until": "2010-12-31"},
    universe={"scan": {"training_start": "AAPL", "evaluation_start": "GE", "n": 4, "as_of": "2007-12-31"}},
    splits={"test_first": "2008-03-31", "test_quarters": 6, "valid_quarters": 4, "min_train_quarters": 8},
    train={"epochs": 2, "patience": 2, "batch_size": 64, "threads": 1},
    analysts=[
        {"name": "ridge", "quarters": 3},
        {"name": "lightgbm", "label": "PQ"},
        {"name": "lstm.medium.extractors.tanh", "size": 16, "quarters": 4},
        {
            "name": "ensemble.mean",
            "member_seeds": 2,
            "members": [{"name": "ridge"}, {"name": "vanilla.small.tanh", "size": 16}],
        },
    ],
    evaluation={"draws": 100},
)


@dataclass(frozen=True)
class Ran:
    """A finished run, its panel, and what its last fold forecast."""

    home: Home
    folder: Path
    panel: Panel
    forecasts: pl.DataFrame

    @property
    def name(self) -> str:
        return self.folder.name

    def at(self, home: Home) -> "Ran":
        return dataclasses.replace(self, home=home)


class Heard(Silent):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


@functools.cache
def a_panel() -> Panel:
    bars, market = walks("".join(NAMES))
    return build_panel(Tables(bars, market), PanelSettings(), levels_usable=True)


def a_walk(home: Home) -> WalkForward:
    """Three test quarters of a small panel, whose last fold is handed on."""
    panel = a_panel()
    splits = SplitSettings.parse(
        {"test_first": "2017-12-31", "test_quarters": 3, "valid_quarters": 4, "min_train_quarters": 3}, "test"
    )
    return WalkForward(
        panel,
        walk_forward(panel.dates, 1, splits, DEFAULT_PROTOCOL),
        NAMES[:3],
        NAMES[3:],
        PanelSettings(),
        splits,
        TrainSettings.parse({"epochs": 1, "batch_size": 64, "threads": 1}, "test"),
        Stages(home.stages),
        origin=Origin({"provider": "sample"}, "d" * 32, levels_usable=True),
    )


def made(home: Home, name: str = "kept") -> Ran:
    """A run whose figures are invented and whose models are real, written but not logged."""
    walk = a_walk(home)
    frames = [walk.forecast(spec, SEEDS, Silent())[1] for spec in SPECS]
    folder = home.runs / f"{name}-0123456789"
    record = make_record()
    cards = tuple(
        dataclasses.replace(card, analyst=ENTRIES.get(card.analyst, card.analyst)) for card in record.scorecards
    )
    write_run(folder, dataclasses.replace(record, study=name, digest=f"digest of {name}", scorecards=cards))
    write_models(folder, {entry_name(spec): walk.handed_on(spec, SEEDS) for spec in SPECS})
    forecasts = pl.concat(frames)
    return Ran(home, folder, walk.panel, forecasts.filter(pl.col("fold") == forecasts["fold"].max()))


def stored(home: Home) -> Ran:
    """The same, logged."""
    run = made(home)
    assert log_run(home, run.folder)
    return run


def beside(run: Ran, place: Path) -> Home:
    """A home with the run's stages and an empty store."""
    home = Home(place)
    shutil.copytree(run.home.stages, home.stages, ignore=shutil.ignore_patterns("fit-*", "training"))
    home.tracking.mkdir()
    shutil.copy(empty_database(run.home), home.tracking / "mlflow.db")
    return home


def empty_database(home: Home) -> Path:
    """A database without runs; MLflow takes seconds to make one, so it is made once."""
    place = Home(home.root / "empty")
    tracking(place)
    return place.tracking / "mlflow.db"
