"""Where each account of a run earned or lost its return: over cash, and over 1/N."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from alfred.backtest.attribution import Periods, attribute
from alfred.backtest.conditions import cash_growth
from alfred.backtest.contracts import Account
from alfred.backtest.realistic import Reality
from alfred.core.contracts import Bars, Floats
from alfred.evaluation.bootstrap import BootstrapSettings
from alfred.experiments.record import PortfolioResult

EQUAL = "1/N"


def attributed(
    results: Sequence[PortfolioResult],
    accounts: Mapping[str, Account],
    index: Bars,
    reality: Reality | None,
    settings: BootstrapSettings,
) -> tuple[PortfolioResult, ...]:
    """The results with their attribution, over the periods between the fills of 1/N.

    A study's sectors are not known, so there is no sector part: what sectors gained is in selection. Cash earns nothing
    where the study has no frictions, and the rate of its conditions otherwise.

    Args:
        results: of the run.
        accounts: theirs, by name, with 1/N among them.
        index: (T, 1) on the sessions of the accounts, or more.
        reality: what the accounts met; None for plain costs.
        settings: of the interval of selection.
    """
    sessions = len(index.dates)
    cash = np.ones(sessions) if reality is None else cash_growth(sessions, reality.frictions, reality.conditions)
    found = {
        name: _periods(account, accounts[EQUAL], index, cash)
        for name, account in accounts.items()
        if account.ruined_on is None
    }
    equal, told = found.get(EQUAL), []
    for result in results:
        own = found.get(result.name)
        if own is None:
            told.append(result)
            continue
        alike = equal is not None and result.name != EQUAL and np.array_equal(own.starts, equal.starts)
        over = own.over(equal).summed(settings) if alike and equal is not None else None
        told.append(replace(result, over_cash=own.summed(settings), over_equal=over))
    return tuple(told)


def _periods(account: Account, equal: Account, index: Bars, cash: Floats) -> Periods:
    at = np.searchsorted(index.dates, account.dates)
    starts = equal.rebalanced[equal.rebalanced >= account.dates[0]]
    return attribute(account, index.total[at, 0], cash[at], starts)
