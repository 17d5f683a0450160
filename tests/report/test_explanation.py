"""The page of an explanation, from tables made by hand."""

from pathlib import Path

import pytest
from explained import folder_of

from alfred.core.errors import DataError
from alfred.report.explanation import explanation_sheet, write_explanation
from alfred.report.sheet import render_sheet


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
