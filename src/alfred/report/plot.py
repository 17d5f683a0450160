"""What every plot shares: plotly.js dictionaries without colours of their own, a caption, and safe JSON."""

import json
import math
from dataclasses import dataclass, field
from typing import Any, Literal

from alfred.report.palette import Series

Json = dict[str, Any]


@dataclass(frozen=True)
class Plot:
    """One plot of the page.

    Attributes:
        key: the element's id.
        title: short heading.
        caption: one sentence that says what to read from it.
        label: what a screen reader says.
        data, layout: plotly.js traces and layout; colours are tokens (see `palette`). A trace's `meta` is the key
            of the legend's entry that shows and hides it.
        height, phone_height: in pixels.
        phone: layout entries that replace those of `layout` on a narrow screen, addressed as "yaxis.dtick".
        legend: entries of the legend, drawn as buttons outside the plot.
        pick: whether the legend shows any number of entries at once, or one.
    """

    key: str
    title: str
    caption: str
    label: str
    data: list[Json]
    layout: Json
    height: int = 380
    phone_height: int = 340
    phone: Json = field(default_factory=dict)
    legend: tuple[Series, ...] = ()
    pick: Literal["many", "one"] = "many"

    def payload(self) -> Json:
        """What the page's script needs."""
        return {
            "data": self.data,
            "layout": self.layout,
            "phone": self.phone,
            "height": self.height,
            "phoneHeight": self.phone_height,
            "pick": self.pick,
        }


def axis(title: str, extra: Json | None = None) -> Json:
    """An axis with hairlines of the theme."""
    base: Json = {
        "gridcolor": "@grid",
        "linecolor": "@rule",
        "zerolinecolor": "@rule",
        "tickcolor": "@rule",
        "automargin": True,
        "zeroline": False,
    }
    if title:
        base["title"] = {"text": title, "standoff": 12}
    return base | (extra or {})


def layout(x: Json, y: Json, extra: Json | None = None) -> Json:
    """A layout that leaves ground, text colour and typeface to the theme."""
    base: Json = {
        "xaxis": x,
        "yaxis": y,
        "margin": {"l": 8, "r": 12, "t": 10, "b": 8},
        "paper_bgcolor": "@none",
        "plot_bgcolor": "@none",
        "showlegend": False,
        "hovermode": "closest",
        "hoverlabel": {"bgcolor": "@raised", "bordercolor": "@rule", "font": {"color": "@ink"}},
        "font": {"color": "@soft", "size": 12.5},
        "uirevision": "keep",
        "dragmode": False,
    }
    return base | (extra or {})


def rule(x: float | str | None = None, y: float | None = None, dash: str = "dot", colour: str = "@muted") -> Json:
    """A shape: one line across the plot, upright at `x` or level at `y`; above the grid, which would hide it."""
    line = {"color": colour, "width": 1, "dash": dash}
    if x is not None:
        return {"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1, "line": line, "layer": "above"}
    return {"type": "line", "y0": y, "y1": y, "xref": "paper", "x0": 0, "x1": 1, "line": line, "layer": "above"}


def plain(text: str) -> str:
    """A name as plotly shall write it: its pseudo-HTML has no power over it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def wrapped(name: str, width: int = 18) -> str:
    """A name for an axis, broken before a strategy, after dots and slashes, where it is longer than `width`."""
    lines, line = [], ""
    for piece in name.replace(" · ", " ·\0").replace(".", ".\0").replace("/", "/\0").split("\0"):
        gap = " " if line.endswith("·") else ""
        if line and len(line.removesuffix(" ·") + gap + piece.removesuffix(" ·")) > width:
            lines.append(line)
            line = ""
            gap = ""
        line += gap + piece
    return "<br>".join(plain(part) for part in [*lines, line])


def safe_json(value: Any) -> str:
    """Compact JSON that can stand inside a script element; numbers that are not finite become null."""
    text = json.dumps(_finite(value), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value
