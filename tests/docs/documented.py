"""The documentation as its tests read it: pages, the commands that they show, their blocks, and a newcomer's prices."""

import datetime as dt
import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from alfred.lake.contracts import Request
from alfred.lake.providers import sample

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
TWELVE = ("AAPL", "AMD", "BAC", "BBY", "CVX", "GE", "HD", "JNJ", "JPM", "KO", "WMT", "XOM")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PROMPT = re.compile(r"^\w*\$ (.+)$", re.MULTILINE)
_REMARK = re.compile(r"\s+#\s.*$")


def blocks(page: Path, language: str) -> list[str]:
    """What stands in the page's fenced blocks of one language, in their order."""
    return [text for kind, text in _BLOCK.findall(page.read_text(encoding="utf-8")) if kind == language]


def console(page: Path) -> list[str]:
    """The lines behind a prompt, in their order and without remarks."""
    lines = [line for text in blocks(page, "console") for line in _PROMPT.findall(text.replace("\\\n", " "))]
    return [_REMARK.sub("", line).strip() for line in lines]


def examples(page: Path) -> list[str]:
    """The commands that generated help gives as examples, each on a line of its own."""
    return re.findall(r"^(alfred .+)$", page.read_text(encoding="utf-8"), re.MULTILINE)


def write_prices(folder: Path, names: Sequence[str] | None, since: dt.date, until: dt.date) -> None:
    """The sample's prices as a newcomer has them: a CSV file a symbol; None for all that there are."""
    folder.mkdir()
    rows = pl.concat([batch.rows for batch in sample.fetch("bars", Request(), None) if batch.table == "bars"])
    rows = rows.filter(pl.col("date").is_between(since, until)).sort("symbol", "date")
    for (name,), own in rows.group_by("symbol", maintain_order=True):
        if names is None or name in names:
            own.select("date", "close", pl.coalesce("adj_close", "close").alias("adj close")).write_csv(
                folder / f"{name}.csv"
            )
