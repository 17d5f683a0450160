"""Groups of correlated columns, and an attribution in tables."""

import numpy as np
import polars as pl
import pytest
from explained_rows import COLUMNS, planted

from alfred.core.contracts import Windows
from alfred.core.errors import ConfigError
from alfred.explain.attribution import Attribution
from alfred.explain.groups import Group, correlated_groups
from alfred.explain.summary import by_group, column_table, group_table, part_table, quarter_table, value_table


def correlated():
    """Columns a, its noisy negative, b, and one that never varies."""
    random = np.random.default_rng(0)
    a, b = random.normal(size=(2, 400))
    x = np.stack([a, -a + 0.3 * random.normal(size=400), b, np.full(400, 2.0)], axis=1)[:, None].astype(np.float32)
    return Windows.of(
        x=x, seen=np.ones((400, 1), bool), columns=("a", "minus_a", "b", "still"),
        dates=np.full(400, np.datetime64("2001-03-30")), symbols=np.array([f"S{at}" for at in range(400)]),
        target="PM",
    )  # fmt: skip


def test_columns_that_move_together_are_one_group():
    groups = correlated_groups(correlated())
    assert [group.columns for group in groups] == [("a", "minus_a"), ("b",), ("still",)]
    assert groups[0].name == "a +1"
    assert groups[0].likeness == pytest.approx(1 / np.sqrt(1 + 0.09), abs=0.01)
    assert [group.name for group in correlated_groups(correlated(), 0.99)] == ["a", "minus_a", "b", "still"]
    with pytest.raises(ConfigError, match="above 0 and at most 1, got 0"):
        correlated_groups(correlated(), 0.0)


def hand_attribution(quarters=1):
    """Four forecasts on two dates, three columns, by hand."""
    values = np.zeros((4, quarters, 3))
    values[:, -1] = [[1.0, -1.0, 0.0], [2.0, -2.0, 0.0], [-3.0, 3.0, 0.0], [0.0, 1.0, 0.0]]
    if quarters > 1:
        values[0, 0, 2] = 0.5
    total = values.sum(axis=(1, 2))
    return Attribution(
        "hand", "by hand", ("a", "b", "c"),
        np.array(["2001-03-30", "2001-03-30", "2001-06-29", "2001-06-29"], "datetime64[D]"),
        np.array(["X", "Y", "X", "Y"]), values, np.zeros(4), np.full(4, 10.0), 10.0 + total, np.zeros((4, 3)),
        np.array([[1.0, 2.0, 0.0], [2.0, 4.0, 0.0], [-3.0, -6.0, 0.0], [0.0, -2.0, 0.0]]),
    ).check()  # fmt: skip


GROUPS = (Group(("a", "b"), 0.9), Group(("c",), 1.0))


def test_columns_by_hand():
    table = column_table(hand_attribution(), GROUPS)
    assert table["column"].to_list() == ["b", "a", "c"]
    assert table["mean_abs"].to_list() == [1.75, 1.5, 0.0]
    assert table["share"].to_list() == pytest.approx([1.75 / 3.25, 1.5 / 3.25, 0.0])
    assert table["mean"].to_list() == [0.25, 0.0, 0.0]
    assert table["group"].to_list() == ["a +1", "a +1", "c"]
    assert table["direction"].to_list() == pytest.approx([-1.0, 1.0, None], abs=1e-6)
    assert table["lower"].to_list() == [None, None, None]


def test_what_correlated_columns_take_from_one_another_is_counted_once():
    """a and b cancel in three of four rows: each looks large, both together hardly move a forecast."""
    found = hand_attribution()
    assert by_group(found, GROUPS)[:, 0].tolist() == [0.0, 0.0, 0.0, 1.0]
    assert group_table(found, GROUPS)["mean_abs"].to_list() == [0.25, 0.0]


def test_by_date_and_by_name():
    found = hand_attribution()
    dates = part_table(found, GROUPS, "as_of").filter(pl.col("group") == "a +1")
    assert [str(day) for day in dates["as_of"]] == ["2001-03-30", "2001-06-29"]
    assert dates["mean"].to_list() == [0.0, 0.5]
    names = part_table(found, GROUPS, "symbol").filter(pl.col("group") == "a +1")
    assert names.select("symbol", "mean", "rows").rows() == [("X", 0.0, 2), ("Y", 0.5, 2)]


def test_values_and_their_quarters():
    told = value_table(hand_attribution())
    assert told.row(0, named=True) | {"as_of": ""} == {
        "symbol": "X", "as_of": "", "forecast": 10.0, "base": 10.0, "history": 0.0, "value:a": 1.0, "value:b": -1.0,
        "value:c": 0.0,
    }  # fmt: skip
    assert quarter_table(hand_attribution()) is None
    deep = quarter_table(hand_attribution(quarters=3))
    assert deep.filter(pl.col("quarters_back") == 2).select("symbol", "column", "value").rows() == [("X", "c", 0.5)]
    assert deep.height == 8


def test_importance_has_an_interval_over_quarters():
    windows = planted(160)
    random = np.random.default_rng(0)
    values = random.normal(size=(160, 1, 6))
    found = Attribution(
        "hand", "by hand", COLUMNS, windows.dates, windows.symbols, values, np.zeros(160), np.zeros(160),
        values.sum(axis=(1, 2)), np.zeros((160, 6)), windows.x[:, -1].astype(float),
    )  # fmt: skip
    table = column_table(found, [Group((name,), 1.0) for name in COLUMNS])
    assert (table["lower"] < table["mean_abs"]).all()
    assert (table["mean_abs"] < table["upper"]).all()
