"""The model store: every finished run's last fits, restored to the last bit, refused where they were changed."""

import hashlib
import json
import pickle
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load as parse_tensors
from safetensors.numpy import save as tensor_bytes
from stored_run import NAMES, NETWORK, RIDGE, Heard, Ran, beside, empty_database, stored

from alfred.core.errors import ConfigError, DataError, FetchError
from alfred.core.home import Home
from alfred.experiments import store
from alfred.experiments.promotion import promote, remove, superfluous, withdraw
from alfred.experiments.record import load_record
from alfred.experiments.store import analyst_from_store, find_model, log_run, stored_models
from alfred.experiments.stored import MANIFEST, Manifest, StoredAnalyst, read_stored
from alfred.experiments.tracking import tracking
from alfred.panel.settings import PanelSettings
from room import no_room

FAMILY = "kept"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return stored(Home(tmp_path_factory.mktemp("kept")))


def artifacts(kept: Ran, name: str) -> Path:
    """Where the files of a model lie on this machine."""
    model = find_model(kept.home, name)
    return next(kept.home.tracking.glob(f"artifacts/*/{model.number}/artifacts/{model.place}"))


def test_every_analyst_of_the_run_is_there_with_its_figures(kept: Ran) -> None:
    models = stored_models(kept.home)
    record = load_record(kept.folder)
    assert {one.name for one in models} == {
        f"{kept.name}/{analyst}/{seed}" for analyst, seeds in ((RIDGE, (0,)), (NETWORK, (0, 1))) for seed in seeds
    }
    assert {(one.family, one.label, one.horizon_quarters) for one in models} == {(FAMILY, "PM", 1)}
    assert {one.analyst: one.quarters for one in models} == {RIDGE: 1, NETWORK: 2}
    for one in models:
        card = next(card for card in record.scorecards if card.analyst == one.analyst)
        ic = card.figure("rank_ic")
        assert ic.over_quarters is not None
        assert one.figures["rank_ic"] == ic.value
        assert (one.figures["rank_ic.lower"], one.figures["rank_ic.upper"]) == (
            ic.over_quarters.lower, ic.over_quarters.upper,
        )  # fmt: skip
        assert one.verdict == record.verdict
        assert (
            one.size
            == sum(path.stat().st_size for path in artifacts(kept, one.name).rglob("*") if path.is_file())
            - (artifacts(kept, one.name) / MANIFEST).stat().st_size
        )


def test_the_run_tells_what_it_was_made_from(kept: Ran) -> None:
    record = load_record(kept.folder)
    (run,) = store.runs_of(tracking(kept.home), FAMILY)
    tags, metrics = run.data.tags, run.data.metrics
    assert (tags["alfred.digest"], tags["alfred.study"], run.info.run_name) == (record.digest, "kept", kept.name)
    assert json.loads(tags["alfred.versions"]) == record.data.versions
    assert json.loads(tags["alfred.seeds"]) == list(record.seeds)
    assert json.loads(tags["alfred.environment"]) == record.environment
    assert (tags[store.STORED], run.info.status) == ("whole", "FINISHED")
    assert metrics["vanilla.small.tanh/seconds_per_epoch"] > 0
    with tracking(kept.home).asked() as client:
        names = {one.path for one in client.list_artifacts(run.info.run_id)}
        assert names == {"run.json", "study.toml", "models"}


@pytest.mark.parametrize(("analyst", "seed"), [(RIDGE, 0), (NETWORK, 0), (NETWORK, 1)])
def test_a_restored_model_forecasts_as_the_run_did_to_the_last_bit(kept: Ran, analyst: str, seed: int) -> None:
    restored = analyst_from_store(f"{kept.name}/{analyst}/{seed}", kept.home)
    assert restored.preparation.lacking(kept.panel) == ()
    own = kept.forecasts.filter(pl.col("analyst") == analyst, pl.col("seed") == seed)
    for date in sorted(own["as_of"].unique()):
        found = restored.forecast(kept.panel, str(date), restored.about.evaluation)
        expected = own.filter(pl.col("as_of") == date)
        assert found["symbol"].to_list() == expected["symbol"].to_list()
        assert found["mean"].to_list() == expected["mean"].to_list()
        assert (found["lower"] <= found["mean"]).all()
        assert found["prob_up"].is_between(0, 1).all()


def test_the_next_quarter_is_forecast_by_default(kept: Ran) -> None:
    restored = analyst_from_store(f"{kept.name}/{RIDGE}", kept.home)
    found = restored.forecast(kept.panel)
    assert found["as_of"].unique().to_list() == [kept.panel.dates[-1].astype(object)]
    assert found["symbol"].to_list() == list(NAMES)
    assert found["horizon_quarters"].unique().to_list() == [1]
    with pytest.raises(ConfigError, match=r"2019-01-01 is no decision date of the panel; the last ones are 2019-03-"):
        restored.forecast(kept.panel, "2019-01-01")


def test_a_name_may_be_short_where_it_is_clear(kept: Ran) -> None:
    assert find_model(kept.home, f"kept/{NETWORK}").seed == 0
    assert find_model(kept.home, f"{kept.name[:8]}/{NETWORK}/1").seed == 1
    with pytest.raises(ConfigError, match=r"may be any of 3 models, such as"):
        find_model(kept.home, kept.name)
    with pytest.raises(ConfigError, match=r"there is no model 'kept/rigde'; (did you mean|known are)"):
        find_model(kept.home, "kept/rigde")
    with pytest.raises(ConfigError, match="the model store is empty"):
        find_model(Home(kept.home.root / "nowhere"), "champion")
    assert not (kept.home.root / "nowhere").exists()


def test_a_run_that_was_stored_is_not_stored_again(kept: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = watch_uploads(monkeypatch)
    assert log_run(kept.home, kept.folder)
    assert sent == []


def test_an_upload_that_was_cut_off_goes_on(kept: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = beside(kept, tmp_path / "other")
    heard = Heard()
    with monkeypatch.context() as patch:
        sent = watch_uploads(patch, fails_after=9)
        assert not log_run(other, kept.folder, heard)
    (said,) = heard.said
    assert said.startswith(f"{kept.name} is finished, but not in the model store: the tracking data at")
    assert said.endswith("cannot be read or written: the line went dead. Run the study again to store it.")
    there = {one.name for one in stored_models(other)}
    assert len(there) == 1
    first = set(sent)
    sent = watch_uploads(monkeypatch)
    assert log_run(other, kept.folder)
    assert len(stored_models(other)) == 3
    again = {path for path in first & set(sent) if path.startswith("models")}
    assert len({path.split("/")[1] for path in again}) <= 1, "only the model that was cut off is sent again"
    assert len(store.runs_of(tracking(other))) == 1


def test_a_full_disk_is_told_and_the_run_is_whole(kept: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other, heard = beside(kept, tmp_path / "other"), Heard()
    watch_uploads(monkeypatch, fails_after=3, error=OSError(28, "No space left on device"))
    assert not log_run(other, kept.folder, heard)
    assert "No space left on device" in heard.said[0]
    assert stored_models(other) == ()


def test_a_file_that_finds_no_room_lists_no_model_and_is_sent_again(
    kept: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system cuts a file off while it is written into the store; no part of it stays."""
    from mlflow import MlflowClient

    other, heard, real = beside(kept, tmp_path / "other"), Heard(), MlflowClient.log_artifact
    stage = next(one["stage"] for one in json.loads((kept.folder / store.MODELS).read_text()) if one["seed"] == 1)
    weights = other.stages / stage / "analyst" / "weights.safetensors"

    def log_artifact(self: MlflowClient, run: str, path: str, within: str | None = None) -> None:
        with no_room(weights.stat().st_size - 1) if Path(path) == weights else nullcontext():
            real(self, run, path, within)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_artifact", log_artifact)
        assert not log_run(other, kept.folder, heard)
    (said,) = heard.said
    assert said.startswith(f"{kept.name} is finished, but not in the model store: [Errno 27] File too large")
    assert said.endswith("Run the study again to store it.")
    files = [path for path in (other.tracking / "artifacts").rglob("*") if path.is_file()]
    assert not [path for path in files if path.parent.parent.name.endswith("-seed1") and path.name == weights.name]
    assert not [path for path in files if path.suffix not in {".json", ".toml", ".safetensors"}]
    assert [one.seed for one in stored_models(other)] == [0, 0]
    assert log_run(other, kept.folder)
    assert len(stored_models(other)) == 3
    assert all(analyst_from_store(one.name, other).forecast(kept.panel).height for one in stored_models(other))


def test_a_model_whose_stage_is_gone_is_named(kept: Ran, tmp_path: Path) -> None:
    other, heard = beside(kept, tmp_path / "other"), Heard()
    stage = next(one["stage"] for one in json.loads((kept.folder / store.MODELS).read_text()) if one["seed"] == 1)
    shutil.rmtree(other.stages / stage)
    assert not log_run(other, kept.folder, heard)
    assert f"seed 1 of {kept.name} could not be stored: its stage is gone" in heard.said[0]
    assert len(stored_models(other)) == 2


def test_a_run_without_models_is_stored_too(kept: Ran, tmp_path: Path) -> None:
    other = beside(kept, tmp_path / "other")
    copy = other.runs / kept.name
    shutil.copytree(kept.folder, copy)
    (copy / store.MODELS).unlink()
    assert log_run(other, copy)
    assert stored_models(other) == ()


def test_a_bare_database_is_told_to_hold_no_files(kept: Ran, tmp_path: Path) -> None:
    shutil.copy(empty_database(kept.home), tmp_path / "bare.db")
    home = Home(tmp_path / "home", shared_tracking=f"sqlite:///{tmp_path}/bare.db")
    heard = Heard()
    assert not log_run(home, kept.folder, heard)
    assert "without files, as a database holds none; start `alfred server` on it" in heard.said[0]
    (run,) = store.runs_of(tracking(home))
    assert run.data.metrics[f"{RIDGE}/mae"] > 0


def test_aliases_point_to_one_model_of_a_family(kept: Ran, tmp_path: Path) -> None:
    other = beside(kept, tmp_path / "other")
    assert log_run(other, kept.folder)
    ridge, network = find_model(other, f"kept/{RIDGE}"), find_model(other, f"kept/{NETWORK}")
    assert promote(other, ridge) == ""
    assert find_model(other, "champion").name == ridge.name
    assert promote(other, ridge) == ""
    assert promote(other, network) == ridge.name
    assert promote(other, ridge, "challenger") == ""
    assert find_model(other, f"{FAMILY}@champion").name == network.name
    assert find_model(other, "challenger").aliases == ("challenger",)
    assert analyst_from_store("champion", other).about.analyst == NETWORK
    for wrong in ("Champion", "v1", "latest", "a b", ""):
        with pytest.raises(ConfigError, match="an alias is a word of small letters"):
            promote(other, ridge, wrong)
    withdraw(other, FAMILY, "challenger")
    with pytest.raises(ConfigError, match=f"no model of the family '{FAMILY}' is called challenger"):
        withdraw(other, FAMILY, "challenger")
    with tracking(other).asked() as client:
        versions = client.search_model_versions(f"name = 'alfred.{FAMILY}'")
    assert sorted(int(one.version) for one in versions) == [1, 2]

    models = stored_models(other)
    assert superfluous(models, 1) == ()
    idle = superfluous(models, 0)
    assert {one.name for one in models} - {one.name for one in idle} == {network.name}
    with pytest.raises(ConfigError, match=rf"{network.name} is called champion; withdraw the alias"):
        remove(other, [network])
    place = artifacts(kept.at(other), ridge.name)
    assert place.is_dir()
    remove(other, idle)
    assert not place.exists()
    assert [one.name for one in stored_models(other)] == [network.name]
    assert log_run(other, kept.folder), "what was removed is not sent again"
    assert [one.name for one in stored_models(other)] == [network.name]
    assert analyst_from_store("champion", other).about.analyst == NETWORK


def test_a_removal_that_was_cut_off_goes_on(kept: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

    other = beside(kept, tmp_path / "other")
    log_run(other, kept.folder)
    ridge = find_model(other, f"kept/{RIDGE}")
    place = artifacts(kept.at(other), ridge.name)
    with monkeypatch.context() as patch:
        patch.setattr(LocalArtifactRepository, "delete_artifacts", _cut_off)
        with pytest.raises(OSError, match="cut off"):
            remove(other, [ridge])
    assert place.exists()
    assert ridge.name not in {one.name for one in stored_models(other)}
    remove(other, [])
    assert not place.exists()


class Evil:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def copied(kept: Ran, tmp_path: Path, name: str) -> Path:
    folder = tmp_path / "model"
    shutil.copytree(artifacts(kept, name), folder)
    return folder


def seal(folder: Path, **about: Any) -> str:
    """Write the manifest anew, so that it fits the files; its digest."""
    form = json.loads((folder / MANIFEST).read_text())
    form["about"] |= about
    form["files"] = [
        {"path": path.relative_to(folder).as_posix(), "size": len(path.read_bytes()),
         "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MANIFEST
    ]  # fmt: skip
    (folder / MANIFEST).write_text(json.dumps(form))
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def replace_weights(folder: Path, content: bytes) -> None:
    """Put other weights in, with the digest that the analyst's own description names."""
    (folder / "analyst" / "weights.safetensors").write_bytes(content)
    path = folder / "analyst" / "analyst.json"
    form = json.loads(path.read_text())
    form["weights_sha256"] = hashlib.sha256(content).hexdigest()
    path.write_text(json.dumps(form))


def test_a_pickle_in_disguise_is_refused_and_not_run(kept: Ran, tmp_path: Path) -> None:
    trap, weights = tmp_path / "trapped", "analyst/weights.safetensors"
    bomb = pickle.dumps(Evil(trap))
    pickle.loads(bomb)
    assert trap.exists(), "the pickle does what it should not"
    trap.unlink()
    folder = copied(kept, tmp_path, f"kept/{NETWORK}")
    (folder / weights).write_bytes(bomb)
    with pytest.raises(DataError, match=f"{weights} of .* is not as it was stored: its SHA-256 differs. Nothing was"):
        read_stored(folder)
    replace_weights(folder, bomb)
    with pytest.raises(DataError, match=r"weights.safetensors is no safetensors file"):
        read_stored(folder, seal(folder))
    (folder / "preparation.json").write_bytes(bomb)
    with pytest.raises(DataError, match="holds no readable preparation"):
        read_stored(folder, seal(folder))
    shutil.copy(artifacts(kept, f"kept/{NETWORK}") / "preparation.json", folder)
    (folder / "analyst" / "model.pkl").write_bytes(bomb)
    with pytest.raises(DataError, match=r"holds analyst/model.pkl, which its manifest does not name"):
        read_stored(folder)
    with pytest.raises(DataError, match=r"names 'analyst/model.pkl'; a model holds JSON and safetensors only"):
        read_stored(folder, seal(folder))
    assert not trap.exists()


def test_wrong_shapes_are_refused(kept: Ran, tmp_path: Path) -> None:
    folder = copied(kept, tmp_path, f"kept/{NETWORK}")
    tensors = parse_tensors((folder / "analyst" / "weights.safetensors").read_bytes())
    name = next(name for name in tensors if tensors[name].ndim == 2)
    replace_weights(folder, tensor_bytes({**tensors, name: np.zeros((3, 3), np.float32)}))
    with pytest.raises(DataError, match=rf"does not hold the weights of vanilla.small.tanh; {name} differs"):
        read_stored(folder, seal(folder))
    replace_weights(folder, tensor_bytes({**tensors, name: np.full_like(tensors[name], np.nan)}))
    with pytest.raises(DataError, match=rf"holds {name} with values that are not finite"):
        read_stored(folder, seal(folder))


def test_what_was_changed_in_the_store_is_refused(kept: Ran, tmp_path: Path) -> None:
    other = beside(kept, tmp_path / "other")
    log_run(other, kept.folder)
    name = f"{kept.name}/{RIDGE}/0"
    place = artifacts(kept.at(other), name)
    analyst_from_store(name, other)
    seal(place, seed=5)
    with pytest.raises(DataError, match=f"the manifest of {name} is not the one that was stored: its SHA-256 differs"):
        analyst_from_store(name, other)
    shutil.copy(artifacts(kept, name) / MANIFEST, place)
    analyst_from_store(name, other)
    weights = place / "analyst" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8] + bytes(8))
    with pytest.raises(DataError, match=rf"analyst/weights.safetensors of {name} is not as it was stored"):
        analyst_from_store(name, other)
    weights.unlink()
    with pytest.raises((DataError, FetchError), match=r"weights.safetensors"):
        analyst_from_store(name, other)


def test_a_manifest_of_another_kind_is_refused(kept: Ran, tmp_path: Path) -> None:
    folder = copied(kept, tmp_path, f"kept/{RIDGE}")
    whole = json.loads((folder / MANIFEST).read_text())
    for path in ("../secret.json", "/etc/secret.json", "a\\b.json", "a//b.json", "./a.json"):
        form = {**whole, "files": [{**whole["files"][0], "path": path}]}
        (folder / MANIFEST).write_text(json.dumps(form))
        with pytest.raises(DataError, match="which lies outside the model's folder"):
            read_stored(folder)
    for form, says in (
        ({**whole, "format": "x"}, r"\(format: "),
        ({**whole, "more": 1}, r"\(more: "),
        ([], "the file"),
    ):
        (folder / MANIFEST).write_text(json.dumps(form))
        with pytest.raises(DataError, match=f"holds no manifest of the format alfred.model.1.*{says}"):
            read_stored(folder)
    (folder / MANIFEST).unlink()
    with pytest.raises(DataError, match=r"manifest.json cannot be read \(No such file"):
        read_stored(folder)


def test_parts_of_two_models_do_not_make_one(kept: Ran, tmp_path: Path) -> None:
    folder = copied(kept, tmp_path, f"kept/{RIDGE}")
    for name in ("preparation.json", "preparation.safetensors"):
        shutil.copy(artifacts(kept, f"kept/{NETWORK}") / name, folder)
    with pytest.raises(DataError, match="are not of one model; they were put together by hand"):
        read_stored(folder, seal(folder))


def test_a_link_out_of_the_folder_is_not_followed(kept: Ran, tmp_path: Path) -> None:
    folder = copied(kept, tmp_path, f"kept/{RIDGE}")
    path = folder / "preparation.json"
    path.rename(tmp_path / "elsewhere.json")
    path.symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(DataError, match=r"lacks preparation.json, which its manifest names"):
        read_stored(folder)


def test_a_tag_that_was_changed_by_hand_lists_nothing(kept: Ran, tmp_path: Path) -> None:
    other = beside(kept, tmp_path / "other")
    log_run(other, kept.folder)
    model = find_model(other, f"kept/{RIDGE}")
    listed = json.loads(store.runs_of(tracking(other))[0].data.tags[model.tag])
    for value in ("no JSON", "[]", json.dumps({**listed, "place": "../../x"}), json.dumps({"place": listed["place"]})):
        with tracking(other).asked() as client:
            client.set_tag(model.number, model.tag, value)
        assert len(stored_models(other)) == 2


def test_what_two_machines_stored_at_once_is_one_model(
    kept: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alfred.experiments.tracking import Tracking

    other = beside(kept, tmp_path / "other")
    assert log_run(other, kept.folder)
    with monkeypatch.context() as patch:
        patch.setattr(Tracking, "runs", lambda *_: [])  # neither sees the other's
        assert log_run(other, kept.folder)
    assert len(store.runs_of(tracking(other))) == 2
    assert len(stored_models(other)) == 3
    assert analyst_from_store(f"kept/{RIDGE}", other).about.analyst == RIDGE


def test_the_manifest_says_all_that_a_stranger_needs(kept: Ran) -> None:
    folder = artifacts(kept, f"kept/{NETWORK}/1")
    manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    about = manifest.about
    assert (about.analyst, about.seed, about.label, about.quarters) == (NETWORK, 1, "PM", 2)
    assert (about.training, about.evaluation) == (NAMES[:3], NAMES[3:])
    assert PanelSettings.model_validate(about.panel) == PanelSettings()
    assert about.panel_digest == kept.panel.digest()
    assert about.train_last < about.valid_last < str(kept.forecasts["as_of"].min())
    assert isinstance(read_stored(folder), StoredAnalyst)


def watch_uploads(
    monkeypatch: pytest.MonkeyPatch, fails_after: int | None = None, error: Exception | None = None
) -> list[str]:
    """The files that are sent from now on; after some the store fails."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    real, sent = MlflowClient.log_artifact, []

    def log_artifact(self: MlflowClient, run: str, path: str, within: str | None = None) -> None:
        if fails_after is not None and len(sent) >= fails_after:
            raise error or MlflowException("the line went dead.")
        sent.append(f"{within}/{Path(path).name}" if within else Path(path).name)
        real(self, run, path, within)

    monkeypatch.setattr(MlflowClient, "log_artifact", log_artifact)
    return sent


def _cut_off(*_: object) -> None:
    raise OSError("cut off")
