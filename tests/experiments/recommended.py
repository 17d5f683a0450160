"""Entries of the ledger made by hand."""

from alfred.experiments.recommendations import Entry
from alfred.manager.recommendation import Expectation, Line, Recommendation, Voice


def entry_of(
    lines, *, cash, cost, price=None, prices=None, candidates=(), equal_cost=0.0, interval=(0.0, 0.02, 0.04),
    target="PM", as_of="2020-03-31", ends_on="2020-06-30", policy="by hand",
) -> Entry:  # fmt: skip
    """An entry that nobody numbered yet.

    Args:
        lines: by symbol, shares held and shares ordered.
        cash: before the orders, dollars.
        cost: of the orders, all of it commission.
        price, prices: dollars a share at the decision's close, of all names or by symbol; default 49.
        interval: lower end, mean and upper end of every name's forecast.
    """
    quoted = prices or dict.fromkeys(lines, price or 49.0)
    worth = cash + sum(held * quoted[name] for name, (held, _) in lines.items())
    lower, mean, upper = interval
    made = tuple(
        Line(
            symbol=name, price=quoted[name], held=held, order=order, shares=held + order,
            weight_before=held * quoted[name] / worth, weight=(held + order) * quoted[name] / (worth - cost),
            mean=mean, lower=lower, upper=upper, prob_up=0.6,
            voices=(Voice("ridge", target, mean, lower, upper, 0.6),),
            commission_usd=cost / len(lines), spread_usd=0.0, impact_usd=0.0,
        )
        for name, (held, order) in lines.items()
    )  # fmt: skip
    invested = sum(line.weight for line in made)
    told = Recommendation(
        as_of=as_of, policy=policy, worth_usd=worth, cash_before_usd=cash,
        cash_usd=cash - cost - sum(line.order * line.price for line in made), lines=made,
        expected=Expectation(*(invested * part for part in (mean, lower, upper, lower, upper)), level=0.8),
        commission_usd=cost, spread_usd=0.0, impact_usd=0.0, equal_weight_cost_usd=equal_cost,
        candidates=candidates or tuple(lines), binding=(), notes=(), fractional=False,
    )  # fmt: skip
    return Entry(
        number=0, ledger="", previous="", made_at="2020-03-31T21:00:00+00:00", hindsight=False, as_of=as_of,
        ends_on=ends_on, fill_lag_sessions=1, run="demo-0123456789", study="demo", family="demo", provider="sample",
        market_series="", recommendation=told,
    )  # fmt: skip
