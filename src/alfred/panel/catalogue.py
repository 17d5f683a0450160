"""The catalogue of feature columns. A family is one file in `panel/features`; each column declares what it is."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from alfred.core.contracts import Floats
from alfred.core.errors import ConfigError
from alfred.core.plugins import plugin, plugin_names
from alfred.core.settings import suggestion
from alfred.panel.sources import Sources

FAMILIES = "alfred.panel.features"
Scaling = Literal["standard", "robust", "yeo-johnson", "rank", "signed-log"]
ShareBasis = Literal["per-share", "shares"]


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
        share_basis: for values in USD a share ("per-share") or in shares, on the share basis of the decision date;
            their delta is taken on one basis, whatever splits lie between.
        is_level: a level of quoted prices or volumes; where prices were adjusted backwards and the splits are not at
            hand, it knows later splits and dividends.
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
    share_basis: ShareBasis | None = None
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


def column(sources: Sources, wanted: Feature) -> Floats:
    """(D, S) values of a column, computed once for each `Sources`."""
    if wanted.name not in sources.columns:
        sources.columns[wanted.name] = wanted.compute(sources)
    return sources.columns[wanted.name]


def _rebased(sources: Sources, basis: ShareBasis | None) -> Floats | float:
    """(D - 1, S) factors that put a quarter's value on the share basis of the next decision date."""
    if basis is None:
        return 1.0
    ratio = sources.splits.later[:-1] / sources.splits.later[1:]
    return ratio if basis == "shares" else 1 / ratio


def _delta(base: Feature) -> Feature:
    relative = base.delta == "relative"
    before = f"{base.name} one quarter before"

    def change(sources: Sources) -> Floats:
        values = column(sources, base)
        earlier = np.full(values.shape, np.nan)
        earlier[1:] = values[:-1] * _rebased(sources, base.share_basis)
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
        # Heavy-tailed values change heavy-tailed: the volume of one day can be 200 times that of a quarter before.
        scaling=base.scaling,
        compute=change,
        # Prices of two dates on one share basis are as good as quoted ones; a market value has no basis to be put on.
        is_level=base.is_level and base.share_basis is None,
        family=base.family,
    )
