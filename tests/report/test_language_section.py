"""The section on language: what rests on digests, before and after what the model may know."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import report_run as made

from alfred.core.contracts import Interval
from alfred.experiments.record import LanguageSummary, PartResult, TwinColumn, dump_record, load_record
from alfred.language.compare import ScorePair
from alfred.report.page import render

run_folder = made.run_folder
RESULTS = (
    PartResult("ridge", "before", 20, 200, 0.12, Interval(0.05, 0.19), 0.6, Interval(0.5, 0.7)),
    PartResult("ridge", "after", 4, 40, -0.031, Interval(-0.2, 0.14), 0.52, None),
)
SUMMARY = LanguageSummary("endpoint/1-ab", "tiny", "2021-06-30", ("mean_sentiment",), 240, 190, RESULTS)


def page(make: Callable[..., Path], summary: LanguageSummary | None) -> str:
    return render(make(replace(made.make_record(), language=summary)))


def test_results_stand_on_both_sides_of_the_cutoff_with_a_warning(run_folder: Callable[..., Path]) -> None:
    text = page(run_folder, SUMMARY)
    for said in (
        "2021-06-30",
        "190 of 240",
        ">knows later<",
        "+0.120",
        "0.050 to +0.190",
        "\u22120.031",
        "memory, not skill",
    ):
        assert said in text
    assert "alfred digest --anonymise" in text


def test_without_an_afterwards_no_figure_is_free_of_it(run_folder: Callable[..., Path]) -> None:
    none = PartResult("ridge", "after", 0, 0, None, None, None, None)
    text = page(run_folder, replace(SUMMARY, cutoff="unknown", results=(RESULTS[0], none)))
    assert "not declared" in text
    assert "No figure of this run" in text


def test_a_model_that_knew_nothing_is_not_warned_of(run_folder: Callable[..., Path]) -> None:
    text = page(run_folder, replace(SUMMARY, cutoff="", flagged=0))
    assert "it learnt nothing of the world" in text
    assert "memory, not skill" not in text
    assert ">knows later<" not in text
    assert 'id="language"' not in page(run_folder, None)


def test_twins_are_compared(run_folder: Callable[..., Path]) -> None:
    pair = ScorePair("sentiment", 1234, 0.876, 0.9, -0.01, 0.025)
    column = TwinColumn("mean_outlook", 20, 0.08, 0.03, -0.05, Interval(-0.09, -0.01))
    text = page(run_folder, replace(SUMMARY, twin="endpoint/1-ab+anonymous-1", scores=(pair,), twin_columns=(column,)))
    for said in ("endpoint/1-ab+anonymous-1", "1,234", "0.876", "2.5%", "<wbr>outlook", "\u22120.050"):
        assert said in text


@pytest.mark.parametrize("summary", [None, SUMMARY])
def test_it_survives_the_record(tmp_path: Path, summary: LanguageSummary | None) -> None:
    record = replace(made.make_record(), language=summary)
    (tmp_path / "run.json").write_text(dump_record(record))
    assert load_record(tmp_path).language == summary
