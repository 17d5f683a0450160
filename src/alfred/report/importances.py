"""Which columns moved the forecasts: what `alfred explain` left in the run's folder, with a link to its pages."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import polars as pl
from pydantic import ValidationError

from alfred.experiments.explaining import DESCRIPTION, FOLDER, load_explanation
from alfred.report.explanation import FILE, column_plot, headline
from alfred.report.plot import Plot


@dataclass(frozen=True)
class Importance:
    """One explained analyst: what moves it in a sentence, a plot, and the address of the whole explanation."""

    analyst: str
    told: str
    plot: Plot
    href: str


@dataclass(frozen=True)
class ImportanceSection:
    """Those explained; `damaged` are explanations that this version cannot read, by the names of their folders."""

    found: tuple[Importance, ...]
    damaged: tuple[str, ...]


def importance_section(folder: Path) -> ImportanceSection:
    """Every explanation of a run's folder, by analyst."""
    found, damaged = [], []
    for at, path in enumerate(sorted((folder / FOLDER).glob(f"*/{DESCRIPTION}"))):
        own = path.parent
        try:
            about, columns = load_explanation(own), pl.read_parquet(own / "columns.parquet", glob=False)
            plot = column_plot(columns, about, f"plot-importance-{at}", f"What moves {about.analyst}")
        except (OSError, ValidationError, pl.exceptions.PolarsError):
            damaged.append(own.name)
            continue
        href = f"{FOLDER}/{quote(own.name)}/{FILE}" if (own / FILE).is_file() else ""
        found.append(Importance(about.analyst, headline(about, columns), plot, href))
    return ImportanceSection(tuple(found), tuple(damaged))
