"""How many portfolio steps a second the manager's environments take, with every cost on, beside minimal ones.

    python benchmarks/manager.py             # 20 names, 66 quarters of 63 sessions
    python benchmarks/manager.py --names 400
    python benchmarks/manager.py --training   # instead: how long the policies that learn take with default settings

A step is one account's decision: targets within limits, orders with commission, spread, impact and partial fills, then
a quarter with dividends in cash, interest, borrow fees and delistings. Prices are random walks, targets are random. The
minimal environments hold close prices and know one rate of costs, neither limits nor anything else. All cases take
turns; figures are medians of wall time, and of processor time, which a busy machine distorts less.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box

from alfred.backtest.conditions import Conditions
from alfred.backtest.realistic import Reality
from alfred.backtest.settings import REALISTIC, LimitSettings
from alfred.core.contracts import Bars
from alfred.core.progress import Silent
from alfred.manager.batched import BatchedAccounts
from alfred.manager.contracts import Outlook, Scene
from alfred.manager.environment import PortfolioEnv
from alfred.manager.policies import gradient, ppo
from alfred.manager.settings import ManagerSettings

DECISIONS, SPAN, TURNS = 66, 63, 7
LIMITS = {
    "long-only, gross 1, a name's cap": LimitSettings(long_only=True, gross_max=1.0, name_max=0.15),
    "long and short, no limits": LimitSettings(),
    "long and short, gross, net and a name's cap": LimitSettings(
        gross_max=1.5, net_min=-0.2, net_max=0.8, name_max=0.15
    ),
}
RATE = 0.001


def scene(names: int, limits: LimitSettings) -> Scene:
    """Random walks with dividends, volumes, a cash rate, and a tenth of the names delisted on the way."""
    rng = np.random.default_rng(1)
    sessions = (DECISIONS + 1) * SPAN + 1
    close = 50 * np.exp(np.cumsum(rng.normal(2e-4, 0.015, (sessions, names)), axis=0))
    delisted = np.where(rng.random(names) < 0.1, rng.integers(sessions // 2, sessions, names), sessions)
    for name, row in enumerate(delisted):
        close[row:, name] = np.nan
    conditions = Conditions(
        dollar_volume=np.broadcast_to(10 ** rng.uniform(6, 9, names), close.shape).copy(),
        cash_rate=np.full(sessions, 0.03),
        dividends=np.where(np.arange(sessions)[:, None] % SPAN == 20, 0.2, 0.0) + np.zeros(names),
        delisted=delisted,
    )
    rows = SPAN * np.arange(1, DECISIONS + 2)
    dates = np.datetime64("1990-01-01") + np.arange(sessions)
    mean = rng.normal(0, 0.1, (DECISIONS, names))
    return Scene(
        dates=dates[rows[:-1] - 1],
        decided=rows[:-1] - 1,
        rows=rows,
        bars=Bars(dates, tuple(f"N{at}" for at in range(names)), close, close),
        reality=Reality(REALISTIC, limits, conditions),
        mask=delisted > rows[:-1, None],
        columns=("momentum", "volatility", "beta"),
        observed=rng.normal(0, 1, (DECISIONS, names, 3)),
        market_columns=("volatility", "slope"),
        market=rng.normal(0, 1, (DECISIONS, 2)),
        outlook=Outlook(mean, mean - 0.1, mean + 0.1, 1 / (1 + np.exp(-mean)), dates[rows[:-1] - 1]),
    )


def targets(count: int, market: Scene) -> np.ndarray:
    """Random weights of about the whole account; half of them sales where shorts are allowed."""
    rng, names = np.random.default_rng(2), market.mask.shape[1]
    drawn = rng.random((count, names))
    if not market.reality.limits.long_only:
        drawn -= 0.5
    return drawn * 2.0 / names


class MinimalEnv(gymnasium.Env):
    """What a tutorial writes: weights from the action, one rate of costs, returns of the next period."""

    def __init__(self, returns: np.ndarray, seen: np.ndarray) -> None:
        self.returns, self.seen = returns, seen
        self.observation_space = Box(-np.inf, np.inf, seen.shape[1:], np.float32)
        self.action_space = Box(-1.0, 1.0, returns.shape[1:], np.float32)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:  # noqa: ARG002
        """All in cash."""
        super().reset(seed=seed)
        self.at, self.worth, self.weights = 0, 1.0, np.zeros(self.returns.shape[1])
        return self.seen[0], {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Trade at one rate, hold one period."""
        weights = np.clip(action, 0.0, 1.0)
        weights = weights / max(weights.sum(), 1.0)
        cost = RATE * np.abs(weights - self.weights).sum()
        growth = (1.0 - cost) * (1.0 + weights @ self.returns[self.at])
        self.weights = weights * (1.0 + self.returns[self.at]) / (growth / (1.0 - cost))
        self.worth *= growth
        self.at += 1
        seen = self.seen[min(self.at, len(self.seen) - 1)].copy()
        seen[:, 0] = self.weights
        return seen, float(np.log(growth)), False, self.at == len(self.returns), {"worth": self.worth}


def gym_rate(env: gymnasium.Env, actions: np.ndarray) -> Callable[[], int]:
    """An episode through the whole scene."""

    def run() -> int:
        env.reset(seed=0)
        for action in actions:
            env.step(action)
        return len(actions)

    return run


def minimal_batched(returns: np.ndarray, wanted: np.ndarray) -> Callable[[], int]:
    """The minimal account, all accounts in one array operation."""

    def run() -> int:
        held, worth = np.zeros_like(wanted), np.ones(len(wanted))
        target = wanted / np.maximum(wanted.sum(axis=1, keepdims=True), 1.0)
        for returned in returns:
            cost = RATE * np.abs(target - held).sum(axis=1)
            growth = (1.0 - cost) * (1.0 + target @ returned)
            held = target * (1.0 + returned) / (growth / (1.0 - cost))[:, None]
            worth *= growth
        return len(wanted) * len(returns)

    return run


def batched(market: Scene, count: int, periods: int, *, threads: int = 1, learns: bool = False) -> Callable[[], int]:
    """Accounts that begin at decisions of their own and go on for some periods; `learns` adds forward and backward."""
    twin = BatchedAccounts(market, threads=threads)
    first = torch.tensor(np.random.default_rng(3).integers(0, DECISIONS - periods + 1, count))
    wanted = torch.tensor(targets(count, market), requires_grad=learns)

    def run() -> int:
        accounts, paid = twin.start(first), torch.zeros(count)
        for _ in range(periods):
            accounts, outcome = twin.step(accounts, wanted)
            paid = paid + outcome.reward
        if learns:
            wanted.grad = None
            paid.sum().backward()
        return count * periods

    return run


def cases(names: int) -> dict[str, Callable[[], int]]:
    """Every case by its title."""
    found: dict[str, Callable[[], int]] = {}
    for title, limits in LIMITS.items():
        market = scene(names, limits)
        actions = targets(DECISIONS, market).astype(np.float32)
        found[f"Gymnasium: {title}"] = gym_rate(PortfolioEnv(market), actions)
        for threads in (1, 2):
            size = f"{threads} thread" + "s" * (threads > 1)
            found[f"batched, {size}: {title}"] = batched(market, 8192, 33, threads=threads)
    market = scene(names, LIMITS["long-only, gross 1, a name's cap"])
    title = "with the gradient of 12 periods, 1 thread, long-only"
    found[f"batched, 1,024 accounts, {title}"] = batched(market, 1024, 12, learns=True)
    found[f"batched, 64 accounts, {title}"] = batched(market, 64, 12, learns=True)
    rng = np.random.default_rng(4)
    returns = rng.normal(0.01, 0.1, (DECISIONS, names))
    seen = rng.normal(0, 1, (DECISIONS, names, 23)).astype(np.float32)
    found["minimal Gymnasium"] = gym_rate(MinimalEnv(returns, seen), actions)
    found["minimal batched, 1 thread"] = minimal_batched(returns, targets(8192, market))
    return found


def print_training(names: int) -> None:
    """Print what a training costs of each policy that learns, judged on the last quarter of the periods."""
    market = scene(names, LIMITS["long-only, gross 1, a name's cap"])
    print("| policy | names | steps | seconds | of processor time |\n| --- | --- | --- | --- | --- |")
    for policy in (gradient, ppo):
        began, worked = time.perf_counter(), time.process_time()
        record = policy.fit(market, ManagerSettings(), 0, Silent()).record
        print(f"| {policy.NAME} | {names} | {record.steps:,} | {time.perf_counter() - began:.0f} | "
              f"{time.process_time() - worked:.0f} |", flush=True)  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", type=int, default=20)
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--training", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"Python {platform.python_version()}, torch {torch.__version__}, {platform.machine()}, {os.cpu_count()} "
          f"cores, load {os.getloadavg()[0]:.1f}; {given.names} names.\n")  # fmt: skip
    if given.training:
        print_training(given.names)
        return
    runs = cases(given.names)
    for run in runs.values():
        run()
    wall, busy = {title: [] for title in runs}, {title: [] for title in runs}
    for _ in range(given.turns):
        for title, run in runs.items():
            began, worked = time.perf_counter(), time.process_time()
            done = run()
            if title.startswith(("Gymnasium", "minimal G")):
                done += sum(run() for _ in range(20))
            wall[title].append(done / (time.perf_counter() - began))
            busy[title].append(done / (time.process_time() - worked))
    print("| case | steps a second | range | a second of processor time |\n| --- | --- | --- | --- |")
    for title in runs:
        rates = wall[title]
        print(f"| {title} | {statistics.median(rates):,.0f} | {min(rates):,.0f} to {max(rates):,.0f} | "
              f"{statistics.median(busy[title]):,.0f} |")  # fmt: skip


if __name__ == "__main__":
    main()
