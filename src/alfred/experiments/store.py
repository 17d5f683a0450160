"""The model store: finished runs with their fitted analysts, kept with the tracking data.

A run of Alfred is a run of MLflow in the experiment `alfred/runs/<family>`: its study, digest, data versions, seeds and
environment are tags, figures with intervals and costs are metrics, and `run.json`, `study.toml` and the last fold's
fitted analysts, one of each seed, are artifacts. An analyst is listed once all its files are there, with the SHA-256 of
its manifest, so that an upload that was cut off is gone on with and what was changed afterwards is refused.

A model is called by its run, analyst and seed, `demo-3f2a9c01d2/ridge/0`, which follow from study, data and code and
are the same on every machine, or by an alias (`alfred.experiments.aliases`).
"""

import hashlib
import json
import math
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alfred.core.errors import AlfredError, ConfigError, DataError, FetchError
from alfred.core.home import Home
from alfred.core.progress import Progress, Silent
from alfred.core.settings import suggestion
from alfred.core.storage import write_whole
from alfred.experiments.aliases import aliases_of
from alfred.experiments.record import RunRecord, load_record
from alfred.experiments.stored import (
    MANIFEST,
    Manifest,
    StoredAnalyst,
    manifest_of,
    parse_manifest,
    read_stored,
    size_of,
)
from alfred.experiments.tracking import Tracking, tracking
from alfred.experiments.trials import LONGEST_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

RUNS, MODELS = "alfred/runs/", "models.json"
MODEL_TAG, STORED, REMOVING, IMPORTED = "alfred.model.", "alfred.stored", "removing", "imported"
RUN = re.compile(r"[a-z0-9][A-Za-z0-9_-]*")
PLACE = re.compile(r"models/\d{3}-[A-Za-z0-9._-]+")
_SILENT = Silent()
_BATCH = 500


@dataclass(frozen=True)
class StoredModel:
    """A model of the store, not yet fetched.

    Attributes:
        run, analyst, seed: its name's parts.
        family: of the study.
        created_at: of the run, in ISO form.
        label, horizon_quarters, quarters: as in `About`.
        train_last: last decision date learnt from.
        size: of its files, in bytes.
        sha256: of its manifest.
        number, place: MLflow's number of the run, and its folder among the run's artifacts.
        tag: of the run, under which it is listed.
        verdict: of its run.
        figures: of its analyst over the run's test rows and all seeds, by name, such as "rank_ic" and "rank_ic.lower".
        aliases: that point to it.
    """

    run: str
    analyst: str
    seed: int
    family: str
    created_at: str
    label: str
    horizon_quarters: int
    quarters: int
    train_last: str
    size: int
    sha256: str
    number: str
    place: str
    tag: str
    verdict: str = ""
    figures: Mapping[str, float] = field(default_factory=dict, repr=False)
    aliases: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What it is called."""
        return f"{self.run}/{self.analyst}/{self.seed}"


def write_models(folder: Path, handed_on: Mapping[str, Mapping[int, Path]]) -> None:
    """Write down in a run's folder which stages hold its fitted analysts.

    Args:
        folder: of the run.
        handed_on: stages by analyst and seed.
    """
    rows = [
        {"analyst": analyst, "seed": seed, "stage": stage.name}
        for analyst, stages in handed_on.items()
        for seed, stage in stages.items()
    ]
    (folder / MODELS).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def log_run(home: Home, folder: Path, progress: Progress = _SILENT) -> bool:
    """Keep a finished run and its analysts with the tracking data, or go on where an upload was cut off.

    The run in the home is whole without it. Where it cannot be kept now, that is said, and the same run later keeps it.

    Args:
        home: whose tracking data and stages.
        folder: of the run.
        progress: hears what could not be kept.

    Returns:
        Whether all of it is there.
    """
    try:
        lacking = _log(tracking(home), home, folder)
    except (AlfredError, OSError) as error:
        progress.say(f"{folder.name} is finished, but not in the model store: {error} Run the study again to store it.")
        return False
    if lacking:
        progress.say(lacking)
    return not lacking


def _log(store: Tracking, home: Home, folder: Path) -> str:
    """Why something is not there; empty where all is."""
    record = load_record(folder)
    family = record.trials.family if record.trials else record.study
    number = store.experiment(RUNS + family, {"alfred.family": family})
    known = store.runs([number], f"tags.`alfred.digest` = '{record.digest}'")
    if any(STORED in run.data.tags for run in known):
        return ""
    with store.asked() as client:
        if known:
            run = known[0]
        else:
            run = client.create_run(number, int(time.time() * 1000), _tags(record, family, folder), folder.name)
        if run.info.lifecycle_stage == "deleted":
            client.restore_run(run.info.run_id)
        _log_metrics(client, run.info.run_id, metrics_of(record))
    if not store.holds_files:
        return (
            f"{folder.name} is in the tracking data at {store.place} without files, as a database holds none; start "
            "`alfred server` on it to keep models for all machines."
        )
    lost = _upload(store, run, home, folder)
    with store.asked() as client:
        client.set_tag(run.info.run_id, STORED, "without models that were gone" if lost else "whole")
        client.set_terminated(run.info.run_id)
    gone = f"{', '.join(lost)} of {folder.name} could not be stored: its stage is gone; delete {folder} and run again."
    return gone if lost else ""


def _upload(store: Tracking, run: "Run", home: Home, folder: Path) -> list[str]:
    """Send the run's files that are not there yet; analysts whose stages are gone."""
    lost = []
    rows = json.loads((folder / MODELS).read_bytes()) if (folder / MODELS).is_file() else []
    with store.asked() as client:
        for name in ("run.json", "study.toml"):
            client.log_artifact(run.info.run_id, str(folder / name))
        for at, row in enumerate(rows):
            tag, stage = f"{MODEL_TAG}{at:03d}", home.stages / row["stage"]
            if tag in run.data.tags:
                continue
            try:
                manifest = manifest_of(stage)
            except DataError:
                lost.append(f"{row['analyst']}, seed {row['seed']}")
                continue
            send_model(client, run.info.run_id, at, stage, manifest)
    return lost


def send_model(client: "MlflowClient", number: str, at: int, stage: Path, manifest: Manifest) -> None:
    """Send a model's files, and list it once they are there.

    Args:
        client: MLflow's.
        number: of its run.
        at: place among the run's models.
        stage, manifest: its folder, as `write_stored` left it.
    """
    about, content = manifest.about, (stage / MANIFEST).read_bytes()
    place = f"models/{at:03d}-{re.sub('[^A-Za-z0-9._-]', '-', about.analyst)}-seed{about.seed}"
    for path in [*(one.path for one in manifest.files), MANIFEST]:
        client.log_artifact(number, str(stage / path), Path(place, path).parent.as_posix())
    listed = {
        "analyst": about.analyst,
        "seed": about.seed,
        "label": about.label,
        "horizon_quarters": about.horizon_quarters,
        "quarters": about.quarters,
        "train_last": about.train_last,
        "size": size_of(manifest),
        "sha256": hashlib.sha256(content).hexdigest(),
        "place": place,
    }
    client.set_tag(number, f"{MODEL_TAG}{at:03d}", json.dumps(listed))


def stored_models(home: Home, family: str = "") -> tuple[StoredModel, ...]:
    """Every model of the store, the latest run's first.

    Args:
        home: whose tracking data.
        family: only models of this family's studies.

    Raises:
        ConfigError, FetchError: as `tracking`.
    """
    if not home.shared_tracking and not home.tracking.exists():
        return ()
    store = tracking(home)
    found = [run for run in runs_of(store, family) if run.info.lifecycle_stage != "deleted"]
    aliases = aliases_of(store)
    # What two machines stored at once is one model.
    models = {model.name: model for run in reversed(found) for model in _models(run, aliases)}
    return tuple(models.values())


def runs_of(store: Tracking, family: str = "") -> "list[Run]":
    """MLflow's runs of a family's or of all studies, oldest first."""
    families: list[Experiment] = [one for one in store.names(RUNS + family) if family in {"", one.name[len(RUNS) :]}]
    return store.runs([one.experiment_id for one in families]) if families else []


def records_elsewhere(home: Home) -> list[Path]:
    """The records of runs that other machines made, fetched from the server once and kept in the home.

    Empty without a server, or where it does not answer; `alfred.experiments.listing` then lists this home's runs.
    """
    if not home.shared_tracking:
        return []
    kept = home.root / "elsewhere"
    try:
        store = tracking(home)
        for run in runs_of(store) if store.holds_files else ():
            name, own = run.data.tags.get("alfred.run", ""), run.info.lifecycle_stage != "deleted"
            if not RUN.fullmatch(name) or not own or run.data.tags.get(STORED, IMPORTED) == IMPORTED:
                continue
            if not (kept / name / "run.json").exists() and not (home.runs / name / "run.json").exists():
                with store.asked() as client, tempfile.TemporaryDirectory(prefix="alfred-run-") as scratch:
                    record = Path(client.download_artifacts(run.info.run_id, "run.json", scratch)).read_bytes()
                write_whole(kept / name / "run.json", record)
    except (FetchError, OSError):
        pass
    own_runs = {path.parent.name for path in home.runs.glob("*/run.json")}
    return [path for path in sorted(kept.glob("*/run.json")) if path.parent.name not in own_runs]


def find_model(home: Home, name: str) -> StoredModel:
    """The model that a name means.

    Args:
        home: whose tracking data.
        name: "run/analyst/seed", without the seed for the first one; the run may be the beginning of its name. Or an
            alias, "champion", with its family where several have it: "demo@champion".

    Raises:
        ConfigError: there is no such model, or several.
    """
    models = stored_models(home)
    if not models:
        raise ConfigError("the model store is empty; `alfred run` or `alfred demo` fills it.")
    found = tuple(_called(models, name))
    chosen = {(one.number, one.tag): one for one in found}
    if len(chosen) == 1:
        return found[0]
    if not found:
        known = {*(one.name for one in models), *(alias for one in models for alias in one.aliases)}
        raise ConfigError(f"there is no model {name!r}; {suggestion(name, sorted(known)[:20])}")
    there = ", ".join(one.name for one in found[:6])
    raise ConfigError(f"{name!r} may be any of {len(found)} models, such as {there}; say which.")


def analyst_from_store(name: str, home: Home) -> StoredAnalyst:
    """Fetch a model and make it ready to forecast: what it learnt is the same to the last bit, on any machine.

    It forecasts on the device that it was trained on if this machine has it, otherwise on the processor.

    Args:
        name: as in `find_model`.
        home: whose tracking data.

    Raises:
        ConfigError: there is no such model, or several.
        DataError: its files are not as they were stored, or of another format; no code in them is run.
        FetchError: the store does not answer.
    """
    return fetch(home, find_model(home, name))


def fetch(home: Home, model: StoredModel) -> StoredAnalyst:
    """`analyst_from_store` of a model that was found."""
    store = tracking(home)
    with tempfile.TemporaryDirectory(prefix="alfred-model-") as scratch:
        folder = Path(scratch, "model")
        content = _download(store, model, MANIFEST, folder).read_bytes()
        for one in parse_manifest(content, model.name, model.sha256).files:
            _download(store, model, one.path, folder)
        return read_stored(folder, model.sha256, model.name)


def _download(store: Tracking, model: StoredModel, path: str, folder: Path) -> Path:
    """One file of a model, put into its place in a folder."""
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    with store.asked() as client, tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        try:
            found = Path(client.download_artifacts(model.number, f"{model.place}/{path}", scratch))
        except OSError as error:
            raise DataError(f"{path} of {model.name} is not in the store ({error.strerror or error}).") from error
        if found.is_relative_to(scratch):
            found.replace(target)
        else:  # files in a folder of this machine are named, not copied
            shutil.copyfile(found, target)
    return target


def _called(models: Sequence[StoredModel], name: str) -> Iterator[StoredModel]:
    """The models that a name may mean; of several seeds the first, where none is said."""
    family, at, alias = name.rpartition("@")
    if at or "/" not in name:
        yield from (one for one in models if alias in one.aliases and family in {"", one.family})
    if at:
        return
    run, _, rest = name.partition("/")
    runs = {one.run for one in models if one.run == run} or {one.run for one in models if one.run.startswith(run)}
    own = [one for one in models if one.run in runs]
    exact = [one for one in own if rest == f"{one.analyst}/{one.seed}"]
    named = [one for one in own if rest == one.analyst]
    first = min((one.seed for one in named), default=0)
    if rest:
        yield from exact or [one for one in named if one.seed == first]
    else:
        yield from own


def _models(run: "Run", aliases: Mapping[str, Sequence[str]]) -> Iterator[StoredModel]:
    tags = run.data.tags
    for tag in sorted(name for name in tags if name.startswith(MODEL_TAG)):
        if tags[tag] == REMOVING:
            continue
        try:
            listed = json.loads(tags[tag])
            if not PLACE.fullmatch(listed["place"]):
                continue
            name, prefix = tags["alfred.run"], f"{listed['analyst']}/"
            metrics = run.data.metrics.items()
            figures = {one.removeprefix(prefix): value for one, value in metrics if one.startswith(prefix)}
            model = StoredModel(
                run=name,
                family=tags["alfred.family"],
                created_at=tags.get("alfred.created_at", ""),
                number=run.info.run_id,
                tag=tag,
                verdict=tags.get("alfred.verdict", ""),
                figures=figures,
                aliases=tuple(aliases.get(f"{name}/{listed['analyst']}/{listed['seed']}", ())),
                **{part: listed[part] for part in _LISTED},
            )
        except (ValueError, KeyError, TypeError):
            continue  # a tag that someone changed by hand lists nothing
        yield model


_LISTED = ("analyst", "seed", "label", "horizon_quarters", "quarters", "train_last", "size", "sha256", "place")


def _tags(record: RunRecord, family: str, folder: Path) -> dict[str, str]:
    told: dict[str, Any] = {
        "versions": record.data.versions,
        "seeds": record.seeds,
        "environment": record.environment,
    }
    texts = {
        "run": folder.name,
        "family": family,
        "study": record.study,
        "digest": record.digest,
        "created_at": record.created_at,
        "version": record.alfred_version,
        "protocol": record.protocol,
        "verdict": record.verdict,
        "panel": record.panel.digest,
        "provider": record.data.provider,
        "data_until": record.data.known_until,
        **{name: json.dumps(value) for name, value in told.items()},
    }
    return {f"alfred.{name}": text[:LONGEST_TAG] for name, text in texts.items()}


def metrics_of(record: RunRecord) -> dict[str, float]:
    """A run's figures under MLflow's names: "ridge/rank_ic", "ridge/rank_ic.lower", "ridge/magnitude-choice.sharpe"."""
    found: dict[str, float | None] = {"seconds": sum(one.seconds for one in record.timings)}
    for card in record.scorecards:
        for figure in card.figures:
            name, interval = f"{card.analyst}/{figure.name}", figure.over_quarters
            found[name] = figure.value
            if interval is not None:
                found |= {f"{name}.lower": interval.lower, f"{name}.upper": interval.upper}
        found[f"{card.analyst}/skilled"] = float(card.skilled)
    for cost in record.efficiency:
        for part in ("parameters", "seconds", "seconds_per_epoch", "samples_per_second", "peak_memory_mb"):
            found[f"{cost.analyst}/{part}"] = getattr(cost, part)
    for portfolio in record.portfolios:
        if portfolio.analyst and portfolio.strategy:
            found[f"{portfolio.analyst}/{portfolio.strategy}.sharpe"] = portfolio.statistics.sharpe
    return {name: float(value) for name, value in found.items() if value is not None and math.isfinite(value)}


def _log_metrics(client: "MlflowClient", number: str, metrics: Mapping[str, float]) -> None:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    rows = [Metric(name, value, now, 0) for name, value in metrics.items()]
    for start in range(0, len(rows), _BATCH):
        client.log_batch(number, rows[start : start + _BATCH])
