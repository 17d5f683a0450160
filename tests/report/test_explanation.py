"""The page of an explanation, from tables made by hand; as a reader's browser sees it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from explained import folder_of

import chromium
from alfred.core.errors import DataError
from alfred.report.explanation import explanation_sheet, write_explanation
from alfred.report.sheet import render_sheet

PLOTS = 3


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
    program = chromium.required()
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
