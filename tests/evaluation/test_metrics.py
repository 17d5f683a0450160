import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from alfred.core.errors import DataError
from alfred.evaluation.metrics import centred_ranks, metric_names, metric_values, quarter_sums, rank_ics
from alfred.evaluation.rows import forecast_rows


def values_of(frame, row_loss, analyst="analyst"):
    rows = forecast_rows(frame, analyst)
    sums = quarter_sums(rows, row_loss, rank_ics(rows))
    return rows, metric_values({name: part.sum(axis=1) for name, part in sums.items()}, rows.target)


def test_by_hand(as_table, squared_error):
    moves = np.array([[0.10, -0.10, 0.20], [0.00, -0.30, 0.10]])
    mean = np.array([[0.10, 0.05, 0.15], [0.10, -0.10, -0.20]])
    prob_up = np.array([[0.8, 0.6, 0.9], [0.7, 0.3, 0.5]])
    rows, values = values_of(as_table("analyst", "PM", mean, prob_up, moves, half_width=0.1), squared_error)
    assert len(rows) == 6
    assert rows.rise.tolist() == [1, 0, 1, 0, 0, 1]
    got = {name: float(value[0]) for name, value in values.items()}
    # Forecasts of a rise: 1 1 1 1 0 0 (a probability of exactly one half is none); right: first, third, fifth.
    assert got["accuracy"] == pytest.approx(3 / 6)
    assert got["precision"] == pytest.approx(2 / 4)
    assert got["recall"] == pytest.approx(2 / 3)
    assert got["f1"] == pytest.approx(4 / 7)
    # Positive means: 1 1 1 1 0 0, against positive moves 1 0 1 0 0 1: a move of exactly 0 is no rise.
    assert got["sign_accuracy"] == pytest.approx(3 / 6)
    assert got["mae"] == pytest.approx((0 + 0.15 + 0.05 + 0.10 + 0.20 + 0.30) / 6)
    squares = 0.15**2 + 0.05**2 + 0.1**2 + 0.2**2 + 0.3**2
    assert got["loss"] == pytest.approx(squares / 6)
    assert got["r2"] == pytest.approx(1 - squares / 0.16)
    assert got["brier"] == pytest.approx((0.04 + 0.36 + 0.01 + 0.49 + 0.09 + 0.25) / 6)
    assert got["log_loss"] == pytest.approx(-np.log([0.8, 0.4, 0.9, 0.3, 0.7, 0.5]).mean())
    # Inside 0.1 either way: rows 1, 3 and 4 (its end counts).
    assert got["coverage"] == pytest.approx(3 / 6)
    assert got["width"] == pytest.approx(0.2)
    # First quarter: both rank 2 1 3. Second: 3 2 1 against 2 1 3, 1 - 6 * (1 + 1 + 4) / 24 = -0.5.
    assert got["rank_ic"] == pytest.approx((1 - 0.5) / 2)


@pytest.mark.parametrize("target", ["PM", "excess", "PQ"])
@pytest.mark.parametrize("draw", range(3))
def test_as_scikit_learn_and_scipy(simulate, squared_error, target, draw):
    frame = simulate(quarters=7, symbols=11, skill=0.2, seeds=2, target=target, draw=draw)
    rows, values = values_of(frame, squared_error)
    assert tuple(values) == metric_names(target)
    for seed in range(2):
        mean, prob_up = rows.mean[seed], rows.prob_up[seed]
        up = prob_up > 0.5
        expected = {
            "loss": reference.mean_squared_error(rows.label, mean),
            "accuracy": reference.accuracy_score(rows.rise, up),
            "sign_accuracy": np.mean((up if target == "PQ" else mean > 0) == (rows.label > 0)),
            "precision": reference.precision_score(rows.rise, up),
            "recall": reference.recall_score(rows.rise, up),
            "f1": reference.f1_score(rows.rise, up),
            "log_loss": reference.log_loss(rows.rise, prob_up),
            "brier": reference.brier_score_loss(rows.rise, prob_up),
            "rank_ic": np.mean(
                [
                    stats.spearmanr(mean[at : at + 11], frame.filter(seed=0, analyst="analyst")["PM"][at : at + 11])[0]
                    for at in rows.starts
                ]
            ),
        }
        if target != "PQ":
            expected["mae"] = reference.mean_absolute_error(rows.label, mean)
            expected["r2"] = reference.r2_score(rows.label, mean)
            expected["pearson"] = stats.pearsonr(rows.label, mean)[0]
        for name, value in expected.items():
            assert values[name][seed] == pytest.approx(value, abs=1e-12), name


def test_direction_has_no_regression_metrics():
    assert set(metric_names("PM")) - set(metric_names("PQ")) == {"mae", "r2", "pearson"}


def test_ties_share_their_rank():
    random = np.random.default_rng(0)
    values = random.integers(0, 5, 200).astype(float)
    starts = np.array([0, 1, 60, 130])
    expected = [stats.rankdata(part) - stats.rankdata(part).mean() for part in np.split(values, starts[1:])]
    assert centred_ranks(values, starts).tolist() == np.concatenate(expected).tolist()


def test_rank_ic_with_ties_as_scipy(as_table):
    random = np.random.default_rng(1)
    moves, mean = (random.integers(-3, 4, (6, 12)) / 10 for _ in range(2))
    rows = forecast_rows(as_table("analyst", "PM", mean, np.full((6, 12), 0.5), moves), "analyst")
    expected = [stats.spearmanr(*pair)[0] for pair in zip(mean, moves, strict=True)]
    assert rank_ics(rows)[0] == pytest.approx(expected)


def test_constant_forecast_and_few_names(as_table):
    moves = np.array([[0.1, 0.2, 0.3], [0.1, -0.2, 0.3]])
    constant = np.full((2, 3), 0.1)
    frame = as_table("analyst", "PM", constant, constant, moves)
    assert rank_ics(forecast_rows(frame, "analyst")).tolist() == [[0.0, 0.0]]
    two_names = forecast_rows(frame.filter(~((frame["symbol"] == "T0000") & (frame["PM"] == 0.1)))[:-1], "analyst")
    assert np.isnan(rank_ics(two_names)).all()


def test_undefined_and_conventional_values(as_table, squared_error):
    falls = np.full((3, 4), -0.1)
    low = np.full((3, 4), 0.2)
    _, values = values_of(as_table("analyst", "PM", -low, low, falls), squared_error)
    assert [float(values[name][0]) for name in ("precision", "recall", "f1", "pearson")] == [0, 0, 0, 0]
    assert np.isnan(values["r2"]).all()
    assert values["accuracy"][0] == 1


def test_large_offset_does_not_cancel(as_table):
    random = np.random.default_rng(2)
    moves = 1e6 + random.standard_normal((10, 20))
    mean = moves + random.standard_normal((10, 20))
    rows, values = values_of(as_table("analyst", "PM", mean, np.full((10, 20), 0.5), moves), lambda p, y: (p - y) ** 2)
    assert values["r2"][0] == pytest.approx(reference.r2_score(rows.label, rows.mean[0]), rel=1e-9)
    assert values["pearson"][0] == pytest.approx(stats.pearsonr(rows.label, rows.mean[0])[0], rel=1e-9)


def test_loss_of_the_wrong_shape_or_not_finite(simulate):
    frame = simulate(quarters=4, symbols=5)
    with pytest.raises(DataError, match=r"must give 20 finite numbers, .* got shape \(\)"):
        values_of(frame, lambda prediction, label: np.mean((prediction - label) ** 2))
    with pytest.raises(DataError, match="with 20 that are not finite"):
        values_of(frame, lambda prediction, label: prediction * np.inf)
