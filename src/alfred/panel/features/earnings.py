"""Columns of announced earnings: what the last quarter brought a share, beside what was expected."""

import numpy as np

from alfred.core.contracts import Bools, Floats
from alfred.panel.asof import split_ratios
from alfred.panel.catalogue import Feature
from alfred.panel.sources import Sources

TABLES = ("earnings", "actions")
KNOWN = (
    "from the announcement's known_at: the open of the session after its day, or earlier where the source knows the "
    "hour; a later vintage counts as a whole from its own"
)
NONE = "before a first announcement is known, and more than fill_days.earnings days after the latest"
BASIS = "on the share basis of the decision date"


def _age(sources: Sources) -> Floats:
    """(D, S) days since the latest known announcement; NaN where there is none or it is too old."""
    age = sources.dates[:, None] - sources.earnings.day("announced")
    days = np.where(np.isnat(age), np.nan, age.astype("timedelta64[D]").astype(np.float64))
    return np.where(days <= sources.fill_days.earnings, days, np.nan)


def _fresh(sources: Sources) -> Bools:
    return np.isfinite(_age(sources))


def _value(sources: Sources, column: str) -> Floats:
    """(D, S) a number of the latest known quarter, as its row gives it."""
    return np.where(_fresh(sources), sources.earnings.number(column), np.nan)


def _rebased(sources: Sources, values: Floats) -> Floats:
    """USD a share of the announcement's day as USD a share of the decision date."""
    announced = sources.earnings.day("announced")
    return values / split_ratios(sources.tables.actions, sources.symbols, announced, sources.dates)


def _surprise_as_announced(sources: Sources) -> Floats:
    reported, estimated = _value(sources, "reported_eps"), _value(sources, "estimated_eps")
    told = _value(sources, "surprise")
    # Some sources tell a surprise of 0 where there is no estimate to be surprised by.
    return np.where(np.isnan(estimated), np.nan, np.where(np.isnan(told), reported - estimated, told))


def _reported(sources: Sources) -> Floats:
    return _rebased(sources, _value(sources, "reported_eps"))


def _estimated(sources: Sources) -> Floats:
    return _rebased(sources, _value(sources, "estimated_eps"))


def _surprise(sources: Sources) -> Floats:
    return _rebased(sources, _surprise_as_announced(sources))


def _surprise_percentage(sources: Sources) -> Floats:
    estimated = _value(sources, "estimated_eps")
    told = _value(sources, "surprise_pct")
    base = np.where(estimated == 0, np.nan, np.abs(estimated))
    with np.errstate(over="ignore"):
        share = 100 * _surprise_as_announced(sources) / base
    share = np.where(np.isnan(told), share, told)
    return np.where(np.isfinite(base) & np.isfinite(share), share, np.nan)


FEATURES = (
    Feature(
        "reportedEPS", f"earnings a share of the latest quarter announced, {BASIS}", "USD a share", TABLES, KNOWN,
        f"{NONE}; where the vintage known last has no number", "signed-log", _reported, delta="absolute",
        share_basis="per-share",
    ),
    Feature(
        "estimatedEPS", f"estimate of reportedEPS before the announcement, {BASIS}", "USD a share", TABLES, KNOWN,
        f"{NONE}; where nobody estimates the company", "signed-log", _estimated, delta="absolute",
        share_basis="per-share",
    ),
    Feature(
        "surprise", f"as the source tells it, otherwise reportedEPS - estimatedEPS, {BASIS}", "USD a share", TABLES,
        KNOWN, f"{NONE}; without an estimate, whatever the source tells", "signed-log", _surprise, delta="absolute",
        share_basis="per-share",
    ),
    Feature(
        "surprisePercentage", "as the source tells it, otherwise 100 * surprise / |estimatedEPS|", "per cent",
        ("earnings",), KNOWN, f"{NONE}; without an estimate, and where it is 0", "signed-log", _surprise_percentage,
        delta="absolute",
    ),
    Feature(
        "days_since_report", "decision date less the day of the latest announcement; where the source has no day, "
        "the day on which the report first became known", "calendar days", ("earnings",), KNOWN, NONE, "standard",
        _age, delta="absolute",
    ),
)  # fmt: skip
