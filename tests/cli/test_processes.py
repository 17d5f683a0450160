"""The program as a user starts it: in its own process, interrupted, and from nothing to a report."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from alfred.experiments.record import load_record

PROGRAM = [sys.executable, "-c", "from alfred.cli.main import main; main()"]
STUDY = """
name = "long"
seeds = [0, 1]
[data]
since = "2000-01-03"
[universe]
training = ["AAPL", "PG", "CVX", "MRK"]
evaluation = ["GE", "KO", "LLY", "HD"]
[splits]
test_first = "2008-03-31"
test_quarters = 2
[train]
epochs = 15
[[analysts]]
name = "vanilla.small.tanh"
size = 64
"""


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "ALFRED_HOME": str(home)}


def fits(home: Path) -> set[str]:
    return {path.parent.name for path in (home / "stages").glob("fit-vanilla*/stage.json")}


@pytest.mark.slow
def test_an_interrupted_run_goes_on_from_its_finished_fits(tmp_path: Path) -> None:
    study, home = tmp_path / "long.toml", tmp_path / "home"
    study.write_text(STUDY)
    command = [*PROGRAM, "run", str(study)]
    process = subprocess.Popen(
        command, env=environment(home), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    end = time.monotonic() + 120
    while len(fits(home)) < 3 and time.monotonic() < end and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Stopped. Finished stages are kept" in err
    assert "Traceback" not in out + err
    kept = fits(home)
    assert len(kept) >= 3
    assert not list(home.rglob("*.partial"))
    assert not (home / "runs").exists()

    stamps = {name: (home / "stages" / name / "stage.json").stat().st_mtime_ns for name in kept}
    done = subprocess.run(command, env=environment(home), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert {name: (home / "stages" / name / "stage.json").stat().st_mtime_ns for name in kept} == stamps
    assert len(fits(home)) > len(kept)
    assert Path(done.stdout.strip().splitlines()[-1].removeprefix("Report: ")).is_file()


@pytest.mark.slow
def test_the_demo_ends_with_a_plausible_report_and_is_taken_up_again(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = subprocess.run([*PROGRAM, "demo"], env=environment(home), capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stderr
    page = Path(first.stdout.strip().splitlines()[-1].removeprefix("Report: "))
    assert page.is_file()
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 3e6
    record = load_record(page.parent)
    assert {card.analyst for card in record.scorecards} >= {"naive", "momentum", "ridge", "vanilla.small"}
    for card in record.scorecards:
        # What stands far above "always up" on twenty survivors is a leak until shown otherwise.
        assert card.figure("accuracy").value <= card.rise_share + 0.05, card.analyst
        assert all(figure.over_quarters and figure.over_seeds for figure in card.figures if figure.value is not None)
    again = subprocess.run([*PROGRAM, "demo"], env=environment(home), capture_output=True, text=True, check=False)
    assert again.stdout.splitlines()[-1] == first.stdout.splitlines()[-1]
    assert "finished before" in again.stderr
