"""Where an account's return came from: the market, sectors, selection, and each kind of cost.

Over a period, from one fill to the next, an account that returned R is told apart as

    R - B = beta (M - B) + sector + selection - costs,

with B and M the returns of cash and of the index. `beta` is the slope of the account's daily returns before trading
costs on the index's, both over cash, over the account's whole span (Jensen 1968, "The Performance of Mutual Funds in
the Period 1945-1964", Journal of Finance 23). Costs are what was paid. The sector part is the allocation effect of
Brinson and Fachler (1985, "Measuring Non-US Equity Portfolio Performance", Journal of Portfolio Management 11; after
Brinson, Hood and Beebower 1986, "Determinants of Portfolio Performance", Financial Analysts Journal 42), at the
account's own net exposure, so that it holds nothing of the market part. Selection is what is left: the choice of names,
and of when to be in the market.

Arithmetic parts of periods do not add up over time, as returns compound. Each period's are therefore scaled by

    k = (ln(1 + R) - ln(1 + B)) / (R - B)        (Carino 1999, "Combining Attribution Effects Over Time",
                                                 Journal of Performance Measurement 3)

after which parts add up, over parts and over periods, to the account's log return over cash; and the parts of one
account less those of another to its log return over that one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alfred.backtest.contracts import Account
from alfred.backtest.settings import SESSIONS_PER_YEAR
from alfred.core.calendar import Dates
from alfred.core.contracts import Floats, Interval
from alfred.core.errors import DataError
from alfred.evaluation.bootstrap import BootstrapSettings, block_counts

_SAME = 1e-12
SAME_PERIODS = "accounts are compared over the same periods; attribute both to the same fills."


@dataclass(frozen=True)
class Attribution:
    """Parts of an account's log return a year over cash, or over another account; they add up to `total`.

    Attributes:
        years: of 252 sessions.
        beta: to the index, or by how much it is larger than the other account's.
        total: log return a year; 0.02 is a growth of exp(0.02) a year.
        market: beta times the index's return over cash.
        sector: of sectors held above or below their share; None where sectors are not known.
        selection: what is left.
        selection_interval: by resampling blocks of periods, with beta as it is; None for a single period.
        costs: by kind, negative where paid.
    """

    years: float
    beta: float
    total: float
    market: float
    sector: float | None
    selection: float
    selection_interval: Interval | None
    costs: dict[str, float]


@dataclass(frozen=True)
class Periods:
    """The same for each of K periods, linked, so that sums over parts and periods are log returns.

    Attributes:
        starts: (K,) sessions on whose fills the periods begin.
        years, beta: as in `Attribution`.
        total, market, selection: (K,).
        sector: (K,), None where not known.
        costs: (K,) by kind, negative where paid.
    """

    starts: Dates
    years: float
    beta: float
    total: Floats
    market: Floats
    sector: Floats | None
    selection: Floats
    costs: dict[str, Floats]

    @classmethod
    def mean(cls, parts: Sequence["Periods"]) -> "Periods":
        """Mean parts of accounts in the same periods, such as those of a policy's seeds; sectors if all know theirs.

        Raises:
            DataError: their periods differ.
        """
        first = parts[0]
        if any(one.years != first.years or not np.array_equal(one.starts, first.starts) for one in parts[1:]):
            raise DataError(SAME_PERIODS)
        sectors = [one.sector for one in parts if one.sector is not None]
        known, nothing = len(sectors) == len(parts), np.zeros(len(first.starts))
        rest = [one.selection + (nothing if known else _or(one.sector, nothing)) for one in parts]
        kinds = dict.fromkeys(kind for one in parts for kind in one.costs)
        return cls(
            starts=first.starts,
            years=first.years,
            beta=float(np.mean([one.beta for one in parts])),
            total=np.mean([one.total for one in parts], axis=0),
            market=np.mean([one.market for one in parts], axis=0),
            sector=np.mean(sectors, axis=0) if known else None,
            selection=np.mean(rest, axis=0),
            costs={kind: np.mean([one.costs.get(kind, nothing) for one in parts], axis=0) for kind in kinds},
        )

    def over(self, other: "Periods") -> "Periods":
        """These parts less those of another account in the same periods.

        Raises:
            DataError: its periods are others.
        """
        if self.years != other.years or not np.array_equal(self.starts, other.starts):
            raise DataError(SAME_PERIODS)
        known = self.sector is not None and other.sector is not None
        nothing = np.zeros(len(self.starts))
        kinds = dict.fromkeys([*self.costs, *other.costs])
        # What only one of the two knows of sectors is in neither's sector part: it goes back to selection.
        own, others = (part.selection + (nothing if known else _or(part.sector, nothing)) for part in (self, other))
        return Periods(
            starts=self.starts,
            years=self.years,
            beta=self.beta - other.beta,
            total=self.total - other.total,
            market=self.market - other.market,
            sector=_or(self.sector, nothing) - _or(other.sector, nothing) if known else None,
            selection=own - others,
            costs={kind: self.costs.get(kind, nothing) - other.costs.get(kind, nothing) for kind in kinds},
        )

    def summed(self, settings: BootstrapSettings) -> Attribution:
        """All periods together, a year; `settings` are of the interval, whose blocks are of periods."""
        interval = None
        if len(self.starts) > 1:
            drawn = block_counts(len(self.starts), settings) @ self.selection / self.years
            ends = np.quantile(drawn, [(1.0 - settings.level) / 2.0, (1.0 + settings.level) / 2.0])
            interval = Interval(float(ends[0]), float(ends[1]), settings.level)
        return Attribution(
            years=self.years,
            beta=self.beta,
            total=float(self.total.sum() / self.years),
            market=float(self.market.sum() / self.years),
            sector=None if self.sector is None else float(self.sector.sum() / self.years),
            selection=float(self.selection.sum() / self.years),
            selection_interval=interval,
            costs={kind: float(paid.sum() / self.years) for kind, paid in self.costs.items()},
        )


def attribute(account: Account, index: Floats, cash: Floats, starts: Dates, sector: Floats | None = None) -> Periods:
    """Parts of an account's return over cash, period by period.

    Args:
        account: that was not ruined.
        index: (T,) level of the index, dividends included, on the account's sessions.
        cash: (T,) what a dollar of cash grew to, on the same.
        starts: (K,) sessions on which periods begin, the account's first among them; all fills of whatever it is
            compared with. Trades between them count in the period that they fall in.
        sector: (K,) sector part of each period before linking (see `sector_tilt`); None where it is not known.

    Raises:
        DataError: the account was ruined, a table does not fit it, or periods do not begin on its sessions.
    """
    _check(account, index, cash, starts)
    sessions, value = account.dates, account.value
    at, traded = np.searchsorted(sessions, starts), np.searchsorted(sessions, account.rebalanced)
    before = value.copy()
    before[traded] += account.costs
    begin, edges = before[at], np.append(at, len(sessions) - 1)
    gain = np.append(begin[1:], value[-1]) / begin - 1.0
    of_cash, of_index = (level[edges[1:]] / level[edges[:-1]] - 1.0 for level in (cash, index))
    beta = _slope(before[1:] / value[:-1], index[1:] / index[:-1], cash[1:] / cash[:-1])
    place = np.searchsorted(at, traded, side="right") - 1
    costs = {
        kind: -np.bincount(place, weights=paid, minlength=len(at)) / begin
        for kind, paid in (account.paid or {"trading": account.costs}).items()
    }
    market = beta * (of_index - of_cash)
    known = market + _or(sector, np.zeros(len(at))) + sum(costs.values())
    total = np.log1p(gain) - np.log1p(of_cash)
    apart = np.abs(gain - of_cash) > _SAME
    scale = np.where(apart, total / np.where(apart, gain - of_cash, 1.0), 1.0 / (1.0 + gain))
    return Periods(
        starts=starts,
        years=(len(sessions) - 1) / SESSIONS_PER_YEAR,
        beta=beta,
        total=total,
        market=scale * market,
        sector=None if sector is None else scale * sector,
        selection=total - scale * known,
        costs={kind: scale * paid for kind, paid in costs.items()},
    )


def sector_tilt(weights: Floats, reference: Floats, returns: Floats, sectors: NDArray[np.int64]) -> Floats:
    """(K,) what each period gained by holding sectors above or below their share in a reference.

    The sum over sectors of (w_s - g W_s) R_s: w_s and W_s are the weights of account and reference in a sector, R_s is
    the reference's return there and g the account's net exposure. A sector that the reference does not hold has the
    reference's own return, so that what is held in it counts as selection.

    Args:
        weights: (K, S) held after each fill, negative for short.
        reference: (K, S) weights of the reference, none below 0, which sum to 1.
        returns: (K, S) of each name over the period; NaN where it has none counts as 0.
        sectors: (S,) sector numbers, or (K, S) where they change; all names below 0 are one sector of their own.

    Raises:
        DataError: shapes disagree.
    """
    fits = weights.shape == reference.shape == returns.shape
    if not fits or sectors.shape not in {weights.shape, weights.shape[1:]}:
        raise DataError(
            f"weights of shape {weights.shape} need a reference and returns of that shape and a sector for each name, "
            f"got {reference.shape}, {returns.shape} and {sectors.shape}."
        )
    number, gained = np.maximum(sectors, -1), reference * np.nan_to_num(returns)
    net, whole, tilt = weights.sum(axis=1), gained.sum(axis=1), np.zeros(len(weights))
    for sector in np.unique(number):
        own, share, gain = (np.where(number == sector, part, 0.0).sum(axis=1) for part in (weights, reference, gained))
        tilt += (own - net * share) * np.where(share > 0.0, gain / np.where(share > 0.0, share, 1.0), whole)
    return tilt


def _slope(account: Floats, index: Floats, cash: Floats) -> float:
    """Of (n,) returns over cash on those of the index; 0 where the index did not move."""
    y, x = account - cash, index - cash
    x = x - x.mean()
    spread = float(x @ x)
    return float(x @ (y - y.mean())) / spread if spread > 0.0 else 0.0


def _or(part: Floats | None, otherwise: Floats) -> Floats:
    return otherwise if part is None else part


def _check(account: Account, index: Floats, cash: Floats, starts: Dates) -> None:
    sessions = account.dates
    if account.ruined_on is not None:
        raise DataError(f"an account that was ruined on {account.ruined_on} has no log return to tell apart.")
    for name, level in (("index", index), ("cash", cash)):
        if level.shape != sessions.shape or not (np.isfinite(level) & (level > 0.0)).all():
            raise DataError(f"the {name} needs a level above zero on each of the account's {len(sessions)} sessions.")
    fits = len(starts) and (np.diff(np.searchsorted(sessions, starts)) > 0).all()
    if not fits or starts[0] != sessions[0] or not np.isin(starts, sessions).all():
        raise DataError("periods must begin on sessions of the account, ascending, and the first on its first.")
