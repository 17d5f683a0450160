"""Which sector each name is in: as a decision may know it, and as one who looks back may tell it.

Sources group companies in ways of their own, so the sectors of one study are all of one source: the one that knows the
most of its names, on a tie the provider of the prices, then the first by name. Which that is for decisions is settled
by what was known at the first of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from alfred.core.calendar import Dates, close_instants
from alfred.core.contracts import Bars, Bools
from alfred.core.errors import ConfigError

NAMED = 10
"""Most names that an error lists."""


@dataclass(frozen=True)
class Sectors:
    """Sectors of S names, or of S names in each of K periods.

    Attributes:
        source: who told them.
        names: of the sectors, in alphabetical order.
        number: (S,) or (K, S) position in `names`, -1 where it is not known.
        later: of the same shape; whether it became known only after the instant that it is told for.
    """

    source: str
    names: tuple[str, ...]
    number: NDArray[np.int64]
    later: Bools


@dataclass(frozen=True)
class SectorSummary:
    """What an attribution knew of sectors.

    Attributes:
        source: who told them.
        sectors: that the names are in, in alphabetical order.
        names: that were traded.
        unknown: how many of them have no sector; they are one group of their own.
        later: how many were told by a sector that became known only after a period in which it counts had begun.
    """

    source: str
    sectors: tuple[str, ...]
    names: int
    unknown: int
    later: int


def first_decisions(bars: Bars, decisions: Dates) -> Dates:
    """(S,) the first decision date by whose close each name has had a price, NaT where it never has.

    Args:
        bars: (T, S) prices.
        decisions: (D,) dates, ascending.
    """
    quoted = np.isfinite(bars.total)
    since = np.where(quoted.any(axis=0), bars.dates[quoted.argmax(axis=0)], np.datetime64("NaT"))
    place = np.searchsorted(decisions, since)  # NaT comes last
    dates = np.append(decisions.astype("datetime64[D]"), np.datetime64("NaT"))
    found: Dates = dates[np.minimum(place, len(decisions))]
    return found


def for_decisions(rows: pl.DataFrame, symbols: Sequence[str], first: Dates, own: str) -> Sectors:
    """One sector a name, the one that was known at its first decision; what is told of it later moves nothing.

    Args:
        rows: of `Market.sectors`.
        symbols: S names.
        first: (S,) date of the first decision about each, NaT where there is none.
        own: provider of the prices.

    Raises:
        ConfigError: of a name that is decided about no sector was known by then.
    """
    if rows.is_empty():
        raise ConfigError(
            "sector_max needs sectors, and the lake knows none of these names; bring a file of sectors that says since "
            "when each was known (docs/data.md), or leave sector_max out."
        )
    decided = np.flatnonzero(~np.isnat(first))
    closes = _closes(first[decided])
    chosen = _source(_known_by(rows, closes.min()), symbols, own) if len(decided) else ""
    told, sector = _spells(rows, chosen), dict[int, str]()
    for at, close in zip(decided.tolist(), closes, strict=True):
        known, sectors = told.get(symbols[at], _NOTHING)
        last = int(np.searchsorted(known, close, side="right")) - 1
        if last >= 0:
            sector[at] = sectors[last]
    absent = [symbols[at] for at in decided.tolist() if at not in sector]
    if absent:
        some = ", ".join(absent[:NAMED]) + (f" and {len(absent) - NAMED:,} more" if len(absent) > NAMED else "")
        raise ConfigError(
            f"sector_max needs the sector of every name by the first decision about it, and of {len(absent):,} of "
            f"{len(decided):,} names none was known by then: {some}. Bring a file of sectors that says since when each "
            "was known (docs/data.md), leave these names out, or leave sector_max out."
        )
    names = tuple(sorted({*sector.values()}))
    number = np.array([names.index(sector[at]) if at in sector else -1 for at in range(len(symbols))], np.int64)
    return Sectors(chosen, names, number, np.zeros(len(symbols), np.bool_))


def looking_back(rows: pl.DataFrame, symbols: Sequence[str], starts: Dates, own: str) -> Sectors | None:
    """The sector of each name in each period; None where no name has one.

    It is the one known last when the period began, or else the one that became known first after that.

    Args:
        rows: of `Market.sectors` in hindsight.
        symbols: S names.
        starts: (K,) sessions on which periods begin, at the close.
        own: provider of the prices.
    """
    chosen = _source(rows, symbols, own)
    if not chosen:
        return None
    told, closes = _spells(rows, chosen), _closes(starts)
    names = _names({name: told[name] for name in symbols if name in told})
    number, later = np.full((len(starts), len(symbols)), -1), np.zeros((len(starts), len(symbols)), np.bool_)
    for at, symbol in enumerate(symbols):
        known, sectors = told.get(symbol, _NOTHING)
        if sectors:
            last = np.searchsorted(known, closes, side="right") - 1
            own_numbers = np.array([names.index(sector) for sector in sectors])
            number[:, at], later[:, at] = own_numbers[np.maximum(last, 0)], last < 0
    return Sectors(chosen, names, number, later)


def summary_of(found: Sectors, held: Bools) -> SectorSummary:
    """What is said of sectors; `held` (K, S) is where a name could be held in a period."""
    counted = held.any(axis=0)
    return SectorSummary(
        source=found.source,
        sectors=found.names,
        names=int(counted.sum()),
        unknown=int((counted & (found.number < 0).all(axis=0)).sum()),
        later=int((found.later & held).any(axis=0).sum()),
    )


_Spells = tuple[NDArray[Any], list[str]]
_NOTHING: _Spells = (np.array([], "datetime64[us]"), [])


def _closes(dates: Dates) -> NDArray[Any]:
    return close_instants(dates).astype("datetime64[us]")


def _known_by(rows: pl.DataFrame, instant: np.datetime64) -> pl.DataFrame:
    return rows.filter(pl.Series(rows["known_at"].dt.replace_time_zone(None).to_numpy() <= instant))


def _source(rows: pl.DataFrame, symbols: Sequence[str], own: str) -> str:
    """Whose sectors count, empty where nobody knows any."""
    known = rows.filter(pl.col("symbol").is_in(list(symbols))).group_by("source").agg(pl.col("symbol").n_unique())
    ranked = sorted(known.iter_rows(), key=lambda row: (-row[1], row[0] != own, row[0]))
    return str(ranked[0][0]) if ranked else ""


def _spells(rows: pl.DataFrame, source: str) -> dict[str, _Spells]:
    """By symbol, instants at which one source told a sector, ascending, and the sectors."""
    mine = rows.filter(pl.col("source") == source).sort("symbol", "known_at")
    return {
        str(symbol): (part["known_at"].dt.replace_time_zone(None).to_numpy(), part["sector"].to_list())
        for (symbol,), part in mine.group_by("symbol", maintain_order=True)
    }


def _names(told: dict[str, _Spells]) -> tuple[str, ...]:
    return tuple(sorted({sector for _, sectors in told.values() for sector in sectors}))
