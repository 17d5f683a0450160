"""`alfred fundamentals` end to end on a small invented market."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from alfred.cli.main import app
from alfred.lake.store import Lake
from alfred.lake.synthetic.market import generate
from alfred.lake.synthetic.settings import SyntheticSettings

STUDY = """
name = "few"
seeds = [0]
[data]
provider = "synthetic"
[universe]
training = {training}
evaluation = {evaluation}
[panel]
features = ["Margin_*"]
[splits]
test_first = "2004-03-31"
test_quarters = 8
valid_quarters = 4
min_train_quarters = 12
[[analysts]]
name = "ridge"
[fundamentals]
targets = ["next_Margin_Operating", "next_Margin_Gross"]
[[fundamentals.analysts]]
name = "ridge"
[[fundamentals.analysts]]
name = "vanilla.small.tanh"
size = 8
layers = 2
[train]
epochs = 2
threads = 1
[evaluation]
draws = 200
"""


def test_everyone_is_shown_who_wins_and_who_loses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALFRED_HOME", str(tmp_path / "home"))
    market = generate(
        SyntheticSettings(
            symbols=24, first_year=1998, years=11, articles_per_quarter=0.02, insider_trades_per_quarter=0.02
        )
    )
    for name, rows in market.tables.items():
        Lake(tmp_path / "home" / "lake").write(name, rows)
    names = market.tables["bars"].filter(pl.col("date") == dt.date(2004, 3, 31))["symbol"].sort().to_list()
    study = tmp_path / "few.toml"
    study.write_text(STUDY.format(training=names[0::2], evaluation=names[1::2]), encoding="utf-8")
    result = CliRunner().invoke(app, ["fundamentals", str(study)])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    titles = [line for line in lines if " ahead: " in line]
    assert [title.partition(":")[0].strip() for title in titles] == [
        f"Margin_{name}, {ahead}"
        for ahead in ("one quarter ahead", "4 quarters ahead")
        for name in ("Operating", "Gross")
    ]
    assert all("rows in" in title for title in titles)
    for who in ("random walk", "seasonal naive", "naive ", "ridge", "vanilla.small"):
        assert sum(line.strip().startswith(who) and "[" in line for line in lines) == 4
    assert max(len(line.rstrip()) for line in lines if "[" in line) <= 120
    assert "ridge: beats the random walk in" in result.output
    assert "Four quarters ahead the seasonal naive forecast is the random walk." in result.output
    assert "Few dates" in result.output
    assert "Audit, no-doubt: one seed each: vanilla.small.tanh:size8-layers2; another seed may" in result.output
    assert "Audit: 22 checks: 0 with errors, 1 with warnings, " in result.output
    folder = next((tmp_path / "home" / "fundamentals").iterdir())
    assert {path.name for path in folder.iterdir()} == {"fundamentals.json", "forecasts.parquet", "study.toml"}
    again = CliRunner().invoke(app, ["fundamentals", str(study), "--set", "fundamentals.horizons=[7]"])
    assert again.exit_code == 2
    assert "1 to 4 quarters ahead" in again.output
