import time
from functools import partial

import numpy as np
import polars as pl
import pytest
from pydantic import TypeAdapter
from scipy import stats

from alfred.core.errors import DataError
from alfred.evaluation.bootstrap import BootstrapSettings
from alfred.evaluation.contracts import Scorecard
from alfred.evaluation.metrics import metric_names, rank_ics
from alfred.evaluation.rows import forecast_rows
from alfred.evaluation.scorecard import point_values, quarter_table, ranking_test, scorecard
from alfred.evaluation.significance import newey_west
from alfred.evaluation.verdict import lowers_loss
from alfred.training.losses import LOSSES, original_row_losses


def squared_error(prediction, label):
    return (prediction - label) ** 2


def card(frame, analyst="analyst", naive=None, **settings):
    beside = frame.filter(analyst="naive") if naive is None else naive
    return scorecard(frame, analyst, beside, squared_error, "mse", BootstrapSettings(**settings))


@pytest.mark.parametrize("target", ["PM", "excess", "PQ"])
def test_no_interval_is_missing(simulate, target):
    result = card(simulate(target=target, seeds=3, skill=0.1))
    assert tuple(figure.name for figure in result.figures) == metric_names(target)
    assert (result.rows, result.quarters, result.seeds, result.target, result.loss) == (800, 40, 3, target, "mse")
    for figure in result.figures:
        assert figure.value is not None
        assert figure.difference == pytest.approx(figure.value - figure.naive, abs=1e-15)
        assert figure.over_seeds.lower <= figure.value <= figure.over_seeds.upper
        for interval in (figure.over_quarters, figure.difference_over_quarters):
            assert interval.level == 0.95
            assert interval.lower <= interval.upper
        assert figure.over_quarters.lower <= figure.value <= figure.over_quarters.upper


def test_value_is_the_mean_over_seeds(simulate):
    frame = simulate(seeds=3, skill=0.1)
    together = card(frame).figure("mae")
    apart = [card(frame.filter((pl.col("analyst") == "naive") | (pl.col("seed") == seed))) for seed in range(3)]
    values = [result.figure("mae").value for result in apart]
    assert together.value == pytest.approx(np.mean(values))
    expected = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
    assert (together.over_seeds.lower, together.over_seeds.upper) == pytest.approx(expected)


def test_one_seed_is_said(simulate):
    frame = simulate()
    figure = card(frame).figure("loss")
    assert figure.note == "one seed: its spread over seeds is not known"
    assert figure.over_seeds.lower == figure.over_seeds.upper == figure.value
    beside = frame.filter(analyst="naive")
    exact = scorecard(frame, "analyst", beside, squared_error, "mse", random=False)
    assert exact.figure("loss").note == ""


def test_naive_differs_by_nothing_from_itself(simulate):
    result = card(simulate(), "naive")
    for figure in result.figures:
        assert figure.difference == 0
        assert (figure.difference_over_quarters.lower, figure.difference_over_quarters.upper) == (0, 0)
        assert figure.over_seeds.lower == figure.over_seeds.upper == figure.value
    assert result.figure("rank_ic").value == 0
    assert "same for all names in 40 quarters, whose rank IC is 0" in result.figure("rank_ic").note
    assert result.figure("accuracy").value == result.rise_share
    assert len(result.calibration) == 1
    assert result.verdict.startswith("The forecast to beat: mse loss 0.0")
    assert not result.skilled


def test_paired_difference_is_narrower_than_the_values(simulate):
    figure = card(simulate(skill=0.1)).figure("loss")
    paired = figure.difference_over_quarters.upper - figure.difference_over_quarters.lower
    assert paired < 0.2 * (figure.over_quarters.upper - figure.over_quarters.lower)


def test_intervals_by_a_plain_loop(simulate):
    frame = simulate(quarters=12, symbols=6, skill=0.1)
    result = card(frame, draws=200, block_quarters=1)
    own = frame.filter(analyst="analyst")["mean"].to_numpy().reshape(12, 6)
    moves = frame.filter(analyst="analyst")["PM"].to_numpy().reshape(12, 6)
    taken = np.random.default_rng(0).integers(12, size=(200, 12))
    scores = [1 - ((own[at] - moves[at]) ** 2).sum() / ((moves[at] - moves[at].mean()) ** 2).sum() for at in taken]
    tail = stats.norm.cdf(-np.sqrt(12 / 11) * stats.t.ppf(0.975, 11))
    interval = result.figure("r2").over_quarters
    assert (interval.lower, interval.upper) == pytest.approx(tuple(np.quantile(scores, [tail, 1 - tail])))


def test_rows_without_label_are_left_out_and_counted(simulate):
    frame = simulate(quarters=13, symbols=5, seeds=2)
    last = pl.col("as_of") == frame["as_of"].max()
    cut = frame.with_columns(pl.when(~last).then(pl.col(name)) for name in ("PM", "PQ", "excess"))
    result = card(cut)
    assert (result.rows, result.quarters, result.rows_without_label) == (60, 12, 5)
    whole = card(frame.filter(~last))
    assert result.figures == whole.figures
    assert whole.rows_without_label == 0
    assert quarter_table(cut).equals(quarter_table(frame.filter(~last)))
    no_labels = frame.with_columns(pl.lit(None, dtype=pl.Float64).alias("PM"))
    with pytest.raises(DataError, match="none of the 65 forecasts by naive has a realised PM yet"):
        card(no_labels)
    not_a_number = frame.with_columns(pl.when(~last).then(pl.col("PM")).otherwise(float("nan")))
    assert card(not_a_number).rows_without_label == 5


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_of_the_notes(simulate, loss):
    frame = simulate(quarters=8, symbols=5, target="PQ" if loss == "bce" else "PM")
    result = scorecard(frame, "analyst", frame.filter(analyst="naive"), partial(original_row_losses, loss), loss)
    own = frame.filter(analyst="analyst")
    expected = original_row_losses(loss, own["mean"].to_numpy(), own["PQ" if loss == "bce" else "PM"].to_numpy()).mean()
    assert result.figure("loss").value == pytest.approx(expected)


@pytest.mark.parametrize("symbols", [1, 8])
def test_json_and_back(simulate, symbols):
    adapter = TypeAdapter(Scorecard)
    result = card(simulate(quarters=6, symbols=symbols))
    assert adapter.validate_json(adapter.dump_json(result)) == result


def test_order_of_rows_does_not_matter(simulate):
    frame = simulate(seeds=2, skill=0.1)
    assert card(frame.sample(fraction=1, shuffle=True, seed=1)) == card(frame)


def test_mismatched_rows(simulate):
    frame = simulate(quarters=10, symbols=5, seeds=2)
    naive = frame.filter(analyst="naive")
    own = frame.filter(analyst="analyst")
    with pytest.raises(
        DataError, match="analyst has 5 rows that the naive forecast lacks, such as T0000 on 1990-03-31"
    ):
        card(frame, naive=naive.filter(pl.col("as_of") > naive["as_of"].min()))
    fewer = own.filter(pl.col("symbol") != "T0003")
    with pytest.raises(DataError, match="the naive forecast has 10 rows that analyst lacks, such as T0003"):
        card(fewer, naive=naive)
    with pytest.raises(DataError, match=r"seeds 0 and 1 of analyst do not cover the same rows and labels \(50 and 49"):
        card(own[:-1], naive=naive)
    with pytest.raises(DataError, match="analyst forecasts T0000 on 1990-03-31 more than once with seed 0"):
        card(pl.concat([own, own[:1]]), naive=naive)
    with pytest.raises(DataError, match="labels of analyst and of the naive forecast differ in 50 rows, such as T0000"):
        card(frame, naive=naive.with_columns(pl.col("PM") + 0.1))


def test_wrong_tables(simulate):
    frame = simulate(quarters=10, symbols=5)
    naive = frame.filter(analyst="naive")
    with pytest.raises(DataError, match="lack the columns prob_up, PQ"):
        card(frame.drop("prob_up", "PQ"))
    with pytest.raises(DataError, match="there are no forecasts by 'lstm' of PM; there are analyst, naive"):
        card(frame, "lstm")
    with pytest.raises(DataError, match="no forecasts by 'analyst' of PM; it forecasts PQ"):
        card(simulate(quarters=10, symbols=5, target="PQ"), naive=naive)
    with pytest.raises(DataError, match="must be of one analyst, got 2"):
        card(frame, naive=frame)
    with pytest.raises(DataError, match="came with 2 seeds"):
        card(frame, naive=pl.concat([naive, naive.with_columns(seed=naive["seed"] + 1)]))
    with pytest.raises(DataError, match="has 50 forecasts whose mean is not finite"):
        card(frame.with_columns(pl.lit(None, dtype=pl.Float64).alias("mean")), naive=naive)
    with pytest.raises(DataError, match="target 'price' of naive is no label; labels are PM, PQ, excess"):
        card(frame.with_columns(target=pl.lit("price")))
    with pytest.raises(DataError, match="at least 2 test quarters"):
        card(frame.filter(pl.col("as_of") == frame["as_of"].min()))
    with pytest.raises(DataError, match="analyst forecasts PM, PQ; say which"):
        quarter_table(pl.concat([frame, frame.filter(analyst="analyst").with_columns(target=pl.lit("PQ"))]))


def test_one_name_has_no_rank_ic(simulate):
    result = card(simulate(quarters=30, symbols=1, seeds=2))
    ranks = result.figure("rank_ic")
    assert (ranks.value, ranks.over_quarters, ranks.over_seeds, ranks.difference) == (None, None, None, None)
    assert ranks.note == "30 of 30 quarters have fewer than 3 names and no rank IC"
    assert result.minimum_detectable_ic == 1
    assert not result.skilled
    assert quarter_table(simulate(quarters=30, symbols=1))["rank_ic"].null_count() == 60


def test_the_tests_behind_the_verdict(simulate):
    frame = simulate(quarters=40, seeds=2, skill=0.1)
    rows = forecast_rows(frame, "analyst")
    ics = rank_ics(rows)
    result = card(frame)
    assert result.ranking == ranking_test(ics, rows) == newey_west(ics.mean(axis=0), 3)
    assert result.ranking.mean == pytest.approx(result.figure("rank_ic").value)
    assert result.saving.mean == pytest.approx(-result.figure("loss").difference)
    assert result.minimum_detectable_ic == pytest.approx(result.ranking.detectable(0.05))
    assert (result.tried, result.ranking_p, result.quarters) == (1, result.ranking.p_value, 40)
    naive = forecast_rows(frame, "naive")
    flat = ranking_test(rank_ics(naive), naive)
    assert (flat.mean, flat.p_value) == (0.0, 0.5)
    assert flat.error == pytest.approx(1 / np.sqrt(19 * 40))


def test_quarters_of_different_sizes_weigh_as_in_the_loss(simulate):
    frame = simulate(quarters=20, symbols=12, skill=0.1)
    some = frame.filter((pl.col("as_of").dt.year() > 1992) | (pl.col("symbol") < "T0004"))
    result = card(some)
    assert result.saving.mean == pytest.approx(-result.figure("loss").difference)
    # The draws of the bootstrap and Newey and West speak of one spread.
    interval = result.figure("loss").difference_over_quarters
    assert result.saving.error == pytest.approx((interval.upper - interval.lower) / 5, rel=0.5)


def test_quarter_table(simulate):
    frame = simulate(quarters=6, symbols=8, seeds=2, skill=0.3)
    result = quarter_table(frame)
    assert result.schema == {
        "analyst": pl.String,
        "as_of": pl.Date,
        "rank_ic": pl.Float64,
        "accuracy": pl.Float64,
        "rise_share": pl.Float64,
        "rows": pl.Int64,
    }
    assert result["analyst"].to_list() == ["analyst"] * 6 + ["naive"] * 6
    third = frame.filter(as_of=result["as_of"][2], analyst="analyst")
    right = ((third["prob_up"] > 0.5) == (third["PQ"] > 0.5)).mean()
    assert result["accuracy"][2] == pytest.approx(right)
    seeds = third.partition_by("seed")
    assert result["rank_ic"][2] == pytest.approx(np.mean([stats.spearmanr(one["mean"], one["PM"])[0] for one in seeds]))
    assert result["rise_share"][2] == seeds[0]["PQ"].mean()
    assert result["rows"].to_list() == [8] * 12
    assert card(frame).figure("rank_ic").value == pytest.approx(result["rank_ic"][:6].mean())
    with pytest.raises(DataError, match="no forecasts to tabulate"):
        quarter_table(frame.clear())


def test_noise_is_called_skill_as_often_as_promised(simulate):
    """5% of trials: of 300, 15, and between 6 and 26 with probability 99.5%. A lower loss is claimed less often."""
    granted, in_loss = 0, 0
    for draw in range(300):
        result = card(simulate(quarters=40, symbols=12, draw=draw), draws=100)
        granted += result.skilled
        in_loss += result.skilled and lowers_loss(result)
    assert 6 <= granted <= 26
    assert in_loss <= granted


def test_planted_skill_is_found(simulate):
    found = [card(simulate(quarters=80, skill=0.12, seeds=3, draw=draw), draws=400) for draw in range(20)]
    assert sum(result.skilled for result in found) >= 17
    assert sum(result.skilled and lowers_loss(result) for result in found) >= 14
    told = next(result for result in found if result.skilled)
    assert told.verdict.startswith("Skill shown: mean rank IC 0.1")


@pytest.mark.parametrize("target", ["PM", "PQ", "excess"])
def test_a_leak_is_suspicious(simulate, target):
    result = card(simulate(skill=0.6, target=target))
    assert result.verdict.startswith("Suspicious: mean rank IC 0.")
    assert "too good to be true: look for a leak before believing it" in result.verdict
    assert not result.skilled


def test_speed(simulate):
    frame = simulate(quarters=80, seeds=5)
    card(frame)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        card(frame)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.5


@pytest.mark.parametrize("target", ["PM", "PQ"])
def test_point_values_are_the_scorecards_without_intervals(simulate, target):
    frame = simulate(quarters=12, symbols=6, target=target, seeds=2, skill=0.1)
    result, values = card(frame), point_values(frame, "analyst", squared_error)
    assert values == pytest.approx({f.name: f.value for f in result.figures} | {"rise_share": result.rise_share})
    flat = frame.with_columns(PM=pl.lit(0.01), PQ=pl.lit(1.0))
    assert target == "PQ" or point_values(flat, "analyst", squared_error)["r2"] is None
