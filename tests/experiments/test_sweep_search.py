"""What Optuna decides from the table of trials is what it decides in a study of its own."""

import optuna
import pytest
from small_study import SMALL

from alfred.experiments.sweeps.queue import FINISHED, PRUNED, RUNNING, Row
from alfred.experiments.sweeps.search import STARTUP, hopeless, propose
from alfred.experiments.sweeps.settings import Sweep
from alfred.experiments.sweeps.space import draws, mark

STUDY = {**SMALL, "analysts": [{"name": "ridge"}]}
SPACES = [
    {"train.learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}, "train.batch_size": [32, 64, 128]},
    {"splits.valid_quarters": {"low": 2, "high": 12, "step": 2}, "panel.features": [["*"], ["momentum*"]]},
]
FINAL = {"asha": [0.9, 0.8, 0.1, 0.2, 0.95, 0.5, 0.97, 0.3], "median": [0.5, 0.4, 0.6, 0.5, 0.1, 0.7, 0.45, 0.9]}


def sweep_of(**more: object) -> Sweep:
    return Sweep.parse({"name": "s", "study": STUDY, "space": SPACES, "method": "tpe", "trials": 60, **more}, "s")


def row_of(number: int, point: dict[str, object], value: float | None, **more: object) -> Row:
    form = {
        "number": number, "key": str(number), "point": point, "state": FINISHED, "owner": "", "deaths": 0, "began": 0.0,
        "ended": 0.0, "reports": (), "result": {} if value is None else {"value": value}, "error": "",
    }  # fmt: skip
    return Row(**{**form, **more})  # type: ignore[arg-type]


def worth(point: dict[str, object]) -> float:
    """Best near a learning rate of 0.01 in the first space."""
    rate = point.get("train.learning_rate")
    return -1.0 if rate is None else -((float(str(rate)) - 0.01) ** 2) * 1e4 + (point["train.batch_size"] == 64)


def searched(sweep: Sweep, trials: int) -> list[Row]:
    rows: list[Row] = []
    for number in range(trials):
        point = propose(sweep, rows, number)
        assert point is not None
        rows.append(row_of(number, point, worth(point)))
    return rows


def test_tpe_looks_near_what_was_good_and_repeats_itself() -> None:
    sweep = sweep_of()
    rows = searched(sweep, 40)
    assert [row.point for row in rows[:STARTUP]] == list(draws(sweep))[:STARTUP]
    assert len({mark(row.point) for row in rows}) == 40
    late = [row.result["value"] for row in rows[-15:]]
    early = [row.result["value"] for row in rows[:STARTUP]]
    assert sum(late) / len(late) > sum(early) / len(early)
    assert propose(sweep, rows, 40) == propose(sweep, rows, 40)
    assert propose(sweep, rows, 40) != propose(sweep_of(seed=1), rows, 40)
    assert all(isinstance(row.point.get("panel.features", ["*"]), list) for row in rows)


def test_a_searched_space_ends_when_everything_was_tried() -> None:
    sweep = sweep_of(space={"train.batch_size": [32, 64]})
    rows = searched(sweep, 2)
    assert propose(sweep, rows, 2) is None
    assert propose(sweep, [*rows], STARTUP + 3) is None


def test_an_undefined_objective_does_not_stop_the_search() -> None:
    sweep = sweep_of()
    rows = [*searched(sweep, 12), row_of(12, {"train.learning_rate": 0.5e-3, "train.batch_size": 32}, None)]
    assert propose(sweep, rows, 13) is not None


@pytest.mark.parametrize("rises", [True, False])
@pytest.mark.parametrize("method", ["asha", "median"])
def test_pruning_is_optunas(method: str, rises: bool) -> None:
    """Eight configurations one after the other: given up after the same fits as by Optuna's own loop."""
    more = {"method": "grid", "trials": None, "space": {"train.epochs": list(range(1, 9))}}
    pruning = {"method": method, "after": 1, "factor": 2, "startup": 3}
    objective = "rank_ic" if rises else "loss"
    sweep = sweep_of(**more, pruning=pruning, objective=objective)
    pruner = (
        optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)
        if method == "asha"
        else optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=0)
    )
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize" if rises else "minimize", pruner=pruner)
    own: list[int] = []
    rows: list[Row] = []
    theirs: list[int] = []
    for number, level in enumerate(FINAL[method]):
        reports = [level * (0.8 + 0.05 * step) for step in range(4)]
        trial = study.ask()
        stopped = 0
        for step, value in enumerate(reports, 1):
            trial.report(value, step)
            if trial.should_prune():
                stopped = step
                break
        theirs.append(stopped)
        study.tell(trial, None if stopped else reports[-1], state=optuna.trial.TrialState.PRUNED if stopped else None)

        point: dict[str, object] = {"train.epochs": number + 1}
        given_up = 0
        for step in range(1, 5):
            running = row_of(number, point, None, state=RUNNING, reports=tuple(reports[:step]))
            if hopeless(sweep, [*rows, running], number):
                given_up = step
                break
        own.append(given_up)
        state = PRUNED if given_up else FINISHED
        rows.append(row_of(number, point, None if given_up else reports[-1], state=state, reports=running.reports))
    assert own == theirs
    assert any(own)
    assert not all(own)


def test_nothing_is_given_up_without_a_rule_or_before_its_time() -> None:
    rows = [row_of(n, {"train.epochs": n + 1}, 1.0, reports=(1.0, 1.0, 1.0)) for n in range(6)]
    bad = row_of(6, {"train.epochs": 7}, None, state=RUNNING, reports=(-9.0,))
    space = {"method": "grid", "trials": None, "space": {"train.epochs": list(range(1, 9))}}
    assert not hopeless(sweep_of(**space), [*rows, bad], 6)
    assert not hopeless(sweep_of(**space, pruning={"method": "asha", "after": 2}), [*rows, bad], 6)
    assert hopeless(sweep_of(**space, pruning={"method": "asha", "after": 1}), [*rows, bad], 6)
