"""Whether a policy beats simpler ones: differences of growth over seeds and blocks of quarters, and what they allow.

**Order.** Policies stand in order of simplicity: `SIMPLICITY` first, then other rules, those that look at no forecast
before those that do, and last the policies that learn. Each is compared with every simpler rule. Cash stands aside: it
is in every table, but to show that shares beat it takes longer than any sample here, so it is no rule to be beaten.

**Differences** are of annual log growth net of all costs, period by period on the same dates. Intervals resample blocks
of periods by the stationary bootstrap (Politis and Romano, 1994, JASA 89) and, of policies that learn, the seeds too.

**Shown to beat** a rule is a policy whose one-sided p-value against it stays below the level after Holm's correction
over all rules that it is compared with (1979), with an interval above zero, and, where it learns, of `FEWEST_SEEDS`
seeds or more. The p-value is Student's of the mean over its bootstrap error, with as many degrees of freedom as there
are blocks less one, for a share of draws would be too sure of so few blocks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from alfred.core.contracts import Floats, Interval
from alfred.core.errors import DataError
from alfred.evaluation.bootstrap import BootstrapSettings, percentile_interval, stationary_counts
from alfred.evaluation.significance import holm
from alfred.manager.contracts import PolicyDescription

CASH, BENCHMARK = "cash", "equal-weight"
SIMPLICITY = (
    CASH, BENCHMARK, "buy-and-hold", "inverse-volatility", "minimum-variance", "hierarchical-risk-parity",
    "top-decile", "magnitude-choice", "maximum-sharpe", "black-litterman",
)  # fmt: skip
"""Rules, the simplest first."""
FEWEST_SEEDS = 10
"""Of fewer trainings nothing is said to be shown."""


@dataclass(frozen=True)
class Comparison:
    """A policy against a simpler rule.

    Attributes:
        policy, rule: by name.
        difference: of annual log growth, the policy's less the rule's.
        interval: of it, over seeds and blocks of periods.
        p_value: one-sided, of "not above zero".
        holm: the same, corrected for the number of rules.
        shown: whether the policy is shown to beat the rule.
    """

    policy: str
    rule: str
    difference: float
    interval: Interval
    p_value: float
    holm: float
    shown: bool


@dataclass(frozen=True)
class Resampling:
    """How growth is resampled: `settings` of the bootstrap in quarters, and the periods of a year and of a block."""

    settings: BootstrapSettings
    periods_a_year: float
    periods: int

    @property
    def block(self) -> float:
        """Mean periods of a block."""
        of_quarter = self.periods_a_year / 4.0
        return of_quarter * self.settings.block_length(max(int(self.periods / of_quarter), 1))

    @property
    def blocks(self) -> float:
        """Blocks of the sample, at least 2."""
        return max(self.periods / self.block, 2.0)

    def draws(self, growth: Floats) -> Floats:
        """(B,) resampled annual growth of (N, P) log growth, N seeds and P periods."""
        seeds, periods = growth.shape
        counts = stationary_counts(periods, self.block, self.settings.draws, self.settings.seed)
        random = np.random.default_rng([self.settings.seed, 1])
        taken = random.multinomial(seeds, np.full(seeds, 1.0 / seeds), size=self.settings.draws)
        drawn: Floats = ((taken @ growth) * counts).sum(axis=1) * self.periods_a_year / (seeds * periods)
        return drawn

    def interval(self, growth: Floats) -> Interval:
        """Of the annual growth of (N, P) log growth."""
        return percentile_interval(self.draws(growth), self.settings.level, self.blocks)

    def annual(self, growth: Floats) -> float:
        """Mean annual growth of (N, P) log growth."""
        return float(growth.mean()) * self.periods_a_year


def by_simplicity(policies: Mapping[str, PolicyDescription]) -> list[str]:
    """The policies in order of simplicity (see the module)."""

    def place(name: str) -> tuple[bool, int, bool, str]:
        about = policies[name]
        known = SIMPLICITY.index(name) if name in SIMPLICITY else len(SIMPLICITY)
        return about.learns, known, about.uses_forecasts, name

    return sorted(policies, key=place)


def compare(
    growth: Mapping[str, Floats], policies: Mapping[str, PolicyDescription], resampling: Resampling
) -> tuple[Comparison, ...]:
    """Every policy against every simpler rule.

    Args:
        growth: (N, P) log growth of each policy, N seeds and P periods.
        policies: what they are.
        resampling: of periods and seeds.

    Raises:
        DataError: fewer than two periods.
    """
    if resampling.periods < 2:
        raise DataError(f"judging a manager needs at least 2 periods of its own, got {resampling.periods}.")
    order = by_simplicity(policies)
    found: list[Comparison] = []
    for at, policy in enumerate(order):
        rules = [rule for rule in order[:at] if not policies[rule].learns and rule != CASH]
        enough = not policies[policy].learns or len(growth[policy]) >= FEWEST_SEEDS
        differences = [growth[policy] - growth[rule] for rule in rules]
        chances = [_p_value(difference, resampling) for difference in differences]
        for rule, difference, chance, corrected in zip(rules, differences, chances, holm(chances), strict=True):
            interval = resampling.interval(difference)
            beaten = enough and corrected < 1.0 - resampling.settings.level and interval.lower > 0.0
            found.append(Comparison(policy, rule, resampling.annual(difference), interval, chance, corrected, beaten))
    return tuple(found)


def simplest_not_beaten(policy: str, comparisons: Sequence[Comparison]) -> Comparison | None:
    """The first rule that a policy is not shown to beat, None where it is shown to beat all of them."""
    return next((one for one in comparisons if one.policy == policy and not one.shown), None)


def recommended(
    comparisons: Sequence[Comparison], policies: Mapping[str, PolicyDescription], level: float = 0.95
) -> str:
    """The simplest policy that none of the others is shown to beat, with Holm's correction over all comparisons."""
    corrected = holm([one.p_value for one in comparisons])
    shown = [one.shown and p_value < 1.0 - level for one, p_value in zip(comparisons, corrected, strict=True)]
    beaten = {one.rule for one, beats in zip(comparisons, shown, strict=True) if beats}
    return next(name for name in by_simplicity(policies) if name != CASH and name not in beaten)


def verdict(comparisons: Sequence[Comparison], policies: Mapping[str, PolicyDescription]) -> tuple[str, ...]:
    """A sentence for each policy that learns, or each rule on forecasts where none does; last the simplest to keep."""
    judged = [name for name in by_simplicity(policies) if policies[name].learns] or [
        name for name in by_simplicity(policies) if policies[name].uses_forecasts
    ]
    said = []
    for name in judged:
        against = [one for one in comparisons if one.policy == name]
        if not against:
            continue
        failed, title = simplest_not_beaten(name, against), _capital(policies[name].title)
        if failed is None:
            said.append(f"{title}: shown to beat all {len(against)} simpler rules.")
        else:
            said.append(f"{title}: Not shown to beat {policies[failed.rule].title}{_by(failed)}.")
    simplest = policies[recommended(comparisons, policies)].title
    if not said:
        return (f"No policy that learns or looks at forecasts was judged; the simplest rule here is {simplest}.",)
    return (*said, f"The simplest that none was shown to beat: {simplest}.")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _by(one: Comparison) -> str:
    numbers = (one.difference, one.interval.lower, one.interval.upper)
    difference, lower, upper = (f"{100 * number:+.1f}".replace("-", "\u2212") for number in numbers)
    return f" (log growth {difference} points a year, {lower} to {upper})"


def _p_value(difference: Floats, resampling: Resampling) -> float:
    blocks = resampling.blocks
    error = float(resampling.draws(difference).std()) * np.sqrt(blocks / (blocks - 1.0))
    mean = resampling.annual(difference)
    if error < 1e-12:
        return 0.0 if mean > 1e-9 else 1.0
    return float(stats.t.sf(mean / error, blocks - 1.0))
