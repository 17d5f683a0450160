"""The study of the notes' table, from end to end on the sample's prices; small, so that it only shows that it runs."""

from importlib.resources import files
from pathlib import Path

import pytest

from alfred.core.home import Home
from alfred.experiments.listing import list_experiments
from alfred.experiments.run import run_study
from alfred.experiments.study import load_study

SMALL = (
    "data.provider=sample", "data.since=2006-01-03", "universe.scan.evaluation_start=GE", "universe.scan.n=3",
    "splits.test_first=2018-03-31", "splits.test_quarters=all", "universe.scan.as_of=2017-12-29", "train.epochs=1",
    "seeds=[5, 7]", "evaluation.draws=200", 'backtest.strategies=["simple"]',
)  # fmt: skip


@pytest.mark.slow
def test_the_grids_cells_have_the_notes_columns_with_intervals(tmp_path: Path) -> None:
    whole = load_study(Path(str(files("alfred.experiments") / "studies" / "grid.toml")), SMALL)
    study = whole.model_copy(update={"analysts": tuple(spec for spec in whole.analysts if spec.size != 64)})
    home = Home(tmp_path)
    run_study(study, home)
    found = list_experiments(home).experiments
    assert len(found) == 1 + len(study.analysts)
    cells = {(one.model, one.quarters, one.size, one.seed_values) for one in found if one.size is not None}
    assert cells == {(spec.name, spec.quarters, spec.size, "5 7") for spec in study.analysts if spec.size is not None}
    for one in found:
        row = one.cells()
        assert one.label == "PM"
        for name in ("eval_loss", "mae", "pearson", "r2", "sign_accuracy"):
            assert row[f"{name}_lower"] <= row[name] <= row[f"{name}_upper"], (one.analyst, name)
            assert row[f"{name}_seeds_lower"] <= row[name] <= row[f"{name}_seeds_upper"], (one.analyst, name)
