"""What every page shares: one template environment, one style, one script, plots as data, and no network."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from alfred.core.version import __version__
from alfred.report.format import COUNT, instant, listed
from alfred.report.plot import Plot, safe_json

_TEMPLATES = Path(__file__).parent / "templates"
_DATE = re.compile(r"(\b\d{4}-\d{2}-\d{2}\b)")
_CODE = re.compile(r"`([^`\n]{1,80})`")
_NEGATIVE = re.compile(r"(?<![\w.-])-(?=\d)")
_HELD = re.compile(r" · |\bp (?=\d|below)")
"""Where a line shall not break: in the name of an account, and between p and its value."""


def fill(template: str, plots: Iterable[Plot], values: Mapping[str, Any], folder: Path = _TEMPLATES) -> str:
    """A page as one HTML text that needs nothing else.

    Args:
        template: a file of this package's templates that extends `base.html.jinja`.
        plots: every plot that the page draws.
        values: what the template names.
        folder: of further templates.
    """
    figures = {plot.key: plot.payload() for plot in plots}
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, _TEMPLATES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = COUNT.text
    environment.filters["listed"] = listed
    environment.filters["instant"] = instant
    environment.filters["breakable"] = _breakable
    environment.filters["told"] = told
    shared = {
        "version": __version__,
        "css": own("report.css"),
        "js": own("report.js"),
        "plotly": trusted(_plotly()) if figures else "",
        "figures": trusted(safe_json(figures)),
    }
    return environment.get_template(template).render(shared | dict(values))


def told(sentence: str) -> Markup:
    """A recorded sentence as pages write it: `code` as code, a true minus, and no breaks in dates and names."""
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if at % 2 else _words(part)
        for at, part in enumerate(_CODE.split(sentence))
    )


def _words(sentence: str) -> Markup:
    held = _HELD.sub(lambda found: found.group().replace(" ", "\u00a0"), _NEGATIVE.sub("\u2212", sentence))
    return Markup("").join(
        Markup('<span class="whole">{}</span>').format(part) if at % 2 else part
        for at, part in enumerate(_DATE.split(held))
    )


def trusted(text: str) -> Markup:
    """Text that goes into the page as it is: this package's own files, plotly's script, and JSON of `safe_json`."""
    return Markup(text)  # noqa: S704 - every other text is escaped by the template


def own(name: str) -> Markup:
    """A file of this package's templates."""
    return trusted((_TEMPLATES / name).read_text(encoding="utf-8"))


def _breakable(name: str) -> Markup:
    """A name that may break after dots, colons, underscores and slashes, where a narrow column needs it."""
    parts = re.split("([._/:])", name.replace(" ·", "\u00a0·"))
    return Markup("").join(Markup("{}<wbr>").format(part) if part in {".", "_", "/", ":"} else part for part in parts)


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())
