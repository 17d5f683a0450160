"""Columns of digested filings: how much a company's report differs from the one before, and how it sounds."""

from collections.abc import Callable

import numpy as np

from alfred.core.contracts import Floats
from alfred.panel.asof import DAY
from alfred.panel.catalogue import Feature
from alfred.panel.sources import Sources

TABLES = ("filing_sections", "digests")
REPORT = (
    "of the 10-K or 10-Q known last, by panel.filings_digester: mean over its sections that were digested (risk "
    "factors, management's discussion, market risk), weighted by their words"
)
BEFORE = "and the same section of the company's filing of the same form before, at most 500 days old"
KNOWN = (
    "from the filing's acceptance (known_at or publication, whichever is later), of which that of the filing before is "
    "earlier; after the close it counts for the next date"
)
NONE = "without a digested 10-K or 10-Q in the last fill_days.filings days"
NOTHING_BEFORE = f"{NONE}; where no section of it has an earlier one"
LAZY = "(Cohen, Malloy and Nguyen 2020, 'Lazy Prices')"


def _age(sources: Sources) -> Floats:
    """(D, S) days since the report known last became known; NaN where there is none or it is too old."""
    known = sources.reports.known
    last = sources.reports.latest(known)
    age = np.floor((sources.deadlines[:, None] - np.append(known, 0)[last]) / DAY)
    return np.where((last >= 0) & (age <= sources.fill_days.filings), age, np.nan)


def _of_last(column: str) -> Callable[[Sources], Floats]:
    def compute(sources: Sources) -> Floats:
        reports = sources.reports
        values = np.append(reports.number(column), np.nan)[reports.latest(reports.known)]
        return np.where(np.isfinite(_age(sources)), values, np.nan)

    return compute


def _events_outlook(sources: Sources) -> Floats:
    events = sources.events
    outlook = events.number("outlook")
    told = events.sums(np.isfinite(outlook))
    return events.sums(outlook) / np.where(told > 0, told, np.nan)


FEATURES = (
    Feature(
        "filing_similarity", f"cosine of the counts of words {LAZY} {REPORT}; compared are a section {BEFORE}",
        "from 0 to 1 (as before)", TABLES, KNOWN, NOTHING_BEFORE, "robust", _of_last("cosine"), delta="absolute",
    ),
    Feature(
        "filing_jaccard", f"words in both over words in either {LAZY} {REPORT}; compared are a section {BEFORE}",
        "from 0 to 1 (as before)", TABLES, KNOWN, NOTHING_BEFORE, "robust", _of_last("jaccard"), delta="absolute",
    ),
    Feature(
        "filing_tone_change", "mean tone of sentences that are new less that of those that are gone, by the lexicon's "
        f"words, {REPORT}; compared are a section {BEFORE}", "score from -2 to 2", TABLES, KNOWN, NOTHING_BEFORE,
        "standard", _of_last("tone_change"),
    ),
    Feature(
        "filing_outlook", f"outlook {REPORT}", "score from -1 (bearish) to 1 (bullish)", TABLES, KNOWN, NONE,
        "standard", _of_last("outlook"), delta="absolute",
    ),
    Feature(
        "days_since_digested_filing", "whole days from when the digested 10-K or 10-Q known last became known to the "
        "decision date's close", "calendar days", TABLES, KNOWN, NONE, "standard", _age, delta="absolute",
    ),
    Feature(
        "event_outlook", "mean outlook of the items of 8-Ks, by panel.filings_digester, that became known in the "
        "quarter (after the decision date before, up to this one's close)", "score from -1 (bearish) to 1 (bullish)",
        TABLES, KNOWN, "in a quarter without a digested item of an 8-K", "standard", _events_outlook, delta="absolute",
    ),
)  # fmt: skip
