"""How long one decision of each rule takes, with 20, 100 and 400 names and a year of daily prices.

    python benchmarks/rules.py

Prices are random walks with a common factor; the first decision, which imports skfolio, is told apart.
"""

import time

import numpy as np

from alfred.core.contracts import Bars
from alfred.core.plugins import plugin, plugin_names
from alfred.core.progress import Silent
from alfred.manager.contracts import Observation
from alfred.manager.settings import POLICIES, ManagerSettings

NAMES = (20, 100, 400)
SESSIONS, REPEATS = 253, 5


def observation_of(names: int) -> Observation:
    """A decision after a year of prices."""
    generator = np.random.default_rng(names)
    daily = generator.normal(0.0003, 0.015, (SESSIONS, names)) + generator.normal(0.0, 0.01, (SESSIONS, 1))
    prices = 50.0 * np.exp(daily.cumsum(axis=0))
    days = np.busday_offset("2019-01-02", np.arange(SESSIONS), roll="forward").astype("datetime64[D]")
    mean = generator.normal(0.02, 0.03, names)
    bars = Bars(days, tuple(f"N{at:03d}" for at in range(names)), prices, prices)
    return Observation(
        date=days[-1], mask=np.ones(names, dtype=bool), held=np.zeros(names), columns=(), observed=np.zeros((names, 0)),
        market_columns=(), market=np.zeros(0), mean=mean, lower=mean - 0.15, upper=mean + 0.15,
        prob_up=np.full(names, 0.55), level=0.8, bars=bars, dollar_volume=generator.lognormal(17, 1, prices.shape),
    )  # fmt: skip


def main() -> None:
    """Print milliseconds of one processor a decision, the median of some."""
    settings = ManagerSettings(most_names=max(NAMES))
    seen = {names: observation_of(names) for names in NAMES}
    rules = [name for name in plugin_names(POLICIES) if not plugin(POLICIES, name).DESCRIPTION.learns]
    began = time.perf_counter()
    plugin(POLICIES, "minimum_variance").fit(None, settings, 0, Silent()).weights(seen[20])
    print(f"first decision with skfolio's import: {time.perf_counter() - began:.1f} s")
    print(f"{'rule':<26}" + "".join(f"{names:>10}" for names in NAMES) + "   names; milliseconds of one processor")
    for name in rules:
        rule, cells = plugin(POLICIES, name).fit(None, settings, 0, Silent()), []
        for names in NAMES:
            taken = []
            for _ in range(REPEATS):
                began = time.process_time()
                rule.weights(seen[names])
                taken.append(time.process_time() - began)
            cells.append(f"{1e3 * float(np.median(taken)):>10.2f}")
        print(f"{name:<26}" + "".join(cells))


if __name__ == "__main__":
    main()
