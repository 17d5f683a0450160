"""Price paths: market, sector and own risk, and the planted signal that moves each quarter's return.

A company's price return over a quarter is

    change = drift + bounded(shock) + slope * spread * signal

shock is the sum of its daily market, sector and own noise, all symmetric about zero; bounded(x) = 0.7 tanh(x / 0.7) is
odd and keeps prices above zero; spread is the quarter's standard deviation, across names, of the first two terms;
slope = IC / sqrt(1 - IC^2), so that the correlation across names of signal and change is IC in expectation; and signal
is known at the close before the quarter. With IC = 0 flipping the signs of all noise mirrors every return about the
drift: no forecast made from the past has an expected correlation, or rank correlation, other than zero.
"""

from dataclasses import dataclass

import numpy as np

from alfred.core.contracts import Floats
from alfred.lake.synthetic.companies import SECTORS, YEAR, Companies
from alfred.lake.synthetic.settings import PriceFeature, Signal, SyntheticSettings
from alfred.lake.synthetic.span import Purpose, Span, stream

DRIFT = 0.02
"""Expected price return of every name, and of the market, a quarter."""
BOUND = 0.7
MONTH, AVERAGE = 21, 90
LONGEST_SIGNAL = 3.0
"""Signals are cut off at this many standard deviations, so that no single name carries a quarter."""


@dataclass(frozen=True, eq=False)
class Paths:
    """Prices of S companies over T sessions and Q quarters, and what moved them.

    Attributes:
        log_price: (S, T) log of the price without splits, over the price before the first session; it runs on
            before a listing and after a delisting, where no bar is made of it.
        market: (T,) level of the market index.
        regime: (T,) multiple of the calm market's volatility.
        predictor: (S, Q) what the signal is made of, at each quarter's last close; NaN where it is not known.
        signal: (S, Q) mean 0 and deviation 1 across names; NaN where there is none.
        change: (S, Q) relative change of the price over the NEXT quarter; NaN in the last.
    """

    log_price: Floats
    market: Floats
    regime: Floats
    predictor: Floats
    signal: Floats
    change: Floats


def make_paths(settings: SyntheticSettings, span: Span, companies: Companies, given: Floats | None) -> Paths:
    """Walk through the quarters.

    Args:
        settings: of the market.
        span: its sessions.
        companies: S of them.
        given: (S, Q) predictor where it is not made of prices; None for a price predictor.
    """
    count, quarters = len(companies), span.quarters
    regime = _regimes(settings.seed, len(span.sessions))
    market_noise, sector_noise = _common_noise(settings.seed, regime)
    paths = _own_noise(settings.seed, companies, regime)
    market = np.empty(len(span.sessions))
    predictor = np.full((count, quarters), np.nan) if given is None else given
    signal, change = np.full((count, quarters), np.nan), np.full((count, quarters), np.nan)
    slope = settings.information_coefficient / np.sqrt(1 - settings.information_coefficient**2)
    level, market_level = np.zeros(count), 0.0
    for quarter, (start, stop) in enumerate(zip(span.starts, span.stops, strict=True)):
        shock = paths[:, start:stop]
        shock += companies.beta[:, None] * market_noise[start:stop]
        shock += sector_noise[companies.sector, start:stop]
        gain = DRIFT + _bounded(shock.sum(axis=1))
        if quarter:
            planted = signal[:, quarter - 1]
            there = np.isfinite(planted)
            spread = float(gain[there].std()) if there.any() else 0.0
            gain += slope * spread * np.where(there, planted, 0.0)
            gain = np.maximum(gain, -0.95)
            change[:, quarter - 1] = gain
        _walk(shock, level, gain)
        level = shock[:, -1].copy()
        market[start:stop] = market_noise[start:stop]
        index = market[None, start:stop]
        _walk(index, np.array([market_level]), DRIFT + _bounded(index.sum(axis=1)))
        market_level = float(index[0, -1])
        decision = int(stop) - 1
        if given is None:
            predictor[:, quarter] = price_feature(settings.price_feature, paths, decision)
            predictor[_history(companies, decision) < _needed(settings.price_feature), quarter] = np.nan
        predictor[~companies.listed(np.array([decision]))[:, 0], quarter] = np.nan
        signal[:, quarter] = _signal(settings.signal, predictor, quarter)
    return Paths(paths, 1000 * np.exp(market), regime, predictor, signal, change)


def price_feature(name: PriceFeature, log_price: Floats, at: int) -> Floats:
    """(S,) the panel's column of that name at session `at`; NaN where the market is younger than its window."""
    if at + 1 < _needed(name):
        return np.full(len(log_price), np.nan)
    if name == "momentum_12_1":
        return np.asarray(np.expm1(log_price[:, at - MONTH] - log_price[:, at - YEAR]), np.float64)
    window = np.exp(log_price[:, at - AVERAGE + 1 : at + 1] - log_price[:, [at]])
    return np.asarray(1 / window.mean(axis=1) - 1, np.float64)


def standardise(values: Floats) -> Floats:
    """Mean 0 and deviation 1 over the finite values, the extremes cut off; all NaN where fewer than 3 differ."""
    known = np.isfinite(values)
    result = np.full(values.shape, np.nan)
    if known.sum() < 3 or np.ptp(values[known]) == 0:
        return result
    scores = (values[known] - values[known].mean()) / values[known].std()
    scores = np.clip(scores, -LONGEST_SIGNAL, LONGEST_SIGNAL)
    result[known] = (scores - scores.mean()) / scores.std()
    return result


def _signal(kind: Signal, predictor: Floats, quarter: int) -> Floats:
    now = standardise(predictor[:, quarter])
    if kind == "linear":
        return now
    if kind == "nonlinear":
        return standardise(now**2)
    before = standardise(predictor[:, quarter - 4]) if quarter >= 4 else np.full(len(now), np.nan)
    return standardise(now * before)


def _needed(name: PriceFeature) -> int:
    return YEAR + 1 if name == "momentum_12_1" else AVERAGE


def _history(companies: Companies, session: int) -> Floats:
    """(S,) bars up to the session under the ticker in force."""
    return session + 1 - companies.line_first(np.array([session]))[:, 0].astype(np.float64)


def _walk(shock: Floats, level: Floats, gain: Floats) -> None:
    """Turn a quarter's noise (S, n), in place, into log prices that begin at `level` and change by `gain` (S,)."""
    shock += ((np.log1p(gain) - shock.sum(axis=1)) / shock.shape[1])[:, None]
    np.cumsum(shock, axis=1, out=shock)
    shock += level[:, None]


def _bounded(shock: Floats) -> Floats:
    bounded: Floats = BOUND * np.tanh(shock / BOUND)
    return bounded


def _regimes(seed: int, sessions: int) -> Floats:
    """Calm and stress follow one another as a Markov chain (on average 500 and 80 sessions), smoothed over a month."""
    rng = stream(seed, Purpose.MARKET, 1)
    uniform, stressed = rng.random(sessions), False
    wanted = np.empty(sessions)
    for at in range(sessions):
        stressed = uniform[at] > 1 / 80 if stressed else uniform[at] < 1 / 500
        wanted[at] = np.log(2.2) if stressed else 0.0
    noise = 0.05 * rng.standard_normal(sessions)
    level = np.empty(sessions)
    last = 0.0
    for at in range(sessions):
        last += (wanted[at] - last) / 15 + noise[at]
        level[at] = last
    return np.exp(level)


def _common_noise(seed: int, regime: Floats) -> tuple[Floats, Floats]:
    """Market (T,) and sector (11, T) noise: Student's t with 5 degrees of freedom, larger in stress."""
    rng = stream(seed, Purpose.MARKET, 2)
    scale = regime / np.sqrt(5 / 3)
    market = 0.008 * scale * rng.standard_t(5, len(regime))
    return market, 0.004 * scale * rng.standard_t(5, (len(SECTORS), len(regime)))


def _own_noise(seed: int, companies: Companies, regime: Floats) -> Floats:
    """(S, T) own risk: Student's t with 4 degrees of freedom, scaled to each company's volatility."""
    noise = np.empty((len(companies), len(regime)))
    scale = np.sqrt(regime) / np.sqrt(2.0)
    for company in range(len(companies)):
        noise[company] = stream(seed, Purpose.OWN_RISK, company).standard_t(4, len(regime))
    noise *= scale
    noise *= companies.volatility[:, None]
    return noise
