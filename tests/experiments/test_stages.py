import json
from pathlib import Path

import pytest

from alfred.experiments.stages import Stages


def text(folder: Path) -> str:
    return (folder / "result").read_text()


def test_a_finished_stage_is_taken_up_and_other_inputs_make_another(tmp_path: Path) -> None:
    stages, calls = Stages(tmp_path), []

    def compute(folder: Path) -> None:
        calls.append(1)
        (folder / "result").write_text("x" * len(calls))

    assert stages.run("fit", {"seed": 0}, compute, text) == ("x", False)
    assert stages.run("fit", {"seed": 0}, compute, text) == ("x", True)
    assert stages.run("fit", {"seed": 1}, compute, text) == ("xx", False)
    inputs = [json.loads(path.read_text())["inputs"] for path in tmp_path.glob("fit-*/stage.json")]
    assert sorted(found["seed"] for found in inputs) == [0, 1]
    assert all(found["code"] for found in inputs)


def test_other_code_computes_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def compute(folder: Path) -> None:
        (folder / "result").write_text("x")

    Stages(tmp_path).run("fit", {}, compute, text)
    monkeypatch.setattr("alfred.experiments.stages.code_digest", lambda: "other")
    assert Stages(tmp_path).run("fit", {}, compute, text) == ("x", False)


def test_an_interrupted_stage_leaves_nothing_and_runs_again(tmp_path: Path) -> None:
    stages = Stages(tmp_path)

    def interrupted(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stages.run("fit", {}, interrupted, text)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["stage.json", "result"])
def test_a_damaged_stage_is_computed_again(tmp_path: Path, damage: str) -> None:
    stages = Stages(tmp_path)

    def compute(folder: Path) -> None:
        (folder / "result").write_text("whole")

    stages.run("fit", {}, compute, text)
    next(tmp_path.glob(f"fit-*/{damage}")).unlink()
    assert stages.run("fit", {}, compute, text) == ("whole", False)
    assert stages.run("fit", {}, compute, text) == ("whole", True)
