"""The vault: nobody sees the last quarters before it is opened, and it is opened once."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from alfred.cli.main import app
from alfred.core.errors import ConfigError, DataError
from alfred.core.home import Home
from alfred.experiments.counting import count, counted, recount
from alfred.experiments.prepared import read_inputs
from alfred.experiments.record import load_frame, load_record
from alfred.experiments.replay import replay
from alfred.experiments.run import run_study
from alfred.experiments.study import Study
from alfred.experiments.subject import subject_of_run
from alfred.experiments.trials import TrialLedger
from alfred.experiments.unseal import unseal
from alfred.experiments.vault import Opening, known_vault, unsealings
from alfred.experiments.walkforward import WalkForward
from alfred.report.page import render

TINY: dict[str, Any] = {
    "name": "tiny",
    "vault_quarters": 6,
    "seeds": [0],
    "data": {"since": "2004-01-02", "until": "2014-12-31"},
    "universe": {"training": ["AAPL", "PG", "CVX", "JPM"], "evaluation": ["GE", "KO", "LLY", "HD"]},
    "panel": {"features": ["momentum_12_1", "realised_volatility"]},
    "splits": {"test_quarters": "all", "valid_quarters": 4, "min_train_quarters": 12},
    "analysts": [{"name": "momentum"}, {"name": "ridge"}],
    "evaluation": {"draws": 100},
}
SEALED_AFTER = "2013-06-28"  # six quarters end after it, by the end of 2014


def tiny(**changes: Any) -> Study:
    return Study.parse({**TINY, **changes}, "tiny study")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def before(home: Home) -> Path:
    return run_study(tiny(), home)


def test_nothing_that_became_known_later_is_seen(home: Home, before: Path) -> None:
    record = load_record(before)
    assert (record.data.last, record.panel.last, record.data.known_until[:10]) == (SEALED_AFTER,) * 3
    forecasts = load_frame(before, "forecasts")
    assert str(forecasts["realised_on"].max()) == SEALED_AFTER
    assert forecasts.filter(forecasts["as_of"] == forecasts["as_of"].max())["PM"].null_count() == 12
    assert str(load_frame(before, "accounts")["date"].max()) == SEALED_AFTER
    # As if the data ended there: labels, tables and index alike.
    cut = tiny(name="cut", vault_quarters=0, data={**TINY["data"], "until": SEALED_AFTER})
    assert read_inputs(cut, home).digest == read_inputs(tiny(), home).digest
    assert "2013-07" not in "\n".join(replay(home, before, "simple", analyst="ridge"))


def test_the_count_is_in_the_record_and_on_the_page(home: Home, before: Path) -> None:
    found = load_record(before).trials
    assert found is not None
    assert (found.family, found.count, found.finished, found.sealed_after[:10]) == ("tiny", 2, 2, SEALED_AFTER)
    trials = {trial.analyst: trial for trial in TrialLedger.open(home).trials("tiny")}
    assert set(trials) == {"momentum", "ridge"}
    assert trials["ridge"].figures is not None
    assert trials["ridge"].figures["rank_ic"] == load_record(before).scorecards[-1].figure("rank_ic").value
    returns = TrialLedger.open(home).returns("tiny", strategy="simple")
    assert returns.names == ("momentum · simple", "ridge · simple")
    total = {one.name: one.statistics.total_return for one in load_record(before).portfolios}
    for at, name in enumerate(returns.names):
        assert (1 + returns.values[:, at]).prod() - 1 == pytest.approx(total[name], rel=1e-5)
    page = render(before)
    assert "The study family tiny has had 2 trials, those of this run included." in page
    assert f'What became known after <span class="whole">{SEALED_AFTER}</span> is sealed' in page


def test_the_same_again_is_no_new_trial_and_another_seed_is_one(home: Home, before: Path) -> None:
    assert run_study(tiny(), home) == before
    assert TrialLedger.open(home).count("tiny") == 2
    wider = tiny(name="wider", family="tiny", analysts=[*TINY["analysts"], {"name": "ridge", "label": "excess"}])
    run_study(wider, home)
    assert TrialLedger.open(home).count("tiny") == 3
    run_study(tiny(seeds=[1]), home)
    assert TrialLedger.open(home).count("tiny") == 5


def test_a_failed_trial_counts(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise DataError("the disk is gone.")

    monkeypatch.setattr(WalkForward, "forecast", fail)
    with pytest.raises(DataError, match="the disk is gone"):
        run_study(tiny(family="failing"), home)
    assert [trial.status for trial in TrialLedger.open(home).trials("failing")] == ["failed", "failed"]


def test_the_first_study_fixes_the_vault_for_all_of_its_family(home: Home, before: Path) -> None:
    for changes in ({"vault_quarters": 0}, {"vault_quarters": 2}, {"data": {**TINY["data"], "until": "2016-12-30"}}):
        inputs = read_inputs(tiny(name="other", family="tiny", **changes), home)
        assert inputs.seen_until[:10] == SEALED_AFTER
    assert read_inputs(tiny(family="free", vault_quarters=0), home).seen_until[:10] == "2014-12-31"


def test_what_was_seen_cannot_be_sealed_any_more(home: Home) -> None:
    ledger = TrialLedger.open(home)
    study = tiny(family="seen")
    shown = "2014-09-30T20:00:00+00:00"
    from alfred.experiments.trials import Trial

    ledger.begin(Trial("k", "seen", "s", "d", "ridge", "sealed", seen_until=shown))
    with pytest.raises(DataError, match="evaluated without a vault on data to 2014-09-30, so the quarters after 2013"):
        read_inputs(study, home)
    assert known_vault(study, home) is None
    with pytest.raises(ConfigError, match="vault_quarters 500 would seal all the data, which end on 2014-12-31"):
        read_inputs(tiny(family="all", vault_quarters=500), home)


def test_a_vault_that_lost_its_date_lets_nobody_through(home: Home) -> None:
    store = TrialLedger.open(home).store
    store.claim("alfred/vault/lost", {})
    with pytest.raises(DataError, match=r"the vault of 'lost' at .* has lost the instant"):
        read_inputs(tiny(family="lost"), home)


def test_what_cannot_be_unsealed(home: Home) -> None:
    with pytest.raises(ConfigError, match="the study 'tiny' has no vault: set vault_quarters"):
        unseal(tiny(family="never", vault_quarters=0), home)
    universe = {"training": ["AAPL", "PG", "CVX", "JPM"], "protocol": "in-sample"}
    with pytest.raises(ConfigError, match="in-sample trains on the quarters that it tests, and sealed ones must not"):
        unseal(tiny(universe=universe), home)
    with pytest.raises(ConfigError, match="sealed is no study's protocol; `alfred unseal` asks"):
        tiny(universe={**TINY["universe"], "protocol": "sealed"})


def test_a_vault_is_opened_once_and_again_only_by_name(
    home: Home, before: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = tiny(family="once")
    first = run_study(family, home)
    folder = unseal(family, home)
    record = load_record(folder)
    assert (record.protocol, record.question.endswith("before anyone looked.")) == ("sealed", True)
    forecasts = load_frame(folder, "forecasts")
    # The decision of the last visible date is the first whose label nobody had seen.
    assert str(forecasts["as_of"].min()) == SEALED_AFTER
    assert record.scorecards[0].quarters == 6
    assert record.folds[0].valid_last < SEALED_AFTER
    (look,) = unsealings(TrialLedger.open(home).store, "once")
    assert (look.number, look.digest, look.verdict, look.run) == (1, record.digest, record.verdict, folder.name)
    assert look.finished_at
    assert count(home, "once").count == 4
    # What was tried before still deflates, though it shares no quarter with the sealed ones.
    traded = len(TrialLedger.open(home).returns("once").names)
    assert traded / 2 < count(home, "once").effective <= traded

    assert subject_of_run(home, folder).sealed
    assert not subject_of_run(home, first).sealed

    for study in (family, tiny(name="changed", family="once", seeds=[3])):
        with pytest.raises(DataError, match=r"was opened on .* by the study 'tiny' .* say --again"):
            unseal(study, home)
    # Whoever looks at the family from now on is told.
    assert recount(home, first, load_record(first)) == ""
    assert counted(first, load_record(first)).unsealed == (look,)
    assert "Vault spent: the sealed quarters of the family once were looked at on" in render(first)
    later = run_study(tiny(family="once", seeds=[5]), home)
    assert load_record(later).data.last == SEALED_AFTER
    assert "Vault spent" in render(later)
    assert "Vault spent" not in render(folder)

    again = unseal(tiny(family="once", seeds=[3]), home, again=True)
    assert [one.number for one in unsealings(TrialLedger.open(home).store, "once")] == [1, 2]
    assert "Vault opened again: this is look number 2" in render(again)
    with pytest.raises(DataError, match="opened"):
        unseal(tiny(family="once", seeds=[4]), home)

    monkeypatch.setenv("ALFRED_HOME", str(home.root))
    listed = CliRunner().invoke(app, ["trials"])
    assert listed.exit_code == 0, listed.output
    assert "spent" in listed.stdout
    one = CliRunner().invoke(app, ["trials", "--family", "once"]).stdout
    assert f"once: what became known after {SEALED_AFTER} is sealed." in one
    assert "once: look 2 into the vault" in one
    assert (
        "There are no trials of the family 'nobody'" in CliRunner().invoke(app, ["trials", "--family", "nobody"]).stdout
    )


def test_a_killed_opening_goes_on_for_the_same_run_only(home: Home) -> None:
    vault = read_inputs(tiny(family="killed"), home).vault
    assert vault is not None

    def opening() -> Opening:
        return Opening(vault, home, "tiny", again=False)

    with pytest.raises(KeyboardInterrupt), opening().taken("digest"):
        raise KeyboardInterrupt
    with pytest.raises(DataError, match="It has no result; it failed, or is still running"), opening().taken("other"):
        pass
    with opening().taken("digest"), pytest.raises(DataError, match="another process is opening"):  # noqa: SIM117
        with opening().taken("digest"):
            pass
    last = opening()
    with last.taken("digest"):
        last.finish("No skill shown.", "tiny-1")
    with pytest.raises(DataError, match=r"It found: No skill shown\."), opening().taken("digest"):
        pass
    elsewhere = Opening(vault, Home(home.root / "elsewhere"), "tiny", again=False)
    with elsewhere.taken("digest"):  # tracking data of its own: another ledger
        pass
    with pytest.raises(ConfigError, match="must be opened before a result is written"):
        opening().finish("", "")


def test_memory_is_never_skill(home: Home) -> None:
    universe = {"training": ["AAPL", "PG", "CVX", "JPM"], "protocol": "in-sample"}
    folder = run_study(tiny(name="memory", vault_quarters=0, universe=universe), home)
    record = load_record(folder)
    assert record.question == "How well does it remember the very rows that it learnt from?"
    assert record.verdict.startswith("Memory, not skill: the best of 2, ")
    assert record.warnings[0].startswith("Memory: the quarters tested here were trained on.")
    assert not any(card.skilled for card in record.scorecards)
    assert [card.verdict.partition(":")[0] for card in record.scorecards[1:]] == ["Memory, not skill"] * 2
    (fold,) = record.folds
    assert (fold.train_first, fold.train_last) == (fold.test_first, fold.test_last)
    assert set(load_frame(folder, "forecasts")["symbol"]) == set(universe["training"])
