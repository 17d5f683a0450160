"""`alfred manage` from a study to its table, its verdict and the report."""

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))
from managed_run import managed_run, managed_study

from alfred.cli.main import app
from alfred.core.home import Home


def test_a_study_is_run_and_managed(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path_factory.getbasetemp() / "managed"
    monkeypatch.setenv("ALFRED_HOME", str(home))
    run = managed_run(Home(home))
    study = tmp_path / "small.toml"
    study.write_text(managed_study().toml())
    wanted = 'manager.policies=["buy-and-hold", "magnitude-choice"]'
    result = CliRunner().invoke(app, ["manage", str(study), "--set", wanted, "--set", "manager.first_periods=20"])
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "7 quarters from 2013-03-28, 6 names; log growth a year, net" in said
    assert "1/N" in said
    assert "Magnitude choice: Not shown to beat 1/N" in said
    assert (run / "manager" / "weights.parquet").is_file()
    assert 'id="manager"' in (run / "report.html").read_text()
    bad = CliRunner().invoke(app, ["manage", str(study), "--set", "manager.first_periods=26"])
    assert bad.exit_code == 2
    assert "first_periods keeps 26 to learn from" in " ".join(bad.output.split())
