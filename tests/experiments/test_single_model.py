"""The notes' quick path: one model by words, kept, found again, and judged as any run judges."""

import doctest
import json
from pathlib import Path
from typing import Any

import pytest

from alfred.analysts import restore_analyst
from alfred.core.contracts import FittedAnalyst
from alfred.core.errors import AlfredError, ConfigError
from alfred.core.home import Home
from alfred.experiments import models
from alfred.experiments.counting import count
from alfred.experiments.models import evaluate_model, find_model, train_model
from alfred.experiments.prepared import prepare
from alfred.experiments.quick import Words, analyst_from_config
from alfred.experiments.record import load_frame, load_record
from alfred.experiments.run import run_study, walk_of
from alfred.experiments.trials import TrialLedger
from alfred.universe.baskets import Baskets

ENTRY = "vanilla.small.tanh:size8-layers2"
OVERRIDES = (
    "data.since=2000-01-03", 'panel.features=["momentum_12_1","realised_volatility","Close_diff_MA_*"]',
    "splits.valid_quarters=4", "splits.min_train_quarters=8", "train.threads=1", "evaluation.draws=200",
    "vault_quarters=0",
)  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def tickers(home: Home) -> Path:
    path = home.root / "baskets.json"
    Baskets(("AAPL", "PG", "CVX", "JPM"), ("GE", "KO", "LLY")).save(path)
    return path


@pytest.fixture
def words(tickers: Path) -> Words:
    return told(tickers)


def told(baskets: Path, **changes: Any) -> Words:
    usual = {
        "model": "vanilla.small", "tickers": baskets, "size": 8, "layers": 2, "loss": "huber-sign", "label": "PM",
        "epochs": 3, "until": "2012-12-31", "test_first": "2010-03-31", "overrides": OVERRIDES,
    }  # fmt: skip
    return Words.parse({**usual, **changes}, "these words")


def test_a_model_is_trained_once_and_taken_up_after(words: Words, home: Home) -> None:
    model, before = train_model(words.study(), home)
    assert (before, model.record.analyst, model.folder.parent) == (False, ENTRY, home.models)
    again, before = train_model(words.study(), home)
    assert (before, again) == (True, model)
    assert isinstance(model.restore(), type(restore_analyst(model.folder / "analyst")))
    form = json.loads((model.folder / "model.json").read_text())
    assert form["settings"]["analysts"][0]["name"] == "vanilla.small.tanh"
    assert {"code", "data", "panel", "seed", "fit", "training", "validation"} <= set(form)
    assert form["fold"]["train_rows"] == 4 * 36
    assert form["fold"]["valid_last"] == "2009-12-31"


def test_the_figures_are_those_of_the_restored_model(words: Words, home: Home) -> None:
    study = words.study()
    model = train_model(study, home)[0]
    walk = walk_of(study, prepare(study, home), home)
    fold = walk.folds[0]
    for part, figures in ((0, model.record.training), (1, model.record.validation)):
        windows = walk.parts(fold, "PM")[part]
        mean = model.restore().predict(windows.without_labels()).mean
        assert windows.y is not None
        assert figures["mae"] == pytest.approx(abs(mean - windows.y).mean())
        assert figures["rise_share"] == pytest.approx((windows.y > 0).mean())
        assert figures["sign_accuracy"] == pytest.approx(((mean > 0) == (windows.y > 0)).mean())


def test_words_seal_the_last_quarters_and_count_together() -> None:
    for words in (Words(), Words(model="vanilla.medium", seed=3)):
        assert (words.study().vault_quarters, words.study().counted_as) == (8, "single-sample")
    assert Words(overrides=("family=own", "vault_quarters=4")).study().counted_as == "own"


def test_training_and_evaluating_are_one_trial(tickers: Path, home: Home) -> None:
    study = told(tickers, overrides=(*OVERRIDES, "family=one-trial")).study()
    train_model(study, home)
    (trial,) = TrialLedger.open(home).trials("one-trial")
    assert (trial.status, trial.analyst) == ("finished", ENTRY)
    assert trial.figures is not None
    assert "validation.mae" in trial.figures
    # Whoever trains twenty and evaluates the one that validates best has tried twenty.
    assert count(home, "one-trial").untraded == 1
    evaluate_model(study, home)
    assert count(home, "one-trial").untraded == 0
    train_model(study, home)
    (again,) = TrialLedger.open(home).trials("one-trial")
    assert again.figures is not None
    assert (again.key, again.status, "mae" in again.figures) == (trial.key, "finished", True)


def test_an_evaluation_is_a_run_like_any_other(words: Words, home: Home) -> None:
    """What the kept model says is what `run_study` of the same study says, to the last bit."""
    study = words.study()
    model = train_model(study, home)[0]
    folder = evaluate_model(study, home)
    record = load_record(folder)
    assert [card.analyst for card in record.scorecards] == ["naive", ENTRY]
    assert record.folds[0].test_first == "2010-03-31"
    assert (len(record.folds), record.scorecards[1].quarters, record.scorecards[1].rows) == (1, 11, 33)
    assert any("One model:" in warning and "to 2008-12-31" in warning for warning in record.warnings)
    assert next(cost for cost in record.efficiency if cost.analyst == ENTRY).seconds == model.record.fit.seconds
    assert set(record.evaluation_basket).isdisjoint(model.record.training_basket)
    trained = load_frame(run_study(study, home), "forecasts").filter(analyst=ENTRY)
    assert load_frame(folder, "forecasts").filter(analyst=ENTRY).equals(trained)
    assert evaluate_model(study, home) == folder


def test_what_an_evaluation_alone_depends_on_does_not_ask_for_another_training(tickers: Path, home: Home) -> None:
    train_model(told(tickers).study(), home)
    other = told(tickers, overrides=(*OVERRIDES, "evaluation.draws=300", "backtest.costs.cost_bps=50.0"))
    assert find_model(other.study(), home) is not None


@pytest.mark.parametrize(
    "changes", [{"seed": 1}, {"size": 9}, {"epochs": 4}, {"test_first": "2010-06-30"}, {"until": "2012-09-28"}]
)
def test_other_words_are_another_model(tickers: Path, home: Home, changes: dict[str, Any]) -> None:
    train_model(told(tickers).study(), home)
    assert find_model(told(tickers, **changes).study(), home) is None


def test_a_model_that_was_never_trained_is_an_error(tickers: Path, home: Home) -> None:
    with pytest.raises(ConfigError, match=r"size24-layers2 was never trained with these words.* Then this\."):
        evaluate_model(told(tickers, size=24).study(), home, hint="Then this.")


def test_a_model_of_other_code_is_told_and_trained_anew(
    words: Words, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_model(words.study(), home)
    monkeypatch.setattr("alfred.experiments.stages.code_digest", lambda: "other")
    monkeypatch.setattr(models, "code_digest", lambda: "other")
    with pytest.raises(ConfigError, match=r"was trained with these words on .* other code than now"):
        evaluate_model(words.study(), home)


def test_a_damaged_model_is_not_evaluated_but_trained_again(tickers: Path, home: Home) -> None:
    study = told(tickers, seed=5).study()
    model = train_model(study, home)[0]
    (model.folder / "analyst" / "weights.safetensors").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="its files were changed"):
        evaluate_model(study, home)
    assert train_model(study, home)[1] is False
    assert find_model(study, home) is not None


def test_an_interruption_leaves_no_model(tickers: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object, **named: object) -> list[FittedAnalyst]:
        raise KeyboardInterrupt

    study = told(tickers, seed=6).study()
    before = sorted(home.models.glob("*"))
    with monkeypatch.context() as patched:
        patched.setattr(models, "fit_many", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_model(study, home)
    assert sorted(home.models.glob("*")) == before
    assert train_model(study, home)[1] is False


def test_the_untrained_control_has_a_name_and_no_model(tickers: Path, home: Home) -> None:
    words = told(tickers, seed=7)
    record = load_record(evaluate_model(words.study(untrained=True), home))
    card = record.scorecards[-1]
    assert card.analyst == f"{ENTRY}-untrained"
    assert next(cost for cost in record.efficiency if cost.analyst == card.analyst).seconds_per_epoch is None
    assert find_model(words.study(), home) is None


def test_analysts_without_randomness_can_be_kept_too(tickers: Path, home: Home) -> None:
    words = told(tickers, model="ridge", size=None, layers=None, loss=None, label="PQ")
    model = train_model(words.study(), home)[0]
    assert "mae" not in model.record.training
    assert model.record.fit.stopped == "closed form"
    assert load_record(evaluate_model(words.study(), home)).scorecards[-1].analyst == "ridge:PQ"


def test_from_python(tickers: Path, home: Home) -> None:
    def made(**changes: Any) -> FittedAnalyst:
        return analyst_from_config(
            "vanilla.small.tanh", tickers=tickers, size=8, layers=2, label="PM", loss="huber-sign", epochs=3,
            until="2012-12-31", test_first="2010-03-31", overrides=OVERRIDES, home=home, **changes,
        )  # fmt: skip

    first, again = made(seed=8), made(seed=8, train=False)
    walk = walk_of((study := told(tickers, seed=8).study()), prepare(study, home), home)
    windows = walk.parts(walk.folds[0], "PM")[2]
    assert (first.predict(windows).mean == again.predict(windows).mean).all()
    with pytest.raises(ConfigError, match="was never trained with these words, data and code"):
        made(seed=9, train=False)
    with pytest.raises(ConfigError, match=r"no analyst 'vanila.small'; did you mean 'vanilla.small'"):
        analyst_from_config("vanila.small", tickers=tickers, home=home)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "lstm.smal.extractors"}, "no analyst 'lstm.smal.extractors'; did you mean 'lstm.small.extractors'"),
        ({"label": "PMM"}, "PMM"),
        ({"model": "ridge", "layers": None, "loss": None}, "ridge takes no size, got 8"),
        ({"loss": "hubber"}, "cannot train on the loss 'hubber'; did you mean 'huber'"),
        ({"provider": "yahoo", "tickers": None}, "with yahoo name some by --tickers"),
        ({"overrides": ["splits.test_quarters=4"]}, "one model is one analyst"),
        ({"overrides": ["seeds=[1,2]"]}, "one model is one analyst"),
        ({"test_first": "soon"}, "'soon' is not a date"),
        ({"seed": -1}, "seed: input should be greater than or equal to 0"),
    ],
)
def test_wrong_words_are_one_sentence(tickers: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AlfredError, match=message) as caught:
        told(tickers, **changes).study()
    assert "\n" not in str(caught.value)


def test_only_networks_can_stay_untrained(tickers: Path) -> None:
    words = told(tickers, model="ridge", size=None, layers=None, loss=None)
    with pytest.raises(ConfigError, match="ridge has no initial weights"):
        words.study(untrained=True)


def test_the_head_follows_the_label(tickers: Path) -> None:
    assert told(tickers).preset == "vanilla.small.tanh"
    assert told(tickers, label="PQ", loss=None).preset == "vanilla.small"
    assert told(tickers, model="vanilla.small.identity", loss="mse").preset == "vanilla.small.identity"
    assert told(tickers, model="lstm.small.extractors").preset == "lstm.small.extractors.tanh"


def test_the_command_says_the_words_again(tickers: Path) -> None:
    assert Words(model="vanilla.medium", size=1024, loss="huber-sign", label="PM").command("train") == (
        "alfred train --model vanilla.medium --size 1024 --loss huber-sign --label PM"
    )
    line = told(Path("my baskets.json"), seed=2).command("evaluate")
    assert "--tickers 'my baskets.json'" in line
    assert "--set data.since=2000-01-03" in line
    assert "--seed 2" in line


def test_the_default_study_is_the_demos(home: Home) -> None:
    study = Words().study()
    assert (study.splits.test_first, study.splits.test_quarters, study.train.epochs) == ("2004-03-31", "all", 60)
    assert study.universe.scan is not None
    assert study.toml().count('test_quarters = "all"') == 1
    assert study.seeds == (0,)


def test_the_documented_example_does_what_it_says() -> None:
    text = (Path(__file__).parents[2] / "docs" / "analysts.md").read_text(encoding="utf-8")
    block = next(part for part in text.split("```") if ">>> from alfred.experiments.quick" in part)
    example = doctest.DocTestParser().get_doctest(block.removeprefix("python\n"), {}, "analysts.md", None, 0)
    told: list[str] = []
    failed, tried = doctest.DocTestRunner(optionflags=doctest.IGNORE_EXCEPTION_DETAIL).run(example, out=told.append)
    assert (failed, tried) == (0, 7), "".join(told)
