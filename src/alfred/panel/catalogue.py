"""The catalogue of feature columns. A family is one file in `panel/features`; each column declares what it is."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from alfred.core.calendar import Dates
from alfred.core.contracts import Floats
from alfred.core.errors import ConfigError
from alfred.core.plugins import plugin, plugin_names
from alfred.core.settings import suggestion
from alfred.panel.history import BarHistory

FAMILIES = "alfred.panel.features"
Scaling = Literal["standard", "robust", "signed-log"]


@dataclass(frozen=True)
class Sources:
    """Everything a feature may be computed from, already cut to what was known on each decision date."""

    dates: Dates
    symbols: tuple[str, ...]
    bars: BarHistory


@dataclass(frozen=True)
class Feature:
    """One column of the panel.

    Attributes:
        name: its name in the notes, where it has one.
        formula: how it is computed, in words and symbols.
        unit: of its values.
        tables: tables of the lake it needs.
        known: when it is known.
        missing: when it is null.
        scaling: rule by which training rows scale it.
        compute: gives the values, (D, S) with NaN for missing.
        delta: how the change since the previous quarter is measured ("relative" or "absolute"); None for a column
            that is itself a difference.
        is_level: a price level; where prices were adjusted backwards it knows later splits and dividends.
        family: file that declares it.
    """

    name: str
    formula: str
    unit: str
    tables: tuple[str, ...]
    known: str
    missing: str
    scaling: Scaling
    compute: Callable[[Sources], Floats]
    delta: Literal["relative", "absolute"] | None = None
    is_level: bool = False
    family: str = ""


@functools.cache
def catalogue() -> dict[str, Feature]:
    """All columns by name, family by family: those it declares, then a `delta_` of each that is no difference."""
    columns: dict[str, Feature] = {}
    for family in plugin_names(FAMILIES):
        declared = [replace(feature, family=family) for feature in plugin(FAMILIES, family).FEATURES]
        for feature in (*declared, *(_delta(base) for base in declared if base.delta is not None)):
            if feature.name in columns:
                raise ConfigError(
                    f"feature {feature.name!r} is declared by {columns[feature.name].family} and {family}."
                )
            columns[feature.name] = feature
    return columns


def feature(name: str) -> Feature:
    """The column of that name.

    Raises:
        ConfigError: there is none; the message suggests the nearest.
    """
    if name not in catalogue():
        raise ConfigError(f"there is no feature {name!r}; {suggestion(name, catalogue())}")
    return catalogue()[name]


def _delta(base: Feature) -> Feature:
    relative = base.delta == "relative"
    before = f"{base.name} one quarter before"

    def change(sources: Sources) -> Floats:
        values = base.compute(sources)
        earlier = np.vstack([np.full((1, values.shape[1]), np.nan), values[:-1]])
        with np.errstate(divide="ignore", invalid="ignore"):
            difference = values / earlier - 1 if relative else values - earlier
        return np.where(np.isfinite(difference), difference, np.nan)

    return Feature(
        name=f"delta_{base.name}",
        formula=f"{base.name} / {before} - 1" if relative else f"{base.name} less {before}",
        unit="fraction" if relative else base.unit,
        tables=base.tables,
        known=base.known,
        missing=f"where {base.name} is missing in this quarter or the one before",
        scaling="robust" if base.scaling == "signed-log" else base.scaling,
        compute=change,
        family=base.family,
    )
