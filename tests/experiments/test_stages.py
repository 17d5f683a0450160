import json
from pathlib import Path

import pytest

from alfred.experiments.stages import Stages


def test_a_finished_stage_is_taken_up_and_other_inputs_make_another(tmp_path: Path) -> None:
    stages, calls = Stages(tmp_path), []

    def compute(folder: Path) -> None:
        calls.append(1)
        (folder / "result").write_text("x")

    first = stages.run("fit", {"seed": 0}, compute)
    again = stages.run("fit", {"seed": 0}, compute)
    other = stages.run("fit", {"seed": 1}, compute)
    assert (first.resumed, again.resumed, other.resumed, len(calls)) == (False, True, False, 2)
    assert first.folder == again.folder != other.folder
    assert json.loads((first.folder / "stage.json").read_text())["inputs"] == {"seed": 0}


def test_an_interrupted_stage_leaves_nothing_and_runs_again(tmp_path: Path) -> None:
    stages = Stages(tmp_path)

    def interrupted(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stages.run("fit", {}, interrupted)
    assert list(tmp_path.iterdir()) == []
    assert not stages.run("fit", {}, lambda folder: (folder / "whole").touch()).resumed
