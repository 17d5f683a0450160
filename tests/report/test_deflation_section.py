from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import report_run as made

from alfred.evaluation.deflation import Track, Trials, deflated_sharpe, probabilistic_sharpe
from alfred.evaluation.superiority import superiority
from alfred.report import render
from alfred.report.deflation import deflation_section
from alfred.report.format import PERCENT
from alfred.report.frames import read


@pytest.fixture
def run(tmp_path: Path) -> tuple[object, pl.DataFrame, pl.DataFrame]:
    folder = made.write_run(tmp_path / "run")
    return made.make_record(), read(folder, "accounts"), read(folder, "quarters")


def _track(accounts: pl.DataFrame, name: str) -> Track:
    value = accounts.filter(pl.col("portfolio") == name).sort("date")["value"].to_numpy()
    path = np.concatenate([[1.0], value[1:]])
    return Track.of(path[1:] / path[:-1] - 1)


def test_the_runs_own_strategies_are_the_least_count(run):
    record, accounts, quarters = run
    section = deflation_section(record, accounts, quarters)
    assert section.sentences[0].startswith(
        "5 strategies were tried (this run alone, the least there can have been). Without any skill, the best of so"
    )
    tracks = [_track(accounts, f"{analyst} · {strategy}") for analyst, strategy in made.TRADED]
    trials = Trials(5, float(np.var([track.sharpe for track in tracks], ddof=1)))
    first = section.table.rows[0]
    assert first[0].text == "ridge · simple"
    assert first[2].text == PERCENT.text(probabilistic_sharpe(tracks[0]))
    assert first[3].text == PERCENT.text(deflated_sharpe(tracks[0], trials))
    assert [row[0].small for row in section.table.rows[5:]] == [("benchmark",)] * 3
    assert [row[3].title for row in section.table.rows[5:]] == ["nobody picked a benchmark afterwards"] * 3


def test_a_ledger_raises_the_bar_and_never_lowers_it(run):
    record, accounts, quarters = run
    own = deflation_section(record, accounts, quarters)
    more = deflation_section(record, accounts, quarters, Trials(400, 0.004))
    fewer = deflation_section(record, accounts, quarters, Trials(2, 0.0))
    assert more.sentences[0].startswith("400 strategies were tried (the trial ledger).")
    assert all(a[3].sort <= b[3].sort for a, b in zip(more.table.rows[:5], own.table.rows[:5], strict=True))
    assert fewer.table == own.table


def test_the_best_analyst_is_tested_as_the_best_of_all(run):
    record, accounts, quarters = run
    said = deflation_section(record, accounts, quarters).sentences[1]
    names = [name for name in made.ANALYSTS if name != "naive"]
    wide = quarters.pivot("analyst", index="as_of", values="rank_ic").sort("as_of").drop_nulls()
    found = superiority(wide.select(names).to_numpy())
    assert f"is that of {names[found.best]}. That none of the 4 analysts" in said
    assert f"p = {found.spa:.3f} by Hansen's test" in said
    assert f"({found.reality_check:.3f} by White's reality check)" in said
    one = quarters.filter(pl.col("analyst").is_in(["naive", "ridge"]))
    assert len(deflation_section(record, accounts, one).sentences) == 1


def test_without_accounts_there_is_no_table(run):
    record, accounts, quarters = run
    section = deflation_section(replace(record, portfolios=()), accounts, quarters)
    assert section.table is None
    assert len(section.sentences) == 1


def test_the_page_shows_it(tmp_path):
    page = render(made.write_run(tmp_path / "run"))
    assert "After the number of tries" in page
    assert "Sharpe ratios against chance" in page
