"""The line that noise reaches: planted drivers rise above it in order, noise columns do not."""

import functools
from dataclasses import replace

import numpy as np
import pytest
from explained_rows import COLUMNS, after, planted
from hypothesis import given, settings
from hypothesis import strategies as st

from alfred.analysts import AnalystSpec, make_analyst
from alfred.core.contracts import Windows
from alfred.core.errors import ConfigError, DataError
from alfred.explain.control import (
    COPY,
    ControlFold,
    control_line,
    relabelled,
    same_for_all_names,
    shuffled_order,
    with_copies,
)
from alfred.explain.shapley import ExplainSettings, attribute, background_rows
from alfred.training.settings import TrainSettings

FEW = ExplainSettings(background=32, samples=32)
NOISE = COLUMNS[2:]


def fit(name, learn, judge):
    return make_analyst(AnalystSpec(name=name), TrainSettings(), 0).fit(learn, judge)


def fold(name, seed=0):
    train = planted(640, seed=seed)
    valid = planted(160, seed=seed + 1, first=after(train))
    return ControlFold(functools.partial(fit, name), train, valid, planted(96, seed=seed + 2, first=after(valid)))


@pytest.mark.parametrize("name", ["ridge", "lightgbm"])
def test_planted_drivers_rise_above_noise_in_order(name):
    """Slopes 0.06 and 0.05, four columns of noise; 4 shuffles, so noise shows one above 1 time in 5."""
    found = control_line([fold(name)], 4, FEW)
    assert found.columns == COLUMNS
    assert [found.columns[at] for at in np.argsort(-found.importance)][:2] == ["momentum_12_1", "value"]
    assert dict(zip(found.columns, found.above.tolist(), strict=True)) == {
        "momentum_12_1": True, "value": True, **dict.fromkeys(NOISE, False),
    }  # fmt: skip
    assert found.chance == 1 / 5
    assert not found.by_date.any()


def test_noise_alone_rises_above_as_seldom_as_promised():
    """60 panels of pure noise, 3 shuffles: any column above in at most a quarter of them, within what chance allows."""
    risen = 0
    for seed in range(60):
        one = fold("ridge", seed=10 * seed)
        random = np.random.default_rng(seed)
        silent = [replace(part, y=random.normal(size=len(part))) for part in (one.train, one.valid)]
        found = control_line([replace(one, train=silent[0], valid=silent[1])], 3, FEW)
        risen += bool(found.above.any())
    assert risen <= 15 + 2 * np.sqrt(60 * 0.25 * 0.75)


def test_shuffled_labels_are_the_other_control():
    """Columns keep the importance of a fit to true labels; one line for all, from fits to labels out of their place."""
    one = fold("ridge")
    found = control_line([one], 3, FEW, kind="labels")
    background = background_rows(one.train, FEW.background, FEW.seed)
    true = attribute(one.fit(one.train, one.valid), one.rows, background, "ridge", FEW)
    assert np.allclose(found.importance, np.abs(true.by_column).mean(axis=0))
    assert len(np.unique(found.line)) == 1
    assert 0 < found.line[0] < found.importance[:2].min()


def test_a_column_that_an_analyst_does_not_use_is_not_above():
    found = control_line([fold("momentum")], 2, FEW)
    assert found.above.tolist() == [True, False, False, False, False, False]
    assert not found.line.any()


@settings(max_examples=40, deadline=None)
@given(counts=st.lists(st.integers(1, 6), min_size=1, max_size=8), seed=st.integers(0, 1000))
def test_dates_go_round_and_names_are_mixed(counts, seed):
    """Every row takes the place of rows of one other date, the next ones around; a date alone mixes its names."""
    dates = np.repeat(np.arange("1990-03", "1999-12", 3, dtype="datetime64[M]").astype("datetime64[D]")[: len(counts)],
                      counts)  # fmt: skip
    rows = len(dates)
    windows = Windows.of(
        x=np.ones((rows, 1, 1), np.float32), seen=np.ones((rows, 1), bool), columns=("a",), dates=dates,
        symbols=np.array([f"S{at}" for at in range(rows)]), target="PM",
    )  # fmt: skip
    order = shuffled_order(windows, np.random.default_rng(seed))
    known = list(np.unique(dates))
    turns = {(known.index(dates[one]) - known.index(date)) % len(known) for date, one in zip(dates, order, strict=True)}
    assert len(turns) == 1
    assert len(known) == 1 or turns != {0}
    if len(set(counts)) == 1:
        assert sorted(order) == list(range(rows))


def test_copies_stand_behind_the_columns():
    windows = planted(24)
    order = shuffled_order(windows, np.random.default_rng(0))
    doubled = with_copies(windows, order)
    assert doubled.columns == (*COLUMNS, *(f"{COPY}{name}" for name in COLUMNS))
    assert np.array_equal(doubled.x[:, :, :6], windows.x)
    assert np.array_equal(doubled.x[:, :, 6:], windows.x[order])
    assert np.array_equal(doubled.y, windows.y)
    assert np.array_equal(relabelled(windows, order).y, windows.y[order])


def test_columns_of_a_date_are_told_from_columns_of_names():
    windows = planted(24)
    x = windows.x
    x[:, :, 3] = (np.arange(24) // 8)[:, None]
    market = Windows.of(x=x, seen=windows.seen, columns=COLUMNS, dates=windows.dates, symbols=windows.symbols,
                        target="PM")  # fmt: skip
    assert same_for_all_names(market).tolist() == [False, False, False, True, False, False]


def test_what_a_control_refuses(monkeypatch):
    one = fold("ridge")
    with pytest.raises(ConfigError, match="a control needs at least 1 shuffle, got 0"):
        control_line([one], 0, FEW)
    with pytest.raises(DataError, match="a control needs rows to explain"):
        control_line([], 1, FEW)
    with pytest.raises(DataError, match="without labels cannot have their labels shuffled"):
        relabelled(one.train.without_labels(), np.arange(len(one.train)))
    with pytest.raises(DataError, match="ordered by date"):
        shuffled_order(one.train.rows(np.arange(len(one.train))[::-1]), np.random.default_rng(0))
    monkeypatch.setattr("alfred.explain.control.MOST_BYTES", 1e3)
    with pytest.raises(ConfigError, match="use fewer names, dates or quarters, or do without the control"):
        control_line([one], 1, FEW)
