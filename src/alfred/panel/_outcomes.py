"""What became of a share between two decision dates: traded on, renamed, delisted, or lost from sight."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from alfred.core.calendar import Dates, close_instants
from alfred.core.contracts import Bools, Floats
from alfred.panel.history import BarHistory
from alfred.panel.splits import Splits

ORIGINS = (
    "not listed", "traded", "renamed", "delisting return", "window passes the end of the data",
    "price stopped without a known action", "renamed to a ticker without prices",
)  # fmt: skip
"""How a label came about, or why there is none; the defaults for delistings follow after these."""
NOT_LISTED, TRADED, RENAMED, DELISTED, UNREALISED, STOPPED, NO_SUCCESSOR = range(len(ORIGINS))

SAME_EVENT = np.timedelta64(10, "D")
"""Sources that list a renamed ticker as delisted too date it within this span around the rename."""
CASH, NO_TICKER = -2, -1
DAY = np.timedelta64(1, "D")

DefaultReturn = Callable[[str], tuple[float, int]]
"""From the reason of a delisting whose return is not known, the return to take and the position of its origin."""


@dataclass(frozen=True)
class Event:
    """The end of a ticker.

    Attributes:
        quarter: position of the first decision date on which it had happened and was known.
        day: of the action.
        symbol: position of the ticker.
        successor: position of the new ticker, `NO_TICKER` where it has no bars, `CASH` for a delisting.
        proceeds: return from the last close to what a delisting paid.
        origin: of labels that end with it.
    """

    quarter: int
    day: np.datetime64
    symbol: int
    successor: int
    proceeds: float = 0.0
    origin: int = RENAMED


@dataclass(frozen=True)
class Outcome:
    """What a share came to over the horizon.

    Attributes:
        close, total: (D, S) growth of the close, and of the close with dividends reinvested; NaN where not known.
        origin: (D, S) how; positions in `ORIGINS`, or beyond for defaults.
    """

    close: Floats
    total: Floats
    origin: NDArray[np.int8]


@dataclass(frozen=True)
class Tape:
    """Closes of all bars and when each was known: (N,), symbol after symbol; `starts` has the end, too."""

    starts: NDArray[np.int64]
    session: Dates
    known: NDArray[np.int64]
    close: Floats
    total: Floats

    @classmethod
    def of(cls, history: BarHistory, bars: pl.DataFrame) -> "Tape":
        """Arrange the rows that a history was made of; without a column adj_close, no total return is known."""
        return cls(
            starts=np.append(history.starts, len(bars)),
            session=bars["date"].to_numpy().astype("datetime64[D]"),
            known=bars["known_at"].dt.epoch("us").to_numpy(),
            close=_numbers(bars["close"]),
            total=_numbers(bars["adj_close"]) if "adj_close" in bars.columns else np.full(len(bars), np.nan),
        )

    def last(self, symbol: int, until: np.datetime64, deadline: int) -> int:
        """Position of the symbol's last bar up to a day, of those known by the deadline; -1 where there is none."""
        start, stop = self.starts[symbol], self.starts[symbol + 1]
        stop = start + np.searchsorted(self.session[start:stop], until, side="right")
        # As in `BarHistory`: a bar that became known late hides those after it.
        known = np.maximum.accumulate(self.known[start:stop])
        position = start + np.searchsorted(known, deadline, side="right") - 1
        return int(position) if position >= start else -1

    def first(self, symbol: int, since: np.datetime64, deadline: int) -> int:
        """Position of the symbol's first bar from a day on; -1 where none was known by the deadline."""
        start, stop = self.starts[symbol], self.starts[symbol + 1]
        position = start + np.searchsorted(self.session[start:stop], since, side="left")
        return int(position) if position < stop and self.known[position] <= deadline else -1


def deadlines(history: BarHistory) -> NDArray[np.int64]:
    """(D,) close of each decision date, in microseconds since 1970 UTC."""
    return close_instants(history.dates).astype("datetime64[us]").astype(np.int64)


def ticker_ends(actions: pl.DataFrame, history: BarHistory, default: DefaultReturn) -> list[Event]:
    """Delistings and renames of the history's symbols, in the order in which they took effect.

    Where sources tell of a delisting more than once, the row that knows its return counts. A delisting beside a
    rename of the same ticker is that rename: some lists of delisted tickers hold the renamed ones.
    """
    place = {symbol: at for at, symbol in enumerate(history.symbols)}
    kinds = pl.col("kind").is_in(["delisting", "rename"])
    rows = actions.filter(kinds, pl.col("symbol").cast(pl.String).is_in(list(history.symbols)))
    happened = np.searchsorted(history.dates, rows["date"].to_numpy().astype("datetime64[D]"))
    known = np.searchsorted(deadlines(history), rows["known_at"].dt.epoch("us").to_numpy())
    rows = rows.with_columns(pl.Series("quarter", np.maximum(happened, known).astype(np.int64)))
    rows = rows.filter(pl.col("quarter") < len(history.dates)).sort(
        "symbol", "quarter", pl.col("delisting_return").is_null(), "date", "reason", "new_symbol", "source"
    )
    renames = rows.filter(pl.col("kind") == "rename", pl.col("new_symbol").is_not_null())
    events = [
        Event(quarter, np.datetime64(day, "D"), place[symbol], place.get(successor, NO_TICKER))
        for symbol, day, quarter, successor in _one_each(renames, "new_symbol")
    ]
    moved: dict[int, list[Event]] = {}
    for event in events:
        moved.setdefault(event.symbol, []).append(event)
    delistings = _one_each(rows.filter(pl.col("kind") == "delisting"), "delisting_return", "reason")
    for symbol, day, quarter, value, reason in delistings:
        at, on = place[symbol], np.datetime64(day, "D")
        if any(abs(rename.day - on) <= SAME_EVENT and rename.quarter <= quarter for rename in moved.get(at, ())):
            continue
        proceeds, origin = default(reason or "") if value is None or np.isnan(value) else (value, DELISTED)
        events.append(Event(quarter, on, at, CASH, proceeds, origin))
    return sorted(events, key=lambda event: (event.quarter, event.day, event.symbol))


def given_up(shape: tuple[int, ...], events: Sequence[Event]) -> Bools:
    """(D, S) whether it was known that the ticker had ended.

    A ticker lives again from the date on which another company is known to have been renamed to it.
    """
    ended = np.zeros(shape, np.bool_)
    for event in events:
        ended[event.quarter :, event.symbol] = True
        if event.successor >= 0:
            ended[event.quarter :, event.successor] = False
    return ended


def follow(history: BarHistory, tape: Tape, events: Sequence[Event], splits: Splits, horizon: int) -> Outcome:
    """Follow a share of every name on every date through the events of its window to the window's end.

    Each ticker's quotes are adjusted for its own splits, so a share that was renamed became as many as the new ticker's
    splits since make of it.
    """
    shape, when = history.ends.shape, deadlines(history)
    base = history.ends.astype(np.int64)
    holder = np.tile(np.arange(shape[1]), (shape[0], 1))
    close, total = np.full(shape, np.nan), np.full(shape, np.nan)
    shares, basis = np.ones(shape), np.ones(shape)
    origin = np.full(shape, TRADED, np.int8)
    for event in events:
        window = slice(max(event.quarter - horizon, 0), event.quarter)
        held = holder[window] == event.symbol
        holder[window][held] = event.successor
        origin[window][held] = NO_SUCCESSOR if event.successor == NO_TICKER else event.origin
        deadline = int(when[event.quarter])
        if event.successor == CASH:
            last = tape.last(event.symbol, event.day, deadline)
            if last >= 0:
                value = (1 + event.proceeds) * shares[window][held]
                close[window][held] = tape.close[last] * value
                total[window][held] = tape.total[last] * value * basis[window][held]
                # A date that did not know it yet may have seen a quote that went on after it.
                base[window, event.symbol] = np.minimum(base[window, event.symbol], last)
        elif event.successor >= 0:
            before = tape.last(event.symbol, event.day - DAY, deadline)
            own = (splits.symbol == event.successor) & (splits.day >= event.day)
            shares[window][held] *= splits.ratio[own].prod()
            basis[window][held] *= _one_basis(tape, before, tape.first(event.successor, event.day, deadline))
    realised = max(shape[0] - horizon, 0)
    to = history.ends[horizon:][np.arange(realised)[:, None], np.maximum(holder[:realised], 0)]
    quoted = (holder[:realised] >= 0) & (to >= 0)
    close[:realised][quoted] = tape.close[to[quoted]] * shares[:realised][quoted]
    total[:realised][quoted] = tape.total[to[quoted]] * (shares * basis)[:realised][quoted]
    close[realised:] = total[realised:] = np.nan
    there = (base >= 0) & ~given_up(shape, events)
    close, total = _growth(close, tape.close, base, there), _growth(total, tape.total, base, there)
    origin[np.isnan(close) & (origin != NO_SUCCESSOR)] = STOPPED
    origin[realised:] = UNREALISED
    origin[~there] = NOT_LISTED
    return Outcome(close, total, origin)


def _one_each(rows: pl.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    one = rows.unique(["symbol", "quarter"], keep="first", maintain_order=True)
    return one.select("symbol", "date", "quarter", *columns).rows()


def _one_basis(tape: Tape, last: int, first: int) -> float:
    """Factor that puts the new ticker's adj_close on the dividend basis of the old one's; sources adjust each alone."""
    if last < 0 or first < 0:
        return np.nan
    return float(tape.total[last] / tape.close[last] * tape.close[first] / tape.total[first])


def _growth(end: Floats, column: Floats, base: NDArray[np.int64], there: Bools) -> Floats:
    """(D, S) `end` over the value of `column` at `base`."""
    begin = np.where(there, column[np.where(there, base, 0)], np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        growth = end / begin
    return np.where(np.isfinite(growth), growth, np.nan)


def _numbers(column: pl.Series) -> Floats:
    return column.cast(pl.Float64).to_numpy()
