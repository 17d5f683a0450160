import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from small_study import SMALL, small_study

from alfred.analysts import AnalystSpec
from alfred.core.errors import AlfredError, ConfigError
from alfred.experiments.study import Study, entry_name, load_study, quarters_of

DEMO = Path(str(files("alfred.experiments") / "studies" / "demo.toml"))


GRID = DEMO.with_name("grid.toml")


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(text)
    return path


def test_the_demo_is_a_valid_study_and_survives_being_written_out() -> None:
    study = load_study(DEMO)
    assert study.universe.protocol == "other-tickers-other-years"
    assert Study.parse(tomllib.loads(study.toml()), "again") == study


def test_the_grid_crosses_the_notes_networks_with_lengths_and_sizes() -> None:
    study = load_study(GRID)
    assert Study.parse(tomllib.loads(study.toml()), "again") == study
    networks = [spec for spec in study.analysts if spec.size is not None]
    cells = {(spec.name, spec.quarters, spec.size) for spec in networks}
    presets = {
        "vanilla.medium.tanh", "vanilla.compression.tanh", "lstm.medium.extractors.tanh",
        "lstm.medium.extractors.layered.tanh", "trans.medium.extractors.slim.tanh",
        "trans.medium.extractors.layered.tanh",
    }  # fmt: skip
    assert cells == {(name, quarters, size) for name in presets for quarters in (12, 24) for size in (16, 64)}
    assert len(networks) == len(cells)
    assert {"momentum", "ridge", "lightgbm"} <= {spec.name for spec in study.analysts}
    assert len(study.seeds) >= 3


def test_overrides_stand_above_the_file() -> None:
    study = load_study(DEMO, ["train.epochs=3", "seeds=[7]", "name=other", "data.until=2015-12-31"])
    assert (study.train.epochs, study.seeds, study.name, study.data.until) == (3, (7,), "other", "2015-12-31")
    assert study.digest() != load_study(DEMO).digest()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trian": {}}, r"unknown setting 'trian', did you mean 'train'\?"),
        ({"train": {"epocs": 3}}, r"unknown setting 'train\.epocs', did you mean 'epochs'\?"),
        ({"analysts": [{"name": "vanila.small"}]}, r"no analyst 'vanila\.small'.*did you mean 'vanilla\.small'"),
        ({"analysts": [{"name": "ridge", "size": 4}]}, "ridge takes no size"),
        ({"analysts": [{"name": "ridge"}, {"name": "ridge"}]}, "ridge is named twice"),
        ({"data": {"provider": "yaho"}}, "there is no provider 'yaho'"),
        ({"data": {"since": "2010-01-01", "until": "2005-01-01"}}, "the range is empty"),
        ({"data": {"since": "01.02.2010"}}, "is not a date"),
        ({"universe": {}}, "exactly one of training, baskets, scan or names, got none"),
        ({"universe": {"training": ["A"], "evaluation": ["A", "B"]}}, "both hold A"),
        ({"universe": {"training": ["A", "A"], "evaluation": ["B"]}}, "more than once"),
        ({"universe": {"training": ["A"]}}, "evaluation basket is empty"),
        ({"universe": {"training": ["A"], "evaluation": ["B"], "protocol": "in-sampel"}}, "no protocol 'in-sampel'"),
        ({"backtest": {"strategies": ["simpel"]}}, "did you mean 'simple'"),
        ({"backtest": {"strategies": ["magnitude_choice", "magnitude-choice"]}}, "magnitude-choice is named twice"),
        ({"backtest": {"execution": {"lag_sessions": 9999}}}, "lag_sessions"),
        ({"seeds": [1, 1]}, "a seed is named twice"),
        ({"seeds": [-1]}, "greater than or equal to 0"),
        ({"seeds": [2**63]}, "less than 2147483648"),
        ({"manager": {"seeds": [2**63]}}, "less than 2147483648"),
        ({"panel": {"stale_sessions": 10**30}}, "stale_sessions"),
        ({"panel": {"clip": float("inf")}}, "panel.clip: input should be a finite number"),
        ({"train": {"threads": 10**9}}, "train.threads"),
        ({"analysts": []}, "at least 1 item"),
        ({"universe": {**SMALL["universe"], "evaluation": ["GE"]}}, "the scan brings its own evaluation basket"),
        ({"universe": {**SMALL["universe"], "protocol": "same-tickers-other-years"}}, "name the training basket"),
        ({"name": "Über Study"}, "name"),
        ({"splits": {"test_first": "2007-12-31"}}, "a basket chosen with later prices knows the test period"),
    ],
)
def test_wrong_studies_are_refused_in_one_sentence(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AlfredError, match=message) as caught:
        small_study(**changes)
    assert "\n" not in str(caught.value)


def test_a_bare_toml_date_is_a_date() -> None:
    form = tomllib.loads("[data]\nsince = 2001-02-03\n")
    assert small_study(**form).data.since == "2001-02-03"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "cannot be read as TOML"),
        ('name = "x"\n', "setting 'universe' is required but absent"),
        ("\ufeffname = 'x'\n", "setting 'universe' is required but absent"),
        (f"name = {'9' * 5_000}", "cannot be read as TOML"),
        (f"name = {'[' * 100_000}", "cannot be read as TOML"),
    ],
)
def test_wrong_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_study(written(tmp_path, text))


def test_an_absent_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="alfred init"):
        load_study(tmp_path / "none.toml")


def test_a_baskets_file_is_found_beside_the_study(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text('{"training": ["AAPL"], "evaluation": ["GE"]}')
    path = written(tmp_path, '[universe]\nbaskets = "b.json"\n[[analysts]]\nname = "ridge"\n')
    assert load_study(path).universe.baskets == (tmp_path / "b.json").resolve()


@pytest.mark.parametrize("override", ["train.epochs", "=3", "name.x=3"])
def test_a_wrong_override_is_explained(override: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        load_study(DEMO, [override])


def test_the_same_tickers_may_be_tested_in_other_years() -> None:
    universe = {"training": ["AAPL", "GE"], "protocol": "same-tickers-other-years"}
    assert small_study(universe=universe).universe.evaluation == ()
    assert SMALL["universe"] != universe


def test_ensembles_are_named_by_their_members() -> None:
    ridge, network = AnalystSpec(name="ridge"), AnalystSpec(name="vanilla.small.tanh", size=8)
    longer = AnalystSpec(name="ridge", quarters=4)

    def named(*members: AnalystSpec, **options: Any) -> str:
        return entry_name(AnalystSpec(name="ensemble.mean", members=members or None, **options))

    assert named() == "ensemble.mean"
    assert named(label="excess", member_seeds=3) == "ensemble.mean:excess-seeds3"
    assert named(ridge, network).startswith("ensemble.mean:2of")
    assert named(ridge, network) == named(network, ridge)
    assert len({named(ridge, network), named(longer, network), named(ridge), named(network)}) == 4
    assert [quarters_of(spec) for spec in (ridge, longer, AnalystSpec(name="ensemble.mean"))] == [1, 4, 1]
    assert quarters_of(AnalystSpec(name="ensemble.mean", members=(network, longer))) == 4
    assert quarters_of(AnalystSpec(name="ensemble.mean", members=(network,), quarters=6)) == 6
