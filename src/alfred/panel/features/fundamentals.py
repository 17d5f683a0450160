"""Columns of companies' accounts, as the latest filing known on the date and the vintages before it told them.

Real ratios have tails that no other rule tames: of 1,700 companies in 2015 to 2017 the margins reach from -8,525 to
26,454 with quartiles at -0.04 and 0.13, and so do the changes between quarters. So they are scaled by rank.
"""

from collections.abc import Callable

import numpy as np

from alfred.core.contracts import Floats
from alfred.panel.accounts import MARGIN_GROSS, margin, otherwise, ratio, revenue_growth
from alfred.panel.catalogue import Feature
from alfred.panel.sources import Sources

KNOWN = "from the opening of the session after the filing; the latest period filed by the decision date's close"
NO_FILING = "without a filing in the last panel.fill_days.facts days"


def _margin(name: str) -> Callable[[Sources], Floats]:
    def compute(sources: Sources) -> Floats:
        return margin(sources.facts, name)

    return compute


def _revenue_growth(sources: Sources) -> Floats:
    return revenue_growth(sources.facts)


def _revenue_growth_ttm(sources: Sources) -> Floats:
    return ratio(sources.facts.trailing("Revenue"), sources.facts.trailing("Revenue", 4)) - 1


def _earnings_growth(sources: Sources) -> Floats:
    now, before = sources.facts.quarter("NetIncome"), sources.facts.quarter("NetIncome", 4)
    return ratio(now - before, np.abs(before))


def _leverage(sources: Sources) -> Floats:
    level = sources.facts.instant
    assets = level("Assets")
    return otherwise(ratio(level("Liabilities"), assets), 1 - ratio(level("Equity"), assets))


def _current_ratio(sources: Sources) -> Floats:
    return ratio(sources.facts.instant("CurrentAssets"), sources.facts.instant("CurrentLiabilities"))


def _mean_of_year(sources: Sources, concept: str) -> Floats:
    return (sources.facts.instant(concept) + sources.facts.instant(concept, 4)) / 2


def _accruals(sources: Sources) -> Floats:
    trailing = sources.facts.trailing
    return ratio(trailing("NetIncome") - trailing("OperatingCashFlow"), _mean_of_year(sources, "Assets"))


def _asset_growth(sources: Sources) -> Floats:
    return ratio(sources.facts.instant("Assets"), sources.facts.instant("Assets", 4)) - 1


def _gross_profitability(sources: Sources) -> Floats:
    trailing = sources.facts.trailing
    gross = otherwise(trailing("GrossProfit"), trailing("Revenue") - trailing("CostOfRevenue"))
    return ratio(gross, sources.facts.instant("Assets"))


def _return_on(concept: str) -> Callable[[Sources], Floats]:
    def compute(sources: Sources) -> Floats:
        return ratio(sources.facts.trailing("NetIncome"), _mean_of_year(sources, concept))

    return compute


def _days_since_filing(sources: Sources) -> Floats:
    return sources.facts.days_since_filing


FACTS = ("facts",)
FEATURES = (
    Feature(
        "Margin_Gross", "gross profit / revenue of the latest quarter; gross profit not told is revenue less cost of "
        "revenue", "fraction", FACTS, KNOWN,
        f"{NO_FILING}, where either cannot be had for that quarter, or revenue is not above 0", "rank",
        _margin(MARGIN_GROSS), delta="absolute",
    ),
    *(
        Feature(
            name, f"{words} / revenue of the latest quarter", "fraction", FACTS, KNOWN,
            f"{NO_FILING}, where either cannot be had for that quarter, or revenue is not above 0", "rank",
            _margin(name), delta="absolute",
        )
        for name, words in (("Margin_Operating", "operating income"), ("Margin_Net_Profit", "net income"))
    ),
    Feature(
        "revenue_growth", "revenue of the latest quarter / that of the quarter a year before - 1", "fraction", FACTS,
        KNOWN, f"{NO_FILING}, where either quarter cannot be had, or the earlier is not above 0", "rank",
        _revenue_growth,
    ),
    Feature(
        "revenue_growth_ttm", "revenue of the year to the latest quarter / that of the year before - 1", "fraction",
        FACTS, KNOWN, f"{NO_FILING}, where either year cannot be had, or the earlier is not above 0", "rank",
        _revenue_growth_ttm,
    ),
    Feature(
        "earnings_growth", "(net income of the latest quarter less that of the quarter a year before) / the absolute "
        "value of the latter: above 0 where earnings rose, from a loss too", "fraction", FACTS, KNOWN,
        f"{NO_FILING}, where either quarter cannot be had, or the earlier is 0", "rank", _earnings_growth,
    ),
    Feature(
        "leverage", "liabilities / assets at the latest period's end; 1 - equity / assets where liabilities are not "
        "told", "fraction", FACTS, KNOWN,
        f"{NO_FILING}, without assets above 0, or with neither liabilities nor equity", "rank", _leverage,
        delta="absolute",
    ),
    Feature(
        "current_ratio", "current assets / current liabilities at the latest period's end", "ratio", FACTS, KNOWN,
        f"{NO_FILING}, where either is not told (banks tell neither), or the latter are not above 0", "rank",
        _current_ratio, delta="absolute",
    ),
    Feature(
        "accruals", "(net income - operating cash flow of the year to the latest quarter) / mean of assets at its end "
        "and a year before (Sloan 1996, by the cash flow statement)", "fraction", FACTS, KNOWN,
        f"{NO_FILING}, where one of the four cannot be had, or mean assets are not above 0", "rank", _accruals,
        delta="absolute",
    ),
    Feature(
        "asset_growth", "assets at the latest period's end / those a year before - 1 (Cooper, Gulen and Schill 2008)",
        "fraction", FACTS, KNOWN, f"{NO_FILING}, where either is not told, or the earlier are not above 0",
        "rank", _asset_growth,
    ),
    Feature(
        "gross_profitability", "gross profit of the year to the latest quarter / assets at its end (Novy-Marx 2013); "
        "gross profit not told is revenue less cost of revenue", "fraction", FACTS, KNOWN,
        f"{NO_FILING}, where either cannot be had, or assets are not above 0", "rank", _gross_profitability,
        delta="absolute",
    ),
    *(
        Feature(
            name, f"net income of the year to the latest quarter / mean of {concept.lower()} at its end and a year "
            "before", "fraction", FACTS, KNOWN,
            f"{NO_FILING}, where one of the three cannot be had, or mean {concept.lower()} is not above 0",
            "rank", _return_on(concept), delta="absolute",
        )
        for name, concept in (("return_on_equity", "Equity"), ("return_on_assets", "Assets"))
    ),
    Feature(
        "days_since_filing", "days from the instant at which the first filing on the latest period could be known to "
        "the decision date's close", "days", FACTS, KNOWN, NO_FILING, "robust", _days_since_filing,
    ),
)  # fmt: skip
