"""Tables as the template draws them: every cell has its text, its small print and what it sorts by."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from alfred.core.contracts import Interval
from alfred.report.format import DASH, NumberStyle, level


@dataclass(frozen=True)
class Column:
    """A column's heading.

    `numeric` columns are aligned right and sort by value, `whole` ones don't break lines; `title` explains on hover.
    """

    heading: str
    numeric: bool = False
    title: str = ""
    whole: bool = False


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: what it says.
        small: lines of small print below.
        sort: number to sort by; None sorts last, and text columns sort by `text`.
        title: tooltip, such as why a value is absent.
        tone: "better", "worse" or empty, for the last line of small print.
        href: address that the text leads to, empty for none; only the dashboard's pages have any.
    """

    text: str
    small: tuple[str, ...] = ()
    sort: float | None = None
    title: str = ""
    tone: str = ""
    href: str = ""


@dataclass(frozen=True)
class Table:
    """A caption that says what the table holds, its columns, and rows of as many cells."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


def measured(
    value: float | None, style: NumberStyle, interval: Interval | None = None, title: str = "", remark: str = ""
) -> Cell:
    """A number with its interval in small print."""
    known = value is not None and math.isfinite(value)
    span = style.span(interval)
    explained = title or (f"{level(interval)} interval {span}" if span else "")
    return Cell(
        style.text(value),
        tuple(line for line in (span, remark) if line),
        value if known else None,
        explained if known or title else "not recorded",
    )


def texts(row: Sequence[str]) -> tuple[Cell, ...]:
    """A row of plain text cells; an empty text becomes an en dash."""
    return tuple(Cell(text or DASH) for text in row)
