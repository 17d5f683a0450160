"""The page in a real browser, on a laptop and on a phone, in light and dark."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import report_run as made

import chromium
from alfred.report import write_report

pytestmark = pytest.mark.slow

PLOTS = 12


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Tab]:
    program = chromium.required()
    with chromium.browser(program, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(made.write_run(tmp_path_factory.mktemp("browser") / "run"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_the_page_is_whole(tab: chromium.Tab, report: Path, width: int, scheme: str) -> None:
    tab.problems.clear()
    tab.requests.clear()
    tab.size(width)
    tab.scheme(scheme)
    tab.open(report)
    assert tab.value("document.documentElement.dataset.plots") == str(PLOTS)
    assert tab.value("document.querySelectorAll('.canvas .main-svg').length") >= PLOTS
    assert tab.value(f"document.querySelectorAll('.canvas[data-drawn={scheme}]').length") == PLOTS
    assert tab.value("innerWidth") == width
    assert tab.value("document.documentElement.scrollWidth") <= width
    wide = "[...document.querySelectorAll('.canvas')].filter(box => box.scrollWidth > box.clientWidth + 1).length"
    assert tab.value(wide) == 0
    assert tab.problems == []
    assert [address for address in tab.requests if not address.startswith(("file:", "data:", "blob:"))] == []


def test_details_opened_do_not_widen_the_page(tab: chromium.Tab, report: Path) -> None:
    tab.size(390)
    tab.open(report)
    tab.value("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert tab.value("document.documentElement.scrollWidth") <= 390


def test_plots_follow_the_toggle(tab: chromium.Tab, report: Path) -> None:
    tab.size(1440)
    tab.scheme("light")
    tab.open(report)
    ink = "getComputedStyle(document.querySelector('#plot-ic .ytick text')).fill"
    before = tab.value(ink)
    tab.value("document.getElementById('theme').click()")
    tab.until(f"document.querySelectorAll('.canvas[data-drawn=dark]').length === {PLOTS}")
    assert tab.value(ink) != before
    tab.value("localStorage.clear()")


def test_tables_sort_by_their_heading(tab: chromium.Tab, report: Path) -> None:
    tab.open(report)
    column = (
        "(() => { const table = document.querySelector('#accounts table');"
        "table.tHead.rows[0].cells[1].firstElementChild.click();"
        "return [table.tHead.rows[0].cells[1].ariaSort,"
        "[...table.tBodies[0].rows].map(row => Number(row.cells[1].dataset.sort))]; })()"
    )
    order, values = tab.value(column)
    assert order == "descending"
    assert values == sorted(values, reverse=True)
    order, values = tab.value(column)
    assert order == "ascending"
    assert values == sorted(values)


def test_the_ledger_filters(tab: chromium.Tab, report: Path) -> None:
    tab.open(report)
    assert tab.value("document.querySelectorAll('#ledger-table tbody tr').length") == 200
    found = tab.value(
        "(() => { document.getElementById('ledger-portfolio').value = '';"
        "const search = document.getElementById('ledger-search'); search.value = 'aapl 2010 short create';"
        "search.dispatchEvent(new Event('input'));"
        "return [...document.querySelectorAll('#ledger-table tbody tr')].map(row => row.innerText.split('\\t')); })()"
    )
    table = made.ledger()
    expected = table.filter(
        (table["symbol"] == "AAPL") & table["date"].str.starts_with("2010") & (table["action"] == "SELL_SHORT CREATE")
    )
    assert len(found) == expected.height > 0
    assert {row[2] for row in found} == {"AAPL"}


def test_the_legend_shows_and_hides(tab: chromium.Tab, report: Path) -> None:
    tab.open(report)
    lines = "document.querySelectorAll('#plot-accounts .scatterlayer .trace').length"
    before = tab.value(lines)
    tab.value("document.querySelector('[data-plot=plot-accounts] [data-key]').click()")
    assert tab.until(f"{lines} < {before} && {lines}") == before - 2
    tab.value("document.querySelectorAll('[data-plot=plot-quarters] [data-key]')[1].click()")
    pressed = "[...document.querySelectorAll('[data-plot=plot-quarters] [data-key]')].map(one => one.ariaPressed)"
    assert tab.value(pressed).count("true") == 1


def test_the_accounts_zoom_and_return(tab: chromium.Tab, report: Path) -> None:
    tab.size(1440)
    tab.open(report)
    tab.value("document.getElementById('plot-accounts').scrollIntoView({ behavior: 'instant', block: 'center' })")
    box = tab.value(
        "(() => { const box = document.querySelector('#plot-accounts .nsewdrag').getBoundingClientRect();"
        "return [box.left, box.top, box.width, box.height]; })()"
    )
    axis = "document.getElementById('plot-accounts')._fullLayout.xaxis"
    span = f"({axis}._rl[1] - {axis}._rl[0])"
    whole = tab.value(span)

    def mouse(kind: str, across: float, clicks: int = 1) -> None:
        at = {"x": box[0] + across * box[2], "y": box[1] + 0.5 * box[3]}
        tab.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=clicks, **at)

    mouse("mousePressed", 0.3)
    for across in (0.4, 0.5, 0.6):
        mouse("mouseMoved", across)
    mouse("mouseReleased", 0.6)
    assert tab.until(f"{span} < 0.5 * {whole} && {span}") > 0
    for clicks in (1, 2):
        mouse("mousePressed", 0.5, clicks)
        mouse("mouseReleased", 0.5, clicks)
    tab.until(f"Math.abs({span} / {whole} - 1) < 0.02")
    assert tab.problems == []
