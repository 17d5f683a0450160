import json
import math
import string

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alfred.core.contracts import Interval
from alfred.report.format import DASH, PERCENT, NumberStyle, instant, listed, seconds, significant
from alfred.report.frames import thin
from alfred.report.palette import is_naive
from alfred.report.plot import safe_json, wrapped
from alfred.report.shell import told


@pytest.mark.parametrize(
    ("style", "value", "text"),
    [
        (NumberStyle(3, signed=True), 0.0214, "+0.021"),
        (NumberStyle(3, signed=True), -0.0214, "\u22120.021"),
        (NumberStyle(3, signed=True), -0.0001, "0.000"),
        (NumberStyle(1, percent=True), 0.5834, "58.3%"),
        (NumberStyle(1, unit="%"), 5498.87, "5,498.9%"),
        (NumberStyle(0), 614657, "614,657"),
        (NumberStyle(2), None, DASH),
        (NumberStyle(2), math.nan, DASH),
        (NumberStyle(2), math.inf, DASH),
    ],
)
def test_numbers(style: NumberStyle, value: float | None, text: str) -> None:
    assert style.text(value) == text


def test_intervals() -> None:
    assert PERCENT.span(Interval(-0.012, 0.5)) == "\u22121.2% to 50.0%"
    assert PERCENT.span(None) == ""
    assert PERCENT.span(Interval(math.nan, 0.5)) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 ms"), (0.00023, "230 µs"), (0.0934, "93 ms"), (6.74, "6.7 s"), (59.96, "1 min 00 s"),
        (84.2, "1 min 24 s"), (119.7, "2 min 00 s"), (3599.4, "59 min 59 s"), (3599.6, "1 h 00 min"),
        (7325.0, "2 h 02 min"), (None, DASH),
    ],
)  # fmt: skip
def test_seconds(value: float | None, text: str) -> None:
    assert seconds(value) == text


def test_a_sentence_as_a_page_writes_it() -> None:
    written = told("ridge · simple lost -0.051 [-3, 2], p 0.9, from 2004-03-31 on; `alfred audit` <b> says-1.")
    assert written == (
        "ridge\u00a0·\u00a0simple lost \u22120.051 [\u22123, 2], p\u00a00.9, from "
        '<span class="whole">2004-03-31</span> on; <code>alfred audit</code> &lt;b&gt; says-1.'
    )


def test_small_words() -> None:
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(["a"]) == "a"
    assert instant("2025-11-22T13:40:07+01:00") == "2025-11-22 12:40 UTC"
    assert instant("yesterday") == "yesterday"
    assert significant(1.2345678) == 1.2346
    assert wrapped("lstm.medium.extractors.tanh") == "lstm.medium.<br>extractors.tanh"
    assert wrapped("<b>") == "&lt;b&gt;"
    assert wrapped("vanilla.small · simple") == "vanilla.small ·<br>simple"
    assert wrapped("vanilla.small.tanh · magnitude-choice") == "vanilla.small.tanh ·<br>magnitude-choice"
    assert wrapped("ridge · simple") == "ridge · simple"
    assert [is_naive(name) for name in ("naive", "naive:PQ", "naive.better")] == [True, True, False]


@given(st.recursive(st.none() | st.floats() | st.text(string.printable) | st.integers(), st.lists))
def test_json_can_stand_in_a_script_element(value: object) -> None:
    text = safe_json(value)
    assert not set("<>&") & set(text)
    json.loads(text, parse_constant=pytest.fail)


@given(st.lists(st.floats(-0.2, 0.2), min_size=2, max_size=400), st.integers(4, 30))
def test_thinned_curves_keep_ends_peak_and_deepest_drawdown(returns: list[float], points: int) -> None:
    growth = pl.Series([1 + r for r in returns]).cum_prod()
    days = pl.date_range(pl.date(2020, 1, 1), pl.date(2020, 1, 1) + pl.duration(days=len(returns) - 1), eager=True)
    account = pl.DataFrame({"date": days, "value": growth, "drawdown": growth / growth.cum_max() - 1})
    thinned = thin(account, points)
    assert thinned.height <= max(points, 0) + 6
    assert thinned["drawdown"].min() == account["drawdown"].min()
    assert thinned["value"].max() == account["value"].max()
    assert thinned.row(0) == account.row(0)
    assert thinned.row(-1) == account.row(-1)
    assert thinned["date"].is_sorted()
