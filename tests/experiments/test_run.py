"""The whole chain on real prices: the golden scorecard, the record, and taking up finished stages."""

import datetime as dt
import os
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from small_study import small_study

from alfred.core.calendar import quarter_index
from alfred.core.contracts import LABELS
from alfred.core.errors import AlfredError, DataError
from alfred.core.home import Home
from alfred.experiments.portfolios import readings_of
from alfred.experiments.record import FRAMES, RunRecord, load_frame, load_record
from alfred.experiments.remarks import survivorship
from alfred.experiments.replay import replay
from alfred.experiments.run import run_study
from alfred.experiments.runs import find_run, recorded_versions
from alfred.lake.store import Lake
from alfred.universe.baskets import Baskets

GOLDEN_EXACT = {
    "naive": {"rank_ic": 0.0, "loss": 0.026909, "accuracy": 0.574074, "mae": 0.113193, "coverage": 0.771605},
    "momentum": {"rank_ic": -0.013757, "loss": 0.027068, "accuracy": 0.598765, "mae": 0.113808, "r2": -0.059914},
    "ridge": {"rank_ic": -0.062434, "loss": 0.026995, "accuracy": 0.604938, "mae": 0.113570, "log_loss": 0.719150},
}
# Value and tolerance: another processor may round a network's sums otherwise and stop it an epoch earlier or later.
GOLDEN_NETWORKS = {
    "vanilla.small:size16-layers2": {
        "rank_ic": (0.015873, 0.05),
        "loss": (0.683821, 0.01),
        "accuracy": (0.524691, 0.03),
    },
    "vanilla.small.tanh:size16-layers2": {
        "rank_ic": (0.026455, 0.05),
        "loss": (0.026070, 0.001),
        "accuracy": (0.614198, 0.03),
    },
}
GOLDEN_RETURNS = {"ridge · magnitude-choice": -0.101173, "buy and hold": 0.050599, "1/N": 0.065929, "index": 0.062030}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def folder(home: Home) -> Path:
    return run_study(small_study(), home)


@pytest.fixture(scope="module")
def record(folder: Path) -> RunRecord:
    return load_record(folder)


def test_golden_scorecard(record: RunRecord) -> None:
    """Closed-form figures are exact; a network's may move with the processor, so its bounds are wider.

    A change that moves these figures is a change of results: say so in the changelog.
    """
    cards = {card.analyst: card for card in record.scorecards}
    assert record.training_basket == ("AAPL", "PEP", "RRC", "PG", "BBY", "UNH")
    assert record.evaluation_basket == ("GE", "KO", "AMD", "MRK", "CVX", "LLY")
    assert {name: (card.rows, card.quarters) for name, card in cards.items()} == dict.fromkeys(cards, (162, 27))
    for name, expected in GOLDEN_EXACT.items():
        got = {metric: cards[name].figure(metric).value for metric in expected}
        assert got == pytest.approx(expected, abs=2e-6), name
    for name, wanted in GOLDEN_NETWORKS.items():
        for metric, (value, tolerance) in wanted.items():
            assert cards[name].figure(metric).value == pytest.approx(value, abs=tolerance), (name, metric)
    portfolios = {result.name: result.statistics.annual_return for result in record.portfolios}
    assert {name: portfolios[name] for name in GOLDEN_RETURNS} == pytest.approx(GOLDEN_RETURNS, abs=2e-6)


def test_no_figure_is_too_good_and_no_interval_is_missing(record: RunRecord) -> None:
    for card in record.scorecards:
        assert card.figure("accuracy").value <= card.rise_share + 0.05, card.analyst
        for figure in card.figures:
            assert figure.value is None or (figure.over_quarters and figure.over_seeds), (card.analyst, figure.name)
            assert figure.value is not None or figure.note, (card.analyst, figure.name)
        assert card.verdict
    for result in record.portfolios:
        interval = result.statistics.annual_return_interval
        assert interval.lower <= result.statistics.annual_return <= interval.upper, result.name


def test_every_analyst_and_benchmark_is_there(record: RunRecord) -> None:
    names = [card.analyst for card in record.scorecards]
    assert names == [
        "naive",
        "naive:PQ",
        "momentum",
        "ridge",
        "vanilla.small:size16-layers2",
        "vanilla.small.tanh:size16-layers2",
    ]
    portfolios = {result.name for result in record.portfolios}
    assert {
        "buy and hold",
        "1/N",
        "index",
        "ridge · magnitude-choice",
        "vanilla.small:size16-layers2 · nuanced",
    } <= portfolios
    assert not {"vanilla.small:size16-layers2 · magnitude-choice", "naive · simple"} & portfolios


def test_where_returns_came_from_adds_up_to_each_account(record: RunRecord, folder: Path) -> None:
    worth = pl.read_parquet(folder / "accounts.parquet").group_by("portfolio").agg(pl.col("value"))
    worths = dict(worth.iter_rows())
    equal = next(one.over_cash for one in record.portfolios if one.name == "1/N")
    assert equal is not None
    for one in record.portfolios:
        found = one.over_cash
        assert found is not None
        parts = found.market + found.selection + sum(found.costs.values())
        assert parts == pytest.approx(found.total, abs=1e-9)
        assert found.total * found.years == pytest.approx(np.log1p(one.statistics.total_return), abs=1e-9)
        assert set(found.costs) == {"trading", "borrow"}
        # The statistics count costs in units of the initial capital, this as shares of what the account was worth.
        share, value = -sum(found.costs.values()) * found.years, worths[one.name]
        assert 0.8 * one.statistics.costs / max(value) <= share <= 1.25 * one.statistics.costs / min(value)
        if one.name != "1/N":
            assert one.over_equal is not None
            assert one.over_equal.total == pytest.approx(found.total - equal.total, abs=1e-9)
        if one.name == "index":
            assert found.beta == pytest.approx(1.0)
            assert abs(found.selection) < 1e-3


def test_the_first_lines_say_that_these_are_survivors(record: RunRecord) -> None:
    assert record.warnings[0].startswith("Survivorship:")
    assert any("Few dates: 28 test quarters" in warning for warning in record.warnings)
    assert record.panel.left_out
    assert {left.name for left in record.data.missing} == {"open", "high", "low", "volume"}


def test_among_survivors_a_column_of_size_is_called_out() -> None:
    plain = survivorship(("momentum_12_1", "delta_dollar_volume"))
    assert plain.endswith("higher than an investor of the time could have expected.")
    sizes = survivorship(("illiquidity", "momentum_12_1", "dollar_volume"))
    assert sizes.startswith(plain)
    assert "learns from dollar_volume, illiquidity: a company that was small" in sizes


def test_folds_never_train_on_their_future(record: RunRecord) -> None:
    for fold in record.folds:
        assert fold.train_first <= fold.train_last < fold.valid_first <= fold.valid_last < fold.test_first
    assert record.folds[0].test_first == "2008-03-31"
    assert record.folds[-1].test_last == "2014-12-31"


def test_forecasts_are_made_for_the_last_quarter_without_a_label(folder: Path) -> None:
    last = load_frame(folder, "forecasts").filter(pl.col("as_of") == dt.date(2014, 12, 31))
    assert len(last) == 6 * (4 + 2 * 2)
    assert last["PM"].null_count() == last["realised_on"].null_count() == len(last)


def test_tables_have_the_columns_that_the_record_promises(folder: Path) -> None:
    columns = {name: load_frame(folder, name).columns for name in FRAMES}
    assert columns["forecasts"] == [
        "fold", "analyst", "seed", "symbol", "as_of", "target", "mean", "lower", "upper", "prob_up", "level",
        "realised_on", *LABELS,
    ]  # fmt: skip
    assert columns["quarters"] == ["analyst", "as_of", "rank_ic", "accuracy", "rise_share", "rows"]
    assert columns["accounts"] == ["portfolio", "date", "value", "drawdown"]
    assert columns["ledger"] == ["portfolio", "date", "action", "symbol", "price", "reading", "profit"]
    best = load_frame(folder, "curves").filter("best").group_by("analyst", "seed", "fold").len()
    assert (best["len"] == 1).all()
    assert best.height == 2 * 2 * len(load_record(folder).folds)


def test_the_first_fill_is_the_session_after_the_first_decision(folder: Path) -> None:
    assert load_frame(folder, "accounts")["date"].min() == dt.date(2008, 4, 1)


def test_a_second_run_is_the_first_one(folder: Path, home: Home) -> None:
    before = (folder / "run.json").stat().st_mtime_ns
    assert run_study(small_study(), home) == folder
    assert (folder / "run.json").stat().st_mtime_ns == before


def test_another_run_takes_up_finished_fits(folder: Path, home: Home) -> None:
    other = load_record(run_study(small_study(backtest={"costs": {"cost_bps": 50.0}}), home))
    assert {timing.stage: timing.resumed for timing in other.timings if "analyst" in timing.stage} == {
        f"analyst {name}": True
        for name in (
            "naive",
            "naive:PQ",
            "momentum",
            "ridge",
            "vanilla.small:size16-layers2",
            "vanilla.small.tanh:size16-layers2",
        )
    }
    cheap = {result.name: result.statistics.total_return for result in load_record(folder).portfolios}
    dear = {result.name: result.statistics.total_return for result in other.portfolios}
    assert dear["1/N"] < cheap["1/N"]


def test_a_repeat_elsewhere_gives_the_same_forecasts_to_the_last_bit(folder: Path, tmp_path: Path) -> None:
    study = small_study()
    again = run_study(study.model_copy(update={"analysts": study.analysts[2:]}), Home(tmp_path))
    mine = load_frame(folder, "forecasts").filter(pl.col("analyst") == "vanilla.small.tanh:size16-layers2")
    theirs = load_frame(again, "forecasts").filter(pl.col("analyst") == "vanilla.small.tanh:size16-layers2")
    assert mine.equals(theirs)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"universe": {"training": ["AAPL"], "evaluation": ["F"]}}, "no bars for F; the data hold AAPL"),
        ({"data": {"until": "1989-12-31"}}, "known by|no bars"),
        ({"data": {"since": "2023-06-01"}}, "no bars from 2023-06-01"),
        ({"splits": {"test_first": "2030-03-31"}}, "no decision date to test"),
        ({"splits": {"test_first": "2008-03-31", "min_train_quarters": 200}}, "needs at least"),
        ({"panel": {"features": ["nothing*"]}}, "no column matches 'nothing\\*'"),
        ({"panel": {"scaling": {"nothing*": "robust"}}}, "panel.scaling: no column matches"),
        ({"splits": {"test_first": "2014-09-30"}}, "only 1 of the 2 test quarters has a label"),
    ],
)
def test_data_that_do_not_suffice_end_in_one_sentence(changes: dict[str, object], message: str, home: Home) -> None:
    with pytest.raises(AlfredError, match=message) as caught:
        run_study(small_study(**changes), home)
    assert "\n" not in str(caught.value)


def test_replay_prints_the_ledger_of_the_notes(folder: Path, home: Home, record: RunRecord) -> None:
    name = record.evaluation_basket[0]
    lines = "\n".join(replay(home, folder, "simple", ticker=name, analyst="vanilla.small:size16-layers2"))
    assert "2008-04-01, BUY CREATE, Price=" in lines or "2008-04-01, SELL_SHORT CREATE, Price=" in lines
    assert f"Asset: {name}" in lines
    assert "Total Completed Trades:" in lines
    assert "1/N" in lines


def test_replay_of_the_whole_basket_equals_the_run(folder: Path, home: Home, record: RunRecord) -> None:
    lines = replay(home, folder, "magnitude-choice", analyst="ridge", with_ledger=False)
    result = next(result for result in record.portfolios if result.name == "ridge · magnitude-choice")
    assert any(f"total {result.statistics.total_return:+.2%}" in line for line in lines)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategy": "simple", "ticker": "F"}, "no forecasts for F; it forecast"),
        ({"strategy": "simple", "analyst": "rigde"}, "no analyst 'rigde'; did you mean 'ridge'"),
        ({"strategy": "magnitude-choice", "analyst": "vanilla.small:size16-layers2"}, "needs forecasts of a size"),
        ({"strategy": "simpel"}, "did you mean 'simple'"),
        ({"strategy": "magnitude-choice", "analyst": "naive"}, "naive says the same of all names"),
    ],
)
def test_wrong_replays_are_explained(folder: Path, home: Home, options: dict[str, str], message: str) -> None:
    with pytest.raises(AlfredError, match=message):
        replay(home, folder, **options)  # type: ignore[arg-type]


def test_runs_are_found_by_name_beginning_and_age(tmp_path: Path) -> None:
    there = Home(tmp_path)
    for age, name in enumerate(("other-3", "small-1", "small-2")):
        (there.runs / name).mkdir(parents=True)
        (there.runs / name / "run.json").write_text("{}")
        os.utime(there.runs / name / "run.json", (age, age))
    assert find_run(there, "small-1") == find_run(there, str(there.runs / "small-1")) == there.runs / "small-1"
    assert find_run(there, "other") == there.runs / "other-3"
    assert find_run(there, "latest") == there.runs / "small-2"
    with pytest.raises(AlfredError, match="no run begins with 'none'; there are other-3, small-1, small-2"):
        find_run(there, "none")
    with pytest.raises(AlfredError, match="several runs begin with 'small'; there are small-1, small-2"):
        find_run(there, "small")
    with pytest.raises(AlfredError, match="alfred demo"):
        find_run(Home(tmp_path / "empty"), "latest")


def test_a_folder_that_is_no_run_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no run's folder"):
        load_record(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(DataError, match=r"cannot be read by this version .* away and run its study again"):
        load_record(tmp_path)


def test_efficiency_tells_time_to_best_and_memory(record: RunRecord) -> None:
    costs = {cost.analyst: cost for cost in record.efficiency}
    for name in ("ridge", "vanilla.small.tanh:size16-layers2"):
        assert 50 < (costs[name].peak_memory_mb or 0) <= record.peak_memory_mb, name
        assert costs[name].energy_joules is None or costs[name].energy_joules > 0
    network = costs["vanilla.small.tanh:size16-layers2"]
    assert network.median_seconds_to_best is not None
    assert 0 < network.median_seconds_to_best <= network.seconds / network.fits * 4
    assert costs["ridge"].median_seconds_to_best is None


def test_the_loss_is_the_one_that_the_network_trained_on(folder: Path, record: RunRecord) -> None:
    card = next(card for card in record.scorecards if card.analyst == "vanilla.small.tanh:size16-layers2")
    rows = (
        load_frame(folder, "forecasts")
        .filter(pl.col("analyst") == "vanilla.small.tanh:size16-layers2")
        .drop_nulls("PM")
    )
    error = (rows["mean"] - rows["PM"]).to_numpy()
    huber = np.where(np.abs(error) <= 1, error**2 / 2, np.abs(error) - 0.5)
    wrong = (rows["mean"].sign() != rows["PM"].sign()).to_numpy()
    assert card.loss == "huber-sign"
    assert card.figure("loss").value == pytest.approx((huber + 0.03 * wrong).mean())


def test_accounts_trade_the_mean_of_all_seeds(folder: Path, record: RunRecord) -> None:
    forecasts = load_frame(folder, "forecasts").filter(pl.col("analyst") == "vanilla.small.tanh:size16-layers2")
    symbol, date = record.evaluation_basket[0], forecasts["as_of"].min()
    own = forecasts.filter((pl.col("symbol") == symbol) & (pl.col("as_of") == date))
    readings = readings_of(forecasts, "vanilla.small.tanh:size16-layers2", record.evaluation_basket)
    assert own["mean"][0] != own["mean"][1]
    assert readings.mean[0, 0] == pytest.approx(own["mean"].mean(), rel=1e-12)


def test_accounts_end_when_the_last_tested_quarter_has_been_traded_out(home: Home) -> None:
    splits = {"test_first": "2008-03-31", "test_last": "2009-12-31", "valid_quarters": 4, "min_train_quarters": 12}
    shorter = run_study(small_study(splits=splits, analysts=[{"name": "ridge"}]), home)
    # The decision of 2009-12-31 is about the quarter to 2010-03-31, whose fill comes one session later.
    assert load_frame(shorter, "accounts")["date"].max() == dt.date(2010, 4, 1)
    assert load_frame(shorter, "forecasts")["as_of"].max() == dt.date(2009, 12, 31)


def test_an_edited_baskets_file_is_another_run(home: Home, tmp_path: Path) -> None:
    study = small_study(universe={"baskets": str(tmp_path / "b.json")}, analysts=[{"name": "ridge"}])
    Baskets(("AAPL", "PG"), ("GE", "KO", "LLY")).save(tmp_path / "b.json")
    first = run_study(study, home)
    Baskets(("AAPL", "PG"), ("GE", "KO", "MRK")).save(tmp_path / "b.json")
    second = run_study(study, home)
    assert first != second
    assert load_record(second).evaluation_basket == ("GE", "KO", "MRK")
    moved = tmp_path / "elsewhere.json"
    (tmp_path / "b.json").rename(moved)
    assert run_study(small_study(universe={"baskets": str(moved)}, analysts=[{"name": "ridge"}]), home) == second


def test_excess_is_judged_by_its_own_sign_and_not_traded(home: Home) -> None:
    folder = run_study(small_study(analysts=[{"name": "ridge", "label": "excess"}]), home)
    record = load_record(folder)
    card = next(card for card in record.scorecards if card.analyst == "ridge:excess")
    rows = load_frame(folder, "forecasts").filter(pl.col("analyst") == "ridge:excess").drop_nulls("excess")
    assert card.rise_share == pytest.approx((rows["excess"] > 0).mean())
    right = ((rows["prob_up"] > 0.5) == (rows["excess"] > 0)).mean()
    assert card.figure("accuracy").value == pytest.approx(right)
    assert {result.kind for result in record.portfolios} == {"benchmark"}
    with pytest.raises(AlfredError, match="no rule of the notes trades alone"):
        replay(home, folder, "simple", analyst="ridge:excess")


@pytest.mark.parametrize("horizon", [2, 4])
def test_longer_horizons_purge_more_and_widen_blocks(home: Home, horizon: int) -> None:
    study = small_study(panel={"horizon_quarters": horizon}, analysts=[{"name": "ridge"}])
    record = load_record(run_study(study, home))
    for fold in record.folds:
        ends = [quarter_index(np.array([end], "datetime64[D]"))[0] for end in (fold.train_last, fold.valid_first)]
        assert ends[1] - ends[0] == horizon
    assert record.scorecards[0].rows == 6 * (28 - horizon)


def test_a_run_without_its_record_is_made_again(home: Home) -> None:
    study = small_study(analysts=[{"name": "momentum"}])
    folder = run_study(study, home)
    (folder / "run.json").unlink()
    assert run_study(study, home) == folder
    assert load_record(folder).study == "small"


def test_the_lake_may_lie_at_a_url_and_versions_of_runs_are_known(tmp_path: Path) -> None:
    there = Home(tmp_path / "home", f"file://{tmp_path / 'shared'}")
    run_study(small_study(analysts=[{"name": "momentum"}]), there)
    assert not (tmp_path / "home" / "lake").exists()
    assert (tmp_path / "shared" / "bars" / "_delta_log").is_dir()
    assert recorded_versions(there) == {"bars": [0], "series": [0]}


def test_a_damaged_table_is_named(home: Home) -> None:
    folder = run_study(small_study(analysts=[{"name": "momentum"}]), home)
    (folder / "ledger.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match=r"ledger\.parquet is damaged .* run the study again"):
        load_frame(folder, "ledger")
    pl.DataFrame({"another": [1]}).write_parquet(folder / "forecasts.parquet")
    with pytest.raises(DataError, match=r"forecasts\.parquet lacks fold, analyst, .* run the study again"):
        load_frame(folder, "forecasts")
    # What the sentence tells to do is what helps; the same run alone would be taken up as it is.
    shutil.rmtree(folder)
    again = run_study(small_study(analysts=[{"name": "momentum"}]), home)
    assert again == folder
    assert "analyst" in load_frame(folder, "forecasts").columns
    shutil.rmtree(folder)


def test_accounts_begin_with_one_and_lose_the_first_cost(folder: Path) -> None:
    accounts = load_frame(folder, "accounts").filter(pl.col("portfolio") == "1/N")
    assert accounts["value"][0] == pytest.approx(1 / 1.001, rel=1e-12)
    assert np.isfinite(accounts["value"].to_numpy()).all()


def test_a_run_can_be_repeated_on_the_data_that_it_read(tmp_path: Path) -> None:
    home, study = Home(tmp_path), small_study(analysts=[{"name": "ridge"}])
    first = run_study(study, home)
    versions = load_record(first).data.versions
    lake = Lake(home.lake)
    bars = lake.asof(dt.datetime(2030, 1, 1, tzinfo=dt.UTC)).bars(["GE"], source="sample")
    lake.write(
        "bars", bars.with_columns(pl.col("close") * 1.5, pl.col("adj_close") * (1 + pl.col("date").dt.day() / 99))
    )
    assert run_study(study, home) != first
    forecasts = load_frame(first, "forecasts")
    (first / "run.json").unlink()
    assert run_study(study, home, versions=versions) == first
    assert load_frame(first, "forecasts").equals(forecasts)
