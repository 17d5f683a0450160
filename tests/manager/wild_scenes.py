"""Random scenes with every friction, limit, gap and delisting, for what must hold in all of them."""

import numpy as np
from hypothesis import strategies as st

from alfred.backtest.conditions import Conditions
from alfred.backtest.realistic import Reality
from alfred.backtest.settings import REALISTIC, FrictionSettings, LimitSettings
from alfred.core.contracts import Bars
from alfred.manager.contracts import Outlook, Scene

NAN = np.nan
OTHER = FrictionSettings(
    commission_bps=20.0, commission_minimum_usd=5.0, commission_maximum_share=0.02, spread_tiers=((0.0, 10.0),),
    impact_coefficient=0.142, impact_exponent=0.6, borrow_tiers=((0.0, 300.0),), cash_rate=0.03,
)  # fmt: skip
LIMITS = (
    LimitSettings(),
    LimitSettings(long_only=True, gross_max=1.0),
    LimitSettings(long_only=True, gross_max=1.0, name_max=0.3),
    LimitSettings(gross_max=1.6, name_max=0.9),
    LimitSettings(gross_max=1.5, net_min=-0.2, net_max=0.5, name_max=0.4),
    LimitSettings(long_only=True, gross_max=1.0, name_max=0.5, sector_max=0.6),
    LimitSettings(gross_max=1.2, net_max=0.8, sector_max=0.7, turnover_max=0.5),
    LimitSettings(long_only=True, gross_max=1.0, turnover_max=0.3),
)


def wild(
    seed, *, names=4, decisions=3, span=12, frictions=REALISTIC, limits=LIMITS[1], gaps=0.1, gone=0.3, paying=True,
    rough=0.02, lag=1,
) -> Scene:  # fmt: skip
    """A scene of random walks; `gone` of the names are delisted on the way, `gaps` of the quotes are missing."""
    rng = np.random.default_rng(seed)
    sessions = 25 + decisions * span + 3
    close = 20 * np.exp(np.cumsum(rng.normal(0, rough, (sessions, names)), axis=0))
    close[rng.random(close.shape) < gaps] = NAN
    delisted = np.where(rng.random(names) < gone, rng.integers(1, sessions, names), sessions)
    for name, row in enumerate(delisted):
        close[row:, name] = NAN
    inner = np.sort(rng.choice(np.arange(26, sessions - 1), decisions - 1, replace=False))
    rows = np.concatenate([[25], inner, [sessions - 1]])
    conditions = Conditions(
        dollar_volume=10 ** rng.uniform(5, 9, close.shape),
        cash_rate=rng.uniform(0, 0.1, sessions),
        dividends=np.where(rng.random(close.shape) < 0.1, 0.2, 0.0) if paying else None,
        delisted=delisted,
        delisting_return=rng.uniform(-1, 0.2, names),
        sectors=rng.integers(-1, 2, names),
    )
    mask = rng.random((decisions, names)) < 0.9
    mask[0, 0] = True
    dates = np.busday_offset("2001-01-01", np.arange(sessions), roll="forward").astype("datetime64[D]")
    mean = rng.normal(0, 0.1, (decisions, names))
    decided = rows[:-1] - lag
    return Scene(
        dates=dates[decided],
        decided=decided,
        rows=rows,
        bars=Bars(dates, tuple(f"N{at}" for at in range(names)), close, close),
        reality=Reality(frictions, limits, conditions),
        mask=mask,
        columns=("signal",),
        observed=rng.normal(0, 1, (decisions, names, 1)),
        market_columns=("weather",),
        market=rng.normal(0, 1, (decisions, 1)),
        outlook=Outlook(mean, mean - 0.1, mean + 0.1, 1 / (1 + np.exp(-mean)), dates[decided]),
    )


@st.composite
def wild_scenes(draw) -> Scene:
    """Any of them."""
    capital = draw(st.sampled_from([1e3, 1e5, 1e8]))
    return wild(
        draw(st.integers(0, 2**32)),
        names=draw(st.integers(1, 6)),
        decisions=draw(st.integers(1, 4)),
        span=draw(st.sampled_from([4, 15])),
        frictions=draw(st.sampled_from([REALISTIC, OTHER, FrictionSettings()])).model_copy(
            update={"capital_usd": capital}
        ),
        limits=draw(st.sampled_from(LIMITS)),
        gaps=draw(st.sampled_from([0.0, 0.2])),
        paying=draw(st.booleans()),
        rough=draw(st.sampled_from([0.005, 0.05])),
        lag=draw(st.integers(0, 1)),
    )
