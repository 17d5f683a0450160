"""Ratios of companies' accounts, so many quarters before the latest: what columns show and what labels are of."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from alfred.core.contracts import Floats
from alfred.panel.facts import FactHistory

MARGIN_GROSS = "Margin_Gross"
MARGINS: Mapping[str, str] = MappingProxyType(
    {MARGIN_GROSS: "GrossProfit", "Margin_Operating": "OperatingIncome", "Margin_Net_Profit": "NetIncome"}
)
"""Concept that each margin is the share in revenue of."""


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """NaN where the denominator is not above 0."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        quotient = numerator / denominator
    return np.where((denominator > 0) & np.isfinite(quotient), quotient, np.nan)


def otherwise(first: Floats, second: Floats) -> Floats:
    """The second where the first is missing."""
    return np.where(np.isfinite(first), first, second)


def margin(facts: FactHistory, name: str, quarters_ago: int = 0) -> Floats:
    """(D, S) one of `MARGINS` of a quarter; gross profit not told is revenue less cost of revenue."""
    revenue, amount = facts.quarter("Revenue", quarters_ago), facts.quarter(MARGINS[name], quarters_ago)
    if name == MARGIN_GROSS:
        amount = otherwise(amount, revenue - facts.quarter("CostOfRevenue", quarters_ago))
    return ratio(amount, revenue)


def revenue_growth(facts: FactHistory, quarters_ago: int = 0) -> Floats:
    """(D, S) revenue of a quarter over that of the quarter a year before it, less 1."""
    return ratio(facts.quarter("Revenue", quarters_ago), facts.quarter("Revenue", quarters_ago + 4)) - 1
