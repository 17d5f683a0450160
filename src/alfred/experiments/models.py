"""Single models kept beyond a run: one training each, found again by everything that determined it.

A model's folder holds `analyst/`, as `FittedAnalyst.save` writes it, and `model.json`, the `ModelRecord`.
"""

import functools
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ConfigDict, TypeAdapter, ValidationError

from alfred.analysts import AnalystSpec, Job, describe, fit_many, restore_analyst
from alfred.core.contracts import FitRecord, FittedAnalyst
from alfred.core.digest import code_digest
from alfred.core.errors import ConfigError
from alfred.core.home import Home
from alfred.core.progress import Progress, Silent
from alfred.core.version import __version__
from alfred.evaluation.scorecard import point_values
from alfred.experiments import counting
from alfred.experiments.fitting import device_for
from alfred.experiments.prepared import Prepared, prepare, run_digest
from alfred.experiments.record import FoldSummary
from alfred.experiments.run import run_study, walk_of
from alfred.experiments.stages import Stages
from alfred.experiments.study import Study, entry_name, judged_loss, target_of
from alfred.experiments.trials import TrialLedger, on_trial
from alfred.experiments.walkforward import Kept, WalkForward, fold_summary
from alfred.training.losses import original_row_losses
from alfred.training.meter import metered

ANALYST, RECORD = "analyst", "model.json"


@dataclass(frozen=True)
class ModelRecord:
    """What a model is and where it comes from.

    Attributes:
        analyst: entry of the study.
        settings: the study, whole.
        code, data, panel: digests of Alfred's code, of what was read and of the panel.
        seed: of the training.
        training_basket: names learnt from.
        fold: dates and rows of the parts.
        fit: cost and learning curve.
        training, validation: metrics by name on the rows learnt from and on those that chose the epoch, with
            rise_share, the accuracy of "always up"; None where undefined. Neither tells about the future.
    """

    __pydantic_config__ = ConfigDict(ser_json_inf_nan="constants")

    analyst: str
    created_at: str
    alfred_version: str
    settings: dict[str, Any]
    code: str
    data: str
    panel: str
    seed: int
    training_basket: tuple[str, ...]
    fold: FoldSummary
    fit: FitRecord
    training: dict[str, float | None]
    validation: dict[str, float | None]


_ADAPTER = TypeAdapter(ModelRecord)


@dataclass(frozen=True)
class Model:
    """A model's folder and record."""

    folder: Path
    record: ModelRecord

    @classmethod
    def load(cls, folder: Path) -> "Model":
        """Read a model's record."""
        return cls(folder, _ADAPTER.validate_json((folder / RECORD).read_bytes()))

    def restore(self) -> FittedAnalyst:
        """What it learnt, to the last bit.

        Raises:
            DataError: its files are damaged.
        """
        return restore_analyst(self.folder / ANALYST)


def train_model(study: Study, home: Home, progress: Progress | None = None) -> tuple[Model, bool]:
    """Train a study's only analyst once, with its first seed, before the first test quarter; or take it up.

    Returns:
        The model, and whether it had been trained before with the same words, data and code.

    Raises:
        FetchError: the trial cannot be counted, because the tracking data cannot be reached.
        AlfredError: the data, baskets or periods do not allow what the study asks for.
    """
    progress = progress or Silent()
    progress.say("data and panel")
    prepared = prepare(study, home)
    walk = walk_of(study, prepared, home)

    def compute(folder: Path) -> None:
        _train(study, prepared, walk, folder, progress)

    stages, place = Stages(home.models), _place(study, walk)
    ledger = TrialLedger.open(home)
    digest = run_digest(study, prepared.inputs)
    trials = counting.trials_of(study, prepared.inputs, digest, study.universe.protocol)
    if stages.find(*place) is not None and all(ledger.has_finished(trial) for trial in trials):
        return stages.run(*place, compute, Model.load)
    begun = counting.begin(ledger, trials)
    with on_trial(ledger, begun):
        model, before = stages.run(*place, compute, Model.load)
    for trial in begun:
        ledger.finish(trial, {f"{counting.TRAINED}{name}": value for name, value in model.record.validation.items()})
    return model, before


def find_model(study: Study, home: Home) -> Model | None:
    """The model that `train_model` kept of these settings, data and code; None where there is none, or a damaged one.

    Raises:
        AlfredError: the data, baskets or periods do not allow what the study asks for.
    """
    folder = Stages(home.models).find(*_place(study, walk_of(study, prepare(study, home), home)))
    return None if folder is None else Model.load(folder)


def evaluate_model(study: Study, home: Home, progress: Progress | None = None, hint: str = "") -> Path:
    """Forecast the study's test quarters with the kept model, and write a run's folder as `run_study` does.

    An untrained control needs no model: its initial weights follow from the seed.

    Args:
        study: as it was for `train_model`.
        home: where models and runs are.
        progress: hears how far it is.
        hint: what to do where there is no such model, such as the command that trains it.

    Raises:
        ConfigError: it was never trained with these settings, data and code.
        AlfredError: as `run_study`.
    """
    (spec,) = study.analysts
    if spec.untrained:
        return run_study(study, home, progress)
    model = find_model(study, home)
    if model is None:
        raise ConfigError(f"{_why_absent(study, home)} {hint}".rstrip())
    kept = Kept(model.folder.name, spec, model.record.seed, model.restore(), model.record.fit)
    return run_study(study, home, progress, kept=kept)


def _place(study: Study, walk: WalkForward) -> tuple[str, dict[str, Any]]:
    """Name and inputs of the model's stage: all that determines it, and nothing of the test."""
    (spec,) = study.analysts
    fold = walk.folds[0]
    inputs = {
        "panel": walk.panel_digest,
        "spec": spec.model_dump(mode="json"),
        "train": study.train.model_dump(mode="json"),
        "panel_settings": study.panel.model_dump(mode="json"),
        "training": walk.training,
        "fold": [fold.train.tolist(), fold.valid.tolist()],
        "seed": study.seeds[0],
    }
    return entry_name(spec).replace(":", "-"), inputs


def _train(study: Study, prepared: Prepared, walk: WalkForward, folder: Path, progress: Progress) -> None:
    (spec,), seed, fold = study.analysts, study.seeds[0], walk.folds[0]
    train, valid, _ = walk.parts(fold, target_of(spec), spec.quarters or describe(spec.name).quarters)
    with metered(device_for(spec, study.train)) as spent:
        checkpoints = walk.stages.root / "training"
        jobs = [Job(train, valid, seed)]
        (fitted,) = fit_many(spec, study.train, jobs, progress=progress, checkpoints=checkpoints)
    fitted.save(folder / ANALYST)
    training, validation = (walk.rows_of(spec, seed, fitted, part.without_labels()) for part in (train, valid))
    record = ModelRecord(
        analyst=entry_name(spec),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        alfred_version=__version__,
        settings=study.model_dump(mode="json"),
        code=code_digest(),
        data=prepared.inputs.digest,
        panel=walk.panel_digest,
        seed=seed,
        training_basket=walk.training,
        fold=fold_summary(walk, fold),
        fit=spent.on(fitted.record),
        training=_figures(study, spec, training),
        validation=_figures(study, spec, validation),
    )
    (folder / RECORD).write_text(_ADAPTER.dump_json(record, indent=2).decode() + "\n", encoding="utf-8")


def _figures(study: Study, spec: AnalystSpec, rows: pl.DataFrame) -> dict[str, float | None]:
    loss = functools.partial(original_row_losses, judged_loss(spec), settings=study.train.loss)
    return point_values(rows, entry_name(spec), loss)


def _why_absent(study: Study, home: Home) -> str:
    """That there is no such model, and whether one of the same words was trained otherwise."""
    (spec,) = study.analysts
    name, settings = entry_name(spec), study.model_dump(mode="json")
    for path in sorted(home.models.glob(f"{name.replace(':', '-')}-*/{RECORD}")):
        try:
            record = Model.load(path.parent).record
        except (OSError, ValidationError):
            continue
        if record.settings == settings:
            what = "data" if record.code == code_digest() else "code"
            return (
                f"{name} was trained with these words on {record.created_at[:10]}, but its files were changed or it "
                f"was with other {what} than now; a model is only evaluated on what it was trained for."
            )
    return f"{name} was never trained with these words, and an untrained model is evaluated only if asked for by name."
