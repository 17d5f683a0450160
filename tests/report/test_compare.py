"""Runs beside one another: paired differences, settings that differ, and the page."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import report_run as made

from alfred.core.errors import ConfigError
from alfred.experiments.comparison import Comparison, compare_runs, growth
from alfred.report.compare import comparison_sheet, headline


def two_runs(folder: Path, shift: float = 0.1, dropped: int = 0) -> tuple[Path, Path]:
    """A run, and another whose ridge has `shift` more rank IC in every quarter and that lacks the first quarters."""
    first = made.write_run(folder / "first")
    record = made.make_record()
    settings = record.settings | {"seeds": [0], "panel": {"horizon_quarters": 1}}
    second = made.write_run(folder / "second", replace(record, study="other", digest="77ab", settings=settings))
    quarters = made.quarters()
    days = quarters["as_of"].unique().sort()
    ridge = pl.col("analyst") == "ridge"
    moved = quarters.with_columns(rank_ic=pl.when(ridge).then(pl.col("rank_ic") + shift).otherwise("rank_ic"))
    moved.filter(pl.col("as_of") >= days[dropped]).write_parquet(second / "quarters.parquet")
    return first, second


def test_differences_are_paired_by_quarter(tmp_path: Path) -> None:
    found = compare_runs(two_runs(tmp_path, dropped=7))
    told = {(one.analyst, one.measure): one for one in found.differences}
    ridge = told["ridge", "rank_ic"]
    assert ridge.quarters == made.QUARTERS - 7
    assert ridge.difference == pytest.approx(0.1)
    # The same shift in every quarter leaves no doubt, however much the quarters themselves differ.
    assert (ridge.interval.lower, ridge.interval.upper) == pytest.approx((0.1, 0.1))  # type: ignore[union-attr]
    assert told["momentum", "rank_ic"].difference == pytest.approx(0.0)
    assert not any(one.analyst == "naive" for one in found.differences)
    assert "share 53 of 60 test quarters" in " ".join(found.cautions)


def test_only_settings_that_differ_are_shown(tmp_path: Path) -> None:
    found = compare_runs(two_runs(tmp_path))
    assert found.settings == {"seeds": ([0, 1, 2], [0]), "panel.horizon_quarters": (None, 1)}


def test_the_sentence_counts_what_was_looked_at(tmp_path: Path) -> None:
    sure = headline(compare_runs(two_runs(tmp_path)))
    assert sure == "Of 4 paired comparisons with demo, 1 leaves out zero: ridge in other by +0.100 (+0.100 to +0.100)."
    none = headline(compare_runs(two_runs(tmp_path / "same", shift=0.0)))
    assert none.startswith("No analyst ranks differently")


def test_accounts_start_at_one_on_the_first_common_session(tmp_path: Path) -> None:
    first, second = two_runs(tmp_path)
    later = made.accounts().filter(pl.col("date") > pl.date(2010, 1, 4))
    later.write_parquet(second / "accounts.parquet")
    drawn = growth(compare_runs([first, second]).runs)
    starts = {account["date"][0] for account in drawn.values()}
    assert len(starts) == 1
    np.testing.assert_allclose([account["value"][0] for account in drawn.values()], 1.0)


def test_one_run_is_no_comparison(tmp_path: Path) -> None:
    first, _ = two_runs(tmp_path)
    with pytest.raises(ConfigError, match="at least two different runs"):
        compare_runs([first, first])


def test_other_names_and_questions_are_said(tmp_path: Path) -> None:
    first, second = two_runs(tmp_path)
    record = replace(made.make_record(), study="other", evaluation_basket=("IBM",), protocol="same-tickers", cost_bps=5)
    (second / "run.json").write_text(made.dump_record(record), encoding="utf-8")
    said = " ".join(compare_runs([first, second]).cautions)
    for words in ("other names", "another question", "other costs"):
        assert words in said


def _without_common_quarters(folder: Path) -> Comparison:
    first, second = two_runs(folder)
    quarters = made.quarters().with_columns(pl.col("as_of").dt.offset_by("40y"))
    quarters.write_parquet(second / "quarters.parquet")
    return compare_runs([first, second])


def test_nothing_is_paired_without_common_quarters(tmp_path: Path) -> None:
    found = _without_common_quarters(tmp_path)
    assert found.differences == ()
    assert "nothing of them is paired" in " ".join(found.cautions)
    assert comparison_sheet(found).headline.startswith("No analyst is common")
