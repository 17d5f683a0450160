"""The tutorial's commands in their order, on a folder of own CSV files; and the example."""

import datetime as dt
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from documented import ROOT, TWELVE, blocks, console, write_prices

ALFRED = str(Path(sys.executable).with_name("alfred"))
pytestmark = pytest.mark.slow


def run(words: list[str], folder: Path) -> str:
    environment = os.environ | {"ALFRED_HOME": str(folder / "alfred-home"), "COLUMNS": "200"}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def test_the_tutorial_from_prices_to_a_recommendation(tmp_path: Path) -> None:
    page = ROOT / "docs" / "tutorial.md"
    lines = [shlex.split(line) for line in console(page)]
    assert len(lines) > 12
    write_prices(tmp_path / "prices", TWELVE, dt.date(2003, 1, 2), dt.date(2013, 6, 28))
    (study,) = blocks(page, "toml")
    (tmp_path / "study.toml").write_text(study, encoding="utf-8")
    told: dict[str, str] = {}
    for program, name, *words in lines:
        assert program == "alfred"
        told[name] = told.get(name, "") + run([ALFRED, name, *words], tmp_path)
    assert "csvfile" in told["data"]
    assert "In quarantine: none" in told["data"]
    assert "skill" in told["run"].lower() or "suspicious" in told["run"].lower()
    assert "paired comparison" in told["compare"] or "ranks differently" in told["compare"]
    assert "inverse-volatility" in told["recommend"]
    assert "vault" in told["unseal"] or "trials" in told["unseal"]
    page = next((tmp_path / "alfred-home" / "runs").glob("mine-*/report.html"))
    assert page.stat().st_size > 100_000


def test_the_example_runs(tmp_path: Path) -> None:
    told = run([sys.executable, str(ROOT / "examples" / "library.py")], tmp_path)
    assert "mean rank IC" in told
    assert "80% intervals" in told
