"""The notes' tools on the sample's real prices, end to end."""

import re
from pathlib import Path

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from alfred.cli import examine
from alfred.core.errors import AlfredError, ConfigError

STUDY = """
name = "tiny"
[data]
since = "2000-01-03"
until = "2012-12-31"
[universe]
training = ["AAPL", "PG", "CVX", "JPM"]
evaluation = ["GE", "KO", "LLY"]
[panel]
features = ["Close_diff_MA_*", "momentum_12_1", "realised_volatility"]
[splits]
test_first = "2010-03-31"
test_quarters = 12
valid_quarters = 4
min_train_quarters = 8
[[analysts]]
name = "ridge"
[evaluation]
draws = 200
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("examine")


@pytest.fixture(autouse=True)
def _shared_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALFRED_HOME", str(home / "alfred-home"))
    monkeypatch.chdir(home)
    (home / "tiny.toml").write_text(STUDY)


def call(*words: str) -> tuple[str, str]:
    """Output and messages of a command that has to succeed; an error of Alfred is raised."""
    app = typer.Typer()
    examine.add_to(app)
    result = CliRunner().invoke(app, list(words))
    if isinstance(result.exception, AlfredError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return flat(result.stdout), flat(result.stderr)


def flat(text: str) -> str:
    """Without colours and line breaks, which depend on the terminal."""
    return re.sub(r"\s+", " ", re.sub(r"\x1b\[[0-9;]*m", "", text))


def test_correlate_prints_every_column_from_the_highest_down_and_stops_before_the_test(home: Path) -> None:
    out, err = call("correlate", "tiny.toml", "--csv", "found.csv")
    rows = pl.read_csv(home / "found.csv")
    assert rows["pearson"].to_list() == sorted(rows["pearson"].to_list(), reverse=True)
    places = [out.index(f"{name} ") for name in rows["column"]]
    assert places == sorted(places)
    assert {"momentum_12_1", "Close_diff_MA_7", "realised_volatility"} <= set(rows["column"])
    assert (rows["pearson_lower"] <= rows["pearson"]).all()
    assert (rows["pearson_q"] >= rows["pearson_p"]).all()
    assert "PM of the training basket: 160 rows in 40 quarters, 2000-03-31 to 2009-12-31" in out
    assert "are found at a false-discovery rate of 10%" in out
    assert "test period" not in err


@pytest.mark.parametrize("words", [("--all-dates",), ("--until", "2011-12-30")])
def test_a_look_into_the_test_is_called_one(words: tuple[str, ...]) -> None:
    _, err = call("correlate", "tiny.toml", *words)
    assert "reach into the test period, which begins on 2010-03-31" in err
    assert "leave --until at 2009-12-31" in err


def test_top_keeps_the_largest_of_either_sign(home: Path) -> None:
    call("correlate", "tiny.toml", "--csv", "found.csv", "--label", "excess", "--basket", "all")
    sizes = pl.read_csv(home / "found.csv").select("column", pl.col("pearson").abs()).sort("pearson", descending=True)
    out, _ = call("correlate", "tiny.toml", "--label", "excess", "--basket", "all", "--top", "2")
    shown = [name for name in sizes["column"] if f" {name} " in out.partition("excess of the both")[0]]
    assert sorted(shown) == sorted(sizes["column"][:2])


def test_label_stats_prints_the_notes_block_for_both_baskets() -> None:
    out, err = call("label-stats", "tiny.toml", "--r2", "0.5")
    training, _, evaluation = out.partition(" EVAL ")
    assert training.startswith("TRAINING Analysis for 'PM' (Desired R² = 0.5): Variance (Baseline MSE):")
    for block in (training, evaluation):
        assert "Target MSE (10% Range)" in block
        assert "The notes' suggestion, the larger of both" in block
    assert "Rows: 160 in 40 quarters" in training
    assert "160 traded" in training
    assert "Rows: 120 in 40 quarters" in evaluation
    assert "test period" not in err


def test_label_stats_of_one_basket_and_period() -> None:
    out, err = call(
        "label-stats", "tiny.toml", "--label", "PQ", "--basket", "evaluation", "--since", "2005-01-01", "--all-dates"
    )
    assert out.startswith("EVAL Analysis for 'PQ'")
    assert "TRAINING" not in out
    assert "3 window passes the end of the data" in out
    assert err.count("reach into the test period") == 1


def test_settings_over_those_of_the_study() -> None:
    out, _ = call("label-stats", "tiny.toml", "--set", "panel.horizon_quarters=4", "--basket", "training")
    assert "Rows: 148 in 37 quarters, 2000-03-31 to 2009-03-31" in out


def test_errors_say_what_to_do() -> None:
    with pytest.raises(ConfigError, match="no label 'PMM'; did you mean 'PM'"):
        call("correlate", "tiny.toml", "--label", "PMM")
    with pytest.raises(ConfigError, match=r"--since 2010-06-30 lies after the last date, 2009-12-31 .* go beyond"):
        call("correlate", "tiny.toml", "--since", "2010-06-30")
    with pytest.raises(ConfigError, match="--all-dates and --until 2011-12-31 contradict each other"):
        call("correlate", "tiny.toml", "--all-dates", "--until", "2011-12-31")
    with pytest.raises(ConfigError, match=r"there is no study none\.toml"):
        call("label-stats", "none.toml")
