"""Weights from a server that speaks MongoDB's protocol: brought in once, refused where they are no weights."""

import io
import pickle
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gridfs
import mongo_server
import numpy as np
import pytest
import torch
from pymongo import MongoClient
from stored_run import STUDY
from typer.testing import CliRunner

from alfred.analysts import AnalystSpec, Job, adopt, fit_many
from alfred.cli.main import app
from alfred.core.errors import ConfigError, DataError, FetchError
from alfred.core.home import Home
from alfred.experiments import importing, mongodb
from alfred.experiments.importing import import_models
from alfred.experiments.mongodb import Described, Found, has_password, place_of, read_gridfs, weights_of
from alfred.experiments.next_quarter import panel_for
from alfred.experiments.prepared import prepare
from alfred.experiments.run import walk_of
from alfred.experiments.store import analyst_from_store, records_elsewhere, stored_models
from alfred.experiments.study import Study
from alfred.panel.windows import WindowMaker

SPEC = {"model": "vanilla.small.tanh", "size": 8, "layers": 2, "quarters": 2, "label": "PM"}
COLUMNS = ["price_change_term_30", "momentum_12_1", "missing:momentum_12_1"]


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def saved(state: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


@pytest.fixture
def server() -> Iterator[mongo_server.Store]:
    with mongo_server.running() as store:
        yield store


def upload(server: mongo_server.Store, name: str, content: bytes, metadata: dict[str, Any], chunk: int = 1024) -> None:
    """As any driver does."""
    with MongoClient(f"mongodb://127.0.0.1:{server.port}/") as client:
        bucket = gridfs.GridFSBucket(client["alfred"], chunk_size_bytes=chunk)
        bucket.upload_from_stream(name, content, metadata=metadata)


def test_files_of_many_chunks_come_as_they_were_kept(server: mongo_server.Store) -> None:
    contents = {f"file-{at}": np.random.default_rng(at).bytes(7000 + at) for at in range(5)}
    for name, content in contents.items():
        upload(server, name, content, {"model": name})
    found = list(read_gridfs(f"mongodb://127.0.0.1:{server.port}/alfred"))
    assert {one.name: one.content for one in found} == contents
    assert [one.metadata for one in found] == [{"model": name} for name in contents]
    assert "getMore" in server.asked
    assert list(read_gridfs(f"mongodb://127.0.0.1:{server.port}/other")) == []


def test_what_is_wrong_with_an_address_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongodb, "PATIENCE_MS", 200)
    with pytest.raises(FetchError, match=r"mongodb://127.0.0.1:9/alfred cannot be read \(ServerSelection") as caught:
        list(read_gridfs("mongodb://me:hunter2@127.0.0.1:9/alfred"))
    assert "hunter2" not in str(caught.value)
    for wrong in ("mongodb://host", "http://host/x", "mongodb://[x/y", "mongodb://host/a/b"):
        with pytest.raises(ConfigError, match="give the store as mongodb://host/database"):
            place_of(wrong)
    assert place_of("mongodb+srv://me:x@host/db?a=b") == ("mongodb+srv://host/db", "db")
    assert has_password("mongodb://me:x@host/db")
    assert has_password("mongodb://host/db?authSource=admin")
    assert not has_password("mongodb://host:27017/db")


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gridfs", None)
    with pytest.raises(ConfigError, match=r"need the extra: pip install 'alfred\[mongodb\]'"):
        list(read_gridfs("mongodb://127.0.0.1:9/alfred"))


def test_only_weights_are_read_and_nothing_is_run(tmp_path: Path) -> None:
    trap = tmp_path / "trapped"
    for content in (pickle.dumps(Evil(trap)), saved({"a": Evil(trap)}), saved(torch.nn.Linear(2, 2))):
        with pytest.raises(DataError, match="f is refused: it holds something else than weights, which was not run"):
            weights_of(content, "f")
    assert not trap.exists()
    for content in (b"", b"junk", b"PK\x03\x04junk"):
        with pytest.raises(DataError, match=r"f (holds no state dictionary that torch can read|is refused)"):
            weights_of(content, "f")
    cases = {"but list": [1], "but dict": {}, "'a', which is no tensor": {"a": 1}, "'b', which": {"b": torch.arange(3)},
             "'1', which is no": {1: torch.ones(1)}}  # fmt: skip
    for says, state in cases.items():
        with pytest.raises(DataError, match=says):
            weights_of(saved(state), "f")
    found = weights_of(saved({"a": torch.tensor([1.5], dtype=torch.bfloat16)}), "f")
    assert found["a"].dtype == np.float32
    assert found["a"].tolist() == [1.5]


def repacked(content: bytes) -> bytes:
    """The same archive, compressed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as plain, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for part in plain.namelist():
            packed.writestr(part, plain.read(part))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (saved({"a": torch.ones(1).expand(10**6, 10**6)}), "'a', whose numbers are not all in the file"),
        (saved({"a": torch.empty(10**6, 10**6, device="meta")}), "'a', whose numbers are not all in the file"),
        (saved({"a": torch.eye(3).to_sparse()}), "'a', whose numbers are not all in the file"),
        (repacked(saved({"a": torch.zeros(10**6)})), "it is compressed, which weights saved by torch are not"),
    ],
    ids=["repeated", "nowhere", "sparse", "compressed"],
)
def test_weights_that_unpack_to_more_than_the_file_are_refused(content: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        weights_of(content, "bomb")


def test_files_that_are_none_of_gridfs_are_refused_one_by_one(server: mongo_server.Store) -> None:
    upload(server, "good", b"x" * 3_000, {"model": "ridge"})
    files, whole = server.collections["alfred.fs.files"], dict(server.collections["alfred.fs.files"][0])
    files += [
        {**whole, "_id": 1, "filename": "huge", "length": 2**62},
        {**whole, "_id": 2, "filename": "no number", "length": "many"},
        {**whole, "_id": 3, "filename": "no description", "metadata": [1, 2]},
        {**whole, "_id": 4, "filename": "parts are gone", "length": 5_000},
    ]
    found = {one.name: one for one in read_gridfs(f"mongodb://127.0.0.1:{server.port}/alfred")}
    assert found["good"].content == b"x" * 3_000
    assert not found["good"].refused
    assert "huge holds 4,611,686,018,427,387,904 bytes, more than" in found["huge"].refused
    for name in ("no number", "no description", "parts are gone"):
        assert f"{name} is no whole file of GridFS" in found[name].refused
        assert not found[name].content


def test_metadata_name_a_network(tmp_path: Path) -> None:
    described = Described.parse({**SPEC, "columns": COLUMNS, "token": "t"}, "x")
    assert described.spec() == AnalystSpec(name="vanilla.small.tanh", size=8, layers=2, quarters=2, label="PM")
    with pytest.raises(ConfigError, match="ridge is no network, and has no weights of its own"):
        Described.parse({"model": "ridge", "columns": COLUMNS}, "x").spec()
    with pytest.raises(ConfigError, match=r"there is no analyst 'vanila.small'; did you mean 'vanilla.small'"):
        Described.parse({"model": "vanila.small", "columns": COLUMNS}, "x").spec()
    with pytest.raises(ConfigError, match="x: setting 'columns' is required but absent"):
        Described.parse(SPEC, "x")


@pytest.fixture(scope="module")
def study() -> Study:
    return STUDY.model_copy(update={"analysts": STUDY.analysts[:1], "name": "onto"})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, study: Study) -> Home:
    place = Home(tmp_path_factory.mktemp("imports"))
    prepare(study, place)
    return place


def a_network(seed: int = 0, columns: int = 3) -> dict[str, torch.Tensor]:
    """The weights of a network of SPEC, drawn anew."""
    spec = Described.parse({**SPEC, "columns": COLUMNS}, "x").spec()
    torch.manual_seed(seed)
    return {name: torch.randn(shape) * 0.3 for name, shape in network_state(spec, columns).items()}


def network_state(spec: AnalystSpec, columns: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a network's state, from the network itself."""
    from alfred.analysts._network import NetworkAnalyst, empty_network
    from alfred.analysts._registry import make_analyst
    from alfred.training.settings import TrainSettings

    analyst = make_analyst(spec, TrainSettings(), 0)
    assert isinstance(analyst, NetworkAnalyst)
    state = empty_network(analyst.build, columns, spec.quarters or 1).state_dict()
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def test_weights_become_a_model_once_and_forecast_with_the_authors_scaler(
    server: mongo_server.Store, home: Home, study: Study, tmp_path: Path
) -> None:
    state = a_network()
    scaler = {name: [0.01, 0.2] for name in COLUMNS[:2]}
    trap = tmp_path / "trapped"
    upload(server, "good", saved(state), {**SPEC, "columns": COLUMNS, "seed": 7, "token": "notes"})
    upload(server, "scaled", saved(state), {**SPEC, "columns": COLUMNS, "scaler": scaler})
    upload(server, "bomb", pickle.dumps(Evil(trap)), {**SPEC, "columns": COLUMNS})
    upload(server, "narrow", saved(a_network(columns=2)), {**SPEC, "columns": COLUMNS})
    upload(server, "unknown", saved(state), {**SPEC, "columns": ["column51", *COLUMNS[1:]]})
    upload(server, "short", saved(state), {**SPEC, "columns": COLUMNS, "scaler": {"momentum_12_1": [0, 1]}})
    upload(server, "flat", saved(state), {**SPEC, "columns": COLUMNS, "scaler": {n: [0, 0] for n in COLUMNS[:2]}})
    upload(server, "twice", saved(state), {**SPEC, "columns": [COLUMNS[1]] * 2 + COLUMNS[2:]})
    upload(server, "flags", saved(state), {**SPEC, "columns": COLUMNS[::-1]})
    broken = {name: torch.full_like(value, torch.nan) for name, value in state.items()}
    upload(server, "broken", saved(broken), {**SPEC, "columns": COLUMNS})
    upload(server, "bare", saved(state), {})
    uri = f"mongodb://127.0.0.1:{server.port}/alfred"
    found = {one.file: one for one in import_models(read_gridfs(uri), place_of(uri)[0], study, home)}

    says = {
        "bomb": "holds something else than weights, which was not run",
        "narrow": r"are not the weights of vanilla.small.tanh on 3 columns of 2 quarter\(s\)",
        "unknown": "the study's panel has no column column51",
        "short": "its scaler says nothing of price_change_term_30",
        "flat": "a spread that is not above 0",
        "twice": "names a column twice",
        "flags": "must be features, then indicators",
        "broken": "are not finite numbers",
        "bare": "setting 'model' is required",
    }
    for name, text in says.items():
        assert re.search(text, found[name].refused), (name, found[name].refused)
    assert not trap.exists()
    good, scaled = found["good"], found["scaled"]
    assert good.model.startswith("imported-")
    assert good.model.endswith("/7")
    assert {one.name for one in stored_models(home)} == {good.model, scaled.model}
    assert records_elsewhere(home) == []

    # Again, nothing is brought in twice.
    again = {one.file: one for one in import_models(read_gridfs(uri), place_of(uri)[0], study, home)}
    assert (again["good"].model, again["good"].before) == (good.model, True)
    assert len(stored_models(home)) == 2

    restored = analyst_from_store(good.model, home)
    about = restored.about
    assert (about.protocol, about.quarters, about.label) == ("imported", 2, "PM")
    panel = panel_for(restored, home)
    rows = restored.forecast(panel, symbols=about.evaluation)
    assert rows["mean"].is_finite().all()

    # By hand: the author's scaler, the same network in torch.
    by_author = analyst_from_store(scaled.model, home)
    one = by_author.forecast(panel, symbols=about.evaluation[:1])
    at, name = len(panel.dates) - 1, panel.symbols.index(about.evaluation[0])
    inputs = []
    for date in (at - 1, at):
        raw = [panel.values[date, name, panel.features.index(column)] for column in COLUMNS[:2]]
        cells = [0.0 if np.isnan(value) else np.clip((value - 0.01) / 0.2, -5, 5) for value in raw]
        inputs += [*cells, float(np.isnan(raw[1]))]
    expected = torch.tanh(run_by_hand(state, torch.tensor(inputs, dtype=torch.float32)))
    assert one["mean"][0] == pytest.approx(float(expected), abs=1e-5)


def run_by_hand(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    names = [name.removesuffix(".weight") for name in state if name.endswith(".weight") and state[name].ndim == 2]
    for at, name in enumerate(names):
        x = state[f"{name}.weight"] @ x + state[f"{name}.bias"]
        if at < len(names) - 1:
            x = torch.relu((x - x.mean()) / torch.sqrt(x.var(unbiased=False) + 1e-5))
    return x[0]


def test_a_bare_database_takes_no_files(study: Study, tmp_path: Path, home: Home) -> None:
    import shutil

    shutil.copy(home.tracking / "mlflow.db", tmp_path / "bare.db")
    bare = Home(tmp_path / "home", shared_tracking=f"sqlite:///{tmp_path}/bare.db")
    with pytest.raises(ConfigError, match="hold no files; start `alfred server` on them first"):
        list(import_models([], "mongodb://x/y", study, bare))


def test_a_column_without_a_value_in_training_is_refused(home: Home, study: Study) -> None:
    import dataclasses

    walk = walk_of(study, prepare(study, home), home)
    values = walk.panel.values.copy()
    values[:, :, walk.panel.features.index("momentum_12_1")] = np.nan
    empty = dataclasses.replace(walk, panel=dataclasses.replace(walk.panel, values=values))
    with pytest.raises(DataError, match="training rows hold no value of momentum_12_1"):
        importing._maker(Described.parse({**SPEC, "columns": COLUMNS}, "x"), empty)


def test_only_a_network_takes_up_weights_and_its_own_ones_are_the_same_again(home: Home, study: Study) -> None:
    walk = walk_of(study, prepare(study, home), home)
    fold = walk.folds[-1]
    maker = WindowMaker.fit(walk.panel, fold.train, walk.training, walk.panel_settings, 2)
    train, valid = (maker.windows(part, walk.training, "PM", labelled=True) for part in (fold.train, fold.valid))
    spec = AnalystSpec(name="vanilla.small.tanh", size=8, layers=2, quarters=2)
    (fitted,) = fit_many(spec, study.train, [Job(train, valid, 0)])
    weights = {name: tensor.numpy() for name, tensor in fitted.network.state_dict().items()}  # type: ignore[attr-defined]
    again = adopt(spec, study.train, Job(train, valid, 0), weights)
    rows = maker.windows(fold.test, walk.evaluation, "PM", labelled=False)
    for part in ("mean", "lower", "upper", "prob_up"):
        assert np.array_equal(getattr(again.predict(rows), part), getattr(fitted.predict(rows), part)), part
    assert again.record.stopped == "taken up"
    with pytest.raises(ConfigError, match="ridge is no network, and takes up no weights"):
        adopt(AnalystSpec(name="ridge"), study.train, Job(train, valid, 0), weights)


def test_the_command_imports_and_tells(
    server: mongo_server.Store, home: Home, study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "study.toml"
    path.write_text(study.toml())
    upload(server, "good", saved(a_network(3)), {**SPEC, "columns": COLUMNS})
    upload(server, "junk", b"junk", {**SPEC, "columns": COLUMNS})
    monkeypatch.setenv("ALFRED_HOME", str(home.root))
    address = f"mongodb://127.0.0.1:{server.port}/alfred"
    said = CliRunner().invoke(app, ["models", "import", address, "--study", str(path)])
    assert said.exit_code == 1, said.output
    assert "good: imported-" in said.output
    assert "1 imported, 0 there before, 1 refused." in said.output
    again = CliRunner().invoke(app, ["models", "import", address, "--study", str(path)])
    assert "0 imported, 1 there before, 1 refused." in again.output
    secret = CliRunner().invoke(app, ["models", "import", "mongodb://me:hunter2@h/x", "--study", str(path)])
    assert secret.exit_code == 2
    assert "put the whole address into the variable ALFRED_MONGODB_URI" in secret.output
    assert "hunter2" not in secret.output
    monkeypatch.setenv("ALFRED_MONGODB_URI", address)
    twice = CliRunner().invoke(app, ["models", "import", address, "--study", str(path)])
    assert "name the store once" in twice.output
    assert isinstance(next(iter(read_gridfs(address))), Found)
