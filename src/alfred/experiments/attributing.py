"""Where accounts earned or lost their returns: over cash, and over 1/N."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from alfred.backtest.attribution import Attribution, Periods, attribute, sector_tilt
from alfred.backtest.conditions import cash_growth
from alfred.backtest.contracts import Account
from alfred.backtest.holdings import period_returns, weights_at
from alfred.backtest.realistic import Reality
from alfred.backtest.run import equal_parts
from alfred.core.calendar import Dates
from alfred.core.contracts import Bars, Floats
from alfred.evaluation.bootstrap import BootstrapSettings
from alfred.experiments.market import Market
from alfred.experiments.sectors import Sectors, looking_back

EQUAL = "1/N"


@dataclass(frozen=True)
class Ground:
    """What accounts are told apart against.

    Attributes:
        bars: (T, S) prices of the names that they hold.
        index: (T, 1) the market index on the same sessions.
        starts: (K,) sessions on whose fills periods begin; all accounts end with the bars.
        reference: (K, S) 1/N at each start, before costs.
        reality: what the accounts met; None for plain costs.
        sectors: (K, S) of the names; None where they are not known.
    """

    bars: Bars
    index: Bars
    starts: Dates
    reference: Floats
    reality: Reality | None
    sectors: Sectors | None


def ground_of(
    market: Market, bars: Bars, index: Bars, starts: Dates, reality: Reality | None, *, reference: Floats | None = None
) -> Ground:
    """What accounts are told apart against, with the sectors as one who looks back may know them.

    Args:
        market: that knows the sectors.
        bars, index, starts, reality: as in `Ground`.
        reference: likewise; default equal parts of the names with a quote at each start.
    """
    rows = market.sectors(bars.symbols, hindsight=True)
    sectors = looking_back(rows, bars.symbols, starts, market.description.name)
    parts = equal_parts(bars.total[np.searchsorted(bars.dates, starts)]) if reference is None else reference
    return Ground(bars, index, starts, parts, reality, sectors)


@dataclass(frozen=True)
class Told:
    """Where an account's return over cash and over 1/N came from; the latter None for 1/N, or other periods."""

    over_cash: Attribution
    over_equal: Attribution | None


def attributed(
    accounts: Mapping[str, Sequence[Account]], equal: str, ground: Ground, settings: BootstrapSettings
) -> dict[str, Told]:
    """Every account's parts, the mean over its seeds; without those of which a seed was ruined.

    Cash earns nothing under plain costs, and the rate of the conditions otherwise. The sector part is by the sectors'
    shares in 1/N; an account without weights, such as the index, has none, and what sectors gained it is in selection.

    Args:
        accounts: one a seed, by name.
        equal: name of 1/N among them.
        ground: what they are told apart against.
        settings: of the interval of selection.
    """
    bars, reality = ground.bars, ground.reality
    sessions = len(bars.dates)
    cash = np.ones(sessions) if reality is None else cash_growth(sessions, reality.frictions, reality.conditions)
    edges = np.append(np.searchsorted(bars.dates, ground.starts), sessions - 1)
    returns = None if ground.sectors is None else period_returns(bars, edges, reality)
    found = {
        name: Periods.mean([_periods(one, ground, cash, returns) for one in own])
        for name, own in accounts.items()
        if all(one.ruined_on is None for one in own)
    }
    base, told = found.get(equal), {}
    for name, own in found.items():
        alike = base is not None and name != equal and np.array_equal(own.starts, base.starts)
        over = own.over(base).summed(settings) if alike and base is not None else None
        told[name] = Told(own.summed(settings), over)
    return told


def _periods(account: Account, ground: Ground, cash: Floats, returns: Floats | None) -> Periods:
    at = np.searchsorted(ground.bars.dates, account.dates)
    counts = ground.starts >= account.dates[0]
    starts, tilt = ground.starts[counts], None
    if account.weights is not None and ground.sectors is not None and returns is not None:
        weights = weights_at(account, ground.bars, starts, ground.reality)
        tilt = sector_tilt(weights, ground.reference[counts], returns[counts], ground.sectors.number[counts])
    return attribute(account, ground.index.total[at, 0], cash[at], starts, tilt)
