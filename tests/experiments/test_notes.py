"""The notes' protocol and its way down: what each defect does to the data, and that shares are those of the fall."""

import ast
import datetime as dt
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from small_study import small_study

import alfred.experiments
from alfred.core.contracts import Windows
from alfred.core.errors import ConfigError, LeakError
from alfred.core.home import Home
from alfred.evaluation.bootstrap import seed_interval
from alfred.experiments import _notes_defects as defects
from alfred.experiments._notes_defects import LADDER
from alfred.experiments._notes_fits import Protocols
from alfred.experiments.counting import trials_of
from alfred.experiments.notes import Waterfall, rerun_notes
from alfred.experiments.prepared import read_inputs
from alfred.experiments.stages import Stages
from alfred.experiments.study import Study, load_study
from alfred.experiments.trials import TrialLedger
from alfred.lake.tables import TABLES
from alfred.panel.panel import Labels, Panel
from alfred.panel.tables import Tables
from alfred.training.rows import require_fit_rows

NAN = np.nan
STUDIES = Path(next(iter(alfred.experiments.__path__))) / "studies"
NETWORK = {"name": "vanilla.small.tanh", "label": "PM", "loss": "huber-sign", "size": 64, "layers": 2}


def notes_study(**changes: object) -> Study:
    settings = {
        "name": "notes",
        "panel": {"features": ["*", "Close"]},
        "splits": {"test_first": "2008-03-31", "test_quarters": 28, "valid_quarters": 4, "min_train_quarters": 12},
        "train": {"epochs": 50, "patience": 50, "batch_size": 64, "learning_rate": 2e-3, "threads": 1},
        "analysts": [NETWORK],
    }
    return small_study(**{**settings, **changes})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def waterfall(home: Home) -> Waterfall:
    return Waterfall.load(rerun_notes(notes_study(), home))


def test_every_defect_is_removed_once_in_its_order(waterfall: Waterfall) -> None:
    assert [step.removed for step in waterfall.steps] == [None, *LADDER]
    assert [defect.row for defect in LADDER] == [15, 1, 2, 3, 4, 5, 6, 7, 12, 13, None]
    assert len(waterfall.seeds) == 2
    assert (waterfall.first, waterfall.last) == ("2008-03-31", "2014-12-31")
    assert waterfall.survivors_only


def test_the_shares_are_those_of_the_fall(waterfall: Waterfall) -> None:
    steps = waterfall.steps
    assert sum(step.share for step in steps) == pytest.approx(1.0)
    for before, step in itertools.pairwise(steps):
        assert step.sign_accuracy.value - before.sign_accuracy.value == pytest.approx(step.change.value, abs=1e-12)
    fall = steps[0].sign_accuracy.value - steps[-1].sign_accuracy.value
    assert [step.share * fall for step in steps[1:]] == pytest.approx([-step.change.value for step in steps[1:]])


def test_the_names_judged_are_those_of_the_protocol(waterfall: Waterfall) -> None:
    names = [set(step.names) for step in waterfall.steps]
    training, evaluation = names[0], names[-1]
    assert names[1] == training
    assert not training & evaluation
    assert len(names[2] & training) == 2
    assert len(names[2]) == 6
    assert all(one == evaluation for one in names[3:])
    # The last quarter has no label yet.
    assert {(step.rows, step.quarters) for step in waterfall.steps} == {(6 * 27, 27)}
    assert {step.always_up for step in waterfall.steps[3:]} == {waterfall.steps[-1].always_up}


def test_training_rows_learnt_by_heart_look_like_skill(waterfall: Waterfall) -> None:
    first, last = waterfall.steps[0], waterfall.steps[-1]
    assert first.sign_accuracy.value > 0.85
    assert first.sign_accuracy.over_seeds is None
    assert last.sign_accuracy.value < 0.7
    assert first.sum_of_trades_pct.value > 5 * abs(last.sum_of_trades_pct.value)
    assert set(waterfall.benchmarks) == {"buy and hold", "1/N", "index"}


def test_what_the_data_give_nothing_to_act_on_has_no_share(waterfall: Waterfall) -> None:
    filings = next(step for step in waterfall.steps if step.removed == defects.PERIOD_END)
    assert filings.idle
    assert filings.share == 0.0
    assert filings.change.value == 0.0
    acting = [defects.SAME_QUARTERS, defects.SCALED_ON_ALL, defects.NO_GRADIENT, defects.TRAINING_LOSS, defects.LEVELS]
    assert not any(step.idle for step in waterfall.steps if step.removed in acting)


def test_intervals_over_seeds_are_paired(waterfall: Waterfall) -> None:
    step = waterfall.steps[-1]
    assert step.change.over_seeds is not None
    assert step.change.over_seeds.lower <= step.change.value <= step.change.over_seeds.upper
    same = seed_interval(np.array([0.1, 0.1]), 0.95)
    assert (same.lower, same.upper) == (0.1, 0.1)


def test_the_honest_step_is_a_trial_the_same_as_a_runs(home: Home, waterfall: Waterfall) -> None:
    (trial,) = TrialLedger.open(home).trials("notes")
    assert (trial.status, trial.analyst) == ("finished", waterfall.analyst)
    assert trial.figures["test.sign_accuracy"] == waterfall.steps[-1].sign_accuracy.value
    assert trial.seen_until[:10] == "2014-12-31"
    inputs = read_inputs(notes_study(), home)
    (of_run,) = trials_of(notes_study(), inputs, "digest", notes_study().universe.protocol)
    assert of_run.key == trial.key


def test_a_repeat_takes_it_up(home: Home, waterfall: Waterfall) -> None:
    folder = rerun_notes(notes_study(), home)
    assert folder.parent == home.notes
    assert Waterfall.load(folder) == waterfall


def test_the_last_protocol_is_that_of_a_run(home: Home, waterfall: Waterfall) -> None:
    """Without any defect it forecasts what `alfred run` of the same study and columns does, to the last bit."""
    from alfred.core.progress import Silent
    from alfred.experiments.prepared import inputs_of, prepare
    from alfred.experiments.run import walk_of

    study = notes_study(panel={"features": ["*"]})
    inputs = read_inputs(study, home)
    made = Protocols(study, inputs, Stages(home.stages)).forecast((), 1)
    honest = replace(inputs, tables=defects.with_fund(inputs_of(study, inputs.market).tables), digest="with fund")
    walk = walk_of(study, prepare(study, home, honest), home)
    run = walk.forecast(study.analysts[0], [1], Silent())[1]
    keys = ["as_of", "symbol"]
    own = made.rows.filter(pl.col("symbol").is_in(walk.evaluation)).sort(keys).select(*keys, "mean", "PM")
    assert own.equals(run.sort(keys).select(own.columns))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"analysts": [{"name": "ridge"}]}, "with one network that forecasts PM, got ridge"),
        ({"analysts": [{"name": "vanilla.small"}]}, "with one network that forecasts PM, got vanilla.small"),
        (
            {"universe": {"training": ["AAPL", "GE"], "protocol": "same-tickers-other-years"}},
            "protocol is same-tickers-other-years; give it two disjoint baskets",
        ),
        ({"splits": {}, "universe": {"training": ["AAPL"], "evaluation": ["GE"]}}, "set splits.test_first"),
    ],
)
def test_a_study_that_is_not_the_notes_is_refused(home: Home, changes: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        rerun_notes(notes_study(**changes), home)


def test_nothing_else_imports_the_defects() -> None:
    root = Path(next(iter(alfred.experiments.__path__))).parent
    importers = set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found = [node.module or "", *(name.name for name in node.names)] if isinstance(node, ast.ImportFrom) else []
            found += [name.name for name in node.names] if isinstance(node, ast.Import) else []
            if any("_notes_" in name for name in found):
                importers.add(path.relative_to(root).as_posix())
    assert importers == {"experiments/notes.py", "experiments/_notes_fits.py"}


def panel(values: list[list[float]], listed: list[list[bool]] | None = None) -> Panel:
    """One feature of two names."""
    cells = np.array(values)[:, :, None]
    dates = np.array(["2000-03-31", "2000-06-30", "2000-09-29"], "datetime64[D]")
    there = np.ones(cells.shape[:2], np.bool_) if listed is None else np.array(listed)
    labels = Labels(1, dates, {"PM": np.zeros(cells.shape[:2])})
    return Panel(dates, ("A", "B"), ("drawdown",), cells, there, labels, {})


def test_row_4_fills_from_the_future() -> None:
    found = defects.row_4_filled_backwards(
        panel([[NAN, NAN], [NAN, 2.0], [3.0, NAN]], [[True, False], [True, True], [True, True]])
    )
    np.testing.assert_array_equal(found.values[:, :, 0], [[3.0, NAN], [3.0, 2.0], [3.0, NAN]])


def test_row_5_writes_zeros() -> None:
    found = defects.row_5_zeros(
        panel([[NAN, NAN], [1.0, NAN], [3.0, 2.0]], [[True, False], [True, True], [True, True]])
    )
    np.testing.assert_array_equal(found.values[:, :, 0], [[0.0, NAN], [1.0, 0.0], [3.0, 2.0]])


def test_row_6_knows_the_last_vintage_on_the_day_its_period_ends() -> None:
    facts = pl.DataFrame(
        {
            "symbol": ["A"] * 2, "concept": ["Revenues"] * 2, "period_end": [dt.date(2010, 3, 31)] * 2,
            "period_kind": ["quarter"] * 2, "source": ["edgar"] * 2, "value": [1.0, 2.0], "unit": ["USD"] * 2,
            "form": ["10-Q", "10-Q/A"], "accession": ["1", "2"],
            "known_at": [dt.datetime(2010, 5, 10, tzinfo=dt.UTC), dt.datetime(2011, 5, 10, tzinfo=dt.UTC)],
        },
        schema_overrides={"known_at": pl.Datetime("us", "UTC")},
    )  # fmt: skip
    tables = Tables(bars=pl.DataFrame(), market=pl.DataFrame(), facts=TABLES["facts"].conform(facts))
    (row,) = defects.row_6_known_at_period_end(tables).facts.rows(named=True)
    assert (row["value"], row["known_at"]) == (2.0, dt.datetime(2010, 3, 31, tzinfo=dt.UTC))


def test_row_2_puts_two_training_names_into_the_evaluation() -> None:
    assert defects.row_2_shared(("A", "B", "C", "D"), ("K", "L", "M", "N")) == ("K", "L", "B", "C")


def test_row_13_passes_the_guard_that_refuses_training_rows() -> None:
    """The guard stands; what it is shown is forged."""
    train = Windows.of(
        x=np.ones((3, 1, 1), np.float32), seen=np.ones((3, 1), np.bool_), columns=("a",),
        dates=np.array(["2000-03-31", "2000-06-30", "2000-09-29"], "datetime64[D]"),
        symbols=np.array(["A", "A", "A"]), target="PM", y=np.array([0.1, -0.1, 0.2]),
    )  # fmt: skip
    with pytest.raises(LeakError, match="3 validation rows are training rows too"):
        require_fit_rows(train, train)
    forged = defects.row_13_training_rows_to_choose_by(train)
    require_fit_rows(train, forged)
    assert forged.y is train.y
    assert forged.cells is train.cells


def test_the_fund_is_the_index_where_there_is_none() -> None:
    known = [dt.datetime(2000, 3, 31, 21, tzinfo=dt.UTC)]
    market = pl.DataFrame({"date": [dt.date(2000, 3, 31)], "value": [9.0], "known_at": known}).with_columns(
        pl.col("known_at").cast(pl.Datetime("us", "UTC"))
    )
    tables = defects.with_fund(Tables(bars=pl.DataFrame(), market=market))
    assert tables.series.select("series", "value").rows() == [("SPY", 9.0)]
    assert defects.with_fund(tables) is tables


def test_levels_go_where_they_know_the_future() -> None:
    both = replace(panel([[1.0, 1.0]] * 3), features=("Close", "drawdown"), values=np.arange(12.0).reshape(3, 2, 2))
    found = defects.without_levels(both)
    assert found.features == ("drawdown",)
    np.testing.assert_array_equal(found.values, both.values[:, :, 1:])


@pytest.mark.slow
def test_the_notes_figure_and_the_honest_one_on_the_sample(home: Home) -> None:
    """Issue 6: above 90% in-sample under the notes' protocol, within a few points of always up under the honest one."""
    study = load_study(STUDIES / "notes.toml", ["seeds=[0]", "train.threads=1"])
    protocols = Protocols(study, read_inputs(study, home), Stages(home.stages))
    accuracy, up = {}, {}
    for name, present in (("notes", LADDER), ("honest", ())):
        rows = protocols.forecast(present, 0).rows.filter(
            pl.col("symbol").is_in(protocols.evaluated(present)), pl.col("PM").is_not_null()
        )
        accuracy[name] = rows.select(((pl.col("mean") > 0) == (pl.col("PM") > 0)).mean()).item()
        up[name] = rows.select((pl.col("PM") > 0).mean()).item()
    assert accuracy["notes"] > 0.9
    assert abs(accuracy["honest"] - up["honest"]) < 0.05
