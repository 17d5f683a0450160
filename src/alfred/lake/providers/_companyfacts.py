"""The SEC's companyfacts document as vintages of our concepts.

Only `start`, `end`, `val`, `filed`, `form` and `accn` of an entry are used. Its `fy`, `fp` and `frame` describe the
filing that brought the value, not the value: a comparative of 2019 in the report for 2021 says 2021.

What was filed on a date has no time of day in this document and is usable from the next session. Of each concept and
period only the filings that change the value then known are kept, so the value known at an instant is that of the
latest vintage with `known_at` not after it.
"""

import datetime as dt
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from alfred.core.errors import DataError
from alfred.lake.contracts import Rejected
from alfred.lake.known import known_next_sessions
from alfred.lake.providers._concepts import CONCEPTS, Concept
from alfred.lake.tables import table

QUARTER_DAYS, YEAR_DAYS = range(80, 101), range(350, 381)
DAYS_IN_A_MONTH = 30.4


@dataclass(frozen=True)
class Filed:
    """One value of a concept as a filing gave it; `group` and `place` are its tag's rank in the concept's list."""

    group: int
    place: int
    tag: str
    value: float
    unit: str
    start: dt.date | None
    end: dt.date
    filed: dt.date
    form: str
    accession: str

    @property
    def period_kind(self) -> str | None:
        """From the dates alone, both counted: a quarter has 80 to 100 days, a year 350 to 380, a year to date any
        number between; None for what is shorter than a quarter or longer than a year."""
        if self.start is None:
            return "instant"
        days = (self.end - self.start).days + 1
        if days in QUARTER_DAYS:
            return "quarter"
        if days in YEAR_DAYS:
            return "year"
        return "ytd" if QUARTER_DAYS.stop <= days < YEAR_DAYS.start else None

    @property
    def closeness(self) -> tuple[int, int]:
        """How near the value is to what its key means; greater is nearer. What is less near never replaces another.

        Nearer is the better group of tags; among years to date with one end the longer, which began with the year.
        """
        months = round((self.end - self.start).days / DAYS_IN_A_MONTH) if self.start is not None else 0
        return -self.group, months if self.period_kind == "ytd" else 0

    @property
    def precedence(self) -> tuple[tuple[int, int], dt.date, int, bool, str]:
        """Which of several values that become usable at one instant counts: the greatest.

        Closeness, then the later filing date, then the tag's place, then an amendment, then the accession number.
        """
        return self.closeness, self.filed, -self.place, self.form.endswith("/A"), self.accession


@dataclass
class _Refused:
    """Counts refused values by reason, with the first of each, so that a document yields sentences, not thousands."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    first: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, where: str, reason: str, entry: object) -> None:
        self.counts[where, reason] += 1
        self.first.setdefault((where, reason), json.dumps(entry, default=str)[:500])

    def rejected(self) -> tuple[Rejected, ...]:
        return tuple(
            Rejected(where, f"{reason}; {count:,} in all, this is the first", self.first[where, reason])
            for (where, reason), count in self.counts.items()
        )


def parse_companyfacts(
    document: Any, symbol: str, source: str, since: dt.date | None = None, until: dt.date | None = None
) -> tuple[pl.DataFrame, tuple[Rejected, ...]]:
    """Rows of the table `facts`.

    Args:
        document: the parsed JSON.
        symbol: what the rows are to be called; the document itself only has the company's number.
        source: what the rows say they come from.
        since: earliest period end wanted; all vintages of a wanted period are kept.
        until: latest filing date wanted.

    Returns:
        Rows in the table's columns, and what was refused: values without a usable number or date, of periods that are
        neither quarter, year nor year to date, in a second unit, or contradicting another of the same tag and day.

    Raises:
        DataError: the document is no companyfacts document.
    """
    if not isinstance(document, dict) or not isinstance(document.get("facts"), dict):
        raise DataError(f"the companyfacts of {symbol} have no member 'facts'; this is not the document asked for.")
    refused, rows = _Refused(), []
    for concept in CONCEPTS:
        values = _one_unit(concept, tuple(_read(document["facts"], concept, refused)), refused)
        wanted = [value for value in values if until is None or value.filed <= until]
        usable = usable_from({value.filed for value in wanted})
        periods = defaultdict(list)
        for value in wanted:
            if since is None or value.end >= since:
                periods[value.end, value.period_kind].append(value)
        for (end, kind), period in sorted(periods.items()):
            for value in vintages(period, usable):
                known_at = usable[value.filed]
                told = (value.value, value.unit, value.form, value.accession, source)
                rows.append((symbol, concept.name, end, kind, known_at, *told))
            for value in contradicted(period):
                where = f"companyfacts {symbol} {value.tag}"
                refused.add(where, "another value of the same tag, period and filing day was kept", vars(value))
    columns = ("symbol", "concept", "period_end", "period_kind", "known_at", "value", "unit", "form", "accession")
    schema = {name: table("facts").schema[name] for name in (*columns, "source")}
    return pl.DataFrame(rows, schema=schema, orient="row"), refused.rejected()


def usable_from(filed: Iterable[dt.date]) -> dict[dt.date, dt.datetime]:
    """Filing date to the instant from which the filing may be used."""
    dates = sorted(filed)
    return dict(zip(dates, known_next_sessions(pl.Series(dates, dtype=pl.Date)).to_list(), strict=True))


def vintages(values: Sequence[Filed], usable: Mapping[dt.date, dt.datetime]) -> Iterator[Filed]:
    """The filings that changed the known value of one concept and period, in time."""
    by_instant = defaultdict(list)
    for value in values:
        by_instant[usable[value.filed]].append(value)
    known: Filed | None = None
    for _, candidates in sorted(by_instant.items()):
        best = max(candidates, key=lambda candidate: candidate.precedence)
        if known is not None and best.closeness < known.closeness:
            continue
        if known is None or (best.value, best.unit) != (known.value, known.unit):
            yield best
        known = best


def contradicted(values: Sequence[Filed]) -> Iterator[Filed]:
    """Of one concept and period, values beside which the same tag has another that takes precedence on that day."""
    by_tag_and_day = defaultdict(list)
    for value in values:
        by_tag_and_day[value.tag, value.filed, value.closeness].append(value)
    for same in by_tag_and_day.values():
        best = max(same, key=lambda candidate: candidate.precedence)
        yield from (value for value in same if value.value != best.value)


def _read(facts: Mapping[str, Any], concept: Concept, refused: _Refused) -> Iterator[Filed]:
    for group, tags in enumerate(concept.groups):
        for place, tag in enumerate(tags):
            taxonomy, _, name = tag.rpartition(":")
            units = facts.get(taxonomy or "us-gaap", {}).get(name, {}).get("units", {})
            for unit, entries in units.items():
                for entry in entries:
                    value = _value(entry, group, place, tag, unit)
                    problem = value if isinstance(value, str) else _problem(value, concept)
                    if problem:
                        refused.add(f"companyfacts {tag} in {unit}", problem, entry)
                    elif isinstance(value, Filed):
                        yield value


def _value(entry: Mapping[str, Any], group: int, place: int, tag: str, unit: str) -> Filed | str:
    """The entry, or what is wrong with it."""
    number = entry.get("val")
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        return "no number in 'val'"
    try:
        start = dt.date.fromisoformat(entry["start"]) if entry.get("start") else None
        end, filed = dt.date.fromisoformat(entry["end"]), dt.date.fromisoformat(entry["filed"])
    except (KeyError, TypeError, ValueError):
        return "no usable date in 'start', 'end' or 'filed'"
    form, accession = str(entry.get("form") or ""), str(entry.get("accn") or "")
    return Filed(group, place, tag, float(number), unit, start, end, filed, form, accession)


def _problem(value: Filed, concept: Concept) -> str:
    if (value.start is None) != (concept.shape == "instant"):
        return f"a value with{'out' if value.start is None else ''} a start date for the {concept.shape} {concept.name}"
    if value.period_kind is None:
        return "a period that is neither quarter, year nor year to date"
    return "filed before its period ended" if value.filed < value.end else ""


def _one_unit(concept: Concept, values: Sequence[Filed], refused: _Refused) -> Iterator[Filed]:
    """Of a tag's several units in one filing, the one with most values there; on a tie the expected, then by name.

    A company that reports in another currency gives all its comparatives in that, and dollars for the last year only.
    """
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for value in values:
        counts[value.tag, value.accession][value.unit] += 1
    chosen = {
        filing: min(units, key=lambda unit: (-units[unit], unit != concept.unit, unit))
        for filing, units in counts.items()
    }
    for value in values:
        if value.unit == chosen[value.tag, value.accession]:
            yield value
        else:
            other = chosen[value.tag, value.accession]
            refused.add(f"companyfacts {value.tag} in {value.unit}", f"the filing's {other} was kept", vars(value))
