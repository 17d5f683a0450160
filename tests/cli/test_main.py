import json
import os
import re
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
from typer.testing import CliRunner

from alfred.cli.main import app

STUDY = """
name = "tiny"
seeds = [0]
[data]
since = "2005-01-03"
until = "2012-12-31"
[universe]
training = ["AAPL", "PG", "CVX"]
evaluation = ["GE", "KO", "LLY"]
[splits]
test_first = "2010-03-31"
test_quarters = 12
valid_quarters = 4
min_train_quarters = 8
[train]
epochs = 2
[[analysts]]
name = "ridge"
[[analysts]]
name = "vanilla.small"
size = 8
layers = 2
[evaluation]
draws = 200
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(autouse=True)
def _shared_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALFRED_HOME", str(home / "alfred-home"))
    monkeypatch.chdir(home)
    (home / "tiny.toml").write_text(STUDY)


def call(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, result.stdout, result.stderr


def flat(text: str) -> str:
    """Without colours and line breaks, which depend on the terminal."""
    return re.sub(r"\s+", " ", re.sub(r"\x1b\[[0-9;]*m", "", text))


def test_a_run_ends_with_the_path_of_its_report(home: Path) -> None:
    code, out, err = call("run", "tiny.toml")
    assert code == 0, err
    page = Path(out.strip().splitlines()[-1].removeprefix("Report: "))
    assert page.name == "report.html"
    assert page.is_relative_to(home / "alfred-home" / "runs")
    assert "Survivorship" in out
    assert "over 11 quarters" in flat(out)
    again = call("run", "tiny.toml")
    assert again[0] == 0
    assert "finished before" in flat(again[2])
    assert again[1].splitlines()[-1] == out.splitlines()[-1]


def test_report_writes_the_page_again() -> None:
    call("run", "tiny.toml")
    code, out, _ = call("report", "tiny")
    assert code == 0
    page = Path(out.strip())
    page.unlink()
    assert call("report", "latest")[0] == 0
    assert page.stat().st_size > 100_000


def test_the_single_name_test_of_the_notes() -> None:
    call("run", "tiny.toml")
    code, out, _ = call("backtest", "--ticker", "GE", "--strategy", "nuanced", "--run", "tiny")
    assert code == 0
    assert "Trade Analysis" in out
    code, out, _ = call("backtest", "--ticker", "GE", "--strategy", "simple", "--run", "tiny", "--analyst", "ridge")
    assert re.search(r"2010-04-01, (BUY|SELL_SHORT) CREATE, Price=\d+\.\d\d, Model Reading=0\.\d+\nAsset: GE\n", out)


def test_init_writes_a_study_that_only_runs_when_wanted(home: Path) -> None:
    code, _, _ = call("init", "My Study.toml")
    assert code == 0
    text = (home / "My Study.toml").read_text()
    assert 'name = "my-study"' in text
    assert text.count("#") > 20
    code, _, err = call("init", "My Study.toml")
    assert (code, "exists already" in err) == (2, True)


@pytest.mark.parametrize("name", ["demo", "synthetic", "grid"])
def test_init_starts_from_any_study_that_comes_along(home: Path, name: str) -> None:
    code, _, err = call("init", f"my-{name}.toml", "--study", name)
    assert code == 0, err
    shipped = tomllib.loads((files("alfred.experiments") / "studies" / f"{name}.toml").read_text(encoding="utf-8"))
    assert tomllib.loads((home / f"my-{name}.toml").read_text()) == shipped | {"name": f"my-{name}"}


def test_scan_saves_two_disjoint_baskets_in_the_form_of_the_notes(home: Path) -> None:
    path = home / "baskets.json"
    path.unlink(missing_ok=True)
    code, out, _ = call("scan", "--start", "AAPL", "--n", "10", "--as-of", "2003-12-31", "--save", "baskets.json")
    assert code == 0
    assert out.strip().splitlines()[-1].startswith("['AAPL', ")
    assert len(json.loads(path.read_text())["training"]) == 10
    second = ("scan", "--start", "GE", "--n", "10", "--as-of", "2003-12-31", "--save", "baskets.json")
    code, _, err = call(*second)
    assert code == 2
    assert "both hold" in flat(err)
    assert call(*second, "--exclude", "baskets.json")[0] == 0
    baskets = json.loads(path.read_text())
    assert baskets["evaluation"][0] == "GE"
    assert not set(baskets["training"]) & set(baskets["evaluation"])


def test_a_basket_that_is_kept_was_chosen_before_the_test_or_it_is_said(home: Path) -> None:
    wish = ("scan", "--start", "AAPL", "--n", "3")
    code, _, err = call(*wish, "--save", "later.json")
    assert code == 0
    assert "A study that tests earlier quarters with these names knows their future" in flat(err)
    assert "knows their future" not in flat(call(*wish, "--as-of", "2003-12-31", "--save", "before.json")[2])
    assert {path.name for path in home.glob("*.json")} >= {"later.json", "before.json"}


def test_scan_warns_about_levels() -> None:
    code, _, err = call("scan", "--start", "AAPL", "--n", "3", "--on", "levels")
    assert code == 0
    assert "trending prices alike" in flat(err)


def test_features_print_what_they_are() -> None:
    code, out, _ = call("features", "momentum_12_1")
    assert code == 0
    assert "close 21 sessions before / close 252 sessions before - 1" in flat(out)
    code, out, _ = call("features")
    assert "Close_diff_MA_180" in out
    assert "delta_Volume" in out


def test_analysts_print_the_parameter_counts_of_the_notes() -> None:
    code, out, _ = call("analysts")
    assert code == 0
    assert re.search(r"vanilla\.small +PQ +bce +592,384", out)
    assert re.search(r"vanilla\.large\.tanh +PM +huber-sign +103,911,424", out)


def test_doctor_tells_what_is_there() -> None:
    code, out, _ = call("doctor")
    assert code == 0
    for word in ("torch", "skfolio", "providers", "sample", str(os.cpu_count())):
        assert word in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "none.toml"), "there is no study none.toml; `alfred init none.toml` writes one"),
        (("run", "tiny.toml", "--set", "train.epocs=3"), "unknown setting 'train.epocs', did you mean 'epochs'?"),
        (("run", "tiny.toml", "--set", 'analysts=[{name="vanila.small"}]'), "did you mean 'vanilla.small'?"),
        (("run", "tiny.toml", "--set", 'universe.evaluation=["AAPL", "F"]'), "both hold AAPL"),
        (("run", "tiny.toml", "--set", 'universe.evaluation=["F"]'), "there are no bars for F; the data hold AAPL"),
        (("run", "tiny.toml", "--set", "data.since=2013-01-01"), "the range is empty"),
        (("run", "tiny.toml", "--set", "data.until=2006-12-31"), "there are 8"),
        (("run", "tiny.toml", "--set", "splits.test_first=2029-03-31"), "no decision date to test"),
        (("features", "momentun"), "there is no feature 'momentun'; did you mean"),
        (("scan", "--start", "F"), "no prices for the start 'F'"),
        (("scan", "--start", "AAPL", "--n", "21"), "only 20 names qualify"),
        (("scan", "--start", "AAPL", "--as-of", "2003-13-01"), "is not a date"),
        (("scan", "--start", "AAPL", "--as-of", "1980-01-01"), "has no bars from its beginning to 1980-01-01"),
        (("report", "none"), "no run begins with 'none'"),
        (("backtest", "--run", "tiny", "--ticker", "F"), "no forecasts for F; it forecast GE, KO, LLY"),
        (("backtest", "--run", "tiny", "--strategy", "nuancd"), "did you mean 'nuanced'?"),
        (("rum", "tiny.toml"), "rum"),
        (("run", "tiny.toml", "--sett", "x=1"), "--sett"),
    ],
)
def test_wrong_input_ends_with_one_sentence_and_exit_code_2(words: tuple[str, ...], message: str) -> None:
    call("run", "tiny.toml")
    code, out, err = call(*words)
    assert code == 2, (out, err)
    assert message in flat(err)
    assert "Traceback" not in out + err


def test_debug_shows_where_an_error_comes_from() -> None:
    result = CliRunner().invoke(app, ["--debug", "run", "none.toml"])
    assert type(result.exception).__name__ == "ConfigError"


def test_help_of_every_command_teaches() -> None:
    for command in ("demo", "init", "run", "report", "scan", "features", "analysts", "backtest", "doctor"):
        code, out, _ = call(command, "--help")
        assert code == 0
        assert len(flat(out)) > 150, command
