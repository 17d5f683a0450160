"""Explaining, ablating and selecting on a small study of real prices, run once."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from small_study import SMALL

from alfred.core.errors import ConfigError, DataError
from alfred.core.home import Home
from alfred.experiments import fitting
from alfred.experiments.ablating import AblateRequest, ablate
from alfred.experiments.counting import count
from alfred.experiments.explaining import ExplainRequest, explain_run, explained_analysts, load_explanation
from alfred.experiments.record import load_frame
from alfred.experiments.run import run_study
from alfred.experiments.selecting import SelectRequest, load_selection, select
from alfred.experiments.study import Study
from alfred.experiments.subject import subject_of_run, subject_of_study
from alfred.experiments.trials import TrialLedger
from alfred.report.explanation import write_explanation

NETWORK = "vanilla.small.tanh:size8-layers1"
STUDY = Study.parse(
    SMALL
    | {
        "train": {"epochs": 2, "batch_size": 64, "threads": 1},
        "splits": {"test_first": "2008-03-31", "test_quarters": 6, "valid_quarters": 4, "min_train_quarters": 12},
        "analysts": [{"name": "vanilla.small.tanh", "size": 8, "layers": 1}, {"name": "ridge"}],
        "evaluation": {"draws": 100},
    },
    "test",
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Path]:
    home = Home(tmp_path_factory.mktemp("explained"))
    return home, run_study(STUDY, home)


def test_ridge_is_explained(ran: tuple[Home, Path]) -> None:
    home, run = ran
    folder = explain_run(home, run, ExplainRequest(analyst="ridge", rows=60, control=2))
    about = load_explanation(folder)
    assert (about.analyst, about.rows, about.shuffles, about.noise) == ("ridge", 60, 2, 0.0)
    assert about.largest_gap < 1e-9
    values = pl.read_parquet(folder / "values.parquet")
    recorded = load_frame(run, "forecasts").filter(pl.col("analyst") == "ridge")
    both = values.join(recorded, on=["symbol", "as_of"])
    assert both.height == 60
    total = both["base"] + both["history"] + both.select(pl.sum_horizontal(pl.col("^value:.*$"))).to_series()
    assert np.allclose(total, both["mean"], rtol=1e-9)
    columns = pl.read_parquet(folder / "columns.parquet")
    assert columns["share"].sum() == pytest.approx(1.0)
    assert set(columns.columns) >= {"line", "above", "by_date", "control_importance"}
    assert [path.name for path in explained_analysts(run)] == ["ridge"]
    page = write_explanation(folder).read_text(encoding="utf-8")
    assert "What moves ridge most" in page
    assert 'data-plot="plot-columns"' in page
    assert "http://" not in page.split("<script")[0]


def test_a_network_of_the_run_is_explained_without_training(
    ran: tuple[Home, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, run = ran

    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("a kept analyst was trained again")

    monkeypatch.setattr(fitting, "fit_many", never)
    asked = ExplainRequest(analyst=NETWORK, rows=20, seed=1, control=0)
    about = load_explanation(explain_run(home, run, asked))
    assert about.seed == 1
    assert about.largest_gap < 1e-3
    assert about.method == "expected gradients"
    assert about.shuffles == 0


def test_an_analyst_that_was_not_kept_is_fitted_again_to_the_same(ran: tuple[Home, Path], tmp_path: Path) -> None:
    home, run = ran
    again = Home(tmp_path / "home")
    shutil.copytree(home.root, again.root)
    kept = list(again.stages.glob("analyst-*"))
    assert len(kept) >= 3 * len(STUDY.seeds)
    for folder in kept:
        shutil.rmtree(folder)
    explain_run(again, again.runs / run.name, ExplainRequest(analyst=NETWORK, rows=10))
    assert list(again.stages.glob("analyst-*"))


def test_one_name_and_date(ran: tuple[Home, Path]) -> None:
    home, run = ran
    name = subject_of_run(home, run).walk.evaluation[0]
    asked = ExplainRequest(analyst="ridge", symbols=(name,), since="2010-01-01", until="2010-12-31", control=0)
    folder = explain_run(home, run, asked)
    values = pl.read_parquet(folder / "values.parquet")
    assert values["symbol"].unique().to_list() == [name]
    assert values.height == 4
    with pytest.raises(ConfigError, match=r"the run forecasts no ZZZ; "):
        explain_run(home, run, ExplainRequest(symbols=("ZZZ",)))
    with pytest.raises(ConfigError, match=r"no test forecast is left of those meant; test dates run from 2008-03-31"):
        explain_run(home, run, ExplainRequest(since="2030-01-01"))
    with pytest.raises(
        ConfigError, match=r"there is no analyst 'rigde' among those of the study; did you mean 'ridge'"
    ):
        explain_run(home, run, ExplainRequest(analyst="rigde"))
    with pytest.raises(ConfigError, match=r"ridge was not fitted with the seed 7"):
        explain_run(home, run, ExplainRequest(analyst="ridge", seed=7))


def test_other_forecasts_than_the_recorded_are_not_explained(ran: tuple[Home, Path], tmp_path: Path) -> None:
    home, run = ran
    copy = tmp_path / run.name
    shutil.copytree(run, copy)
    forecasts = load_frame(copy, "forecasts").with_columns(pl.col("mean") * 1.01)
    forecasts.write_parquet(copy / "forecasts.parquet")
    with pytest.raises(DataError, match=r"ridge forecasts .* recorded .*Run the study again"):
        explain_run(home, copy, ExplainRequest(analyst="ridge", rows=5, control=0))
    record = json.loads((copy / "run.json").read_text(encoding="utf-8"))
    record["panel"]["digest"] = "0" * 32
    (copy / "run.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(DataError, match=r"the panel of .* cannot be made again"):
        explain_run(home, copy, ExplainRequest(analyst="ridge"))


def test_ablation_of_columns_and_families(ran: tuple[Home, Path]) -> None:
    home, run = ran
    subject = subject_of_run(home, run, NETWORK)
    found = ablate(subject, AblateRequest(ways=("mean", "permute"), by="family", repeats=2))
    assert (found.part, found.seeds, found.analyst) == ("validation", (0, 1), NETWORK)
    assert {(one.what, one.way) for one in found.ablated} == {("price", "mean"), ("price", "permute")}
    assert all(one.loss.over_seeds is not None for one in found.ablated)
    ridge = ablate(subject_of_run(home, run, "ridge"), AblateRequest(ways=("retrain", "mean"), part="test", folds=1))
    assert ridge.part == "test"
    assert ridge.first == "2008-03-31"
    changes = {one.what: one.loss.change for one in ridge.ablated if one.way == "retrain"}
    assert len(changes) == len({one.what for one in ridge.ablated if one.way == "mean"})
    assert len(set(changes.values())) > 1
    assert ridge.frame().height == len(ridge.ablated)


def test_what_is_fitted_anew_is_a_trial(ran: tuple[Home, Path]) -> None:
    """Leaving a column out is another configuration, whichever rows it is looked at on, and however often."""
    home, run = ran
    ledger = TrialLedger.open(home)
    subject = subject_of_run(home, run, "ridge")
    request = AblateRequest(ways=("retrain", "mean"), folds=1)
    found = ablate(subject, request)
    columns = {one.what for one in found.ablated if one.way == "retrain"}
    ablate(subject, request)
    new = [trial for trial in ledger.trials("small") if " without " in trial.analyst]
    assert {trial.analyst for trial in new} == {f"ridge without {name}" for name in columns}
    assert {trial.status for trial in new} == {"finished"}
    assert found.counted == len(new) > 1
    assert count(home, "small").untraded == len(new)
    loss = {one.what: one.loss.change for one in found.ablated if one.way == "retrain"}
    told = {trial.analyst.removeprefix("ridge without "): trial.figures for trial in new}
    assert {name: figures["validation.loss_change"] for name, figures in told.items()} == loss


def test_a_run_that_looked_into_a_vault_is_not_ablated(ran: tuple[Home, Path]) -> None:
    home, run = ran
    sealed = replace(subject_of_run(home, run, "ridge"), sealed=True)
    for part in ("validation", "test"):
        with pytest.raises(DataError, match="looked into a vault, whose quarters are for one look alone; ablate the"):
            ablate(sealed, AblateRequest(ways=("mean",), part=part))


def test_naive_loses_nothing(ran: tuple[Home, Path]) -> None:
    home, run = ran
    found = ablate(subject_of_run(home, run, "naive"), AblateRequest(ways=("mean",)))
    assert {one.loss.change for one in found.ablated} == {0.0}


def test_ablation_of_a_study_without_a_run(tmp_path: Path) -> None:
    subject = subject_of_study(Home(tmp_path), STUDY, "ridge")
    assert ablate(subject, AblateRequest(ways=("mean",), by="family", folds=2)).rows > 0


def test_selection_is_judged_on_later_quarters(ran: tuple[Home, Path]) -> None:
    home, _ = ran
    before = TrialLedger.open(home).count(STUDY.counted_as)
    found, smaller = select(STUDY, home, SelectRequest(analyst="ridge", rule="loss", repeats=2))
    assert found.kept
    assert found.dropped
    assert np.datetime64(found.chosen_until) < np.datetime64(found.verified_from)
    assert smaller is not None
    assert smaller.panel.features == found.kept
    assert smaller.counted_as == STUDY.counted_as
    assert smaller.splits.test_first == found.verified_from
    assert set(found.effects) == {"loss", "f1", "rank_ic"}
    judged = home.runs / found.smaller
    assert load_selection(judged) == found
    assert min(load_frame(judged, "forecasts")["as_of"].cast(pl.String)) == found.verified_from
    assert TrialLedger.open(home).count(STUDY.counted_as) == before + 2
    assert found.verdict.startswith(f"{len(found.kept)} of {len(found.kept) + len(found.dropped)} columns are kept")


def test_nothing_to_select(ran: tuple[Home, Path]) -> None:
    home, _ = ran
    found, smaller = select(STUDY, home, SelectRequest(analyst="naive", shuffles=1, rows=20))
    assert (found.kept, smaller) == ((), None)
    assert found.verdict.endswith("naive learnt nothing that noise does not.")
    with pytest.raises(ConfigError, match=r"a choice needs a whole fold before the quarters that judge it"):
        select(STUDY, home, SelectRequest(analyst="ridge", verify_from="2008-03-31"))
