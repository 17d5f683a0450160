"""Scalers: fitted on training rows only, one declared rule a column, nothing skipped in silence."""

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from alfred.core.contracts import Bools, Floats
from alfred.core.errors import ConfigError, DataError
from alfred.core.settings import suggestion
from alfred.panel.catalogue import Scaling, catalogue


@dataclass(frozen=True)
class Scaler:
    """What the training rows taught: center and spread of every column, after its rule's transformation.

    Attributes:
        columns: F names, those of the panel.
        rules: (F) rule of each.
        center, spread: (F,) in transformed units; spread is above 0. NaN where training rows held no value.
        clip: scaled values are cut off here.
    """

    columns: tuple[str, ...]
    rules: tuple[Scaling, ...]
    center: Floats
    spread: Floats
    clip: float

    def transform(self, values: Floats) -> Floats:
        """Scale `values` (..., F); missing stays missing, and so is a column that training rows never saw."""
        scaled = (_transformed(values, self.rules) - self.center) / self.spread
        return np.clip(scaled, -self.clip, self.clip)


def scaling_rules(columns: tuple[str, ...], overrides: Mapping[str, Scaling]) -> tuple[Scaling, ...]:
    """The rule of each column: the study's last matching pattern, otherwise the catalogue's.

    Raises:
        ConfigError: a pattern matches no column, or a column has no rule; both are named.
    """
    for pattern in overrides:
        if not fnmatch.filter(columns, pattern):
            raise ConfigError(f"panel.scaling: no column matches {pattern!r}; {suggestion(pattern, columns)}")
    rules = []
    for column in columns:
        declared = catalogue().get(column)
        rule = declared.scaling if declared else None
        for pattern, override in overrides.items():
            if fnmatch.fnmatchcase(column, pattern):
                rule = override
        if rule is None:
            raise ConfigError(f"column {column!r} has no scaling rule; give it one under [panel.scaling].")
        rules.append(rule)
    return tuple(rules)


def fit_scaler(
    columns: tuple[str, ...], rules: tuple[Scaling, ...], training: Floats, bound: float, clip: float
) -> Scaler:
    """Learn center and spread from training rows.

    `standard` uses mean and standard deviation, `robust` the median and the interquartile range / 1.349 (equal to
    the deviation under normality), `signed-log` applies sign(x) * log(1 + |x|) and then `standard`.

    Args:
        training: (N, F) values of training rows, NaN where missing.
        bound: a scaled training value beyond this is an error that names the column.

    Raises:
        DataError: there are no rows, or a value exceeds the bound.
    """
    if training.ndim != 2 or not len(training):
        raise DataError("a scaler needs training rows; the training period or basket is empty.")
    seen = np.isfinite(training).any(axis=0)
    values = _transformed(training, rules)[:, seen]
    robust = np.array([rule == "robust" for rule in rules])[seen]
    center, spread = np.full(len(columns), np.nan), np.full(len(columns), np.nan)
    if seen.any():
        low, middle, high = np.nanquantile(values, [0.25, 0.5, 0.75], axis=0)
        deviation = np.nanstd(values, axis=0)
        quartiles = (high - low) / 1.349
        center[seen] = np.where(robust, middle, np.nanmean(values, axis=0))
        spread[seen] = np.where(robust & (quartiles > 0), quartiles, deviation)
        # A constant training column carries nothing: it becomes 0 and later departures from it are clipped.
        spread[seen] = np.where(spread[seen] > 1e-12 * np.maximum(1.0, np.abs(center[seen])), spread[seen], 1.0)
    scaler = Scaler(columns, rules, center, spread, clip)
    extreme = np.abs((_transformed(training, rules) - center) / spread)
    worst = np.nanmax(np.where(np.isfinite(extreme), extreme, 0.0), axis=0)
    if (worst > bound).any():
        at = int(np.argmax(worst))
        raise DataError(
            f"column {columns[at]!r} reaches {worst[at]:.0f} deviations after {rules[at]!r} scaling of the training "
            f"rows, beyond panel.scaled_bound = {bound:g}; look at its values, or give it a rule for heavy tails."
        )
    return scaler


def _transformed(values: Floats, rules: tuple[Scaling, ...]) -> Floats:
    logs: Bools = np.array([rule == "signed-log" for rule in rules])
    result = values.astype(np.float64, copy=True)
    result[..., logs] = np.sign(result[..., logs]) * np.log1p(np.abs(result[..., logs]))
    return result
