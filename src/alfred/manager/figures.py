"""What a policy's accounts amount to: growth, risk, exposure, regimes and capacity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from alfred.backtest.settings import SESSIONS_PER_YEAR
from alfred.core.contracts import Bools, Floats, Interval
from alfred.manager.contracts import Scene
from alfred.manager.judgement import Resampling
from alfred.manager.tracks import Track

HELD = 1e-6
"""A weight below this is no position."""
WORST = 5


@dataclass(frozen=True)
class WorstPeriod:
    """One period: its first and last session, and the log growth in it, the mean over seeds."""

    first: str
    last: str
    growth: float


@dataclass(frozen=True)
class PolicyFigures:
    """A policy's accounts, net; means over seeds unless said otherwise. None where it cannot be told.

    Attributes:
        policy, title: names.
        learns, uses_forecasts: what it is.
        seeds: accounts.
        growth, interval: annual log growth, over seeds and blocks of periods.
        lowest, highest: annual log growth of the worst and the best seed.
        volatility: annual, of daily returns.
        sharpe: annual mean over volatility of daily returns, less the rate on cash.
        equal_growth, equal_interval: growth at the volatility of 1/N: the account, and cash or a loan at the rate on
            cash beside it, in a proportion found afterwards.
        drawdown, deepest: largest fall from a peak, and that of the worst seed; negative.
        turnover: a year.
        costs: of trading and of shorts, as a share of the account a year.
        gross, net, cash: mean of the weights after trades, in shares of the account.
        beta: to the index, by the betas known at each decision.
        names: mean number of positions.
        worst: the worst periods, the worst first.
        ruined: seeds that lost everything.
    """

    policy: str
    title: str
    learns: bool
    uses_forecasts: bool
    seeds: int
    growth: float
    interval: Interval
    lowest: float
    highest: float
    volatility: float
    sharpe: float | None
    equal_growth: float | None
    equal_interval: Interval | None
    drawdown: float
    deepest: float
    turnover: float
    costs: float
    gross: float
    net: float
    cash: float
    beta: float | None
    names: float
    worst: tuple[WorstPeriod, ...]
    ruined: int


@dataclass(frozen=True)
class Regime:
    """Periods of one kind, told apart by what was known at their decisions; annual log growth by policy."""

    name: str
    periods: int
    growth: dict[str, float]


def figures(
    about: tuple[str, str, bool, bool],
    scene: Scene,
    tracks: Sequence[Track],
    growth: Floats,
    *,
    target_volatility: float,
    resampling: Resampling,
) -> PolicyFigures:
    """A policy's figures.

    Args:
        about: its name and title, whether it learns and whether it looks at forecasts.
        scene: of its decisions.
        tracks: one a seed.
        growth: (N, P) log growth.
        target_volatility: annual, of the benchmark.
        resampling: of periods and seeds.
    """
    rate = _cash_rate(scene)
    daily = [_daily(track) for track in tracks]
    spread = [float(one.std(ddof=1) * np.sqrt(SESSIONS_PER_YEAR)) for one in daily]
    over = [float((one - rate).mean() * SESSIONS_PER_YEAR) for one in daily]
    moves = min(spread) > 1e-9
    equal = (
        np.stack([_scaled(one, target_volatility / wide, rate, scene) for one, wide in zip(daily, spread, strict=True)])
        if moves
        else None
    )
    falls = [float(_drawdown(track)) for track in tracks]
    years = len(scene) / resampling.periods_a_year
    weights = np.stack([track.weights for track in tracks])
    annual = growth.mean(axis=1) * resampling.periods_a_year
    net = float(weights.sum(axis=2).mean())
    name, title, learns, uses_forecasts = about
    return PolicyFigures(
        policy=name,
        title=title,
        learns=learns,
        uses_forecasts=uses_forecasts,
        seeds=len(tracks),
        growth=resampling.annual(growth),
        interval=resampling.interval(growth),
        lowest=float(annual.min()),
        highest=float(annual.max()),
        volatility=float(np.mean(spread)),
        sharpe=float(np.mean([a / b for a, b in zip(over, spread, strict=True)])) if moves else None,
        equal_growth=None if equal is None else resampling.annual(equal),
        equal_interval=None if equal is None else resampling.interval(equal),
        drawdown=float(np.mean(falls)),
        deepest=min(falls),
        turnover=float(np.mean([track.turnover.sum() for track in tracks])) / years,
        costs=float(np.mean([_costs(track, scene) for track in tracks])) / years,
        gross=float(np.abs(weights).sum(axis=2).mean()),
        net=net,
        cash=1.0 - net,
        beta=_beta(scene, weights),
        names=float((np.abs(weights) > HELD).sum(axis=2).mean()),
        worst=_worst(scene, growth),
        ruined=sum(track.ruined for track in tracks),
    )


def annual_volatility(tracks: Sequence[Track]) -> float:
    """Mean over seeds of the deviation of daily returns, a year's sessions to it."""
    return float(np.mean([_daily(track).std(ddof=1) for track in tracks]) * np.sqrt(SESSIONS_PER_YEAR))


def regimes(scene: Scene, first: int, growth: Mapping[str, Floats], resampling: Resampling) -> tuple[Regime, ...]:
    """Growth in up and down markets, and in calm and volatile ones; empty where the index is not known.

    A market is up where the index had gained over the year before the decision, and volatile where its volatility of
    the last quarter was above the median of all decisions so far.

    Args:
        scene: all decisions, those before the judged ones among them.
        first: the first judged decision.
        growth: (N, P) log growth of each policy in the judged periods.
        resampling: of periods and seeds.
    """
    parts: dict[str, Bools] = {}
    columns = dict(zip(scene.market_columns, scene.market.T, strict=True))
    if "index_momentum" in columns:
        gain = columns["index_momentum"]
        parts |= {"up market": gain > 0.0, "down market": gain <= 0.0}
    if "index_volatility" in columns:
        wide = columns["index_volatility"]
        usual = np.array([_median(wide[: at + 1]) for at in range(len(wide))])
        parts |= {"volatile market": wide > usual, "calm market": wide <= usual}
    found = []
    for name, kind in parts.items():
        own = kind[first:]
        if own.any():
            by_policy = {policy: resampling.annual(one[:, own]) for policy, one in growth.items()}
            found.append(Regime(name, int(own.sum()), by_policy))
    return tuple(found)


def capacity(capitals: Sequence[float], edges: Sequence[float]) -> float | None:
    """The capital at which an edge over the benchmark is used up, between two tried ones on the scale of logs.

    Args:
        capitals: ascending, in dollars.
        edges: annual log growth less the benchmark's at the same capital.

    Returns:
        0 where there is no edge at the first capital, and None where it outlasts the last.
    """
    if edges[0] <= 0.0:
        return 0.0
    for at in range(1, len(edges)):
        if edges[at] <= 0.0:
            share = edges[at - 1] / (edges[at - 1] - edges[at])
            low, high = np.log(capitals[at - 1]), np.log(capitals[at])
            return float(np.exp(low + share * (high - low)))
    return None


def _median(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _daily(track: Track) -> Floats:
    """(T,) daily returns from the initial capital on, 0 after a ruin."""
    path = np.concatenate([[1.0], track.value])
    alive = path[:-1] > 0.0
    return np.where(alive, path[1:] / np.where(alive, path[:-1], 1.0) - 1.0, 0.0)


def _cash_rate(scene: Scene) -> Floats:
    """(T,) what cash earns in each session from the first fill on, spreads aside."""
    first, last = int(scene.rows[0]), int(scene.rows[-1])
    known = scene.reality.conditions.cash_rate
    rate = np.full(last + 1, scene.reality.frictions.cash_rate) if known is None else known
    found: Floats = rate[np.maximum(np.arange(first, last + 1) - 1, 0)] / SESSIONS_PER_YEAR
    return found


def _scaled(daily: Floats, times: float, rate: Floats, scene: Scene) -> Floats:
    """(P,) log growth of the account taken `times`, the rest in cash or borrowed."""
    mixed = np.log(np.maximum(1.0 + times * daily + (1.0 - times) * rate, 1e-4))
    summed = np.concatenate([[0.0], np.cumsum(mixed)])
    at = scene.rows - scene.rows[0] + 1
    at[0] = 0
    found: Floats = np.diff(summed[at])
    return found


def _drawdown(track: Track) -> float:
    return float((track.value / np.maximum(np.maximum.accumulate(track.value), 1.0) - 1.0).min())


def _costs(track: Track, scene: Scene) -> float:
    """Sum of what trades cost, each as a share of the account before it, and of fees in shares of its mean."""
    paid, after = track.costs.sum(axis=1), track.value[scene.rows[:-1] - scene.rows[0]]
    before = np.where(after + paid > 0.0, after + paid, np.inf)
    return float((paid / before).sum() + track.borrow / track.value.mean())


def _beta(scene: Scene, weights: Floats) -> float | None:
    if "beta" not in scene.columns:
        return None
    beta = scene.observed[:, :, scene.columns.index("beta")]
    return float((weights * np.where(np.isfinite(beta), beta, 1.0)).sum(axis=2).mean())


def _worst(scene: Scene, growth: Floats) -> tuple[WorstPeriod, ...]:
    mean, ends = growth.mean(axis=0), scene.bars.dates[scene.rows]
    return tuple(
        WorstPeriod(str(ends[at]), str(ends[at + 1]), float(mean[at])) for at in np.argsort(mean, kind="stable")[:WORST]
    )
