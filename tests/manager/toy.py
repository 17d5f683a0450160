"""Small markets whose best portfolio is known, as scenes."""

import numpy as np

from alfred.backtest.conditions import Conditions
from alfred.backtest.realistic import Reality
from alfred.backtest.settings import FrictionSettings, LimitSettings
from alfred.core.contracts import Bars
from alfred.manager.contracts import Outlook, Scene

SESSIONS = 21
"""In a period; fewer than a quarter has, as nothing here depends on it."""
FREE = FrictionSettings()
LONG_ONLY = LimitSettings(long_only=True, gross_max=1.0)


def scene_of(returns, forecast=None, *, frictions=FREE, limits=LONG_ONLY, noise=0.0, seed=0, masked=0.0) -> Scene:
    """A scene in which name s returns `returns[d, s]` from fill d to fill d + 1, after one period of history.

    Args:
        returns: (D, S) simple returns of the periods.
        forecast: (D, S) mean forecasts; default the returns themselves.
        frictions, limits: of the account.
        noise: deviation of the path within a period, which ends where the returns say.
        seed: of the path, the volumes and the mask.
        masked: share of names that may not be held, by decision.
    """
    returns = np.asarray(returns, dtype=np.float64)
    generator = np.random.default_rng(seed)
    decisions, names = returns.shape
    forecast = returns if forecast is None else np.asarray(forecast, dtype=np.float64)
    total = np.empty(((decisions + 1) * SESSIONS + 2, names))
    past = generator.normal(0.0, 0.01, (SESSIONS + 1, names)).cumsum(axis=0)
    level = np.full(names, np.log(50.0))
    total[: SESSIONS + 1] = np.exp(level + past - past[-1])
    for at, period in enumerate(returns):
        steps = np.linspace(0.0, 1.0, SESSIONS + 1)[1:, None] * np.log1p(period)
        bridge = generator.normal(0.0, 1.0, (SESSIONS, names)).cumsum(axis=0) * noise
        bridge -= np.linspace(0.0, 1.0, SESSIONS + 1)[1:, None] * bridge[-1]
        first = SESSIONS + 1 + at * SESSIONS
        total[first : first + SESSIONS] = np.exp(level + steps + bridge)
        level = level + np.log1p(period)
    total[-1] = total[-2]
    total = total[: (decisions + 1) * SESSIONS + 1]
    sessions = np.busday_offset("2001-01-01", np.arange(len(total)), roll="forward").astype("datetime64[D]")
    bars = Bars(sessions, tuple(f"N{at:02d}" for at in range(names)), total, total)
    rows = SESSIONS + SESSIONS * np.arange(decisions + 1)
    volume = np.broadcast_to(np.exp(generator.normal(17.0, 1.0, names)), total.shape)
    mask = generator.random((decisions, names)) >= masked
    risk = np.stack([np.diff(np.log(total[:row]), axis=0)[-SESSIONS:].std(axis=0) for row in rows[:-1]])
    dates = sessions[rows[:-1] - 1]
    spread = np.full_like(forecast, 0.1)
    return Scene(
        dates=dates,
        decided=rows[:-1] - 1,
        rows=rows,
        bars=bars,
        reality=Reality(frictions, limits, Conditions(dollar_volume=volume)),
        mask=mask,
        columns=("ensemble:mean", "ensemble:prob_up", "volatility", "dollar_volume"),
        observed=np.stack([forecast, 1.0 / (1.0 + np.exp(-20.0 * forecast)), risk, np.log(volume[rows[:-1]])], axis=2),
        market_columns=("market_volatility",),
        market=risk.mean(axis=1, keepdims=True),
        outlook=Outlook(
            mean=forecast,
            lower=forecast - spread,
            upper=forecast + spread,
            prob_up=1.0 / (1.0 + np.exp(-20.0 * forecast)),
            learnt_until=dates - np.timedelta64(1, "D"),
            analysts=("oracle",),
        ),
    )
