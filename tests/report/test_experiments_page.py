"""The page of all experiments: its table, its front, and what a browser makes of it."""

import dataclasses
import math
from pathlib import Path

import pytest
import report_run as made
from hypothesis import given
from hypothesis import strategies as st

import chromium
from alfred.core.home import Home
from alfred.experiments.listing import Experiment, list_experiments
from alfred.report.experiments import experiments_page, headline, pareto_front


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, ...]:
    home = Home(tmp_path_factory.mktemp("home"))
    for name in ("first", "second"):
        made.write_run(home.runs / name, dataclasses.replace(made.make_record(), study=f"{name} <b>"))
    return list_experiments(home).experiments


@pytest.fixture(scope="module")
def page(rows: tuple[Experiment, ...]) -> str:
    return experiments_page(rows, "rank_ic")


def test_the_front_by_hand() -> None:
    points = [(1.0, 0.1), (2.0, 0.3), (2.0, 0.2), (3.0, 0.3), (4.0, 0.5), (0.5, -0.2), (5.0, 0.5)]
    assert pareto_front(points) == (5, 0, 1, 4)
    assert pareto_front([]) == ()
    assert pareto_front([(1.0, 0.1), (1.0, 0.1)]) == (0,)


@given(st.lists(st.tuples(st.integers(1, 9).map(float), st.integers(-5, 5).map(float)), max_size=12))
def test_nobody_beats_the_front_and_everyone_else_is_beaten(points: list[tuple[float, float]]) -> None:
    front = pareto_front(points)

    def beaten(at: int) -> bool:
        cost, quality = points[at]
        return any(c <= cost and q >= quality and (c, q) != (cost, quality) for c, q in points)

    assert not any(beaten(at) for at in front)
    kept = {points[at] for at in front}
    assert all(beaten(at) or points[at] in kept for at in range(len(points)))


def test_every_experiment_is_a_row_with_the_notes_columns(page: str, rows: tuple[Experiment, ...]) -> None:
    body = page[page.index('id="all"') :]
    assert body.count("<tr>") - 1 == len(rows) == 10
    for heading in (
        "Model",
        "Seeds",
        "Quarters",
        "Size",
        "Token",
        "Eval loss",
        "MAE",
        "Pearson",
        "R²",
        "Sign accuracy",
    ):
        assert f">{heading}</button>" in body
    assert "sorted by rank_ic" in body
    one = next(one for one in rows if one.model == "ridge")
    assert one.rank_ic is not None
    assert f"{one.rank_ic:+.3f}".replace("-", "\u2212") in body


def test_what_a_run_is_called_has_no_power_over_the_page(page: str) -> None:
    assert "first &lt;b&gt;" in page
    assert "first <b>" not in page


def test_plots_hold_all_that_cost_and_the_naive_forecast_is_none_of_them(
    page: str, rows: tuple[Experiment, ...]
) -> None:
    figures = made.page_json(page, "figures")
    assert set(figures) == {"pareto-seconds", "pareto-seconds-per-epoch", "pareto-parameters"}
    line, *points = figures["pareto-seconds"]["data"]
    costly = [one for one in rows if one.seconds and one.rank_ic is not None and one.model != "naive"]
    assert sum(len(trace["x"]) for trace in points) == len(costly)
    assert line["x"] == sorted(line["x"])
    assert line["y"] == sorted(line["y"])
    best = max(one.rank_ic for one in costly if one.rank_ic is not None)
    assert math.isclose(line["y"][-1], best, rel_tol=1e-4)
    ridge = next(one for one in rows if one.model == "ridge")
    ends = ridge.figures["rank_ic"].over_quarters
    trace = next(trace for trace in points if trace["text"][0].startswith("ridge"))
    assert ends is not None
    assert math.isclose(trace["y"][0] + trace["error_y"]["array"][0], ends.upper, abs_tol=1e-4)
    assert math.isclose(trace["y"][0] - trace["error_y"]["arrayminus"][0], ends.lower, abs_tol=1e-4)


def test_the_headline_names_the_best_and_how_many_it_was_picked_from(rows: tuple[Experiment, ...]) -> None:
    known = [one for one in rows if one.rank_ic is not None and one.model != "naive"]
    best = max(known, key=lambda one: one.rank_ic or -1.0)
    told = headline(rows)
    assert told.startswith(f"The highest rank IC is {best.rank_ic:+.3f} (")
    assert told.endswith(f"of {best.analyst} in {best.run}, the best of {len(known)}, picked afterwards.")
    assert headline([]) == "No experiment has a rank IC yet."


def test_one_analyst_is_nothing_to_compare(rows: tuple[Experiment, ...]) -> None:
    page = experiments_page([one for one in rows if one.model == "ridge"][:1])
    assert "there is nothing to compare" in page
    assert "1 analyst of 1 run, all on test rows" in page
    assert made.page_json(page, "figures") == {}


@pytest.mark.slow
def test_the_table_sorts(page: str, tmp_path: Path) -> None:
    path = tmp_path / "experiments.html"
    path.write_text(page, encoding="utf-8")
    with chromium.browser(chromium.required(), tmp_path / "profile") as tab:
        tab.open(path)
        tab.value("document.querySelectorAll('#all thead button')[10].click()")
        values = "[...document.querySelectorAll('#all tbody tr')].map(row => Number(row.cells[10].dataset.sort)).join()"
        found = [float(value) for value in tab.value(values).split(",")]
        assert found == sorted(found, reverse=True)
        assert len(set(found)) > 1
