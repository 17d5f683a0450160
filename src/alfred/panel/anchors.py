"""Columns that let a line find a company's own figures: what the baselines forecast, and where accounts return to."""

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from alfred.core.contracts import Floats
from alfred.core.errors import ConfigError
from alfred.core.settings import suggestion
from alfred.panel.added import with_columns
from alfred.panel.catalogue import catalogue
from alfred.panel.fundamental_labels import FundamentalLabel
from alfred.panel.panel import Panel

KNOWN, SEASON, USUAL = "known:", "season:", "usual:"
"""How the columns begin that carry every label's figures: the random walk's, the seasonal one, the mean of two years.

The panel's own columns hold ranks of some of these, in which a straight line cannot find the figure itself.
"""
ANCHORS = (KNOWN, SEASON, USUAL)
ABOUT_COMPANIES = frozenset({"facts", "earnings"})
"""Tables of which columns are made that say how a company does."""


def with_anchors(panel: Panel, labels: Mapping[str, FundamentalLabel], features: Sequence[str]) -> Panel:
    """Some of the panel's columns, and beside them the figures known of every label.

    What is constant or there twice is left out.

    Args:
        panel: columns and rows.
        labels: of one horizon, by name.
        features: names or patterns of columns; none takes those that are made of filings or announcements.

    Raises:
        ConfigError: a pattern matches no column.
    """
    key = {"symbol": list(panel.symbols) * len(panel.dates), "date": np.repeat(panel.dates, len(panel.symbols))}
    columns: dict[str, Floats] = {}
    for name, label in labels.items():
        columns |= {KNOWN + name: label.last, USUAL + name: label.usual}
        if not np.array_equal(label.seasonal, label.last, equal_nan=True) and np.nanstd(label.seasonal) > 0:
            columns[SEASON + name] = label.seasonal
    told = {name: np.where(panel.listed, values, np.nan).ravel() for name, values in columns.items()}
    told = {name: values for name, values in told.items() if np.isfinite(values).any()}
    return with_columns(_only(panel, features), pl.DataFrame({**key, **told}))


def _only(panel: Panel, features: Sequence[str]) -> Panel:
    for pattern in features:
        if not fnmatch.filter(panel.features, pattern):
            raise ConfigError(
                f"fundamentals.features: no column matches {pattern!r}; {suggestion(pattern, panel.features)}"
            )
    known = catalogue()
    kept = [
        any(fnmatch.fnmatchcase(name, pattern) for pattern in features)
        if features
        else name in known and not ABOUT_COMPANIES.isdisjoint(known[name].tables)
        for name in panel.features
    ]
    names = tuple(name for name, keep in zip(panel.features, kept, strict=True) if keep)
    return replace(panel, features=names, values=panel.values[:, :, np.array(kept, np.bool_)])
