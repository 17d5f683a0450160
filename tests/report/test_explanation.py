"""The page of an explanation, from tables made by hand; as a reader's browser sees it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pydantic import TypeAdapter

import chromium
from alfred.core.errors import DataError
from alfred.experiments.explaining import ExplainRequest, Explanation
from alfred.explain.attribution import Attribution
from alfred.explain.groups import Group
from alfred.explain.summary import column_table, group_table, part_table, value_table
from alfred.report.explanation import explanation_sheet, write_explanation
from alfred.report.sheet import render_sheet

COLUMNS = (*tuple(f"a_rather_long_column_name_{at}" for at in range(12)), "<b>x</b>")
GROUPS = (Group(COLUMNS[:3], 0.8), *(Group((name,), 1.0) for name in COLUMNS[3:]))
PLOTS = 3


def folder_of(root: Path, *, control: bool = True) -> Path:
    random = np.random.default_rng(0)
    rows = 60
    values = random.normal(size=(rows, 1, len(COLUMNS))) * np.linspace(1, 0.05, len(COLUMNS))
    found = Attribution(
        "hand.analyst", "by hand", COLUMNS,
        np.repeat(np.arange("2001-01", "2003-07", 3, dtype="datetime64[M]"), 6).astype("datetime64[D]"),
        np.array(["AAA", "BBB", "CCC"] * 20), values, np.zeros(rows), np.full(rows, 0.1),
        0.1 + values.sum(axis=(1, 2)), np.zeros((rows, len(COLUMNS))), random.normal(size=(rows, len(COLUMNS))),
    )  # fmt: skip
    columns = column_table(found, GROUPS)
    if control:
        columns = columns.with_columns(
            control_importance=pl.col("mean_abs"), line=pl.lit(0.5), above=pl.col("mean_abs") > 0.5, by_date=False
        )
    tables = {
        "columns": columns, "groups": group_table(found, GROUPS), "dates": part_table(found, GROUPS, "as_of"),
        "names": part_table(found, GROUPS, "symbol"), "values": value_table(found),
    }  # fmt: skip
    root.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.write_parquet(root / f"{name}.parquet")
    about = Explanation(
        "run-1", "hand.analyst", "PM", 0, "by hand", rows, 100, "2001-01-01", "2003-04-01", 0.1, 1e-16,
        0.0 if control else 0.8, GROUPS, 9 if control else 0, 0.1, "columns", ExplainRequest(),
    )  # fmt: skip
    (root / "explanation.json").write_bytes(TypeAdapter(Explanation).dump_json(about))
    return root


def test_what_the_page_says(tmp_path: Path) -> None:
    page = render_sheet(explanation_sheet(folder_of(tmp_path)))
    body = page.split("<script")[0]
    assert "What moves hand.analyst most: a_rather_long_column_name_0" in body
    assert "columns rise above what noise reaches." in body
    assert "60 of 100 test forecasts of PM" in body
    assert "whoever drops columns by them has chosen on the test" in body
    assert "<b>x</b>" not in body
    assert "&lt;b&gt;x&lt;/b&gt;" in body
    assert "No control was made" not in body


def test_what_it_warns_of(tmp_path: Path) -> None:
    body = render_sheet(explanation_sheet(folder_of(tmp_path, control=False))).split("<script")[0]
    assert "No control was made: nothing on this page tells importance from noise." in body
    assert "standard error of 80.0% of their mean size" in body
    assert "Rises above" not in body
    with pytest.raises(DataError, match="holds no explanation; `alfred explain` makes one"):
        write_explanation(tmp_path / "elsewhere")


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Tab]:
    program = chromium.executable()
    if program is None:
        pytest.skip("no Chromium on this machine: install chromium to see the page as a reader does")
    with chromium.browser(program, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_the_page_is_whole(tab: chromium.Tab, tmp_path: Path, width: int, scheme: str) -> None:
    page = write_explanation(folder_of(tmp_path))
    tab.problems.clear()
    tab.requests.clear()
    tab.size(width)
    tab.scheme(scheme)
    tab.open(page)
    assert tab.value("document.documentElement.dataset.plots") == str(PLOTS)
    assert tab.value(f"document.querySelectorAll('.canvas[data-drawn={scheme}]').length") == PLOTS
    assert tab.value("document.documentElement.scrollWidth") <= width
    wide = "[...document.querySelectorAll('.canvas')].filter(box => box.scrollWidth > box.clientWidth + 1).length"
    assert tab.value(wide) == 0
    assert tab.problems == []
    assert [address for address in tab.requests if not address.startswith(("file:", "data:", "blob:"))] == []
