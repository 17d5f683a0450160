"""`alfred models`, and `alfred experiments` by family and as a page."""

import sys
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

sys.path.append(str(Path(__file__).parents[1] / "experiments"))
from stored_run import NETWORK, RIDGE, Ran, beside, stored

from alfred.cli.main import app
from alfred.core.home import Home
from alfred.experiments.store import log_run, stored_models


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return stored(Home(tmp_path_factory.mktemp("kept")))


@pytest.fixture
def at_home(kept: Ran, monkeypatch: pytest.MonkeyPatch) -> Ran:
    monkeypatch.setenv("ALFRED_HOME", str(kept.home.root))
    return kept


def said(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == code, result.output
    return result.output


def test_an_empty_store_says_what_fills_it() -> None:
    assert "The model store is empty; `alfred run` or `alfred demo` fills it." in said("models", "list")
    assert "the model store is empty" in said("models", "show", "champion", code=2)


def test_models_are_listed_with_their_figures(at_home: Ran) -> None:
    text = " ".join(said("models", "list").split())
    for analyst, seed in ((RIDGE, 0), (NETWORK, 0), (NETWORK, 1)):
        assert f"{at_home.name}/{analyst}/{seed}"[:30] in text
    assert "PM 1q" in text
    assert "kept" not in said("models", "list", "--family", "other")
    figures = {one.analyst: one.figures["mae"] for one in stored_models(at_home.home)}
    first = said("models", "list", "--sort", "mae").splitlines()[1]
    assert (RIDGE in first) == (figures[RIDGE] <= figures[NETWORK])
    first = said("models", "list", "--sort", "rank-ic").splitlines()[1]
    ranks = {one.analyst: one.figures["rank_ic"] for one in stored_models(at_home.home)}
    assert (RIDGE in first) == (ranks[RIDGE] >= ranks[NETWORK])


def test_a_model_is_shown_once_its_files_are_verified(at_home: Ran) -> None:
    text = " ".join(said("models", "show", f"kept/{NETWORK}/1").split())
    assert f"model {at_home.name}/{NETWORK}/1" in text
    assert "PM, 1 quarter(s) ahead, from 2 quarter(s)" in text
    assert "all as they were stored" in text
    assert "rank_ic" in text


def test_an_alias_is_given_told_and_withdrawn(at_home: Ran) -> None:
    text = said("models", "promote", f"kept/{RIDGE}")
    assert f"kept@champion is {at_home.name}/{RIDGE}/0." in text
    assert f"Its run grants {RIDGE} no skill:" in text
    text = said("models", "promote", f"kept/{NETWORK}/1")
    assert f"kept@champion is {at_home.name}/{NETWORK}/1 instead of {at_home.name}/{RIDGE}/0." in text
    assert "champion" in said("models", "list")
    assert "No model of kept is called champion now." in said("models", "promote", "champion", "--withdraw")
    assert "an alias is a word of small letters" in said("models", "promote", f"kept/{RIDGE}", "--as", "Best", code=2)


def test_nothing_is_deleted_before_yes_is_said(kept: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = beside(kept, tmp_path / "other")
    log_run(home, kept.folder)
    monkeypatch.setenv("ALFRED_HOME", str(home.root))
    assert "0 model(s), 0.0 MB, would be deleted" in said("models", "prune")
    text = said("models", "prune", "--keep", "0")
    assert f"{kept.name}/{RIDGE}/0" in text
    assert "3 model(s)" in text
    assert len(stored_models(home)) == 3
    assert "Deleted 3 model(s)" in said("models", "prune", "--keep", "0", "--yes")
    assert stored_models(home) == ()


def test_the_next_quarter_is_forecast_from_the_lake(at_home: Ran, tmp_path: Path) -> None:
    name, out = f"kept/{NETWORK}/1", tmp_path / "next.csv"
    assert "has prices of none of the model's names; name others" in said("models", "forecast", name, code=2)
    assert "has no prices of NOPE; fetch them first" in said("models", "forecast", name, "--symbols", "NOPE", code=2)
    text = said("models", "forecast", name, "--symbols", "AAPL,KO", "--csv", str(out))
    assert "taken as missing" in text
    rows = pl.read_csv(out)
    assert rows["symbol"].to_list() == ["AAPL", "KO"]
    assert rows["mean"].is_finite().all()
    assert f"PM 1 quarter(s) after {rows['as_of'][0]}, by {NETWORK}:" in text
    early = said("models", "forecast", name, "--symbols", "AAPL", "--as-of", "2010-03-31")
    assert "after 2010-03-31" in early
    assert "is no decision date of the panel" in said(
        "models", "forecast", name, "--symbols", "AAPL", "--as-of", "2010-03-30", code=2
    )


def test_experiments_of_a_family_become_a_page(at_home: Ran, tmp_path: Path) -> None:
    page = tmp_path / "deep" / "experiments.html"
    text = said("experiments", "--family", "kept", "--sort", "eval_rank_ic", "--html", str(page))
    assert f"Wrote {page}" in text.replace("\n", "")
    assert "sorted by eval_rank_ic" in page.read_text(encoding="utf-8")
    assert "There are no runs of the family 'other' yet" in said("experiments", "--family", "other")
    table = said("experiments", "--columns", "config_model_name,token,trials,deflated_sharpe", "--run", at_home.name)
    assert table.splitlines()[0] == "| model | family | trials | deflated_sharpe |"
    assert "| kept |" in table
