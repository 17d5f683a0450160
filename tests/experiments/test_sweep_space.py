"""A sweep's file, and the points of its space."""

from pathlib import Path
from typing import Any

import pytest
from small_study import SMALL

from alfred.core.errors import ConfigError
from alfred.experiments.sweeps.drive import points
from alfred.experiments.sweeps.settings import Range, Sweep, load_sweep
from alfred.experiments.sweeps.space import draws, grid, mark

STUDY = {**SMALL, "analysts": [{"name": "ridge"}]}


def sweep_of(space: Any, **more: Any) -> Sweep:
    return Sweep.parse({"name": "s", "study": STUDY, "space": space, **more}, "s.toml")


def test_a_grid_is_every_combination_of_every_space_once() -> None:
    spaces = [
        {"analyst.name": ["ridge"], "analyst.quarters": [1, 4]},
        {"analyst.name": ["ridge", "lightgbm"], "analyst.quarters": [4, 8]},
    ]
    found = [(point["analyst.name"], point["analyst.quarters"]) for point in grid(sweep_of(spaces))]
    assert found == [("ridge", 1), ("ridge", 4), ("ridge", 8), ("lightgbm", 4), ("lightgbm", 8)]


def test_a_range_with_a_step_has_both_ends_in_a_grid() -> None:
    assert Range(low=8, high=32, step=8).points() == (8, 16, 24, 32)
    assert Range(low=0.1, high=0.3, step=0.1).points() == pytest.approx((0.1, 0.2, 0.3))
    with pytest.raises(
        ConfigError, match=r"a grid needs every value by name, but got the range 1 to 9; list the values"
    ):
        points(sweep_of({"train.epochs": {"low": 1, "high": 9}}))


def test_a_draw_depends_on_seed_and_number_alone() -> None:
    space = {"train.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}, "train.epochs": {"low": 1, "high": 9}}
    few = list(draws(sweep_of(space, method="random", trials=5)))
    many = list(draws(sweep_of(space, method="random", trials=20)))
    assert many[:5] == few
    assert len({mark(point) for point in many}) == 20
    assert all(1e-4 <= point["train.learning_rate"] <= 1e-2 and 1 <= point["train.epochs"] <= 9 for point in many)
    # By the logarithm, half of them lie below the geometric middle.
    assert 5 <= sum(point["train.learning_rate"] < 1e-3 for point in many) <= 15
    other = list(draws(sweep_of(space, method="random", trials=5, seed=1)))
    assert other != few


def test_random_draws_end_where_the_space_does() -> None:
    found = list(draws(sweep_of({"analyst.quarters": [1, 2, 4]}, method="random", trials=50)))
    assert sorted(point["analyst.quarters"] for point in found) == [1, 2, 4]


def test_a_configuration_is_the_study_with_its_settings() -> None:
    sweep = sweep_of({"analyst.name": ["lightgbm"], "seeds": [[3, 4]], "splits.valid_quarters": [6]})
    study = sweep.configured(points(sweep)[0])
    assert (study.analysts[0].name, study.seeds, study.splits.valid_quarters) == ("lightgbm", (3, 4), 6)
    assert study.train == sweep.base.train
    listed = sweep_of({"analysts.0.name": ["lightgbm"]})
    assert listed.configured({"analysts.0.name": "lightgbm"}).analysts[0].name == "lightgbm"


@pytest.mark.parametrize(
    ("space", "more", "text"),
    [
        ({"train.epochz": [3]}, {}, r"sweep s, train.epochz = 3: unknown setting 'train.epochz', did you mean"),
        ({"analyst.size": [3]}, {}, r"ridge takes no size, got 3; remove the option"),
        ({"analysts.1.name": ["ridge"]}, {}, r"the space names 'analysts.1.name', but analysts has no '1'"),
        ({"seeds.x.y": [1]}, {}, r"the space names 'seeds.x.y', but seeds has no 'x'"),
        ({"name.first": [1]}, {}, r"name.first does not change what is learnt, so a sweep cannot choose it"),
        ({"train.epochs": []}, {}, r"train.epochs has no value to choose"),
        ({"train.epochs": {"low": 3, "high": 3}}, {}, r"low must lie below high, got 3 and 3"),
        ({"train.epochs": {"low": 0, "high": 3, "log": True}}, {}, r"a logarithm needs a low above 0, got 0"),
        ({"train.epochs": [1, 2, 3]}, {"trials": 2}, r"the grid has 3 configurations, but trials = 2; raise trials"),
        ({"train.epochs": [1]}, {"method": "tpe"}, r'method = "tpe" needs trials'),
        ({"analyst.label": ["PM", "excess"]}, {"objective": "accuracy"}, r"not the same figure for all .* PM; excess"),
        (
            {"analyst.name": ["vanilla.small.tanh"], "analyst.loss": ["mse", "huber"]},
            {"objective": "loss", "method": "tpe", "trials": 9},
            r"not the same figure for all configurations, which forecast PM by huber; PM by mse; take objective",
        ),
        (
            {"universe": [{"training": ["AAPL", "GE"], "protocol": "in-sample"}]},
            {},
            r"a sweep cannot choose by quarters before the test, since the protocol in-sample tests",
        ),
        (
            {"analysts": [[{"name": "ridge"}, {"name": "momentum"}]]},
            {},
            r"a configuration of a sweep is one analyst, but the study has 2; leave one",
        ),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(space: Any, more: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        points(sweep_of(space, **more))


def test_a_file_names_its_study_or_holds_it(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(sweep_of({"train.epochs": [1]}).base.toml())
    file = tmp_path / "s.toml"
    rest = 'name = "s"\n{study}\n[space]\n"train.epochs" = [1, 2]\n{table}'
    file.write_text(rest.format(study='study = "base.toml"', table=""))
    found = load_sweep(file, ["seed=7", "workers.number=3"])
    assert (found.base, found.seed, found.workers.number) == (sweep_of({"train.epochs": [1]}).base, 7, 3)
    assert found.identity != load_sweep(file).identity
    assert load_sweep(file, ["workers.number=3"]).identity == load_sweep(file).identity
    file.write_text(
        rest.format(study="", table='[study.universe]\ntraining = ["AAPL"]\n[[study.analysts]]\nname = "ridge"')
    )
    with pytest.raises(ConfigError, match=r"s.toml, \[study\]: "):
        load_sweep(file, ["study.universe.trainin=1"])
    with pytest.raises(
        ConfigError, match=r'a sweep needs a base; write study = "study.toml" or a table \[study\], got 3'
    ):
        load_sweep(file, ["study=3"])
    with pytest.raises(ConfigError, match=r"there is no sweep .*; `alfred init .* --study sweep` writes one"):
        load_sweep(tmp_path / "none.toml")
    file.write_text("name = ")
    with pytest.raises(ConfigError, match=r"cannot be read as TOML"):
        load_sweep(file)


def test_the_shipped_sweep_can_be_read() -> None:
    from alfred.cli.studies import StudyName

    assert len(points(load_sweep(StudyName.SWEEP.path))) == 16
