from pathlib import Path

import numpy as np
import polars as pl

from alfred.lake.contracts import Request
from alfred.lake.ingest import admit, ensure, provider
from alfred.lake.matrix import bar_matrix
from alfred.lake.providers import sample
from alfred.lake.store import Lake


def test_the_sample_is_what_its_description_says() -> None:
    bars, series = (batch.rows for batch in sample.fetch("sample", Request(), None))
    assert bars["symbol"].n_unique() == 20
    assert (str(bars["date"].min()), str(bars["date"].max())) == ("1990-01-02", "2022-12-28")
    assert len(bars) == 20 * len(series) == 20 * 8313
    assert bars["close"].null_count() == 0
    assert "volume" not in bars.columns
    apple = bars.filter((pl.col("symbol") == "AAPL") & (pl.col("date") == pl.date(1990, 1, 2)))
    assert apple["close"].to_list() == [0.264]
    assert str(apple["known_at"][0]) == "1990-01-02 21:00:00+00:00"


def test_it_is_brought_in_once(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    first = ensure(lake, "sample")
    assert [report.inserted for report in first] == [166_260, 8_313]
    assert ensure(lake, "sample") == ()
    again = admit(lake, sample.fetch("sample", Request(), None))
    assert [report.unchanged for report in again] == [166_260, 8_313]
    assert lake.versions() == {"bars": 0, "series": 0}


def test_the_description_warns_of_what_the_notes_overlooked() -> None:
    description = provider("sample").DESCRIPTION
    assert description.survivors_only
    assert description.levels_know_the_future


def test_bars_pivot_to_matrices_with_gaps() -> None:
    rows = pl.DataFrame(
        {
            "symbol": ["B", "A", "B"],
            "date": ["2020-01-02", "2020-01-03", "2020-01-03"],
            "close": [1.0, 2.0, 3.0],
            "adj_close": [None, 1.9, 2.9],
        },
        schema_overrides={"adj_close": pl.Float64},
    ).with_columns(pl.col("date").str.to_date())
    bars = bar_matrix(rows)
    assert bars.symbols == ("A", "B")
    np.testing.assert_array_equal(bars.close, [[np.nan, 1.0], [2.0, 3.0]])
    np.testing.assert_array_equal(bars.total, [[np.nan, 1.0], [1.9, 2.9]])
