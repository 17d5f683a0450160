"""`alfred train`, `alfred evaluate` and `alfred experiments`, end to end."""

import json
import re
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from alfred.cli.main import app
from alfred.core.home import home as place

WORDS = (
    "--tickers", "baskets.json", "--model", "vanilla.medium", "--size", "8", "--layers", "2", "--loss", "huber-sign",
    "--label", "PM", "--epochs", "2", "--until", "2012-12-31", "--test-first", "2010-03-31",
    "--set", "data.since=2000-01-03", "--set", 'panel.features=["momentum_12_1","realised_volatility"]',
    "--set", "splits.valid_quarters=4", "--set", "splits.min_train_quarters=8", "--set", "evaluation.draws=200",
    "--set", "vault_quarters=0",
)  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("single")


@pytest.fixture(autouse=True)
def _shared_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALFRED_HOME", str(home / "alfred-home"))
    monkeypatch.chdir(home)
    baskets = {"training": ["AAPL", "PG", "CVX"], "evaluation": ["GE", "KO", "LLY"]}
    (home / "baskets.json").write_text(json.dumps(baskets))


def call(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, flat(result.stdout), flat(result.stderr)


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"\x1b\[[0-9;]*m", "", text))


def test_train_then_evaluate_as_in_the_notes() -> None:
    code, out, err = call("evaluate", *WORDS, "--seed", "4")
    assert code == 2
    assert "vanilla.medium.tanh:size8-layers2 was never trained with these words" in err
    assert "Train it first: alfred train --model vanilla.medium --tickers baskets.json --size 8" in err

    code, out, err = call("train", *WORDS, "--seed", "4")
    assert code == 0, err
    assert "vanilla.medium has a sigmoid head for PQ; for PM it is vanilla.medium.tanh" in out
    assert "TRAINING rows (108, 2000-03-31 to 2008-12-31). The model has seen these: what follows tells nothing" in out
    assert re.search(r"Best loss: 0\.\d+, Best Stats: \{'mae': 0\.\d+, 'r2': -?[\d.]+, 'pearson_corr': -?[\d.e-]+, "
                     r"'sign_accuracy': 0\.\d+\}", out)  # fmt: skip
    assert "VALIDATION rows (12, 2009-03-31 to 2009-12-31). Not learnt from" in out
    assert "Trained before" not in out
    assert "Judge it: alfred evaluate --model vanilla.medium" in out

    code, again, _ = call("train", *WORDS, "--seed", "4")
    assert (code, "Trained before with the same words, data and code" in again) == (0, True)
    assert again[again.index("Best loss") :].split(" VALIDATION")[0] in out

    code, out, err = call("evaluate", *WORDS, "--seed", "4")
    assert code == 0, err
    assert (
        "on test rows: 33 rows in 11 quarters from 2010-03-31, 3 names. Protocol other-tickers-other-years: Do" in out
    )
    assert re.search(r"Evaluation: Loss: 0\.\d+ stats: \{'mae': ", out)
    assert re.search(r"rank_ic -?0\.\d{4} \[-?0\.\d{4}, -?0\.\d{4}\] 0\.0000", out)
    assert "it is not trained anew in the 12 test quarters, as `alfred run` does" in out
    assert Path(out.rpartition("Report: ")[2].strip()).name == "report.html"


def test_a_direction_prints_the_notes_other_figures() -> None:
    words = [word for word in WORDS if word not in {"--loss", "huber-sign", "--label", "PM"}]
    code, out, err = call("train", *words)
    assert code == 0, err
    assert re.search(r"Best Stats: \{'accuracy': [\d.]+, 'precision': [\d.]+, 'recall': [\d.]+, 'f1': [\d.]+\}", out)
    assert "sigmoid head" not in out


def test_the_untrained_control_says_what_it_is() -> None:
    code, out, err = call("evaluate", *WORDS, "--untrained")
    assert code == 0, err
    assert "Untrained control: these are the network's initial weights" in out
    assert "vanilla.medium.tanh:size8-layers2-untrained on test rows" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "--model", "vanila.small"), "there is no analyst 'vanila.small'; did you mean 'vanilla.small'?"),
        (("train", "--tickers", "none.json"), "there is no baskets file"),
        (("evaluate", "--model", "ridge", "--untrained"), "ridge has no initial weights"),
        (("train", "--epochs", "0"), "train.epochs: input should be greater than or equal to 1, got 0"),
        (("experiments", "--sort", "rank"), "there is no column 'rank'"),
        (("experiments", "--columns", "model,sign"), "there is no column 'sign'"),
    ],
)
def test_wrong_input_is_one_sentence(words: tuple[str, ...], message: str) -> None:
    code, _, err = call(*words)
    assert (code, message in err) == (2, True), err


def test_experiments_lists_what_was_run(home: Path) -> None:
    call("train", *WORDS, "--seed", "4")
    call("evaluate", *WORDS, "--seed", "4")
    code, out, err = call("experiments", "--sort", "rank_ic", "--csv", "all.csv")
    assert code == 0, err
    assert "vanilla.medium.tanh" in out
    rows = pl.read_csv(home / "all.csv")
    one = rows.filter(analyst="vanilla.medium.tanh:size8-layers2")
    assert one.select("model", "quarters", "size", "layers", "label", "seeds").row(0) == (
        "vanilla.medium.tanh", 1, 8, 2, "PM", 1,
    )  # fmt: skip
    assert one["seconds_per_epoch"][0] > 0
    assert rows["rank_ic"].to_list() == sorted(rows["rank_ic"], reverse=True)
    markdown = CliRunner().invoke(app, ["experiments", "--markdown"]).stdout.splitlines()
    assert markdown[0].startswith("| model | seeds | quarters | size | label | loss | eval_loss | mae | pearson |")
    assert len(markdown) == rows.height + 2
    assert {line.count("|") for line in markdown} == {markdown[0].count("|")}
    row = next(line for line in markdown if line.endswith(f"| {one['run'][0]} |") and "huber-sign" in line)
    assert re.search(r"huber-sign \| [\d.e-]+ \[[\d.e-]+, [\d.e-]+\] \|", row)
    assert f"{one['mae'][0]:.4g} [{one['mae_lower'][0]:.4g}, {one['mae_upper'][0]:.4g}]" in row
    few = CliRunner().invoke(app, ["experiments", "--columns", "model, seed-values,mae"]).stdout.splitlines()
    assert few[0] == "| model | seed_values | mae |"
    assert len(few) == len(markdown)
    only = CliRunner().invoke(app, ["experiments", "--run", "latest", "--markdown"]).stdout.splitlines()
    assert {line.split("|")[-2] for line in only[2:]} == {only[2].split("|")[-2]}


def test_experiments_without_runs_says_how_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALFRED_HOME", str(tmp_path))
    code, out, _ = call("experiments")
    assert (code, "There are no runs yet" in out) == (0, True)
    assert not place().runs.exists()


@pytest.mark.parametrize("command", ["train", "evaluate", "experiments"])
def test_help_teaches_by_example(command: str) -> None:
    code, out, _ = call(command, "--help")
    assert (code, f"alfred {command} --" in out) == (0, True)
