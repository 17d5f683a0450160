"""How fast and how different: the engine beside a plain day loop and bt, in the same run.

    python benchmarks/backtest.py            # 20 names x 8,313 days, and 5,300 names x 5,040 days
    python benchmarks/backtest.py --small    # the first only
    python benchmarks/backtest.py --steps    # single steps of accounts only

Prices are random walks; quarterly target weights sum to 1; costs are 10 basis points one way. The large case runs
first, so that the process's peak memory is its own.
"""

import argparse
import platform
import resource
import statistics
import time
from collections.abc import Callable

import numpy as np

from alfred.backtest.conditions import Conditions, market_at, period_at
from alfred.backtest.course import Course, step_many
from alfred.backtest.engine import run_account
from alfred.backtest.limits import project
from alfred.backtest.realistic import Reality, run_realistic
from alfred.backtest.settings import REALISTIC, CostSettings, LimitSettings
from alfred.backtest.step import State, hold, trade
from alfred.core.contracts import Bars

COSTS = CostSettings(cost_bps=10.0, borrow_bps_per_year=50.0)
RATE = COSTS.cost_bps / 10_000
SMALL = (20, 8313, 132)
LARGE = (5300, 5040, 80)
PART = (1000, 5040, 80)
STEPS = (20, 63 * 81 + 1, 80)
ACCOUNTS = 8192
LIMITS = {
    "no limit": LimitSettings(),
    "long-only, gross 1, a name's cap": LimitSettings(long_only=True, gross_max=1.0, name_max=0.1),
    "gross, net and a name's cap": LimitSettings(gross_max=0.8, net_min=-0.1, net_max=0.3, name_max=0.1),
    "all limits": LimitSettings(gross_max=0.8, net_max=0.3, name_max=0.1, sector_max=0.25, turnover_max=0.5),
}


def market(names: int, sessions: int, quarters: int, *, shorts: bool = False) -> tuple[Bars, np.ndarray, np.ndarray]:
    """Random-walk bars, weights of gross exposure 1 and the rows to trade at; one price matrix, made in place."""
    rng = np.random.default_rng(1)
    prices = rng.standard_normal((sessions, names))
    prices *= 0.015
    np.cumsum(prices, axis=0, out=prices)
    np.exp(prices, out=prices)
    prices *= 50
    dates = np.datetime64("1990-01-01") + np.arange(sessions)
    weights = rng.random((quarters, names)) - (0.4 if shorts else 0.0)
    weights /= np.abs(weights).sum(axis=1, keepdims=True)
    rows = np.linspace(0, sessions - 63, quarters).astype(np.int64)
    return Bars(dates, tuple(f"N{at}" for at in range(names)), prices, prices), weights, rows


def exact(worth: float, target: np.ndarray, held: np.ndarray) -> tuple[float, float]:
    """Value the targets are of, and what the trade costs, by fixed-point steps."""
    after = worth
    for _ in range(60):
        after = worth - RATE * float(np.abs(target * after - held).sum())
    return after, worth - after


def pre_cost_target(worth: float, target: np.ndarray, held: np.ndarray) -> tuple[float, float]:
    """The cost is that of the trade towards targets of the value before it; targets hold after it."""
    cost = RATE * float(np.abs(target * worth - held).sum())
    return worth - cost, cost


def from_cash(worth: float, target: np.ndarray, held: np.ndarray) -> tuple[float, float]:
    """Targets of the value before the trade are bought; the cost is taken from cash, which it may leave below zero."""
    return worth, RATE * float(np.abs(target * worth - held).sum())


def day_loop(bars: Bars, weights: np.ndarray, rows: np.ndarray, convention: Callable = exact) -> np.ndarray:
    """The usual home-made backtest: a vector product a day. Long positions, complete prices."""
    wanted = {int(row): weights[at] for at, row in enumerate(rows)}
    shares, cash, values = np.zeros(len(bars.symbols)), 1.0, []
    for row in range(int(rows[0]), len(bars.dates)):
        price = bars.total[row]
        worth = cash + float(shares @ price)
        if row in wanted:
            target = wanted[row]
            base, cost = convention(worth, target, shares * price)
            shares = target * base / price
            worth -= cost
            cash = worth - float(shares @ price)
        values.append(worth)
    return np.array(values)


def with_bt(bars: Bars, weights: np.ndarray, rows: np.ndarray) -> Callable[[], np.ndarray]:
    """The same in bt, with fractional shares and the same commission rate; construction is not timed."""
    import bt
    import pandas as pd

    frame = pd.DataFrame(bars.total, index=pd.DatetimeIndex(bars.dates), columns=list(bars.symbols))
    table = pd.DataFrame(weights, index=frame.index[rows], columns=frame.columns)

    def run() -> np.ndarray:
        algos = [bt.algos.RunOnDate(*table.index), bt.algos.WeighTarget(table), bt.algos.Rebalance()]
        test = bt.Backtest(
            bt.Strategy("s", algos),
            frame,
            integer_positions=False,
            commissions=lambda quantity, price: abs(quantity) * price * RATE,
            progress_bar=False,
        )
        test.run()
        values = test.strategy.values.to_numpy()[1:]
        return values / 1_000_000

    return run


def median_ms(task: Callable[[], object], repeats: int) -> float:
    """Median wall time in milliseconds after one run that is not counted."""
    task()
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        task()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds) * 1e3


def peak_mb() -> float:
    """Largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def line(*cells: object) -> None:
    """A row of a Markdown table."""
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def reality(shape: tuple[int, int, int], engine: float, repeats: int) -> None:
    """The same rebalancings, half short, with every friction of `REALISTIC`, then with all limits too."""
    bars, weights, rows = market(*shape, shorts=True)
    rng = np.random.default_rng(3)
    volume = rng.random(bars.total.shape)
    volume *= 1e8
    limits = LimitSettings(gross_max=0.8, net_max=0.1, name_max=2 / shape[0], sector_max=0.15, turnover_max=0.5)
    conditions = Conditions(dollar_volume=volume, sectors=rng.integers(0, 11, shape[0]))
    for title, real in (
        ("every friction", Reality(REALISTIC, LimitSettings(), conditions)),
        ("every friction and limit", Reality(REALISTIC, limits, conditions)),
    ):
        took = median_ms(lambda real=real: run_realistic(bars, weights, rows, real), repeats)
        line("", title, f"{took:.0f}", f"{took / engine:.1f}", "")


def large() -> None:
    """The large case. bt needs minutes and gigabytes for it, so it runs once, on a part of the names."""
    bars, weights, rows = market(*LARGE)
    title = f"{LARGE[0]:,} names x {LARGE[1]:,} days x {LARGE[2]} quarters"
    engine = median_ms(lambda: run_account(bars, weights, rows, COSTS), 9)
    line(title, "engine", f"{engine:.1f}", "1", f"{peak_mb():.0f}")
    gross = np.abs(weights - weights.mean()).sum(axis=1, keepdims=True)
    shorts = median_ms(lambda: run_account(bars, (weights - weights.mean()) / gross, rows, COSTS), 9)
    line("", "engine, half of it short", f"{shorts:.1f}", f"{shorts / engine:.1f}", f"{peak_mb():.0f}")
    loop = median_ms(lambda: day_loop(bars, weights, rows), 5)
    line("", "plain day loop", f"{loop:.1f}", f"{loop / engine:.1f}", "")
    difference = np.abs(day_loop(bars, weights, rows) / run_account(bars, weights, rows, COSTS).value - 1).max()
    line("", f"largest difference, loop to engine: {difference:.0e}", "", "", "")
    rng = np.random.default_rng(2)
    for name in range(0, LARGE[0], 4):
        bars.total[: rng.integers(LARGE[1] // 2), name] = np.nan
        bars.total[rng.integers(LARGE[1] // 2, LARGE[1]) :, (name + 1) % LARGE[0]] = np.nan
    gaps = median_ms(lambda: run_account(bars, weights, rows, COSTS), 9)
    line(
        "", "engine, half of the names listed late or ended", f"{gaps:.1f}", f"{gaps / engine:.1f}", f"{peak_mb():.0f}"
    )
    del bars
    reality(LARGE, engine, 3)
    bars, weights, rows = market(*PART)
    engine = median_ms(lambda: run_account(bars, weights, rows, COSTS), 9)
    line(f"{PART[0]:,} names x {PART[1]:,} days x {PART[2]} quarters", "engine", f"{engine:.1f}", "1", "")
    theirs = with_bt(bars, weights, rows)
    begin = time.perf_counter()
    theirs()
    other = (time.perf_counter() - begin) * 1e3
    line("", "bt, once", f"{other:.0f}", f"{other / engine:.0f}", f"{peak_mb():.0f}")


def small() -> None:
    """The small case, with bt."""
    bars, weights, rows = market(*SMALL)
    engine = median_ms(lambda: run_account(bars, weights, rows, COSTS), 51)
    line(f"{SMALL[0]} names x {SMALL[1]:,} days x {SMALL[2]} quarters", "engine", f"{engine:.2f}", "1", "")
    reality(SMALL, engine, 5)
    loop = median_ms(lambda: day_loop(bars, weights, rows), 9)
    line("", "plain day loop", f"{loop:.1f}", f"{loop / engine:.1f}", "")
    theirs = with_bt(bars, weights, rows)
    other = median_ms(theirs, 5)
    line("", "bt", f"{other:.0f}", f"{other / engine:.0f}", "")
    reference = run_account(bars, weights, rows, COSTS).value
    for name, value in (("loop", day_loop(bars, weights, rows)), ("bt", theirs())):
        line("", f"largest difference, {name} to engine: {np.abs(value / reference - 1).max():.0e}", "", "", "")


def conventions() -> None:
    """Final account values of the small case under the three ways to charge a cost."""
    bars, weights, rows = market(*SMALL)
    turned = np.eye(SMALL[0])[np.arange(SMALL[2]) % SMALL[0]]
    print("\n| weights | convention | final value | difference |\n| --- | --- | --- | --- |")
    for title, wanted in (("random, near 1/N", weights), ("one name a quarter", turned)):
        base = run_account(bars, wanted, rows, COSTS).value[-1]
        line(title, "exact (engine)", f"{base:.6f}", "")
        for name, convention in (("pre-cost target", pre_cost_target), ("from cash", from_cash)):
            final = day_loop(bars, wanted, rows, convention)[-1]
            line("", name, f"{final:.6f}", f"{1e4 * (final / base - 1):+.2f} bps")


def course(limits: LimitSettings) -> tuple[Course, Bars]:
    """20 names over 80 quarters of 63 sessions, with every friction, dividends in cash and a few delistings."""
    names, sessions, _ = STEPS
    bars, _, _ = market(*STEPS)
    rng = np.random.default_rng(3)
    conditions = Conditions(
        dollar_volume=rng.random((sessions, names)) * 1e8,
        cash_rate=np.full(sessions, 0.03),
        dividends=np.where(np.arange(sessions)[:, None] % 63 == 20, 0.2, 0.0) + np.zeros(names),
        delisted=np.where(np.arange(names) % 10 == 0, sessions // 2 + 100 * np.arange(names), sessions),
        sectors=rng.integers(0, 6, names),
    )
    return Course.of(bars, np.arange(63, sessions, 63), Reality(REALISTIC, limits, conditions)), bars


def rate(task: Callable[[], object], count: int, repeats: int = 15) -> tuple[str, str]:
    """Steps a second by the wall clock and by the processor time of all threads, medians."""
    task()
    wall, own = [], []
    for _ in range(repeats):
        begin, spent = time.perf_counter(), time.process_time()
        task()
        wall.append(time.perf_counter() - begin)
        own.append(time.process_time() - spent)
    return f"{count / statistics.median(wall):,.0f}", f"{count / statistics.median(own):,.0f}"


def steps() -> None:
    """Account steps a second: targets within limits, a trade with every friction, and a quarter held."""
    rng = np.random.default_rng(4)
    print("\n| accounts in a call | limits | threads | steps a second | a second of processor time |")
    print("| --- | --- | --- | --- | --- |")
    for title, limits in LIMITS.items():
        made, _ = course(limits)
        at = rng.integers(0, len(made.most) - 1, ACCOUNTS)
        target = rng.random((ACCOUNTS, STEPS[0])) - (0.0 if limits.long_only else 0.3)
        target /= np.abs(target).sum(axis=1, keepdims=True)
        begun = step_many(made, at, np.full(ACCOUNTS, 1e5), np.zeros_like(target), target)
        wanted = np.roll(target, 1, axis=0)
        for threads in (1, 2):
            found = rate(
                lambda made=made, at=at + 1, begun=begun, wanted=wanted, threads=threads: step_many(
                    made, at, begun.cash, begun.shares, wanted, threads=threads
                ),
                ACCOUNTS,
            )
            line(f"{ACCOUNTS:,}", title, threads, *found)
        one = at[:1] + 1, begun.cash[:1], begun.shares[:1], wanted[:1]
        line("1", title, 1, *rate(lambda made=made, one=one: [step_many(made, *one) for _ in range(1000)], 1000))
    apart()


def apart() -> None:
    """The parts of one account's step, called one after the other as a backtest does."""
    made, bars = course(LimitSettings())
    reality, (row, end) = made.reality, made.rows[40:42].tolist()
    found, borrow = market_at(bars, row, reality.frictions, reality.conditions)
    period = period_at(bars, (row, end), reality.frictions, reality.conditions, borrow)
    rng = np.random.default_rng(5)
    target = rng.random(STEPS[0]) / STEPS[0]
    state = State(1e5, np.zeros(STEPS[0]), made.mark[40].copy())
    filled = trade(state, target, found).state
    print("\n| one account | microseconds | of processor time |\n| --- | --- | --- |")
    for title, task in {
        "`trade`": lambda: trade(state, target, found),
        "`hold`": lambda: hold(filled, period),
        **{
            f"`project`, {name}": lambda limits=limits: project(3 * target, limits, sectors=reality.conditions.sectors)
            for name, limits in LIMITS.items()
        },
    }.items():
        took = rate(lambda task=task: [task() for _ in range(200)], 200)
        line(title, *(f"{1e6 / float(each.replace(',', '')):.1f}" for each in took))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="leave the large case out")
    parser.add_argument("--steps", action="store_true", help="single steps of accounts only")
    arguments = parser.parse_args()
    only_small = arguments.small
    print(f"Python {platform.python_version()}, numpy {np.__version__}, {platform.machine()}; medians.\n")
    if arguments.steps:
        steps()
        return
    print("| case | what | ms | times the engine's | peak MB |\n| --- | --- | --- | --- | --- |")
    if not only_small:
        large()
    small()
    conventions()
    steps()


if __name__ == "__main__":
    main()
