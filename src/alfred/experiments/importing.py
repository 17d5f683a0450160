"""Networks that were trained elsewhere become models of the store: taken up on a study's data, once.

Only weights came. A study gives the rest: its last fold's training rows a scaler (unless the author's is there), its
validation rows the confidence. Nothing is judged: the author may have trained on any quarter, those of the test too.
"""

import fnmatch
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from alfred.analysts import Job, adopt
from alfred.core.digest import code_digest, digest_of
from alfred.core.errors import ConfigError, DataError
from alfred.core.home import Home
from alfred.core.version import __version__
from alfred.experiments.mongodb import Described, Found, weights_of
from alfred.experiments.prepared import Prepared, prepare
from alfred.experiments.run import walk_of
from alfred.experiments.store import IMPORTED, RUNS, STORED, send_model
from alfred.experiments.stored import About, manifest_of, write_stored
from alfred.experiments.study import Study, entry_name, quarters_of, target_of
from alfred.experiments.tracking import Tracking, tracking
from alfred.experiments.walkforward import WalkForward
from alfred.panel.catalogue import Scaling
from alfred.panel.preparation import Preparation
from alfred.panel.scaling import Scaler
from alfred.panel.windows import INDICATOR, WindowMaker

FAMILY = "imported"


@dataclass(frozen=True)
class Imported:
    """What became of one file: the name of the model, whether it was there before, or why it was refused."""

    file: str
    model: str = ""
    before: bool = False
    refused: str = ""


def import_models(files: Iterable[Found], source: str, study: Study, home: Home) -> Iterator[Imported]:
    """Take files up one by one; a file that is no network is told, and the others go on.

    Args:
        files: of the store.
        source: where they are from, without secrets.
        study: on whose last fold they are taken up.
        home: whose lake and tracking data.

    Raises:
        AlfredError: the study's data do not allow it, or the store cannot be written.
    """
    store = tracking(home)
    if not store.holds_files:
        raise ConfigError(f"the tracking data at {store.place} hold no files; start `alfred server` on them first.")
    prepared = prepare(study, home)
    onto = _Onto(source, study, prepared, walk_of(study, prepared, home), store)
    for found in files:
        try:
            yield _take_up(found, onto)
        except (ConfigError, DataError) as error:
            yield Imported(found.name, refused=str(error))


@dataclass(frozen=True)
class _Onto:
    """What files are taken up on, and where they go."""

    source: str
    study: Study
    prepared: Prepared
    walk: WalkForward
    store: Tracking


def _take_up(found: Found, onto: _Onto) -> Imported:
    if found.refused:
        raise DataError(found.refused)
    source, study, walk, store = onto.source, onto.study, onto.walk, onto.store
    described = Described.parse(found.metadata, f"metadata of {found.name}")
    spec = described.spec()
    weights = weights_of(found.content, found.name)
    digest = digest_of(
        source, found.number, [digest_of(name, values) for name, values in sorted(weights.items())], walk.panel_digest,
        study.splits.model_dump(mode="json"), walk.training,
    )  # fmt: skip
    run = f"{FAMILY}-{digest[:10]}"
    name = f"{run}/{entry_name(spec)}/{described.seed}"
    number = store.experiment(RUNS + FAMILY, {"alfred.family": FAMILY})
    known = store.runs([number], f"tags.`alfred.digest` = '{digest}'")
    if any(STORED in one.data.tags for one in known):
        return Imported(found.name, name, before=True)

    fold, quarters, target = walk.folds[-1], quarters_of(spec), target_of(spec)
    maker = replace(_maker(described, walk), quarters=quarters)
    train = maker.windows(fold.train, walk.training, target, labelled=True)
    valid = maker.windows(fold.valid, walk.training, target, labelled=True)
    fitted = adopt(spec, study.train, Job(train, valid, described.seed), weights)
    dates = walk.panel.dates
    about = About(
        analyst=entry_name(spec),
        seed=described.seed,
        label=target,
        horizon_quarters=walk.panel.labels.horizon_quarters,
        quarters=quarters,
        train_first=str(dates[fold.train[0]]),
        train_last=str(dates[fold.train[-1]]),
        valid_last=str(dates[fold.valid[-1]]),
        training=walk.training,
        evaluation=walk.evaluation,
        protocol=FAMILY,
        data=study.data.model_dump(mode="json"),
        panel=study.panel.model_dump(mode="json"),
        levels_usable=onto.prepared.inputs.market.levels_usable,
        data_digest=onto.prepared.inputs.digest,
        panel_digest=walk.panel_digest,
        code_digest=code_digest(),
        alfred_version=__version__,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    tags = {
        "alfred.run": run,
        "alfred.family": FAMILY,
        "alfred.digest": digest,
        "alfred.created_at": about.created_at,
        "alfred.source": source,
        "alfred.file": found.name,
        "alfred.token": described.token,
        "alfred.verdict": "Imported weights; nothing tells which quarters they were trained on.",
    }
    with tempfile.TemporaryDirectory(prefix="alfred-import-") as scratch, store.asked() as client:
        folder = Path(scratch, "model")
        write_stored(folder, about, fitted, Preparation.of(maker))
        one = known[0] if known else client.create_run(number, int(time.time() * 1000), tags, run)
        send_model(client, one.info.run_id, 0, folder, manifest_of(folder))
        client.set_tag(one.info.run_id, STORED, IMPORTED)
        client.set_terminated(one.info.run_id)
    return Imported(found.name, name)


def _maker(described: Described, walk: WalkForward) -> WindowMaker:
    """Makes windows of exactly the file's columns in its order.

    Raises:
        DataError: the study's panel lacks some of them, or its training rows hold no value of one.
    """
    features = tuple(name for name in described.columns if not name.startswith(INDICATOR))
    flags = tuple(name.removeprefix(INDICATOR) for name in described.columns if name.startswith(INDICATOR))
    if described.columns != (*features, *(f"{INDICATOR}{name}" for name in flags)) or not set(flags) <= set(features):
        raise DataError("its columns must be features, then indicators of some of them.")
    if len(set(described.columns)) != len(described.columns):
        raise DataError("it names a column twice.")
    place = {name: at for at, name in enumerate(walk.panel.features)}
    absent = [name for name in features if name not in place]
    if absent:
        raise DataError(
            f"the study's panel has no column {', '.join(absent)}; choose data and columns that it learnt from."
        )
    panel = replace(walk.panel, features=features, values=walk.panel.values[:, :, [place[name] for name in features]])
    settings = walk.panel_settings.model_copy(update={"scaling": _rules(walk, features)})
    maker = WindowMaker.fit(panel, walk.folds[-1].train, walk.training, settings)
    if not maker.used.all():
        empty = [name for name, used in zip(features, maker.used, strict=True) if not used]
        raise DataError(f"the study's training rows hold no value of {', '.join(empty)}.")
    scaler = _authors(described, maker.scaler) if described.scaler else maker.scaler
    groups = tuple(np.array([features.index(name)]) for name in flags)
    return replace(maker, scaler=scaler, indicators=groups)


def _rules(walk: WalkForward, features: tuple[str, ...]) -> dict[str, Scaling]:
    """The study's own rules, as far as they name one of the columns."""
    return {pattern: rule for pattern, rule in walk.panel_settings.scaling.items() if fnmatch.filter(features, pattern)}


def _authors(described: Described, fitted: Scaler) -> Scaler:
    """The scaler that the weights learnt under."""
    lacking = sorted(set(fitted.columns) - set(described.scaler))
    if lacking:
        raise DataError(f"its scaler says nothing of {', '.join(lacking)}.")
    center, spread = np.array([described.scaler[name] for name in fitted.columns], np.float64).T
    if not (np.isfinite(center).all() and np.isfinite(spread).all() and (spread > 0).all()):
        raise DataError("its scaler holds a spread that is not above 0, or a value that is no number.")
    count = len(fitted.columns)
    rules: tuple[Scaling, ...] = tuple("standard" for _ in range(count))
    return Scaler(fitted.columns, rules, center, spread, np.full(count, np.nan), (None,) * count, fitted.clip)
