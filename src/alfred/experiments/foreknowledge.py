"""What language models may have known beforehand, and what the analysts' results are without it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from alfred.core.calendar import Dates
from alfred.core.contracts import Floats, Interval
from alfred.evaluation.bootstrap import BootstrapSettings, block_counts, percentile_interval
from alfred.experiments.record import LanguageSummary, PartResult, TwinColumn
from alfred.language.compare import compare_scores, twin_of
from alfred.language.contracts import UNKNOWN_CUTOFF
from alfred.panel.asof import of_digester
from alfred.panel.build import sources_of
from alfred.panel.catalogue import catalogue, column
from alfred.panel.foreknown import FAMILY
from alfred.panel.panel import Panel
from alfred.panel.settings import PanelSettings
from alfred.panel.sources import Sources
from alfred.panel.tables import Tables

COMPARED = ("mean_sentiment", "mean_outlook")
FEWEST_NAMES = 3
T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True)
class Tested:
    """What was forecast from what.

    Attributes:
        panel: that the analysts learnt from.
        tables, settings: that it was built from.
        quarters: positions of the test quarters among its dates.
        names: positions of the evaluation names among its symbols.
    """

    panel: Panel
    tables: Tables
    settings: PanelSettings
    quarters: Sequence[int]
    names: Sequence[int]

    def cells(self, values: NDArray[T]) -> NDArray[T]:
        """The tested rows of values (D, S)."""
        return values[np.ix_(self.quarters, self.names)]


def language_summary(tested: Tested, quarters: pl.DataFrame, bootstrap: BootstrapSettings) -> LanguageSummary | None:
    """Results in test quarters with rows that a model may have known the future of, and in those without.

    Args:
        tested: panel and rows.
        quarters: of `alfred.evaluation.scorecard.quarter_table`.
        bootstrap: of the intervals.

    Returns:
        None where the panel has no column of articles.
    """
    panel, tables, settings = tested.panel, tested.tables, tested.settings
    columns = tuple(name for name in panel.features if name in catalogue() and catalogue()[name].family == FAMILY)
    digests = of_digester(tables.digests, settings.digester) if columns else tables.digests.clear()
    if digests.is_empty():
        return None
    flags, listed = tested.cells(panel.foreknown), tested.cells(panel.listed)
    dates = panel.dates[list(tested.quarters)]
    before = dates[flags.any(axis=1)]
    name, version, model = digests.select("digester", "prompt_version", "model").row(0)
    latest = digests["knowledge_cutoff"].max()
    bootstrap = bootstrap.over_horizon(settings.horizon_quarters)
    found = LanguageSummary(
        digester=f"{name}/{version}",
        model=model,
        cutoff="" if latest is None else "unknown" if latest == UNKNOWN_CUTOFF else str(latest),
        columns=columns,
        rows=int(listed.sum()),
        flagged=int(flags.sum()),
        results=_results(quarters, before, bootstrap),
    )
    return _with_twin(found, tested, (name, version, model), bootstrap)


def warning_of(found: LanguageSummary) -> str:
    """What a reader must know before any figure; empty where no test row is flagged."""
    if not found.flagged:
        return ""
    rows = f"{found.flagged:,} of {found.rows:,} test rows"
    known = f"learnt of the world until {found.cutoff}" if found.cutoff != "unknown" else "declares no knowledge cutoff"
    return (
        f"Look-ahead of a language model: {found.model} {known}, so that it may have known what came after the "
        f"articles it read for {rows}. Believe the results after its cutoff; the section on language shows both."
    )


def _results(quarters: pl.DataFrame, before: Dates, bootstrap: BootstrapSettings) -> tuple[PartResult, ...]:
    known = pl.col("as_of").is_in(pl.Series(before).cast(pl.Date).implode())
    found = []
    for (analyst,), own in quarters.group_by("analyst", maintain_order=True):
        parts: tuple[tuple[Literal["before", "after"], pl.DataFrame], ...] = (
            ("before", own.filter(known)),
            ("after", own.filter(~known)),
        )
        for part, rows in parts:
            ics = rows.drop_nulls("rank_ic")["rank_ic"].to_numpy()
            weights = rows["rows"].to_numpy().astype(np.float64)
            right = rows["accuracy"].to_numpy() * weights
            found.append(
                PartResult(
                    str(analyst), part, len(rows), int(weights.sum()),
                    *_ratio_with_interval(ics, np.ones(len(ics)), bootstrap),
                    *_ratio_with_interval(right, weights, bootstrap),
                )
            )  # fmt: skip
    return tuple(found)


def _ratio_with_interval(
    above: Floats, below: Floats, settings: BootstrapSettings
) -> tuple[float | None, Interval | None]:
    """Sum over sum of quarters' values, and its block-bootstrap interval; None without quarters enough."""
    if not len(above):
        return None, None
    value = float(above.sum() / below.sum())
    if len(above) < 2:
        return value, None
    counts = block_counts(len(above), settings)
    draws = (counts @ above) / (counts @ below)
    return value, percentile_interval(draws, settings.level, len(above) / settings.block_length(len(above)))


def _with_twin(
    found: LanguageSummary, tested: Tested, own: tuple[str, str, str], bootstrap: BootstrapSettings
) -> LanguageSummary:
    """With the same digester's digests of anonymised articles, where there are some, or of plain ones."""
    twin = twin_of(tested.tables.digests, own)
    if twin is None:
        return found
    plain, hidden = sorted((own, twin), key=lambda row: len(row[1]))
    realised = tested.cells(tested.panel.labels.of("PM"))
    sources = [_sources(tested, row) for row in (plain, hidden)]
    columns = []
    for name in COMPARED:
        one, other = (_rank_ics(tested.cells(column(source, catalogue()[name])), realised) for source in sources)
        both = np.isfinite(one) & np.isfinite(other)
        ones = np.ones(int(both.sum()))
        ics = [_ratio_with_interval(values[both], ones, bootstrap) for values in (one, other, other - one)]
        columns.append(TwinColumn(name, len(ones), ics[0][0], ics[1][0], *ics[2]))
    return replace(
        found,
        twin=f"{twin[0]}/{twin[1]}",
        scores=compare_scores(tested.tables.digests, plain, hidden),
        twin_columns=tuple(columns),
    )


def _sources(tested: Tested, row: tuple[str, str, str]) -> Sources:
    settings = tested.settings.model_copy(update={"digester": "/".join(row)})
    return sources_of(tested.tables, settings, tested.panel.dates)


def _rank_ics(values: Floats, realised: Floats) -> Floats:
    """(Q,) Spearman correlations across names of quarters; NaN with fewer than 3 names or without differences."""
    found = np.full(len(values), np.nan)
    for quarter, (one, other) in enumerate(zip(values, realised, strict=True)):
        both = np.isfinite(one) & np.isfinite(other)
        if both.sum() >= FEWEST_NAMES and np.ptp(one[both]) > 0 and np.ptp(other[both]) > 0:
            found[quarter] = stats.spearmanr(one[both], other[both]).statistic
    return found
