"""The first screen: a few figures, each beside the one that it has to beat."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from alfred.evaluation.contracts import Figure, Scorecard
from alfred.experiments.record import PortfolioResult, RunRecord
from alfred.report.accounts import twin
from alfred.report.format import PERCENT, RATIO, NumberStyle, level
from alfred.report.palette import is_naive

_IC = NumberStyle(3, signed=True)


@dataclass(frozen=True)
class Card:
    """A key figure: what it is, of whom, its value and interval, and what to hold it against."""

    heading: str
    subject: str
    value: str
    span: str
    against: str
    remark: str = ""


def figure_of(card: Scorecard, name: str) -> Figure | None:
    """The scorecard's figure of that name, or None."""
    try:
        return card.figure(name)
    except KeyError:
        return None


def best_analyst(record: RunRecord) -> Scorecard | None:
    """The analyst with the highest rank IC, the naive forecast aside; None where no analyst has one."""
    found = [(card, figure_of(card, "rank_ic")) for card in record.scorecards if not is_naive(card.analyst)]
    known = [(card, figure.value) for card, figure in found if figure is not None and _known(figure.value)]
    return max(known, key=lambda pair: pair[1] or 0.0)[0] if known else None


def equal_weights(portfolios: Sequence[PortfolioResult]) -> PortfolioResult | None:
    """The 1/N benchmark, or None where the run has none."""
    for portfolio in portfolios:
        if portfolio.kind == "benchmark" and "1/n" in portfolio.name.lower():
            return portfolio
    return None


def cards(record: RunRecord) -> tuple[Card, ...]:
    """Rank IC and direction accuracy of the best analyst; annual return of the best strategy and of 1/N."""
    return (*_skill_cards(record), *_money_cards(record))


def _skill_cards(record: RunRecord) -> list[Card]:
    best = best_analyst(record)
    if best is None:
        return []
    made = []
    ic, accuracy = figure_of(best, "rank_ic"), figure_of(best, "accuracy")
    rivals = sum(not is_naive(card.analyst) for card in record.scorecards)
    chosen = f"highest of {rivals} analysts, picked afterwards" if rivals > 1 else ""
    if ic is not None:
        floor = NumberStyle(3).text(best.minimum_detectable_ic)
        made.append(
            Card(
                "Rank IC",
                best.analyst,
                _IC.text(ic.value),
                _spoken(_IC.span(ic.over_quarters), level(ic.over_quarters)),
                f"below {floor}, {best.quarters} quarters can't tell it from zero",
                chosen,
            )
        )
    if accuracy is not None:
        made.append(
            Card(
                "Direction accuracy",
                best.analyst,
                PERCENT.text(accuracy.value),
                _spoken(PERCENT.span(accuracy.over_quarters), level(accuracy.over_quarters)),
                f"always up: {PERCENT.text(best.rise_share)} on the same rows",
            )
        )
    return made


def _money_cards(record: RunRecord) -> list[Card]:
    strategies = [
        portfolio
        for portfolio in record.portfolios
        if portfolio.kind == "strategy"
        and not is_naive(portfolio.analyst or "")
        and _known(portfolio.statistics.annual_return)
    ]
    equal = equal_weights(record.portfolios)
    made = []
    if strategies:
        best = max(strategies, key=lambda portfolio: portfolio.statistics.annual_return)
        against = f"1/N: {PERCENT.text(equal.statistics.annual_return)}" if equal else "no 1/N benchmark in this run"
        chosen = f"highest of {len(strategies)} strategies, picked afterwards" if len(strategies) > 1 else ""
        same = twin(best, record.portfolios)
        chosen = f"the same account as {same}; {chosen}" if same else chosen
        paid = "frictions" if record.frictions else f"{record.cost_bps:g} bps"
        made.append(_return_card(best, f"{against}; net of {paid}", chosen))
    if equal:
        made.append(_return_card(equal, f"Sharpe {RATIO.text(equal.statistics.sharpe)}", "the simplest rule to beat"))
    return made


def _return_card(portfolio: PortfolioResult, against: str, remark: str) -> Card:
    numbers = portfolio.statistics
    span = PERCENT.span(numbers.annual_return_interval)
    return Card(
        "Annual return",
        portfolio.name,
        PERCENT.text(numbers.annual_return),
        _spoken(span, level(numbers.annual_return_interval)),
        against,
        remark,
    )


def _spoken(span: str, confidence: str) -> str:
    return f"{span} ({confidence})" if span else ""


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
