"""explain, ablate and select on the sample's real prices, from the command line."""

from pathlib import Path

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from alfred.cli import explain, studies
from alfred.core.errors import AlfredError, ConfigError

STUDY = """
name = "tiny"
seeds = [0]
[data]
since = "2000-01-03"
until = "2012-12-31"
[universe]
training = ["AAPL", "PG", "CVX", "JPM"]
evaluation = ["GE", "KO", "LLY"]
[panel]
features = ["Close_diff_MA_*", "momentum_12_1", "realised_volatility"]
[splits]
test_first = "2008-03-31"
test_quarters = 8
valid_quarters = 4
min_train_quarters = 8
[[analysts]]
name = "ridge"
[evaluation]
draws = 100
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("explain")


@pytest.fixture(autouse=True)
def _shared_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALFRED_HOME", str(home / "alfred-home"))
    monkeypatch.chdir(home)
    (home / "tiny.toml").write_text(STUDY)
    if not (home / "alfred-home" / "runs").is_dir():
        call("run", "tiny.toml")


def call(*words: str) -> str:
    """Output of a command that has to succeed; an error of Alfred is raised."""
    app = typer.Typer()
    explain.add_to(app)
    studies.add_to(app)
    result = CliRunner().invoke(app, list(words))
    if isinstance(result.exception, AlfredError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_explain(home: Path) -> None:
    told = call("explain", "--analyst", "ridge", "--rows", "20", "--control", "2")
    assert "ridge, seed 0, by closed form of a weighted sum: 20 of 60 test forecasts of PM" in told
    assert "Base and values add up to every forecast" in told
    assert "Noise line: the largest importance of 2 shuffles of the columns" in told
    assert next(home.glob("alfred-home/runs/tiny-*/explain/ridge/explanation.html")).is_file()
    assert "No control was made" in call("explain", "--symbol", "KO", "--control", "0")
    with pytest.raises(ConfigError, match="likeness"):
        call("explain", "--likeness", "1.5")


def test_ablate(home: Path) -> None:
    told = call("ablate", "latest", "--analyst", "ridge", "--csv", "ablated.csv")
    assert "Validation rows: " in told
    assert "These are test rows" not in told
    assert "are test quarters of earlier folds. Whoever drops columns by them has seen what a run is judged on" in told
    assert "counts as a trial" not in told
    assert set(pl.read_csv(home / "ablated.csv")["way"]) == {"mean", "permute"}
    told = call("ablate", "tiny.toml", "--way", "retrain", "--rows", "test")
    assert "These are test rows. Whoever drops columns by them has chosen on the test" in told
    assert "configurations, each of which counts as a trial of the study's family." in told
    with pytest.raises(ConfigError, match="a run is what it was"):
        call("ablate", "latest", "--set", "train.epochs=3")


@pytest.mark.slow
def test_select(home: Path) -> None:
    told = call("select", "tiny.toml", "--rule", "notes", "--save", "smaller.toml")
    assert "Chosen for ridge on validation rows of 1 fold(s), until 2007-12-31" in told
    assert "columns are kept by the rule notes" in told
    call("run", "smaller.toml")
    with pytest.raises(ConfigError, match=r"smaller\.toml exists already"):
        call("select", "tiny.toml", "--save", "smaller.toml")
