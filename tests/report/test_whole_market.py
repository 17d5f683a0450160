"""The page of a run over a whole market, 5,300 names: small enough to send, and whole."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import report_run as made

import chromium
from alfred.report import write_report
from alfred.report.ledger import MOST, ledger_section

NAMES = 5_300
LARGEST = 15_000_000
SYMBOLS = tuple(f"S{at:04d}" for at in range(NAMES))


def whole_ledger() -> pl.DataFrame:
    """Every name held or traded on each of the last 20 dates, by each strategy: half a million lines."""
    dates = np.unique(made.ledger()["date"].to_numpy())[-20:]
    random, lines = np.random.default_rng(5), NAMES * len(dates)
    actions = np.array(["BUY CREATE", "SELL_SHORT CREATE", "HOLD_LONG", "HOLD_SHORT", "CLOSE_LONG", "CLOSE_SHORT"])
    parts = []
    for analyst, strategy in made.TRADED:
        action = actions[random.integers(0, 6, lines)]
        closed = np.char.startswith(action, "CLOSE")
        parts.append(
            pl.DataFrame(
                {
                    "portfolio": [f"{analyst} · {strategy}"] * lines,
                    "date": np.repeat(dates, NAMES),
                    "action": action,
                    "symbol": np.tile(SYMBOLS, len(dates)),
                    "price": random.lognormal(3.5, 0.8, lines),
                    "reading": random.normal(0.01, 0.05, lines),
                    "profit": pl.Series(np.where(closed, random.normal(0.4, 6, lines), np.nan)).fill_nan(None),
                },
                schema=made.LEDGER,
            )
        )
    return pl.concat(parts)


def test_the_ledger_keeps_the_latest_lines_of_each_portfolio() -> None:
    book = whole_ledger()
    section = ledger_section(book.with_columns(pl.col("date").str.to_date()), made.portfolio_names())
    assert section.lines == book.height > MOST
    assert section.shown == MOST
    columns = section.payload["columns"]
    assert {len(column) for column in columns.values()} == {MOST}
    assert np.bincount(columns["portfolio"]).tolist() == [MOST // len(made.TRADED)] * len(made.TRADED)
    assert max(columns["date"]) == book["date"].max()
    assert columns["date"][: MOST // 5] == sorted(columns["date"][: MOST // 5])


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    record = made.make_record()
    half = NAMES // 2
    record = replace(
        record,
        training_basket=SYMBOLS[:half],
        evaluation_basket=SYMBOLS[half:],
        data=replace(record.data, symbols=NAMES),
    )
    folder = made.write_run(tmp_path_factory.mktemp("whole") / "run", record)
    whole_ledger().write_parquet(folder / "ledger.parquet")
    return write_report(folder)


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Tab]:
    program = chromium.required()
    with chromium.browser(program, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.slow
@pytest.mark.parametrize("width", [1440, 390])
def test_the_page_of_a_whole_market_is_whole(tab: chromium.Tab, report: Path, width: int) -> None:
    assert report.stat().st_size <= LARGEST
    tab.problems.clear()
    tab.size(width)
    tab.open(report)
    plots = "document.querySelectorAll('.canvas').length"
    assert tab.value("document.documentElement.dataset.plots") == str(tab.value(plots))
    assert tab.value("document.querySelectorAll('.canvas[data-drawn]').length") == tab.value(plots)
    assert tab.value("document.documentElement.scrollWidth") <= width
    assert "The latest 100,000 of 530,000 lines" in tab.value("document.getElementById('ledger').innerText")
    assert tab.problems == []
