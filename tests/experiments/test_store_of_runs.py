"""A study's models restored where nothing but their files is known: another process, the same forecasts."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from stored_run import STUDY, Heard

from alfred.core.home import Home
from alfred.experiments.models import evaluate_model, train_model
from alfred.experiments.prepared import prepare
from alfred.experiments.record import load_frame
from alfred.experiments.run import run_study
from alfred.experiments.store import MODELS, analyst_from_store, stored_models
from alfred.experiments.tracking import tracking
from alfred.experiments.trials import TrialLedger

pytestmark = pytest.mark.slow

STRANGER = """
import sys
from pathlib import Path
from alfred.core.home import home
from alfred.experiments.store import analyst_from_store, stored_models
from alfred.panel.panel import Panel
import polars as pl

panel, dates, out = Panel.load(Path(sys.argv[1])), sys.argv[2].split(), Path(sys.argv[3])
frames = []
for model in stored_models(home()):
    restored = analyst_from_store(model.name, home())
    for date in dates:
        found = restored.forecast(panel, date, restored.about.evaluation)
        frames.append(found.with_columns(analyst=pl.lit(model.analyst), seed=pl.lit(model.seed)))
pl.concat(frames).write_parquet(out)
"""


def test_a_fresh_process_forecasts_as_the_run_did_to_the_last_bit(tmp_path: Path) -> None:
    home, heard = Home(tmp_path / "home"), Heard()
    folder = run_study(STUDY, home, heard)
    rows = load_frame(folder, "forecasts")
    last = rows.filter(pl.col("fold") == rows["fold"].max())
    dates = sorted({str(date) for date in last["as_of"]})
    # The stranger has the panel's raw quarters and the store, and none of the run's other files.
    prepare(STUDY, home).panel.save(tmp_path / "panel")
    for part in ("runs", "stages", "lake"):
        (home.root / part).rename(tmp_path / f"hidden-{part}")
    out = tmp_path / "found.parquet"
    environment = {**os.environ, "ALFRED_HOME": str(home.root), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", STRANGER, str(tmp_path / "panel"), " ".join(dates), str(out)]
    subprocess.run(command, check=True, env=environment, cwd=tmp_path)
    found = pl.read_parquet(out)
    keys = ["analyst", "seed", "symbol", "as_of"]
    both = last.join(found.select(*keys, pl.col("mean").alias("again")), on=keys, how="left")
    assert len(found) == len(last) == len(both)
    assert both["analyst"].n_unique() == 6
    assert both["again"].to_list() == both["mean"].to_list()


def test_a_repeat_and_a_longer_study_store_what_they_should(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    short = STUDY.model_copy(update={"analysts": STUDY.analysts[:1]})
    folder = run_study(short, home)
    listed = json.loads((folder / MODELS).read_text())
    assert [(one["analyst"], one["seed"]) for one in listed] == [("naive", 0), ("ridge:quarters3", 0)]
    assert len(stored_models(home)) == 2
    # One more seed and analyst: another run, whose own models are stored beside the first's.
    longer = STUDY.model_copy(update={"analysts": STUDY.analysts[:2]})
    heard = Heard()
    other = run_study(longer, home, heard)
    assert not any("not in the model store" in line for line in heard.said)
    models = stored_models(home)
    assert {one.run for one in models} == {folder.name, other.name}
    assert len(models) == 2 + 5
    assert TrialLedger(tracking(home)).count("kept") == 2


def test_a_stage_without_a_model_is_made_again(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    short = STUDY.model_copy(update={"analysts": STUDY.analysts[:1]})
    folder = run_study(short, home)
    (kept,) = home.stages.glob("model-ridge*")
    shutil.rmtree(kept)
    shutil.rmtree(folder)
    before = {path.name: path.stat().st_mtime_ns for path in home.stages.glob("fit-ridge*")}
    run_study(short, home)
    assert kept.is_dir()
    assert {path.name: path.stat().st_mtime_ns for path in home.stages.glob("fit-ridge*")} == before


def test_a_model_of_words_is_stored_with_the_run_that_evaluates_it(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    splits = STUDY.splits.model_copy(update={"test_quarters": "all"})
    study = STUDY.model_copy(update={"analysts": STUDY.analysts[:1], "seeds": (0,), "splits": splits})
    model, _ = train_model(study, home)
    folder = evaluate_model(study, home)
    (stored,) = [one for one in stored_models(home) if one.analyst == "ridge:quarters3"]
    assert stored.run == folder.name
    restored = analyst_from_store(stored.name, home)
    panel = prepare(study, home).panel
    rows = load_frame(folder, "forecasts").filter(pl.col("analyst") == "ridge:quarters3")
    date = rows["as_of"].max()
    found = restored.forecast(panel, str(date), restored.about.evaluation)
    assert found["mean"].to_list() == rows.filter(pl.col("as_of") == date)["mean"].to_list()
    assert model.record.fold.train_last >= restored.about.train_last
