"""A newcomer's path: the tutorial's commands in their order, on a folder of own CSV files; and the example."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from alfred.core.home import Home
from alfred.experiments.market import read_market
from alfred.experiments.study import DataSettings
from alfred.lake.store import Lake

ROOT = Path(__file__).parents[2]
ALFRED = str(Path(sys.executable).with_name("alfred"))
NAMES = ("AAPL", "AMD", "BAC", "BBY", "CVX", "GE", "HD", "JNJ", "JPM", "KO", "WMT", "XOM")
pytestmark = pytest.mark.slow


def write_prices(folder: Path) -> None:
    """The sample's prices as a newcomer has them: a CSV file a symbol."""
    folder.mkdir()
    market = read_market(
        Lake(Home(folder.parent / "source").lake), DataSettings(since="2003-01-02", until="2013-06-28")
    )
    for name in NAMES:
        own = market.bars.filter(pl.col("symbol") == name)
        own.select("date", "close", pl.col("adj_close").fill_null(pl.col("close")).alias("adj close")).write_csv(
            folder / f"{name}.csv"
        )


def run(words: list[str], folder: Path) -> str:
    environment = os.environ | {"ALFRED_HOME": str(folder / "alfred-home"), "COLUMNS": "200"}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def test_the_tutorial_from_prices_to_a_recommendation(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    study = re.search(r"```toml\n(.*?)```", text, re.DOTALL)
    assert study is not None
    commands = re.findall(r"^\$ alfred (.+)$", text, re.MULTILINE)
    assert len(commands) > 12
    write_prices(tmp_path / "prices")
    (tmp_path / "study.toml").write_text(study.group(1), encoding="utf-8")
    told: dict[str, str] = {}
    for command in commands:
        name = command.split()[0]
        told[name] = told.get(name, "") + run([ALFRED, *shlex.split(command)], tmp_path)
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
