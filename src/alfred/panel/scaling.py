"""Scalers: fitted on training rows only, one declared rule a column, nothing skipped in silence.

| rule | a value becomes |
| --- | --- |
| standard | its distance from the training mean, in standard deviations |
| robust | its distance from the training median, in interquartile ranges / 1.349 (the deviation of a normal) |
| signed-log | sign(x) log(1 + abs(x)), then standard |
| yeo-johnson | a power of 1 + abs(x) that makes training values most like a normal, then standard |
| rank | its place among the training values, between -1 and 1 |
"""

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from alfred.core.contracts import Floats
from alfred.core.errors import ConfigError, DataError
from alfred.core.settings import suggestion
from alfred.panel._transforms import fit_power, fit_ranks, ranked, signed_log, yeo_johnson
from alfred.panel.catalogue import Scaling, catalogue


@dataclass(frozen=True)
class Scaler:
    """What the training rows taught of every column.

    Attributes:
        columns: F names, those of the panel.
        rules: (F) rule of each.
        center, spread: (F,) in transformed units, 0 and 1 for ranks; spread is above 0. NaN where training rows held
            no value.
        power: (F,) exponent of Yeo-Johnson columns, NaN in others.
        ranks: (F) for rank columns (2, K) training values, ascending, and the ranks they have; None for others.
        clip: scaled values are cut off here.
    """

    columns: tuple[str, ...]
    rules: tuple[Scaling, ...]
    center: Floats
    spread: Floats
    power: Floats
    ranks: tuple[Floats | None, ...]
    clip: float

    def transform(self, values: Floats) -> Floats:
        """Scale `values` (..., F); missing stays missing, and so is a column that training rows never saw."""
        scaled = values.astype(np.float64, copy=True)
        for rule in ("signed-log", "yeo-johnson"):
            of_rule = np.array([rule == one for one in self.rules])
            if of_rule.any():
                some = scaled[..., of_rule]
                scaled[..., of_rule] = (
                    signed_log(some) if rule == "signed-log" else yeo_johnson(some, self.power[of_rule])
                )
        for at, ranks in enumerate(self.ranks):
            if ranks is not None:
                scaled[..., at] = ranked(scaled[..., at], ranks)
        scaled -= self.center
        scaled /= self.spread
        return np.clip(scaled, -self.clip, self.clip, out=scaled)


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
    """Learn from training rows what each column's rule needs.

    Args:
        training: (N, F) values of training rows, NaN where missing.
        bound: a scaled training value beyond this is an error that names the column.

    Raises:
        DataError: there are no rows, or a value exceeds the bound.
    """
    if training.ndim != 2 or not len(training):
        raise DataError("a scaler needs training rows; the training period or basket is empty.")
    learnt = [_learn(training[:, at], rule) for at, rule in enumerate(rules)]
    worst = np.array([column.worst for column in learnt])
    if not (worst <= bound).all():
        at = int(np.argmax(worst))
        raise DataError(
            f"column {columns[at]!r} reaches {worst[at]:.0f} deviations after {rules[at]!r} scaling of the training "
            f"rows, beyond panel.scaled_bound = {bound:g}; look at its values, or give it a rule for heavy tails."
        )
    return Scaler(
        columns,
        rules,
        center=np.array([column.center for column in learnt]),
        spread=np.array([column.spread for column in learnt]),
        power=np.array([column.power for column in learnt]),
        ranks=tuple(column.ranks for column in learnt),
        clip=clip,
    )


@dataclass(frozen=True)
class _Learnt:
    """Of one column, as in `Scaler`; `worst` is the largest scaled training value, regardless of sign."""

    center: float = np.nan
    spread: float = np.nan
    power: float = np.nan
    ranks: Floats | None = None
    worst: float = 0.0


def _learn(column: Floats, rule: Scaling) -> _Learnt:
    values = np.ascontiguousarray(column)
    known = values[np.isfinite(values)]
    if not len(known):
        return _Learnt()
    if rule == "rank":
        return _Learnt(0.0, 1.0, ranks=fit_ranks(known), worst=1.0)
    power = np.nan
    if rule == "signed-log":
        values = signed_log(values)
    elif rule == "yeo-johnson":
        power = fit_power(known)
        values = yeo_johnson(values, power)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if low == high:
        # A constant training column carries nothing: it becomes 0 and later departures from it are clipped.
        return _Learnt(low, 1.0, power)
    center, spread = float(np.nanmean(values)), float(np.nanstd(values))
    if rule == "robust":
        first, center, third = np.nanquantile(values, [0.25, 0.5, 0.75]).tolist()
        spread = (third - first) / 1.349 if third > first else spread
    # Values that differ by rounding only are as good as constant.
    if spread <= 1e-12 * max(1.0, abs(center)):
        spread = 1.0
    return _Learnt(center, spread, power, worst=max(high - center, center - low) / spread)
