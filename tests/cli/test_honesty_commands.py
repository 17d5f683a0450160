"""`alfred notes` and `alfred audit --scramble` end to end on a small study."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from alfred.cli.main import app

STUDY = """
name = "few"
seeds = [0, 1]
[data]
since = "2000-01-03"
until = "2010-12-31"
[universe.scan]
training_start = "AAPL"
evaluation_start = "GE"
n = 4
as_of = "2007-12-31"
[panel]
features = ["Close_diff_*", "drawdown"]
[splits]
test_first = "2008-03-31"
test_quarters = 12
valid_quarters = 4
min_train_quarters = 12
[train]
epochs = 3
threads = 1
[[analysts]]
name = "vanilla.small.tanh"
loss = "huber-sign"
size = 16
layers = 2
[evaluation]
draws = 200
"""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ALFRED_HOME", str(tmp_path / "home"))
    path = tmp_path / "few.toml"
    path.write_text(STUDY, encoding="utf-8")
    return path


def test_the_notes_end_with_the_picture(study: Path) -> None:
    done = CliRunner().invoke(app, ["notes", str(study)])
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert next(line for line in lines if "filings known when filed (6)" in line).split()[-6:-2] == [
        "no", "such", "data", "0.0%",
    ]  # fmt: skip
    assert any(line.strip().startswith("evaluated on a basket of its own (1)") for line in lines)
    assert any(line.startswith("What is left less always up: ") for line in lines)
    assert any("Survivorship (row 18)" in line for line in lines)
    page = Path(lines[-1].removeprefix("Waterfall: "))
    assert page.is_file()
    again = CliRunner().invoke(app, ["notes", str(study)])
    assert again.output.splitlines()[-1] == lines[-1]
    shutil.rmtree(page.parent)


def test_scramble_says_what_it_compared_or_what_leaks(study: Path) -> None:
    done = CliRunner().invoke(app, ["audit", str(study), "--scramble", "--dates", "1", "--seed", "4"])
    assert done.exit_code == 0, done.output
    assert "Nothing of few knew the future on 1 date(s): naive, vanilla.small.tanh:size16-layers2" in done.output
    leaky = ["--set", 'panel.features=["Close", "drawdown"]']
    done = CliRunner().invoke(app, ["audit", str(study), "--scramble", "--dates", "1", *leaky])
    assert done.exit_code == 2
    assert "Error: the feature 'Close' of " in done.output
    assert "it knows the future." in done.output
