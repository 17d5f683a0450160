"""Two processes and one vault: exactly one opens it, on one disk and on two machines with one tracking server."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from served import Server
from vault_opener import opened

from alfred.core.home import Home
from alfred.experiments.tracking import tracking
from alfred.experiments.trials import TrialLedger
from alfred.experiments.vault import unsealings

pytestmark = pytest.mark.slow

OPENER = Path(__file__).with_name("vault_opener.py")


def race(root: Path, family: str, environments: list[dict[str, str]]) -> list[str]:
    root.mkdir()
    started = [
        subprocess.Popen(
            [sys.executable, str(OPENER), str(who), family, str(root)],
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment}, stdout=subprocess.PIPE, text=True,
        )
        for who, environment in enumerate(environments)
    ]  # fmt: skip
    end = time.monotonic() + 200
    while len(list(root.glob("ready-*"))) < len(started):
        assert time.monotonic() < end, "the processes did not start"
        assert all(process.poll() is None for process in started)
        time.sleep(0.01)
    (root / "go").touch()
    return sorted(process.communicate(timeout=200)[0].strip() for process in started)


def test_of_two_processes_one_opens_the_vault_on_a_home_that_was_never_used(tmp_path: Path) -> None:
    place = tmp_path / "home"
    one, other = race(tmp_path / "race", "race", [{"ALFRED_HOME": str(place)}] * 2)
    assert one == "opened alfred/unsealed/race/1"
    assert other.startswith(("refused the vault of 'race' was opened on", "refused another process is opening"))
    home = Home(place)
    (look,) = unsealings(tracking(home), "race")
    assert look.verdict == f"found by {look.digest[-1]}"
    assert TrialLedger.open(home).count("race") == 2


def test_of_two_machines_on_one_server_one_opens_the_vault_and_again_is_marked(
    tmp_path: Path, tracking_server: Server
) -> None:
    server = tracking_server.uri
    homes = [
        {"ALFRED_HOME": str(tmp_path / f"machine-{who}"), "ALFRED_TRACKING_URI": server} for who in range(2)
    ]  # fmt: skip
    first, second = race(tmp_path / "first", "sealed", homes)
    assert first == "opened alfred/unsealed/sealed/1"
    assert second.startswith("refused the vault of 'sealed' was opened on")
    # Another machine, later, is refused too, and marked for ever if it looks again.
    third = Home(tmp_path / "machine-2", shared_tracking=server)
    assert "found by" in opened(third, "sealed", "2")
    assert opened(third, "sealed", "2", again=True) == "opened alfred/unsealed/sealed/2"
    assert [one.number for one in unsealings(tracking(third), "sealed")] == [1, 2]
    assert TrialLedger.open(third).count("sealed") == 3
    assert not (tmp_path / "machine-0" / "tracking" / "mlflow.db").exists()
