"""Attribution, importances and recommendations in the report, from records made by hand."""

from dataclasses import replace
from pathlib import Path

import pytest
import report_run as made
from explained import folder_of

from alfred.core.home import Home
from alfred.experiments.recommendations import Entry, record
from alfred.experiments.scoring import Score
from alfred.manager.recommendation import Expectation, Line, Recommendation, Voice
from alfred.report.attribution import attribution_section
from alfred.report.explanation import write_explanation
from alfred.report.importances import importance_section
from alfred.report.recommended import entry_table, ledger_section_of, recommendation_section

RUN = "demo-0123456789"


def entry_by_hand(run: str = RUN) -> Entry:
    line = Line(
        symbol="KO", price=50.0, held=0.0, order=10.0, shares=10.0, weight_before=0.0, weight=0.5, mean=0.02,
        lower=-0.1, upper=0.14, prob_up=0.6, voices=(Voice("ridge", "PM", 0.02, -0.1, 0.14, 0.6),), commission_usd=1.0,
        spread_usd=0.0, impact_usd=0.0,
    )  # fmt: skip
    told = Recommendation(
        as_of="2020-03-31", policy="equal-weight", worth_usd=1_000.0, cash_before_usd=1_000.0, cash_usd=499.0,
        lines=(line,), expected=Expectation(0.01, -0.05, 0.07, -0.05, 0.07, level=0.8), commission_usd=1.0,
        spread_usd=0.0, impact_usd=0.0, equal_weight_cost_usd=1.0, candidates=("KO",), binding=(), notes=(),
        fractional=False,
    )  # fmt: skip
    return Entry(
        number=0, ledger="", previous="", made_at="2020-03-31T21:00:00+00:00", hindsight=False, as_of="2020-03-31",
        ends_on="2020-06-30", fill_lag_sessions=1, run=run, study="demo", family="demo", provider="sample",
        market_series="", recommendation=told,
    )  # fmt: skip


def test_attribution_shows_parts_that_add_up() -> None:
    run = made.make_record()
    section = attribution_section(run)
    assert "Sectors are unknown: this run's data name none" in section.lead
    assert [plot.key for plot in section.plots] == ["plot-attribution-cash", "plot-attribution-equal"]
    cash, equal = section.tables
    assert [column.heading for column in cash.columns] == [
        "Portfolio", "All together", "Market", "Selection", "Trading", "Borrow", "Beta",
    ]  # fmt: skip
    assert len(cash.rows) == len(run.portfolios)
    assert "1/N" not in [row[0].text for row in equal.rows]
    for row in (*cash.rows, *equal.rows):
        parts = [cell.sort for cell in row[1:6]]
        assert parts[0] == pytest.approx(sum(part or 0.0 for part in parts[1:]))
    bars = [trace for trace in section.plots[0].data if trace["type"] == "bar"]
    stacked = [sum(values) for values in zip(*(trace["x"] for trace in bars), strict=True)]
    assert stacked == pytest.approx(section.plots[0].data[-1]["x"], abs=1e-5)


def test_sectors_are_a_part_of_their_own_where_they_are_known() -> None:
    run = made.make_record()
    first = run.portfolios[0]
    assert first.over_cash is not None
    known = replace(first, over_cash=replace(first.over_cash, sector=0.01, selection=first.over_cash.selection - 0.01))
    section = attribution_section(replace(run, portfolios=(known, *run.portfolios[1:])))
    assert "sectors above or below their share" in section.lead
    assert section.tables[0].columns[3].heading == "Sector"
    assert section.tables[0].rows[1][3].title == "not known"


def test_a_run_without_attribution_has_none() -> None:
    run = made.make_record()
    before = tuple(replace(one, over_cash=None, over_equal=None) for one in run.portfolios)
    assert attribution_section(replace(run, portfolios=before)).tables == ()


def test_explanations_of_the_folder_are_shown_and_linked(tmp_path: Path) -> None:
    assert importance_section(tmp_path).found == ()
    write_explanation(folder_of(tmp_path / "explain" / "hand.analyst"))
    broken = tmp_path / "explain" / "broken"
    broken.mkdir()
    (broken / "explanation.json").write_text("{}")
    section = importance_section(tmp_path)
    (shown,) = section.found
    assert shown.analyst == "hand.analyst"
    assert shown.told.startswith("What moves hand.analyst most: a_rather_long_column_name_0")
    assert shown.href == "explain/hand.analyst/explanation.html"
    assert [trace.get("name") for trace in shown.plot.data][-1] == "noise line"
    assert section.damaged == ("broken",)


def test_entries_of_the_run_are_listed_with_the_ledgers_state(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    folder = home.runs / RUN
    folder.mkdir(parents=True)
    assert recommendation_section(folder) is None
    record(home, entry_by_hand("another"))
    assert recommendation_section(folder) is None
    record(home, entry_by_hand())
    section = recommendation_section(folder)
    assert section is not None
    assert section.state.startswith("All 2 entries of the ledger stand as written; the last has the hash ")
    assert section.table is not None
    assert [row[0].text for row in section.table.rows] == ["2"]
    # By the sample's own prices: KO gained, and half of the account was in it.
    assert section.table.rows[0][6].small == ("inside",)
    assert section.table.rows[0][10].sort == pytest.approx(1_025.83, abs=0.01)

    path = home.root / "recommendations" / "ledger.jsonl"
    path.write_text(path.read_text().replace('"policy":"equal-weight"', '"policy":"clever"'))
    tampered = ledger_section_of(home)
    assert tampered.state.startswith("The ledger was altered or damaged: ")
    assert any(fault.startswith("Entry 1: it was altered") for fault in tampered.faults)


def test_a_score_stands_beside_what_was_expected() -> None:
    entry = replace(entry_by_hand(), number=7)
    score = Score(
        7, "scored", "2020-04-01", 1_000.0, 1_034.0, 2.0, 0.034, 0.05, 0.2, change=0.03, hit=True, names_hit=1, names=1
    )
    (row,) = entry_table([entry], {7: score}).rows
    assert (row[5].text, row[6].text, row[6].small) == ("+1.0%", "+3.0%", ("inside",))
    assert [cell.text for cell in row[7:]] == ["+3.40%", "+5.00%", "+20.00%", "1,034"]
    (row,) = entry_table([entry], {7: Score(7, "sealed")}).rows
    assert row[6].small == ("its quarter is sealed in the vault of demo",)
