"""A plain page of parts: what any command may show beside its table, in the report's style.

One `Sheet` is a headline and parts; a part is words, tables and plots. The page stands alone, follows light and dark,
sorts its tables and prints, as the report does.
"""

from dataclasses import dataclass
from pathlib import Path

from alfred.core.storage import write_whole
from alfred.report.plot import Plot
from alfred.report.shell import fill
from alfred.report.table import Table


@dataclass(frozen=True)
class Part:
    """A section of a sheet.

    Attributes:
        key: its anchor.
        name: in the navigation, one word or two.
        heading: above it.
        lead: what to read from it, one or two sentences.
        facts: terms and their descriptions.
        plots, tables: in this order; the first two plots of a `pair` stand side by side where there is room.
        notes: small print below.
        pair: whether plots stand two in a row.
    """

    key: str
    name: str
    heading: str
    lead: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    plots: tuple[Plot, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    pair: bool = False


@dataclass(frozen=True)
class Sheet:
    """A page.

    Attributes:
        title: of the window.
        headline: what was found, in one sentence.
        lead: a few sentences below it; may be empty.
        warnings: what must be said before any figure.
        imprint: where the figures come from.
        links: what to read beside it: words and their address, from the page's own folder.
        parts: sections in order.
    """

    title: str
    headline: str
    parts: tuple[Part, ...]
    lead: str = ""
    warnings: tuple[str, ...] = ()
    imprint: str = ""
    links: tuple[tuple[str, str], ...] = ()


def write_sheet(path: Path, sheet: Sheet) -> Path:
    """Write the page, whole or not at all; returns `path`."""
    write_whole(path, render_sheet(sheet))
    return path


def render_sheet(sheet: Sheet) -> str:
    """The page as one HTML text that needs nothing else."""
    plots = [plot for part in sheet.parts for plot in part.plots]
    return fill("sheet.html.jinja", plots, {"sheet": sheet})
