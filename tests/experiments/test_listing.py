"""The table of all experiments, from records that were written by hand."""

import dataclasses
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
from report_run import NETWORKS, accounts, make_record, write_run

from alfred.core.errors import ConfigError
from alfred.core.home import Home
from alfred.evaluation.deflation import Track, Trials, deflated_sharpe
from alfred.experiments.deflated import recorded_tracks, tracks_of
from alfred.experiments.listing import COLUMNS, Listing, list_experiments
from alfred.experiments.record import RunRecord, TrialCount, load_record


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    place = Home(tmp_path_factory.mktemp("home"))
    record = make_record()
    settings = {**record.settings, "analysts": [{"name": "ridge"}, {"name": NETWORKS[0], "size": 77}, {"name": "gone"}]}
    for age, name in enumerate(("older", "newer")):
        write_run(place.runs / name, dataclasses.replace(record, settings=settings))
        os.utime(place.runs / name / "run.json", (age, age))
    (place.runs / "broken").mkdir()
    (place.runs / "broken" / "run.json").write_text("{}")
    return place


@pytest.fixture(scope="module")
def listing(home: Home) -> Listing:
    return list_experiments(home)


def test_every_analyst_of_every_run_is_there_the_latest_run_first(listing: Listing) -> None:
    cards = make_record().scorecards
    assert [(one.run, one.analyst) for one in listing.experiments] == [
        (run, card.analyst) for run in ("newer", "older") for card in cards
    ]
    assert listing.unreadable == ("broken",)


def test_columns_come_from_scorecard_study_and_efficiency(listing: Listing) -> None:
    record = make_record()
    one = next(one for one in listing.experiments if one.analyst == NETWORKS[0])
    card = next(card for card in record.scorecards if card.analyst == NETWORKS[0])
    ic = card.figure("rank_ic")
    assert (one.model, one.label, one.loss, one.seeds) == (NETWORKS[0], card.target, card.loss, card.seeds)
    assert (one.eval_loss, one.rank_ic, one.accuracy) == tuple(
        card.figure(name).value for name in ("loss", "rank_ic", "accuracy")
    )
    assert ic.over_quarters is not None
    assert (one.rank_ic_lower, one.rank_ic_upper) == (ic.over_quarters.lower, ic.over_quarters.upper)
    assert (one.parameters, one.seconds_per_epoch, one.seconds_to_best) == (614_657, 0.061, 0.55)
    assert (one.samples_per_second, one.peak_memory_mb, one.energy_joules) == (41_200.0, 412.0, 3120.0)


def test_figures_come_with_their_intervals(listing: Listing) -> None:
    one = next(one for one in listing.experiments if one.analyst == "ridge")
    cells = one.cells()
    assert tuple(cells) == COLUMNS
    card = next(card for card in make_record().scorecards if card.analyst == "ridge")
    for column, name in (("eval_loss", "loss"), ("mae", "mae"), ("sign_accuracy", "sign_accuracy")):
        figure = card.figure(name)
        assert figure.over_quarters is not None
        assert figure.over_seeds is not None
        assert figure.difference_over_quarters is not None
        assert [cells[f"{column}{end}"] for end in ("", "_lower", "_upper", "_seeds_lower", "_seeds_upper")] == [
            figure.value, figure.over_quarters.lower, figure.over_quarters.upper, figure.over_seeds.lower,
            figure.over_seeds.upper,
        ]  # fmt: skip
        assert [cells[f"{column}_less_naive{end}"] for end in ("", "_lower", "_upper")] == [
            figure.difference, figure.difference_over_quarters.lower, figure.difference_over_quarters.upper,
        ]  # fmt: skip


def test_a_figure_that_a_label_does_not_have_leaves_its_columns_empty(listing: Listing) -> None:
    one = dataclasses.replace(listing.experiments[0], figures={})
    cells = one.cells()
    assert tuple(cells) == COLUMNS
    assert cells["mae_lower"] is cells["rank_ic_less_naive"] is None


def test_seeds_are_named_only_where_chance_plays_a_part(home: Home) -> None:
    record = make_record()
    analysts = [{"name": "ridge"}, {"name": NETWORKS[0]}]
    write_run(home.root / "seeded", dataclasses.replace(record, settings={**record.settings, "analysts": analysts}))
    found = {one.analyst: one.seed_values for one in list_experiments(home, str(home.root / "seeded")).experiments}
    assert (found["ridge"], found[NETWORKS[0]]) == ("", "0 1 2")


def test_one_run_can_be_asked_for(home: Home) -> None:
    assert {one.run for one in list_experiments(home, "older").experiments} == {"older"}
    with pytest.raises(ConfigError, match="no run begins with 'oldest'"):
        list_experiments(home, "oldest")


def test_options_are_the_studys_or_the_presets(home: Home, listing: Listing) -> None:
    ridge = next(one for one in listing.experiments if one.analyst == "ridge")
    assert (ridge.quarters, ridge.size, ridge.layers) == (1, None, None)
    plain = next(one for one in listing.experiments if one.analyst == NETWORKS[0])
    assert (plain.quarters, plain.size, plain.layers) == (None, None, None)  # the study's has another size


@pytest.mark.parametrize(
    ("column", "key"),
    [
        ("rank_ic", lambda one: -one.rank_ic),
        ("eval-loss", lambda one: one.eval_loss),
        ("seconds_per_epoch", lambda one: one.seconds_per_epoch),
        ("parameters", lambda one: one.parameters),
        ("model", lambda one: one.model),
        ("skilled", lambda one: not one.skilled),
        ("mae_seeds_upper", lambda one: one.cells()["mae_seeds_upper"]),
        ("sign_accuracy_less_naive", lambda one: -one.cells()["sign_accuracy_less_naive"]),
    ],
)
def test_sorting_puts_the_best_first_and_what_is_not_known_last(listing: Listing, column: str, key) -> None:  # type: ignore[no-untyped-def]
    rows = listing.sorted_by(column)
    known = [one for one in rows if one.cells()[column.replace("-", "_")] is not None]
    assert list(rows[: len(known)]) == known
    assert [key(one) for one in known] == sorted(key(one) for one in known)
    assert len(rows) == len(listing.experiments)


def test_the_notes_names_of_columns_are_known(listing: Listing) -> None:
    for name, column in {"eval_rank_ic": "rank_ic", "config-sequence-length": "quarters", "token": "family"}.items():
        assert listing.sorted_by(name) == listing.sorted_by(column)


def test_a_family_can_be_asked_for(home: Home) -> None:
    study = make_record().study
    assert list_experiments(home, family=study).experiments == list_experiments(home).experiments
    assert list_experiments(home, family="other").experiments == ()


def test_the_best_account_comes_with_what_chance_would_have_done(listing: Listing) -> None:
    record = make_record()
    one = next(one for one in listing.experiments if one.analyst == NETWORKS[0])
    own = {item.strategy: item.statistics.sharpe for item in record.portfolios if item.analyst == NETWORKS[0]}
    assert (one.strategy, one.sharpe) == max(own.items(), key=lambda item: item[1])
    assert one.deflated_sharpe is not None
    assert 0 <= one.deflated_sharpe <= 1
    assert one.family == record.study
    naive = next(one for one in listing.experiments if one.model == "naive")
    assert (naive.strategy, naive.sharpe, naive.deflated_sharpe) == ("", None, None)


def test_trials_are_counted_as_the_ledger_stands_now(tmp_path: Path) -> None:
    from alfred.experiments.trials import Trial, TrialLedger

    home = Home(tmp_path)
    counted = TrialCount("fam", 2, 2, 0, 0, effective=2.0, sharpe_variance=0.001)
    write_run(home.runs / "one", dataclasses.replace(make_record(), trials=counted))
    before = list_experiments(home).experiments
    assert {(one.family, one.trials) for one in before} == {("fam", 2)}
    ledger = TrialLedger.open(home)
    for number in range(3):
        ledger.begin(Trial(f"k{number}", "fam", "s", "d", "ridge", "p"))
    after = list_experiments(home, family="fam").experiments
    assert {one.trials for one in after} == {3}


def without_tracks(record: RunRecord) -> RunRecord:
    """The record as a run of an earlier version left it."""
    told = tuple(dataclasses.replace(one, track=None) for one in record.portfolios)
    return dataclasses.replace(record, portfolios=told)


def test_the_record_alone_deflates_as_the_accounts_do(tmp_path: Path) -> None:
    """All that comes over from another machine is the record."""
    home, counted = Home(tmp_path), TrialCount("fam", 9, 9, 0, 0, effective=7.5, sharpe_variance=0.002)
    record = dataclasses.replace(make_record(), trials=counted)
    write_run(home.runs / "new", record)
    write_run(home.runs / "old", without_tracks(record))
    (home.runs / "new" / "accounts.parquet").unlink()
    rows = {(one.run, one.analyst): one for one in list_experiments(home).experiments}
    ratios = {name: rows["new", name].deflated_sharpe for name in (*NETWORKS, "ridge")}
    assert ratios == {name: rows["old", name].deflated_sharpe for name in ratios}
    own = [one for one in record.portfolios if one.analyst == "ridge"]
    best = max(own, key=lambda one: one.statistics.sharpe or 0.0)
    track = tracks_of([best], accounts())[best.name]
    assert ratios["ridge"] == deflated_sharpe(track, Trials(7.5, 0.002))
    assert track.periods > 3000
    (home.runs / "old" / "accounts.parquet").unlink()
    assert {one.deflated_sharpe for one in list_experiments(home, "old").experiments} == {None}


@pytest.mark.parametrize("track", [Track(0.1, 2), Track(0.1, -5), Track(float("nan"), 500), Track(9.0, 500, 9.0, 1.0)])
def test_a_track_that_cannot_be_is_none(tmp_path: Path, track: Track) -> None:
    record = without_tracks(make_record())
    told = (dataclasses.replace(record.portfolios[0], track=track), *record.portfolios[1:])
    write_run(tmp_path / "runs" / "foreign", dataclasses.replace(record, portfolios=told))
    (tmp_path / "runs" / "foreign" / "accounts.parquet").unlink()
    folder = tmp_path / "runs" / "foreign"
    assert recorded_tracks(folder, load_record(folder)) == {}
    assert {one.deflated_sharpe for one in list_experiments(Home(tmp_path)).experiments} == {None}


def test_an_unknown_column_is_explained(listing: Listing) -> None:
    with pytest.raises(ConfigError, match="no column 'rank-ik'; did you mean 'rank_ic'"):
        listing.sorted_by("rank-ik")


def test_no_runs_are_no_error(tmp_path: Path) -> None:
    assert list_experiments(Home(tmp_path)) == Listing((), ())
    assert COLUMNS[0] == "run"
