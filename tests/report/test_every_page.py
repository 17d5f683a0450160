"""Every kind of page, on laptop and phone, in light and dark: nothing cut off, unreadable, or leading nowhere."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import report_run as made
from explained import folder_of
from test_compare import two_runs
from test_language_section import SUMMARY
from test_manager_section import managed
from test_waterfall import WATERFALL

import chromium
from alfred.core.home import Home
from alfred.experiments.comparison import compare_runs
from alfred.experiments.explaining import FOLDER
from alfred.experiments.listing import list_experiments
from alfred.language.compare import ScorePair
from alfred.report import write_report
from alfred.report.compare import write_comparison
from alfred.report.experiments import experiments_page
from alfred.report.explanation import write_explanation
from alfred.report.sheet import write_sheet
from alfred.report.waterfall import sheet
from page_faults import faults

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One page of each kind, by what is special about it."""
    home = Home(tmp_path_factory.mktemp("home"))
    first, second = two_runs(home.runs)
    managed(first)
    explained = folder_of(first / FOLDER / "hand.analyst")
    bare = made.write_run(
        home.root / "bare" / "run", replace(made.make_record(), scorecards=(), portfolios=(), folds=())
    )
    listed = home.root / "experiments.html"
    listed.write_text(experiments_page(list_experiments(home).experiments, "rank_ic"), encoding="utf-8")
    pair = ScorePair("sentiment", 1234, 0.876, 0.9, -0.01, 0.025)
    digested = replace(SUMMARY, twin="endpoint/1-ab+anonymous-1", scores=(pair,))
    read = made.write_run(home.root / "read" / "run", replace(made.make_record(), language=digested))
    return {
        "a report with digests, 12 plots": write_report(read),
        "a report with a manager and an explanation, 18 plots": write_report(first),
        "an explanation, 3 plots": write_explanation(explained),
        "a report of next to nothing, 3 plots": write_report(bare),
        "a comparison, 2 plots": write_comparison(home.root / "compared.html", compare_runs([first, second])),
        "all experiments, 3 plots": listed,
        "no experiments, 0 plots": _written(home.root / "none.html", experiments_page(())),
        "the notes again, 1 plots": write_sheet(home.root / "waterfall.html", sheet(WATERFALL)),
    }


def _written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Tab]:
    program = chromium.required()
    with chromium.browser(program, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_no_page_has_faults(tab: chromium.Tab, pages: dict[str, Path], width: int, scheme: str) -> None:
    tab.size(width)
    tab.scheme(scheme)
    found = {}
    for kind, page in pages.items():
        tab.problems.clear()
        tab.requests.clear()
        tab.open(page)
        outside = [address for address in tab.requests if not address.startswith(("file:", "data:", "blob:"))]
        drawn = tab.value("document.querySelectorAll('.canvas').length")
        missing = [] if kind.endswith(f" {drawn} plots") else [f"{drawn} plots"]
        if wrong := faults(tab) + outside + missing:
            found[kind] = wrong
    assert found == {}


def test_the_look_finds_what_is_wrong(tab: chromium.Tab, tmp_path: Path) -> None:
    """A page with one fault of each sort, so that an empty list means something."""
    page = _written(
        tmp_path / "faulty.html",
        "<!doctype html><html data-plots='0' data-theme='light'><body><main><h1>One</h1><h3>Three</h3>"
        "<p style='color:#999;background:#fff'>pale</p><a href='#nowhere'>there</a><button></button>"
        "<div style='width:3000px'>wide</div><section id='hollow'><h2>Only this</h2></section>"
        "<table><thead><tr><th></th></tr></thead></table><p id='twin'>a</p><p id='twin'>b</p>"
        "<div class='canvas' id='plot' data-drawn='dark'><svg class='main-svg' width='100' height='50'>"
        "<text x='80' y='20'>cut off here</text><text x='10' y='40'>over</text><text x='12' y='40'>over</text>"
        "</svg></div></main></body></html>",
    )
    tab.problems.clear()
    tab.size(1440)
    tab.scheme("light")
    tab.open(page)
    told = " | ".join(faults(tab))
    for fault in (
        "wider than the window", "reaches beyond the window: div", "plot without a description: plot",
        'text cut off at the plot\'s edge: plot "cut off here"', 'texts over one another: plot "over" and "over"',
        'contrast 2.85: p "pale"', "link that leads nowhere: #nowhere", "id twice: twin",
        "heading skips a level: Three", "control without a name: button", "column without a heading: table",
        "section without content: hollow", "a plot is dark on a light page",
    ):  # fmt: skip
        assert fault in told
