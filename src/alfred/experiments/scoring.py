"""What became of a recommendation, to the cent: splits, dividends, delistings and renames on the way.

The account of a recommendation is taken to fill its orders at the close `fill_lag_sessions` after its decision date, at
the costs that were estimated with it, and to hold until the close of the decision date that ends its quarter. Cash
earns nothing. Beside it stand 1/N of the names that might be held, bought at the same closes at the costs estimated for
that, and the index, which costs nothing.

Prices in the lake are divided by every split since, and so are dividends; both are put back to what was quoted on their
day. Shares are counted as they were then: a split multiplies them, a dividend is paid on them as of its ex-date, a
delisting pays the last price and the delisting's return, a rename turns them into shares of the new ticker.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from alfred.backtest.settings import FrictionSettings
from alfred.core.calendar import Dates, close_instants, sessions_between
from alfred.core.contracts import MAGNITUDE, TOTAL, Floats
from alfred.core.digest import digest_of
from alfred.core.errors import DataError
from alfred.core.home import Home
from alfred.experiments.counting import TESTED
from alfred.experiments.managed_trials import SUBJECT
from alfred.experiments.market import read_market
from alfred.experiments.recommendations import Entry
from alfred.experiments.study import DataSettings
from alfred.experiments.tracking import tracking
from alfred.experiments.trials import Trial, TrialLedger
from alfred.experiments.vault import vault_of
from alfred.lake.store import Lake
from alfred.manager.judgement import BENCHMARK, CASH
from alfred.manager.recommendation import Line

UNKNOWN_DELISTING = FrictionSettings().delisting_return
"""From the last price to what holders got, where it is not known, as the backtest takes it."""
KINDS = ("split", "dividend", "delisting", "rename")
"""In the order in which they count on one day."""
SAME_EVENT = np.timedelta64(10, "D")
"""Sources that list a renamed ticker as delisted too date it within this span around the rename."""
DAYS_TO_FILL = np.timedelta64(120, "D")

State = Literal["scored", "open", "sealed", "no prices"]


class Action(NamedTuple):
    """A split (`value` is new shares for one), dividend (dollars), delisting (return, NaN not known) or rename."""

    day: np.datetime64
    kind: str
    value: float
    heir: str = ""


@dataclass(frozen=True)
class Quotes:
    """One ticker: sessions, split-adjusted closes, and what happened to its shares, all by date."""

    dates: Dates
    close: Floats
    actions: tuple[Action, ...]

    def later(self, day: np.datetime64) -> float:
        """What one share of the close of a day became by the splits after it."""
        return float(np.prod([one.value for one in self.actions if one.kind == "split" and one.day > day]))

    def price(self, day: np.datetime64) -> float:
        """Last close up to a day, on that day's share basis; NaN where there is none."""
        at = int(np.searchsorted(self.dates, day, side="right")) - 1
        return float(self.close[at]) * self.later(day) if at >= 0 else float("nan")

    def worth(self, shares: float, day: np.datetime64) -> float:
        """Value of shares at the close of a day; nothing is worth nothing, whether or not there is a price."""
        return shares * self.price(day) if shares else 0.0

    def became_another(self, day: np.datetime64) -> bool:
        """Whether the ticker was renamed about then, which some sources take for a delisting."""
        return any(one.kind == "rename" and one.heir and abs(one.day - day) <= SAME_EVENT for one in self.actions)

    def quoted(self, day: np.datetime64) -> bool:
        """Whether there is a close on that very day."""
        return bool(np.isin(day, self.dates))


class Path(NamedTuple):
    """What a holding came to: its value, and the dollars it paid on the way."""

    value: float
    dividends: float
    proceeds: float
    symbol: str
    shares: float
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Tape:
    """Everything that a score needs.

    Attributes:
        quotes: by symbol.
        index_dates, index_level: of the index.
        index_name: its series.
    """

    quotes: Mapping[str, Quotes]
    index_dates: Dates
    index_level: Floats
    index_name: str = ""

    @classmethod
    def of(cls, bars: pl.DataFrame, actions: pl.DataFrame, index: pl.DataFrame, index_name: str = "") -> "Tape":
        """From rows of the lake's tables `bars` and `actions`, and the columns date and value of an index."""
        told: dict[str, list[Action]] = {}
        # Of two sources that tell of one event, the one that knows its value counts.
        value = pl.coalesce("ratio", "amount", "delisting_return").fill_nan(None)
        rows = actions.filter(pl.col("kind").is_in(KINDS)).with_columns(value.alias("value"))
        rows = rows.sort("symbol", "date", "kind", pl.col("value").is_null(), "source")
        rows = rows.unique(["symbol", "date", "kind"], keep="first", maintain_order=True)
        for symbol, day, kind, known, heir in rows.select("symbol", "date", "kind", "value", "new_symbol").rows():
            number = float("nan") if known is None else float(known)
            if kind in {"split", "dividend"} and not number > 0.0:
                continue
            told.setdefault(str(symbol), []).append(Action(np.datetime64(day, "D"), kind, number, heir or ""))
        quotes = {}
        for (symbol,), frame in bars.drop_nulls("close").sort("date").group_by("symbol", maintain_order=True):
            happened = sorted(told.get(str(symbol), []), key=lambda one: (one.day, KINDS.index(one.kind)))
            dates = frame["date"].to_numpy().astype("datetime64[D]")
            quotes[str(symbol)] = Quotes(dates, frame["close"].to_numpy(), tuple(happened))
        levels = index.sort("date")
        return cls(quotes, levels["date"].to_numpy().astype("datetime64[D]"), levels["value"].to_numpy(), index_name)

    def hold(self, symbol: str, shares: float, start: np.datetime64, end: np.datetime64) -> Path:
        """Hold shares, counted at the close of `start`, to the close of `end`.

        Raises:
            DataError: there is no price.
        """
        dividends = proceeds = 0.0
        remarks: list[str] = []
        day, names = start, {symbol}
        while True:
            own = self._of(symbol)
            heir = ""
            for one in own.actions:
                if not day < one.day <= end or shares == 0.0:
                    continue
                if one.kind == "split":
                    shares *= one.value
                elif one.kind == "dividend":
                    dividends += shares * one.value * own.later(one.day)
                elif one.kind == "delisting" and not own.became_another(one.day):
                    lost = UNKNOWN_DELISTING if np.isnan(one.value) else one.value
                    proceeds += shares * own.price(one.day) * (1.0 + lost)
                    shares = 0.0
                    known = "" if not np.isnan(one.value) else ", which is assumed"
                    remarks.append(f"{symbol} was delisted on {one.day} at {lost:+.0%} of its last price{known}")
                elif one.kind == "rename" and one.heir in self.quotes and one.heir not in names:
                    heir, day = one.heir, one.day - np.timedelta64(1, "D")
                    remarks.append(f"{symbol} was renamed to {heir} on {one.day}")
                    break
            if not heir:
                break
            symbol = heir
            names.add(heir)
        last = own.dates[int(np.searchsorted(own.dates, end, side="right")) - 1]
        if shares != 0.0 and last < end:
            remarks.append(f"{symbol} was last quoted on {last}, whose price is taken")
        return Path(own.worth(shares, end), dividends, proceeds, symbol, shares, tuple(remarks))

    @property
    def last(self) -> np.datetime64:
        """Last session with any price."""
        found: np.datetime64 = max(own.dates[-1] for own in self.quotes.values())
        return found

    def index_change(self, start: np.datetime64, end: np.datetime64) -> float | None:
        """Change of the index between two closes; None where it has no level."""
        levels = [int(np.searchsorted(self.index_dates, day, side="right")) - 1 for day in (start, end)]
        if min(levels) < 0:
            return None
        return float(self.index_level[levels[1]] / self.index_level[levels[0]] - 1.0)

    def _of(self, symbol: str) -> Quotes:
        if symbol not in self.quotes:
            raise DataError(f"there are no prices of {symbol}; fetch them, and score again.")
        return self.quotes[symbol]


@dataclass(frozen=True)
class Score:
    """What became of a recommendation; figures are None unless its state is "scored".

    Attributes:
        number: of the entry.
        state: "open" while its quarter runs, "sealed" while that lies in its family's vault, "no prices" while the lake
            has none of its end.
        filled_on: session at whose close the orders are taken to be filled.
        before_usd: worth of the account at those prices, before orders and costs.
        after_usd: at the end of the quarter.
        dividends_usd: received from the fill on, negative where owed.
        gain, equal_weight, index: returns of the account, of 1/N, and of the index; 0.02 is +2%.
        change: of the recommended weights by the measure that was forecast, from the decision's close, before costs.
        hit, hit_apart: whether that lies in the interval with names' errors dependent, and independent.
        names_hit, names: how many names' own intervals held, of how many.
        remarks: delistings and the like.
    """

    number: int
    state: State
    filled_on: str = ""
    before_usd: float | None = None
    after_usd: float | None = None
    dividends_usd: float | None = None
    gain: float | None = None
    equal_weight: float | None = None
    index: float | None = None
    change: float | None = None
    hit: bool | None = None
    hit_apart: bool | None = None
    names_hit: int = 0
    names: int = 0
    remarks: tuple[str, ...] = field(default=())


def scores(home: Home, entries: Sequence[Entry], now: dt.datetime | None = None) -> tuple[Score, ...]:
    """What became of each entry, by the lake as it is: later corrections of prices count, later events do not.

    An entry whose quarter lies in the sealed vault of its study's family is not looked at. A policy that was asked in
    hindsight is tried out on quarters that are known: what it would have done there counts as a trial of the family,
    one for each run and policy, unless the run's manager was judged with it.

    Raises:
        DataError: the lake holds no prices of an entry's provider, or of a name that it recommended.
        FetchError: a trial cannot be counted, because the tracking data cannot be reached.
    """
    now = now or dt.datetime.now(dt.UTC)
    tapes: dict[tuple[str, str], Tape] = {}
    found = []
    for entry in entries:
        closed = _instant(entry.ends_on)
        if now < closed:
            found.append(Score(entry.number, "open"))
        elif _sealed(home, entry.family, closed):
            found.append(Score(entry.number, "sealed"))
        else:
            source = (entry.provider, entry.market_series)
            if source not in tapes:
                tapes[source] = _tape(home, *source)
            tape = tapes[source]
            there = tape.last >= np.datetime64(entry.ends_on, "D")
            found.append(score(entry, tape) if there else Score(entry.number, "no prices"))
            if there and entry.hindsight:
                _count(home, entry, found[-1])
    return tuple(found)


def _count(home: Home, entry: Entry, came: Score) -> None:
    """Count what was tried in hindsight; 1/N and cash are what others are compared with, and no trials."""
    policy = entry.recommendation.policy
    if policy in {BENCHMARK, CASH}:
        return
    ledger = TrialLedger.open(home)
    trial = Trial(
        key=digest_of("hindsight", entry.run, policy),
        family=entry.family,
        study=entry.study,
        digest=entry.run.rpartition("-")[2],
        analyst=f"{policy} (recommended in hindsight)",
        protocol="",
        seen_until=_instant(entry.ends_on).isoformat(),
        config={"policy": policy, "run": entry.run},
    )
    judged = any(
        one.analyst == f"{policy} ({SUBJECT})" and one.study == entry.study for one in ledger.trials(entry.family)
    )
    if not judged and not ledger.has_finished(trial):
        ledger.finish(ledger.begin(trial), {f"{TESTED}gain": came.gain})


def score(entry: Entry, tape: Tape) -> Score:
    """What became of a recommendation whose quarter has closed.

    Raises:
        DataError: a name has no prices.
    """
    told, remarks = entry.recommendation, list[str]()
    start, end = np.datetime64(entry.as_of, "D"), np.datetime64(entry.ends_on, "D")
    fill = _fill(start, entry.fill_lag_sessions)
    cash, before, value, dividends = told.cash_before_usd, told.cash_before_usd, 0.0, 0.0
    for line in told.lines:
        held = tape.hold(line.symbol, line.held, start, fill)
        order = tape.hold(line.symbol, line.order, start, fill)
        cash += held.dividends + held.proceeds
        before += held.value + held.dividends + held.proceeds
        bought = order.shares
        if line.order and not (order.shares and tape.quotes[order.symbol].quoted(fill)):
            remarks.append(f"{line.symbol} had no price on {fill}, so its order was not filled")
            bought = 0.0
        cash -= tape.quotes[order.symbol].worth(bought, fill)
        kept = tape.hold(held.symbol, held.shares + bought, fill, end)
        value += kept.value + kept.proceeds + kept.dividends
        dividends += kept.dividends
        remarks += [*held.remarks, *kept.remarks]
    after = cash - told.cost_usd + value
    change, hits, names = _forecast(told.lines, tape, start, end)
    expected = told.expected
    return Score(
        number=entry.number,
        state="scored",
        filled_on=str(fill),
        before_usd=before,
        after_usd=after,
        dividends_usd=dividends,
        gain=after / before - 1.0,
        equal_weight=_equal_weight(entry, tape, before, (fill, end)),
        index=tape.index_change(fill, end),
        change=change,
        hit=None if not names else expected.lower <= change <= expected.upper,
        hit_apart=None if not names else expected.lower_apart <= change <= expected.upper_apart,
        names_hit=hits,
        names=names,
        remarks=tuple(dict.fromkeys(remarks)),
    )


def _forecast(lines: Sequence[Line], tape: Tape, start: np.datetime64, end: np.datetime64) -> tuple[float, int, int]:
    """Change of the weights by what was forecast, and how many names' intervals held, of how many."""
    change, hits, names = 0.0, 0, 0
    for line in lines:
        if line.mean is None or line.lower is None or line.upper is None or line.shares == 0.0:
            continue
        one = tape.hold(line.symbol, 1.0, start, end)
        sized = {voice.target for voice in line.voices} & {MAGNITUDE, TOTAL}
        paid = one.dividends if sized == {TOTAL} else 0.0
        own = (one.value + one.proceeds + paid) / tape.quotes[line.symbol].price(start) - 1.0
        change, names = change + line.weight * own, names + 1
        hits += line.lower <= own <= line.upper
    return change, hits, names


def _equal_weight(entry: Entry, tape: Tape, before: float, held: tuple[np.datetime64, np.datetime64]) -> float | None:
    """Return of 1/N of the candidates that had a price at the fill, after the costs estimated for it."""
    fill, end = held
    there = [name for name in entry.recommendation.candidates if name in tape.quotes and tape.quotes[name].quoted(fill)]
    if not there:
        return None
    each, after = (before - entry.recommendation.equal_weight_cost_usd) / len(there), 0.0
    for name in there:
        one = tape.hold(name, each / tape.quotes[name].price(fill), fill, end)
        after += one.value + one.dividends + one.proceeds
    return after / before - 1.0


def _tape(home: Home, provider: str, market_series: str) -> Tape:
    market = read_market(Lake(home.lake), DataSettings(provider=provider, market_series=market_series))
    return Tape.of(market.bars, market.tables().actions, market.index, market.index_name)


def _sealed(home: Home, family: str, instant: dt.datetime) -> bool:
    """Whether a quarter's end lies in a vault that nobody has opened."""
    if not home.shared_tracking and not home.tracking.exists():
        return False
    vault = vault_of(tracking(home), family)
    return vault is not None and not vault.unsealed and instant > vault.sealed_after


def _instant(date: str) -> dt.datetime:
    """Close of a session, ISO."""
    close = close_instants(np.array([date], dtype="datetime64[D]"))[0]
    found: dt.datetime = close.astype("datetime64[us]").item().replace(tzinfo=dt.UTC)
    return found


def _fill(start: np.datetime64, lag_sessions: int) -> np.datetime64:
    sessions = sessions_between(start, start + DAYS_TO_FILL)
    day: np.datetime64 = sessions[lag_sessions]
    return day
