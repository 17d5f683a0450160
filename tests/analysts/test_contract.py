"""What every analyst promises, whichever file it stands in. A new file is tested here by its name."""

import functools
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from planted_windows import COLUMNS, after, planted

from alfred.analysts import AnalystSpec, analyst_names, describe, make_analyst, restore_analyst
from alfred.core.errors import DataError, LeakError
from alfred.training.compute import build_seeded
from alfred.training.settings import TrainSettings

NETWORKS = tuple(name for name in analyst_names() if name.startswith(("lstm", "trans", "vanilla")))


def sibling(name):
    """The small network that it is but for its default size, or itself."""
    return name.replace(".medium", ".small").replace(".large", ".small")


def cases(names):
    """Networks that differ in their default size alone are tested once, `test_twins` sees to the others; of those that
    stand behind extractors, other heads than the first are slow."""
    once = [name for name in names if name not in NETWORKS or sibling(name) == name]
    slow = {name for name in once if "extractors" in name and not name.endswith(".tanh")}
    return [pytest.param(name, marks=pytest.mark.slow) if name in slow else name for name in once]


NAMES = cases(analyst_names())
LEARNERS = cases(name for name in analyst_names() if name != "naive")
QUICK = TrainSettings(epochs=30, batch_size=64, learning_rate=3e-3, threads=1, device="cpu", patience=30)


def spec_of(name, size=16):
    if name not in NETWORKS:
        return AnalystSpec(name=name)
    return AnalystSpec(name=name, size=size, layers=3 if "compression" in name else 2)


def analyst(name, seed=1, settings=QUICK):
    return make_analyst(spec_of(name), settings, seed)


@functools.cache
def data(target, signal=None):
    slopes = None if signal is None else dict(signal)
    train = planted(320, target, signal=slopes)
    valid = planted(96, target, signal=slopes, seed=1, first=after(train))
    test = planted(400, target, signal=slopes, seed=2, first=after(valid))
    return train, valid, test


@functools.cache
def fitted(name, seed=1):
    train, valid, _ = data(describe(name).target)
    return analyst(name, seed).fit(train, valid)


def rows_to_test(name):
    return data(describe(name).target)[2]


def same(one, two):
    return all(np.array_equal(getattr(one, f), getattr(two, f)) for f in ("mean", "lower", "upper", "prob_up"))


def ic(forecast, windows):
    if np.ptp(forecast.mean) == 0:
        return 0.0
    return float(np.corrcoef(forecast.mean, windows.y)[0, 1])


@pytest.mark.parametrize("name", [name for name in NETWORKS if sibling(name) != name])
def test_twins(name):
    """At one size it is the very network that its smaller sibling is, learning the same label by the same loss."""
    windows, _, _ = data(describe(name).target)
    own, other = (analyst(one) for one in (name, sibling(name)))
    assert replace(own.choice, name="") == replace(other.choice, name="")
    built, also = (build_seeded(partial(one.build, len(windows.columns), windows.quarters), 1) for one in (own, other))
    assert repr(built) == repr(also)
    x, seen = (torch.from_numpy(array) for array in (windows.x, windows.seen))
    assert torch.equal(built(x, seen), also(x, seen))


@pytest.mark.parametrize("name", NAMES)
def test_forecast_of_every_row(name):
    windows = rows_to_test(name)
    forecast = fitted(name).predict(windows)
    assert len(forecast) == len(windows)
    assert forecast.level == 0.8
    assert all(np.isfinite(getattr(forecast, f)).all() for f in ("mean", "lower", "upper", "prob_up"))
    assert (forecast.lower < forecast.upper).all()
    assert (forecast.lower <= forecast.mean).all()
    assert (forecast.mean <= forecast.upper).all()
    assert ((forecast.prob_up > 0) & (forecast.prob_up < 1)).all()
    if windows.target == "PQ":
        assert np.array_equal(forecast.prob_up, forecast.mean)
        assert (forecast.lower >= 0).all()
        assert (forecast.upper <= 1).all()


@pytest.mark.parametrize("name", NAMES)
def test_intervals_hold_most_labels(name):
    windows = rows_to_test(name)
    forecast = fitted(name).predict(windows)
    inside = (forecast.lower <= windows.y) & (windows.y <= forecast.upper)
    assert inside.mean() > 0.65


@pytest.mark.parametrize("name", NAMES)
def test_equal_seeds_forecast_equally(name):
    train, valid, test = data(describe(name).target)
    again = analyst(name, seed=1).fit(train, valid)
    assert same(again.predict(test), fitted(name).predict(test))


@pytest.mark.parametrize("name", cases(NETWORKS))
def test_other_seeds_forecast_otherwise(name):
    train, valid, test = data(describe(name).target)
    other = analyst(name, seed=2, settings=QUICK.model_copy(update={"epochs": 2})).fit(train, valid)
    assert not same(other.predict(test), fitted(name).predict(test))


@pytest.mark.parametrize("name", NAMES)
def test_saved_and_restored_to_the_last_bit(name, tmp_path):
    original = fitted(name)
    original.save(tmp_path / "one")
    back = restore_analyst(tmp_path / "one")
    assert same(back.predict(rows_to_test(name)), original.predict(rows_to_test(name)))
    assert back.record == original.record
    files = [path for path in (tmp_path / "one").rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"analyst.json", "weights.safetensors"}
    assert all((path.parent / "analyst.json").is_file() for path in files)
    back.save(tmp_path / "two")
    for path in files:
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_saves_over_an_older_one(name, tmp_path):
    other = fitted("naive" if name != "naive" else "ridge")
    other.save(tmp_path)
    fitted(name).save(tmp_path)
    assert same(restore_analyst(tmp_path).predict(rows_to_test(name)), fitted(name).predict(rows_to_test(name)))


@pytest.mark.parametrize("restored", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_other_windows_are_refused(name, restored, tmp_path):
    model = fitted(name)
    if restored:
        model.save(tmp_path)
        model = restore_analyst(tmp_path)
    windows = rows_to_test(name)
    renamed = replace(windows, columns=(*COLUMNS[:-1], "colour"))
    with pytest.raises(DataError, match=r"windows to forecast hold other columns .* lacking are beta; unknown are col"):
        model.predict(renamed)
    with pytest.raises(DataError, match="the order differs, column 1 is beta and was momentum_12_1"):
        model.predict(replace(windows, columns=COLUMNS[::-1]))
    with pytest.raises(DataError, match="have 1 quarters of history, the analyst learnt on 2"):
        model.predict(replace(windows, index=windows.index[:, 1:]))


@pytest.mark.parametrize("name", NAMES)
def test_later_rows_change_no_earlier_forecast(name):
    windows = rows_to_test(name)
    cut = windows.dates[len(windows) // 3]
    past = windows.dates <= cut
    cells = windows.cells.copy()
    later = windows.index[~past].ravel()
    cells[later] = np.random.default_rng(5).normal(scale=50, size=cells[later].shape)
    model = fitted(name)
    before, scrambled = model.predict(windows), model.predict(replace(windows, cells=cells))
    for field in ("mean", "lower", "upper", "prob_up"):
        assert np.array_equal(getattr(before, field)[past], getattr(scrambled, field)[past])
    if name != "naive":
        assert not np.array_equal(before.mean[~past], scrambled.mean[~past])


@pytest.mark.parametrize("name", NAMES)
def test_a_forecast_is_the_same_in_any_company(name):
    windows, model = rows_to_test(name), fitted(name)
    everything = model.predict(windows).mean
    shuffled = np.random.default_rng(0).permutation(len(windows))
    for which in (np.arange(1), np.arange(3, 10), np.arange(100, 400), np.arange(1, 400, 2), shuffled):
        assert np.array_equal(model.predict(windows.rows(which)).mean, everything[which])


@pytest.mark.parametrize("name", NAMES)
def test_labels_are_not_read(name):
    windows, model = rows_to_test(name), fitted(name)
    expected = model.predict(windows)
    assert same(model.predict(windows.without_labels()), expected)
    assert same(model.predict(replace(windows, y=1 - windows.y)), expected)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_to_forecast_is_no_error(name):
    windows = rows_to_test(name)
    assert len(fitted(name).predict(windows.rows(np.zeros(len(windows), bool)))) == 0


@pytest.mark.parametrize("name", NAMES)
def test_fit_leaves_its_rows_alone(name):
    train, valid, _ = data(describe(name).target)
    copies = train.cells.copy(), valid.cells.copy()
    fitted(name)
    assert np.array_equal(train.cells, copies[0])
    assert np.array_equal(valid.cells, copies[1])


@pytest.mark.parametrize("name", NAMES)
def test_dishonest_rows_are_refused(name):
    train, valid, _ = data(describe(name).target)
    with pytest.raises(LeakError, match="320 validation rows are training rows too"):
        analyst(name).fit(train, train)
    with pytest.raises(LeakError, match="do not lie after the last training date"):
        analyst(name).fit(valid, train)
    with pytest.raises(DataError, match="there are no training rows"):
        analyst(name).fit(train.rows(np.zeros(len(train), bool)), valid)
    with pytest.raises(DataError, match="validation rows have no labels"):
        analyst(name).fit(train, valid.without_labels())
    other = "PM" if analyst(name).target == "PQ" else "excess"
    with pytest.raises(DataError, match=f"label is {other}, the analyst forecasts {analyst(name).target}"):
        analyst(name).fit(*data(other)[:2])
    with pytest.raises(DataError, match=r"intervals at level 0.8 need at least 4 validation rows, got 3"):
        analyst(name, settings=QUICK.model_copy(update={"epochs": 1})).fit(train, valid.rows(np.arange(3)))


@pytest.mark.parametrize("name", NAMES)
def test_the_record_counts_what_is_described(name):
    record = fitted(name).record
    assert record.seconds > 0
    if name in NETWORKS:
        assert 1 <= record.best_epoch <= len(record.epochs) <= 30
        assert record.samples_per_second > 0
    elif name.startswith("ensemble"):
        assert 1 < record.parameters <= describe(name, columns=len(COLUMNS), quarters=2).parameters
        assert (record.stopped, record.epochs) == ("members", ())
    elif name == "lightgbm":
        assert 1 <= record.best_epoch <= len(record.epochs)
        assert record.parameters <= describe(name, columns=len(COLUMNS), quarters=2).parameters
    else:
        assert record.parameters == describe(name, columns=len(COLUMNS), quarters=2).parameters
        assert (record.best_epoch, record.epochs) == (0, ())
        assert record.stopped in ("closed form", "converged")


@pytest.mark.parametrize("name", cases(NETWORKS))
def test_learns_64_rows_by_heart(name):
    """Labels without any pattern: only a network with the capacity for it, and a loop that learns, gets there."""
    target = describe(name).target
    train = planted(64, target, signal={}, noise=0.3)
    settings = QUICK.model_copy(update={"epochs": 150, "batch_size": 32, "weight_decay": 0.0})
    model = make_analyst(spec_of(name, size=48), settings, 1).fit(train, planted(8, target, first=after(train)))
    record = model.record
    start = record.epochs[0].train_loss
    assert min(epoch.train_loss for epoch in record.epochs) < 0.35 * start


@pytest.mark.parametrize("name", NAMES)
def test_gets_nowhere_on_noise(name):
    target = describe(name).target
    train = planted(320, target, signal={})
    valid = planted(96, target, signal={}, seed=1, first=after(train))
    test = planted(2000, target, signal={}, seed=2, first=after(valid))
    model = analyst(name, settings=QUICK.model_copy(update={"epochs": 10})).fit(train, valid)
    # 2,000 rows: the standard error of a correlation of nothing is 0.022.
    assert abs(ic(model.predict(test), test)) < 0.08


@pytest.mark.parametrize("name", LEARNERS)
def test_finds_a_planted_signal(name):
    # The signal explains 71% of the magnitude's variance, a correlation of 0.84; momentum sees 42% of it, 0.65. A
    # direction holds less than a magnitude, and a sign-aware loss gives up some correlation for the sign.
    lower = name == "momentum" or describe(name).loss in ("bce", "huber-sign")
    least = 0.55 if lower else 0.7
    assert ic(fitted(name).predict(rows_to_test(name)), rows_to_test(name)) > least


def test_naive_says_the_same_of_every_row():
    train, _, test = data("PM")
    forecast = fitted("naive").predict(test)
    assert np.ptp(forecast.mean) == 0
    assert forecast.mean[0] == train.y.mean()
    assert forecast.prob_up[0] == (train.y > 0).mean()


def test_momentum_looks_at_its_column_only():
    train, valid, test = data("PM", (("value", 0.08),))
    model = analyst("momentum").fit(train, valid)
    assert abs(ic(model.predict(test), test)) < 0.15
    assert ic(analyst("ridge").fit(train, valid).predict(test), test) > 0.7
