"""What a reader who sees little, or uses no mouse, or prints the page, can rely on."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import report_run as made

import chromium
from alfred.report import write_report
from alfred.report.shell import own

TEXTS = ("ink", "soft", "muted", "accent", "caution", "better", "worse")
GROUNDS = ("paper", "raised", "wash")
ON_CAUTION = ("ink", "caution")
LEAST = 4.5
"""WCAG 2.1, success criterion 1.4.3, of text of the usual size."""


def themes() -> dict[str, dict[str, str]]:
    css = str(own("report.css"))
    found = {}
    for name, start in (("light", ":root {"), ("dark", ':root[data-theme="dark"] {')):
        block = css[css.index(start) :].split("}", maxsplit=1)[0]
        found[name] = dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})\b", block))
    return found


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_by_hand() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_from_its_ground(theme: str) -> None:
    colours = themes()[theme]
    pairs = [(text, ground) for text in TEXTS for ground in GROUNDS]
    pairs += [(text, "caution-wash") for text in ON_CAUTION] + [("ink", "accent-wash")]
    faint = {pair: round(contrast(colours[pair[0]], colours[pair[1]]), 2) for pair in pairs}
    assert {pair: ratio for pair, ratio in faint.items() if ratio < LEAST} == {}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(made.write_run(tmp_path_factory.mktemp("accessible") / "run"))


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory, report: Path) -> Iterator[chromium.Tab]:
    program = chromium.required()
    with chromium.browser(program, tmp_path_factory.mktemp("profile")) as opened:
        opened.size(1440)
        opened.scheme("dark")
        opened.open(report)
        yield opened


@pytest.mark.slow
def test_every_plot_says_what_it_shows(tab: chromium.Tab) -> None:
    labels = tab.value(
        "[...document.querySelectorAll('.canvas')].map(one => [one.getAttribute('role'), one.ariaLabel])"
    )
    assert len(labels) == len(tab.value("Object.keys(JSON.parse(document.getElementById('figures').textContent))"))
    assert {role for role, _ in labels} == {"img"}
    assert min(len(label) for _, label in labels) > 15


def press(tab: chromium.Tab, key: str) -> None:
    known = {"Tab": (9, ""), "Enter": (13, "\r"), "Space": (32, " ")}
    code, text = known[key]
    told = {"key": " " if key == "Space" else key, "code": key, "windowsVirtualKeyCode": code}
    tab.call("Input.dispatchKeyEvent", type="keyDown", text=text, **told)
    tab.call("Input.dispatchKeyEvent", type="keyUp", **told)


@pytest.mark.slow
def test_legends_and_headings_are_reached_and_pressed_by_keys(tab: chromium.Tab) -> None:
    reach = (
        "[...document.querySelectorAll('.legend button, thead button')]"
        ".filter(one => { one.focus(); return one.tabIndex < 0 || document.activeElement !== one; }).length"
    )
    assert tab.value("document.querySelectorAll('.legend button, thead button').length") > 40
    tab.value("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert tab.value(reach) == 0

    legend = "document.querySelectorAll('[data-plot=plot-accounts] [data-key]')"
    tab.value(f"{legend}[0].focus()")
    press(tab, "Tab")
    assert tab.value(f"document.activeElement === {legend}[1]")
    assert tab.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    press(tab, "Space")
    assert tab.value(f"{legend}[1].ariaPressed") == "false"
    press(tab, "Space")
    assert tab.value(f"{legend}[1].ariaPressed") == "true"

    heads = "document.querySelector('#accounts table').tHead.rows[0].cells"
    tab.value(f"{heads}[0].firstElementChild.focus()")
    press(tab, "Tab")
    press(tab, "Enter")
    assert tab.value(f"{heads}[1].ariaSort") == "descending"


@pytest.mark.slow
def test_print_draws_every_plot_in_light_within_the_sheet(tab: chromium.Tab) -> None:
    """The page is dark when it is printed; what the printer is given is counted while it is."""
    tab.value(
        "addEventListener('beforeprint', () => {"
        "window.printed = { theme: document.documentElement.dataset.theme, marks: "
        "[...document.querySelectorAll('.canvas')].map(one => one.querySelectorAll('.main-svg path').length), inks: "
        "[...document.querySelectorAll('.canvas .main-svg .xtick text')].map(one => getComputedStyle(one).fill), "
        "widths: [...document.querySelectorAll('.canvas .main-svg')].map(one => one.width.baseVal.value) }; })"
    )
    answer = tab.call("Page.printToPDF", printBackground=True)
    pdf = base64.b64decode(answer["data"])
    assert pdf.startswith(b"%PDF-")
    pages = len(re.findall(rb"/Type\s*/Page\b(?!s)", pdf))
    assert 4 <= pages <= 60
    printed = tab.value("window.printed")
    assert printed["theme"] == "light"
    assert len(printed["marks"]) == tab.value("document.querySelectorAll('.canvas').length")
    assert min(printed["marks"]) > 3
    # A4 less a centimetre at each side is 718 pixels wide; what is wider is cut off at its right end.
    assert max(printed["widths"]) <= 718
    red, green, blue = (int(themes()["light"]["soft"][at : at + 2], 16) for at in (1, 3, 5))
    assert set(printed["inks"]) == {f"rgb({red}, {green}, {blue})"}
    tab.until("document.documentElement.dataset.theme === 'dark'")
    assert tab.problems == []
