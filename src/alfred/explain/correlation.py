"""Which columns go with a label, and how sure one can be: correlations with intervals and false-discovery rates.

The highest of many correlations is high by chance, and names of one quarter move together, so that thousands of rows
may hold a few dozen independent observations. Hence intervals and p-values come from resampled blocks of quarters,
and q-values say what share of the columns up to this one are expected to be chance.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from alfred.core.contracts import Bools, Floats, Interval
from alfred.core.errors import DataError
from alfred.evaluation.bootstrap import BootstrapSettings, block_counts, percentile_interval
from alfred.evaluation.significance import benjamini_hochberg
from alfred.panel.panel import Panel

BEYOND_BELIEF = 0.5
"""Honest columns stay far below this with any label; one above it probably knows it."""
FEWEST_NAMES = 3
"""Names a quarter needs to have a rank correlation."""

SCALE = ((0.8, "Very Strong"), (0.6, "Strong"), (0.4, "Moderate"), (0.2, "Weak"), (0.0, "Very Weak"))
"""Lower ends of the classes of Evans (1996), Straightforward Statistics for the Behavioral Sciences."""

Groups = NDArray[np.int16]
Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Estimate:
    """One correlation.

    Attributes:
        value: over all rows.
        interval: block bootstrap over quarters.
        p_value: of no correlation: value over its bootstrap standard error, as Student's t with blocks - 1 degrees.
        q_value: smallest false-discovery rate at which it counts as found, over both correlations of all columns
            (Benjamini and Hochberg 1995, Controlling the false discovery rate).
    """

    value: float
    interval: Interval
    p_value: float
    q_value: float

    @property
    def strength(self) -> str:
        """In words."""
        return strength(self.value)


@dataclass(frozen=True)
class FeatureCorrelation:
    """One column beside the label.

    Attributes:
        feature: its name.
        pearson: linear correlation over all rows in which both are known; None where the column does not vary, or is
            known in fewer than 2 quarters.
        rank: the same of the ranks over all those rows (Spearman); its interval keeps these ranks.
        rank_ic: mean over quarters of the rank correlation across names; None where the column is the same for all.
        rows, quarters: in which both are known.
    """

    feature: str
    pearson: Estimate | None
    rank: Estimate | None
    rank_ic: float | None
    rows: int
    quarters: int

    @property
    def beyond_belief(self) -> bool:
        """Whether a correlation is so high that one should look for a leak first."""
        return any(found is not None and abs(found.value) > BEYOND_BELIEF for found in (self.pearson, self.rank))


@dataclass(frozen=True)
class Correlations:
    """All columns of a panel beside one label, from the highest Pearson correlation down, undefined ones last.

    Attributes:
        label: its name; it is none of the features.
        features: the columns.
        rows, quarters: listed rows whose label is known, and quarters that have any.
        first, last: of these quarters' decision dates.
    """

    label: str
    features: tuple[FeatureCorrelation, ...]
    rows: int
    quarters: int
    first: np.datetime64
    last: np.datetime64

    def found(self, rate: float) -> tuple[FeatureCorrelation, ...]:
        """Columns whose Pearson or rank correlation is found at a false-discovery rate."""
        return tuple(
            feature
            for feature in self.features
            if any(estimate is not None and estimate.q_value <= rate for estimate in (feature.pearson, feature.rank))
        )


def strength(correlation: float) -> str:
    """A correlation in words, as in the notes: of its absolute value rounded to two decimals, so that 0.195 is Weak."""
    size = round(abs(correlation), 2)
    return next(words for least, words in SCALE if size >= least)


def correlate(panel: Panel, label: str, rows: Bools, settings: BootstrapSettings | None = None) -> Correlations:
    """Correlate every feature with a label.

    Args:
        panel: features and labels.
        label: name of the label.
        rows: (D, S) which rows; those without the label do not count.
        settings: of the bootstrap; blocks are at least twice the label's horizon.

    Raises:
        ConfigError: the panel has no such label.
        DataError: fewer than 2 quarters have a label.
    """
    settings = (settings or BootstrapSettings()).over_horizon(panel.labels.horizon_quarters)
    values = panel.labels.of(label)
    rows = rows & np.isfinite(values)
    quarter, name = np.nonzero(rows)
    dates = np.unique(quarter)
    if len(dates) < 2:
        raise DataError(
            f"{len(dates)} quarter(s) of the rows have a label {label}; a correlation needs at least 2, and 20 or more "
            "to say anything. Widen the period or the basket."
        )
    y = values[rows]
    draws = _Draws(settings)
    sample = _Sample(y, np.argsort(y), np.searchsorted(dates, quarter).astype(np.int16), {})
    raw = [_correlation(panel.values[quarter, name, at], sample, draws) for at in range(len(panel.features))]
    estimates = _with_q_values([estimate for pair in raw for estimate in (pair.pearson, pair.rank)])
    features = [
        FeatureCorrelation(feature, p, r, pair.rank_ic, pair.rows, pair.quarters)
        for feature, p, r, pair in zip(panel.features, estimates[::2], estimates[1::2], raw, strict=True)
    ]
    features.sort(key=lambda one: -np.inf if one.pearson is None else one.pearson.value, reverse=True)
    return Correlations(label, tuple(features), len(y), len(dates), panel.dates[dates[0]], panel.dates[dates[-1]])


@dataclass(frozen=True)
class _Sample:
    """The label of N rows, its order, the rows' quarters, and its ranks among rows with one pattern of missing values.

    Many columns are missing in the same rows; the label is ranked once for all of them.
    """

    y: Floats
    order: Positions
    quarter: Groups
    ranked: dict[bytes, tuple[Floats, Floats]]

    def ranks(self, known: Bools) -> tuple[Floats, Floats]:
        """Centred ranks of the label among the known rows, over all of them and within quarters."""
        key = np.packbits(known).tobytes()
        if key not in self.ranked:
            place = np.cumsum(known) - 1
            order = place[self.order[known[self.order]]]
            self.ranked[key] = _both_ranks(self.y[known], order, self.quarter[known])
        return self.ranked[key]


@dataclass(frozen=True)
class _Raw:
    """A column before its q-values are known: estimates hold their p-values there."""

    pearson: Estimate | None = None
    rank: Estimate | None = None
    rank_ic: float | None = None
    rows: int = 0
    quarters: int = 0


class _Draws:
    """Resampled quarters, drawn once for each number of quarters."""

    def __init__(self, settings: BootstrapSettings) -> None:
        self.settings = settings
        self._counts: dict[int, Floats] = {}

    def estimate(self, x: Floats, y: Floats, starts: Positions) -> Estimate | None:
        """Correlation of x and y with its doubt, given where each quarter begins; None where one does not vary."""
        x, y = x - x.mean(), y - y.mean()
        spread = np.sqrt((x @ x) * (y @ y))
        if not spread > 0:
            return None
        # Each part of the ratio is a sum over quarters; resampled quarters are matrix products of these sums.
        parts = (np.ones_like(x), x, y, x * x, y * y, x * y)
        sums = np.stack([np.add.reduceat(part, starts) for part in parts], axis=1)
        quarters = len(sums)
        if quarters not in self._counts:
            self._counts[quarters] = block_counts(quarters, self.settings)
        n, sx, sy, sxx, syy, sxy = (self._counts[quarters] @ sums).T
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn = (sxy - sx * sy / n) / np.sqrt((sxx - sx * sx / n) * (syy - sy * sy / n))
        blocks = quarters / self.settings.block_length(quarters)
        value = float(np.clip(x @ y / spread, -1, 1))
        drawn = drawn[np.isfinite(drawn)]
        interval = percentile_interval(drawn, self.settings.level, blocks)
        error = float(drawn.std()) * np.sqrt(blocks / (blocks - 1))
        p_value = 2 * float(stats.t.sf(abs(value) / error, blocks - 1)) if error > 0 else float(value == 0)
        return Estimate(value, interval, p_value, p_value)


def _correlation(column: Floats, sample: _Sample, draws: _Draws) -> _Raw:
    known = np.isfinite(column)
    x, y, quarter = column[known], sample.y[known], sample.quarter[known]
    starts = _starts(quarter)
    if len(starts) < 2 or (x == x[0]).all():
        return _Raw(rows=len(x), quarters=len(starts))
    ranks, own_ranks = _both_ranks(x, np.argsort(x), quarter)
    label_ranks, label_own_ranks = sample.ranks(known)
    return _Raw(
        pearson=draws.estimate(x, y, starts),
        rank=draws.estimate(ranks, label_ranks, starts),
        rank_ic=_mean_ic(own_ranks, label_own_ranks, starts),
        rows=len(x),
        quarters=len(starts),
    )


def _starts(group: Groups) -> Positions:
    """Where each run of equal values begins."""
    return np.flatnonzero(np.append(True, group[1:] != group[:-1])) if len(group) else np.zeros(0, np.int64)


def _both_ranks(values: Floats, order: Positions, quarter: Groups) -> tuple[Floats, Floats]:
    """Centred ranks of all values, and of each quarter's; ties share their average."""
    # A stable sort of small integers is a radix sort: values stay in order within their quarter.
    return (
        _centred_ranks(values, order, np.zeros_like(quarter)),
        _centred_ranks(values, order[np.argsort(quarter[order], kind="stable")], quarter),
    )


def _centred_ranks(values: Floats, order: Positions, group: Groups) -> Floats:
    """Ranks less the mean rank of their group, given the order by group and value."""
    ordered, groups = values[order], group[order]
    starts = _starts(groups)
    new = np.append(True, ordered[1:] != ordered[:-1])
    new[starts] = True
    runs = np.flatnonzero(new)
    lengths, sizes = np.diff(np.append(runs, len(values))), np.diff(np.append(starts, len(values)))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat(runs + (lengths - 1) / 2, lengths) - np.repeat(starts + (sizes - 1) / 2, sizes)
    return ranks


def _mean_ic(x: Floats, y: Floats, starts: Positions) -> float | None:
    """Mean over quarters of the correlation of ranks centred within them."""
    sizes, product = np.diff(np.append(starts, len(x))), np.add.reduceat(x * y, starts)
    spread = np.sqrt(np.add.reduceat(x * x, starts) * np.add.reduceat(y * y, starts))
    usable = (sizes >= FEWEST_NAMES) & (spread > 0)
    return float((product[usable] / spread[usable]).mean()) if usable.any() else None


def _with_q_values(estimates: list[Estimate | None]) -> list[Estimate | None]:
    defined = [estimate for estimate in estimates if estimate is not None]
    if not defined:
        return estimates
    rates = iter(benjamini_hochberg([estimate.p_value for estimate in defined]))
    return [None if one is None else Estimate(one.value, one.interval, one.p_value, next(rates)) for one in estimates]
