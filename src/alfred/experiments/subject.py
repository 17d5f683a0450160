"""One analyst of a study, with everything that it learnt from and was asked: what is explained and ablated."""

import dataclasses
import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from alfred.analysts import AnalystSpec, describe
from alfred.core.contracts import FittedAnalyst, Windows
from alfred.core.errors import ConfigError, DataError
from alfred.core.home import Home
from alfred.core.progress import Progress, Silent
from alfred.core.settings import suggestion
from alfred.evaluation.protocols import SEALED
from alfred.evaluation.splits import Fold
from alfred.experiments.market import read_market
from alfred.experiments.models import find_model
from alfred.experiments.prepared import Prepared, inputs_of, prepare
from alfred.experiments.record import load_record
from alfred.experiments.run import walk_of, with_naive
from alfred.experiments.study import Study, entry_name, quarters_of, target_of
from alfred.experiments.walkforward import Kept, WalkForward
from alfred.lake.store import Lake


@dataclass(frozen=True)
class Subject:
    """An analyst on a study's walk-forward.

    Attributes:
        study: whole.
        prepared: its data and panel.
        walk: its folds.
        spec: the analyst.
        seeds: those that make a difference to it.
        home: whose ledger counts what is tried with it.
        folder: of the run; None where it is of a study alone.
        sealed: whether the run looked into a vault.
    """

    study: Study
    prepared: Prepared
    walk: WalkForward
    spec: AnalystSpec
    seeds: tuple[int, ...]
    home: Home
    folder: Path | None = None
    sealed: bool = False

    @property
    def entry(self) -> str:
        """What results call it."""
        return entry_name(self.spec)

    @property
    def target(self) -> str:
        """The label it forecasts."""
        return target_of(self.spec)

    def parts(self, fold: Fold) -> tuple[Windows, Windows, Windows]:
        """Training, validation and test windows of a fold, as the analyst was given them."""
        return self.walk.parts(fold, self.target, quarters_of(self.spec))

    def fitted(self, seed: int, fold: Fold, progress: Progress | None = None) -> FittedAnalyst:
        """What it learnt from a fold: as it was kept, otherwise fitted again."""
        return self.walk.fitted(self.spec, seed, fold, progress or Silent())


def subject_of_run(home: Home, folder: Path, analyst: str = "") -> Subject:
    """An analyst of a finished run, on the data that the run read.

    Args:
        home: where the lake and stages are.
        folder: the run's.
        analyst: its entry in the run; empty for the last one.

    Raises:
        ConfigError: the run has no such analyst.
        DataError: the run's panel cannot be made again: code or data have changed since.
    """
    record = load_record(folder)
    study = Study.parse(record.settings, f"{folder.name}/run.json")
    shown = dt.datetime.fromisoformat(record.data.known_until) if record.data.known_until else None
    market = read_market(Lake(home.lake), study.data, record.data.versions, shown)
    prepared = prepare(study, home, inputs_of(study, market))
    walk = walk_of(study, prepared, home)
    if walk.panel_digest != record.panel.digest:
        raise DataError(
            f"the panel of {folder.name} cannot be made again: Alfred's code, its libraries or the data have changed "
            "since; run the study again, and explain that run."
        )
    subject = _subject(study, prepared, walk, analyst, home)
    subject = dataclasses.replace(subject, folder=folder, sealed=record.protocol == SEALED)
    return _with_model(subject, home)


def subject_of_study(home: Home, study: Study, analyst: str = "") -> Subject:
    """An analyst of a study, on the data as they are now and up to where the family's vault begins.

    Raises:
        ConfigError: the study has no such analyst.
        AlfredError: the data, baskets or periods do not allow what the study asks for.
    """
    prepared = prepare(study, home)
    return _subject(study, prepared, walk_of(study, prepared, home), analyst, home)


def _subject(study: Study, prepared: Prepared, walk: WalkForward, analyst: str, home: Home) -> Subject:
    specs = {entry_name(spec): spec for spec in with_naive(study.analysts)}
    entry = analyst or list(specs)[-1]
    if entry not in specs:
        raise ConfigError(f"there is no analyst {analyst!r} among those of the study; {suggestion(analyst, specs)}")
    spec = specs[entry]
    seeds = study.seeds if describe(spec.name).uses_seed else study.seeds[:1]
    return Subject(study, prepared, walk, spec, seeds, home)


def _with_model(subject: Subject, home: Home) -> Subject:
    """The subject with the model of `alfred train`, where the run was one of `alfred evaluate`."""
    study = subject.study
    single = len(study.analysts) == 1 and len(study.seeds) == 1 and study.splits.test_quarters == "all"
    if not single or subject.spec != study.analysts[0] or subject.spec.untrained:
        return subject
    model = find_model(study, home)
    if model is None:
        return subject
    kept = Kept(model.folder.name, subject.spec, model.record.seed, model.restore(), model.record.fit)
    return dataclasses.replace(subject, walk=dataclasses.replace(subject.walk, kept=kept))
