"""One configuration: what it is judged by lies before the test, and is the mean over its fits."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from small_study import SMALL

from alfred.core.errors import DataError, LeakError
from alfred.core.home import Home
from alfred.core.progress import Silent
from alfred.evaluation.scorecard import quarter_table
from alfred.experiments.run import walk_of
from alfred.experiments.sweeps.settings import Sweep
from alfred.experiments.sweeps.trial import Bench, Outcome, selection_folds, try_out

NETWORK = {"name": "vanilla.small.tanh", "size": 8, "layers": 2}
STUDY: dict[str, Any] = {
    **SMALL,
    "analysts": [NETWORK],
    "train": {"epochs": 3, "patience": 3, "batch_size": 64, "threads": 1},
    "panel": {"features": ["momentum_12_1", "price_change_term_*"]},
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Lake and panel for all of them."""
    return Bench(Home(tmp_path_factory.mktemp("home")))


def sweep_of(**more: Any) -> Sweep:
    form = {"name": "s", "study": STUDY, "space": {"train.epochs": [3]}, "folds": 2, **more}
    return Sweep.parse(form, "s")


def outcome(sweep: Sweep, bench: Bench, report: Callable[[tuple[float, ...]], bool] = lambda _: False) -> Outcome:
    return try_out(sweep, sweep.configured({"train.epochs": 3}), bench, report)


def test_the_rows_looked_at_lie_before_the_first_test_quarter(bench: Bench) -> None:
    study = sweep_of().base
    panel = bench.prepared(study).panel
    folds, until = selection_folds(study, panel, 3)
    assert until == dt.date(2008, 3, 31)
    valid = [[str(panel.dates[at]) for at in fold.valid] for fold in folds]
    assert [(dates[0], dates[-1], len(dates)) for dates in valid] == [
        ("2007-03-30", "2007-12-31", 4),
        ("2006-03-31", "2006-12-29", 4),
        ("2005-03-31", "2005-12-30", 4),
    ]
    assert all(fold.train.max() < fold.valid.min() for fold in folds)
    found = outcome(sweep_of(folds=3), bench)
    assert min(found.quarters) == "2005-03-31"
    assert max(found.quarters) == "2007-12-31"
    assert found.last_label == "2008-03-31"
    with pytest.raises(DataError, match=r"folds = 9 asks for more validation periods than there are before the first"):
        selection_folds(study, panel, 9)


def test_the_objective_is_the_mean_over_folds_and_seeds(bench: Bench) -> None:
    sweep = sweep_of()
    found = outcome(sweep, bench)
    study = sweep.base
    prepared = bench.prepared(study)
    walk = walk_of(study, prepared, bench.home)
    folds, _ = selection_folds(study, prepared.panel, 2)
    by_hand, by_quarter = [], []
    for fold in folds:
        for seed in study.seeds:
            rows = walk.validation(study.analysts[0].model_copy(update={}), [fold], [seed], Silent())
            table = quarter_table(rows)
            by_hand.append(float(np.mean(table["rank_ic"].to_list())))
            by_quarter.append(table)
    assert found.value == pytest.approx(np.mean(by_hand), abs=1e-12)
    assert found.reports == pytest.approx(np.cumsum(by_hand) / np.arange(1, 5), abs=1e-12)
    assert found.fits == (4, 4)
    first = pl.concat(by_quarter).group_by("as_of").agg(pl.col("rank_ic").mean()).sort("as_of")
    assert list(found.quarters.values()) == pytest.approx(first["rank_ic"].to_list())
    assert {"rank_ic", "accuracy", "loss"} == set(found.figures)


def test_one_by_one_or_together_the_figures_are_equal(bench: Bench, tmp_path: Path) -> None:
    together = outcome(sweep_of(), bench)
    again = Bench(Home(tmp_path))
    heard: list[tuple[float, ...]] = []
    single = outcome(
        sweep_of(pruning={"method": "median"}), again, lambda reports: bool(heard.append(reports)) and False
    )
    assert single == together
    assert heard == [single.reports[:at] for at in (1, 2, 3)]


def test_what_is_given_up_makes_no_more_fits(bench: Bench, tmp_path: Path) -> None:
    own = Bench(Home(tmp_path))
    found = outcome(sweep_of(pruning={"method": "asha"}), own, lambda reports: len(reports) == 2)
    assert found.pruned
    assert found.fits == (2, 4)
    assert len(found.reports) == 2
    assert len(list(own.home.stages.glob("fit-*"))) == 2


def test_the_loss_is_the_one_that_it_trains_on(bench: Bench) -> None:
    found = outcome(sweep_of(objective="loss"), bench)
    assert found.value == pytest.approx(found.figures["loss"])
    assert found.value == pytest.approx(
        np.mean([value for value in found.quarters.values() if value is not None]), rel=1e-6
    )


def test_a_label_of_the_test_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = sweep_of(folds=1)
    study = sweep.base
    folds, until = selection_folds(study, bench.prepared(study).panel, 1)
    later = until - dt.timedelta(days=100)
    monkeypatch.setattr("alfred.experiments.sweeps.trial.selection_folds", lambda *_: (folds, later))
    with pytest.raises(
        LeakError, match=r"a label of the validation rows is realised on 2008-03-31, after the first test"
    ):
        outcome(sweep, bench)


def test_a_key_is_of_what_is_learnt(bench: Bench) -> None:
    sweep = sweep_of()
    key = bench.key(sweep, sweep.base)
    assert bench.key(sweep, sweep.configured({"name": "other", "evaluation.draws": 500, "family": "small"})) == key
    changes: list[dict[str, Any]] = [{"train.epochs": 4}, {"family": "x"}, {"data.until": "2013-12-31"}, {"seeds": [0]}]
    keys = {bench.key(sweep, sweep.configured(change)) for change in changes}
    other = {bench.key(one, one.base) for one in (sweep_of(folds=1), sweep_of(pruning={"method": "asha"}))}
    assert len({key, *keys, *other}) == 7
