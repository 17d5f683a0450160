"""Parts of a run's record that sum up what was read, made and spent."""

import importlib.metadata
import platform
from collections.abc import Sequence

import numpy as np

from alfred.core.contracts import DIRECTION
from alfred.experiments.conditions import told
from alfred.experiments.prepared import Inputs
from alfred.experiments.record import DataSummary, Efficiency, LeftOut, PanelSummary
from alfred.experiments.study import Study
from alfred.experiments.walkforward import Fit
from alfred.panel.panel import Panel


def data_summary(inputs: Inputs, study: Study) -> DataSummary:
    """What was read, and of what the provider has nothing."""
    market = inputs.market
    empty = [name for name in ("open", "high", "low", "volume") if market.bars[name].null_count() == len(market.bars)]
    return DataSummary(
        provider=study.data.provider,
        note=f"{market.description.note} Market index: {market.index_name}.",
        versions=dict(market.view.versions),
        first=str(market.bars["date"].min()),
        last=str(market.bars["date"].max()),
        symbols=market.bars["symbol"].n_unique(),
        sessions=market.bars["date"].n_unique(),
        known_until=inputs.seen_until,
        missing=tuple(LeftOut(name, "the provider has none; features that need it are missing") for name in empty),
    )


def panel_summary(study: Study, panel: Panel, digest: str) -> PanelSummary:
    """Dates and columns, what is missing in them, and how labels came about."""
    missing = np.isnan(panel.values[panel.listed]).mean(axis=0)
    return PanelSummary(
        digest=digest,
        first=str(panel.dates[0]),
        last=str(panel.dates[-1]),
        dates=len(panel.dates),
        columns=panel.features,
        missing_share={name: float(share) for name, share in zip(panel.features, missing, strict=True)},
        left_out=tuple(LeftOut(name, reason) for name, reason in panel.left_out.items()),
        rows_without_label=int((panel.listed & np.isnan(panel.labels.of(DIRECTION))).sum()),
        labels=panel.labels.came_about(panel.listed),
        members=study.panel.members,
    )


def efficiency(fits: Sequence[Fit]) -> tuple[Efficiency, ...]:
    """What each analyst's fits cost together, in the order of the fits."""
    rows = []
    for name in dict.fromkeys(fit.analyst for fit in fits):
        records = [fit.record for fit in fits if fit.analyst == name]
        epochs = sum(len(record.epochs) for record in records)
        seconds = sum(record.seconds for record in records)
        rows.append(
            Efficiency(
                analyst=name,
                parameters=max(record.parameters for record in records),
                fits=len(records),
                seconds=seconds,
                seconds_per_epoch=seconds / epochs if epochs else None,
                samples_per_second=float(np.median([r.samples_per_second for r in records])) if epochs else None,
                median_best_epoch=float(np.median([r.best_epoch for r in records])) if epochs else None,
                median_seconds_to_best=_median([record.seconds_to_best for record in records]),
                peak_memory_mb=max(_told([record.peak_memory_mb for record in records]), default=None),
                energy_joules=_sum_of_all([record.energy_joules for record in records]),
            )
        )
    return tuple(rows)


def _told(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _median(values: Sequence[float | None]) -> float | None:
    return float(np.median(_told(values))) if _told(values) else None


def _sum_of_all(values: Sequence[float | None]) -> float | None:
    """A sum that lacks a part would be too small: None."""
    return sum(_told(values)) if values and None not in values else None


def execution(study: Study) -> str:
    """How orders were filled, in words."""
    lag = study.backtest.execution.lag_sessions
    after = "one session" if lag == 1 else f"{lag} sessions"
    when = "at the decision date's own close" if lag == 0 else f"at the close {after} after the decision"
    return f"filled {when}, {told(study.backtest)}, shares held until the next quarter"


def environment() -> dict[str, str]:
    """Versions of what computed."""
    packages = ("numpy", "polars", "torch", "deltalake", "exchange-calendars")
    versions = {name: importlib.metadata.version(name) for name in packages}
    return {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}", **versions}
