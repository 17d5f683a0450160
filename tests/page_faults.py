"""What is wrong with a page in a browser, in words: one look that every page of reports and dashboard has to stand."""

from pathlib import Path

import chromium

LOOK = (Path(__file__).parent / "page_faults.js").read_text(encoding="utf-8")
UNFOLD = "document.querySelectorAll('details').forEach(one => { one.open = true; })"
THEMES = (
    "[document.documentElement.dataset.theme, "
    "[...document.querySelectorAll('.canvas')].map(one => one.dataset.drawn || 'not drawn')]"
)


def faults(tab: chromium.Tab) -> list[str]:
    """Everything that is wrong with the page that is open, with its details unfolded; empty where all is well."""
    tab.value(UNFOLD)
    found: list[str] = tab.value(LOOK)
    theme, drawn = tab.value(THEMES)
    found += [f"a plot is {one} on a {theme} page" for one in drawn if one != theme]
    return found + [f"console: {problem}" for problem in tab.problems]
