"""`alfred audit` on a table: exit codes and what is said."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from alfred.cli.main import app

RUNNER = CliRunner()


@pytest.fixture
def panel(tmp_path: Path) -> Path:
    rng = np.random.default_rng(4)
    days = (np.datetime64("2005-04", "M") + 3 * np.arange(24)).astype("datetime64[D]") - 1
    rows = pl.DataFrame({"date": np.repeat(days, 12), "symbol": [f"N{at}" for at in range(12)] * 24}).with_columns(
        PM=pl.Series(0.1 * rng.standard_normal(288)), value=pl.Series(rng.standard_normal(288)), sector=pl.lit("tech")
    )
    last = pl.col("date") == days[-1]
    rows = rows.filter(~((pl.col("symbol") == "N3") & (pl.col("date") > days[15])))
    path = tmp_path / "panel.parquet"
    rows.with_columns(PM=pl.when(~last).then("PM")).write_parquet(path)
    return path


def test_a_clean_table_ends_with_0(panel: Path) -> None:
    done = RUNNER.invoke(app, ["audit", "--panel", str(panel), "--label", "PM"])
    assert done.exit_code == 0, done.output
    assert "0 with errors, 0 with warnings" in done.output
    assert "24 dates, 12 symbols, 1 columns" in done.stderr
    assert "Not numbers, and not looked at: sector." in done.stderr
    assert "needs accounts" in done.output


def test_an_error_ends_with_1_and_says_what_to_do(panel: Path) -> None:
    pl.read_parquet(panel).with_columns(early=2 * pl.col("PM")).write_parquet(panel)
    done = RUNNER.invoke(app, ["audit", "--panel", str(panel), "--label", "PM", "--verbose"])
    assert done.exit_code == 1
    text = " ".join(done.output.split())
    assert "column early has a rank correlation of 1.00 with what comes after" in text
    assert "take the column out" in text
    assert "looked at: names and values of columns" in text


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--panel", "x.parquet"], "a table needs --panel and --label"),
        (["--label", "PM"], "--label and --predictions go with --panel"),
        (["--panel", "x.parquet", "--label", "PM"], "there is no file x.parquet"),
        (["--panel", "x.parquet", "--label", "PM", "--protocol", "in"], "there is no protocol 'in'"),
        ([], "there are no runs"),
    ],
)
def test_words_that_do_not_fit_end_with_2(words: list[str], text: str) -> None:
    done = RUNNER.invoke(app, ["audit", *words])
    assert done.exit_code == 2
    assert text in " ".join(done.stderr.split())
