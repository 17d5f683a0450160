"""One colour for each analyst, the same in every plot; benchmarks in the text's colour, the naive forecast grey.

Colours are tokens such as "@s0" or "@ink/0.2" (with opacity). The page's script replaces them by the theme's values,
so that plots follow light and dark. The eight hues are told apart with the common colour vision deficiencies.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from alfred.experiments.record import PortfolioResult, RunRecord

HUES = 8
_NAIVE = "naive"
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


@dataclass(frozen=True)
class Series:
    """How one analyst or portfolio is drawn, and its entry in a legend."""

    key: str
    label: str
    colour: str
    dash: str = "solid"
    width: float = 1.6

    def faint(self, opacity: float) -> str:
        """The colour with an opacity."""
        return f"{self.colour}/{opacity:g}"


def is_naive(analyst: str) -> bool:
    """Whether it is the naive forecast, of its own label ("naive") or another ("naive:PQ")."""
    return analyst.partition(":")[0] == _NAIVE


def analyst_series(record: RunRecord) -> dict[str, Series]:
    """A series for every analyst that the record names, in the scorecards' order first."""
    names = [card.analyst for card in record.scorecards]
    names += [cost.analyst for cost in record.efficiency]
    names += [portfolio.analyst for portfolio in record.portfolios if portfolio.analyst]
    distinct = list(dict.fromkeys(names))
    hued = [name for name in distinct if not is_naive(name)]
    found = {}
    for place, name in enumerate(distinct):
        if is_naive(name):
            found[name] = Series(f"a{place}", name, "@muted")
        else:
            turn, hue = divmod(hued.index(name), HUES)
            found[name] = Series(f"a{place}", name, f"@s{hue}", _DASHES[turn % len(_DASHES)])
    return found


def portfolio_series(portfolios: Sequence[PortfolioResult], analysts: dict[str, Series]) -> dict[str, Series]:
    """A portfolio has the colour of its analyst and the dash of its strategy; benchmarks are black or white."""
    strategies = list(dict.fromkeys(p.strategy or "" for p in portfolios if p.kind == "strategy"))
    benchmarks = [p.name for p in portfolios if p.kind == "benchmark"]
    found = {}
    for place, portfolio in enumerate(portfolios):
        key = f"p{place}"
        if portfolio.kind == "benchmark":
            dash = _DASHES[benchmarks.index(portfolio.name) % len(_DASHES)]
            found[portfolio.name] = Series(key, portfolio.name, "@ink", dash, 1.8)
        else:
            hue = analysts[portfolio.analyst].colour if portfolio.analyst else "@accent"
            dash = _DASHES[strategies.index(portfolio.strategy or "") % len(_DASHES)]
            found[portfolio.name] = Series(key, portfolio.name, hue, dash, 1.4)
    return found
