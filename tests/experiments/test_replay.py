"""What is traded beyond a run's own accounts is another try."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from managed_run import managed_run

from alfred.core.errors import DataError
from alfred.core.home import Home
from alfred.experiments.record import dump_record, load_record
from alfred.experiments.replay import replay
from alfred.experiments.trials import TrialLedger


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.getbasetemp() / "managed")


@pytest.fixture(scope="module")
def run(home: Home) -> Path:
    return managed_run(home)


def test_another_strategy_or_one_name_alone_is_a_trial(home: Home, run: Path) -> None:
    ledger = TrialLedger.open(home)
    before = {trial.key for trial in ledger.trials("small")}

    def new() -> dict[str, tuple[str, ...]]:
        found = [trial for trial in ledger.trials("small") if trial.key not in before]
        assert all(trial.status == "finished" for trial in found)
        return {trial.analyst: tuple(trial.series or ()) for trial in found}

    replay(home, run, "simple", with_ledger=False)  # as the run did
    assert new() == {}
    name = load_record(run).evaluation_basket[1]
    for _ in range(2):
        replay(home, run, "magnitude_choice", with_ledger=False)
        replay(home, run, "simple", ticker=name, with_ledger=False)
    assert new() == {"ridge by magnitude-choice": ("magnitude-choice",), f"ridge by simple on {name}": ("simple",)}


def test_a_run_that_looked_into_a_vault_trades_as_it_did(home: Home, run: Path, tmp_path: Path) -> None:
    folder = tmp_path / run.name
    shutil.copytree(run, folder)
    (folder / "run.json").write_text(dump_record(replace(load_record(run), protocol="sealed")))
    assert replay(home, folder, "simple", with_ledger=False)
    with pytest.raises(
        DataError, match="looked into a vault, whose quarters are for one look alone; it trades by simple"
    ):
        replay(home, folder, "magnitude-choice")
