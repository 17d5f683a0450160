"""Random markets, frictions and limits for what must hold in all of them."""

import numpy as np
from hypothesis import strategies as st

from alfred.backtest.conditions import Conditions
from alfred.backtest.realistic import Reality
from alfred.backtest.settings import REALISTIC, FrictionSettings, LimitSettings
from alfred.core.contracts import Bars

NAN = np.nan
FREE = FrictionSettings()
OTHER = FrictionSettings(
    commission_bps=20.0, commission_minimum_usd=5.0, commission_maximum_share=0.02, spread_tiers=((0.0, 10.0),),
    impact_coefficient=0.142, impact_exponent=0.6, borrow_tiers=((0.0, 300.0),), cash_rate=0.03,
)  # fmt: skip
"""Credit and debit at one rate, fees that bind, and another power of impact."""


def bars_of(close, total=None):
    close = np.asarray(close, dtype=np.float64)
    dates = np.datetime64("2020-01-01") + np.arange(len(close))
    return Bars(dates, tuple(f"N{at}" for at in range(close.shape[1])), close, close if total is None else total)


@st.composite
def worlds(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    sessions, names = draw(st.integers(30, 60)), draw(st.integers(1, 5))
    close = 20 * np.exp(np.cumsum(rng.normal(0, draw(st.sampled_from([0.005, 0.05])), (sessions, names)), axis=0))
    close[rng.random(close.shape) < draw(st.sampled_from([0.0, 0.2]))] = NAN
    rows = np.sort(rng.choice(sessions, draw(st.integers(1, 6)), replace=False))
    weights = rng.normal(0, 0.4, (len(rows), names)) if draw(st.booleans()) else rng.random((len(rows), names)) / names
    delisted = np.where(rng.random(names) < 0.3, rng.integers(1, sessions, names), sessions)
    for name, row in enumerate(delisted):
        close[row:, name] = NAN
    conditions = Conditions(
        dollar_volume=10 ** rng.uniform(3, 9, close.shape),
        cash_rate=rng.uniform(0, 0.1, sessions),
        dividends=np.where(rng.random(close.shape) < 0.1, 0.2, 0.0) if draw(st.booleans()) else None,
        delisted=delisted,
        delisting_return=rng.uniform(-1, 0.2, names),
        sectors=rng.integers(-1, 2, names),
    )
    limits = LimitSettings(
        long_only=draw(st.booleans()), gross_max=1.5, net_max=1.0, name_max=draw(st.sampled_from([None, 0.4])),
        sector_max=draw(st.sampled_from([None, 0.7])), turnover_max=draw(st.sampled_from([None, 0.8])),
    )  # fmt: skip
    capital = draw(st.sampled_from([1e3, 1e5, 1e8]))
    frictions = draw(st.sampled_from([REALISTIC, FREE, OTHER]))
    return (
        bars_of(close),
        weights,
        rows,
        Reality(frictions.model_copy(update={"capital_usd": capital}), limits, conditions),
    )
