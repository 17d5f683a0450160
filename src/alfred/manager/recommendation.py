"""From what a policy decides to what a person may do about it: shares, orders, costs, and what to expect.

Everything is as of the close of one decision date: its prices, and liquidity up to it. Weights become orders as the
engine's accounts trade them (`alfred.backtest`), then shares. Nothing is looked up here.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from alfred.backtest.conditions import Conditions, liquidity
from alfred.backtest.costs import OrderCosts, Rates, order_costs, order_rates
from alfred.backtest.limits import violation
from alfred.backtest.realistic import Reality, allowed
from alfred.backtest.settings import FrictionSettings, LimitSettings
from alfred.backtest.step import Market, State, trade
from alfred.core.contracts import Floats
from alfred.core.errors import DataError
from alfred.manager.contracts import FittedPolicy, Observation

AT_LIMIT = 1e-6
"""Weights within this of a limit are at it."""
CENT = 0.005
WHOLE = 1e-9
"""Shares within this of a whole number are that number, not one less."""


@dataclass(frozen=True)
class Holdings:
    """What an account holds before the trade.

    Attributes:
        cash: dollars, below zero where borrowed.
        shares: by symbol, negative for short, in shares as quoted on the day.
    """

    cash: float
    shares: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in (self.cash, *self.shares.values())):
            raise DataError("cash and shares must be finite numbers.")


@dataclass(frozen=True)
class Voices:
    """What one analyst says; (S,), NaN where it says nothing of a name.

    Attributes:
        analyst: its entry in the study.
        target: the label that it forecasts.
        mean, lower, upper, prob_up: of that label.
    """

    analyst: str
    target: str
    mean: Floats
    lower: Floats
    upper: Floats
    prob_up: Floats


@dataclass(frozen=True)
class Voice:
    """One analyst on one name."""

    analyst: str
    target: str
    mean: float
    lower: float
    upper: float
    prob_up: float


@dataclass(frozen=True)
class Line:
    """One name of a recommendation.

    Attributes:
        symbol: ticker.
        price: dollars a share at the decision's close, as quoted on the day.
        held: shares before.
        order: shares to buy, or to sell where negative.
        shares: after.
        weight_before, weight: shares of the account's worth before, and after costs.
        mean, lower, upper, prob_up: what all analysts together forecast; None where they say nothing.
        voices: what each says.
        commission_usd, spread_usd, impact_usd: estimated costs of the order.
    """

    symbol: str
    price: float
    held: float
    order: float
    shares: float
    weight_before: float
    weight: float
    mean: float | None
    lower: float | None
    upper: float | None
    prob_up: float | None
    voices: tuple[Voice, ...]
    commission_usd: float
    spread_usd: float
    impact_usd: float


@dataclass(frozen=True)
class Expectation:
    """The change of the portfolio's value until the next quarter's decision date that the forecasts add up to.

    Before costs; cash earns nothing. `level` is the nominal coverage of each name's interval. How names err together
    is not known, so there are two intervals. `lower` and `upper` take all errors to be perfectly dependent, in the
    direction that hurts or helps this portfolio most: the sum of the ends, the widest that the names' intervals allow.
    `lower_apart` and `upper_apart` take them to be independent: distances from the mean are added as squares. Names
    share the market, so the truth lies between, and nearer to the first.

    Attributes:
        mean: 0.02 is +2%.
        silent: weight, long and short added up, in names without a forecast, which are left out.
    """

    mean: float
    lower: float
    upper: float
    lower_apart: float
    upper_apart: float
    level: float
    silent: float = 0.0


@dataclass(frozen=True)
class Recommendation:
    """A portfolio to hold from one decision date on.

    Attributes:
        as_of: the decision date, ISO.
        policy: who decides.
        worth_usd: of the account before, at the decision's prices.
        cash_before_usd, cash_usd: before, and after orders and estimated costs.
        lines: names that are or will be held, the largest weight first.
        expected: of the portfolio after the orders.
        commission_usd, spread_usd, impact_usd: estimated costs of getting there.
        equal_weight_cost_usd: of going to 1/N instead, from the same holdings.
        candidates: symbols that might be held, which 1/N is taken of.
        binding: limits that the portfolio is at, and orders that the day's volume cuts, in words.
        notes: what else must be said of this decision.
        fractional: whether parts of shares are bought.
    """

    as_of: str
    policy: str
    worth_usd: float
    cash_before_usd: float
    cash_usd: float
    lines: tuple[Line, ...]
    expected: Expectation
    commission_usd: float
    spread_usd: float
    impact_usd: float
    equal_weight_cost_usd: float
    candidates: tuple[str, ...]
    binding: tuple[str, ...]
    notes: tuple[str, ...]
    fractional: bool

    @property
    def cost_usd(self) -> float:
        """Estimated costs of all kinds."""
        return self.commission_usd + self.spread_usd + self.impact_usd


@dataclass(frozen=True)
class _Terms:
    """What a trade at the decision's close would meet."""

    state: State
    market: Market
    reality: Reality


def recommend(
    observation: Observation,
    policy: FittedPolicy,
    holdings: Holdings,
    prices: Floats,
    *,
    name: str,
    frictions: FrictionSettings,
    limits: LimitSettings,
    voices: Sequence[Voices] = (),
    sectors: Sequence[str] = (),
    fractional: bool = False,
) -> Recommendation:
    """What a policy recommends to an account at the close of a decision date.

    Args:
        observation: what is known; its held weights are replaced by those of the holdings.
        policy: who decides.
        holdings: of the account.
        prices: (S,) dollars a share at the close, as quoted on the day; NaN where there is no quote.
        name: of the policy.
        frictions, limits: of the account.
        voices: what each analyst says.
        sectors: names of the observation's sector numbers.
        fractional: buy parts of shares; otherwise positions are rounded to whole shares, towards none.

    Raises:
        DataError: the account holds a name without a price, has nothing to invest, or frictions need volume that is
            not known.
    """
    terms = _terms(observation, holdings, prices, frictions, limits)
    seen = replace(observation, held=terms.state.held / terms.state.worth)
    raw = np.where(seen.mask, policy.weights(seen), 0.0)
    fill = trade(terms.state, allowed(raw, terms.state, terms.market, terms.reality), terms.market)
    shares = fill.state.shares if fractional else _whole(fill.state.shares, terms.state.shares)
    orders = (shares - terms.state.shares) * fill.state.price
    costs = order_costs(orders, terms.market.rates)
    cash = terms.state.cash - float(orders.sum()) - _total(costs)
    after = State(cash, shares, fill.state.price)
    if after.worth <= 0.0:
        raise DataError("the orders would cost more than the account is worth; give it more capital.")
    equal = seen.mask / max(int(seen.mask.sum()), 1)
    to_equal = trade(terms.state, allowed(equal, terms.state, terms.market, terms.reality), terms.market)
    lines = _lines(seen, (terms.state, after), costs, voices)
    most = terms.market.most
    cut = (most < np.inf) & (np.abs(fill.undone) >= CENT) & (np.abs(fill.orders) >= most - CENT)
    return Recommendation(
        as_of=str(observation.date),
        policy=name,
        worth_usd=terms.state.worth,
        cash_before_usd=terms.state.cash,
        cash_usd=cash,
        lines=lines,
        expected=expectation(after.held / after.worth, seen),
        commission_usd=float(costs.commission.sum()),
        spread_usd=float(costs.spread.sum()),
        impact_usd=float(costs.impact.sum()),
        equal_weight_cost_usd=_total(to_equal.costs),
        candidates=tuple(seen.bars.symbols[at] for at in np.flatnonzero(seen.mask)),
        binding=(
            *binding(raw, fill.state.held / fill.state.worth, seen, limits, sectors),
            *(
                [f"what can be traded in a day cuts the orders of {_named(seen.bars.symbols, cut)}"]
                if cut.any()
                else []
            ),
        ),
        notes=_notes(policy, seen, after),
        fractional=fractional,
    )


def expectation(weights: Floats, observation: Observation) -> Expectation:
    """What (S,) weights are expected to change by, with both intervals (see `Expectation`)."""
    known = np.isfinite(observation.mean) & np.isfinite(observation.lower) & np.isfinite(observation.upper)
    told = np.where(known, weights, 0.0)
    mean, lower, upper = (
        np.where(known, values, 0.0) for values in (observation.mean, observation.lower, observation.upper)
    )
    centre, short = float(told @ mean), told < 0.0
    down = told * (mean - np.where(short, upper, lower))
    up = told * (np.where(short, lower, upper) - mean)
    return Expectation(
        mean=centre,
        lower=centre - float(down.sum()),
        upper=centre + float(up.sum()),
        lower_apart=centre - float(np.sqrt((down**2).sum())),
        upper_apart=centre + float(np.sqrt((up**2).sum())),
        level=observation.level,
        silent=float(np.abs(weights[~known]).sum()),
    )


def binding(
    raw: Floats, weights: Floats, observation: Observation, limits: LimitSettings, names: Sequence[str] = ()
) -> tuple[str, ...]:
    """Limits that (S,) weights are at, or that the policy's own, `raw`, broke; in words, each with its value.

    `names` are those of the sectors; without them they are called by their numbers.
    """
    symbols, sectors, found = observation.bars.symbols, observation.sectors, []
    size, turned = np.abs(weights), float(np.abs(weights - observation.held).sum())
    if limits.long_only and (raw < -AT_LIMIT).any():
        found.append(f"long-only: {_named(symbols, raw < -AT_LIMIT)} not sold short")
    totals = (
        ("gross exposure", float(size.sum()), limits.gross_max),
        ("net exposure", float(weights.sum()), limits.net_max),
        ("turnover", turned, limits.turnover_max),
    )
    # Limits are of the target; costs take a little off what is held after it.
    found += [f"{what} at most {most:.0%}" for what, now, most in totals if most is not None and now > most * 0.99]
    if limits.net_min is not None and float(weights.sum()) < limits.net_min + 1e-4 and (weights != 0.0).any():
        found.append(f"net exposure at least {limits.net_min:.0%}")
    if limits.name_max is not None and (capped := size > limits.name_max * (1.0 - 1e-3)).any():
        found.append(f"at most {limits.name_max:.0%} in a name: {_named(symbols, capped)}")
    if limits.sector_max is not None and sectors is not None:
        full = [
            int(sector)
            for sector in np.unique(sectors[sectors >= 0])
            if size[sectors == sector].sum() > limits.sector_max * (1.0 - 1e-3)
        ]
        called = [names[sector] if sector < len(names) else f"sector {sector}" for sector in full]
        found += [f"at most {limits.sector_max:.0%} in {sector}" for sector in called]
    if violation(raw, _without_turnover(limits), sectors) > AT_LIMIT and not found:
        found.append("the policy's weights were brought within the limits")
    return tuple(found)


def _terms(
    observation: Observation, holdings: Holdings, prices: Floats, frictions: FrictionSettings, limits: LimitSettings
) -> _Terms:
    symbols, place = observation.bars.symbols, {name: at for at, name in enumerate(observation.bars.symbols)}
    shares = np.zeros(len(symbols))
    for symbol, count in holdings.shares.items():
        if symbol not in place:
            raise DataError(
                f"the account holds {symbol}, which is none of the names that were forecast; leave it out of the "
                "holdings, and it stays as it is."
            )
        shares[place[symbol]] = count
    unpriced = [symbols[at] for at in np.flatnonzero((shares != 0.0) & ~(prices > 0.0))]
    if unpriced:
        raise DataError(
            f"the account holds {', '.join(unpriced)}, without a price on {observation.date}; leave it out."
        )
    state = State(holdings.cash, shares, np.where(prices > 0.0, prices, 1.0))
    if not state.worth > 0.0:
        raise DataError(f"the account is worth {state.worth:,.2f} dollars; there is nothing to invest.")
    tradable, volume = prices > 0.0, observation.dollar_volume
    most = np.where(tradable, np.inf, 0.0)
    traded = volatility = np.full(len(symbols), np.nan)
    if volume is None and (frictions.by_liquidity or frictions.fill_share is not None):
        raise DataError("costs by liquidity and partial fills need dollar volume, which these prices come without.")
    if volume is not None:
        traded, volatility = liquidity(observation.bars, volume, len(volume), frictions.liquidity_sessions)
        if frictions.impact_coefficient > 0.0:
            most[~((traded > 0.0) & np.isfinite(volatility))] = 0.0
        if frictions.fill_share is not None:
            # The fill's own volume is not known yet; a mean day's stands for it.
            most = np.minimum(most, frictions.fill_share * np.nan_to_num(traded))
    rates: Rates = order_rates(frictions, np.where(tradable, prices, 0.0), traded, volatility)
    market = Market(np.where(most > 0.0, prices, np.nan), most, rates)
    return _Terms(state, market, Reality(frictions, limits, Conditions(sectors=observation.sectors)))


def _without_turnover(limits: LimitSettings) -> LimitSettings:
    return limits.model_copy(update={"turnover_max": None})


def _whole(shares: Floats, before: Floats) -> Floats:
    """(S,) whole shares, none more than wanted; a position that is not traded stays as it is."""
    rounded = np.sign(shares) * np.floor(np.abs(shares) + WHOLE)
    return np.where(shares == before, before, rounded)


def _lines(
    observation: Observation, states: tuple[State, State], costs: OrderCosts, voices: Sequence[Voices]
) -> tuple[Line, ...]:
    before, after = states
    weight_before, weight = before.held / before.worth, after.held / after.worth
    found = [
        Line(
            symbol=observation.bars.symbols[at],
            price=float(after.price[at]),
            held=float(before.shares[at]),
            order=float(after.shares[at] - before.shares[at]),
            shares=float(after.shares[at]),
            weight_before=float(weight_before[at]),
            weight=float(weight[at]),
            mean=_known(observation.mean[at]),
            lower=_known(observation.lower[at]),
            upper=_known(observation.upper[at]),
            prob_up=_known(observation.prob_up[at]),
            voices=_heard(voices, at),
            commission_usd=float(costs.commission[at]),
            spread_usd=float(costs.spread[at]),
            impact_usd=float(costs.impact[at]),
        )
        for at in np.flatnonzero((before.shares != 0.0) | (after.shares != 0.0)).tolist()
    ]
    return tuple(sorted(found, key=lambda line: (-abs(line.weight), line.symbol)))


def _heard(voices: Sequence[Voices], at: int) -> tuple[Voice, ...]:
    """What is said of one name, by those who say anything."""
    found = [
        Voice(one.analyst, one.target, *(float(part[at]) for part in (one.mean, one.lower, one.upper, one.prob_up)))
        for one in voices
    ]
    return tuple(one for one in found if all(map(math.isfinite, (one.mean, one.lower, one.upper, one.prob_up))))


def _notes(policy: FittedPolicy, observation: Observation, after: State) -> tuple[str, ...]:
    notes = [text for text in getattr(policy, "notes", ()) if text.startswith(f"{observation.date}:")]
    if after.cash < -0.005:
        notes.append(f"the account borrows {-after.cash:,.2f} dollars")
    stuck = (after.shares != 0.0) & ~observation.mask
    if stuck.any():
        notes.append(f"could not be sold: {_named(observation.bars.symbols, stuck)}")
    return tuple(notes)


def _named(symbols: Sequence[str], which: np.ndarray[tuple[int], np.dtype[np.bool_]], most: int = 10) -> str:
    names = [symbols[at] for at in np.flatnonzero(which).tolist()]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _total(costs: OrderCosts) -> float:
    return float(sum(part.sum() for part in costs))
