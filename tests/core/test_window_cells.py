from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alfred.core.contracts import Windows
from alfred.core.errors import DataError

COLUMNS = ("a", "b")


def windows() -> Windows:
    """Three rows of two quarters over four cells; the first row's earlier quarter is not there."""
    return Windows(
        cells=np.array([[0, 0], [1, 2], [3, 4], [5, 6]], np.float32),
        index=np.array([[0, 1], [1, 2], [2, 3]], np.int32),
        columns=COLUMNS,
        dates=np.array(["2001-03-30", "2001-06-29", "2001-09-28"], "datetime64[D]"),
        symbols=np.array(["A", "A", "A"]),
        target="PM",
        y=np.array([0.1, 0.2, 0.3]),
    )


def test_rows_look_at_cells() -> None:
    got = windows()
    assert (len(got), got.quarters) == (3, 2)
    assert got.seen.tolist() == [[False, True], [True, True], [True, True]]
    assert got.x.tolist() == [[[0, 0], [1, 2]], [[1, 2], [3, 4]], [[3, 4], [5, 6]]]
    assert got.x.dtype == np.float32


@pytest.mark.parametrize("which", [np.array([True, False, True]), np.array([2, 0]), slice(1, 3), np.array([], int)])
def test_a_part_shares_the_cells(which: np.ndarray | slice) -> None:
    all_of_them = windows()
    part = all_of_them.rows(which)
    assert np.shares_memory(part.cells, all_of_them.cells)
    assert np.array_equal(part.x, all_of_them.x[which])
    assert np.array_equal(part.dates, all_of_them.dates[which])
    assert np.array_equal(part.symbols, all_of_them.symbols[which])
    assert np.array_equal(part.y, all_of_them.y[which])
    unlabelled = part.without_labels()
    assert unlabelled.y is None
    assert unlabelled.rows(slice(0, 1)).y is None
    assert np.shares_memory(unlabelled.cells, all_of_them.cells)
    assert all_of_them.y is not None


@given(st.integers(0, 10_000), st.integers(0, 5), st.integers(1, 4))
def test_dense_arrays_come_back(seed: int, rows: int, quarters: int) -> None:
    random = np.random.default_rng(seed)
    seen = random.random((rows, quarters)) < 0.7
    x = np.where(seen[..., None], random.normal(size=(rows, quarters, 2)), 0).astype(np.float32)
    dates, symbols = np.datetime64("2001-03-30") + np.arange(rows), np.full(rows, "A")
    got = Windows.of(x=x, seen=seen, columns=COLUMNS, dates=dates, symbols=symbols, target="PM")
    np.testing.assert_array_equal(got.x, x)
    np.testing.assert_array_equal(got.seen, seen)
    assert len(got.cells) == seen.sum() + 1


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"columns": ("a",)},
            r"windows of 1 columns need float32 cells of shape \(cells, 1\), got float32 of \(4, 2\)",
        ),
        ({"cells": np.zeros((4, 2))}, "need float32 cells .* got float64"),
        ({"cells": np.zeros((0, 2), np.float32)}, "the first cell of windows is the empty one"),
        ({"cells": np.ones((4, 2), np.float32)}, "the first cell of windows is the empty one"),
        ({"cells": np.array([[0, 0]] * 3 + [[1, np.nan]], np.float32)}, "values that are not finite; scaling must"),
        ({"index": np.zeros((2, 2), np.int32)}, r"windows of 3 rows need an int32 index .* got int32 of \(2, 2\)"),
        ({"index": np.zeros((3, 0), np.int32)}, r"need an int32 index of shape \(3, quarters\), got int32 of \(3, 0\)"),
        ({"index": np.zeros((3, 1))}, r"need an int32 index .* got float64"),
        ({"index": np.full((3, 1), 4, np.int32)}, "the index of windows points outside their 4 cells"),
        ({"index": np.full((3, 1), -1, np.int32)}, "the index of windows points outside their 4 cells"),
        ({"symbols": np.array(["A"])}, "windows of 3 rows need as many symbols, got 1"),
        ({"y": np.array([0.1, np.nan, 0.2])}, "labels must be 3 finite numbers"),
        ({"y": np.array([0.1])}, r"labels must be 3 finite numbers, got shape \(1,\)"),
    ],
)
def test_windows_that_do_not_fit_are_refused(change: dict[str, np.ndarray], text: str) -> None:
    with pytest.raises(DataError, match=text):
        replace(windows(), **change)


def test_dense_arrays_that_do_not_fit_are_refused() -> None:
    rest = {"columns": COLUMNS, "dates": windows().dates, "symbols": windows().symbols, "target": "PM"}
    with pytest.raises(
        DataError, match=r"need x \(rows, quarters, columns\) and seen to match, got \(3, 1, 2\), \(3, 2\)"
    ):
        Windows.of(x=np.zeros((3, 1, 2), np.float32), seen=np.ones((3, 2), bool), **rest)
    with pytest.raises(DataError, match="hold values in quarters that are not seen; these must be 0"):
        Windows.of(x=np.ones((3, 1, 2), np.float32), seen=np.zeros((3, 1), bool), **rest)
