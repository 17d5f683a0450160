"""What is left of a finished fit is taken up: nothing is learnt anew that can be restored."""

import shutil
from pathlib import Path

import pytest
from stored_run import SEEDS, SPECS, a_walk

from alfred.analysts import AnalystSpec
from alfred.core.home import Home
from alfred.core.progress import Silent
from alfred.experiments import fitting
from alfred.experiments.stored import read_stored
from alfred.experiments.study import entry_name

BOTH = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)


def never(*args: object, **kwargs: object) -> None:
    raise AssertionError("an analyst that was kept was trained again")


def handed_on(home: Home) -> dict[str, dict[str, bytes]]:
    """What the last fold's fits learnt, file by file, of every folder that was handed on."""
    return {
        folder.name: {path.name: path.read_bytes() for path in sorted((folder / "analyst").iterdir())}
        for folder in home.stages.glob("model-*")
    }


def weights(folders: dict[str, dict[str, bytes]]) -> dict[str, dict[str, bytes]]:
    """Without the files that tell how long the training took."""
    return {
        folder: {name: content for name, content in files.items() if name.endswith(".safetensors")}
        for folder, files in folders.items()
    }


@BOTH
def test_a_fit_is_handed_on_again_from_what_was_kept(
    spec: AnalystSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    fits, forecasts = a_walk(home).forecast(spec, SEEDS, Silent())
    before = handed_on(home)
    assert len(before) == len({fit.seed for fit in fits})
    for name in before:
        shutil.rmtree(home.stages / name)
    monkeypatch.setattr(fitting, "fit_many", never)
    again, same = a_walk(home).forecast(spec, SEEDS, Silent())
    assert all(fit.resumed for fit in again)
    assert same.equals(forecasts)
    assert handed_on(home) == before
    for folder in a_walk(home).handed_on(spec, SEEDS).values():
        assert read_stored(folder).about.analyst == entry_name(spec)


@BOTH
def test_a_fit_that_was_not_kept_is_made_again_to_be_handed_on(
    spec: AnalystSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    monkeypatch.setattr(fitting, "KEPT_BYTES", 0.0)
    _, forecasts = a_walk(home).forecast(spec, SEEDS, Silent())
    before = handed_on(home)
    assert before
    assert not list(home.stages.glob("analyst-*"))
    for name in before:
        shutil.rmtree(home.stages / name)
    again, same = a_walk(home).forecast(spec, SEEDS, Silent())
    last = max(fit.fold for fit in again)
    assert {fit.fold for fit in again if not fit.resumed} == {last}
    assert same.equals(forecasts)
    assert weights(handed_on(home)) == weights(before)
