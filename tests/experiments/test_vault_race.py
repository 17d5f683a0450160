"""Two processes and one vault: exactly one opens it, on one disk and on two machines with one tracking server."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from served import Server

from alfred.core.home import Home
from alfred.experiments.tracking import tracking
from alfred.experiments.trials import TrialLedger
from alfred.experiments.vault import unsealings

pytestmark = pytest.mark.slow

OPENER = """
import datetime as dt, sys, time
from pathlib import Path
from alfred.core.errors import DataError
from alfred.core.home import home
from alfred.experiments.tracking import tracking
from alfred.experiments.trials import Trial, TrialLedger
from alfred.experiments.vault import Opening, Vault

who, root = sys.argv[1], Path(sys.argv[2])
place = home()
ledger = TrialLedger.open(place)
Path(root, f"ready-{who}").touch()
while not Path(root, "go").exists():
    time.sleep(0.001)
ledger.begin(Trial(f"k{who}", "race", "s", "d", "ridge", "sealed"))
vault = Vault("race", dt.datetime(2020, 9, 30, 20, tzinfo=dt.UTC))
opening = Opening(vault, place, f"study-{who}", again="again" in sys.argv)
try:
    with opening.taken(f"digest-{who}"):
        time.sleep(0.2)
        opening.finish(f"found by {who}", f"run-{who}")
    print("opened", opening.claim.name)
except DataError as error:
    print("refused", error)
"""


def race(root: Path, environments: list[dict[str, str]], *words: str) -> list[str]:
    root.mkdir()
    started = [
        subprocess.Popen(
            [sys.executable, "-c", OPENER, str(who), str(root), *words],
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
    opened, refused = race(tmp_path / "race", [{"ALFRED_HOME": str(place)}] * 2)
    assert opened == "opened alfred/unsealed/race/1"
    assert refused.startswith(("refused the vault of 'race' was opened on", "refused another process is opening"))
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
    opened, refused = race(tmp_path / "first", homes)
    assert opened == "opened alfred/unsealed/race/1"
    assert refused.startswith("refused the vault of 'race' was opened on")
    # The other machine, later, is refused too, and marked for ever if it looks again.
    third = {"ALFRED_HOME": str(tmp_path / "machine-2"), "ALFRED_TRACKING_URI": server}
    (late,) = race(tmp_path / "late", [third])
    assert "found by" in late
    (again,) = race(tmp_path / "again", [third], "again")
    assert again == "opened alfred/unsealed/race/2"
    shared = Home(tmp_path / "machine-3", shared_tracking=server)
    assert [one.number for one in unsealings(tracking(shared), "race")] == [1, 2]
    assert TrialLedger.open(shared).count("race") == 2
    assert not (tmp_path / "machine-0" / "tracking" / "mlflow.db").exists()
