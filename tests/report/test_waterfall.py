"""The waterfall's page, from a ladder made by hand."""

import json
import re
from pathlib import Path

import pytest

from alfred.core.contracts import Interval
from alfred.experiments._notes_defects import PERIOD_END, SAME_NAMES, TRAINING_ROWS, Defect
from alfred.experiments.notes import _ADAPTER, FILE, Step, Told, Waterfall
from alfred.report.waterfall import headline, label, points, step_table, waterfall_plot, write_waterfall


def step(removed: Defect | None, value: float, before: float, *, share: float = 0.0, idle: bool = False) -> Step:
    change = value - before
    spread = None if removed is None else Interval(change - 0.02, change + 0.03)
    return Step(
        removed=removed,
        names=("A&B", "F"),
        rows=100,
        quarters=20,
        sign_accuracy=Told(value, None if removed is None else Interval(value - 0.01, value + 0.01)),
        over_quarters=Interval(value - 0.05, value + 0.05),
        always_up=0.6,
        against_up=Interval(value - 0.65, value - 0.55),
        change=Told(change, spread),
        share=share,
        idle=idle,
        sum_of_trades_pct=Told(1234.5, None),
        annual_return=Told(-0.05, None),
    )


WATERFALL = Waterfall(
    study="notes",
    digest="abc",
    alfred_version="0",
    data="Invented.",
    analyst="vanilla.small.tanh",
    parameters=1000,
    seeds=(0, 1),
    first="2004-03-31",
    last="2008-12-31",
    steps=(
        step(None, 0.95, 0.95),
        step(TRAINING_ROWS, 0.7, 0.95, share=0.25 / 0.32),
        step(PERIOD_END, 0.7, 0.7, idle=True),
        step(SAME_NAMES, 0.63, 0.7, share=0.07 / 0.32),
    ),
    average_hold_pct=500.0,
    benchmarks={"1/N": 0.1, "index": 0.06},
    survivors_only=True,
    settings={},
)


def test_the_sentence_names_the_largest_part() -> None:
    assert headline(WATERFALL) == (
        "The notes' protocol shows 95.0% sign accuracy; without its defects 63.0% are left, where always up is right "
        "in 60.0%. The largest part of these 32.0 points, 78.1%: evaluated on the training rows."
    )


def test_steps_carry_their_row() -> None:
    assert [label(one) for one in WATERFALL.steps] == [
        "the notes' protocol",
        "evaluated on a basket of its own (1)",
        "filings known when filed (6)",
        "disjoint baskets (2)",
    ]
    assert label(step(Defect("levels", None, "made", "repaired"), 0.5, 0.5)) == "repaired"
    assert points(-0.123) == "\u221212.3"


def test_bars_reach_from_each_figure_to_the_next() -> None:
    plot = waterfall_plot(WATERFALL)
    bars = [trace for trace in plot.data if trace["type"] == "bar"]
    assert [bar["base"][0] for bar in bars] == pytest.approx([0.7, 0.7, 0.63])
    assert [bar["base"][0] + bar["x"][0] for bar in bars] == pytest.approx([0.95, 0.7, 0.7])
    assert [bar["y"][0] for bar in bars] == [1, 2, 3]
    whisker = next(trace for trace in plot.data if trace.get("mode") == "text")
    assert whisker["x"][0] == 0.7
    assert whisker["error_x"]["array"][0] == pytest.approx(0.03)
    assert whisker["error_x"]["arrayminus"][0] == pytest.approx(0.02)
    assert whisker["text"][1].strip() == "\u221225.0"
    idle = next(trace for trace in plot.data if "no such data" in str(trace.get("text")))
    assert idle["error_x"]["array"] == [0.0, 0]
    low, high = plot.layout["xaxis"]["range"]
    assert low < 0.58
    assert high > 1


def test_the_table_says_what_it_was() -> None:
    rows = step_table(WATERFALL).rows
    assert rows[1][0].small == ("was: evaluated on the training rows",)
    assert rows[1][3].text == "+10.0"
    assert rows[2][4].small == ("no such data here",)
    assert (rows[0][4].text, rows[0][5].text) == ("", "")
    assert rows[0][6].text == "1,235%" or rows[0][6].text == "1,234%"


def test_the_page_stands_alone(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(_ADAPTER.dump_json(WATERFALL))
    page = write_waterfall(tmp_path)
    text = page.read_text(encoding="utf-8")
    assert page == tmp_path / "waterfall.html"
    assert "Survivorship (the audit&#39;s check 18)" in text
    assert "A&amp;B and F" in text
    assert "says 500%" in text
    assert not re.search(r"<(?:script|link|img)[^>]+(?:src|href)=\"http", text)
    figures = json.loads(re.search(r'id="figures">(.*?)</script>', text, re.DOTALL).group(1))  # type: ignore[union-attr]
    assert len(figures["plot-waterfall"]["data"]) == 9
